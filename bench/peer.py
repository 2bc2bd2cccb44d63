"""The same flow on what a Python team might pick instead, each in an environment of its own.

A peer is a program, ``python -m bench.peers.NAME worker`` or ``… door``, and a list of what it
needs, ``NAME.txt``. The worker does the work. The door reads a line ``PERSON EVENT`` for each
event, and repeats it once the event is kept.
"""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import psycopg
import structlog

from bench.processes import Program
from bench.site import Site
from embedded.stack import ROOT
from policy.requirements import Fact

HERE = ROOT / "bench/peers"
NAMES = {"dbos": "DBOS", "queue": "a queue and a state row"}
ENVIRONMENTS = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "assister-bench"
_numbers = count(1)


@dataclass
class Door:
    """A peer's way in."""

    process: asyncio.subprocess.Process
    _kept: dict[str, asyncio.Future[None]] = field(default_factory=dict)

    async def prepare(self, persons: Sequence[str]) -> None:
        """It knows nobody."""

    async def tell(self, person: str, event: str, fact: Fact) -> None:
        """Sends a line, and waits for its repetition."""
        del fact
        await self._send(f"{person} {event}")

    async def activate(self, person: str) -> None:
        """Tells it straight away."""
        await self._send(f"{person} account_activated")

    async def _send(self, line: str) -> None:
        kept = self._kept[line] = asyncio.get_running_loop().create_future()
        assert self.process.stdin is not None
        self.process.stdin.write(f"{line}\n".encode())
        await kept

    async def listen(self) -> None:
        """Hears what is kept, for as long as the door is open."""
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            self._kept.pop(line.decode().strip()).set_result(None)


@asynccontextmanager
async def at_work(made: Site, name: str) -> AsyncIterator[tuple[Door, Program]]:
    """A peer with its worker, on a database of its own, for as long as the context is open."""
    records = made.system.settings.database_url
    database = f"peer{next(_numbers)}"
    with psycopg.connect(records, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {database}".encode())
    environment = made.environment() | {
        "PEER_DATABASE_URL": records.replace("/records?", f"/{database}?"),
    }
    program = ["-m", f"bench.peers.{name}"]
    log = made.folder / f"{database}.log"
    python = str(_python(name))
    worker = Program([*program, "worker"], environment, log, ready="worker running", python=python)
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


async def installed() -> list[str]:
    """The peers whose environment is there or could be made."""
    found = []
    for name in NAMES:
        try:
            await _make_environment(name)
        except RuntimeError as failed:
            structlog.get_logger().warning("a peer is left out", peer=name, reason=str(failed))
        else:
            found.append(name)
    return found


def _python(name: str) -> Path:
    return ENVIRONMENTS / name / "bin/python"


async def _make_environment(name: str) -> None:
    folder, wanted = ENVIRONMENTS / name, HERE / f"{name}.txt"
    made = folder / "made.txt"
    if made.exists() and made.read_bytes() == wanted.read_bytes():
        return
    await _run(sys.executable, "-m", "venv", "--clear", "--without-pip", folder)
    pip: list[str | Path] = [sys.executable, "-m", "pip", "--python", _python(name)]
    await _run(*pip, "install", "--quiet", "--disable-pip-version-check", "--requirement", wanted)
    made.write_bytes(wanted.read_bytes())


async def _run(*command: str | Path) -> None:
    process = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.PIPE)
    _, said = await process.communicate()
    if process.returncode:
        raise RuntimeError(said.decode().strip().rpartition("\n")[2])
