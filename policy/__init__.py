"""What MNsure's Assister Portal Access policy says, as pure code.

This package has no input or output, no clock, no Temporal and no database. Every function answers
from its arguments alone, so workflows may call it and tests can run it without a server.
"""
