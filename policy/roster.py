"""The verdict on a roster row (clauses 1.1 to 1.3b).

A row is accepted, or rejected with every reason at once. Nothing is guessed and nothing is
repaired: a cell that does not say what it must goes back to the agency.
"""

import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, NamedTuple

import phonenumbers

from policy.addresses import (
    BadAddress,
    clean_address,
    has_controls,
    is_generic,
    mailbox_key,
    mixes_scripts,
    visible,
)
from policy.requirements import AssisterType

REQUIRED = {
    "first_name": "First Name",
    "last_name": "Last Name",
    "email": "Email",
    "training_id": "Training ID",
    "employment": "Current Employment Status",
    "access": "Assister Portal Access",
    "public_phone": "Public-Facing Phone Number",
    "public_email": "Public-Facing Email",
}
OPTIONAL = {
    "business_address": "Business Address",
    "languages": "Languages Spoken",
    "counties": "Counties Served",
}
COLUMNS = REQUIRED | OPTIONAL

TRAINING_ID = re.compile(r"[A-Z0-9]{7}")
"""The Unique Key (clause 2b): seven letters or digits."""

YES = frozenset({"yes", "y", "true", "1"})
NO = frozenset({"no", "n", "false", "0"})
EMPLOYMENT = {"active": True, "inactive": False}

MAX_CELL = 300
SHOWN = 40
FORMULA = ("=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠")


class Reason(NamedTuple):
    """Why a row is rejected.

    Attributes:
        field: The column, in the roster's words.
        clause: The policy sentence it rests on, empty where there is none.
    """

    field: str
    message: str
    clause: str


class Row(NamedTuple):
    """A data row: its line in the file and its cells by field name.

    Attributes:
        fault: What is wrong with the row as a whole, empty where nothing is.
    """

    line: int
    cells: Mapping[str, str]
    fault: str = ""


@dataclass(frozen=True)
class Entry:
    """What an accepted row says.

    Attributes:
        approved: "Yes" in "Assister Portal Access" (clause 1.1).
        public_phone: E.164, with ``;ext=`` where there is an extension.
    """

    training_id: str
    first_name: str
    last_name: str
    email: str
    employed: bool
    approved: bool
    public_phone: str
    public_email: str
    business_address: str
    languages: str
    counties: str

    @property
    def grants(self) -> bool:
        """Whether the agency wants the person to have access (clauses 1.1, before.1)."""
        return self.approved and self.employed


@dataclass(frozen=True)
class Verdict:
    """Accepted with its entry, or rejected with its reasons."""

    line: int
    training_id: str
    reasons: list[Reason] = field(default_factory=list)
    entry: Entry | None = None

    @property
    def verdict(self) -> str:
        """``accepted`` or ``rejected``."""
        return "rejected" if self.reasons else "accepted"

    def public(self) -> dict[str, Any]:
        """The verdict for machines."""
        return {
            "line": self.line,
            "training_id": self.training_id,
            "verdict": self.verdict,
            "reasons": [reason._asdict() for reason in self.reasons],
        }


class Collisions:
    """Which rows of one roster claim the same Training ID or the same mailbox.

    Filled in a first pass; holds keys and line numbers only.
    """

    def __init__(self) -> None:
        self._training_ids: defaultdict[str, list[int]] = defaultdict(list)
        self._mailboxes: defaultdict[str, list[int]] = defaultdict(list)

    def add(self, row: Row) -> None:
        """Takes note of a row."""
        if training_id := row.cells["training_id"].strip().upper():
            self._training_ids[training_id].append(row.line)
        # Not validated here: a bad address is rejected for itself, whatever it collides with.
        if email := visible(row.cells["email"]):
            self._mailboxes[mailbox_key(email)].append(row.line)

    def others(self, row: Row, email: str | None) -> list[Reason]:
        """The reasons that other rows give against this one."""
        reasons = []
        same = self._training_ids.get(row.cells["training_id"].strip().upper(), [])
        if len(same) > 1:
            message = f"the same Training ID stands in {_lines(same, row.line)}"
            reasons.append(Reason(COLUMNS["training_id"], message, "2b"))
        same = self._mailboxes.get(mailbox_key(email), []) if email is not None else []
        if len(same) > 1:
            message = (
                f"the same mailbox stands in {_lines(same, row.line)} (case, +tags and Gmail dots"
                " make no difference); each assister needs an address of their own"
            )
            reasons.append(Reason(COLUMNS["email"], message, "1.2a"))
        return reasons


def judge(
    row: Row, roster_type: AssisterType, collisions: Collisions, taken: Mapping[str, str]
) -> Verdict:
    """The verdict on one row.

    Args:
        collisions: The roster's first pass.
        taken: Which Training ID holds a mailbox in the records, by mailbox key.
    """
    cells = row.cells
    reasons: list[Reason] = []

    def reject(name: str, message: str, clause: str = "") -> None:
        reasons.append(Reason(COLUMNS[name], message, clause))

    if row.fault:
        reasons.append(Reason("row", row.fault, ""))
    training_id = cells["training_id"].strip().upper()
    if not TRAINING_ID.fullmatch(training_id):
        reject("training_id", _training_id_fault(cells["training_id"]), "2b")
        training_id = as_typed(cells["training_id"])
    names = {each: _name(cells[each], each, reject) for each in ("first_name", "last_name")}
    email = _certification_email(cells["email"], reject)
    if email is not None:
        holder = taken.get(mailbox_key(email))
        if holder is not None and holder != training_id:
            reject(
                "email", "belongs to another assister already; each needs one of their own", "1.2a"
            )
    approved = read_access(cells["access"])
    if approved is None:
        reject("access", f"says {_shown(cells['access'])}; write Yes or No", "1.1")
    employed = EMPLOYMENT.get(_word(cells["employment"]))
    if employed is None:
        reject("employment", f"says {_shown(cells['employment'])}; write Active or Inactive")
    # Clause 1.3a asks it of assisters; a CAC without portal access is not shown to consumers.
    needed = roster_type is AssisterType.NAVIGATOR or bool(approved)
    phone = _public_phone(cells["public_phone"], needed, reject)
    public_email = _public_email(cells["public_email"], needed, reject)
    for each in OPTIONAL:
        if len(cells[each]) > MAX_CELL or has_controls(cells[each]):
            reject(each, f"is longer than {MAX_CELL} characters or holds control characters")
    reasons += collisions.others(row, email)
    if reasons or email is None or approved is None or employed is None:
        return Verdict(row.line, training_id, reasons)
    entry = Entry(
        training_id=training_id,
        first_name=names["first_name"],
        last_name=names["last_name"],
        email=email,
        employed=employed,
        approved=approved,
        public_phone=phone,
        public_email=public_email,
        business_address=cells["business_address"].strip(),
        languages=cells["languages"].strip(),
        counties=cells["counties"].strip(),
    )
    return Verdict(row.line, training_id, [], entry)


def read_access(cell: str) -> bool | None:
    """Approval as "Assister Portal Access" says it (clause 1.1); None where it does not."""
    word = _word(cell)
    return True if word in YES else False if word in NO else None


def as_typed(cell: str) -> str:
    """What stands where a Training ID should, safe for a terminal, a database and a spreadsheet."""
    text = _printable(cell)[:SHOWN]
    return f"'{text}" if text.startswith(FORMULA) else text


def _certification_email(cell: str, reject: Any) -> str | None:
    if not cell.strip():
        reject("email", "is empty; an address of the assister's own is needed", "1.2a")
        return None
    try:
        email = clean_address(cell)
    except BadAddress as bad:
        reject("email", f"{_shown(cell)} {bad}", "1.2a")
        return None
    if is_generic(email):
        reject("email", f"{_shown(email)} is generic; give the assister's own address", "1.2b")
    return email


def _public_phone(cell: str, needed: bool, reject: Any) -> str:
    if not cell.strip():
        if needed:
            reject("public_phone", "is empty; a number for consumers is needed", "1.3a")
        return ""
    phone = read_phone(cell.strip())
    if phone is None:
        hint = "; format the column as text" if re.search(r"\dE\+", cell, re.I) else ""
        reject("public_phone", f"{_shown(cell)} is not a phone number{hint}", "1.3a")
        return ""
    return phone


def _public_email(cell: str, needed: bool, reject: Any) -> str:
    if not cell.strip():
        if needed:
            reject("public_email", "is empty; an address for consumers is needed", "1.3a")
        return ""
    try:
        return clean_address(cell)
    except BadAddress as bad:
        reject("public_email", f"{_shown(cell)} {bad}", "1.3a")
        return ""


@lru_cache(maxsize=4096)
def read_phone(text: str) -> str | None:
    """A phone number as E.164 with ``;ext=``, read as in the United States; None if it is none."""
    if (
        len(text) > MAX_CELL
        or text.startswith(("=", "@"))
        or re.search(r"\dE\+\d", text, re.IGNORECASE)
    ):
        return None
    try:
        number = phonenumbers.parse(text, "US")
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_possible_number(number) or not phonenumbers.is_valid_number(number):
        return None
    plain = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    return f"{plain};ext={number.extension}" if number.extension else plain


def _name(cell: str, name: str, reject: Any) -> str:
    text = cell.replace("\u00a0", " ").strip()
    if not text:
        reject(name, "is empty")
    elif len(text) > 100:
        reject(name, "is longer than 100 characters")
    elif text.startswith(FORMULA) or has_controls(text) or "=?" in text or "://" in text:
        reject(name, f"{_shown(text)} is not a name; type it as plain text")
    elif mixes_scripts(text):
        reject(name, f"{_shown(text)} mixes look-alike letters of different alphabets")
    elif not any(each.isalpha() for each in text):
        reject(name, f"{_shown(text)} is not a name")
    return text


def _training_id_fault(cell: str) -> str:
    text = cell.strip()
    if not text:
        return "is empty"
    if re.fullmatch(r'="?.*"?', text) or re.fullmatch(r"[\d.]+(E\+?\d+)?", text, re.IGNORECASE):
        return (
            f"{_shown(text)} looks changed by a spreadsheet; format the column as text and enter"
            " the seven characters again"
        )
    return f"{_shown(text)} is not seven letters or digits"


def _word(cell: str) -> str:
    return cell.replace("\u00a0", " ").strip().casefold()


def _shown(cell: str) -> str:
    plain = _printable(cell)
    return f"“{plain[:SHOWN]}{'…' if len(plain) > SHOWN else ''}”" if plain else "nothing"


def _printable(cell: str) -> str:
    # Far more than is shown, and little enough that a cell of any size costs nothing.
    return "".join(each if each.isprintable() else "·" for each in cell.strip()[: 10 * SHOWN])


def _lines(lines: list[int], own: int) -> str:
    others = [str(each) for each in lines if each != own]
    more = f" and {len(others) - 5} more" if len(others) > 5 else ""
    return f"line{'s' if len(others) > 1 else ''} {', '.join(others[:5])}{more}"
