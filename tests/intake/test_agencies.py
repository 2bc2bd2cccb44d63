"""Lists of agencies and contacts: each row has a verdict, and a reason names the bad cell."""

from pathlib import Path

import pytest

from intake.agencies import AgencyVerdict, judge_agencies, read_agencies
from tests.support.rosters import write

HEADER = "Agency ID,Agency Name,Contact Name,Contact Email\n"
PAT = "LAK-1,Lakeside Health,Pat Lind,pat.lind@lakeside.example.org\n"


def judged(folder: Path, *rows: str) -> list[AgencyVerdict]:
    return list(judge_agencies(read_agencies(write(folder, HEADER + "".join(rows)))))


def test_a_good_row_says_what_it_says(tmp_path: Path) -> None:
    [one] = judged(tmp_path, PAT.replace("Lakeside Health", '"Lakeside\nHealth, Inc."'))
    assert one.reasons == []
    assert (one.agency_id, one.name, one.contact, one.email) == (
        "LAK-1",
        "Lakeside Health, Inc.",
        "Pat Lind",
        "pat.lind@lakeside.example.org",
    )


@pytest.mark.parametrize(
    ("row", "field", "says"),
    [
        ("LAK-2,Lakeside Health, Inc.,Pat Lind,pat@x.org\n", "row", "more cells"),
        ("LAK-5,Lakeside,Pat Lind,pat@x.org,kim@x.org\n", "row", "more cells"),
        ("LAK-3,,Pat,pat@x.org\n", "Agency Name", "empty"),
        ("LAK-4,Lakeside,,kim@x.org\n", "Contact Name", "empty"),
        ("LAK-4,Lakeside,Kim,\n", "Contact Email", "empty"),
        ("LAK-3,Lakeside,Kim,#N/A\n", "Contact Email", "error"),
        ("LAK-3,#REF!,Kim,kim@x.org\n", "Agency Name", "error"),
        ("=A2,Lakeside,Kim,kim@x.org\n", "Agency ID", "formula"),
        ("LAK 4,Lakeside,Kim,kim@x.org\n", "Agency ID", "letters, digits"),
        (",Lakeside,Kim,kim@x.org\n", "Agency ID", "empty"),
        ("ＬＡＫ,Lakeside,Kim,kim@x.org\n", "Agency ID", "letters, digits"),
        ("LAK-4,Lakeside,K\u202eim,kim@x.org\n", "Contact Name", "U+202E"),
        ("LAK-4,Lakeside,N/A,kim@x.org\n", "Contact Name", "no name"),
        ("LAK-4,Lakeside,Contact Name,kim@x.org\n", "Contact Name", "no name"),
        ("LAK-4,Lakeside,Kim,k’m@x.org\n", "Contact Email", "’"),
        ("LAK-4,Lakeside,Kim,kim\n", "Contact Email", "valid"),
    ],
)
def test_the_cell_at_fault_is_named_and_hurts_no_other_row(
    tmp_path: Path, row: str, field: str, says: str
) -> None:
    good, bad = judged(tmp_path, PAT, row)
    assert good.reasons == []
    assert field in [reason.field for reason in bad.reasons]
    assert says in next(reason.message for reason in bad.reasons if reason.field == field)
    assert bad.public()["verdict"] == "rejected"


def test_a_row_that_contradicts_an_earlier_one_is_rejected(tmp_path: Path) -> None:
    rows = judged(
        tmp_path,
        PAT,
        PAT,
        PAT.replace("Lakeside Health", "Lakeside"),
        PAT.replace("Pat Lind", "Pat Berg").replace("pat.lind@", "PAT.LIND@"),
        PAT.replace("pat.lind@", "kim@").replace("Pat Lind", "Kim"),
    )
    fields = [[reason.field for reason in row.reasons] for row in rows]
    assert fields == [[], [], ["Agency Name"], ["Contact Name"], []]
    assert "line 2" in rows[2].reasons[0].message


def test_an_id_in_other_capitals_is_no_second_agency(tmp_path: Path) -> None:
    text = "AG-1,North,Pat,pat@x.org\nag-1,North,Kim,kim@x.org\n"
    first, second = judge_agencies(read_agencies(write(tmp_path, HEADER + text)))
    assert first.reasons == []
    assert [(reason.field, reason.message) for reason in second.reasons] == [
        ("Agency ID", "is another one in line 2; write the same in both")
    ]


@pytest.mark.parametrize(
    ("agency", "contact", "column"),
    [
        ("MontrÃ©al Health", "Pat Lee", "Agency Name"),
        ("North & Co: 24/7 +", "Pat Lee", None),
        ("North", "pat@x.org", "Contact Name"),
        ("North", "O&#39;Brien", "Contact Name"),
        ("North", "vacant", "Contact Name"),
        ("TBD", "Pat Lee", "Agency Name"),
    ],
)
def test_what_is_no_name_is_told_by_its_column(
    tmp_path: Path, agency: str, contact: str, column: str | None
) -> None:
    text = f"{HEADER}AG-1,{agency},{contact},pat@x.org\n"
    [verdict] = judge_agencies(read_agencies(write(tmp_path, text)))
    assert [reason.field for reason in verdict.reasons] == ([column] if column else [])
