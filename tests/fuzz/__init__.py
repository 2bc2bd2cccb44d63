"""Fuzzing: every parser fed with what nobody meant to send."""
