"""Use cases: one function for everything that a command, a page or a program may ask for."""

from pydantic import ValidationError


class Refused(Exception):
    """The use case refuses; the text says why and what to do."""


class Unknown(Refused):
    """The thing asked for is not on record."""


def mistakes(error: ValidationError) -> str:
    """What is wrong with a value, without repeating it."""
    return "; ".join(
        f"{'.'.join(map(str, each['loc']))}: {each['msg'].removeprefix('Value error, ')}"
        for each in error.errors(include_url=False, include_input=False)
    )
