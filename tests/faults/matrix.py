"""The fault matrix: each kind of fault, the number of its runs, and their results."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from rich.console import Console
from rich.table import Table

COLUMNS = ("fault", "where", "runs", "lost", "doubled", "recovered by itself", "seconds to recover")
BEGIN, END = "<!-- the matrix: written by ./run faults -->", "<!-- end of the matrix -->"


@dataclass
class Row:
    """One kind of fault at one place.

    Attributes:
        allowed: Mails that came twice because the worker died before it could record them as sent.
        seconds: The seconds of each run from the fault to the end of all work.
    """

    fault: str
    where: str
    runs: int = 0
    lost: int = 0
    doubled: int = 0
    allowed: int = 0
    recovered: int = 0
    seconds: list[float] = field(default_factory=list)

    def cells(self) -> list[str]:
        """The cells of the row in the table."""
        doubled = (
            f"{self.doubled} (+{self.allowed} in the window)" if self.allowed else f"{self.doubled}"
        )
        spent = sorted(self.seconds)
        time = f"{median(spent):.0f}, at most {spent[-1]:.0f}" if spent else "–"
        return [
            self.fault,
            self.where,
            f"{self.runs}",
            f"{self.lost}",
            doubled,
            f"{self.recovered} of {self.runs}",
            time,
        ]


class Matrix:
    """The rows, in the order of their first runs."""

    def __init__(self) -> None:
        self._rows: dict[tuple[str, str], Row] = {}

    def add(
        self,
        fault: str,
        where: str,
        *,
        lost: int = 0,
        doubled: int = 0,
        allowed: int = 0,
        recovered: bool = True,
        seconds: float,
    ) -> None:
        """Counts one run."""
        row = self._rows.setdefault((fault, where), Row(fault, where))
        row.runs += 1
        row.lost += lost
        row.doubled += doubled
        row.allowed += allowed
        row.recovered += recovered
        row.seconds.append(seconds)

    def show(self, console: Console) -> None:
        """Prints the table."""
        if not self._rows:
            return
        table = Table(*COLUMNS, title="Fault matrix")
        for cells in self._cells():
            table.add_row(*cells)
        console.print(table)

    def write(self, document: Path) -> None:
        """Replaces the table in a document."""
        lines = [" | ".join(cells) for cells in (COLUMNS, ["---"] * len(COLUMNS), *self._cells())]
        table = "\n".join(f"| {line} |" for line in lines)
        before, _, rest = document.read_text().partition(BEGIN)
        _, _, after = rest.partition(END)
        document.write_text(f"{before}{BEGIN}\n{table}\n{END}{after}")

    def _cells(self) -> Iterable[list[str]]:
        return [row.cells() for row in self._rows.values()]
