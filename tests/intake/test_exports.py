"""Files that LibreOffice Calc exported from one roster and one list of results."""

from pathlib import Path

import pytest

from intake.files import UnreadableFile, read_roster
from intake.results import judge_results, read_results
from policy.requirements import AssessmentScored, CertificationRecorded
from tests.support.rosters import NOW
from tests.support.rows import verdicts

EXPORTS = Path(__file__).parent / "exports"


@pytest.mark.parametrize(
    ("name", "encoding"),
    [
        ("roster.xlsx", "utf-8-sig"),
        ("roster-tab-utf16.csv", "utf-8-sig"),
        ("roster-quoted.csv", "utf-8-sig"),
        ("roster-semicolon-cp1252.csv", "cp1252"),
        ("roster-pipe-latin1.csv", "latin-1"),
    ],
)
def test_one_roster_in_every_form_is_the_same_roster(name: str, encoding: str) -> None:
    table = read_roster(EXPORTS / name, encoding)
    found = verdicts(*table)
    assert [verdict.training_id for verdict in found] == [
        "1234567",
        "0012345",
        "LAK0003",
        "LAK0004",
    ]
    [bad] = [verdict for verdict in found if verdict.reasons]
    assert (bad.training_id, len(bad.reasons)) == ("0012345", 1)
    assert "#DIV/0!" in bad.reasons[0].message
    entry = found[0].entry
    assert entry is not None
    assert (entry.first_name, entry.last_name, entry.public_phone, entry.approved) == (
        "Zoë",
        "Gräß",
        "+16515550142",
        True,
    )
    assert entry.business_address == "12 Shore Road Saint Paul"
    hidden = any("hidden row" in note for note in table.notes)
    assert hidden is name.endswith(".xlsx"), "a CSV knows no hidden rows"


def test_another_encoding_than_the_file_has_is_refused() -> None:
    with pytest.raises(UnreadableFile, match="is UTF-8"):
        list(read_roster(EXPORTS / "roster-quoted.csv", "cp1252"))


@pytest.mark.parametrize("name", ["results.xlsx", "results.xlsm"])
def test_a_workbook_of_results_counts_as_it_is_seen(name: str) -> None:
    found = list(judge_results(read_results(EXPORTS / name), NOW))
    facts = [verdict.fact for verdict in found if verdict.fact is not None]
    scores = [str(fact.score) for fact in facts if isinstance(fact, AssessmentScored)]
    days = [str(fact.valid_through) for fact in facts if isinstance(fact, CertificationRecorded)]
    assert (scores, days) == (["85", "72.34", "72.33333333"], ["2027-09-02", "2027-10-15"])
    said = {verdict.training_id: verdict.reasons[0].message for verdict in found if verdict.reasons}
    assert list(said) == ["RES0004", "RES0008"]
    assert "fraction" in said["RES0004"]
    assert "#DIV/0!" in said["RES0008"]


@pytest.mark.parametrize("name", ["results-utf8.csv", "results-german.csv"])
def test_dates_as_a_locale_shows_them_are_refused_with_what_to_write(name: str) -> None:
    found = list(judge_results(read_results(EXPORTS / name), NOW))
    said = {verdict.training_id: (verdict.reasons[0].field, verdict.reasons[0].message)
            for verdict in found if verdict.reasons}  # fmt: skip
    assert {key: field for key, (field, _) in said.items()} == {
        "RES0001": "Date",
        "RES0002": "Date",
        "RES0004": "Score",
        "RES0006": "Valid Through",
        "RES0008": "Score",
    }
    assert "write 2026-11-02" in said["RES0001"][1]


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("roster-semicolon-cp1252.csv", "in line 2; save it as UTF-8, or say how it is"),
        ("roster-pipe-latin1.csv", "in line 2; save it as UTF-8, or say how it is"),
        ("roster.ods", "OpenDocument spreadsheet; save it as"),
        ("roster.xls", "old .xls file, which cannot be read; save it as"),
        ("roster-page.xls", "web page or XML under a spreadsheet's name; open it"),
    ],
)
def test_what_is_not_read_says_what_it_is_and_what_to_do(name: str, says: str) -> None:
    with pytest.raises(UnreadableFile, match=says):
        list(read_roster(EXPORTS / name))
