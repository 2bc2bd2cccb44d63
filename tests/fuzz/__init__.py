"""Fuzzing: every parser gets random and broken input."""
