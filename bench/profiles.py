"""Measures where the worker's time goes: a profiler samples its Python during the whole flow."""

import asyncio
import re
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from bench.environments import programs
from bench.figures import Figures
from bench.flows import Ours, journeys
from bench.site import site
from embedded.stack import ROOT

WANTED = ROOT / "bench/py-spy.txt"
AT_ONCE = 16
FRAME = re.compile(r"(.+) \((.+):\d+\)")
OWN = ("activities/", "workflows/", "policy/", "records/", "mail/", "portal/", "worker.py")
LIBRARIES = {
    "sqlalchemy": "SQLAlchemy",
    "sqlmodel": "SQLAlchemy",
    "psycopg": "psycopg",
    "email": "email",
    "temporalio": "Temporal's SDK",
    "pydantic": "Pydantic",
    "aiosmtplib": "aiosmtplib",
}


Frame = tuple[str, str]
"""A function and its file."""


async def measure(figures: Figures, *, persons: int) -> None:
    """Measures shares of the time in which the worker runs Python, on PostgreSQL."""
    spy = str(programs(WANTED) / "py-spy")
    async with site("postgresql") as made:
        worker, flow, seen = made.worker(), Ours(made), made.folder / "seen.txt"
        await worker.start()
        try:
            await journeys(flow, made.relay, AT_ONCE, AT_ONCE)
            options = ("--gil", "--rate", "250", "--format", "raw", "--output", str(seen))
            looking = await asyncio.create_subprocess_exec(
                spy, "record", *options, "--duration", "3600", "--pid", str(worker.pid),
                stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
            )  # fmt: skip
            await journeys(flow, made.relay, persons, AT_ONCE)
            looking.send_signal(signal.SIGINT)
            await looking.wait()
        finally:
            await worker.end()
        for name, share in shares(seen):
            figures.add(f"profile/{name}", share)


def shares(seen: Path) -> Iterator[tuple[str, float]]:
    """The percentage of samples in each step, and in each library."""
    steps: Counter[str] = Counter()
    places: Counter[str] = Counter()
    for line in seen.read_text().splitlines():
        stack, _, times = line.rpartition(" ")
        frames = [(found[1], found[2]) for found in map(FRAME.fullmatch, stack.split(";")) if found]
        steps[_step(frames)] += int(times)
        places[_place(frames)] += int(times)
    for kind, counted in (("step", steps), ("place", places)):
        for name, samples in counted.items():
            yield f"{kind}/{name}", 100 * samples / counted.total()


def _step(frames: list[Frame]) -> str:
    """The name of the running activity, or of what else the worker does."""
    files = [file for _, file in frames]
    for at, (_, file) in enumerate(frames):
        if "temporalio/worker/_activity.py" in file:
            own = [name for name, inner in frames[at:] if inner.startswith("activities/")]
            return own[0].rpartition(".")[2] if own else "activities, the SDK's part"
    if any(file.startswith(("workflows/", "policy/")) for file in files):
        return "our workflow code"
    if any("temporalio/worker/" in file or "temporalio/bridge/" in file for file in files):
        return "workflows, the SDK's part"
    # SQLAlchemy runs each statement in a greenlet, whose stack does not show the activity.
    if any("sqlalchemy/" in file or "sqlmodel/" in file for file in files):
        return "statements of any activity"
    return "all else"


def _place(frames: list[Frame]) -> str:
    """The innermost library, or our own code."""
    for _, file in reversed(frames):
        if file.startswith(OWN):
            return "our own code"
        library = LIBRARIES.get(file.partition("/")[0])
        if library:
            return library
    return "all else"
