"""Reading and judging a list of agencies and their authorized contacts."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from intake.files import UNNAMED, Table, read_table
from policy.addresses import BadAddress, clean_address, mailbox_key
from policy.requirements import AgencyId
from policy.roster import Reason, Row, as_typed, name_fault, person_fault
from policy.text import on_one_line, spreadsheet_fault, visible

COLUMNS = {
    "agency_id": "Agency ID",
    "agency_name": "Agency Name",
    "contact_name": "Contact Name",
    "contact_email": "Contact Email",
}
AGENCY_ID = TypeAdapter[str](AgencyId)


@dataclass(frozen=True)
class AgencyVerdict:
    """A row's agency and contact, or why the row is rejected."""

    line: int
    agency_id: str
    name: str = ""
    contact: str = ""
    email: str = ""
    reasons: list[Reason] = field(default_factory=list)

    def public(self) -> dict[str, Any]:
        """The verdict as machines read it."""
        return {
            "line": self.line,
            "agency_id": self.agency_id,
            "verdict": "rejected" if self.reasons else "accepted",
            "reasons": [reason._asdict() for reason in self.reasons],
        }


def read_agencies(path: Path, encoding: str = UNNAMED) -> Table:
    """Opens a list of contacts.

    Raises:
        UnreadableFile: If it cannot be read.
    """
    return read_table(path, COLUMNS, COLUMNS, encoding)


def judge_agencies(table: Table) -> Iterator[AgencyVerdict]:
    """Judges every row; rejects a row that contradicts an earlier one."""
    said: dict[tuple[str, str], tuple[int, str]] = {}
    for row in table:
        verdict = _judge(row)
        if not verdict.reasons:
            for column, key, value in (
                ("Agency ID", "id", verdict.agency_id),
                ("Agency Name", "", verdict.name),
                ("Contact Name", mailbox_key(verdict.email), verdict.contact),
            ):
                agency = verdict.agency_id.casefold()
                line, before = said.setdefault((agency, key), (row.line, value))
                if value != before:
                    message = f"is another one in line {line}; write the same in both"
                    verdict.reasons.append(Reason(column, message, "1"))
        yield verdict


def _judge(row: Row) -> AgencyVerdict:
    reasons = [Reason("row", row.fault, "")] if row.fault else []

    def reject(name: str, message: str) -> None:
        reasons.append(Reason(COLUMNS[name], message, "1"))

    agency_id = visible(row.cells["agency_id"])
    try:
        AGENCY_ID.validate_python(agency_id)
    except ValidationError:
        fault = "is empty" if not agency_id else spreadsheet_fault(agency_id)
        reject("agency_id", fault or "is not 1 to 40 letters, digits, - and _")
        agency_id = as_typed(agency_id)
    texts = {each: on_one_line(row.cells[each]) for each in ("agency_name", "contact_name")}
    for (name, text), judged in zip(texts.items(), (name_fault, person_fault), strict=True):
        if fault := judged(text, COLUMNS[name]):
            reject(name, fault)
    email = ""
    try:
        email = clean_address(row.cells["contact_email"])
    except BadAddress as bad:
        cell = visible(row.cells["contact_email"])
        reject("contact_email", f"“{as_typed(cell)}” {bad}" if cell else "is empty")
    name, contact = texts.values()
    return AgencyVerdict(row.line, agency_id, name, contact, email, reasons)
