"""Reading an XLSX, once it is known that reading it will end.

A workbook is an archive of XML. A few kilobytes can unpack to gigabytes, claim endless empty rows,
or nest millions of elements. So every part is first scanned once, without keeping anything of it,
before it is read. Other parts (caches, drawings, additions of other programs) are never opened.

A cell is read as a person sees it in a spreadsheet program: a percentage with its sign, a date as a
date, 1234567.0 as 1234567. A formula without a stored value is read as the formula, and a cell in
error as the error; the judge of the cell refuses both. Fonts and colors are not read at all.
"""

import re
import zipfile
from collections import defaultdict, deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from posixpath import join, normpath
from types import MappingProxyType
from typing import NamedTuple
from xml.etree import ElementTree
from xml.etree.ElementTree import Element
from xml.parsers import expat

MAX_UNPACKED = 200 * 2**20
"""Bytes. A roster with the most rows has about half as many."""
MAX_PARTS, MAX_SHEETS = 10_000, 200
"""The archive's list of parts is read anew for each sheet."""
MAX_SHEET_ROWS = 2**20
"""Excel's own limit, empty rows included."""
MAX_COLUMN = 2**14
MAX_STRINGS = 2**20
MAX_ELEMENTS = 100_000
"""The most elements in one row, in one shared string, and in the rest of a part that is kept."""
MAX_STYLES = 2_000_000
"""The most elements and attributes of all styles: years of pasting add tens of thousands."""
MAX_DEPTH = 50
MAX_TEXT = 2**20
"""Bytes without a tag. A cell holds 32,767 characters at the most."""

LONGEST_FORMAT = 255
"""Characters of a number format; Excel's own limit."""

PERCENT_FORMATS = {9, 10}
DATE_FORMATS = {*range(14, 23), *range(27, 37), *range(45, 48), *range(50, 59)}
LITERAL = re.compile(r'"[^"]*"|\\.|_.|\*.|\[(?!h+\]|m+\]|s+\])[^\[\]]*\]', re.IGNORECASE)
"""The parts of a number format that are literal text, colors, currencies or conditions."""
ESCAPE = re.compile("_x([0-9A-Fa-f]{4})_")
REFERENCE = re.compile(r"([A-Z]{1,3})([0-9]+)")
PACKAGE, BOOK = "_rels/.rels", "xl/workbook.xml"
NOT_TABLES = {
    "word/document.xml": "is a Word document; copy its table into a spreadsheet and save that as"
    " .xlsx or CSV",
    "ppt/presentation.xml": "is a PowerPoint presentation; copy its table into a spreadsheet and"
    " save that as .xlsx or CSV",
    "index/document.iwa": "is a Numbers spreadsheet; export it to Excel or CSV, and send that",
    "content.xml": "is an OpenDocument spreadsheet; save it as Excel Workbook (.xlsx) or as CSV",
    "xl/workbook.bin": "is a binary workbook (.xlsb); save it as Excel Workbook (.xlsx)",
}


class BadWorkbook(Exception):
    """The workbook is damaged or unsafe to read; the text completes a sentence."""


class Record(NamedTuple):
    """A row: its line, the texts of its cells, and why a cell is empty, by its column."""

    line: int
    cells: list[str]
    odd: Mapping[int, str] = MappingProxyType({})


@dataclass(frozen=True)
class Sheet:
    """A sheet of the workbook.

    Attributes:
        part: Its path in the archive.
        hidden_rows: The number of rows with values that a filter or a person has hidden.
        hidden_columns: The first and last column of each hidden range, counted from 0.
    """

    name: str
    hidden: bool
    part: str
    hidden_rows: int
    hidden_columns: tuple[tuple[int, int], ...]


class Workbook:
    """A scanned workbook with its sheets in order.

    Raises:
        BadWorkbook: If it cannot be read, or reading it would take more than any roster needs.
    """

    def __init__(self, path: Path, width: int) -> None:
        self._path, self._width = path, width
        self._parts: dict[str, _Part] = {}
        try:
            with zipfile.ZipFile(path) as archive:
                parts = archive.infolist()
                if len(parts) > MAX_PARTS:
                    raise BadWorkbook("holds more than any roster does")
                if sum(each.file_size for each in parts) > MAX_UNPACKED:
                    raise BadWorkbook("unpacks to more than can be read")
                self._names = {_place(each.filename): each.filename for each in parts}
                self._open(archive)
        except BadWorkbook:
            raise
        except Exception:  # each kind of compression has errors of its own
            raise _unreadable() from None
        if not self.sheets:
            raise BadWorkbook("has no sheet; save it again as Excel Workbook (.xlsx) or as CSV")

    def _open(self, archive: zipfile.ZipFile) -> None:
        if known := next((said for name, said in NOT_TABLES.items() if name in self._names), None):
            raise BadWorkbook(known)
        place = BOOK
        if PACKAGE in self._names:
            # Some programs put the workbook elsewhere; the relations name the place.
            named = self._related(archive, PACKAGE, "").values()
            place = next((part for kind, part in named if kind == "officeDocument"), place)
        if place not in self._names:
            raise BadWorkbook("is an archive and no workbook; unpack it and send the file in it")
        book, (folder, _, name) = self._parsed(archive, place), place.rpartition("/")
        relations = f"{folder}/_rels/{name}.rels".lstrip("/")
        related = self._related(archive, relations, folder) if relations in self._names else {}
        parts = dict(related.values())
        self._looks = list(self._styles(archive, parts["styles"])) if "styles" in parts else []
        self._strings = (
            list(self._shared(archive, parts["sharedStrings"])) if "sharedStrings" in parts else []
        )
        self.sheets: list[Sheet] = []
        self._first_day = datetime(1899, 12, 30, tzinfo=UTC)
        for each in book.iter():
            match _kind(each):
                case "workbookPr" if each.get("date1904") in ("1", "true"):
                    self._first_day = datetime(1904, 1, 1, tzinfo=UTC)
                case "sheet":
                    key = next(at for name, at in each.items() if name.endswith("}id"))
                    kind, part = related[key]
                    if kind == "worksheet":
                        if part in self._parts:
                            raise BadWorkbook("has two sheets in one place")
                        if len(self.sheets) == MAX_SHEETS:
                            raise BadWorkbook("holds more sheets than any roster does")
                        hidden = each.get("state", "visible") != "visible"
                        seen = self._part(archive, part)
                        columns = tuple(seen.hidden_columns)
                        self.sheets.append(
                            Sheet(each.get("name", ""), hidden, part, seen.hidden_rows, columns)
                        )

    def _part(self, archive: zipfile.ZipFile, place: str, most: int = MAX_ELEMENTS) -> "_Part":
        """A part of the archive after its scan; no other part is read."""
        if place not in self._parts:
            part = _Part(most)
            with archive.open(self._names[place]) as content:
                part.check(iter(lambda: content.read(MAX_TEXT), b""))
            self._parts[place] = part
        return self._parts[place]

    def _parsed(self, archive: zipfile.ZipFile, place: str) -> Element:
        self._part(archive, place)
        with archive.open(self._names[place]) as content:
            return ElementTree.parse(content).getroot()  # noqa: S314 checked before

    def _related(
        self, archive: zipfile.ZipFile, relations: str, folder: str
    ) -> dict[str | None, tuple[str, str]]:
        """The relations of a part: kind and path by id."""
        return {
            each.get("Id"): (
                each.get("Type", "").rpartition("/")[2],
                _place(each.get("Target", ""), folder),
            )
            for each in self._parsed(archive, relations)
        }

    def _styles(self, archive: zipfile.ZipFile, place: str) -> Iterator[str]:
        """How each style shows a number: "percent", "date" or plain."""
        self._part(archive, place, MAX_STYLES)
        formats: dict[int, str] = {}
        looks: dict[int, str] = {}
        for kind, each in self._found(archive, place, ("numFmts", "numFmt"), ("cellXfs", "xf")):
            number = int(each.get("numFmtId", 0))
            if kind == "numFmt":
                formats[number] = each.get("formatCode", "")[:LONGEST_FORMAT]
            else:
                if number not in looks:
                    looks[number] = _look(number, formats.get(number, ""))
                yield looks[number]

    def _shared(self, archive: zipfile.ZipFile, part: str) -> Iterator[str]:
        self._part(archive, part)
        for _, each in self._found(archive, part, ("sst", "si")):
            yield _string(each)

    def rows(self, sheet: Sheet) -> Iterator[Record]:
        """A sheet's rows, without those that the file omits.

        Raises:
            BadWorkbook: If the sheet is damaged.
        """
        try:
            with zipfile.ZipFile(self._path) as archive:
                yield from self._rows(archive, sheet)
        except Exception:  # a broken part raises many kinds of errors
            raise _unreadable() from None

    def _rows(self, archive: zipfile.ZipFile, sheet: Sheet) -> Iterator[Record]:
        line = 0
        merged = self._parts[sheet.part].merged
        firsts = deque(sorted(merged))
        merged_until: dict[int, int] = {}
        for _, row in self._found(archive, sheet.part, ("sheetData", "row")):
            line = int(row.get("r", line + 1))
            cells: list[str] = []
            for cell in row:
                at = _column(cell.get("r"), len(cells))
                if at < len(cells) or at >= MAX_COLUMN:
                    raise ValueError("cells out of order")
                if at < self._width:
                    cells += [""] * (at - len(cells))
                    cells.append(self._text(cell))
            odd = {}
            while firsts and firsts[0] <= line:
                for left, right, last in merged[firsts.popleft()]:
                    for at in range(left, min(right + 1, self._width)):
                        merged_until[at] = max(last, merged_until.get(at, 0))
            for at, last in merged_until.items() if any(cells) else ():
                if line <= last and (at >= len(cells) or not cells[at]):
                    odd[at] = "is merged with another cell; unmerge it and fill in every row"
            yield Record(line, cells if any(cells) else [], odd)

    def _found(
        self, archive: zipfile.ZipFile, place: str, *wanted: tuple[str, str]
    ) -> Iterator[tuple[str, Element]]:
        """The elements of a kind within one of another, each forgotten when the next is asked for.

        What follows a sheet's rows is not read: links alone may be as many as the rows.
        """
        within: list[Element] = []
        with archive.open(self._names[place]) as content:
            events = ElementTree.iterparse(content, ("start", "end"))  # noqa: S314 checked before
            for event, each in events:
                if event == "start":
                    within.append(each)
                    continue
                within.pop()
                kind = _kind(each)
                if within and (_kind(within[-1]), kind) in wanted:
                    yield kind, each
                    within[-1].clear()
                elif kind == "sheetData":
                    return

    def _text(self, cell: Element) -> str:
        kind = cell.get("t", "n")
        formula = value = None
        for each in cell:
            match _kind(each):
                case "v":
                    value = each.text or ""
                case "f":
                    formula = f"={each.text or ''}"
                case "is":
                    value = _string(each)
        if formula is not None and not value and (value is None or kind != "str"):
            return formula
        match kind:
            case _ if not value:
                return ""
            case "s":
                return self._strings[int(value)]
            case "b":
                return "TRUE" if value == "1" else "FALSE"
            case "d":
                return value.removesuffix("T00:00:00")
            case "n":
                return self._number(float(value), int(cell.get("s", 0)))
        return _unescaped(value)

    def _number(self, number: float, style: int) -> str:
        look = self._looks[style] if style < len(self._looks) else ""
        if look == "percent":
            percents = Decimal(repr(number)) * 100
            return f"{percents.normalize():f}%"
        if look == "date":
            try:
                moment = self._first_day + timedelta(milliseconds=round(number * 86_400_000))
            except OverflowError:
                return _plain(number)
            if 0 <= number < 1:
                return moment.time().isoformat()
            day = moment.date().isoformat()
            return day if moment.time() == time() else f"{day} {moment.time()}"
        return _plain(number)


class _Part:
    """The scan of one part of the archive, which counts its contents.

    Args:
        most: The most elements and attributes that may be in memory at once.
    """

    def __init__(self, most: int) -> None:
        self._most, self._over = most, False
        self._depth = self._last_row = self._strings = self._elsewhere = self._inside = 0
        self._at: int | None = None
        """The depth of the row or string that is open."""
        self._hidden = False
        self.hidden_rows = 0
        self.hidden_columns: list[tuple[int, int]] = []
        self._merged: list[str] = []

    @property
    def merged(self) -> defaultdict[int, list[tuple[int, int, int]]]:
        """Merged cells by their first row: first column, last column and last row of each."""
        found: defaultdict[int, list[tuple[int, int, int]]] = defaultdict(list)
        for each in self._merged:
            left, _, right = each.partition(":")
            first, last = REFERENCE.fullmatch(left), REFERENCE.fullmatch(right)
            if first and last:
                found[int(first[2])].append((_letters(first[1]), _letters(last[1]), int(last[2])))
        return found

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
            if self._hidden and kind in ("v", "is"):
                self.hidden_rows, self._hidden = self.hidden_rows + 1, False
        elif kind == "row":
            self._open(attributes.get("r"))
            self._hidden = attributes.get("hidden") in ("1", "true")
        elif kind == "si":
            self._strings += 1
            self._at, self._inside = self._depth, 0
        elif not self._over or kind == "mergeCell":
            self._elsewhere += 1 + len(attributes)
            if kind == "mergeCell":
                self._merged.append(attributes.get("ref", ""))
            elif kind == "col" and attributes.get("hidden") in ("1", "true"):
                first, last = int(attributes["min"]), int(attributes["max"])
                self.hidden_columns.append((first - 1, last - 1))
        if (
            self._inside > MAX_ELEMENTS
            or self._elsewhere > self._most
            or self._strings > MAX_STRINGS
        ):
            raise BadWorkbook("holds more than any roster does")

    def _open(self, number: str | None) -> None:
        row = int(number) if number is not None else self._last_row + 1
        if not self._last_row < row <= MAX_SHEET_ROWS:
            raise BadWorkbook("has rows out of order, or more than a sheet can have")
        self._last_row, self._at, self._inside = row, self._depth, 0

    def _end(self, name: str) -> None:
        if self._at is None and name.rpartition(":")[2] == "sheetData":
            self._over = True
        if self._depth == self._at:
            self._at = None
        self._depth -= 1


def _unreadable() -> BadWorkbook:
    return BadWorkbook(
        "is not a workbook that can be read; save it again as Excel Workbook (.xlsx) or as CSV"
    )


def _place(name: str, folder: str = "") -> str:
    """The path of a part, without regard to case; some programs write it with backslashes."""
    return normpath(join("/", folder, name.replace("\\", "/"))).lstrip("/").lower()


def _look(number: int, code: str) -> str:
    shown = LITERAL.sub("", code).partition(";")[0].casefold()
    if number in PERCENT_FORMATS or "%" in shown:
        return "percent"
    if number in DATE_FORMATS or (shown != "general" and re.search("[dmyhs]", shown)):
        return "date"
    return ""


def _kind(element: Element) -> str:
    return element.tag.rpartition("}")[2]


def _string(element: Element) -> str:
    """The text of a string from all its runs, without its phonetic text."""
    texts = []
    for each in element:
        match _kind(each):
            case "t":
                texts.append(each.text or "")
            case "r":
                texts += [piece.text or "" for piece in each if _kind(piece) == "t"]
    return _unescaped("".join(texts))


def _unescaped(text: str) -> str:
    # No database stores a lone surrogate: as a control character it costs only its own row.
    plain = ESCAPE.sub(lambda found: chr(int(found[1], 16)), text)
    return re.sub("[\0\ud800-\udfff]", "\x01", plain)


def _plain(number: float) -> str:
    return str(int(number)) if number.is_integer() and abs(number) < 1e15 else repr(number)


def _column(reference: str | None, following: int) -> int:
    if reference is None:
        return following
    found = REFERENCE.fullmatch(reference)
    if found is None:
        raise ValueError("not a cell's place")
    return _letters(found[1])


def _letters(column: str) -> int:
    at = 0
    for each in column:
        at = at * 26 + ord(each) - ord("A") + 1
    return at - 1
