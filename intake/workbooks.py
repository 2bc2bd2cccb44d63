"""Reading the first sheet of an XLSX, once it is known that reading it will end.

A workbook is an archive of XML. A few kilobytes can unpack to gigabytes, claim endless empty rows,
or hold millions of elements in one another: openpyxl would try. So every part is first gone through
once, without keeping anything of it.
"""

import zipfile
from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path
from xml.parsers import expat

MAX_UNPACKED = 200 * 2**20
"""Bytes; a roster of the most rows has about half of it."""
MAX_SHEET_ROWS = 2**20
"""Excel's own limit, empty rows included."""
MAX_STRINGS = 2**20
MAX_ELEMENTS = 100_000
"""In one row, in one shared string, and in all the rest of a part."""
MAX_DEPTH = 50
MAX_TEXT = 2**20
"""Bytes without a tag. A cell holds 32,767 characters at the most."""


class BadWorkbook(Exception):
    """A workbook that is damaged or not meant to be read; the text completes a sentence."""


def check_workbook(path: Path) -> None:
    """Goes through every part of a workbook.

    Raises:
        BadWorkbook: If reading it would take more than any roster needs.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            parts = archive.infolist()
            if sum(each.file_size for each in parts) > MAX_UNPACKED:
                raise BadWorkbook("unpacks to more than can be read")
            for part in parts:
                if part.filename.endswith((".xml", ".rels")):
                    with archive.open(part) as content:
                        _Part().check(iter(lambda: content.read(MAX_TEXT), b""))
    except BadWorkbook:
        raise
    except Exception as error:  # each kind of compression has errors of its own
        raise _unreadable(error) from None


def rows_of(path: Path, width: int) -> Iterator[tuple[int, list[str]]]:
    """The first sheet's rows with their line, each at most ``width`` cells; empty ones too.

    Raises:
        BadWorkbook: If openpyxl cannot read it.
    """
    # Imported here: every program reads the settings, which know of files, and few read a workbook.
    import openpyxl

    try:
        # An open file, because openpyxl goes by a path's name, and people misname files.
        with path.open("rb") as file:
            book = openpyxl.load_workbook(file, read_only=True, data_only=True)
            sheet = book.worksheets[0]
            # What a sheet says of its size is often wrong, and then rows would be lost.
            sheet.reset_dimensions()
            records = sheet.iter_rows(max_row=MAX_SHEET_ROWS, max_col=width, values_only=True)
            for line, record in enumerate(records, start=1):
                empty = record.count(None) == len(record)
                yield line, [] if empty else [_text(cell) for cell in record]
    except Exception as error:  # openpyxl raises whatever a broken part makes it stumble over
        raise _unreadable(error) from None


class _Part:
    """What one part of the archive holds, counted."""

    def __init__(self) -> None:
        self._depth = self._last_row = self._strings = self._elsewhere = self._inside = 0
        self._at: int | None = None
        """The depth of the row or string that is open."""

    def check(self, chunks: Iterator[bytes]) -> None:
        parser = expat.ParserCreate()
        parser.StartDoctypeDeclHandler = self._doctype
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        for chunk in chunks:
            if len(chunk) == MAX_TEXT and b"<" not in chunk:
                raise BadWorkbook("holds a text longer than any cell")
            parser.Parse(chunk)
        parser.Parse(b"", True)

    def _doctype(self, *_: object) -> None:
        raise BadWorkbook("declares entities, which no spreadsheet program does")

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise BadWorkbook("is nested too deeply")
        kind = name.rpartition(":")[2]
        if self._at is not None:
            self._inside += 1 + len(attributes)
        elif kind == "row":
            self._open(attributes.get("r"))
        elif kind == "si":
            self._strings += 1
            self._at, self._inside = self._depth, 0
        else:
            self._elsewhere += 1 + len(attributes)
        if max(self._inside, self._elsewhere) > MAX_ELEMENTS or self._strings > MAX_STRINGS:
            raise BadWorkbook("holds more than any roster does")

    def _open(self, number: str | None) -> None:
        row = int(number) if number is not None else self._last_row + 1
        if not self._last_row < row <= MAX_SHEET_ROWS:
            raise BadWorkbook("has rows out of order, or more than a sheet can have")
        self._last_row, self._at, self._inside = row, self._depth, 0

    def _end(self, _: str) -> None:
        if self._depth == self._at:
            self._at = None
        self._depth -= 1


def _unreadable(error: Exception) -> BadWorkbook:
    return BadWorkbook(
        f"is not a workbook that can be read ({type(error).__name__}); save it again or as CSV"
    )


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
