"""The records' tables."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, Column, MetaData, UniqueConstraint
from sqlmodel import Field, SQLModel

from records.database import UtcDateTime

SQLModel.metadata.naming_convention = MetaData(
    naming_convention={
        "ix": "ix_%(column_0_label)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
).naming_convention


def instant(*, nullable: bool = False) -> Any:
    """A column that holds a moment."""
    return Field(
        default=None,
        sa_type=UtcDateTime,
        nullable=nullable,
        sa_column_kwargs={"nullable": nullable},
    )


class Agency(SQLModel, table=True):
    """An organization whose assisters seek access."""

    id: str = Field(primary_key=True)
    name: str


class Contact(SQLModel, table=True):
    """An agency's authorized contact: only they may submit its rosters (clause 1).

    Attributes:
        revoked_at: When the authorization ended; None while it holds.
    """

    __table_args__ = (UniqueConstraint("agency_id", "mailbox_key"),)

    id: int | None = Field(default=None, primary_key=True)
    agency_id: str = Field(foreign_key="agency.id", index=True)
    name: str
    email: str
    mailbox_key: str
    revoked_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class Mailbox(SQLModel, table=True):
    """A certification mailbox that a roster has named for an assister (clause 1.2a).

    Attributes:
        email: The address that mails go to; staff may correct it.
        mailbox_key: The key that the policy compares; None once the mailbox is another assister's.
        corrected: Staff have changed the address since a roster named it.
    """

    id: int | None = Field(default=None, primary_key=True)
    training_id: str = Field(index=True)
    email: str
    mailbox_key: str | None = Field(default=None, unique=True)
    corrected: bool = False


class Affiliation(SQLModel, table=True):
    """What the newest accepted roster row of one agency says of a person.

    A row of one agency never overwrites that of another. The case decides which agency speaks for
    the person.

    Attributes:
        sequence: The submission's.
        line: The row's line in its submission.
    """

    training_id: str = Field(primary_key=True)
    agency_id: str = Field(foreign_key="agency.id", primary_key=True, index=True)
    assister_type: str
    first_name: str
    last_name: str
    mailbox_id: int = Field(foreign_key="mailbox.id", index=True)
    public_phone: str
    public_email: str
    business_address: str
    languages: str
    counties: str
    approved: bool
    employed: bool
    sequence: int
    submission_id: str
    line: int


class AcceptedAddress(SQLModel, table=True):
    """An address that looks like a desk's and that staff accepted as personal (clause 1.2b)."""

    training_id: str = Field(primary_key=True)
    mailbox_key: str = Field(primary_key=True)
    accepted_at: datetime = instant()


class Submission(SQLModel, table=True):
    """A roster as it was submitted.

    Attributes:
        digest: SHA-256 of the rows, to recognize the same roster.
        rows: The number of data rows.
        sequence: Its place among all submissions, given under a lock: the higher one came later, no
            matter what the senders' clocks say.
    """

    id: str = Field(primary_key=True)
    agency_id: str = Field(foreign_key="agency.id", index=True)
    roster_type: str
    contact_id: int = Field(foreign_key="contact.id")
    filename: str
    digest: str
    rows: int
    submitted_at: datetime = instant()
    sequence: int = Field(unique=True)


class SubmissionRow(SQLModel, table=True):
    """A row as it was submitted, and its verdict once it has one.

    Attributes:
        entry: What an accepted row says. A row is judged once, and this is the result.
        opened: The case has been told of the row.
        attempts: How often telling the case has failed.
    """

    submission_id: str = Field(foreign_key="submission.id", primary_key=True)
    line: int = Field(primary_key=True)
    cells: dict[str, str] = Field(sa_column=Column(JSON, nullable=False))
    verdict: str | None = None
    training_id: str = ""
    reasons: list[dict[str, str]] = Field(sa_column=Column(JSON, nullable=False))
    entry: dict[str, Any] | None = Field(default=None, sa_column=Column(JSON(none_as_null=True)))
    opened: bool = False
    attempts: int = 0


class ResultEvent(SQLModel, table=True):
    """A result that somebody sent. It is kept after its case has been told, too.

    Attributes:
        source: Who sent it.
        event_id: The source's own id of the result.
        signal: The signal that tells the case.
        payload: The signal's argument; it names nobody.
        told_at: When the case took the signal; None while the result waits.
        attempts: How often telling the case has failed.
        last_error: Why the last attempt failed.
        next_attempt_at: The earliest moment for the next attempt.
    """

    __table_args__ = (UniqueConstraint("source", "event_id"),)

    id: int | None = Field(default=None, primary_key=True)
    source: str
    event_id: str
    training_id: str = Field(index=True)
    signal: str
    payload: dict[str, Any] = Field(sa_column=Column(JSON, nullable=False))
    received_at: datetime = instant()
    told_at: datetime | None = Field(default=None, sa_type=UtcDateTime, index=True)
    attempts: int = 0
    last_error: str = ""
    next_attempt_at: datetime = instant()


class MailDelivery(SQLModel, table=True):
    """The outbox: one row per mail, with a key by which a retry finds what was done.

    Attributes:
        key: Idempotency key: workflow, step and occurrence, never the attempt.
        recipient: Read again at each attempt in ``prepared``, like the rest of the message.
        text: The body, with a placeholder where a registration number goes; dropped once sent.
        state: ``prepared`` while the relay has surely seen nothing of it, ``sending`` while it may
            have, ``sent``, or for good ``address_refused``, ``message_refused`` or ``in_doubt``.
        claimed_until: Until when an attempt in flight owns the row.
        doubts: How many attempts ended without the relay's answer; each may have delivered it.
        digest: SHA-256 of the message as sent.
    """

    key: str = Field(primary_key=True)
    case_id: str = Field(index=True)
    kind: str
    recipient: str = ""
    recipient_name: str = ""
    subject: str = ""
    text: str | None = None
    message_id: str
    dated_at: datetime = instant()
    state: str = Field(index=True)
    claimed_until: datetime | None = instant(nullable=True)
    attempts: int = 0
    doubts: int = 0
    reply: str = ""
    digest: str = ""
    sent_at: datetime | None = instant(nullable=True)


class ClosedCase(SQLModel, table=True):
    """What a closed case had learned, for a later case of the same person.

    Attributes:
        outcome: None while the case closes.
        hold: Staff's suspension, which outlives the case.
        fence: The command with which the case closed.
        ended: The newest submission when the close was first tried. It and those before it no
            longer approve.
    """

    training_id: str = Field(primary_key=True)
    outcome: str | None = None
    evidence: dict[str, Any] = Field(sa_column=Column(JSON, nullable=False))
    hold: dict[str, Any] | None = Field(default=None, sa_column=Column(JSON(none_as_null=True)))
    reference_number: str | None = None
    fence: int
    ended: int
    closed_at: datetime = instant()


class Actor(SQLModel, table=True):
    """A member of staff. Workflows know the id; only the records know the address."""

    id: str = Field(primary_key=True)
    email: str
    mailbox_key: str = Field(unique=True)


class AuditEntry(SQLModel, table=True):
    """One act, chained to the act before it in the same case.

    Attributes:
        clause: The policy sentence it rests on; empty if there is none.
        key: Names the act within the case, so that repeated attempts enter it once.
        previous: The hash of the case's previous entry; empty for the first.
    """

    __table_args__ = (
        UniqueConstraint("case_id", "sequence"),
        UniqueConstraint("case_id", "key", name="uq_auditentry_key"),
    )

    id: int | None = Field(default=None, primary_key=True)
    case_id: str
    sequence: int
    at: datetime = instant()
    act: str
    clause: str
    by: str
    key: str | None = None
    details: dict[str, Any] = Field(sa_column=Column(JSON, nullable=False))
    previous: str
    hash: str
