"""The contract: every id, name and message that other systems and people rely on.

| kind | names |
| --- | --- |
| workflows | ``RosterIntake`` (``roster-{submission}``), ``AssisterAccess`` (``assister-{id}``) |
| schedule | ``attention-digest`` starts ``AttentionDigest`` every weekday morning |
| signals | ``roster_recorded``, ``certification_recorded``, ``training_completed``, |
| | ``assessment_scored``, ``result_voided``, ``account_activated`` |
| updates | ``resend_activation``, ``reissue_activation``, ``email_corrected``, |
| | ``suspend_access``, ``reinstate_access``, ``close_case``, |
| | ``confirm_change``, ``refuse_change``; |
| | intake: ``release``, ``discard``, ``contact_corrected`` |
| queries | ``status``, ``snapshot``; ``progress`` (intake) |

No message names a person: it has no names, e-mail addresses or phone numbers.
"""

from datetime import datetime
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, StringConstraints

from policy.case import Case, Order
from policy.requirements import AgencyId, TrainingId, case_id
from policy.terms import Terms, shared
from policy.text import names_somebody, on_one_line, unprintable
from workflows.steps import OrderRequest

ASSISTER_ACCESS = "AssisterAccess"
ROSTER_INTAKE = "RosterIntake"
ATTENTION_DIGEST = "AttentionDigest"
DIGEST_SCHEDULE = "attention-digest"


def assister_workflow_id(training_id: str) -> str:
    """The id of an assister's case; at most one is open at a time."""
    return case_id(training_id)


def roster_workflow_id(submission_id: str) -> str:
    """The id of a submission's intake."""
    return f"roster-{submission_id}"


def _impersonal(text: str) -> str:
    text = on_one_line(text)
    if unseen := unprintable(text):
        raise ValueError(f"leave out {unseen}")
    if names_somebody(text):
        raise ValueError(
            "leave out e-mail addresses and phone numbers: whoever can open the case reads this"
        )
    return text


Impersonal = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=300),
    AfterValidator(_impersonal),
]


class StaffAct(BaseModel):
    """What every staff update takes.

    Attributes:
        by: Who acts: a staff id, not an e-mail address.
        reason: Why, for the audit trail.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    by: Annotated[Impersonal, StringConstraints(max_length=60)]
    reason: Impersonal

    @property
    def order(self) -> Order:
        """The act as the case keeps it."""
        return Order(by=self.by, reason=self.reason)


class ChangeAct(StaffAct):
    """What ``confirm_change`` and ``refuse_change`` take: a :class:`StaffAct` on one agency."""

    agency_id: AgencyId


class FirstCase(BaseModel):
    """Opens an assister's first case without a look at the records.

    Attributes:
        as_of: The records had no earlier case then.
    """

    as_of: datetime
    reminders_at: list[datetime]


class AccessInput(BaseModel):
    """Starts ``AssisterAccess``. A run that continues an earlier one gets its state, too.

    Attributes:
        first: Given only in a start that Temporal refuses if it knows of an earlier case.
        following: The case after this one, with what has arrived for it.
        orders: Orders of staff that the audit trail does not have yet.
    """

    training_id: TrainingId
    terms: Annotated[Terms, AfterValidator(shared)] = Terms()
    first: FirstCase | None = None
    case: Case | None = None
    following: Case | None = None
    orders: list[OrderRequest] = []
    updates_done: list[str] = []


class RequirementStatus(BaseModel):
    """One requirement, as it stands."""

    met: bool
    at: datetime | None
    who: str


class AttentionStatus(BaseModel):
    """What a person must do, and why."""

    since: datetime
    problem: str
    remedy: str


class MailStatus(BaseModel):
    """A mail, sent or waiting.

    Attributes:
        copies: How many copies may have arrived: more than one if the relay left it in doubt.
    """

    kind: str
    sent_at: datetime | None
    copies: int = 1


class Status(BaseModel):
    """The answer of the ``status`` query."""

    summary: str = ""
    """Where the case stands, who must act and what comes next, in a sentence each."""
    training_id: str
    stage: str
    since: datetime | None = None
    outcome: str | None
    agency_id: str | None
    assister_type: str | None
    requirements: dict[str, RequirementStatus]
    missing: list[str]
    waiting_on: list[str]
    who_must_act: list[str]
    attention: list[AttentionStatus]
    next_deadline: datetime | None
    next_step: str = ""
    """What happens at that deadline if nobody acts before."""
    activation_expires: datetime | None
    certified_until: datetime | None
    reference_number: str | None
    mails: list[MailStatus]
    happenings: list[str]
    changes: list[str] = []
    """Agencies whose roster asks for a change that staff must confirm or refuse."""
    allowed: list[str]
    """The updates that staff can use now."""


class IntakeProgress(BaseModel):
    """The answer of the ``progress`` query."""

    submission_id: str
    stage: str
    rows: int = 0
    accepted: int = 0
    rejected: int = 0
    opened: int = 0
    suspensions: int = 0
    with_access: int = 0


class IntakeInput(BaseModel):
    """Starts ``RosterIntake``; the rows are in the records already."""

    submission_id: Annotated[str, StringConstraints(pattern=r"^[a-z0-9]{6,40}$")]
    terms: Terms = Terms()
