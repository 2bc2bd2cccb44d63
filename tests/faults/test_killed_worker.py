"""The worker is killed again and again in mid-run; nothing is lost, and nothing is done twice."""

import asyncio
import os
import random
import shutil
import sys
import uuid
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest
from pydantic import SecretStr
from sqlmodel import col, func, select
from temporalio.testing import WorkflowEnvironment

import bootstrap
from embedded.inbox import mail_inbox
from portal.tables import PortalAccount
from records import audit
from records.database import Database
from records.tables import MailDelivery
from settings import Settings
from tests.support.conditions import in_stage
from tests.support.system import SECRET, System, eventually, facts, new_training_id, record_people

ROOT = Path(__file__).resolve().parent.parent.parent
ASSISTERS = int(os.environ.get("FAULTS_ASSISTERS", "20"))
KILLS = max(3, ASSISTERS // 20)
PATIENCE = 400


@asynccontextmanager
async def dying_workers(system: System, log: Path) -> AsyncIterator[list[int]]:
    """Runs a worker process that is killed at random moments and replaced; the last one lives."""
    settings = system.settings
    environment = os.environ | {
        "TEMPORAL_ADDRESS": system.client.service_client.config.target_host,
        "ASSISTER_DATABASE_URL": settings.database_url,
        "ASSISTER_DATA_DIR": str(settings.data_dir),
        "ASSISTER_TASK_QUEUE": settings.task_queue,
        "ASSISTER_PORTAL_SECRET": SECRET,
        "ASSISTER_SMTP_PORT": str(system.inbox.port),
        "ASSISTER_SMTP_TIMEOUT": "3",
    }
    killed: list[int] = []

    async def keep() -> None:
        chance = random.Random(ASSISTERS)
        while True:
            with log.open("ab") as output:
                process = await asyncio.create_subprocess_exec(
                    sys.executable, str(ROOT / "worker.py"), env=environment, stderr=output
                )
            try:
                if len(killed) >= KILLS:
                    await process.wait()
                # The kill comes before the worker is ready, or in the middle of its work.
                await asyncio.sleep(chance.uniform(1.0, 4.0))
                killed.append(process.pid)
            finally:
                process.kill()
                await process.wait()

    keeping = asyncio.create_task(keep())
    try:
        yield killed
    finally:
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)


@pytest.mark.timeout(600)
async def test_each_assister_once_though_the_worker_is_killed(
    temporal: WorkflowEnvironment, records_url: str, tmp_path: Path
) -> None:
    async with mail_inbox(tmp_path / "inbox") as inbox:
        settings = Settings(
            _env_file=None,
            database_url=records_url,
            data_dir=tmp_path,
            task_queue=f"faults-{uuid.uuid4().hex[:8]}",
            smtp_port=inbox.port,
            portal_secret=SecretStr(SECRET),
        )
        database = Database(records_url)
        portal = bootstrap.make_portal(settings, database)
        transport = bootstrap.make_transport(settings)
        system = System(temporal.client, settings, database, portal, transport, inbox)
        ids = [new_training_id() for _ in range(ASSISTERS)]
        await record_people(database, *ids)

        async def one(training_id: str) -> None:
            for signal, fact in facts().items():
                await system.tell(training_id, signal, fact)
            await eventually(partial(mails, training_id, "activation"), bool, seconds=PATIENCE)
            # The worker's relay tells the case.
            await portal.activate(await portal.registration_number(training_id, 1))
            await eventually(partial(mails, training_id, "confirmation"), bool, seconds=PATIENCE)

        async def mails(training_id: str, kind: str) -> int:
            sent = (
                select(func.count())
                .select_from(MailDelivery)
                .where(
                    MailDelivery.case_id == f"assister-{training_id}",
                    MailDelivery.kind == kind,
                    col(MailDelivery.state) == "sent",
                )
            )
            async with database.snapshot() as session:
                return (await session.exec(sent)).one()

        async with dying_workers(system, tmp_path / "worker.log") as killed:
            await asyncio.gather(*(one(person) for person in ids))
            for each in ids:
                await system.until(each, in_stage("active"))
        assert len(killed) > 0
        received = Counter((str(m["To"]), str(m["Subject"])) for m in inbox.messages())
        async with database.transaction() as session:
            deliveries = (await session.exec(select(MailDelivery))).all()
            accounts = (await session.exec(select(PortalAccount))).all()
            assert (await audit.verify(session)).breaks == []
        uncertain = sum(each.doubts for each in deliveries)
        doubled = sum(received.values()) - len(received)
        assert doubled <= uncertain
        assert len(received) == len(deliveries) == 2 * ASSISTERS
        assert len(accounts) == len({each.reference_number for each in accounts}) == ASSISTERS
        assert all((each.status, each.registration) == ("active", 1) for each in accounts)
        sys.stderr.write(
            f"\n{records_url.split(':')[0]}: {ASSISTERS} confirmed, {len(killed)} workers killed,"
            f" {doubled} mails doubled, {uncertain} marked uncertain\n"
        )
        await transport.close()
        await database.close()
        shutil.rmtree(tmp_path / "inbox", ignore_errors=True)
