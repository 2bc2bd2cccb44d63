"""Scores: decimals and never floats, cut where they are too long and never rounded up."""

from decimal import ROUND_DOWN, Decimal, localcontext

DIGITS = 40
"""Of a score while it is worked out."""
KEPT = Decimal("0.00000001")
"""What is kept of one: as many digits as a case takes."""


def percent(part: Decimal, whole: Decimal) -> Decimal:
    """The share in percent: 69.99999999999999999 of 100 stays below 70.

    Raises:
        ArithmeticError: If it is no number, or no share of anything.
    """
    with localcontext(prec=DIGITS, rounding=ROUND_DOWN):
        share = (part * 100 / whole).quantize(KEPT)
        # 70 is written 70, not 7E+1: events are known by what they say.
        return share.to_integral() if share == share.to_integral() else share.normalize()
