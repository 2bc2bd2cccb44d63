"""The four requirements of the policy and the evidence for each.

Evidence arrives in any order, late, twice, or not at all. A newer fact replaces an older one by the
time at which it happened, never by the time at which it arrived; where two happened at the same
moment the one that gives less access holds, so that no order of arrival can matter.
"""

import re
from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any, TypeVar, assert_never

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from policy.terms import PORTAL_COURSE, Terms

TrainingId = Annotated[str, StringConstraints(pattern=r"^[A-Z0-9]{7}$")]
"""An assister's Unique Key, the same for every training (clause 2b)."""

EventId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.:-]{1,100}$")]
AgencyId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,40}$")]
CourseId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.:-]{1,100}$")]


def _no_number(value: Any) -> Any:
    """Refuses a number as a date: pydantic would take 20261102 for seconds since 1970."""
    if isinstance(value, int | float | Decimal) or (
        isinstance(value, str) and re.fullmatch(r"\s*[+-]?\d+(\.\d*)?\s*", value)
    ):
        raise ValueError("a number is no date; write 2026-11-02 or 2026-11-02T15:04:00-06:00")
    return value


def _no_other_number(value: Any) -> Any:
    """As above, but a day without hyphens is that day."""
    if isinstance(value, str) and re.fullmatch("[0-9]{8}", value):
        return f"{value[:4]}-{value[4:6]}-{value[6:]}"
    return _no_number(value)


Moment = Annotated[
    AwareDatetime, Field(ge=datetime(1900, 1, 1, tzinfo=UTC)), BeforeValidator(_no_number)
]
"""When something happened. Systems write year 1 for "none", which no local time can be told for."""
LastDay = Annotated[
    date, Field(ge=date(1900, 1, 1), le=date(9998, 12, 31)), BeforeValidator(_no_other_number)
]
"""A last valid day: the day after it must be a date, too."""

RESULTS_KEPT = 40
"""Results remembered per assister; the least useful are forgotten first."""
AGENCIES_KEPT = 20
"""Agencies remembered per assister: those that approved last, then those that spoke last."""


class AssisterType(StrEnum):
    """To whom the policy applies (clause ``scope``)."""

    NAVIGATOR = "navigator"
    CAC = "cac"


class Requirement(StrEnum):
    """What an individual must have before an account is made (clauses before.1 to before.4)."""

    APPROVAL = "approval"
    CERTIFICATION = "certification"
    TRAINING = "training"
    ASSESSMENT = "assessment"


RESPONSIBLE: dict[Requirement, str] = {
    Requirement.APPROVAL: "the agency's authorized contact",
    Requirement.CERTIFICATION: "the agency's authorized contact",
    Requirement.TRAINING: "the assister",
    Requirement.ASSESSMENT: "the assister",
}
"""Who must act where a requirement is missing."""


class Fact(BaseModel):
    """Something a system reported.

    Attributes:
        event_id: The reporter's id of the event; a repetition carries the same one.
        occurred_at: When it happened, not when it was reported.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    event_id: EventId
    occurred_at: Moment


class RosterRecorded(Fact):
    """An accepted roster row (clauses 1, 1.1).

    Attributes:
        approved: "Yes" in the "Assister Portal Access" field.
        employed: Current employment status is active.
        contact_changed: The row brought another certification e-mail than the one on record.
        order: Counts the agency's submissions, given by the records under the agency's lock: of two
            rows of one agency the higher is newer, whatever a clock says.
        mailbox: The records' id of the certification mailbox that the row names, 0 where unknown.
    """

    agency_id: AgencyId
    assister_type: AssisterType
    approved: bool
    employed: bool
    contact_changed: bool = False
    order: Annotated[int, Field(ge=0)] = 0
    mailbox: Annotated[int, Field(ge=0)] = 0

    @property
    def grants(self) -> bool:
        """Whether the organization approves access."""
        return self.approved and self.employed

    @property
    def generosity(self) -> tuple[bool, date]:
        """How much access it gives: of two at the same moment the lesser holds."""
        return (self.grants, date.max)


class CertificationRecorded(Fact):
    """The certification's state (clause before.2).

    Attributes:
        valid_through: The last valid day; None where none is set.
    """

    certified: bool
    valid_through: LastDay | None = None

    @property
    def generosity(self) -> tuple[bool, date]:
        """How much access it gives: of two at the same moment the lesser holds."""
        return (self.certified, self.valid_through or date.max)


class TrainingCompleted(Fact):
    """A course completed in the Learning Center (clause before.3)."""

    course: CourseId = PORTAL_COURSE


class AssessmentScored(Fact):
    """An attempt at a course's assessment (clause before.4).

    Attributes:
        score: Percent, compared as it is: 69.95 is not 70.
    """

    score: Annotated[Decimal, Field(ge=0, le=100, max_digits=12)]
    course: CourseId = PORTAL_COURSE


class ResultVoided(Fact):
    """A result taken back by the system that reported it.

    Attributes:
        voids: The ``event_id`` of the training or assessment that no longer counts.
    """

    voids: EventId


class AccountActivated(Fact):
    """The portal reports that the assister set up the account (clause 3.2).

    Attributes:
        registration: Which registration number was used.
    """

    registration: Annotated[int, Field(ge=1)]


ReplaceableT = TypeVar("ReplaceableT", RosterRecorded, CertificationRecorded)
Result = TypeVar("Result", TrainingCompleted, AssessmentScored)


class Standing(BaseModel):
    """What one agency's rosters say of an assister.

    Attributes:
        latest: The agency's newest row.
        granted_at: When the agency last approved access, None where it never did.
    """

    latest: RosterRecorded
    granted_at: datetime | None = None

    def updated(self, row: RosterRecorded) -> "Standing":
        """The standing with ``row`` taken in, the same in whatever order rows arrive."""
        granted_at = self.granted_at
        if row.grants and (granted_at is None or granted_at < row.occurred_at):
            granted_at = row.occurred_at
        latest = row if _replaces(row, self.latest) else self.latest
        return Standing(latest=latest, granted_at=granted_at)


class Evidence(BaseModel):
    """All that is known of one assister's requirements (clauses ``before``, 2a)."""

    standings: dict[str, Standing] = {}
    """By agency id: a person may be on several agencies' rosters over time."""
    certification: CertificationRecorded | None = None
    certified_until: datetime | None = None
    """The first moment after the certification's last valid day; planned outside the policy."""
    trainings: list[TrainingCompleted] = []
    assessments: list[AssessmentScored] = []
    voided: list[str] = []

    @property
    def approval(self) -> RosterRecorded | None:
        """The roster row that counts (clause 1.1).

        An agency speaks for its own assisters only: that is the one that approved last, and its
        newest row decides. Another agency's row that approves nothing changes nothing. Where no
        agency ever approved, the newest row of all counts.
        """
        if not self.standings:
            return None
        granted = [each for each in self.standings.values() if each.granted_at is not None]
        if granted:
            return max(granted, key=lambda each: (each.granted_at, each.latest.agency_id)).latest
        latest = [each.latest for each in self.standings.values()]
        return max(latest, key=lambda each: (each.occurred_at, each.agency_id))

    def record_roster(self, row: RosterRecorded) -> str | None:
        """Takes an accepted roster row; returns why it changes nothing, or None."""
        known, before = self.standings.get(row.agency_id), self.approval
        standing = (
            known.updated(row)
            if known is not None
            else Standing(latest=row, granted_at=row.occurred_at if row.grants else None)
        )
        if standing == known:
            return "a newer roster row is already recorded"
        self.standings = _kept_standings({**self.standings, row.agency_id: standing})
        if self.approval == before:
            return "the assister is on another agency's roster"
        return None

    def record_certification(self, certification: CertificationRecorded) -> str | None:
        """Takes a certification record; returns why it changes nothing, or None."""
        known = self.certification
        if known is not None and not _replaces(certification, known):
            return "a newer certification is already recorded"
        self.certification = certification
        self.certified_until = None
        return None

    def record_training(self, training: TrainingCompleted, terms: Terms) -> str | None:
        """Takes a completed training; returns why it changes nothing, or None."""
        if training.course not in terms.mastery:
            return f"course {training.course} is not one that the portal requires"
        if _known(training.event_id, self.trainings):
            return "this completion is already recorded"
        self.trainings = _kept([*self.trainings, training], lambda each: True)
        return None

    def record_assessment(self, scored: AssessmentScored, terms: Terms) -> str | None:
        """Takes an assessment attempt; returns why it changes nothing, or None."""
        if scored.course not in terms.mastery:
            return f"course {scored.course} is not one that the portal requires"
        if _known(scored.event_id, self.assessments):
            return "this attempt is already recorded"
        self.assessments = _kept(
            [*self.assessments, scored], lambda each: self._passes(each, terms)
        )
        return None

    def record_void(self, voided: ResultVoided) -> str | None:
        """Takes a result back, also one that has not arrived yet; returns why nothing changes."""
        if voided.voids in self.voided:
            return "this result is already voided"
        self.voided = [*self.voided, voided.voids][-RESULTS_KEPT:]
        return None

    def with_earlier(self, earlier: "Evidence", terms: Terms) -> "Evidence":
        """This evidence and what an earlier case of the same assister had recorded."""
        merged = earlier.model_copy(deep=True)
        for agency_id, standing in self.standings.items():
            known = merged.standings.get(agency_id, standing)
            granted = [e.granted_at for e in (known, standing) if e.granted_at is not None]
            merged.standings[agency_id] = Standing(
                latest=known.updated(standing.latest).latest,
                granted_at=max(granted, default=None),
            )
        if self.certification is not None and not merged.record_certification(self.certification):
            merged.certified_until = self.certified_until
        for training in self.trainings:
            merged.record_training(training, terms)
        for scored in self.assessments:
            merged.record_assessment(scored, terms)
        merged.voided = [*merged.voided, *(e for e in self.voided if e not in merged.voided)]
        return merged

    def met(self, requirement: Requirement, now: datetime, terms: Terms) -> datetime | None:
        """When the requirement was met, as it stands at ``now``; None where it is not met."""
        match requirement:
            case Requirement.APPROVAL:
                approval = self.approval
                if approval is not None and approval.grants:
                    return approval.occurred_at
            case Requirement.CERTIFICATION:
                if (
                    self.certification is not None
                    and self.certification.certified
                    and not self.needs_certified_until
                    and (self.certified_until is None or now < self.certified_until)
                ):
                    return self.certification.occurred_at
            case Requirement.TRAINING:
                return _first(each for each in self.trainings if each.event_id not in self.voided)
            case Requirement.ASSESSMENT:
                return _first(each for each in self.assessments if self._passes(each, terms))
            case _:
                assert_never(requirement)
        return None

    def missing(self, now: datetime, terms: Terms) -> list[Requirement]:
        """The requirements not met at ``now``, in the policy's order (clause ``before``)."""
        return [each for each in Requirement if self.met(each, now, terms) is None]

    @property
    def needs_certified_until(self) -> bool:
        """A certification with a last day whose end has not been worked out yet."""
        return (
            self.certification is not None
            and self.certification.certified
            and self.certification.valid_through is not None
            and self.certified_until is None
        )

    @property
    def denied(self) -> bool:
        """The agency has said that there is no approval, as against having said nothing."""
        approval = self.approval
        return approval is not None and not approval.grants

    def _passes(self, scored: AssessmentScored, terms: Terms) -> bool:
        mastery = terms.mastery.get(scored.course)
        return (
            mastery is not None and scored.score >= mastery and scored.event_id not in self.voided
        )


def _replaces(new: ReplaceableT, known: ReplaceableT) -> bool:
    if new.occurred_at == known.occurred_at:
        return new.generosity < known.generosity
    return new.occurred_at > known.occurred_at


def _known(event_id: str, results: Iterable[Fact]) -> bool:
    return any(each.event_id == event_id for each in results)


def _first(results: Iterable[Fact]) -> datetime | None:
    return min((each.occurred_at for each in results), default=None)


def _kept_standings(standings: dict[str, Standing]) -> dict[str, Standing]:
    def use(each: tuple[str, Standing]) -> tuple[bool, datetime, str]:
        agency_id, standing = each
        granted_at = standing.granted_at
        return (granted_at is not None, granted_at or standing.latest.occurred_at, agency_id)

    return dict(sorted(standings.items(), key=use)[-AGENCIES_KEPT:])


def _kept(results: list[Result], useful: Callable[[Result], bool]) -> list[Result]:
    ordered = sorted(results, key=lambda each: (useful(each), each.occurred_at, each.event_id))
    return ordered[-RESULTS_KEPT:]
