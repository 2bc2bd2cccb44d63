"""The verdict on a roster row (clauses 1.1 to 1.3b).

A row is accepted, or rejected with all its reasons at once. The program does not guess or repair:
the agency must correct a cell that is not clear.
"""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Container, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, NamedTuple

import phonenumbers

from policy.addresses import BadAddress, clean_address, is_generic, mailbox_key
from policy.requirements import AssisterType
from policy.text import (
    compared,
    identified,
    misread,
    mixes_scripts,
    on_one_line,
    quoted,
    spreadsheet_fault,
    unprintable,
    visible,
)

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
PANDAS_FLOAT = re.compile(r"^(\d{10,11})\.0+$")
"""A whole number that a data program wrote with a decimal place."""
ABROAD_OR_NOT = re.compile(r"\+[\s(.-]*[2-9](?:[\s().-]*\d){9}")
"""Ten digits behind a plus: of another country, or of this one without its 1."""
FAX = re.compile(r"fax\b", re.IGNORECASE)
DIGITS_ALONE = re.compile(r"[\d ().+-]+")
LABEL = re.compile(r"^[^\W\d_][^\W\d_ .]*[^\d\w]*[:\s]\s*")
EXTENSION = re.compile(r"[\s,;]*(?:ext(?:ension|n)?|x|#|,,)[\s.:=]*\d{1,7}#?$", re.IGNORECASE)
VANITY = 3
"""The length of the shortest word that may stand for digits in a phone number."""
NO_NAMES = frozenset(
    [
        "n/a", "n.a.", "n\\a", "\\n", "none", "no name", "not applicable", "not available",
        "see above", "tbd", "tba", "tbh", "to be announced", "to be determined", "to be hired",
        "new hire", "open", "open position", "vacancy", "vacant", "unassigned", "undefined",
        "unknown", "deleted", "false",
    ]
)  # fmt: skip
"""What programs and people write instead of a name. Null, Nan and Na are real names."""
NAME_SIGNS = re.compile("[^\\W_]|[\\s'’‘ʻʼ´`.,()\"“”„«»/&·‐‑–-]")
"""What the name of a person is made of, marks that belong to a letter aside."""
FORMULA = ("=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠")


class Reason(NamedTuple):
    """One reason why a row is rejected.

    Attributes:
        field: The column, in the roster's words.
        clause: The policy sentence it rests on; empty if there is none.
    """

    field: str
    message: str
    clause: str


class Row(NamedTuple):
    """A data row: its line in the file, and its cells by field name.

    Attributes:
        fault: What is wrong with the row as a whole; empty if nothing is.
    """

    line: int
    cells: Mapping[str, str]
    fault: str = ""


@dataclass(frozen=True)
class Entry:
    """What an accepted row says.

    Attributes:
        approved: "Yes" in "Assister Portal Access" (clause 1.1).
        public_phone: E.164, with ``;ext=`` if there is an extension.
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
    """What became of a row: accepted with its entry, or rejected with its reasons."""

    line: int
    training_id: str
    reasons: list[Reason] = field(default_factory=list)
    entry: Entry | None = None

    @property
    def verdict(self) -> str:
        """``accepted`` or ``rejected``."""
        return "rejected" if self.reasons else "accepted"

    def public(self) -> dict[str, Any]:
        """The verdict as machines read it."""
        return {
            "line": self.line,
            "training_id": self.training_id,
            "verdict": self.verdict,
            "reasons": [reason._asdict() for reason in self.reasons],
        }


class Collisions:
    """Which rows of one roster claim the same Training ID or the same mailbox.

    A first pass over the file fills it. It holds keys and line numbers only.
    """

    def __init__(self) -> None:
        self._training_ids: defaultdict[str, list[int]] = defaultdict(list)
        self._mailboxes: defaultdict[str, list[int]] = defaultdict(list)

    def add(self, row: Row) -> None:
        """Adds a row."""
        if training_id := identified(row.cells["training_id"]):
            self._training_ids[training_id].append(row.line)
        # An invalid address is not validated here: its own row is rejected for it in any case.
        if email := visible(row.cells["email"]):
            self._mailboxes[mailbox_key(email)].append(row.line)

    def others(self, row: Row, mailbox: str | None) -> list[Reason]:
        """The reasons to reject a row that lie in other rows.

        Args:
            mailbox: The row's mailbox key; None if it names no valid address.
        """
        reasons = []
        same = self._training_ids.get(identified(row.cells["training_id"]), [])
        if len(same) > 1:
            message = f"the same Training ID stands in {_lines(same, row.line)}"
            reasons.append(Reason(COLUMNS["training_id"], message, "2b"))
        same = self._mailboxes.get(mailbox, []) if mailbox is not None else []
        if len(same) > 1:
            message = (
                f"the same mailbox stands in {_lines(same, row.line)} (case, +tags and Gmail dots"
                " make no difference); each assister needs an address of their own"
            )
            reasons.append(Reason(COLUMNS["email"], message, "1.2a"))
        return reasons


def judge(
    row: Row,
    roster_type: AssisterType,
    collisions: Collisions,
    taken: Mapping[str, str],
    accepted: Container[tuple[str, str]] | None = frozenset(),
) -> Verdict:
    """The verdict on one row.

    Args:
        collisions: The roster's first pass.
        taken: Which Training ID holds a mailbox in the records, by mailbox key.
        accepted: Training ID and mailbox key of each desk-like address that staff accepted as
            personal. None accepts every address, for a row that was accepted before.
    """
    cells = {name: visible(cell) for name, cell in row.cells.items()}
    reasons: list[Reason] = []

    def reject(name: str, message: str, clause: str = "") -> None:
        reasons.append(Reason(COLUMNS[name], message, clause))

    if row.fault:
        reasons.append(Reason("row", row.fault, ""))
    training_id = identified(cells["training_id"])
    if not TRAINING_ID.fullmatch(training_id):
        reject("training_id", _training_id_fault(cells["training_id"]), "2b")
        training_id = as_typed(row.cells["training_id"])
    names = {each: _name(cells[each], each, reject) for each in ("first_name", "last_name")}
    email = _certification_email(cells["email"], reject)
    mailbox = mailbox_key(email) if email is not None else None
    if email is not None and mailbox is not None:
        if is_generic(email, *names.values()) and not (
            accepted is None or (training_id, mailbox) in accepted
        ):
            reject(
                "email",
                f"{_shown(email)} looks like a shared mailbox; give the assister's own address",
                "1.2b",
            )
        holder = taken.get(mailbox)
        if holder is not None and holder != training_id:
            reject(
                "email", "belongs to another assister already; each needs one of their own", "1.2a"
            )
    approved = read_access(cells["access"])
    if approved is None:
        reject("access", _said(cells["access"], "Yes or No"), "1.1")
    employed = EMPLOYMENT.get(compared(cells["employment"]))
    if employed is None:
        reject("employment", _said(cells["employment"], "Active or Inactive"))
    # Clause 1.3a requires it of assisters; consumers never see a CAC who has no portal access.
    needed = roster_type is AssisterType.NAVIGATOR or bool(approved)
    phone = _public_phone(cells["public_phone"], needed, reject)
    public_email = _public_email(cells["public_email"], needed, reject)
    optional = {each: _optional(cells[each], each, reject) for each in OPTIONAL}
    reasons += collisions.others(row, mailbox)
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
        business_address=optional["business_address"],
        languages=optional["languages"],
        counties=optional["counties"],
    )
    return Verdict(row.line, training_id, [], entry)


def read_access(cell: str) -> bool | None:
    """Approval as the "Assister Portal Access" cell says it (clause 1.1); None if it is unclear."""
    word = compared(cell)
    return True if word in YES else False if word in NO else None


def as_typed(cell: str) -> str:
    """The text in a Training ID's cell, made safe for a terminal, a database and a spreadsheet."""
    text = _printable(cell)[:SHOWN]
    return f"'{text}" if text.startswith(FORMULA) else text


def _certification_email(cell: str, reject: Any) -> str | None:
    if not cell:
        reject("email", "is empty; an address of the assister's own is needed", "1.2a")
        return None
    try:
        return clean_address(cell)
    except BadAddress as bad:
        reject("email", f"{_shown(cell)} {bad}", "1.2a")
        return None


def _public_phone(cell: str, needed: bool, reject: Any) -> str:
    if not cell:
        if needed:
            reject("public_phone", "is empty; a number for consumers is needed", "1.3a")
        return ""
    phone = read_phone(cell)
    if phone is None:
        hint = "; format the column as text" if re.search(r"\dE\+", cell, re.I) else ""
        fault = spreadsheet_fault(cell) or f"{_shown(cell)} is not one phone number{hint}"
        reject("public_phone", fault, "1.3a")
        return ""
    return phone


def _public_email(cell: str, needed: bool, reject: Any) -> str:
    if not cell:
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
    """A phone number as E.164 with ``;ext=``, read as in the United States; None if it is none.

    The library drops what it cannot read: letters between digits, a second extension. Here they
    make the number invalid, because two readings of it would reach two people.
    """
    text = PANDAS_FLOAT.sub(r"\1", visible(text))
    if (
        len(text) > MAX_CELL
        or text.startswith(("=", "@"))
        or re.search(r"\dE\+\d", text, re.IGNORECASE)
    ):
        return None
    if not DIGITS_ALONE.fullmatch(text):
        number_alone = LABEL.sub("", EXTENSION.sub("", text))
        if "#" in number_alone or _has_stray_letters(number_alone):
            return None
    if FAX.match(text) or (ABROAD_OR_NOT.fullmatch(text) and _is_phone(text.replace("+", "+1"))):
        return None
    try:
        number = phonenumbers.parse(text, "US")
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_valid_number(number):
        return None
    if number.extension and not EXTENSION.search(text):
        return None
    plain = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    return f"{plain};ext={number.extension}" if number.extension else plain


def _is_phone(text: str) -> bool:
    return phonenumbers.is_valid_number(phonenumbers.parse(text, "US"))


def _has_stray_letters(number: str) -> bool:
    """Whether it has letters that do not stand for digits, as those of 1-800-FLOWERS do."""
    letters = re.findall(r"[^\W\d_]+", number)
    return bool(letters) and max(map(len, letters)) < VANITY


def _name(cell: str, name: str, reject: Any) -> str:
    if fault := person_fault(cell, COLUMNS[name]):
        reject(name, fault)
    return cell


@lru_cache(maxsize=4096)
def person_fault(text: str, column: str) -> str | None:
    """Why a text is no name of a person; None where it may be one."""
    if (fault := name_fault(text, column)) or _is_word(text):
        return fault
    odd = next((e for e in NAME_SIGNS.sub("", text) if unicodedata.category(e)[0] != "M"), None)
    return f"{_shown(text)} holds “{odd}”, which no name has; type the name again" if odd else None


@lru_cache(maxsize=4096)
def name_fault(text: str, column: str) -> str | None:
    """Why a text is not a name; None if it may be one.

    Args:
        text: As a reader sees it.
        column: The title of its column.
    """
    if not text:
        return "is empty"
    if len(text) > 100:
        return "is longer than 100 characters"
    if fault := None if _is_word(text) else _spelling_fault(text):
        return fault
    if not any(each.isalpha() for each in text):
        return f"{_shown(text)} is not a name"
    bracketed = text[0] + text[-1] in ("[]", "()", "<>", "{}")
    if bracketed or text in ("nan", "NaN") or text.casefold() in (*NO_NAMES, column.casefold()):
        return f"{_shown(text)} stands for no name; type the name"
    return None


def _is_word(text: str) -> bool:
    """Whether there are only plain letters and digits, as in nearly all names."""
    return text.isascii() and text.replace(" ", "").isalnum()


def _spelling_fault(text: str) -> str | None:
    if fault := spreadsheet_fault(text):
        return fault
    if unseen := unprintable(text):
        return f"{_shown(text)} holds {unseen}; type the name again"
    if misread(text):
        return f"{_shown(text)} lost a letter when the file was saved; save it as UTF-8"
    if quoted(text):
        return f"{_shown(text)} stands in quotation marks; type the name without them"
    if text.startswith(FORMULA) or "=?" in text or "://" in text:
        return f"{_shown(text)} is not a name; type it as plain text"
    if mixes_scripts(text):
        return f"{_shown(text)} mixes look-alike letters of different alphabets"
    return None


def _optional(cell: str, name: str, reject: Any) -> str:
    text = on_one_line(cell)
    if fault := spreadsheet_fault(text):
        reject(name, fault)
    elif len(text) > MAX_CELL:
        reject(name, f"is longer than {MAX_CELL} characters")
    elif unseen := unprintable(text):
        reject(name, f"holds {unseen}; type it again")
    elif not text.isascii() and misread(text):
        reject(name, f"{_shown(text)} lost a letter when the file was saved; save it as UTF-8")
    return text


def _said(cell: str, wanted: str) -> str:
    return spreadsheet_fault(cell) or f"says {_shown(cell)}; write {wanted}"


def _training_id_fault(cell: str) -> str:
    if not cell:
        return "is empty"
    if fault := spreadsheet_fault(cell):
        return fault
    if re.fullmatch(r"[\d.]+(E\+?\d+)?|\d{4}-\d\d-\d\d", cell, re.IGNORECASE):
        return (
            f"{_shown(cell)} looks changed by a spreadsheet; format the column as text and enter"
            " the seven characters again"
        )
    return f"{_shown(cell)} is not seven letters or digits"


def _shown(cell: str) -> str:
    plain = _printable(cell)
    return f"“{plain[:SHOWN]}{'…' if len(plain) > SHOWN else ''}”" if plain else "nothing"


def _printable(cell: str) -> str:
    # Far more than is shown, and so little that a cell of any size is cheap to quote.
    return "".join(each if each.isprintable() else "·" for each in cell.strip()[: 10 * SHOWN])


def _lines(lines: list[int], own: int) -> str:
    others = [str(each) for each in lines if each != own]
    more = f" and {len(others) - 5} more" if len(others) > 5 else ""
    return f"line{'s' if len(others) > 1 else ''} {', '.join(others[:5])}{more}"
