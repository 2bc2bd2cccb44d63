"""The configured format of a training system's exports.

Nothing is guessed: the names of its columns and courses, the scale of its scores and the zone of
its clock are configured. Everything else is read as `intake.results` does.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime, time
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BaseModel, ConfigDict, model_validator

from intake.files import UNNAMED, Table, read_table
from intake.results import COLUMNS, REQUIRED, SCORE, ResultVerdict, judge_result
from intake.scores import percent
from policy.calendar import CENTRAL
from policy.requirements import CourseId
from policy.roster import Row
from policy.text import visible

Column = Literal[
    "training_id", "event", "date", "course", "score", "maximum", "status", "valid_through"
]
Event = Literal["certification", "training", "assessment"]


class Scale(StrEnum):
    """The scale of a score."""

    PERCENT = "percent"
    """82.5 is 82.5 %."""
    FRACTION = "fraction"
    """0.825 is 82.5 %."""
    POINTS = "points"
    """33 of a maximum of 40, in a column of its own, is 82.5 %."""


def _known_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError("is not a time zone such as America/Chicago") from None
    return name


class ExportFormat(BaseModel):
    """How one training system writes its exports.

    Attributes:
        columns: Its names of columns that differ from ours.
        event: The kind of every row, if no column says it.
        courses: Our course for each of its names of courses. If any are given, a row of another
            course is rejected.
        date_format: As in `strptime`; empty for ISO 8601.
        zone: The zone of times without an offset.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    columns: dict[Column, str] = {}
    event: Event | None = None
    courses: dict[str, CourseId] = {}
    scale: Scale = Scale.PERCENT
    date_format: str = ""
    zone: Annotated[str, AfterValidator(_known_zone)] = CENTRAL.key

    @model_validator(mode="after")
    def _points_have_a_maximum(self) -> "ExportFormat":
        if (self.scale is Scale.POINTS) != ("maximum" in self.columns):
            raise ValueError("scale points and a column for the maximum belong together")
        return self

    def read(self, path: Path, encoding: str = UNNAMED) -> Table:
        """Opens an export.

        Raises:
            UnreadableFile: If it cannot be read.
        """
        columns = COLUMNS | self.columns
        required = {name: columns[name] for name in REQUIRED if name != "event" or not self.event}
        return read_table(path, columns, required, encoding)

    def judge(self, export: Table, now: datetime) -> Iterator[ResultVerdict]:
        """Judges every row."""
        for row in export:
            yield judge_result(self._in_our_words(row), now)

    def _in_our_words(self, row: Row) -> Row:
        cells = {name: visible(cell) for name, cell in row.cells.items()}
        try:
            if self.event:
                cells["event"] = self.event
            if self.courses:
                cells["course"] = self._course(cells["course"])
            if cells["score"]:
                cells["score"] = self._percent(cells)
            if cells["date"]:
                cells["date"] = self._moment(cells["date"])
        except ValueError as bad:
            return Row(row.line, cells, row.fault or str(bad))
        return Row(row.line, cells, row.fault)

    def _course(self, name: str) -> str:
        if name not in self.courses:
            raise ValueError("names a course that is not configured for this source")
        return self.courses[name]

    def _percent(self, cells: Mapping[str, str]) -> str:
        found = SCORE.fullmatch(cells["score"])
        if found is None:
            return cells["score"]  # said in its own words by the judge
        try:
            number, sign = found.groups()
            match Scale.PERCENT if sign else self.scale:
                case Scale.PERCENT:
                    whole = Decimal(100)
                case Scale.FRACTION:
                    whole = Decimal(1)
                case Scale.POINTS:
                    whole = Decimal(cells["maximum"])
            if not whole > 0:
                raise ValueError("has a score without a maximum above 0")
            sure = sign or self.scale is not Scale.PERCENT
            return f"{percent(Decimal(number), whole)}{'%' if sure else ''}"
        except ArithmeticError:
            raise ValueError("has a score, or its maximum, that is not a number") from None

    def _moment(self, text: str) -> str:
        try:
            if self.date_format:
                moment = datetime.strptime(text, self.date_format)  # noqa: DTZ007
            else:
                moment = datetime.fromisoformat(text)
            if moment.tzinfo is None and moment.time() == time():
                return moment.date().isoformat()  # a day, in whatever zone the clock runs
            return (
                moment if moment.tzinfo else moment.replace(tzinfo=ZoneInfo(self.zone))
            ).isoformat()
        except (ValueError, OverflowError):
            form = self.date_format or "2026-11-02 or 2026-11-02T15:04:00-06:00"
            raise ValueError(f"has a date that is not written as {form}") from None
