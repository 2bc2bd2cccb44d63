"""Writes the tables of docs/performance.md and its pictures; the text between them stays.

Each table is between ``<!-- bench: NAME -->`` and ``<!-- end -->``. A dash is a figure that this
run did not measure.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from statistics import median

from bench import bars, peer, pictures
from bench.figures import FLOOR, OURS, Figures
from bench.site import DATABASES, KINDS
from embedded.stack import ROOT

PAGE = ROOT / "docs/performance.md"
PICTURES = ROOT / "docs/pictures"
FLOWS = {OURS: "ours", FLOOR: "Temporal alone, the floor", **peer.NAMES}
DASH = "—"


def write(figures: Figures) -> None:
    """Writes the figures of a run into the page."""
    text = PAGE.read_text()
    for name, rows in TABLES.items():
        place = re.compile(rf"(<!-- bench: {name} -->\n).*?(<!-- end -->)", re.DOTALL)
        assert place.search(text), f"the page has no place for {name}"
        made = "".join(f"{line}\n" for line in rows(Shown(figures)))
        text = place.sub(lambda found, made=made: found[1] + made + found[2], text)  # type: ignore[misc]
    PAGE.write_text(text)


def draw(figures: Figures) -> None:
    """Draws the pictures."""
    values = {name: median(rounds) for name, rounds in figures.values.items()}
    speeds = {
        says: values[f"whole flow/{KINDS[0]}/{who}/persons per s"]
        for who, says in FLOWS.items()
        if f"whole flow/{KINDS[0]}/{who}/persons per s" in values
    }
    if speeds:
        drawn = pictures.bars("Persons per second, PostgreSQL", speeds, ours=FLOWS[OURS])
        (PICTURES / "performance-flow.svg").write_text(drawn)
    charts = [_curves(values, title, what) for title, what in GROWING.items()]
    if all(chart.lines for chart in charts):
        (PICTURES / "performance-growth.svg").write_text(pictures.growth(charts))


GROWING = {
    "opened per second": "opened per s",
    "KB stored per case": "KB stored per case",
    "MB in memory per case": "MB in memory per case",
}


def _curves(values: dict[str, float], title: str, what: str) -> pictures.Curves:
    lines = {}
    for who in (OURS, FLOOR):
        start = f"cases/{KINDS[0]}/{who}/{what}, "
        points = [(int(e.removeprefix(start)), values[e]) for e in values if e.startswith(start)]
        if points:
            lines[who] = points
    return pictures.Curves(title, lines)


class Shown:
    """The figures as the page shows them."""

    def __init__(self, figures: Figures) -> None:
        self.figures = figures
        self.values = figures.with_ratios()

    def __call__(self, name: str) -> str:
        """The median of the rounds, with the least and the greatest value."""
        values = self.values.get(name)
        if values is None:
            return DASH
        middle, low, high = map(_short, (median(values), min(values), max(values)))
        return middle if low == high else f"{middle} ({low}–{high})"

    def count(self, name: str) -> str:
        """The median of a count, as a whole number."""
        values = self.values.get(name)
        return DASH if values is None else f"{median(values):.0f}"

    def beside(self, place: str, what: str, label: str) -> str:
        """A row with ours, the floor's and the ratio."""
        cells = (self(f"{place}/{who}/{what}") for who in (OURS, FLOOR, "ratio"))
        return f"| {label} | " + " | ".join(cells) + " |"

    def sizes(self, start: str) -> list[int]:
        """The sizes that were measured: a figure's name ends in one."""
        names = (name for name in self.values if name.startswith(start))
        return sorted(int(name.removeprefix(start)) for name in names)


def _short(value: float) -> str:
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def _head(*columns: str) -> Sequence[str]:
    return ("| " + " | ".join(columns) + " |", "| --- " * len(columns) + "|")


def _machine(shown: Shown) -> Iterator[str]:
    yield from (f"- {name}: {said}" for name, said in shown.figures.about.items())


def _bars(shown: Shown) -> Iterator[str]:
    yield from _head("what", "bar", "measured", "kept")
    for says, bound, value, met in bars.rows(shown.figures):
        measured = DASH if value is None else _short(value)
        kept = {None: DASH, True: "yes", False: "**no**"}[met]
        yield f"| {says} | {bound} | {measured} | {kept} |"


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
    for what, label in (
        ("events", "events in the history, per person"),
        ("bytes", "bytes of the history, per person"),
        ("actions", "actions that Temporal Cloud bills, per person"),
    ):
        yield shown.beside(place, f"{what} per person", label)


def _profile(shown: Shown) -> Iterator[str]:
    yield from _head("what the worker runs Python for", "%")
    yield from _profiled(shown, "profile/step/")
    yield from ("", *_head("where", "%"))
    yield from _profiled(shown, "profile/place/")


def _profiled(shown: Shown, start: str) -> Iterator[str]:
    shares = {name: median(kept) for name, kept in shown.values.items() if name.startswith(start)}
    for name, share in sorted(shares.items(), key=lambda item: -item[1]):
        yield f"| {name.removeprefix(start)} | {share:.0f} |"


def _latency(shown: Shown) -> Iterator[str]:
    yield from _head("last requirement to activation mail, ms", "ours", "floor", "ratio")
    for kind in KINDS:
        for when, label in (("idle", "idle"), ("half rate", "at half our highest rate")):
            for what in ("median", "p99"):
                row = f"{what}, {label}, {DATABASES[kind]}"
                yield shown.beside(f"latency/{kind}", f"{when} {what} ms", row)


def _peers(shown: Shown) -> Iterator[str]:
    yield from _head(
        "flow",
        "persons/s",
        "CPU ms per person",
        "with a kill: persons/s",
        "mails lost",
        "mails twice",
    )
    for who, says in FLOWS.items():
        place = f"whole flow/{KINDS[0]}/{who}"
        speed, used = shown(f"{place}/persons per s"), shown(f"{place}/all CPU ms per person")
        killed = shown(f"kill/{who}/persons per s")
        lost, twice = (shown.count(f"kill/{who}/mails {what}") for what in ("lost", "twice"))
        yield f"| {says} | {speed} | {used} | {killed} | {lost} | {twice} |"


def _cases(shown: Shown) -> Iterator[str]:
    yield from _head("cases", "ours", "floor", "ratio")
    for kind in KINDS:
        for what, label in (
            ("opened per s", "opened per second, of {}"),
            ("opened and waiting per s", "opened per second until all wait, of {}"),
            ("KB stored per case", "KB stored for each of {}"),
            ("MB in memory per case", "MB in the worker's memory for each of {}"),
            ("idle CPU of the worker for them, % of a core", "idle CPU of the worker for {}, %"),
            ("idle CPU of the server for them, % of a core", "idle CPU of the server for {}, %"),
            ("answered per s", "answered per second by a fresh worker, of {}"),
        ):
            for size in shown.sizes(f"cases/{kind}/{OURS}/{what}, "):
                row = f"{label.format(f'{size:,}')}, {DATABASES[kind]}"
                yield shown.beside(f"cases/{kind}", f"{what}, {size}", row)


def _parts(shown: Shown) -> Iterator[str]:
    yield from _head("part", "ours", "floor", "ratio")
    yield shown.beside("mails", "mails per s", "mails/s; floor: a bare loop of aiosmtplib")
    for what in ("median", "p99"):
        label = f"signed event at the gateway, {what} ms; floor: an empty handler and one insert"
        yield shown.beside("gateway", f"{what} ms", label)
    for size in shown.sizes(f"roster check/{OURS}/rows per s, "):
        label = f"rows checked per second, of {size:,}; floor: read and validate types"
        yield shown.beside("roster check", f"rows per s, {size}", label)
        yield shown.beside("roster check", f"MB, {size}", f"MB to check {size:,} rows")
    events = shown.count("replay/ours/events")
    yield shown.beside("replay", "ms", f"replay of a five-year history of {events} events, ms")
    for name in ("--help", "status"):
        yield f"| `starter.py {name}`, s | {shown(f'starts/{name}/wall s')} | {DASH} | {DASH} |"


TABLES: dict[str, Callable[[Shown], Iterator[str]]] = {
    "machine": _machine,
    "bars": _bars,
    "whole flow": _whole_flow,
    "peers": _peers,
    "profile": _profile,
    "latency": _latency,
    "cases": _cases,
    "parts": _parts,
}
