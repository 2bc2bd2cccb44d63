"""The bounds that the product's figures must keep."""

from statistics import median
from typing import NamedTuple

from bench.figures import Figures
from bench.site import DATABASES, KINDS


class Bar(NamedTuple):
    """A bound for a figure, or for the ratio of two figures.

    Attributes:
        at_least: Whether the bound is the least allowed value, not the greatest.
        by: The figure to divide by; empty if the bound is for the figure itself.
    """

    says: str
    figure: str
    at_least: bool
    bound: float
    by: str = ""

    def measured(self, values: dict[str, list[float]]) -> float | None:
        """The value that a run gave; None if the run did not measure it."""
        if not {self.figure, self.by or self.figure} <= values.keys():
            return None
        value = median(values[self.figure])
        return value / median(values[self.by]) if self.by else value

    def met(self, value: float) -> bool:
        """Whether the value keeps the bound."""
        return value >= self.bound if self.at_least else value <= self.bound


def rows(figures: Figures) -> list[tuple[str, str, float | None, bool | None]]:
    """The text, the bound, the measured value and the verdict of each bar."""
    values = figures.with_ratios()
    found = []
    for bar in BARS:
        value = bar.measured(values)
        bound = f"{'≥' if bar.at_least else '≤'} {bar.bound:g}"
        found.append((bar.says, bound, value, None if value is None else bar.met(value)))
    return found


_FLOW, _CASES, _SLOW = "whole flow/{}/ratio", "cases/postgresql/{}", "latency/postgresql/ours"
BARS = (
    *(
        Bar(
            f"persons/s by the floor's, {DATABASES[kind]}, {says}",
            f"{_FLOW.format(kind)}/persons per s", True, bound,
        )
        for kind in KINDS
        for says, bound in (("goal", 0.8), ("least", 0.65))
    ),
    Bar(
        "persons/s by DBOS's, PostgreSQL",
        "whole flow/postgresql/ours/persons per s", True, 1.0,
        by="whole flow/postgresql/dbos/persons per s",
    ),
    Bar("events by the floor's", f"{_FLOW.format('postgresql')}/events per person", False, 1.3),
    Bar(
        "CPU of worker, server and database per person, by the floor's",
        f"{_FLOW.format('postgresql')}/all CPU ms per person", False, 1.5,
    ),
    Bar("last requirement to mail, idle, p99 ms", f"{_SLOW}/idle p99 ms", False, 1000),
    Bar(
        "last requirement to mail, at half the highest rate, p99 ms",
        f"{_SLOW}/half rate p99 ms", False, 3000,
    ),
    Bar(
        "cases opened from a roster of 1,000, by a bare loop of signal-with-start",
        f"{_CASES.format('ratio')}/opened per s, 1000", True, 0.5,
    ),
    Bar(
        "cases opened per second from a roster of 10,000, by that of 1,000",
        f"{_CASES.format('ours')}/opened per s, 10000", True, 0.8,
        by=f"{_CASES.format('ours')}/opened per s, 1000",
    ),
    Bar(
        "MB in the worker's memory for each of 1,000 cases",
        f"{_CASES.format('ours')}/MB in memory per case, 1000", False, 0.1,
    ),
    Bar(
        "a fresh worker's answers to 1,000 cases, by the floor's",
        f"{_CASES.format('ratio')}/answered per s, 1000", True, 0.7,
    ),
    Bar(
        "idle CPU of the worker for 1,000 waiting cases, % of a core",
        f"{_CASES.format('ours')}/idle CPU of the worker for them, % of a core, 1000", False, 1,
    ),
    Bar(
        "stored for each of 10,000 waiting cases, by that for each of 100",
        f"{_CASES.format('ours')}/KB stored per case, 10000", False, 1.1,
        by=f"{_CASES.format('ours')}/KB stored per case, 100",
    ),
    Bar("mails/s by a bare loop of aiosmtplib", "mails/ratio/mails per s", True, 0.8),
    Bar("MB to check a roster of 100,000 rows", "roster check/ours/MB, 100000", False, 300),
    Bar(
        "rows checked per second of 100,000, by that of 10,000",
        "roster check/ours/rows per s, 100000", True, 0.8,
        by="roster check/ours/rows per s, 10000",
    ),
    Bar("seconds of `starter.py --help`", "starts/--help/wall s", False, 0.5),
    Bar("seconds of `starter.py status`", "starts/status/wall s", False, 1.2),
)  # fmt: skip
