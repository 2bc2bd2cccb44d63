"""Checking a roster against merely reading it and validating types, side by side in one run.

The bar: less than ten times as long for 10,000 rows, where the types include that of an e-mail
address. Memory grows by a key and a line number per row, never by the rows themselves.
"""

import asyncio
import csv
import random
import statistics
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from pydantic import BaseModel, EmailStr
from rich.console import Console
from rich.progress import track
from rich.table import Table

from intake.files import read_roster
from intake.submission import check
from policy import addresses, roster
from policy.requirements import AssisterType

ROUNDS = 5
HEADER = [*roster.REQUIRED.values()]


class Typed(BaseModel):
    first_name: str
    last_name: str
    email: str
    training_id: str
    employment: str
    access: bool
    public_phone: str
    public_email: str


class TypedEmail(Typed):
    email: EmailStr
    public_email: EmailStr


def write(path: Path, rows: int) -> None:
    rng = random.Random(7)
    with path.open("w", newline="") as file:
        out = csv.writer(file)
        out.writerow(HEADER)
        for number in range(rows):
            own_phone = f"651-555-{rng.randrange(10000):04}"
            out.writerow(
                [
                    f"Ann{number}", "Lee", f"ann.lee{number}@agency.example.org",
                    f"A{number:06}", "Active", "Yes",
                    own_phone if number % 4 == 0 else "651-555-0142",
                    "help@agency.example.org" if rng.random() > 0.02 else "none",
                ]
            )  # fmt: skip


def typed(path: Path, model: type[Typed]) -> int:
    count = 0
    with path.open(newline="") as file:
        for row in csv.reader(file):
            if count:
                with suppress(ValueError):
                    model.model_validate(dict(zip(Typed.model_fields, row, strict=True)))
            count += 1
    return count


def checked(path: Path) -> int:
    for cached in (addresses.clean_address, roster.read_phone):
        cached.cache_clear()

    async def count() -> int:
        verdicts = check(None, read_roster(path), AssisterType.NAVIGATOR)
        return sum([1 async for _ in verdicts])

    return asyncio.run(count())


def timed(act: Callable[[], object]) -> float:
    start = time.perf_counter()
    act()
    return time.perf_counter() - start


def main() -> None:
    console = Console()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "roster.csv"
        write(path, 10_000)
        acts: dict[str, Callable[[], object]] = {
            "csv and types": lambda: typed(path, Typed),
            "csv and types, e-mail validated": lambda: typed(path, TypedEmail),
            "verdict on every row": lambda: checked(path),
        }
        seconds: dict[str, list[float]] = {name: [] for name in acts}
        for _ in track(range(ROUNDS), "Rounds", console=console):
            for name, act in acts.items():
                seconds[name].append(timed(act))
        base = statistics.median(seconds["csv and types"])
        table = Table("10,000 rows", "seconds (median)", "ratio")
        for name, each in seconds.items():
            middle = statistics.median(each)
            table.add_row(name, f"{middle:.3f}", f"{middle / base:.1f}")
        console.print(table)
        memory = Table("rows", "file MB", "peak MB while checking")
        for rows in (10_000, 50_000):
            write(path, rows)
            tracemalloc.start()
            checked(path)
            peak = tracemalloc.get_traced_memory()[1] / 2**20
            tracemalloc.stop()
            memory.add_row(f"{rows:,}", f"{path.stat().st_size / 2**20:.1f}", f"{peak:.1f}")
        console.print(memory)


if __name__ == "__main__":
    main()
