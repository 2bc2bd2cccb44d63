"""Where the worker's time goes: its Python looked at 250 times a second during the whole flow."""

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
"""A function, and the file that it is in."""


async def measure(figures: Figures, *, persons: int) -> None:
    """Shares of the time in which the worker runs Python, on PostgreSQL."""
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
    """In percent: for each step and each library, the looks that found the worker in it."""
    steps: Counter[str] = Counter()
    places: Counter[str] = Counter()
    for line in seen.read_text().splitlines():
        stack, _, times = line.rpartition(" ")
        frames = [(each[1], each[2]) for each in map(FRAME.fullmatch, stack.split(";")) if each]
        steps[_step(frames)] += int(times)
        places[_place(frames)] += int(times)
    for kind, counted in (("step", steps), ("place", places)):
        for name, looks in counted.items():
            yield f"{kind}/{name}", 100 * looks / counted.total()


def _step(frames: list[Frame]) -> str:
    """The activity that runs, or what else the worker is at."""
    files = [file for _, file in frames]
    for at, (_, file) in enumerate(frames):
        if "temporalio/worker/_activity.py" in file:
            own = [name for name, each in frames[at:] if each.startswith("activities/")]
            return own[0].rpartition(".")[2] if own else "activities, the SDK's part"
    if any(each.startswith(("workflows/", "policy/")) for each in files):
        return "our workflow code"
    if any("temporalio/worker/" in each or "temporalio/bridge/" in each for each in files):
        return "workflows, the SDK's part"
    # It runs each statement in a greenlet, whose stack does not show for whom.
    if any("sqlalchemy/" in each or "sqlmodel/" in each for each in files):
        return "statements of any activity"
    return "all else"


def _place(frames: list[Frame]) -> str:
    """The innermost library or folder of ours."""
    for _, file in reversed(frames):
        if file.startswith(OWN):
            return "our own code"
        library = LIBRARIES.get(file.partition("/")[0])
        if library:
            return library
    return "all else"
