"""Writes workbooks part by part, as programs other than Excel write them."""

import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple
from xml.sax.saxutils import escape, quoteattr

MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
STRICT = "http://purl.oclc.org/ooxml/spreadsheetml/main"
RELATED = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
FORMATS = (
    "General", "yyyy-mm-dd", "0%", "0.00%", '0.00"%"', "[h]:mm", "[Red]0.0%;-0.0%", "0000000",
    '"Day "0', r"dd\-mmm\-yyyy", "m/d/yy h:mm", "#,##0.00", '[$-409]d\\ mmmm\\ yyyy;@', "0.00E+00",
)  # fmt: skip
"""The formats of cells: a cell's style is an index into them."""


class Raw(NamedTuple):
    """A cell as XML, with additional attributes."""

    xml: str
    attributes: str = ""


class Sheet(NamedTuple):
    """A sheet: its cells by row, its state, its hidden rows, and the XML after them."""

    name: str
    rows: Sequence[Sequence[object]]
    state: str = ""
    hidden_rows: Sequence[int] = ()
    after: str = ""


def number(text: str, style: int = 0) -> Raw:
    """A number with exactly these digits in the file."""
    return Raw(f"<v>{text}</v>", f's="{style}"')


def write_book(
    path: Path,
    *sheets: Sheet,
    namespace: str = MAIN,
    date1904: str = "",
    styles: str | None = None,
    first_row: int = 1,
) -> Path:
    """Writes a workbook of these sheets."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("[Content_Types].xml", "<Types/>")
        named = "".join(
            f"<sheet name={quoteattr(sheet.name)} sheetId='{at}' r:id='r{at}'"
            f"{f' state={quoteattr(sheet.state)}' if sheet.state else ''}/>"
            for at, sheet in enumerate(sheets, start=1)
        )
        epoch = f"<workbookPr date1904='{date1904}'/>" if date1904 else ""
        archive.writestr(
            "xl/workbook.xml",
            f"<workbook xmlns='{namespace}' xmlns:r='{RELATED}'>{epoch}<sheets>{named}</sheets>"
            "</workbook>",
        )
        targets = {f"r{at}": f"worksheets/sheet{at}.xml" for at in range(1, len(sheets) + 1)}
        related = "".join(
            f"<Relationship Id='{key}' Type='{RELATED}/worksheet' Target='{target}'/>"
            for key, target in targets.items()
        )
        archive.writestr(
            "xl/_rels/workbook.xml.rels",
            f"<Relationships>{related}<Relationship Id='s' Type='{RELATED}/styles'"
            " Target='/xl/styles.xml'/></Relationships>",
        )
        archive.writestr("xl/styles.xml", styles or _styles(namespace))
        for at, sheet in enumerate(sheets, start=1):
            rows = "".join(
                _row(line, cells, hidden=line in sheet.hidden_rows)
                for line, cells in enumerate(sheet.rows, start=first_row)
            )
            archive.writestr(
                f"xl/worksheets/sheet{at}.xml",
                f"<worksheet xmlns='{namespace}'><sheetData>{rows}</sheetData>{sheet.after}"
                "</worksheet>",
            )
    return path


def _styles(namespace: str) -> str:
    formats = "".join(
        f"<numFmt numFmtId='{164 + at}' formatCode={quoteattr(each)}/>"
        for at, each in enumerate(FORMATS)
    )
    looks = "".join(f"<xf numFmtId='{164 + at}'/>" for at in range(len(FORMATS)))
    return (
        f"<styleSheet xmlns='{namespace}'><numFmts>{formats}</numFmts><fills><fill/></fills>"
        f"<cellStyleXfs><xf/></cellStyleXfs><cellXfs>{looks}</cellXfs></styleSheet>"
    )


def _row(line: int, cells: Sequence[object], *, hidden: bool) -> str:
    made = "".join(_cell(f"{_letters(at)}{line}", cell) for at, cell in enumerate(cells))
    looks = " hidden='1'" if hidden else ""
    return f"<row r='{line}'{looks}>{made}</row>"


def _letters(at: int) -> str:
    return chr(ord("A") + at) if at < 26 else f"{chr(ord('A') + at // 26 - 1)}{_letters(at % 26)}"


def _cell(place: str, cell: object) -> str:
    match cell:
        case None:
            return ""
        case Raw(xml, attributes):
            return f"<c r='{place}' {attributes}>{xml}</c>"
        case bool():
            return f"<c r='{place}' t='b'><v>{int(cell)}</v></c>"
        case int() | float():
            return f"<c r='{place}'><v>{cell}</v></c>"
    return f"<c r='{place}' t='inlineStr'><is><t>{escape(str(cell))}</t></is></c>"
