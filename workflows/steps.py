"""What the workflows ask of the activities: names, arguments and answers.

The workflows know the steps and not the code behind them; the activities register under these
names. Dates come back as absolute times: only activities consult calendars, never a workflow.
"""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Generic, TypeVar

from pydantic import BaseModel
from temporalio.common import RetryPolicy

from policy.case import Earlier, Order, Outcome
from policy.mails import MailKind
from policy.requirements import Evidence
from policy.terms import Terms

ArgumentT = TypeVar("ArgumentT", bound=BaseModel)
AnswerT = TypeVar("AnswerT", bound=BaseModel)


UNTIL_DONE = RetryPolicy(maximum_interval=timedelta(minutes=1))
"""A step is retried until it is done; it goes on within a minute after a fault ends."""


@dataclass(frozen=True)
class Step(Generic[ArgumentT, AnswerT]):
    """An activity as the workflows see it.

    Attributes:
        timeout: For one attempt. Only then does the server notice that a worker died in it.
        heartbeat: For an attempt that heartbeats; the server notices a dead worker after this time.
        apart: The suffix of its own task queue, at which it waits if the workflow's worker has no
            room for it; empty if it has none.
    """

    name: str
    argument: type[ArgumentT]
    answer: type[AnswerT]
    timeout: timedelta = timedelta(seconds=30)
    heartbeat: timedelta | None = None
    apart: str = ""

    def queue(self, task_queue: str) -> str:
        """The step's task queue, if the workflow's own is ``task_queue``."""
        return f"{task_queue}{self.apart}"


# Failures that no retry can mend: the workflow parks the step or the mail.

ADDRESS_REFUSED = "AddressRefused"
MESSAGE_REFUSED = "MessageRefused"
NO_ADDRESS = "NoAddress"
IN_DOUBT = "InDoubt"
PORTAL_REFUSED = "PortalRefused"
STALE = "Stale"

NO_ROOM = "NoRoom"
"""The workflow's worker has no room for the step: it waits its turn at its own queue."""


class Nothing(BaseModel):
    """An answer without content: the step is done."""


class OpeningRequest(BaseModel):
    """Asks what a case that opens at ``opened_at`` must know."""

    training_id: str
    opened_at: datetime
    terms: Terms


class Opening(BaseModel):
    """When to remind of missing requirements, and what is known of the assister already."""

    reminders_at: list[datetime]
    earlier: Earlier


class CertificationDatesRequest(BaseModel):
    """Asks for the dates of a certification whose last valid day is ``valid_through``."""

    valid_through: date
    now: datetime
    terms: Terms


class CertificationDates(BaseModel):
    """The first moment after the last valid day, and the warnings before it."""

    ends_at: datetime
    warnings_at: list[datetime]


class EnrollmentRequest(BaseModel):
    """Asks to make the account, once, and to issue a registration number.

    Attributes:
        grounds: When each requirement was met, for the audit trail.
    """

    training_id: str
    fence: int
    now: datetime
    terms: Terms
    grounds: dict[str, str]


class Enrollment(BaseModel):
    """The account and the life of its registration number.

    Attributes:
        registration: 0 if the assister had set up the account already; then none is issued.
    """

    reference_number: str
    registration: int
    reminders_at: tuple[datetime, ...]
    expires_at: datetime
    reissuable_until: datetime


class PortalCommand(BaseModel):
    """Any other command to the portal."""

    training_id: str
    fence: int
    reason: str = ""
    grounds: dict[str, str] = {}


class PortalAnswer(BaseModel):
    """Whether the assister had activated the account by then."""

    activated: bool


class CloseRequest(BaseModel):
    """Asks to end access and to keep what the case had learned.

    Attributes:
        hold: Staff's suspension, which outlives the case.
        ends: An access has ended: rosters submitted until now no longer approve.
        reached_portal: The portal may have an account. If not, it is not asked.
    """

    training_id: str
    fence: int
    outcome: Outcome
    evidence: Evidence
    hold: Order | None
    ends: bool
    reference_number: str | None
    reached_portal: bool


class MailRequest(BaseModel):
    """Asks to send one mail.

    Attributes:
        key: The idempotency key: the workflow, its chain of runs, and which of its mails. It does
            not depend on the attempt.
        subject_id: The Training ID, or the submission's id for a roster's mail.
        agency_id: The agency whose data and whose contact the mail uses, as the case decided.
        mailbox: The records' id of the assister's mailbox, as the case decided; 0 if none is known.
        facts: What the mail says beyond the records.
    """

    key: str
    kind: MailKind
    subject_id: str
    agency_id: str = ""
    mailbox: int = 0
    registration: int = 0
    reference_number: str | None = None
    facts: dict[str, str] = {}


class Sent(BaseModel):
    """The relay has taken a mail.

    Attributes:
        copies: How many copies may have arrived.
    """

    copies: int = 1


class SubmissionRequest(BaseModel):
    """Names a submission whose rows are in the records."""

    submission_id: str
    terms: Terms


class OrderRequest(BaseModel):
    """A decision of staff that a workflow has accepted, for the audit trail.

    Attributes:
        key: The chain of runs and the update's id. So one decision is recorded once, and two cases
            that took a decision under the same update id have two entries.
        act: The update's name.
        by: The staff id.
    """

    key: str
    workflow_id: str
    act: str
    by: str
    reason: str
    at: datetime


class OrdersRequest(BaseModel):
    """The orders of staff that the audit trail does not have yet, oldest first."""

    orders: list[OrderRequest]


class Judged(BaseModel):
    """The verdicts of a roster, counted.

    Attributes:
        suspensions: The number of accepted rows that would end an existing access.
        with_access: How many of the agency's assisters have access now.
    """

    agency_id: str = ""
    rows: int
    accepted: int
    rejected: int
    suspensions: int
    with_access: int


class Opened(BaseModel):
    """How many accepted rows have reached their case, and how many have not."""

    opened: int
    remaining: int


MORE = "more"
"""The fact of a digest's mail beside the marks, which stand under the workflows' ids."""


class Waiting(BaseModel):
    """The workflows that need a person, with their attention marks.

    Attributes:
        more: How many others there are.
    """

    needs: dict[str, str]
    more: int = 0


LONG = timedelta(minutes=10)
HEARTBEAT = timedelta(seconds=30)

OPEN_CASE = Step("open_case", OpeningRequest, Opening)
DATE_CERTIFICATION = Step("date_certification", CertificationDatesRequest, CertificationDates)
ENROLL = Step("enroll", EnrollmentRequest, Enrollment)
EXPIRE = Step("expire_activation", PortalCommand, PortalAnswer)
SUSPEND = Step("suspend_access", PortalCommand, PortalAnswer)
REINSTATE = Step("reinstate_access", PortalCommand, PortalAnswer)
CLOSE = Step("close_case", CloseRequest, Nothing)
SEND_MAIL = Step("send_mail", MailRequest, Sent, timedelta(seconds=45), apart="-mail")
"""The timeout is longer than a relay may take (``smtp_timeout``), so one attempt ends before the
next begins. Mails have a task queue of their own: a slow relay would otherwise delay decisions."""
JUDGE_ROSTER = Step("judge_roster", SubmissionRequest, Judged, LONG, HEARTBEAT)
OPEN_CASES = Step("open_cases", SubmissionRequest, Opened, LONG, HEARTBEAT)
RECORD_ORDERS = Step("record_orders", OrdersRequest, Nothing)
LIST_ATTENTION = Step("list_attention", Nothing, Waiting)
