"""Runs the main flow on a real Temporal cluster: ``./run cluster``.

Prints its speed with one, two and three workers, and while parts of the cluster are down.
"""

import asyncio
import os
import sys
import tempfile
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path

from pydantic import SecretStr
from rich.console import Console
from sqlalchemy.exc import SQLAlchemyError
from sqlmodel import col, func, select
from temporalio.service import RPCError

import bootstrap
from embedded.inbox import mail_inbox
from portal.directory import ActivationRefused, StaleCommand
from records import audit
from records.database import Database
from records.schema import migrate
from records.tables import MailDelivery
from settings import Settings
from tests.cluster.nodes import Cluster, Unavailable, cluster
from tests.support.system import SECRET, System, eventually, facts, new_training_id, record_people

ROOT = Path(__file__).resolve().parent.parent.parent
PERSONS = int(os.environ.get("CLUSTER_PERSONS", "100"))
AT_ONCE = 20
PATIENCE = 300.0
DOWN = 8.0
"""Seconds for which a part is down."""
Blow = Callable[[Cluster], Awaitable[None]]


async def main(out: Console) -> int:
    """Runs the whole test; returns the exit code."""
    with tempfile.TemporaryDirectory(prefix="cluster-") as folder:
        try:
            async with AsyncExitStack() as stack:
                made = await stack.enter_async_context(cluster(Path(folder)))
                await _all(made, Path(folder), out)
        except Unavailable as missing:
            out.print(f"skipped: {missing}")
    return 0


async def _all(made: Cluster, folder: Path, out: Console) -> None:
    roles = Counter(node.role for node in made.nodes)
    out.print(f"cluster: {dict(roles)} on PostgreSQL; {os.cpu_count()} cores, {PERSONS} persons")
    os.environ["TEMPORAL_ADDRESS"] = made.address
    await migrate(made.postgres.url)
    async with mail_inbox(folder / "inbox") as inbox:
        settings = Settings(
            _env_file=None,
            database_url=made.postgres.url,
            data_dir=folder,
            smtp_port=inbox.port,
            portal_secret=SecretStr(SECRET),
        )
        database = Database(made.postgres.url)
        system = System(
            await bootstrap.connect(),
            settings,
            database,
            bootstrap.make_portal(settings, database),
            bootstrap.make_transport(settings),
            inbox,
        )
        await record_people(database)
        for count in (1, 2, 3):
            async with _workers(system, folder, count):
                await _journeys(system, 5)
                seconds = await _journeys(system, PERSONS)
                out.print(f"{count} workers: {PERSONS / seconds:.1f} persons/s")
        async with _workers(system, folder, 2):
            for name, blow in BLOWS.items():
                begun = asyncio.create_task(_journeys(system, PERSONS))
                await asyncio.sleep(2)
                await blow(made)
                struck = time.monotonic()
                await begun
                out.print(f"{name}: all done {time.monotonic() - struck:.0f} s after it was back")
        mails = Counter((str(m["To"]), str(m["Subject"])) for m in inbox.messages())
        doubled = sum(count - 1 for count in mails.values())
        async with database.snapshot(streams=True) as session:
            doubts = (await session.exec(select(func.sum(MailDelivery.doubts)))).one()
            verified = await audit.verify(session)
        out.print(
            f"mails {sum(mails.values())}, doubled {doubled} (in doubt {doubts}),"
            f" broken chains {len(verified.breaks)}"
        )
        await database.close()


@asynccontextmanager
async def _workers(system: System, folder: Path, count: int) -> AsyncIterator[None]:
    settings = system.settings
    # A new queue: the server still counts the pollers of ended workers on the old one.
    settings.task_queue = f"cluster-{uuid.uuid4().hex[:8]}"
    environment = os.environ | {
        "ASSISTER_DATABASE_URL": settings.database_url,
        "ASSISTER_DATA_DIR": str(folder),
        "ASSISTER_TASK_QUEUE": settings.task_queue,
        "ASSISTER_PORTAL_SECRET": SECRET,
        "ASSISTER_SMTP_PORT": str(settings.smtp_port),
    }
    with (folder / "worker.log").open("ab") as log:
        processes = [
            await asyncio.create_subprocess_exec(
                sys.executable, str(ROOT / "worker.py"), env=environment, stdout=log, stderr=log
            )
            for _ in range(count)
        ]
    try:
        yield
    finally:
        for process in processes:
            process.terminate()
        await asyncio.gather(*(process.wait() for process in processes))


async def _journeys(system: System, count: int) -> float:
    """Takes persons from the first event to the confirmation; returns the seconds."""
    ids = [new_training_id() for _ in range(count)]
    await _insist(lambda: record_people(system.database, *ids))
    places = asyncio.Semaphore(AT_ONCE)
    begun = time.monotonic()
    await asyncio.gather(*(_journey(system, person, places) for person in ids))
    return time.monotonic() - begun


async def _journey(system: System, training_id: str, places: asyncio.Semaphore) -> None:
    for signal, fact in facts().items():
        async with places:
            await _insist(lambda s=signal, f=fact: system.tell(training_id, s, f))  # type: ignore[misc]
    await _mailed(system, training_id, "activation")

    async def activate() -> None:
        # An earlier attempt, whose answer was lost, has activated the account.
        with suppress(ActivationRefused, StaleCommand):
            await system.portal.activate(await system.portal.registration_number(training_id, 1))

    await _insist(activate)
    await _mailed(system, training_id, "confirmation")


async def _mailed(system: System, training_id: str, kind: str) -> None:
    found = select(func.count()).where(
        MailDelivery.case_id == f"assister-{training_id}",
        MailDelivery.kind == kind,
        col(MailDelivery.state) == "sent",
    )

    async def sent() -> int:
        async with system.database.snapshot() as session:
            return (await session.exec(found)).one()

    await eventually(lambda: _insist(sent), bool, seconds=PATIENCE)


async def _insist(ask: Callable[[], Awaitable[object]]) -> object:
    """Repeats a call until it succeeds: the part that is called may be down."""
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                return await ask()
            except (SQLAlchemyError, RPCError, RuntimeError):
                await asyncio.sleep(0.2)


async def _node_dies(made: Cluster, role: str) -> None:
    node = made.nodes_of(role)[1]
    node.kill()
    await asyncio.sleep(DOWN)
    node.start()


async def _postgres_dies(made: Cluster) -> None:
    made.postgres.kill()
    await asyncio.sleep(DOWN)
    await asyncio.to_thread(made.postgres.start)


async def _node_is_cut_off(made: Cluster) -> None:
    node = made.nodes_of("history")[0]
    try:
        node.cut_off(yes=True)
        await asyncio.sleep(DOWN)
    finally:
        node.cut_off(yes=False)


BLOWS: dict[str, Blow] = {
    "a history node is killed": lambda made: _node_dies(made, "history"),
    "a matching node is killed": lambda made: _node_dies(made, "matching"),
    "PostgreSQL is killed": _postgres_dies,
    "a history node is cut off the network": _node_is_cut_off,
}


if __name__ == "__main__":
    code = asyncio.run(main(Console(width=150)))
    # The SDK may abort while the interpreter exits (sdk-python 300).
    os._exit(code)
