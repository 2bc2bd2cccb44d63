"""The commands of ``starter.py``: a file for each of its subjects."""
