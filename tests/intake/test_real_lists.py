"""CSV files as people export them: the columns are found, or the refusal says what the file has."""

import gzip
from pathlib import Path

import pytest

from intake.files import UnreadableFile, read_roster
from intake.results import read_results
from policy.roster import Row
from tests.support.rosters import HEADER, ROW, write
from tests.support.rows import verdicts

BO = "Bo,Ek,bo@x.org,BOO1234,Active,Yes,651-555-0142,help@x.org"
BODY = f"{HEADER}\n{ROW}\n{BO}\n"
QUOTED = ",".join(f'"{each}"' for each in HEADER.split(","))


def read(folder: Path, text: str | bytes, encoding: str = "utf-8-sig") -> list[Row]:
    return list(read_roster(write(folder, text), encoding))


def refused(folder: Path, text: str | bytes, encoding: str = "utf-8-sig") -> str:
    with pytest.raises(UnreadableFile) as error:
        read(folder, text, encoding)
    return str(error.value)


@pytest.mark.parametrize(
    "text",
    [
        BODY.replace(",", "\t").encode("utf-16"),
        BODY.encode("utf-16"),
        b"\xfe\xff" + BODY.encode("utf-16-be"),
        BODY.encode("utf-32"),
        "sep=;\r\n" + BODY.replace(",", ";"),
        "sep=,\n" + BODY,
        '"sep=;"\r\n' + BODY.replace(",", ";"),
        "SEP=\t\n" + BODY.replace(",", "\t"),
        "\ufeffsep=|\n" + BODY.replace(",", "|"),
        ("sep=;\r\n" + BODY.replace(",", ";")).encode("utf-16"),
        BODY.replace(",", "|"),
        "\r\n" + BODY,
        "\n\n ,\n" + BODY,
        ",,,,,,,\n" + BODY,
        '"Lakeside Health, exported 11/20/2026",,,,,,,\n,,,,,,,\n' + BODY,
        "# exported by HRM 4\n" + BODY,
        "Agency:,Lakeside\nDate:,2026-11-20\n\n" + BODY,
        "Navigators; as of November\n" + BODY.replace(",", ";"),
        BODY.replace(",", ";").replace(
            "Public-Facing Email",
            'Public-Facing Email;"Notes (phone, fax, text, mail, chat, a, b)"',
        ),
        BODY.replace(",", ";").replace("First Name;Last Name", '"First\nName";"Last\nName"'),
        BODY.replace("First Name,Last Name", '"First\nName","Last\nName"'),
        BODY.replace("First Name,", "First Name*,").replace("Training ID", "TRAINING_ID"),
        BODY.replace(" ", "\u00a0"),
        BODY.replace("First Name", "“First Name”"),
        BODY.replace("\n", "\r"),
        BODY.replace(",", ", "),
        f"{HEADER},,,\n{ROW},,,\n{BO},,, \n",
        "".join(f",,{each}\n" for each in BODY.splitlines()),
        BODY.replace("Ann,Lee", 'Ann,"Lee"').replace("Bo,Ek", '"Bo", "Ek"'),
    ],
)
def test_what_can_be_read_surely_is_read(tmp_path: Path, text: str | bytes) -> None:
    found = read(tmp_path, text)
    assert [row.cells["first_name"].strip() for row in found] == ["Ann", "Bo"]
    assert [verdict.reasons for verdict in verdicts(*found)] == [[], []]


def test_what_stands_above_the_columns_is_told_with_its_line(tmp_path: Path) -> None:
    table = read_roster(write(tmp_path, "\nLakeside navigators\n" + BODY))
    assert [row.line for row in table] == [4, 5]
    assert len(table.notes) == 1
    assert "Line 2" in table.notes[0]
    assert "Lakeside navigators" in table.notes[0]


def test_a_row_above_the_columns_is_never_passed_over(tmp_path: Path) -> None:
    said = refused(tmp_path, f"{ROW}\n{BODY}")
    assert "line 2" in said
    assert "line 1" in said


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            "First,Last,Email Address,Unique Key,Status,Portal Access,Phone,Public Email\n" + ROW,
            ["line 1", "“First”, “Last”", "“Email Address”", "First Name", "Training ID"],
        ),
        (HEADER.replace(",", "~") + "\n", ["line 1 has one cell", "comma, semicolon, tab or |"]),
        (HEADER.replace(",", ":") + "\n", ["line 1 has one cell"]),
        (BODY.replace("First Name,", "Given Name,"), ["“Given Name”", "First Name"]),
        (f"{ROW}\n{BO}\n", ["line 1 holds “Ann”"]),
        ("\n\n" + BODY.replace("Email,Training ID", "Mail,ID"), ["line 3 holds"]),
        ("Title\n" + BODY.replace("Training ID", "ID"), ["line 2 holds", "Training ID"]),
        (HEADER.replace("Email,", "Email (certification),") + f"\n{ROW}\n", ["Email (certific"]),
    ],
)
def test_a_header_that_is_refused_is_quoted(tmp_path: Path, text: str, says: list[str]) -> None:
    said = refused(tmp_path, text)
    assert [text for text in says if text not in said] == [], said
    assert len(said) <= 400


@pytest.mark.parametrize(
    "text",
    [
        "First name,ID number,Email address,Quiz: Assessment (Percentage)\nA,R,x,85 %\n",
        'Student,ID,SIS User ID,Section\n    Points Possible,,,\n"Berg, Ada",17,RES0301,Fall\n',
        "Name|Score\nAda|85\n",
        "Training ID;Date\nRES0301;2026-09-02\n",
        "<Gradebook>,x\n",
    ],
)
def test_a_gradebook_is_refused_with_what_it_holds(tmp_path: Path, text: str) -> None:
    with pytest.raises(UnreadableFile, match=r"lacks these columns: .*Event.* line \d h") as error:
        read_results(write(tmp_path, text))
    assert "“" in str(error.value)


@pytest.mark.parametrize("line", [2, 3, 150, 402, 900])
@pytest.mark.parametrize(("name", "encoding"), [("é", "cp1252"), ("ü", "latin-1")])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_a_wrong_byte_is_told_with_its_line(
    tmp_path: Path, line: int, name: str, encoding: str, end: str
) -> None:
    rows = [HEADER] + [ROW] * 1000
    rows[line - 1] = f"Gr{name}n{ROW}"
    said = refused(tmp_path, end.join(rows).encode(encoding))
    assert f" in line {line};" in said
    assert "--encoding cp1252" in said


def test_the_line_of_a_wrong_byte_counts_the_breaks_inside_cells(tmp_path: Path) -> None:
    rows = f'{HEADER}\n{ROW}\n"A\nnn"{ROW[3:]}\nGr\xfcn{ROW}\n'
    assert " in line 5;" in refused(tmp_path, rows.encode("latin-1"))


def test_utf_16_without_its_mark_is_named(tmp_path: Path) -> None:
    for encoding in ("utf-16-le", "utf-16-be"):
        assert f"--encoding {encoding}" in refused(tmp_path, BODY.encode(encoding))
        assert len(read(tmp_path, BODY.encode(encoding), encoding)) == 2


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ('"Bob" Robert,Lee,', "line 2: a quotation mark inside a quoted cell must be doubled"),
        ('"Ada \\"Addie\\"",Lee,', "line 2: a quotation mark inside a quoted cell must be doubled"),
        ('Ann,"Lee" Jr.,', "line 2: a quotation mark inside a quoted cell must be doubled"),
        ('Ann,"Lee,', "a quotation mark in line 2 is never closed"),
        ('Ann,"Lee\n"x,', "line 3: a quotation mark inside a quoted cell must be doubled"),
    ],
)
def test_a_quotation_mark_that_stands_wrong_is_told_as_it_is(
    tmp_path: Path, row: str, says: str
) -> None:
    for head in ("", "sep=,\n"):
        text = f"{head}{HEADER}\n{row}ann@x.org,ABC1234,Active,Yes,651-555-0142,h@x.org\n{BO}\n"
        wanted = says if not head else says.replace("2", "9").replace("3", "4").replace("9", "3")
        assert wanted in refused(tmp_path, text)


@pytest.mark.parametrize(
    ("cells", "first"),
    [
        ('Robert "Bob",Lee', 'Robert "Bob"'),
        ('"Robert ""Bob""",Lee', 'Robert "Bob"'),
        ('Cia, "Lee, Jr."', "Cia"),
    ],
)
def test_quotation_marks_that_stand_right_are_read(tmp_path: Path, cells: str, first: str) -> None:
    text = f"{HEADER}\n{cells},ann@x.org,ABC1234,Active,Yes,651-555-0142,h@x.org\n"
    [row] = read(tmp_path, text)
    assert (row.fault, row.cells["first_name"]) == ("", first)


@pytest.mark.parametrize(
    "again",
    [
        HEADER,
        f"\ufeff{HEADER}",
        HEADER.upper(),
        QUOTED,
        HEADER.replace(",", ", "),
        HEADER.replace("Last Name", "Last Name:"),
    ],
)
def test_files_one_behind_the_other_are_read_and_the_second_header_told(
    tmp_path: Path, again: str
) -> None:
    first, header, second = read(tmp_path, f"{HEADER}\n{ROW}\n{again}\n{BO}\n")
    assert (first.fault, header.fault, second.fault) == ("", "repeats the header", "")


def test_a_row_that_begins_like_the_header_is_none(tmp_path: Path) -> None:
    [row] = read(tmp_path, f"{HEADER}\n{ROW.replace('Ann', 'First Name')}\n")
    assert row.fault == ""


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ('="0012345"', "0012345"),
        ('"=""0012345"""', "0012345"),
        ('"=""A""""B"""', 'A"B'),
        ('=""', ""),
        ("=0012345", "=0012345"),
        ('"=""0012345""&A1"', '="0012345"&A1'),
    ],
)
def test_a_text_that_a_program_wrote_as_a_formula_is_the_text(
    tmp_path: Path, written: str, meant: str
) -> None:
    [row, _] = read(tmp_path, BODY.replace("ABC1234", written))
    assert row.cells["training_id"] == meant


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("roster.csv.gz", gzip.compress(BODY.encode()), "is packed; unpack it and send"),
        ("roster.7z", b"7z\xbc\xaf\x27\x1c\x00\x04" + bytes(range(256)), "is packed; unpack"),
        ("roster.slk", b'ID;PWXL;N;E\r\nC;Y1;X1;K"First Name"\r\nE\r\n', "is a SYLK file; open it"),
        ("roster.dif", b'TABLE\r\n0,1\r\n"EXCEL"\r\n', "is a DIF file; open it"),
        ("roster.xls", b"MIME-Version: 1.0\r\nX-Document-Type: Workbook\r\n", "web page or XML"),
        ("roster.xls", b"\t\x08\x08\x00\x00\x05\x10\x00" + bytes(99), "old .xls"),
        ("roster.rtf", b"{\\rtf1\\ansi First Name}", "text document; copy its table"),
        ("roster.json", b'[\r\n  {"First Name": "Ann"}\r\n]', "is JSON and no table; save"),
        ("roster.gsheet", b'{"url": "https://sheets.example.org/1"}', "is JSON and no table"),
        ("roster.eml", b"Received: from x.org\r\nSubject: Roster\r\n", "is a mail; send the file"),
        ("roster.xlsx", b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\xff", "neither a workbook"),
    ],
)
def test_a_file_of_another_kind_is_called_what_it_is(
    tmp_path: Path, name: str, content: bytes, says: str
) -> None:
    with pytest.raises(UnreadableFile, match=says):
        read_roster(write(tmp_path, content, name))


@pytest.mark.parametrize(
    "above", ["From: HR\n", "ID;Program;x\n", "TABLE\n", "[Lakeside]\n", "{Lakeside}\n"]
)
def test_a_title_is_not_taken_for_another_kind_of_file(tmp_path: Path, above: str) -> None:
    said = ""
    try:
        assert len(read(tmp_path, above + BODY)) == 2
    except UnreadableFile as refused:
        said = str(refused)
    assert not said or "below a row: line 1 holds" in said


def test_a_total_or_an_end_costs_its_own_row_only(tmp_path: Path) -> None:
    found = verdicts(*read(tmp_path, f"{BODY}Total,2,,,,,,\n-- end of report --\n"))
    assert [row.verdict for row in found] == ["accepted"] * 2 + ["rejected"] * 2
