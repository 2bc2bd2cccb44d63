"""Use cases: one function for each thing that a command, a page or a program may ask for."""
