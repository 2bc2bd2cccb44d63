"""The figures of a run: each has a name and one value for each round."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

CHANGED = 0.2
"""The least change that a comparison shows."""
OURS, FLOOR = "ours", "floor"


@dataclass
class Figures:
    """The values of the rounds, by names such as ``whole flow/sqlite/ours/persons per s``.

    Attributes:
        about: The machine, the programs and the kind of run.
    """

    about: dict[str, Any] = field(default_factory=dict)
    values: dict[str, list[float]] = field(default_factory=dict)

    def add(self, name: str, value: float) -> None:
        """Adds the value of one round."""
        self.values.setdefault(name, []).append(float(f"{value:.4g}"))

    def with_ratios(self) -> dict[str, list[float]]:
        """All figures, and the ratio of ours to the floor's for each round with both."""
        found = dict(self.values)
        for name, ours in self.values.items():
            floor = self.values.get(name.replace(f"/{OURS}/", f"/{FLOOR}/"), ours)
            if floor is not ours and all(floor):
                ratios = [a / b for a, b in zip(ours, floor, strict=False)]
                found[name.replace(f"/{OURS}/", "/ratio/")] = ratios
        return found

    def write(self, path: Path) -> None:
        """Writes the run to a file."""
        said = {"about": self.about, "values": dict(sorted(self.values.items()))}
        path.write_text(json.dumps(said, indent=1) + "\n")

    @classmethod
    def read(cls, path: Path) -> "Figures":
        """Reads a run from a file."""
        return cls(**json.loads(path.read_text()))


def changes(before: Figures, after: Figures) -> list[tuple[str, float, float]]:
    """The figures of both runs that differ by a fifth or more: name, then and now."""
    then, now = before.with_ratios(), after.with_ratios()
    found = []
    for name in sorted(then.keys() & now.keys()):
        old, new = median(then[name]), median(now[name])
        if abs(new - old) > CHANGED * abs(old):
            found.append((name, old, new))
    return found
