"""Harmful files are refused with a reason, at once and in little memory."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from intake.files import UnreadableFile, read_roster
from intake.results import BadValue, read_score
from policy.roster import REQUIRED
from tests.fuzz.targets import SHEET, write_workbook
from tests.support.rosters import HEADER, ROW, write
from tests.support.workbooks import MAIN, Sheet, write_book

ROOT = Path(__file__).resolve().parent.parent.parent
PEAK = 150
"""Megabytes; reading an ordinary roster takes about forty."""
READ = """
import re, sys
from pathlib import Path
from intake.files import UnreadableFile, read_roster
for name in sys.argv[1:]:
    try:
        print(f"{name}: {sum(1 for row in read_roster(Path(name)))} rows")
    except UnreadableFile as error:
        print(f"{name}: {error}")
# Not ru_maxrss, which begins with the parent's.
print(int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) // 1024)
"""


MANY = 300_000
ENTITIES = "<!DOCTYPE a [<!ENTITY a 'aaaaaaaaaa'>{}]>".format(
    "".join(f"<!ENTITY {chr(98 + each)} '{f'&{chr(97 + each)};' * 10}'>" for each in range(9))
)
SHARED = '<c t="s"><v>0</v></c>'
STYLE = "<xf numFmtId='200'/>"
TWO_ROWS, _, _ = SHEET.partition("</sheetData>")


def workbook(sheet: str = "", *, strings: str = "", before: str = "", after: str = "") -> list[str]:
    """The parts of a good roster, with something added."""
    return [f"{before}{TWO_ROWS}{sheet}</sheetData>{after}", strings, "", ""]


BOMBS = {
    "far row": (workbook('<row r="999999999999"/>'), "out of order, or more"),
    "rows of one number": (workbook('<row r="2"/>'), "out of order"),
    "row of no number": (workbook('<row r="one"/>'), "not a workbook"),
    "far column": (
        workbook('<row r="3"><c r="ZZZZZZ3"><v>1</v></c></row>'),
        "not a workbook",
    ),
    "wide row": (workbook(f"<row>{'<c/>' * MANY}</row>"), "more than any"),
    "attributes": (workbook("<row>" + '<c t=""/>' * MANY + "</row>"), "more than any"),
    "merged cells": (workbook(after='<mergeCell ref="A1"/>' * MANY), "more than any"),
    "deep": (workbook(before="<a>" * MANY + "</a>" * MANY), "nested"),
    "strings": (workbook(strings="<si/>" * 1_100_000), "more than any"),
    "deep string": (workbook(strings="<si>" * MANY + "</si>" * MANY), "nested"),
    "long string": (workbook(strings=f"<si><t>{'a' * 2**22}</t></si>"), "longer than any cell"),
    "one string in every cell": (
        workbook(
            f"<row>{8 * SHARED}</row>" * 10_000,
            strings=f"<si><t>{'a' * 10**6}</t></si>",
        ),
        "more text than",
    ),
    "merged from far rows": (
        workbook(
            "<row/>" * 1_000_000,
            after="".join(f'<mergeCell ref="A{2**20 + at}:B{2**21}"/>' for at in range(40_000)),
        ),
        "1 rows",
    ),
    "entities": ([SHEET, "", "", ENTITIES], "entities"),
    "half": ([SHEET[: len(SHEET) // 2], "", "", ""], "not a workbook"),
    # A false size, and rows that do not exist, cost nothing and lose no row.
    "vast": (workbook(before='<dimension ref="A1:XFD1048576"/>'), "1 rows"),
    "tiny": (workbook(before='<dimension ref="A1"/>'), "1 rows"),
    "gap": (workbook('<row r="1048576"><c><v>1</v></c></row>'), "2 rows"),
}


def test_no_file_takes_much_memory(tmp_path: Path) -> None:
    expected = {}
    for name, (parts, says) in BOMBS.items():
        write_workbook(tmp_path / name, parts)
        expected[name] = says
    with (tmp_path / "100 MB").open("wb") as file:
        file.truncate(100 * 2**20)
    texts = {
        "one line": b"x" * (50 * 2**20 - 1),
        "one line after the header": HEADER.encode() + b"\n" + b"," * (49 * 2**20),
        "one record of many lines": HEADER.encode() + b"\n" + b'"\n",' * (9 * 2**20),
        "quote never closed": f'{HEADER}\n"{ROW}\n'.encode() + f"{ROW}\n".encode() * 500_000,
        "a million rows": HEADER.encode() + b"\nx" * 1_000_000,
    }
    for name, content in texts.items():
        (tmp_path / name).write_bytes(content)
    expected |= {
        "100 MB": "larger than 50 MB",
        "one line": "quotation mark missing",
        "one line after the header": "quotation mark missing",
        "one record of many lines": "quotation mark missing",
        "quote never closed": "quotation mark missing",
        "a million rows": "more than 100,000 rows",
    }
    done = subprocess.run(
        [sys.executable, "-c", READ, *expected], cwd=tmp_path, capture_output=True, text=True,
        timeout=100, env=os.environ | {"PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    *said, peak = done.stdout.splitlines()
    assert done.returncode == 0, done.stderr
    for (name, says), line in zip(expected.items(), said, strict=True):
        assert line.startswith(f"{name}: "), line
        assert says in line
    assert int(peak) < PEAK


def test_what_is_not_a_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    for path in (*tmp_path.iterdir(), Path("/dev/zero"), Path("x" * 5000), tmp_path / "a\nb"):
        with pytest.raises(UnreadableFile):
            read_roster(path)
    (tmp_path / "link").symlink_to(write(tmp_path, f"{HEADER}\n{ROW}\n"))
    assert len(list(read_roster(tmp_path / "link"))) == 1


def test_misnamed_files_are_known_by_their_content(tmp_path: Path) -> None:
    write_workbook(tmp_path / "roster.csv", workbook())
    assert len(list(read_roster(tmp_path / "roster.csv"))) == 1
    assert len(list(read_roster(write(tmp_path, f"{HEADER}\n{ROW}\n", "roster.xlsx")))) == 1


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32", "cp037"])
def test_other_encodings_are_read_when_named(tmp_path: Path, encoding: str) -> None:
    path = write(tmp_path, f"{HEADER}\n{ROW}\n".encode(encoding))
    (row,) = read_roster(path, encoding)
    assert row.cells["first_name"] == "Ann"
    if encoding == "cp037":  # The first bytes of the others name their encoding.
        with pytest.raises(UnreadableFile):
            read_roster(path)


@pytest.mark.parametrize("encoding", ["undefined", "idna", "rot13", "hex", "\0", "klingon"])
def test_encodings_that_are_none_for_a_table(tmp_path: Path, encoding: str) -> None:
    with pytest.raises(UnreadableFile):
        list(read_roster(write(tmp_path, f"{HEADER}\nJosé{ROW}\n"), encoding))


def test_half_a_character_costs_its_own_row(tmp_path: Path) -> None:
    path = write(tmp_path, f"{HEADER}\n\\ud800{ROW}\n{ROW}\n")
    bad, good = read_roster(path, "unicode_escape")
    assert (bad.cells["first_name"], good.cells["first_name"]) == ("\x01Ann", "Ann")


def test_a_sheet_is_read_once(tmp_path: Path) -> None:
    book = write_book(tmp_path / "book.xlsx", Sheet("a", [["x"]]))
    again = tmp_path / "again.xlsx"
    with zipfile.ZipFile(book) as old, zipfile.ZipFile(again, "w") as new:
        for each in old.namelist():
            named = "<sheet name='b' sheetId='9' r:id='r1'/></sheets>"
            new.writestr(each, old.read(each).replace(b"</sheets>", named.encode()))
    with pytest.raises(UnreadableFile, match="two sheets in one place"):
        read_roster(again)


@pytest.mark.timeout(60)
def test_no_number_format_takes_long(tmp_path: Path) -> None:
    formats = "".join(f"<numFmt numFmtId='{at}' formatCode='{'[' * 10**6}'/>" for at in (200, 201))
    styles = (
        f"<styleSheet xmlns='{MAIN}'><numFmts>{formats}</numFmts>"
        f"<cellXfs>{100_000 * STYLE}</cellXfs></styleSheet>"
    )
    book = write_book(tmp_path / "book.xlsx", Sheet("a", [list(REQUIRED.values())]), styles=styles)
    assert list(read_roster(book)) == []


@pytest.mark.timeout(60)
def test_no_score_takes_long() -> None:
    for text in ("1" * 10**6 + "x", "1." + "1" * 10**6 + "x", "." * 10**6):
        with pytest.raises(BadValue):
            read_score(text)


def test_a_workbook_of_many_parts_is_refused(tmp_path: Path) -> None:
    sheets = write_book(
        tmp_path / "sheets.xlsx", *(Sheet(f"s{each}", [["x"]]) for each in range(201))
    )
    with pytest.raises(UnreadableFile, match="more sheets than"):
        read_roster(sheets)
    parts = write_book(tmp_path / "parts.xlsx", Sheet("a", [list(REQUIRED.values())]))
    with zipfile.ZipFile(parts, "a") as archive:
        for each in range(10_000):
            archive.writestr(f"x/{each}", b"")
    with pytest.raises(UnreadableFile, match="more than any roster"):
        read_roster(parts)
