"""Strict JSON: numbers are decimals, and a text that can be read in two ways is refused."""

import json
from decimal import Decimal
from typing import Any, NoReturn

MOST_DIGITS = 300
"""The most digits before the point: other readers take larger numbers for infinity."""


class BadJson(ValueError):
    """Not JSON that can be read in one way only."""


def loads(body: bytes) -> Any:
    """The value.

    Raises:
        BadJson: Also for a repeated name, NaN and Infinity, and nesting without end.
    """
    try:
        value = json.loads(
            body.decode(),
            parse_float=_decimal,
            parse_constant=_refuse,
            object_pairs_hook=_once,
        )
        _check_texts(value)
    except (ValueError, RecursionError, ArithmeticError):
        raise BadJson("the body is not JSON, or not one that can be read in one way") from None
    return value


def _decimal(text: str) -> Decimal:
    number = Decimal(text)
    if number.adjusted() > MOST_DIGITS:
        raise BadJson("a number is too large")
    return number


def _check_texts(value: Any) -> None:
    """Refuses NUL and lone surrogates, which a database cannot store."""
    match value:
        case str():
            value.encode()
            if "\0" in value:
                raise BadJson("a text holds NUL")
        case list():
            for each in value:
                _check_texts(each)
        case dict():
            for name, each in value.items():
                _check_texts(name)
                _check_texts(each)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    # Of two equal names json takes the last; another reader may take the first.
    if len({name for name, _ in pairs}) != len(pairs):
        raise BadJson("a name is repeated")
    return dict(pairs)


def _refuse(constant: str) -> NoReturn:
    raise BadJson(f"{constant} is not JSON")
