"""SQLite under load on one machine: many cases at once, and a second process that writes."""

import asyncio
import os
import sys
from pathlib import Path

import pytest
from sqlmodel import func, select

import records.database
from policy.mails import MailKind
from records.tables import MailDelivery
from tests.conftest import MakeSystem
from tests.faults.conftest import FULL
from tests.faults.workers import WorkerProcess
from tests.support.system import (
    SECRET,
    eventually,
    facts,
    new_training_id,
    record_people,
)

ROOT = Path(__file__).resolve().parents[2]
CASES = 300 if FULL else 40
AT_ONCE = 50
LOCKED = "database is locked"
PATIENCE = 60
"""In the place of the product's ten seconds: who has the lock may get no processor for a while."""
ACTIVATOR = """
import asyncio, sys
from sqlmodel import select
import bootstrap
from policy.mails import MailKind
import records.database
from records.database import Database
from records.tables import MailDelivery
from services.activation import activate
from services.connections import Connections
from settings import load

async def main():
    records.database.PATIENCE = int(sys.argv[2])
    settings = load()
    database = Database(settings.records_url)
    portal = bootstrap.make_portal(settings, database)
    client = await bootstrap.connect()
    to = Connections(database, client, portal, settings.task_queue, settings.terms)
    mailed = select(MailDelivery.case_id).where(
        MailDelivery.kind == MailKind.ACTIVATION, MailDelivery.state == "sent"
    )

    async def use(case_id):
        number = await portal.registration_number(case_id.removeprefix("assister-"), 1)
        await activate(to, number)

    used = set()
    while len(used) < int(sys.argv[1]):
        async with database.snapshot() as session:
            new = set(await session.exec(mailed)) - used
        await asyncio.gather(*(use(each) for each in new))
        used |= new
        await asyncio.sleep(0.1)
    await database.close()

asyncio.run(main())
"""

pytestmark = pytest.mark.timeout(400)


def patient() -> None:
    """Lets a worker process wait longer for the database."""
    records.database.PATIENCE = PATIENCE


async def test_every_case_is_confirmed_and_no_writer_finds_the_database_locked(
    make_system: MakeSystem, sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("records.database.PATIENCE", PATIENCE)
    system = await make_system(sqlite_url, smtp_timeout=30.0)
    # The worker of the system under test polls another queue; only the process polls this one.
    system.settings.task_queue = f"writers-{new_training_id()}"
    people = [new_training_id() for _ in range(CASES)]
    await record_people(system.database, *people)
    environment = {
        "TEMPORAL_ADDRESS": system.client.service_client.config.target_host,
        "ASSISTER_DATABASE_URL": sqlite_url,
        "ASSISTER_TASK_QUEUE": system.settings.task_queue,
    }
    places = asyncio.Semaphore(AT_ONCE)

    async def tell(training_id: str) -> None:
        async with places:
            for signal, fact in facts().items():
                await system.tell(training_id, signal, fact)

    async def confirmed() -> int:
        async with system.database.snapshot() as session:
            sent = select(func.count()).select_from(MailDelivery)
            return (
                await session.exec(
                    sent.where(
                        MailDelivery.kind == MailKind.CONFIRMATION, MailDelivery.state == "sent"
                    )
                )
            ).one()

    worker = WorkerProcess(system, (f"{__name__}:patient", ()))
    log = (tmp_path / "activator.log").open("wb")
    activator = await asyncio.create_subprocess_exec(
        sys.executable, "-c", ACTIVATOR, str(CASES), str(PATIENCE),
        env=os.environ | environment | {"ASSISTER_PORTAL_SECRET": SECRET, "PYTHONPATH": str(ROOT)},
        stdout=log, stderr=log,
    )  # fmt: skip
    try:
        await asyncio.gather(*(tell(person) for person in people))
        await eventually(confirmed, lambda count: count == CASES, seconds=300)
        assert await activator.wait() == 0
    finally:
        worker.kill()
        if activator.returncode is None:
            activator.kill()
            await activator.wait()
        log.close()
    for name in ("worker.log", "activator.log"):
        assert LOCKED not in (tmp_path / name).read_text(), name
    assert len(system.mails()) == 2 * CASES, "each mail once"
