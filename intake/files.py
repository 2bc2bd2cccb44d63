"""Reading a table from a file somebody sends: CSV or XLSX, with a limit on everything.

The reader searches for the column names: below a title, after a line that names the delimiter, on
any sheet. The table's notes say what it skipped. If two readings are possible, it refuses the file.
A fault that a person can mend is an :class:`UnreadableFile` that names the line; a fault of one row
concerns that row only.
"""

import codecs
import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Protocol

from intake.workbooks import BadWorkbook, Record, Sheet, Workbook
from policy.roster import COLUMNS, MAX_CELL, REQUIRED, Row
from policy.text import visible

MAX_BYTES = 50 * 2**20
MAX_ROWS = 100_000
MAX_RECORD = 2**20
"""The most characters of one CSV record: an unclosed quotation mark could make it the whole
file."""
MAX_WIDTH = 200
MAX_TEXT = MAX_BYTES
"""Characters of all rows, as many as the largest CSV file has: a workbook can name one long text in
every cell."""
LONGEST = 10 * MAX_CELL
"""Characters of a cell. What is longer is a mistake, and is cut."""
DELIMITERS = ",;\t|"
SEARCHED = 20
"""The number of lines with text in which the column names are searched for."""
TITLE_CELLS = 2
"""The most cells of a line above the column names: a data row would have more."""
SHOWN_CELLS, SHOWN = 6, 20
"""The most cells of a line that a message quotes, and the most characters of each."""
ZIP_MAGIC = b"PK\x03\x04"
OLD_EXCEL_MAGIC = b"\xd0\xcf\x11\xe0"
ENCRYPTED = "EncryptedPackage".encode("utf-16-le")
BYTE_ORDER_MARKS = {
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
"""The four-byte marks come first: UTF-32's begins with UTF-16's."""
OTHERWISE = "open it in a spreadsheet program and save it as .xlsx or CSV"
NO_TABLES = {
    rb"%PDF": "is a PDF; save the table itself as .xlsx or CSV",
    rb"\x1f\x8b|7z\xbc\xaf|Rar!|\xfd7zXZ": "is packed; unpack it and send the file in it",
    rb"\t\x08": "is an old .xls file, which cannot be read; save it as .xlsx or CSV",
    rb"{\\rtf": "is a text document; copy its table into a spreadsheet and save that as CSV",
    rb"ID;P[A-Z0-9]+(;[A-Z])*\r?\n": f"is a SYLK file; {OTHERWISE}",
    rb"TABLE\r?\n0,1": f"is a DIF file; {OTHERWISE}",
    rb"(?i:<html|<!doctype|<table|<\?xml|mime-version:)": (
        f"is a web page or XML under a spreadsheet's name; {OTHERWISE}"
    ),
    rb"[\[{]\s*[\"{]": "is JSON and no table; save the table itself as .xlsx or CSV",
    rb"(Received|Return-Path|Delivered-To): ": "is a mail; send the file that is attached to it",
}
"""The first bytes of files that are not tables, with what they are and what to do."""
CONSTANT = re.compile('="((?:[^"]|"")*)"')
"""A text that a program wrote as a formula, so that a spreadsheet program keeps its zeros."""
UNNAMED = "utf-8-sig"
"""The encoding that is assumed if none is named."""


class UnreadableFile(Exception):
    """A file that cannot be read as a table; the text says what to do."""


class MissingColumns(UnreadableFile):
    """A table without the columns that are needed; the text quotes what it has instead."""


class _Source(Protocol):
    """A possible place of the table: the file read with one delimiter, or one sheet."""

    @property
    def name(self) -> str:
        """Its name in a sentence, after a space; empty for a file that is the only place."""

    def records(self) -> Iterator[Record]:
        """Its rows, empty ones included."""


@dataclass(frozen=True)
class Table:
    """A file's columns, matched to the wanted fields. Each iteration reads the rows again.

    Attributes:
        header: The line with the column names.
        titles: The file's own column names, by field.
        ignored: Headers that no field has.
        notes: What was skipped or deserves a look, in sentences.
    """

    source: _Source
    header: Record
    columns: Mapping[str, int]
    titles: Mapping[str, str]
    ignored: Sequence[str]
    notes: Sequence[str]

    @property
    def fields(self) -> Sequence[str]:
        """The fields that every row has."""
        return list(self.titles)

    def __iter__(self) -> Iterator[Row]:
        known = {column: name for name, column in self.columns.items()}
        first, width, count, size = self.header.line, len(self.header.cells), 0, 0
        at = min(known)
        title = visible(self.header.cells[at]).casefold()
        for line, row, odd in self.source.records():
            if line <= first or not any(cell.strip() for cell in row):
                continue
            count += 1
            if count > MAX_ROWS:
                raise UnreadableFile(f"more than {MAX_ROWS:,} rows; send it in parts")
            cells = dict.fromkeys(self.titles, "")
            cells |= {
                known[place]: cell[:LONGEST] for place, cell in enumerate(row) if place in known
            }
            size += sum(map(len, cells.values()))
            if size > MAX_TEXT:
                raise UnreadableFile("more text than a file of the largest size; send it in parts")
            fault = ""
            if len(row) > width and any(cell.strip() for cell in row[width:]):
                fault = "has more cells than the header; quote cells that hold the delimiter"
            # One title tells for nearly all rows that they do not.
            elif at < len(row) and title in row[at].casefold() and self._repeats_header(row):
                fault = "repeats the header"
            elif any(len(cell) > LONGEST for cell in row):
                fault = "holds a cell far too long; is a quotation mark missing?"
            elif odd and (places := sorted(odd.keys() & known.keys())):
                titles = ", ".join(self.titles[known[at]] for at in places)
                fault = f"{titles}: {odd[places[0]]}"
            yield Row(line, cells, fault)

    def _repeats_header(self, row: Sequence[str]) -> bool:
        """Whether files were put one behind the other, as they are or with other capitals."""
        return [*map(_plain, row)] == [*map(_plain, self.header.cells)]


def read_whole(table: Table) -> tuple[list[Row], Sequence[str]]:
    """Reads all rows of a table, and its notes."""
    return list(table), table.notes


def read_roster(path: Path, encoding: str = UNNAMED) -> Table:
    """Opens a roster.

    Raises:
        UnreadableFile: If it cannot be read as one.
    """
    return read_table(path, COLUMNS, REQUIRED, encoding)


def read_table(
    path: Path,
    columns: Mapping[str, str],
    required: Mapping[str, str],
    encoding: str = UNNAMED,
) -> Table:
    """Opens a table; its headers match without regard to case, spaces and punctuation.

    Raises:
        UnreadableFile: If the file or its header cannot be used.
    """
    try:
        size = path.stat().st_size
        if not path.is_file():
            raise UnreadableFile(f"{path} is not a file")
        if size > MAX_BYTES:
            raise UnreadableFile(f"{path.name} is larger than {MAX_BYTES // 2**20} MB")
        with path.open("rb") as file:
            start = file.read(200)
    except OSError as error:
        raise UnreadableFile(f"{path}: {error.strerror}") from None
    search = _Search(columns, required)
    if start.startswith(ZIP_MAGIC):
        return _workbook_table(path, search)
    if said := _what_else(path, start):
        raise UnreadableFile(f"{path.name} {said}")
    if encoding == UNNAMED:
        marks = (name for mark, name in BYTE_ORDER_MARKS.items() if start.startswith(mark))
        encoding = next(marks, UNNAMED)
    if encoding == UNNAMED:
        for kind, zeros in (("utf-16-le", start[1::2]), ("utf-16-be", start[::2])):
            if zeros.count(0) > len(start) // 4:
                raise UnreadableFile(
                    f"{path.name} looks like UTF-16 that does not say so; save it as UTF-8, or say"
                    f" how it is written (in a terminal: --encoding {kind})"
                )
    elif not encoding.lower().startswith(("utf", "unicode")) and _is_utf8(path):
        raise UnreadableFile(
            f"{path.name} is UTF-8 and not {encoding}: its letters would be read as others; leave"
            " the encoding out"
        )
    return _csv_table(path, encoding, search)


def _is_utf8(path: Path) -> bool:
    """Whether a file has letters beyond ASCII, all of them valid UTF-8: no other encoding does."""
    decoder, beyond = codecs.getincrementaldecoder("utf-8")(), False
    with path.open("rb") as file:
        while chunk := file.read(MAX_RECORD):
            beyond = beyond or not chunk.isascii()
            try:
                decoder.decode(chunk)
            except UnicodeDecodeError:
                return False
    return beyond


def _what_else(path: Path, start: bytes) -> str | None:
    """What a file is if it is not a table; None if it may be one."""
    if start.startswith(OLD_EXCEL_MAGIC):
        if ENCRYPTED in path.read_bytes():
            return "is protected with a password; remove it, save the file and send it again"
        return "is an old .xls file, which cannot be read; save it as .xlsx or CSV"
    text = start.removeprefix(codecs.BOM_UTF8).lstrip(b" \r\n")
    return next((said for begins, said in NO_TABLES.items() if re.match(begins, text)), None)


def _is_binary(text: str) -> bool:
    """Whether a file begins with characters that no text has. A single NUL costs only its row."""
    return any(each < " " and each not in "\t\n\v\f\r\0" for each in text)


@dataclass(frozen=True)
class _Found:
    """The line of a source with the column names, or the line that is most like them."""

    source: _Source
    header: Record
    above: Sequence[Record]
    missing: Sequence[str]


class _Search:
    """The search for the wanted column names."""

    def __init__(self, columns: Mapping[str, str], required: Mapping[str, str]) -> None:
        self._columns, self._required = columns, required
        self._wanted = {_plain(title): name for name, title in columns.items()}

    def look(self, source: _Source) -> _Found | None:
        """The line of a source that has all or most of them; None if the source is empty."""
        above: list[Record] = []
        best: _Found | None = None
        filled = (each for each in source.records() if any(map(visible, each.cells)))
        for record in islice(filled, SEARCHED):
            names = {self._wanted.get(_plain(cell)) for cell in record.cells}
            missing = [title for name, title in self._required.items() if name not in names]
            found = _Found(source, record, list(above), missing)
            if not missing:
                return found
            if best is None or len(missing) < len(best.missing):
                best = found
            above.append(record)
        return best

    def table(self, file: str, found: _Found, notes: Sequence[str]) -> Table:
        """The table whose column names were found, completely or in part."""
        header, place = found.header, f"line {found.header.line}{found.source.name}"
        if found.missing:
            cells = [visible(each) for each in header.cells if visible(each)]
            said = f"holds {_quoted(cells)}"
            if len(cells) == 1:
                said = (
                    f"has one cell, {_quoted(cells)}; columns are split at comma, semicolon, tab"
                    " or |"
                )
            raise MissingColumns(
                f"{file} lacks these columns: {', '.join(found.missing)}. Its {place} {said}."
                f"{_sentences(notes)}"
            )
        where: dict[str, int] = {}
        for at, cell in enumerate(header.cells):
            name = self._wanted.get(_plain(cell))
            if name in where:
                raise UnreadableFile(
                    f"{file} has the column “{self._columns[name]}” twice in its {place}; send it"
                    " with one of them"
                )
            if name is not None:
                where[name] = at
        for each in found.above:
            cells = [visible(cell) for cell in each.cells if visible(cell)]
            if len(cells) > TITLE_CELLS:
                raise UnreadableFile(
                    f"{file} names its columns in {place}, below a row: line {each.line} holds"
                    f" {_quoted(cells)}. Put the column names first."
                )
            notes = [*notes, f"Line {each.line}, above the columns, was not read: {_quoted(cells)}"]
        ignored = [
            visible(cell)
            for at, cell in enumerate(header.cells)
            if visible(cell) and at not in where.values()
        ]
        return Table(found.source, header, where, self._columns, ignored, notes)


def _plain(header: str) -> str:
    return "".join(each for each in header.casefold() if each.isalnum())


def _quoted(cells: Sequence[str]) -> str:
    shown = [
        "“"
        + "".join(each if each.isprintable() else "·" for each in cell[:SHOWN])
        + ("…”" if len(cell) > SHOWN else "”")
        for cell in cells[:SHOWN_CELLS]
    ]
    return ", ".join(shown) + (", …" if len(cells) > SHOWN_CELLS else "")


def _sentences(notes: Sequence[str]) -> str:
    return "".join(f" {each}." for each in notes)


# Workbooks


@dataclass(frozen=True)
class _SheetSource:
    file: str
    book: Workbook
    sheet: Sheet

    @property
    def name(self) -> str:
        return f" of sheet {_quoted([self.sheet.name])}"

    def records(self) -> Iterator[Record]:
        try:
            yield from self.book.rows(self.sheet)
        except BadWorkbook as bad:
            raise UnreadableFile(f"{self.file} {bad}") from None


def _workbook_table(path: Path, search: _Search) -> Table:
    try:
        book = Workbook(path, MAX_WIDTH)
    except BadWorkbook as bad:
        raise UnreadableFile(f"{path.name} {bad}") from None
    looked = {each: search.look(_SheetSource(path.name, book, each)) for each in book.sheets}
    filled = {sheet: found for sheet, found in looked.items() if found is not None}
    if not filled:
        raise UnreadableFile(f"{path.name} is empty: its first line must name the columns")
    seen = {sheet: found for sheet, found in filled.items() if not sheet.hidden}
    whole = [sheet for sheet, found in seen.items() if not found.missing]
    if len(whole) > 1:
        names = " and ".join(_quoted([each.name]) for each in whole)
        raise UnreadableFile(
            f"{path.name} has these columns on several sheets, {names}; put all rows on one sheet,"
            " or send each sheet as a file of its own"
        )
    if not whole:
        for sheet, found in filled.items():
            if not found.missing:
                raise UnreadableFile(
                    f"{path.name} has these columns on the hidden sheet {_quoted([sheet.name])}"
                    " only; show that sheet, or send the right file"
                )
    read = min(seen or filled, key=lambda each: len(filled[each].missing))
    notes = [
        f"{'The hidden' if each.hidden else 'The'} sheet {_quoted([each.name])} was not read"
        for each in filled
        if each is not read
    ]
    if rows := read.hidden_rows:
        notes.append(
            f"{rows} hidden row{'s' if rows > 1 else ''} of the sheet count"
            f"{'' if rows > 1 else 's'} as well"
        )
    table = search.table(path.name, filled[read], notes)
    hidden = [
        table.titles[name]
        for name, at in table.columns.items()
        if any(first <= at <= last for first, last in read.hidden_columns)
    ]
    also = [f"Hidden columns were read as well: {_quoted(hidden)}"] if hidden else []
    return replace(table, notes=[*table.notes, *also])


# CSV


@dataclass(frozen=True)
class _DelimitedSource:
    path: Path
    encoding: str
    delimiter: str
    skipped: int
    """The number of lines before the first record."""

    @property
    def name(self) -> str:
        return ""

    def records(self) -> Iterator[Record]:
        line, size = self.skipped, 0

        def lines() -> Iterator[str]:
            nonlocal size
            while text := file.readline(MAX_RECORD + 1):
                size += len(text)
                if size > MAX_RECORD:
                    raise UnreadableFile(
                        f"{self.path.name} has a record of more than {MAX_RECORD:,} characters at"
                        f" line {line + 1}; is a quotation mark missing?"
                    )
                # The csv module stops at a NUL, and no database stores a lone surrogate: as another
                # control character each costs its own row only.
                plain = text.isascii() and "\0" not in text
                yield text if plain else re.sub("[\0\ud800-\udfff]", "\x01", text)

        reader = None
        try:
            with self.path.open(encoding=self.encoding, newline="") as file:
                for _ in range(self.skipped):
                    file.readline(MAX_RECORD)
                reader = csv.reader(
                    lines(), delimiter=self.delimiter, strict=True, skipinitialspace=True
                )
                for record in reader:
                    cells = record[:MAX_WIDTH]
                    if '="' in "".join(cells):
                        cells = [_kept(cell) for cell in cells]
                    yield Record(line + 1, cells)
                    line, size = self.skipped + reader.line_num, 0
        except (UnicodeError, LookupError, ValueError) as error:
            raise _undecodable(self.path, self.encoding, error) from None
        except csv.Error as error:
            at = self.skipped + (reader.line_num if reader is not None else 0)
            raise _misquoted(self.path, line + 1, at, error) from None


def _kept(cell: str) -> str:
    constant = CONSTANT.fullmatch(cell)
    return constant[1].replace('""', '"') if constant else cell


def _csv_table(path: Path, encoding: str, search: _Search) -> Table:
    try:
        with path.open(encoding=encoding, newline="") as file:
            first = file.readline(MAX_RECORD)
    except (UnicodeError, LookupError, ValueError) as error:
        raise _undecodable(path, encoding, error) from None
    named = re.fullmatch(f'"?sep=([{re.escape(DELIMITERS)}])"?', visible(first), re.IGNORECASE)
    skipped = 1 if named else 0
    delimiters = named[1] if named else sorted(DELIMITERS, key=first.count, reverse=True)
    best: _Found | None = None
    fault: UnreadableFile | None = None
    for each in delimiters:
        try:
            found = search.look(_DelimitedSource(path, encoding, each, skipped))
        except UnreadableFile as error:
            # With another delimiter the quotation marks may be correct.
            fault = error if each == delimiters[0] else fault
            continue
        if found is None:
            break
        if best is None or len(found.missing) < len(best.missing):
            best = found
        if not found.missing:
            break
    if best is not None and not (fault and best.missing):
        return search.table(path.name, best, [])
    raise fault or UnreadableFile(f"{path.name} is empty: its first line must name the columns")


def _undecodable(path: Path, encoding: str, error: Exception) -> UnreadableFile:
    if not isinstance(error, UnicodeError):
        return UnreadableFile(f"there is no encoding {encoding!r} for text")
    with path.open("rb") as file:
        if _is_binary(file.read(200).decode("latin-1")):
            return UnreadableFile(
                f"{path.name} is neither a workbook (.xlsx) nor text; save the table as one of them"
            )
    return UnreadableFile(
        f"{path.name} is not {encoding.removesuffix('-sig')}{_undecodable_line(path, encoding)};"
        " save it as UTF-8, or say how it is written (in a terminal: --encoding cp1252)"
    )


def _undecodable_line(path: Path, encoding: str) -> str:
    """The line that cannot be decoded; the decoder itself reads ahead and does not count lines."""
    try:
        with path.open(encoding=encoding, errors="replace", newline="") as file:
            line = 1
            while text := file.readline(MAX_RECORD):
                if "\ufffd" in text:
                    return f" in line {line}"
                line += text.endswith(("\n", "\r"))
    except (UnicodeError, ValueError):
        pass
    return ""


def _misquoted(path: Path, start: int, at: int, error: csv.Error) -> UnreadableFile:
    if "expected after" in str(error):
        return UnreadableFile(
            f'{path.name}, line {at}: a quotation mark inside a quoted cell must be doubled ("")'
        )
    return UnreadableFile(
        f"{path.name} breaks off: a quotation mark in line {start} is never closed"
        if "unexpected end" in str(error)
        else f"{path.name} breaks off near line {start} ({error}); is a quotation mark missing?"
    )
