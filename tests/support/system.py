"""A whole system under test, and the events that bring an assister to access."""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from pydantic import SecretStr
from temporalio.client import Client, WorkflowHandle

import bootstrap
from embedded.inbox import Inbox, body_of
from embedded.temporal_server import clock_of, skip_time
from mail.transport import Transport
from policy.requirements import (
    AccountActivated,
    AssessmentScored,
    AssisterType,
    CertificationRecorded,
    Fact,
    RosterRecorded,
    TrainingCompleted,
)
from policy.roster import Entry
from portal.embedded import EmbeddedPortal
from records.affiliations import record_affiliations
from records.database import Database
from records.people import authorized_contact, record_agency
from records.submissions import next_sequence
from records.tables import Submission
from services.activation import activate
from services.connections import Connections
from settings import Settings
from workflows.client import act, case_status, tell_case
from workflows.contract import ChangeAct, StaffAct, Status, assister_workflow_id

SECRET = "a secret of the tests, 32 characters and more"
LONG_AGO = datetime(2026, 1, 5, 15, tzinfo=UTC)
AGENCY = "AG-100"
OTHER_AGENCY = "AG-200"
CONTACT = "pat.contact@agency.example.org"


@dataclass
class System:
    """A whole system under test, with a real server, database and SMTP."""

    client: Client
    settings: Settings
    database: Database
    portal: EmbeddedPortal
    transport: Transport
    inbox: Inbox

    @property
    def connections(self) -> Connections:
        """The connections that the use cases in ``services/`` take."""
        return Connections(
            self.database, self.client, self.portal, self.settings.task_queue, self.settings.terms
        )

    async def tell(self, training_id: str, signal: str, fact: Fact) -> None:
        await tell_case(
            self.client, self.settings.task_queue, training_id, signal, fact, self.settings.terms
        )

    def case(self, training_id: str) -> WorkflowHandle[Any, Any]:
        return self.client.get_workflow_handle(assister_workflow_id(training_id))

    async def status(self, training_id: str) -> Status:
        return await case_status(self.client, training_id)

    async def until(self, training_id: str, reached: Callable[[Status], bool]) -> Status:
        """Waits for a condition of a case."""
        status: Status = await eventually(lambda: self.status(training_id), reached)
        return status

    async def skip(self, training_id: str, **span: float) -> None:
        await skip_time(self.client, self.case(training_id), timedelta(**span))

    async def skip_to(self, training_id: str, moment: datetime) -> None:
        """Skips time until the case's clock shows ``moment``."""
        case = self.case(training_id)
        await skip_time(self.client, case, moment - await clock_of(self.client, case))

    def mails(self, *, to: str = "") -> list[tuple[str, str]]:
        """Subject and text of every mail received, oldest first."""
        return [
            (str(mail["Subject"]), body_of(mail))
            for mail in self.inbox.messages()
            if to in str(mail["To"])
        ]

    async def act(self, training_id: str, update: str, reason: str = "a test") -> str:
        order = StaffAct(by="staff-1", reason=reason)
        answer = await act(self.client, assister_workflow_id(training_id), update, order)
        return answer

    async def decide(self, training_id: str, update: str, agency_id: str) -> str:
        order = ChangeAct(by="staff-1", reason="a test", agency_id=agency_id)
        return await act(self.client, assister_workflow_id(training_id), update, order)

    async def activate(self, training_id: str, registration: int = 1) -> None:
        """Activates an account, as the portal's page does."""
        number = await self.portal.registration_number(training_id, registration)
        await activate(self.connections, number)


async def eventually(
    ask: Callable[[], Awaitable[Any]], reached: Callable[[Any], bool], *, seconds: float = 60
) -> Any:
    """Asks until the answer meets a condition; fails after some seconds.

    The pauses grow: two dozen tests that wait at once would otherwise overload the machine.
    """
    deadline = asyncio.get_running_loop().time() + seconds
    pause = 0.01
    while True:
        answer = await ask()
        if reached(answer):
            return answer
        assert asyncio.get_running_loop().time() < deadline, f"never reached; last: {answer}"
        await asyncio.sleep(pause)
        pause = min(2 * pause, 0.25)


def contact_of(agency: str) -> str:
    """The address of an agency's contact."""
    return CONTACT if agency == AGENCY else f"contact@{agency.lower()}.example.org"


async def record_people(database: Database, *training_ids: str, agency: str = AGENCY) -> None:
    """Records an agency, its contact, and assisters on its roster."""
    contact = contact_of(agency)
    submission_id = "s0" if agency == AGENCY else f"s0-{agency.lower()}"
    async with database.transaction() as session:
        await record_agency(session, agency, "North Star Health", [("Pat Contact", contact)])
        if not training_ids:
            return
        by = await authorized_contact(session, agency, contact)
        assert by.id is not None
        submission = await session.get(Submission, submission_id)
        if submission is None:
            submission = Submission(
                id=submission_id,
                agency_id=agency,
                roster_type="navigator",
                contact_id=by.id,
                filename="roster.csv",
                digest="",
                rows=0,
                sequence=await next_sequence(session),
                submitted_at=LONG_AGO,
            )
            session.add(submission)
            await session.flush()
        entries = {
            line: Entry(
                training_id=training_id,
                first_name="Ann",
                last_name=f"Lee-{training_id}",
                email=f"{training_id.lower()}@assisters.example.org",
                employed=True,
                approved=True,
                public_phone="+16515550123",
                public_email="help@agency.example.org",
                business_address="",
                languages="",
                counties="",
            )
            for line, training_id in enumerate(training_ids, 2)
        }
        await record_affiliations(session, submission, entries)


_ids = iter(range(1, 10_000_000))


def new_training_id() -> str:
    """A Training ID that no other test uses: workflow ids are shared on the server."""
    return f"T{os.getpid() % 100:02}{next(_ids):04}"


def facts(at: datetime = LONG_AGO, *, score: str = "70") -> dict[str, Fact]:
    """An event for each of the four requirements, by signal."""
    return {
        "roster_recorded": RosterRecorded(
            event_id="roster-1",
            occurred_at=at,
            agency_id=AGENCY,
            assister_type=AssisterType.NAVIGATOR,
            approved=True,
            employed=True,
        ),
        "certification_recorded": CertificationRecorded(
            event_id="certification-1", occurred_at=at, certified=True
        ),
        "training_completed": TrainingCompleted(event_id="training-1", occurred_at=at),
        "assessment_scored": AssessmentScored(
            event_id="assessment-1", occurred_at=at, score=Decimal(score)
        ),
    }


def approved_again() -> RosterRecorded:
    """The row of a roster that is newer than all rosters in the records."""
    row = facts()["roster_recorded"]
    assert isinstance(row, RosterRecorded)
    return row.model_copy(update={"event_id": "roster-again", "sequence": 1_000_000})


def approved_by_another() -> RosterRecorded:
    """Another agency's row, which waits until staff confirm it."""
    row = facts()["roster_recorded"]
    assert isinstance(row, RosterRecorded)
    return row.model_copy(update={"event_id": "roster-other", "agency_id": OTHER_AGENCY})


def no_access() -> RosterRecorded:
    """A later roster row that ends the access."""
    row = facts()["roster_recorded"]
    assert isinstance(row, RosterRecorded)
    return row.model_copy(
        update={
            "event_id": "roster-no",
            "approved": False,
            "occurred_at": LONG_AGO.replace(month=2),
        }
    )


def activated(registration: int = 1) -> AccountActivated:
    """The portal's report that a registration number was used."""
    return AccountActivated(
        event_id=f"portal-{registration}", occurred_at=LONG_AGO, registration=registration
    )


async def meet_requirements(system: System, training_id: str) -> Status:
    """Tells a case all four requirements and waits for the activation mail."""
    for signal, fact in facts().items():
        await system.tell(training_id, signal, fact)
    return await system.until(
        training_id,
        lambda status: (
            status.stage == "awaiting_activation"
            and any(mail.kind == "activation" and mail.sent_at for mail in status.mails)
        ),
    )


@asynccontextmanager
async def assembled(
    client: Client, url: str, inbox: Inbox, folder: Path, **changes: Any
) -> AsyncIterator[System]:
    """A whole system over a database, without a worker."""
    settings = Settings(
        _env_file=None,
        database_url=url,
        data_dir=folder,
        **{"smtp_port": inbox.port, "portal_secret": SecretStr(SECRET), **changes},
    )
    database = Database(url)
    portal = bootstrap.make_portal(settings, database)
    transport = bootstrap.make_transport(settings)
    try:
        yield System(client, settings, database, portal, transport, inbox)
    finally:
        await transport.close()
        await database.close()


@asynccontextmanager
async def running(
    client: Client, url: str, inbox: Inbox, folder: Path, **changes: Any
) -> AsyncIterator[System]:
    """A whole system whose worker runs while the context is open."""
    async with (
        assembled(client, url, inbox, folder, **changes) as system,
        bootstrap.make_worker(
            client, system.settings, system.database, system.portal, system.transport
        ),
    ):
        yield system


async def listed(system: System, query: str, workflow_id: str) -> None:
    """Waits until a list has a workflow: a page in the browser does not update its list."""

    async def ids() -> list[str]:
        return [workflow.id async for workflow in system.client.list_workflows(query)]

    await eventually(ids, lambda found: workflow_id in found)
