"""JSON as it was meant: numbers are decimals, and what could be read in two ways is refused."""

import json
from decimal import Decimal
from typing import Any, NoReturn


class BadJson(ValueError):
    """Not JSON that can be read in one way only."""


def loads(body: bytes) -> Any:
    """The value.

    Raises:
        BadJson: Also for a repeated name, NaN and Infinity, and nesting without end.
    """
    try:
        return json.loads(
            body.decode(),
            parse_float=Decimal,
            parse_constant=_refuse,
            object_pairs_hook=_once,
        )
    except (ValueError, RecursionError, ArithmeticError):
        raise BadJson("the body is not JSON, or repeats a name") from None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    # Another reader may take the first of two equal names; json takes the last.
    if len({name for name, _ in pairs}) != len(pairs):
        raise BadJson("a name is repeated")
    return dict(pairs)


def _refuse(constant: str) -> NoReturn:
    raise BadJson(f"{constant} is not JSON")
