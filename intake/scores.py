"""Scores: decimals and never floats, cut where they are too long and never rounded up."""

from decimal import ROUND_DOWN, Decimal, localcontext

DIGITS = 40
"""The precision of the calculation."""
KEPT = Decimal("0.00000001")
"""The precision of the result: as many digits as a case accepts."""


def percent(part: Decimal, whole: Decimal, least: Decimal = Decimal(0)) -> Decimal:
    """The share in percent: 69.99999999999999999 of 100 stays below 70.

    Args:
        whole: The highest value of the scale.
        least: The lowest value of the scale.

    Raises:
        ArithmeticError: If it is not a number, or the whole is zero.
    """
    with localcontext(prec=DIGITS, rounding=ROUND_DOWN):
        share = ((part - least) * 100 / (whole - least)).quantize(KEPT)
        # 70 must not become 7E+1: an event's id is a hash of its text.
        return share.to_integral() if share == share.to_integral() else share.normalize()
