"""The same flow on systems that a Python team might pick instead of Temporal: the peers.

A peer is a program, ``python -m bench.peers.NAME worker`` or ``… door``, and a list of its
packages, ``NAME.txt``, for an environment of its own. The worker does the work. The door reads a
line ``PERSON EVENT`` for each event, stores the event, and then prints the line.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import psycopg
import structlog

from bench.environments import NotInstalled, programs
from bench.processes import Program
from bench.site import Site
from embedded.stack import ROOT
from policy.requirements import Fact

HERE = ROOT / "bench/peers"
NAMES = {"dbos": "DBOS", "queue": "a queue and a state row"}
_numbers = count(1)


@dataclass
class Door:
    """The door of a peer: the process that takes its events."""

    process: asyncio.subprocess.Process
    _kept: dict[str, asyncio.Future[None]] = field(default_factory=dict)

    async def prepare(self, persons: Sequence[str]) -> None:
        """Does nothing: a peer keeps no rosters."""

    async def tell(self, person: str, event: str, fact: Fact) -> None:
        """Sends a line, and waits until the door prints it."""
        del fact
        await self._send(f"{person} {event}")

    async def activate(self, person: str) -> None:
        """Sends the activation."""
        await self._send(f"{person} account_activated")

    async def _send(self, line: str) -> None:
        kept = self._kept[line] = asyncio.get_running_loop().create_future()
        assert self.process.stdin is not None
        self.process.stdin.write(f"{line}\n".encode())
        await kept

    async def listen(self) -> None:
        """Reads the lines that the door prints, until it ends."""
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            self._kept.pop(line.decode().strip()).set_result(None)


@asynccontextmanager
async def at_work(made: Site, name: str, python: Path) -> AsyncIterator[tuple[Door, Program]]:
    """Runs a peer and its worker on a new database while the context is open."""
    records = made.system.settings.database_url
    database = f"peer{next(_numbers)}"
    with psycopg.connect(records, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {database}".encode())
    environment = made.environment() | {
        "PEER_DATABASE_URL": records.replace("/records?", f"/{database}?"),
    }
    program = ["-m", f"bench.peers.{name}"]
    log = made.folder / f"{database}.log"
    worker = Program(
        [*program, "worker"], environment, log, ready="worker running", python=str(python)
    )
    await worker.start()
    process = await asyncio.create_subprocess_exec(
        python,
        *program,
        "door",
        env=os.environ | environment | {"PYTHONPATH": str(ROOT)},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    door = Door(process)
    listening = asyncio.create_task(door.listen())
    try:
        yield door, worker
    finally:
        process.kill()
        await process.wait()
        await listening
        await worker.end()


def installed() -> dict[str, Path]:
    """The Python of each peer whose environment exists or could be made."""
    found = {}
    for name in NAMES:
        try:
            found[name] = programs(HERE / f"{name}.txt") / "python"
        except NotInstalled as missing:
            structlog.get_logger().warning("a peer is left out", peer=name, reason=str(missing))
    return found
