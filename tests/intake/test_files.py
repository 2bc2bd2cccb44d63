"""Files as people send them are read, or refused with a reason."""

import zipfile
from contextlib import suppress
from pathlib import Path

import openpyxl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from intake.files import UnreadableFile, read_roster
from intake.workbooks import MAX_UNPACKED
from tests.support.rosters import HEADER, ROW, write


@pytest.mark.parametrize(
    "text",
    [
        f"{HEADER}\n{ROW}\n",
        f"\ufeff{HEADER}\r\n{ROW}\r\n",
        f"{HEADER}\n{ROW}\n".replace(",", ";"),
        f"{HEADER}\n{ROW}\n".replace(",", "\t"),
        f"{HEADER.upper()}\n{ROW}",
        f"{HEADER.replace(' ', '_').replace('-', ' ')}\n{ROW}",
        f"{HEADER},Shoe Size\n{ROW},42",
        f"{HEADER}\n{ROW}\n" + ",,,,,,,\n" * 500,
    ],
)
def test_the_same_roster_in_many_forms(tmp_path: Path, text: str) -> None:
    (row,) = read_roster(write(tmp_path, text))
    assert row.line == 2
    assert row.cells["training_id"] == "ABC1234"
    assert row.cells["counties"] == ""


def test_columns_in_any_order_and_lines_as_an_editor_counts_them(tmp_path: Path) -> None:
    columns, cells = HEADER.split(","), ROW.split(",")
    text = ",".join(reversed(columns)) + "\n\n,,\n" + ",".join(reversed(cells)) + "\n"
    (row,) = read_roster(write(tmp_path, text))
    assert (row.line, row.cells["first_name"]) == (4, "Ann")


def test_a_workbook_is_known_by_its_content(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.append(HEADER.split(","))
    sheet.append(["Ann", "Lee", "ann@x.org", 1234567, "Active", True, 6515550142, "help@x.org"])
    sheet.append([None] * 8)
    sheet.append(["Bo", "Ek", "bo@x.org", 12345.0, "Active", "Yes", "651-555-0142", "h@x.org"])
    path = tmp_path / "roster.csv"
    book.save(path)
    first, second = read_roster(path)
    assert (first.line, first.cells["training_id"], first.cells["access"]) == (2, "1234567", "TRUE")
    assert second.line == 4


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "is empty"),
        ("\n\n", "is empty"),
        ("a,b,c\n1,2,3\n", "lacks these columns: First Name"),
        (f"{HEADER},E-mail\n{ROW},x@x.org\n", "“Email” twice in its line 1; send"),
        (f"{HEADER}\nJosé".encode("cp1252"), "--encoding"),
        (f'{HEADER}\n"Ann,Lee\n' + f"{ROW}\n" * 3, "quotation mark"),
        (b"\xd0\xcf\x11\xe0 old", "old .xls"),
        (b"PK\x03\x04 broken", "not a workbook"),
        (b"\x00\x01\x02\x03", "lacks these columns"),
    ],
)
def test_a_file_that_cannot_be_read_says_why(tmp_path: Path, text: str | bytes, says: str) -> None:
    with pytest.raises(UnreadableFile, match=says):
        list(read_roster(write(tmp_path, text)))


def test_an_encoding_is_named_never_guessed(tmp_path: Path) -> None:
    path = write(tmp_path, f"{HEADER}\n{ROW.replace('Ann', 'José')}\n".encode("cp1252"))
    (row,) = read_roster(path, "cp1252")
    assert row.cells["first_name"] == "José"
    with pytest.raises(UnreadableFile, match="no encoding"):
        read_roster(path, "klingon")


def test_a_missing_file_and_a_folder(tmp_path: Path) -> None:
    for path in (tmp_path / "none.csv", tmp_path):
        with pytest.raises(UnreadableFile):
            list(read_roster(path))


def test_faults_of_a_row_stay_with_the_row(tmp_path: Path) -> None:
    text = f"{HEADER}\n{ROW},surplus\n{HEADER}\nAnn\n{ROW}\nA\0nn{ROW[3:]}\n{'x' * 4000}{ROW}\n"
    rows = list(read_roster(write(tmp_path, text)))
    assert ["more cells" in rows[0].fault, "repeats" in rows[1].fault] == [True, True]
    assert [row.fault for row in rows[2:5]] == ["", "", ""]
    assert "too long" in rows[5].fault


def test_a_decompression_bomb_is_not_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "bomb.xlsx"
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("xl/worksheets/sheet1.xml", "w", force_zip64=True) as member,
    ):
        for _ in range(MAX_UNPACKED // 2**22 + 1):
            member.write(bytes(2**22))
    with pytest.raises(UnreadableFile, match="unpacks to more"):
        read_roster(path)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(tmp_path: Path, content: bytes) -> None:
    path = write(tmp_path, HEADER.encode() + b"\n" + content)
    with suppress(UnreadableFile):
        assert all(row.cells.keys() >= {"email"} for row in read_roster(path))
