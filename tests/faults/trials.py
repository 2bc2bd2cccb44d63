"""Trials: a journey through the system that one fault disturbs, and the evidence that it leaves."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy.exc import SQLAlchemyError
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession
from temporalio.client import Client
from temporalio.service import RPCError

from embedded.inbox import mail_inbox
from policy.requirements import Fact
from portal.directory import ActivationRefused, StaleCommand
from portal.tables import PortalAccount, PortalRegistration
from records import audit
from records.tables import AuditEntry, MailDelivery, SubmissionRow
from tests.support.rosters import roster_row, submit_roster
from tests.support.system import (
    System,
    assembled,
    eventually,
    facts,
    new_training_id,
    no_access,
    record_people,
)
from workflows.client import start_intake
from workflows.contract import IntakeProgress

PATIENCE = 300
"""Seconds after which work that does not continue by itself counts as lost."""
POLL = 0.1
SMTP_TIMEOUT = 3.0

AnswerT = TypeVar("AnswerT")
Journey = Callable[[System, list[str]], Awaitable[None]]


@asynccontextmanager
async def without_worker(
    client: Client, records_url: str, folder: Path, **changes: Any
) -> AsyncIterator[System]:
    """A whole system without a worker."""
    async with mail_inbox(folder / "inbox") as inbox:
        queue = f"faults-{new_training_id()}"
        changes = {"smtp_timeout": SMTP_TIMEOUT, "task_queue": queue} | changes
        async with assembled(client, records_url, inbox, folder, **changes) as system:
            yield system


# Journeys. They send no query or update, so they continue as soon as any worker has done its part.


async def access(system: System, ids: list[str]) -> None:
    """Takes cases from the first event to an active account, through a suspension and back."""
    await insist(lambda: record_people(system.database, *ids))
    await asyncio.gather(*(_access(system, person) for person in ids))


async def _access(system: System, training_id: str) -> None:
    for signal, fact in facts().items():
        await told(system, training_id, signal, fact)
    await activated(system, training_id)
    await told(system, training_id, "roster_recorded", no_access())
    again = facts()["roster_recorded"].model_copy(
        update={"event_id": "roster-yes", "occurred_at": no_access().occurred_at.replace(month=3)}
    )
    await told(system, training_id, "roster_recorded", again)


async def told(system: System, training_id: str, signal: str, fact: Fact) -> None:
    """Tells a case a fact, and waits until the case is at rest."""
    await insist(lambda: system.tell(training_id, signal, fact))
    await settled(system, training_id)


async def activated(system: System, training_id: str) -> None:
    """Activates the account in the portal; the worker's relay tells the case."""

    async def activate() -> None:
        # An earlier attempt, whose answer was lost, may have activated the account.
        with suppress(ActivationRefused, StaleCommand):
            number = await system.portal.registration_number(training_id, 1)
            await system.portal.activate(number)

    async def reported() -> bool:
        async with system.database.transaction() as session:
            account = await session.get_one(PortalAccount, training_id)
            return account.reported

    await insist(activate)
    await eventually(lambda: insist(reported), bool, seconds=PATIENCE)
    await settled(system, training_id)


async def insist(ask: Callable[[], Awaitable[AnswerT]]) -> AnswerT:
    """Repeats a call until it succeeds: the part that is called may be down."""
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                return await ask()
            except (SQLAlchemyError, RPCError, RuntimeError):  # A lazy client raises the last one.
                await asyncio.sleep(POLL)


async def roster(system: System, ids: list[str]) -> None:
    """Submits a roster with a row for each assister, and one more that is rejected."""
    await record_people(system.database)
    submission_id = await submit_roster(system, *map(roster_row, [*ids, "wrong"]))
    intake = await start_intake(
        system.client, system.settings.task_queue, submission_id, system.settings.terms
    )
    progress = IntakeProgress.model_validate(await intake.result())
    assert (progress.stage, progress.accepted, progress.rejected) == ("done", len(ids), 1)
    for each in ids:
        await settled(system, each)


async def onboarding(system: System, ids: list[str]) -> None:
    """Submits a roster, and brings everyone on it to an active account."""
    await roster(system, ids)

    async def one(training_id: str) -> None:
        for signal, fact in facts().items():
            if signal != "roster_recorded":
                await told(system, training_id, signal, fact)
        await activated(system, training_id)

    await asyncio.gather(*(one(person) for person in ids))


async def settled(system: System, training_id: str) -> None:
    """Waits until the server shows twice that a case has no pending workflow task or activity."""
    looks = 0

    async def at_rest() -> bool:
        nonlocal looks
        described = (await insist(system.case(training_id).describe)).raw_description
        await asyncio.sleep(POLL)
        busy = described.HasField("pending_workflow_task") or described.pending_activities
        looks = 0 if busy else looks + 1
        return looks > 1

    await eventually(at_rest, bool, seconds=PATIENCE)


@dataclass
class Trial:
    """A disturbed journey.

    Attributes:
        seconds: The seconds from the fault to the end of all work.
        evidence: Counts of what the records, the inbox and the cases have at the end.
        in_doubt: The number of attempts after which the outbox marks a mail as in doubt.
    """

    seconds: float = 0.0
    evidence: Counter[str] = field(default_factory=Counter)
    in_doubt: int = 0
    stuck: bool = False

    def lost(self, undisturbed: Counter[str]) -> list[str]:
        """The evidence of an undisturbed journey that this one did not leave."""
        return (
            ["not done in time"] if self.stuck else sorted((undisturbed - self.evidence).elements())
        )

    def doubled(self, undisturbed: Counter[str]) -> list[str]:
        """The evidence of this journey that an undisturbed one does not leave."""
        return [] if self.stuck else sorted((self.evidence - undisturbed).elements())


async def doubts(system: System) -> int:
    """How often the outbox sent a mail again although the relay may have had it."""
    async with system.database.transaction() as session:
        mails = (await session.exec(select(MailDelivery))).all()
    return sum(mail.doubts for mail in mails)


async def evidence(system: System, ids: list[str]) -> Counter[str]:
    """Counts of the end state, which are the same for every undisturbed run."""
    found: Counter[str] = Counter()
    for message in system.inbox.messages():
        found[f"received: {_without_ids(str(message['Subject']), ids)}"] += 1
    async with system.database.transaction() as session:
        found.update(await _recorded(session))
    for person in ids:
        status = await system.status(person)
        found[f"case: {status.stage}, attention {len(status.attention)}"] += 1
    return found


def _without_ids(text: str, ids: list[str]) -> str:
    for person in ids:
        text = text.replace(person, "…")
    return text


async def _recorded(session: AsyncSession) -> Counter[str]:
    found: Counter[str] = Counter()
    for mail in await session.exec(select(MailDelivery)):
        found[f"outbox: {mail.kind} {mail.state}"] += 1
    for entry in await session.exec(select(AuditEntry)):
        found[f"audit: {entry.act}"] += 1
    for account in await session.exec(select(PortalAccount)):
        found[f"account: {account.status}, registration {account.registration}"] += 1
    for number in await session.exec(select(PortalRegistration)):
        found[f"registration number: {number.registration} {number.state}"] += 1
    opened = select(SubmissionRow).where(col(SubmissionRow.opened))
    found["rows: opened"] += len((await session.exec(opened)).all())
    found["audit: broken"] += len((await audit.verify(session)).breaks)
    return +found
