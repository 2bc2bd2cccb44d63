"""Draws figures as SVG that is readable on light and dark pages."""

from collections.abc import Mapping, Sequence
from html import escape
from math import ceil, log10
from typing import NamedTuple

STYLE = """<style>
text { font: 13px system-ui, sans-serif; fill: #59636e }
.title { font-weight: 600; fill: #1f2328 }
.ours { fill: #0969da; stroke: #0969da } .other { fill: #818b98; stroke: #818b98 }
.axis { stroke: #d1d9e0 } path { fill: none !important; stroke-width: 2 }
@media (prefers-color-scheme: dark) {
text { fill: #9198a1 } .title { fill: #f0f6fc } .axis { stroke: #3d444d }
.ours { fill: #4493f8; stroke: #4493f8 } .other { fill: #767e87; stroke: #767e87 } }
</style>"""
WIDTH = 720


def bars(title: str, lengths: Mapping[str, float], *, ours: str) -> str:
    """Draws horizontal bars; the longest has full width."""
    left, room = 190, WIDTH - 190 - 70
    longest = max(lengths.values())
    drawn = [f'<text class="title" x="0" y="16">{escape(title)}</text>']
    for row, (name, value) in enumerate(lengths.items()):
        y, width = 32 + 26 * row, room * value / longest
        look = "ours" if name == ours else "other"
        drawn += [
            f'<text x="{left - 10}" y="{y + 13}" text-anchor="end">{escape(name)}</text>',
            f'<rect class="{look}" x="{left}" y="{y}" width="{width:.0f}" height="17" rx="2"/>',
            f'<text x="{left + width + 8:.0f}" y="{y + 13}">{value:.3g}</text>',
        ]
    return _svg(drawn, WIDTH, 36 + 26 * len(lengths))


class Curves(NamedTuple):
    """One chart: its title, and the points of each line."""

    title: str
    lines: Mapping[str, Sequence[tuple[float, float]]]


def growth(charts: Sequence[Curves]) -> str:
    """Draws charts side by side; the x axis is logarithmic."""
    each = WIDTH / len(charts)
    drawn: list[str] = []
    for number, chart in enumerate(charts):
        drawn += _chart(chart, number * each, each - 24)
    return _svg(drawn, WIDTH, 250)


def _chart(chart: Curves, x0: float, width: float) -> list[str]:
    top, bottom, left = 40, 200, 40
    points = [point for line in chart.lines.values() for point in line]
    first, last = (log10(bound(x for x, _ in points)) for bound in (min, max))
    highest = _round_up(max(y for _, y in points))

    def at(x: float, y: float) -> tuple[float, float]:
        along = (log10(x) - first) / ((last - first) or 1)
        return x0 + left + along * (width - left - 10), bottom - y / highest * (bottom - top)

    drawn = [f'<text class="title" x="{x0:.0f}" y="16">{escape(chart.title)}</text>']
    for y in (0.0, highest / 2, highest):
        _, level = at(10**first, y)
        drawn += [
            f'<path class="axis" d="M{x0 + left:.0f} {level:.0f}H{x0 + width:.0f}"/>',
            f'<text x="{x0 + left - 6:.0f}" y="{level + 4:.0f}" text-anchor="end">{y:g}</text>',
        ]
    for x in sorted({x for x, _ in points}):
        along, _ = at(x, 0)
        drawn.append(f'<text x="{along:.0f}" y="218" text-anchor="middle">{x:,.0f}</text>')
    for row, (name, line) in enumerate(chart.lines.items()):
        look = "ours" if row == 0 else "other"
        places = [at(x, y) for x, y in sorted(line)]
        route = "L".join(f"{x:.0f} {y:.0f}" for x, y in places)
        drawn.append(f'<path class="{look}" d="M{route}"/>')
        drawn += [f'<circle class="{look}" cx="{x:.0f}" cy="{y:.0f}" r="3"/>' for x, y in places]
        key = x0 + left + 90 * row
        drawn += [
            f'<circle class="{look}" cx="{key:.0f}" cy="237" r="4"/>',
            f'<text x="{key + 10:.0f}" y="241">{escape(name)}</text>',
        ]
    return drawn


def _round_up(value: float) -> float:
    step: float = 10.0 ** (ceil(log10(value)) - 1)
    return step * ceil(value / step)


def _svg(drawn: Sequence[str], width: int, height: int) -> str:
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img">'
    return "\n".join([head, STYLE, *drawn, "</svg>", ""])
