"""What each mail says: the values of its template, read from the records.

Names and addresses enter only here: a workflow asks for a mail by its kind.
"""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, NamedTuple

from sqlalchemy import bindparam
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import col, func, select
from sqlmodel.ext.asyncio.session import AsyncSession

from policy.calendar import CENTRAL
from policy.case import SUSPENDED_BY_STAFF
from policy.mails import MailKind, Recipient
from policy.requirements import Requirement
from records.people import contact_to_mail
from records.tables import Affiliation, Agency, Mailbox, Submission, SubmissionRow
from workflows.contract import assister_workflow_id, roster_workflow_id
from workflows.lists import ATTENTION, case_link, staff_page
from workflows.lists import link as list_link
from workflows.steps import MORE, MailRequest

MISSING = {
    Requirement.APPROVAL: "approval of access to the assister portal on your agency's roster",
    Requirement.CERTIFICATION: "an up-to-date MNsure certification",
    Requirement.TRAINING: "the assister portal training course (about 60 minutes)",
    Requirement.ASSESSMENT: "a passing score on the assister portal assessment",
}
"""The requirements in the words of the mails (clauses before.1 to before.4, 2.1)."""

OUTCOMES = {
    "activation_expired": "the activation was not used in time",
    "closed_by_staff": "the Assister Resource Center ended it",
    "cancelled": "the Assister Resource Center cancelled it",
}


class NoAddress(Exception):
    """The records have nobody to write to."""


@dataclass(frozen=True)
class Letterhead:
    """What is the same in every mail."""

    sender: str
    sender_name: str
    arc_email: str
    arc_phone: str
    portal_url: str
    gateway_url: str
    ui_url: str
    namespace: str
    rejected_rows: int
    """The most rejected rows in a roster's summary: relays refuse a mail of megabytes."""

    @property
    def domain(self) -> str:
        """The domain of Message-IDs."""
        return self.sender.rpartition("@")[2]

    def link(self, workflow_id: str) -> str:
        """The page of a case or an intake in the Temporal UI."""
        return case_link(self.ui_url, self.namespace, workflow_id)

    def page(self, workflow_id: str) -> str:
        """Where staff see who a case is about; empty for an intake, which is about nobody."""
        training_id = _plain(workflow_id)
        return staff_page(self.gateway_url, training_id) if training_id != workflow_id else ""


class Letter(NamedTuple):
    """A mail's recipient and its template's values."""

    recipient: str
    recipient_name: str
    values: dict[str, Any]


_ASSISTER = (
    select(
        col(Affiliation.first_name),
        col(Affiliation.last_name),
        col(Affiliation.submission_id),
        col(Mailbox.email),
    )
    .join(
        Mailbox,
        col(Mailbox.id)
        == func.coalesce(func.nullif(bindparam("mailbox"), 0), col(Affiliation.mailbox_id)),
    )
    .where(
        col(Affiliation.training_id) == bindparam("training_id"),
        col(Affiliation.agency_id) == bindparam("agency_id"),
    )
)
"""A person as the agency describes them, with the mailbox that the case named."""


async def write_letter(
    connection: AsyncConnection, request: MailRequest, head: Letterhead, number: str
) -> Letter:
    """Collects what a mail says.

    Args:
        number: Stands for the registration number.

    Raises:
        NoAddress: If the records do not know the recipient (yet).
        NoContact: If the agency has no authorized contact left.
    """
    values: dict[str, Any] = {
        "sender": head.sender,
        "arc_email": head.arc_email,
        "arc_phone": head.arc_phone,
        "portal_url": head.portal_url,
        "registration_number": number,
        "activation_url": f"{head.gateway_url}/activate",
        **_in_words(request.facts),
    }
    if request.kind is MailKind.ATTENTION_DIGEST:
        marks = dict(request.facts)
        values["more"] = int(marks.pop(MORE, 0))
        values["all_link"] = list_link(head.ui_url, head.namespace, ATTENTION)
        values["items"] = [
            {
                "training_id": _plain(each),
                "what": mark,
                "link": head.link(each),
                "page": head.page(each),
            }
            for each, mark in sorted(marks.items())
        ]
        return Letter(head.arc_email, head.sender_name, values)
    if request.kind.about_roster:
        async with AsyncSession(connection) as session:
            return await _about_roster(session, request, head, values)
    named = {
        "training_id": request.subject_id,
        "agency_id": request.agency_id,
        "mailbox": request.mailbox,
    }
    assister = (await connection.execute(_ASSISTER, named)).first()
    if assister is None:
        raise NoAddress("no roster has named this assister yet")
    first_name, last_name, submission_id, email = assister
    name = f"{first_name} {last_name}"
    values |= {
        "first_name": first_name,
        "last_name": last_name,
        "assister_name": name,
        "training_id": request.subject_id,
        "reference_number": request.reference_number,
        "agency_id": request.agency_id,
    }
    if by_agency := request.facts.get("by_agency"):
        found = await connection.execute(select(Agency.name).where(Agency.id == by_agency))
        values["by_agency_name"] = found.scalar() or by_agency
    if request.kind.recipient is Recipient.ASSISTER:
        return Letter(email, name, values)
    async with AsyncSession(connection) as session:
        submission = await session.get_one(Submission, submission_id)
        contact = await contact_to_mail(session, submission.contact_id)
    return Letter(contact.email, contact.name, values | {"contact_name": contact.name})


async def _about_roster(
    session: AsyncSession, request: MailRequest, head: Letterhead, values: dict[str, Any]
) -> Letter:
    submission = await session.get_one(Submission, request.subject_id)
    contact = await contact_to_mail(session, submission.contact_id)
    values |= {
        "contact_name": contact.name,
        "agency_id": submission.agency_id,
        "roster_type": submission.roster_type,
        "filename": submission.filename,
        "submission_id": submission.id,
        "received": in_central(submission.submitted_at),
        "ui_link": head.link(roster_workflow_id(submission.id)),
    }
    if request.kind is MailKind.ROSTER_SUMMARY:
        rows = select(SubmissionRow).where(SubmissionRow.submission_id == submission.id)
        rejected = rows.where(SubmissionRow.verdict == "rejected").order_by("line")
        values["rejected_rows"] = (await session.exec(rejected.limit(head.rejected_rows))).all()
        values["rows_link"] = (
            f"{head.gateway_url}/agencies/{submission.agency_id}/rosters/{submission.id}"
        )
    if request.kind.recipient is Recipient.ARC:
        return Letter(head.arc_email, head.sender_name, values)
    return Letter(contact.email, contact.name, values)


def _plain(workflow_id: str) -> str:
    return workflow_id.removeprefix(assister_workflow_id(""))


def in_central(moment: datetime) -> str:
    """A moment in Central time, as people read it."""
    return f"{moment.astimezone(CENTRAL):%A, %B %-d, %Y, %-I:%M %p} Central time"


def _in_words(facts: dict[str, str]) -> dict[str, Any]:
    values: dict[str, Any] = dict(facts)
    if "missing" in facts:
        values["missing"] = [MISSING[Requirement(each)] for each in facts["missing"].split(",")]
    if "reason" in facts:
        values["by_staff"] = facts["reason"] == SUSPENDED_BY_STAFF
    if "outcome" in facts:
        values["outcome"] = OUTCOMES[facts["outcome"]]
    for name in {"ends", "reissuable_until"} & facts.keys():
        values[name] = _end_in_words(facts[name])
    return values


def _end_in_words(end: str) -> str:
    """The last day, in words: a date itself, or the day that a moment ends."""
    if len(end) == len("2026-12-01"):
        return f"{date.fromisoformat(end):%A, %B %-d, %Y}"
    from_midnight = datetime.fromisoformat(end).astimezone(CENTRAL)
    last = datetime.fromtimestamp(from_midnight.timestamp() - 60, CENTRAL)
    return in_central(last)
