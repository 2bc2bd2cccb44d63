"""Reading a table from a file somebody sends: CSV or XLSX, with a limit on everything.

What a person can mend is said as :class:`UnreadableFile`, with the line; a fault of one row stays
with that row.
"""

import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from intake.workbooks import BadWorkbook, check_workbook, rows_of
from policy.roster import COLUMNS, MAX_CELL, REQUIRED, Row

MAX_BYTES = 50 * 2**20
MAX_ROWS = 100_000
MAX_RECORD = 2**20
"""Characters of one record of a CSV; a quotation mark never closed would make it the whole file."""
MAX_WIDTH = 200
DELIMITERS = ",;\t"
ZIP_MAGIC = b"PK\x03\x04"
OLD_EXCEL_MAGIC = b"\xd0\xcf\x11\xe0"


class UnreadableFile(Exception):
    """A file that cannot be read as a table; the text says what to do."""


@dataclass(frozen=True)
class Table:
    """A file's columns, matched to the fields that are wanted; rows are read on each iteration.

    Attributes:
        ignored: Headers that mean nothing here.
    """

    path: Path
    encoding: str
    columns: Mapping[str, int]
    fields: Sequence[str]
    ignored: Sequence[str]

    def __iter__(self) -> Iterator[Row]:
        records = _records(self.path, self.encoding)
        header = next(records, (0, []))[1]
        known = {column: name for name, column in self.columns.items()}
        for count, (line, record) in enumerate(
            (each for each in records if any(cell.strip() for cell in each[1])), start=1
        ):
            if count > MAX_ROWS:
                raise UnreadableFile(f"more than {MAX_ROWS:,} rows; send it in parts")
            cells = dict.fromkeys(self.fields, "")
            cells |= {known[at]: cell for at, cell in enumerate(record) if at in known}
            fault = ""
            if any(cell.strip() for cell in record[len(header) :]):
                fault = "has more cells than the header; quote cells that hold the delimiter"
            elif record == header:
                fault = "repeats the header"
            elif any(len(cell) > 10 * MAX_CELL for cell in record):
                fault = "holds a cell far too long; is a quotation mark missing?"
            yield Row(line, cells, fault)


def read_roster(path: Path, encoding: str = "utf-8-sig") -> Table:
    """A roster.

    Raises:
        UnreadableFile: If it is not one that can be read.
    """
    return read_table(path, COLUMNS, REQUIRED, encoding)


def read_table(
    path: Path,
    columns: Mapping[str, str],
    required: Mapping[str, str],
    encoding: str = "utf-8-sig",
) -> Table:
    """A table whose headers are matched without regard to case, spaces and punctuation.

    Raises:
        UnreadableFile: If the file or its header cannot be used.
    """
    try:
        size = path.stat().st_size
    except OSError as error:
        raise UnreadableFile(f"{path}: {error.strerror}") from None
    if not path.is_file():
        raise UnreadableFile(f"{path} is not a file")
    if size > MAX_BYTES:
        raise UnreadableFile(f"{path.name} is larger than {MAX_BYTES // 2**20} MB")
    if _is_workbook(path):
        try:
            check_workbook(path)
        except BadWorkbook as bad:
            raise UnreadableFile(f"{path.name} {bad}") from None
    header = next(_records(path, encoding), (0, []))[1]
    if not any(header):
        raise UnreadableFile(f"{path.name} is empty: its first line must name the columns")
    wanted = {_plain(title): name for name, title in columns.items()}
    found: dict[str, int] = {}
    for at, cell in enumerate(header):
        name = wanted.get(_plain(cell))
        if name in found:
            raise UnreadableFile(f"column “{columns[name]}” stands twice in the header")
        if name is not None:
            found[name] = at
    missing = [title for name, title in required.items() if name not in found]
    if missing:
        raise UnreadableFile(f"{path.name} lacks these columns: {', '.join(missing)}")
    ignored = [cell for at, cell in enumerate(header) if cell and at not in found.values()]
    return Table(path, encoding, found, list(columns), ignored)


def _plain(header: str) -> str:
    return "".join(each for each in header.casefold() if each.isalnum())


def _records(path: Path, encoding: str) -> Iterator[tuple[int, list[str]]]:
    if not _is_workbook(path):
        yield from _csv(path, encoding)
        return
    try:
        yield from rows_of(path, MAX_WIDTH)
    except BadWorkbook as bad:
        raise UnreadableFile(f"{path.name} {bad}") from None


def _is_workbook(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            magic = file.read(4)
    except OSError as error:
        raise UnreadableFile(f"{path}: {error.strerror}") from None
    if magic == OLD_EXCEL_MAGIC:
        raise UnreadableFile("an old .xls file cannot be read; save it as .xlsx or CSV")
    return magic == ZIP_MAGIC


def _csv(path: Path, encoding: str) -> Iterator[tuple[int, list[str]]]:
    line = size = 0

    def lines() -> Iterator[str]:
        nonlocal size
        while text := file.readline(MAX_RECORD + 1):
            size += len(text)
            if size > MAX_RECORD:
                raise UnreadableFile(
                    f"{path.name} has a record of more than {MAX_RECORD:,} characters at line"
                    f" {line + 1}; is a quotation mark missing?"
                )
            # The csv module stops at a NUL, and no database takes half a character: as another
            # control character each costs its own row only.
            yield re.sub("[\0\ud800-\udfff]", "\x01", text)

    try:
        with path.open(encoding=encoding, newline="") as file:
            first = file.readline(MAX_RECORD)
            delimiter = max(DELIMITERS, key=first.count)
            file.seek(0)
            reader = csv.reader(lines(), delimiter=delimiter, strict=True)
            for record in reader:
                yield line + 1, record[:MAX_WIDTH]
                line, size = reader.line_num, 0
    except UnicodeError:
        raise UnreadableFile(
            f"{path.name} is not {encoding.removesuffix('-sig')} near line {line + 1}; save it as"
            " UTF-8 or name its encoding, such as --encoding cp1252"
        ) from None
    except (LookupError, ValueError):
        raise UnreadableFile(f"there is no encoding {encoding!r} for text") from None
    except csv.Error as error:
        raise UnreadableFile(
            f"{path.name} breaks off near line {line + 1} ({error}); is a quotation mark missing?"
        ) from None
