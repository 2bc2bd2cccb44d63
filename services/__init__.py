"""Use cases: one function for each thing that a command, a page or a program may ask for."""


class Refused(Exception):
    """The use case did not do what was asked; the text says why and what to do."""


class Unknown(Refused):
    """What was asked for is not on record."""
