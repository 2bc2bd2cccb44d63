"""Programs of their own, and what the system says that they used."""

import asyncio
import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from embedded.stack import ROOT

PATIENCE = 60.0
TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")


class Program:
    """A process that is started, waited for, measured and ended.

    Args:
        arguments: After the interpreter's name.
        ready: What its log says once it works.
        python: The interpreter; this one, if left out.
    """

    def __init__(
        self,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        log: Path,
        *,
        ready: str,
        python: str = sys.executable,
    ) -> None:
        self._command = (python, *arguments)
        self._environment = os.environ | environment | {"PYTHONPATH": str(ROOT)}
        self._log = log
        self._ready = ready
        self._process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int:
        """Of the process that runs."""
        assert self._process is not None
        return self._process.pid

    async def start(self) -> None:
        """Starts it, and waits until its log says that it works."""
        with self._log.open("wb") as log:
            self._process = await asyncio.create_subprocess_exec(
                *self._command, env=self._environment, stdout=log, stderr=log
            )
        async with asyncio.timeout(PATIENCE):
            while self._ready not in self._log.read_text():
                assert self._process.returncode is None, self._log.read_text()[-2000:]
                await asyncio.sleep(0.02)

    async def end(self) -> None:
        """Asks it to end, and waits for that."""
        assert self._process is not None
        if self._process.returncode is None:
            self._process.terminate()
        await self._process.wait()

    async def kill(self) -> None:
        """Ends it as a power cut would."""
        assert self._process is not None
        self._process.kill()
        await self._process.wait()


def children(parent: int) -> list[int]:
    """The processes that a process has started."""
    found = []
    for each in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = each.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == parent:
            found.append(int(each.parent.name))
    return found


def cpu_seconds(pid: int) -> float:
    """What a process has used, with its children that ended and those that run."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    used = sum(int(each) for each in fields[11:15]) / TICKS
    for each in children(pid):
        # PostgreSQL's own come and go: one may end between the look at the list and at itself.
        with suppress(OSError):
            used += cpu_seconds(each)
    return used


def resident_bytes(pid: int) -> int:
    """The memory that a process holds."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE
