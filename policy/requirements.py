"""The four requirements of the policy and the evidence for each.

Evidence arrives in any order, late, twice, or not at all. A newer fact replaces an older one by the
time at which it happened, never by the time at which it arrived. If two happened at the same
moment, the one that gives less access holds. So the order of arrival does not matter.
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


def case_id(training_id: str) -> str:
    """The name of an assister's case: of its workflow, and of its chain in the audit trail."""
    return f"assister-{training_id}"


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
"""When something happened. Some systems write year 1 for "none"; no time zone can convert it."""
LastDay = Annotated[
    date, Field(ge=date(1900, 1, 1), le=date(9998, 12, 31)), BeforeValidator(_no_other_number)
]
"""A last valid day. The day after it must be a date, too."""

RESULTS_KEPT = 40
"""The most results kept per assister; the least useful are dropped first."""
VOIDS_KEPT = 200
"""The most voids kept of results that are not kept themselves or have not arrived."""
AGENCIES_KEPT = 20
"""The most agencies kept per assister: known ones first, then those that approve, then the
newest."""
DECLINED_KEPT = 20
"""The most declined claims kept; a claim that is dropped is put to staff again."""
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


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
"""Who must act if a requirement is missing."""


class Fact(BaseModel):
    """Something that a system reported.

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
        sequence: The submission's place among all submissions, given by the records under a lock.
            The higher one is newer, no matter what a submitter's clock says.
        mailbox: The records' id of the certification mailbox that the row names; 0 if unknown.
    """

    agency_id: AgencyId
    assister_type: AssisterType
    approved: bool
    employed: bool
    sequence: Annotated[int, Field(ge=0)] = 0
    mailbox: Annotated[int, Field(ge=0)] = 0

    @property
    def grants(self) -> bool:
        """Whether the organization approves access."""
        return self.approved and self.employed

    @property
    def rank(self) -> tuple[int, datetime]:
        """Orders rows: the higher one is newer."""
        return (self.sequence, self.occurred_at)


class CertificationRecorded(Fact):
    """The certification's state (clause before.2).

    Attributes:
        valid_through: The last valid day; None if there is none.
    """

    certified: bool
    valid_through: LastDay | None = None

    @property
    def generosity(self) -> tuple[bool, date]:
        """How much access it gives: of two facts at the same moment, the lesser holds."""
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


Result = TypeVar("Result", TrainingCompleted, AssessmentScored)


class Speaker(BaseModel):
    """An agency, and the certification mailbox that it names for an assister (0 if unknown)."""

    model_config = ConfigDict(frozen=True)

    agency_id: AgencyId
    mailbox: int


class Evidence(BaseModel):
    """All that is known of one assister's requirements (clauses ``before``, 2a).

    No agency can take over an assister: the first agency that names a person is known. Any other
    becomes known when staff confirm it. Until then its row is a claim and counts for nothing.
    """

    rows: dict[str, RosterRecorded] = {}
    """Each agency's newest accepted row, by agency id."""
    known: list[str] = []
    """The agencies that may speak for the assister."""
    mailbox: int = 0
    """The certification mailbox in use; 0 if none is known."""
    declined: list[Speaker] = []
    """Claims that staff have refused, or that a confirmed one has overruled."""
    ended: int = -1
    """Rows up to this sequence no longer approve: the access that they gave has ended."""
    certification: CertificationRecorded | None = None
    certified_until: datetime | None = None
    """The first moment after the certification's last valid day; an activity computes it."""
    trainings: list[TrainingCompleted] = []
    assessments: list[AssessmentScored] = []
    voided: list[str] = []

    @property
    def approval(self) -> RosterRecorded | None:
        """The roster row that counts (clause 1.1): it says who speaks for the assister.

        An agency's "No" withdraws its own approval only. While the newest row of any known agency
        approves, the newest approving row counts; otherwise the newest row of all known agencies.
        """
        spoken = [each for agency, each in self.rows.items() if agency in self.known]
        granting = [each for each in spoken if self.approves(each)]
        return max(granting or spoken, key=_newest, default=None)

    def approves(self, row: RosterRecorded) -> bool:
        """Whether a row gives access: it says so and is newer than the last end of access."""
        return row.grants and row.sequence > self.ended

    @property
    def claims(self) -> list[Speaker]:
        """The rows that would count if staff confirmed them, oldest first.

        A claim is another agency's approval, or the present agency's row with another mailbox.
        """
        approval, claimed = self.approval, []
        for row in sorted(self.rows.values(), key=_newest):
            claim = Speaker(agency_id=row.agency_id, mailbox=row.mailbox)
            foreign = row.agency_id not in self.known and self.approves(row)
            moved = row is approval and row.mailbox not in (0, self.mailbox)
            if (foreign or moved) and claim not in self.declined:
                claimed.append(claim)
        return claimed

    def record_roster(self, row: RosterRecorded, *, secured: bool) -> str | None:
        """Takes an accepted roster row; returns why it changes nothing, or None.

        Args:
            secured: There is an account or an activation, so the mailbox stays in use until staff
                confirm another one.
        """
        before = self.model_copy()
        recorded = self.rows.get(row.agency_id)
        if recorded is not None and not _newer(row, recorded):
            return "a newer roster row is already recorded"
        self.rows = {**self.rows, row.agency_id: row}
        self.known = self.known or [row.agency_id]
        self._forget_rows()
        if not secured or not self.mailbox:
            self._use_mailbox()
        if self.approval != before.approval or self.claims != before.claims:
            return None
        if row.agency_id in self.known:
            return "another agency's roster approves access"
        return "the assister is on another agency's roster"

    def confirm(self, claim: Speaker) -> None:
        """Makes a claim count: its agency speaks, its mailbox is used."""
        self.known = [*(each for each in self.known if each != claim.agency_id), claim.agency_id]
        self.mailbox = claim.mailbox or self.mailbox
        others = [
            Speaker(agency_id=each.agency_id, mailbox=each.mailbox)
            for each in self.rows.values()
            if each.agency_id in self.known and each.mailbox != self.mailbox
        ]
        kept = [each for each in self.declined if each != claim]
        self.declined = [*kept, *others][-DECLINED_KEPT:]

    def decline(self, claim: Speaker) -> None:
        """Declines a claim: the same row changes nothing from now on."""
        self.declined = [*self.declined, claim][-DECLINED_KEPT:]

    def end(self, sequence: int) -> None:
        """Ends the access: only a roster submitted after ``sequence`` approves again."""
        self.ended = max(self.ended, sequence)

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
        if training.course not in terms.training_courses:
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
        """Takes back a result, even one that has not arrived yet; returns why nothing changes."""
        if voided.voids in self.voided:
            return "this result is already voided"
        # A void is kept as long as its result is; of the other voids, the latest are kept.
        kept = {each.event_id for each in (*self.trainings, *self.assessments)}
        voids = [*self.voided, voided.voids]
        others = [each for each in voids if each not in kept][-VOIDS_KEPT:]
        self.voided = [each for each in voids if each in kept or each in others]
        return None

    def with_earlier(
        self, earlier: "Evidence", terms: Terms, *, secured: bool
    ) -> "tuple[Evidence, bool]":
        """This evidence on top of an earlier case's, and whether it adds anything to that."""
        merged = earlier.model_copy(deep=True)
        for row in sorted(self.rows.values(), key=_newest):
            merged.record_roster(row, secured=secured)
        if self.certification is not None and not merged.record_certification(self.certification):
            merged.certified_until = self.certified_until
        for training in self.trainings:
            merged.record_training(training, terms)
        for scored in self.assessments:
            merged.record_assessment(scored, terms)
        for each in self.voided:
            merged.record_void(ResultVoided(event_id=each, occurred_at=EPOCH, voids=each))
        return merged, merged != earlier

    def met(self, requirement: Requirement, now: datetime, terms: Terms) -> datetime | None:
        """When the requirement was met, judged at ``now``; None if it is not met."""
        match requirement:
            case Requirement.APPROVAL:
                approval = self.approval
                if approval is not None and self.approves(approval):
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
                return _first(each for each in self.trainings if self.counts(each, terms))
            case Requirement.ASSESSMENT:
                return _first(each for each in self.assessments if self._passes(each, terms))
            case _:
                assert_never(requirement)
        return None

    def missing(self, now: datetime, terms: Terms) -> list[Requirement]:
        """The requirements not met at ``now``, in the policy's order (clause ``before``)."""
        return [each for each in Requirement if self.met(each, now, terms) is None]

    def counts(self, result: TrainingCompleted | AssessmentScored, terms: Terms) -> bool:
        """Whether nobody voided the result and its course is still one that the portal requires.

        An earlier case may have taken results under other terms.
        """
        scored = isinstance(result, AssessmentScored)
        courses = terms.mastery if scored else terms.training_courses
        return result.course in courses and result.event_id not in self.voided

    @property
    def needs_certified_until(self) -> bool:
        """Whether the certification has a last day whose end is not computed yet."""
        return (
            self.certification is not None
            and self.certification.certified
            and self.certification.valid_through is not None
            and self.certified_until is None
        )

    @property
    def denied(self) -> bool:
        """Whether the agency has said "No"; False if it has said nothing."""
        approval = self.approval
        return approval is not None and not self.approves(approval)

    def _use_mailbox(self) -> None:
        approval = self.approval
        if approval is not None and approval.mailbox:
            self.mailbox = approval.mailbox

    def _forget_rows(self) -> None:
        def use(row: RosterRecorded) -> tuple[bool, bool, tuple[int, datetime, str]]:
            return (row.agency_id in self.known, self.approves(row), _newest(row))

        kept = sorted(self.rows.values(), key=use)[-AGENCIES_KEPT:]
        self.rows = {each.agency_id: each for each in kept}

    def _passes(self, scored: AssessmentScored, terms: Terms) -> bool:
        return self.counts(scored, terms) and scored.score >= terms.mastery[scored.course]


def _newest(row: RosterRecorded) -> tuple[int, datetime, str]:
    return (*row.rank, row.agency_id)


def _newer(row: RosterRecorded, recorded: RosterRecorded) -> bool:
    if row.rank == recorded.rank:
        return recorded.grants and not row.grants
    return row.rank > recorded.rank


def _replaces(new: CertificationRecorded, known: CertificationRecorded) -> bool:
    if new.occurred_at == known.occurred_at:
        return new.generosity < known.generosity
    return new.occurred_at > known.occurred_at


def _known(event_id: str, results: Iterable[Fact]) -> bool:
    return any(each.event_id == event_id for each in results)


def _first(results: Iterable[Fact]) -> datetime | None:
    return min((each.occurred_at for each in results), default=None)


def _kept(results: list[Result], useful: Callable[[Result], bool]) -> list[Result]:
    ordered = sorted(results, key=lambda each: (useful(each), each.occurred_at, each.event_id))
    return ordered[-RESULTS_KEPT:]
