"""Workbooks as programs and people save them are read as people see them, or truly refused."""

import subprocess
import sys
import zipfile
from collections.abc import Callable, Mapping
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType

import openpyxl
import pytest

from intake.files import UnreadableFile, read_roster, read_table
from intake.results import judge_results, read_results
from policy.requirements import AssessmentScored
from policy.roster import REQUIRED, Row
from tests.support.rosters import NOW, ROW, write
from tests.support.rows import verdicts
from tests.support.workbooks import STRICT, Raw, Sheet, number, write_book

HEADER = tuple(REQUIRED.values())
ANN = tuple(ROW.split(","))
BO = ("Bo", "Ek", "bo@x.org", "BOO1234", "Active", "No", "651-555-0142", "help@x.org")
FORMULA = Raw("<f>VLOOKUP(D2,x,2)</f><v/>")


def changed(row: tuple[object, ...], **cells: object) -> list[object]:
    return [cells.get(name, cell) for name, cell in zip(REQUIRED, row, strict=True)]


def rows_of(path: Path) -> list[Row]:
    return list(read_roster(path))


def read_cells(folder: Path, *cells: object, date1904: str = "") -> list[str]:
    """The texts of the cells of one row."""
    titles = [f"C{at}" for at in range(len(cells))]
    path = write_book(folder / "cells.xlsx", Sheet("A", [titles, cells]), date1904=date1904)
    wanted = {title: title for title in titles}
    [row] = read_table(path, wanted, wanted)
    return list(row.cells.values())


def test_numbers_are_read_as_they_are_seen(tmp_path: Path) -> None:
    cells = {
        number("1234567"): "1234567",
        number("1234567.0"): "1234567",
        number("6.515550142E9"): "6515550142",
        number("1.0"): "1",
        number("0"): "0",
        number("-0.0"): "0",
        number("72.33333333333333"): "72.33333333333333",
        number("0.69999999999999996"): "0.7",
        number("85", 11): "85",
        number("1.5", 13): "1.5",
        number("12345", 7): "12345",
        number("3", 8): "3",
        number("1e300"): "1e+300",
    }
    assert read_cells(tmp_path, *cells) == list(cells.values())


def test_a_percentage_is_read_as_it_is_seen(tmp_path: Path) -> None:
    cells = {
        number("0.85", 2): "85%",
        number("0.7", 3): "70%",
        number("0.69999999999999996", 2): "70%",
        number("0.69999", 2): "69.999%",
        number("1", 2): "100%",
        number("0.07", 6): "7%",
        number("85", 4): "85",
        number("0", 2): "0%",
    }
    assert read_cells(tmp_path, *cells) == list(cells.values())


@pytest.mark.parametrize(
    ("epoch", "serial"), [("", "46675"), ("0", "46675"), ("1", "45213"), ("true", "45213")]
)
def test_dates_are_read_in_either_epoch(tmp_path: Path, epoch: str, serial: str) -> None:
    cells = {
        number(serial, 1): "2027-10-15",
        number(f"{serial}.0", 9): "2027-10-15",
        number(f"{serial}.5", 10): "2027-10-15 12:00:00",
        number(f"{serial}.00001157408", 10): "2027-10-15 00:00:01",
        number(serial, 12): "2027-10-15",
        Raw("<v>2027-10-15T00:00:00</v>", 't="d"'): "2027-10-15",
        Raw("<v>2027-10-15</v>", 't="d"'): "2027-10-15",
        number("0.5", 5): "12:00:00",
        number("99999999999", 1): "99999999999",
    }
    assert read_cells(tmp_path, *cells, date1904=epoch) == list(cells.values())


def test_texts_truths_and_errors(tmp_path: Path) -> None:
    phonetic = "<rPh sb='0' eb='1'><t>x</t></rPh>"
    rich = f"<is><r><t>A</t></r><r><t xml:space='preserve'>nn </t></r>{phonetic}</is>"
    cells = {
        Raw(rich, 't="inlineStr"'): "Ann ",
        Raw("<v>1</v>", 't="b"'): "TRUE",
        Raw("<v>0</v>", 't="b"'): "FALSE",
        Raw("<f>A1</f><v>#N/A</v>", 't="e"'): "#N/A",
        Raw("<v>#REF!</v>", 't="e"'): "#REF!",
        Raw("<f>A1&amp;\"x\"</f><v>ax</v>", 't="str"'): "ax",
        Raw('<f>""</f><v></v>', 't="str"'): "",
        Raw("<f>EDATE(C3,12)</f><v/>"): "=EDATE(C3,12)",
        Raw("<f>EDATE(C3,12)</f>"): "=EDATE(C3,12)",
        Raw('<f t="shared" si="0"/>'): "=",
        Raw("<is><t>a_x000D_b_x005F_</t></is>", 't="inlineStr"'): "a\rb_",
        Raw("", 's="1"'): "",
    }  # fmt: skip
    assert read_cells(tmp_path, *cells) == list(cells.values())


def test_a_score_shown_in_percent_counts_as_shown(tmp_path: Path) -> None:
    path = write_book(
        tmp_path / "scores.xlsx",
        Sheet(
            "Scores",
            [
                ("Training ID", "Event", "Date", "Score", "Status", "Valid Through"),
                ("RES0601", "assessment", number("46267", 1), number("0.85", 2)),
                ("RES0602", "assessment", number("46267", 1), number("72.33333333333333")),
                ("RES0603", "assessment", number("46267", 1), number("0.85")),
                ("RES0604", "assessment", number("46267", 1), Raw("<f>B1/2</f><v/>")),
                ("RES0605", "certification", number("46267", 1), None, "Certified",
                 Raw("<f>EDATE(C3,12)</f><v/>")),
                ("RES0606", "assessment", number("46267", 1), Raw("<v>#DIV/0!</v>", 't="e"')),
            ],
        ),
    )  # fmt: skip
    found = list(judge_results(read_results(path), NOW))
    scores = [verdict.fact.score for verdict in found if isinstance(verdict.fact, AssessmentScored)]
    assert scores == [Decimal(85), Decimal("72.33333333")]
    said = [verdict.reasons[0].message for verdict in found if verdict.reasons]
    assert ["fraction" in said[0], "formula" in said[1], "formula" in said[2]] == [True] * 3
    assert "error" in said[3]


@pytest.mark.parametrize("name", ["Roster", "Last year"])
@pytest.mark.parametrize("state", ["hidden", "veryHidden"])
def test_a_hidden_sheet_is_never_read(tmp_path: Path, state: str, name: str) -> None:
    old, new = Sheet(name, [HEADER, ANN, ANN], state), Sheet("Now", [HEADER, BO])
    for sheets in ((old, new), (new, old)):
        table = read_roster(write_book(tmp_path / "a.xlsx", *sheets))
        assert [row.cells["first_name"] for row in table] == ["Bo"]
        assert any(f"“{name}”" in note and "hidden" in note for note in table.notes)
    with pytest.raises(UnreadableFile, match=f"hidden sheet “{name}”"):
        read_roster(write_book(tmp_path / "b.xlsx", old, Sheet("Empty", [])))


@pytest.mark.parametrize("other", [[("Read me first",)], [("Name", "Town"), ("a", "b")]])
def test_the_sheet_with_the_columns_is_read_and_the_other_named(
    tmp_path: Path, other: list[tuple[str, ...]]
) -> None:
    for sheets in (
        (Sheet("How to", other), Sheet("People", [HEADER, ANN])),
        (Sheet("People", [HEADER, ANN]), Sheet("How to", other)),
    ):
        table = read_roster(write_book(tmp_path / "a.xlsx", *sheets))
        assert len(list(table)) == 1
        assert any("“How to”" in note and "not read" in note for note in table.notes)


def test_two_sheets_of_people_are_refused_and_both_named(tmp_path: Path) -> None:
    path = write_book(tmp_path / "a.xlsx", Sheet("A-M", [HEADER, ANN]), Sheet("N-Z", [HEADER, BO]))
    with pytest.raises(UnreadableFile, match=r"“A-M” and “N-Z”.*one sheet"):
        read_roster(path)


def test_empty_sheets_are_not_worth_a_word(tmp_path: Path) -> None:
    path = write_book(
        tmp_path / "a.xlsx",
        Sheet("Roster", [HEADER, ANN]),
        Sheet("Sheet2", []),
        Sheet("Sheet3", []),
    )
    assert read_roster(path).notes == []


def test_no_sheet_with_the_columns_says_what_each_is_called(tmp_path: Path) -> None:
    path = write_book(
        tmp_path / "a.xlsx", Sheet("Plan", [("a", "b")]), Sheet("More", [("Email", "x")])
    )
    with pytest.raises(UnreadableFile) as refused:
        read_roster(path)
    assert "“More”" in str(refused.value)
    assert "“Plan”" in str(refused.value)
    assert "Training ID" in str(refused.value)


@pytest.mark.parametrize(
    ("name", "cell", "says"),
    [
        ("first_name", Raw("<f>A1</f><v>#N/A</v>", 't="e"'), "error"),
        ("last_name", Raw("<v>#REF!</v>", 't="e"'), "error"),
        ("email", FORMULA, "formula"),
        ("access", FORMULA, "formula"),
        ("training_id", number("12345", 7), "changed by a spreadsheet"),
    ],
)
def test_what_a_spreadsheet_left_is_told(
    tmp_path: Path, name: str, cell: object, says: str
) -> None:
    path = write_book(tmp_path / "a.xlsx", Sheet("A", [HEADER, changed(ANN, **{name: cell})]))
    [verdict] = verdicts(*rows_of(path))
    assert [says in reason.message for reason in verdict.reasons] == [True]


def test_numbers_of_other_libraries_are_accepted(tmp_path: Path) -> None:
    path = write_book(
        tmp_path / "a.xlsx",
        Sheet(
            "A",
            [
                HEADER,
                changed(
                    ANN,
                    training_id=number("1234567.0"),
                    access=number("1.0"),
                    public_phone=number("6.515550142E9"),
                ),
                changed(BO, access=True),
            ],
        ),
    )
    assert [row.reasons for row in verdicts(*rows_of(path))] == [[], []]


def test_a_merged_cell_is_called_so(tmp_path: Path) -> None:
    merged = "<mergeCells><mergeCell ref='A3:B4'/><mergeCell ref='H2:H4'/></mergeCells>"
    rows = [HEADER, ANN, BO, changed(BO, first_name=None, last_name=None, public_email=None)]
    path = write_book(tmp_path / "a.xlsx", Sheet("A", rows, after=merged))
    first, second, third = rows_of(path)
    assert (first.fault, second.fault) == ("", "")
    assert "merged" in third.fault
    assert "First Name" in third.fault
    assert "Public-Facing Email" in third.fault


def test_hidden_rows_are_read_and_counted(tmp_path: Path) -> None:
    path = write_book(
        tmp_path / "a.xlsx", Sheet("A", [HEADER, ANN, BO, [None] * 8], hidden_rows=(3, 4))
    )
    table = read_roster(path)
    assert len(list(table)) == 2
    assert any("1 hidden row" in note for note in table.notes)


@pytest.mark.parametrize("above", [[], [[]], [["Lakeside Health navigators"]], [["Agency:", "L"]]])
def test_what_stands_above_the_columns(tmp_path: Path, above: list[list[str]]) -> None:
    path = write_book(tmp_path / "a.xlsx", Sheet("A", [*above, [None] * 3, HEADER, ANN]))
    table = read_roster(path)
    [row] = table
    assert row.line == len(above) + 3
    titles = [title for title in above if title]
    assert len([note for note in table.notes if "above" in note]) == len(titles)


@pytest.mark.parametrize("namespace", [STRICT])
def test_a_strict_workbook_is_read(tmp_path: Path, namespace: str) -> None:
    path = write_book(tmp_path / "a.xlsx", Sheet("A", [HEADER, ANN]), namespace=namespace)
    assert [row.cells["first_name"] for row in rows_of(path)] == ["Ann"]


@pytest.mark.parametrize(
    "styles",
    ["<styleSheet/>", "<styleSheet><fills><fill/></fills></styleSheet>",
     "<styleSheet><fonts><font><sz val='big'/></font></fonts><cellXfs/></styleSheet>"],
)  # fmt: skip
def test_looks_do_not_matter(tmp_path: Path, styles: str) -> None:
    path = write_book(tmp_path / "a.xlsx", Sheet("A", [HEADER, ANN]), styles=styles)
    assert len(rows_of(path)) == 1


def test_rows_far_down_keep_their_lines(tmp_path: Path) -> None:
    path = write_book(tmp_path / "a.xlsx", Sheet("A", [HEADER, ANN]), first_row=40)
    assert [row.line for row in rows_of(path)] == [41]


def repacked(
    path: Path,
    *,
    name: Callable[[str], str] = str,
    sheet: tuple[bytes, bytes] = (b"", b""),
    more: Mapping[str, str] = MappingProxyType({}),
) -> Path:
    """Copies a workbook with renamed parts, replaced text in its sheet, or additional parts."""
    copy = path.with_name(f"again-{path.name}")
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(copy, "w") as new:
        for each in old.namelist():
            content = old.read(each)
            new.writestr(name(each), content.replace(*sheet) if "sheet1" in each else content)
        for each, text in more.items():
            new.writestr(each, text)
    return copy


def plain(folder: Path) -> Path:
    return write_book(folder / "a.xlsx", Sheet("A", [HEADER, ANN, BO]))


@pytest.mark.parametrize(
    "name",
    [
        lambda each: each.replace("sheet1", "Sheet1"),
        lambda each: each.replace("xl/", "XL/"),
        lambda each: each.replace("/", "\\"),
        lambda each: f"/{each}",
    ],
    ids=["case", "folder's case", "backslashes", "absolute"],
)
def test_parts_are_found_as_spreadsheet_programs_find_them(
    tmp_path: Path, name: Callable[[str], str]
) -> None:
    assert len(rows_of(repacked(plain(tmp_path), name=name))) == 2


def test_a_workbook_that_is_kept_elsewhere_is_found(tmp_path: Path) -> None:
    target = "Type='http://x/relationships/officeDocument' Target='/doc/book.xml'"
    path = repacked(
        plain(tmp_path),
        name=lambda each: each.replace("xl/", "doc/").replace("workbook.xml", "book.xml"),
        more={
            "_rels/.rels": f"<Relationships><Relationship Id='a' {target}/></Relationships>",
            "xl/styles.xml": "<styleSheet/>",
        },
    )
    assert len(rows_of(path)) == 2


@pytest.mark.parametrize(
    "part",
    [
        {"xl/calcChain.xml": "<calcChain>" + "<c r='A1' i='1'/>" * 40_000 + "</calcChain>"},
        {"xl/pivotCache/pivotCacheRecords1.xml": "<r>" + "<s v='x'/>" * 60_000 + "</r>"},
        {"customXml/item1.xml": "<!DOCTYPE a><a/>"},
        {"docProps/app.xml": "<a><b></a>"},
        {"xl/comments1.xml": ""},
    ],
    ids=lambda part: next(iter(part)),
)
def test_parts_that_hold_no_rows_do_not_matter(tmp_path: Path, part: dict[str, str]) -> None:
    assert len(rows_of(repacked(plain(tmp_path), more=part))) == 2


def test_a_link_on_every_address_does_not_matter(tmp_path: Path) -> None:
    """A spreadsheet program makes a link of every typed address."""
    link = "<hyperlink ref='C2' r:id='r' display='x' xmlns:r='r'/>"
    links = f"<hyperlinks>{link * 24_000}</hyperlinks>"
    path = write_book(tmp_path / "a.xlsx", Sheet("A", [HEADER, ANN], after=links))
    assert len(rows_of(path)) == 1


def test_looks_by_the_ten_thousand_do_not_matter(tmp_path: Path) -> None:
    looks = "<xf numFmtId='0' fontId='0' fillId='0'><alignment wrapText='1'/></xf>" * 60_000
    styles = f"<styleSheet><cellXfs>{looks}<xf numFmtId='9'/></cellXfs></styleSheet>"
    path = write_book(
        tmp_path / "a.xlsx", Sheet("A", [("C0",), (number("0.85", 60_000),)]), styles=styles
    )
    [row] = read_table(path, {"C0": "C0"}, {"C0": "C0"})
    assert row.cells["C0"] == "85%"


def test_a_format_of_the_same_number_elsewhere_is_not_taken_for_the_cells(tmp_path: Path) -> None:
    styles = (
        "<styleSheet><numFmts><numFmt numFmtId='164' formatCode='0.00'/></numFmts><cellXfs><xf"
        " numFmtId='164'/></cellXfs><dxfs><dxf><numFmt numFmtId='164' formatCode='0%'/></dxf>"
        "</dxfs></styleSheet>"
    )
    path = write_book(tmp_path / "a.xlsx", Sheet("A", [("C0",), (number("85"),)]), styles=styles)
    [row] = read_table(path, {"C0": "C0"}, {"C0": "C0"})
    assert row.cells["C0"] == "85"


def test_hidden_columns_are_read_and_named(tmp_path: Path) -> None:
    hidden = b"<cols><col min='5' max='6' hidden='1'/><col min='9' max='12' hidden='1'/></cols>"
    path = repacked(plain(tmp_path), sheet=(b"<sheetData>", hidden + b"<sheetData>"))
    table = read_roster(path)
    assert len(list(table)) == 2
    [note] = table.notes
    assert "Hidden columns" in note
    assert "“Current Employment S…”, “Assister Portal Acce…”" in note


def test_an_id_that_became_a_date_is_called_changed(tmp_path: Path) -> None:
    row = changed(ANN, training_id=number("46447", 1))
    [verdict] = verdicts(*rows_of(write_book(tmp_path / "a.xlsx", Sheet("A", [HEADER, row]))))
    assert "changed by a spreadsheet" in verdict.reasons[0].message


def compound(*streams: str) -> bytes:
    return b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600) + b"".join(
        stream.encode("utf-16-le") + bytes(64) for stream in streams
    )  # fmt: skip


def archive(folder: Path, **parts: str) -> bytes:
    path = folder / "archive"
    with zipfile.ZipFile(path, "w") as made:
        for name, content in parts.items():
            made.writestr(name.replace("__", "/").replace("_dot_", "."), content)
    return path.read_bytes()


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("r.xlsx", compound("Root Entry", "EncryptionInfo", "EncryptedPackage"), "password"),
        ("r.xls", compound("Root Entry", "EncryptedPackage"), "password"),
        ("r.xls", compound("Root Entry", "Workbook"), "old .xls"),
        ("r.xlsx", compound("Root Entry", "Book"), "old .xls"),
        ("r.xls", b"<html><table><tr><td>First Name</td></tr></table></html>", "web page"),
        ("r.csv", b"\xef\xbb\xbf <!DOCTYPE html><html></html>", "web page"),
        ("r.xls", b"<?xml version='1.0'?><Workbook></Workbook>", "web page or XML"),
        ("r.pdf", b"%PDF-1.7\n", "PDF"),
        ("r.ods", {"mimetype": "application/vnd.oasis.opendocument.spreadsheet",
                   "content_dot_xml": "<a/>"}, "OpenDocument"),
        ("r.xlsb", {"xl__workbook_dot_bin": "x"}, "binary workbook"),
        ("r.zip", {"roster_dot_csv": "x"}, "archive"),
        ("r.pptx", {"ppt__presentation_dot_xml": "<a/>"}, "PowerPoint"),
        ("r.numbers", {"Index__Document_dot_iwa": "x"}, "Numbers spreadsheet; export it to Excel"),
        ("r.docx", {"word__document_dot_xml": "<a/>"}, "Word"),
        ("r.xlsx", {"xl__workbook_dot_xml": "<workbook><sheets/></workbook>"}, "no sheet"),
        ("r.xlsx", {"xl__workbook_dot_xml": "<workbook"}, "not a workbook"),
        ("r.xlsx", b"PK\x03\x04 broken", "not a workbook"),
    ],
)  # fmt: skip
def test_what_is_no_table_is_called_what_it_is(
    tmp_path: Path, name: str, content: bytes | dict[str, str], says: str
) -> None:
    path = write(
        tmp_path, content if isinstance(content, bytes) else archive(tmp_path, **content), name
    )
    with pytest.raises(UnreadableFile, match=says) as refused:
        rows_of(path)
    assert "Error" not in str(refused.value)
    assert "save" in str(refused.value) or "send" in str(refused.value)


def test_strings_that_are_missing_refuse_the_file(tmp_path: Path) -> None:
    shared = Raw("<v>7</v>", 't="s"')
    path = write_book(tmp_path / "a.xlsx", Sheet("A", [HEADER, changed(ANN, email=shared)]))
    with pytest.raises(UnreadableFile, match="not a workbook that can be read; save"):
        rows_of(path)


def test_no_warning_of_a_library_reaches_the_screen(tmp_path: Path) -> None:
    path = write_book(tmp_path / "a.xlsx", Sheet("A", [HEADER, ANN]))
    code = (
        "import sys; from pathlib import Path; from intake.files import read_roster;"
        "print(len(list(read_roster(Path(sys.argv[1])))))"
    )
    done = subprocess.run(
        [sys.executable, "-W", "always::UserWarning", "-c", code, str(path)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert (done.stdout, done.stderr) == ("1\n", "")


def test_a_workbook_of_the_common_library_reads_the_same(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    for each in (HEADER, ANN, BO):
        sheet.append(each)
    book.save(tmp_path / "a.xlsx")
    assert [list(row.cells.values())[:8] for row in rows_of(tmp_path / "a.xlsx")] == [
        list(ANN),
        list(BO),
    ]
