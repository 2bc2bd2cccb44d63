"""Reading and judging a learning center's export: each row is one event."""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from intake.files import Table, read_table
from intake.scores import percent
from policy.calendar import CENTRAL
from policy.requirements import (
    AssessmentScored,
    CertificationRecorded,
    Fact,
    TrainingCompleted,
)
from policy.roster import TRAINING_ID, Reason, Row, as_typed
from policy.terms import PORTAL_COURSE
from policy.text import compared, identified, spreadsheet_fault, visible

REQUIRED = {"training_id": "Training ID", "event": "Event", "date": "Date"}
COLUMNS = REQUIRED | {
    "course": "Course",
    "score": "Score",
    "status": "Status",
    "valid_through": "Valid Through",
}
SIGNALS: dict[str, str] = {
    "certification": "certification_recorded",
    "training": "training_completed",
    "assessment": "assessment_scored",
}
SCORE = re.compile(r"([+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,2})?) *(%?)")
MIDNIGHT = re.compile(r"(.+?)[T ]00:00(:00(\.0+)?)?")
FIRST_YEAR, LAST_YEAR = 2000, 2200
"""Earlier years are no real dates: spreadsheets turn a small number into 1900, others zero into
1970."""
SCORE_DIGITS = 12
"""The most digits of a score that a case accepts."""
CERTIFIED = {"certified": True, "not certified": False, "not-certified": False}


class BadValue(ValueError):
    """The value is not what the column needs; the text says what to write."""


@dataclass(frozen=True)
class ResultVerdict:
    """A row's event, or why the row is rejected."""

    line: int
    training_id: str
    reasons: list[Reason] = field(default_factory=list)
    signal: str = ""
    fact: Fact | None = None

    def public(self) -> dict[str, Any]:
        """The verdict as machines read it."""
        return {
            "line": self.line,
            "training_id": self.training_id,
            "verdict": "rejected" if self.reasons else "accepted",
            "reasons": [reason._asdict() for reason in self.reasons],
        }


def read_results(path: Path, encoding: str = "utf-8-sig") -> Table:
    """Opens an export.

    Raises:
        UnreadableFile: If it cannot be read.
    """
    return read_table(path, COLUMNS, REQUIRED, encoding)


def judge_results(table: Table, now: datetime) -> Iterator[ResultVerdict]:
    """Judges every row."""
    for row in table:
        yield judge_result(row, now)


def judge_result(row: Row, now: datetime) -> ResultVerdict:
    """Judges one row. The event's id is a hash of its content, so a repetition is recognized."""
    cells = {name: visible(cell) for name, cell in row.cells.items()}
    training_id = identified(cells["training_id"])
    reasons: list[Reason] = [Reason("row", row.fault, "")] if row.fault else []

    def read(name: str, reader: Any) -> Any:
        try:
            if fault := spreadsheet_fault(cells[name]):
                raise BadValue(fault)
            return reader(cells[name])
        except BadValue as bad:
            reasons.append(Reason(COLUMNS[name], str(bad), ""))
            return None

    if not TRAINING_ID.fullmatch(training_id):
        reasons.append(Reason("Training ID", "is not seven letters or digits", "2b"))
        training_id = as_typed(cells["training_id"])
    event = read("event", read_event)
    occurred_at = read("date", read_moment)
    if occurred_at is not None and occurred_at > now:
        reasons.append(Reason("Date", "lies in the future", ""))
    facts: dict[str, Any] = {}
    match event:
        case "certification":
            facts["certified"] = read("status", read_status)
            facts["valid_through"] = read("valid_through", read_day)
            if not reasons and _ends_before(facts, occurred_at):
                message = "lies before the record's Date; what has ended is Not Certified"
                reasons.append(Reason("Valid Through", message, ""))
        case "training":
            facts["course"] = read("course", read_course)
        case "assessment":
            facts["course"] = read("course", read_course)
            facts["score"] = read("score", read_score)
    if reasons:
        return ResultVerdict(row.line, training_id, reasons)
    return _event(row.line, training_id, event, occurred_at, facts, now)


def event_id(training_id: str, signal: str, occurred_at: datetime, facts: dict[str, Any]) -> str:
    """The event's id; the same content always has the same one."""
    content = f"{training_id}|{signal}|{occurred_at.isoformat()}|{sorted(facts.items())}"
    return hashlib.sha256(content.encode()).hexdigest()[:24]


def read_event(text: str) -> str:
    """The kind of result in a row."""
    event = compared(text)
    if event not in SIGNALS:
        raise BadValue(f"write one of {', '.join(SIGNALS)}")
    return event


def read_course(text: str) -> str:
    """The course's id; the portal's own course if the cell is empty."""
    return text or PORTAL_COURSE


def read_score(text: str) -> Decimal:
    """A percentage, kept exactly.

    A number above 0 and up to 1 without a percent sign is most likely a fraction: 0.85 may mean
    85 % or less than one, and a guess would fail or pass the wrong person.
    """
    found = SCORE.fullmatch(visible(text))
    try:
        # 1E+2 and 100 are the same score.
        score = Decimal(f"{Decimal(found[1] if found else ''):f}")
    except InvalidOperation:
        raise BadValue("is not a number; write a percentage such as 82.5") from None
    if not 0 <= score <= 100:
        raise BadValue("is not a percentage between 0 and 100")
    if found and not found[2] and 0 < score <= 1:
        raise BadValue("looks like a fraction; write 85 or 85% for eighty-five percent")
    short = len(score.as_tuple().digits) <= SCORE_DIGITS
    return score if short else percent(score, Decimal(100))


def read_moment(text: str) -> datetime:
    """When something happened: a date is the start of that day in Central time."""
    try:
        # A bare date becomes its midnight here.
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise BadValue("is not a date; write 2026-11-02 or 2026-11-02T15:04:00-06:00") from None
    if not FIRST_YEAR <= moment.year <= LAST_YEAR:
        raise BadValue(f"is not a date between {FIRST_YEAR} and {LAST_YEAR}")
    local = moment if moment.tzinfo else moment.replace(tzinfo=CENTRAL)
    return local.astimezone(UTC)


def read_day(text: str) -> date | None:
    """A last valid day; None for an empty cell. Databases write a day as its midnight."""
    if not text:
        return None
    midnight = MIDNIGHT.fullmatch(text)
    try:
        day = date.fromisoformat(midnight[1] if midnight else text)
    except ValueError:
        raise BadValue("is not a date; write 2027-10-15") from None
    if not FIRST_YEAR <= day.year <= LAST_YEAR:
        raise BadValue(f"is not a date between {FIRST_YEAR} and {LAST_YEAR}")
    return day


def read_status(text: str) -> bool:
    """Certified or not certified."""
    certified = CERTIFIED.get(compared(text))
    if certified is None:
        raise BadValue("write Certified or Not Certified")
    return certified


def _ends_before(facts: dict[str, Any], occurred_at: datetime) -> bool:
    last: date | None = facts["valid_through"]
    if last is None or not facts["certified"]:
        return False
    return last < occurred_at.astimezone(CENTRAL).date()


def _event(
    line: int,
    training_id: str,
    event: str,
    occurred_at: datetime,
    facts: dict[str, Any],
    now: datetime,
) -> ResultVerdict:
    kinds: dict[str, type[Fact]] = {
        "certification": CertificationRecorded,
        "training": TrainingCompleted,
        "assessment": AssessmentScored,
    }
    signal = SIGNALS[event]
    identity = event_id(training_id, signal, occurred_at, facts)
    day = occurred_at.astimezone(CENTRAL)
    if facts.get("certified") is False and day.time() == time():
        # The hour of a bare date is unknown: a withdrawal of the same day must not lose to it.
        end = datetime.combine(day.date() + timedelta(days=1), time(), CENTRAL)
        occurred_at = min(end.astimezone(UTC) - timedelta(seconds=1), now)
    try:
        fact = kinds[event](event_id=identity, occurred_at=occurred_at, **facts)
    except ValidationError:
        reason = Reason("Course", "holds characters that a course id cannot have", "")
        return ResultVerdict(line, training_id, [reason])
    return ResultVerdict(line, training_id, [], signal, fact)
