"""Reading a table from a file somebody sends: CSV or XLSX, with a limit on everything.

What a person can mend is said as :class:`UnreadableFile`, with the line; a fault of one row stays
with that row.
"""

import csv
import re
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

import openpyxl

from policy.roster import COLUMNS, MAX_CELL, REQUIRED, Row

MAX_BYTES = 50 * 2**20
MAX_ROWS = 100_000
MAX_RECORD = 2**20
"""Characters of one record of a CSV; a quotation mark never closed would make it the whole file."""
MAX_UNPACKED = 200 * 2**20
"""What an XLSX may unpack to: a small file can hold gigabytes."""
MAX_MARKUP = 12_000_000
"""Tags and attributes of a sheet, or of its strings: a hundred bytes of memory each. A roster of
the most rows has about ten million."""
MAX_MARKUP_ELSEWHERE = 500_000
MAX_SHEET_ROWS = 2**20
"""Excel's own limit, empty rows included: a file can claim to begin at row 10**12."""
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
    try:
        with path.open("rb") as file:
            magic = file.read(4)
    except OSError as error:
        raise UnreadableFile(f"{path}: {error.strerror}") from None
    if magic == OLD_EXCEL_MAGIC:
        raise UnreadableFile("an old .xls file cannot be read; save it as .xlsx or CSV")
    return _xlsx(path) if magic == ZIP_MAGIC else _csv(path, encoding)


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


def _xlsx(path: Path) -> Iterator[tuple[int, list[str]]]:
    try:
        with zipfile.ZipFile(path) as archive:
            _check_bomb(path.name, archive)
        # An open file, because openpyxl goes by a path's name, and people misname files.
        with path.open("rb") as file:
            book = openpyxl.load_workbook(file, read_only=True, data_only=True)
            sheet = book.worksheets[0]
            # What a file says of its size is not to be relied on: rows would be lost, or made up.
            sheet.reset_dimensions()
            records = sheet.iter_rows(
                max_row=MAX_SHEET_ROWS + 1, max_col=MAX_WIDTH, values_only=True
            )
            for line, record in enumerate(records, start=1):
                if line > MAX_SHEET_ROWS:
                    raise UnreadableFile(f"{path.name} has more than {MAX_SHEET_ROWS:,} lines")
                yield line, [_text(cell) for cell in record]
    except UnreadableFile:
        raise
    except Exception as error:  # openpyxl raises whatever a broken part makes it stumble over
        raise UnreadableFile(
            f"{path.name} is not a workbook that can be read ({type(error).__name__}); save it"
            " again or as CSV"
        ) from None


def _check_bomb(name: str, archive: zipfile.ZipFile) -> None:
    """Refuses an archive from which little bytes would make much work or memory."""
    if sum(each.file_size for each in archive.infolist()) > MAX_UNPACKED:
        raise UnreadableFile(f"{name} unpacks to more than can be read")
    for part in archive.infolist():
        content = "sheet" in part.filename or "sharedStrings" in part.filename
        markup = 0
        with archive.open(part) as packed:
            while chunk := packed.read(2**20):
                markup += chunk.count(b"<") + chunk.count(b"=")
                if markup > (MAX_MARKUP if content else MAX_MARKUP_ELSEWHERE):
                    raise UnreadableFile(f"{name} holds more markup than can be read")


def _text(cell: object) -> str:
    match cell:
        case None:
            return ""
        case datetime() if cell.time() == datetime.min.time():
            return cell.date().isoformat()
        case date():
            return cell.isoformat()
        case bool():
            return "TRUE" if cell else "FALSE"
        case float() if cell.is_integer():
            return f"{cell:.1f}"
    return str(cell)
