"""The scores and periods of the policy and of its operator.

The mastery score is the policy's (clause 2.2). The policy gives no other number, so the operator
chooses the rest. A case keeps the terms under which it was opened.
"""

from decimal import Decimal
from functools import lru_cache
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

PORTAL_COURSE = "assister-portal"
"""The course, and its assessment, that clause 2a requires."""

Days = Annotated[int, Field(ge=1, le=3650)]


class Terms(BaseModel):
    """The terms of a case: scores in percent, periods in days."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    mastery: dict[str, Annotated[Decimal, Field(gt=0, le=100)]] = {PORTAL_COURSE: Decimal(70)}
    """The percent needed to pass each assessment that counts (clause 2.2)."""
    training_courses: tuple[str, ...] = (PORTAL_COURSE,)
    """The training courses that count (clause before.3)."""

    activation_valid_days: Days = 7
    """An activation ends at the end of this day after issue; if that is a day off, of the next
    business day."""
    activation_reminder_days: tuple[Days, ...] = (2, 5)
    """The assister is reminded of an unused activation after so many days, on business days."""
    resends_a_day: Annotated[int, Field(ge=0, le=100)] = 3
    """How often the activation mail may be repeated within 24 hours."""
    reissuable_days: Days = 30
    """How many days an expired activation can be reissued before the case closes."""
    requirement_reminder_days: tuple[Days, ...] = (14, 30, 60)
    """Those who must act on a missing requirement are reminded after so many days."""
    certification_warning_days: tuple[Days, ...] = (30, 7)
    """Assister and agency are warned so many days before a certification ends."""
    fuse_count: Annotated[int, Field(ge=0)] = 5
    """See ``fuse_percent``: both must be exceeded."""
    fuse_percent: Annotated[int, Field(ge=0, le=100)] = 20
    """A roster that would suspend more than this many, and this share, of an agency's assisters
    with access is held for a person."""

    def holds(self, suspensions: int, with_access: int) -> bool:
        """Whether the mass-change fuse trips."""
        return suspensions > self.fuse_count and suspensions * 100 > self.fuse_percent * with_access


def shared(terms: Terms) -> Terms:
    """Equal terms, which this process keeps once: all cases that a worker keeps have them."""
    return _read(terms.model_dump_json())


@lru_cache(16)
def _read(terms: str) -> Terms:
    return Terms.model_validate_json(terms)
