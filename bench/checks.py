"""Measures the check of a roster, beside a program that only reads it and validates its types.

Each check runs in its own process, ``python -m bench.checks FLOW FILE``, so that the peak of its
memory can be read.
"""

import asyncio
import csv
import random
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from pydantic import BaseModel, EmailStr

from bench.figures import FLOOR, OURS, Figures
from embedded.stack import ROOT
from intake.files import read_roster
from intake.submission import check
from policy import roster
from policy.requirements import AssisterType


async def measure(figures: Figures, sizes: Iterable[int], *, rounds: int) -> None:
    """Measures seconds and memory for a file of each size."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        for rows in sizes:
            path = Path(folder) / f"{rows}.csv"
            _write(path, rows)
            for _ in range(rounds):
                for who in (OURS, FLOOR):
                    seconds, megabytes = await asyncio.to_thread(_apart, who, path)
                    figures.add(f"roster check/{who}/rows per s, {rows}", rows / seconds)
                    figures.add(f"roster check/{who}/MB, {rows}", megabytes)


def _apart(who: str, path: Path) -> tuple[float, float]:
    command = [sys.executable, "-m", "bench.checks", who, str(path)]
    finished = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    seconds, kilobytes = finished.stdout.split()
    return float(seconds), int(kilobytes) / 1024


def _write(path: Path, rows: int) -> None:
    chance = random.Random(7)
    with path.open("w", newline="") as file:
        out = csv.writer(file)
        out.writerow(roster.REQUIRED.values())
        for number in range(rows):
            own_phone = f"651-555-{chance.randrange(10000):04}"
            out.writerow(
                [
                    f"Ann{number}", "Lee", f"ann.lee{number}@agency.example.org",
                    f"A{number:06}", "Active", "Yes",
                    own_phone if number % 4 == 0 else "651-555-0142",
                    "help@agency.example.org" if chance.random() > 0.02 else "none",
                ]
            )  # fmt: skip


class Typed(BaseModel):
    """A row whose cells have the right types; nothing else is checked."""

    first_name: str
    last_name: str
    email: EmailStr
    training_id: str
    employment: str
    access: bool
    public_phone: str
    public_email: EmailStr


def _typed(path: Path) -> None:
    with path.open(newline="") as file:
        rows = csv.reader(file)
        next(rows)
        for row in rows:
            with suppress(ValueError):
                Typed.model_validate(dict(zip(Typed.model_fields, row, strict=True)))


async def _judged(path: Path) -> None:
    async for _ in check(None, read_roster(path), AssisterType.NAVIGATOR):
        pass


def main() -> None:
    """Checks the file; prints the seconds and the kilobytes that this took."""
    _, who, name = sys.argv
    begun = time.perf_counter()
    if who == OURS:
        asyncio.run(_judged(Path(name)))
    else:
        _typed(Path(name))
    seconds = time.perf_counter() - begun
    # ru_maxrss would include the memory of the parent process.
    [peak] = re.findall(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    sys.stdout.write(f"{seconds} {peak}")


if __name__ == "__main__":
    main()
