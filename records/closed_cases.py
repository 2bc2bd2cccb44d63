"""What closed cases leave to later ones."""

from policy.case import Earlier, Order, Outcome
from policy.requirements import Evidence
from records.tables import ClosedCase


def earlier_of(closed: ClosedCase | None) -> Earlier:
    """What the records know of an assister before a case opens."""
    if closed is None:
        return Earlier()
    return Earlier(
        outcome=Outcome(closed.outcome) if closed.outcome else None,
        evidence=Evidence.model_validate(closed.evidence),
        hold=Order.model_validate(closed.hold) if closed.hold else None,
        reference_number=closed.reference_number,
        fence=closed.fence,
    )
