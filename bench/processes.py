"""Starts programs, and reads what CPU and memory the system counts for them."""

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
    """A Python program that can be started, ended and killed.

    Args:
        arguments: The arguments of the interpreter.
        ready: The text in the program's log that says that it is ready.
        python: The interpreter.
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
        """The id of the running process."""
        assert self._process is not None
        return self._process.pid

    async def start(self) -> None:
        """Starts the program, and waits until its log says that it is ready."""
        with self._log.open("wb") as log:
            self._process = await asyncio.create_subprocess_exec(
                *self._command, env=self._environment, stdout=log, stderr=log
            )
        async with asyncio.timeout(PATIENCE):
            while self._ready not in self._log.read_text():
                assert self._process.returncode is None, self._log.read_text()[-2000:]
                await asyncio.sleep(0.02)

    async def end(self) -> None:
        """Sends SIGTERM and waits for the end."""
        assert self._process is not None
        if self._process.returncode is None:
            self._process.terminate()
        await self._process.wait()

    async def kill(self) -> None:
        """Ends the program without a warning, as a power cut would."""
        assert self._process is not None
        self._process.kill()
        await self._process.wait()


def children(parent: int) -> list[int]:
    """The ids of a process's children."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == parent:
            found.append(int(stat.parent.name))
    return found


def cpu_seconds(pid: int) -> float:
    """The CPU time of a process and its children, of those that ended too."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    used = sum(map(int, fields[11:15])) / TICKS
    for child in children(pid):
        # PostgreSQL starts and ends processes: this one may have ended since it was listed.
        with suppress(OSError):
            used += cpu_seconds(child)
    return used


def resident_bytes(pid: int) -> int:
    """The resident memory of a process."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE
