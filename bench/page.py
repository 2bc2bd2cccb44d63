"""Writes the tables of docs/performance.md and its pictures; the text between them stays.

Each table stands between ``<!-- bench: NAME -->`` and ``<!-- end -->``. A figure that was not
measured in this run stands as a dash.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from statistics import median

from bench.figures import FLOOR, OURS, Figures
from bench.site import KINDS
from embedded.stack import ROOT

PAGE = ROOT / "docs/performance.md"
PICTURES = ROOT / "docs/pictures"
DATABASES = {"postgresql": "PostgreSQL", "sqlite": "SQLite"}


def write(figures: Figures) -> None:
    """Puts the figures of a run into the page."""
    text = PAGE.read_text()
    for name, rows in TABLES.items():
        place = re.compile(rf"(<!-- bench: {name} -->\n).*?(<!-- end -->)", re.DOTALL)
        assert place.search(text), f"the page has no place for {name}"
        made = "".join(f"{line}\n" for line in rows(Shown(figures)))
        text = place.sub(rf"\g<1>{made}\g<2>", text)
    PAGE.write_text(text)


class Shown:
    """The figures as the page shows them."""

    def __init__(self, figures: Figures) -> None:
        self.about = figures.about
        self._values = figures.with_ratios()

    def __call__(self, name: str) -> str:
        """The median of the rounds, and from where to where they went."""
        values = self._values.get(name)
        if values is None:
            return "—"
        middle, low, high = (_short(each) for each in (median(values), min(values), max(values)))
        return middle if low == high else f"{middle} ({low}–{high})"

    def beside(self, place: str, what: str, label: str) -> str:
        """A row: ours, the floor's, the ratio."""
        each = (self(f"{place}/{who}/{what}") for who in (OURS, FLOOR, "ratio"))
        return f"| {label} | " + " | ".join(each) + " |"


def _short(value: float) -> str:
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def _machine(shown: Shown) -> Iterator[str]:
    yield from (f"- {name}: {said}" for name, said in shown.about.items())


def _head(*columns: str) -> Sequence[str]:
    return ("| " + " | ".join(columns) + " |", "| --- " * len(columns) + "|")


def _whole_flow(shown: Shown) -> Iterator[str]:
    yield from _head("whole flow", "ours", "floor", "ratio")
    for kind in KINDS:
        place = f"whole flow/{kind}"
        yield shown.beside(place, "persons per s", f"persons/s, {DATABASES[kind]}")
        for what in ("worker", "server"):
            label = f"CPU of the {what}, ms per person, {DATABASES[kind]}"
            yield shown.beside(place, f"{what} CPU ms per person", label)
    place = f"whole flow/{KINDS[0]}"
    label = "CPU of PostgreSQL, ms per person"
    yield shown.beside(place, "database CPU ms per person", label)
    for what in ("events", "bytes", "actions"):
        yield shown.beside(place, f"{what} per person", LABELS[what])


LABELS = {
    "events": "events in the history, per person",
    "bytes": "bytes of the history, per person",
    "actions": "actions that Temporal Cloud bills, per person",
}
TABLES: dict[str, Callable[[Shown], Iterator[str]]] = {
    "machine": _machine,
    "whole flow": _whole_flow,
}
