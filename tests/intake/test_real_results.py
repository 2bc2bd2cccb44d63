"""Results as learning centers export them: a cell is read as a person reads it, or refused."""

from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from intake.results import COLUMNS, ResultVerdict, judge_result
from intake.sources import ExportFormat
from policy.requirements import AssessmentScored, CertificationRecorded
from policy.roster import Row
from tests.support.rosters import NOW, write


def judged(**cells: str) -> ResultVerdict:
    return judge_result(
        Row(2, dict.fromkeys(COLUMNS, "") | {"training_id": "ABC1234"} | cells), NOW
    )


def attempt(score: str) -> ResultVerdict:
    return judged(event="assessment", date="2026-09-02", score=score)


def certified(valid_through: str, **cells: str) -> ResultVerdict:
    said = {"date": "2026-09-02", "status": "Certified", "valid_through": valid_through}
    return judged(event="certification", **(said | cells))


@pytest.mark.clause("2.2")
@pytest.mark.parametrize(
    ("cell", "score"),
    [
        ("70%", "70"),
        ("85 %", "85"),
        ("85\u00a0%", "85"),
        ("85\u202f%", "85"),
        ("100.00%", "100.00"),
        ("70.0000000", "70.0000000"),
        ("72.33333333333333", "72.33333333"),
        ("66.66666666666667", "66.66666666"),
        ("69.99999999999999999", "69.99999999"),
        ("70.000000000000001", "70"),
        ("\u200b85", "85"),
        ("0", "0"),
        ("0%", "0"),
        ("0.5%", "0.5"),
        ("1.5", "1.5"),
        ("1E+2", "100"),
        ("7.25E1", "72.5"),
    ],
)
def test_a_score_is_read_as_it_stands(cell: str, score: str) -> None:
    fact = attempt(cell).fact
    assert isinstance(fact, AssessmentScored), attempt(cell).reasons
    assert fact.score == Decimal(score)


@pytest.mark.parametrize(
    "cell", ["0.85", "0.7", ".85", "1", "1.0", "0.999", "0.01", "1.", "0,85", "8_5", "٨٥"]
)
def test_what_is_most_likely_a_fraction_or_no_number_is_never_guessed(cell: str) -> None:
    [reason] = attempt(cell).reasons
    assert reason.field == "Score"
    assert "between 0 and 100" not in reason.message, "that would be untrue"


def test_a_score_is_one_event_however_its_hundreds_are_written() -> None:
    first, second = attempt("100").fact, attempt("1E+2").fact
    assert first is not None
    assert first == second


@pytest.mark.parametrize("cell", ["0.85", "1", "1.0"])
def test_a_fraction_is_refused_with_what_to_write(cell: str) -> None:
    assert "fraction" in attempt(cell).reasons[0].message


@pytest.mark.parametrize(
    "cell",
    ["70,5", "7/10", "17/20", "Pass", "Passed (85)", "85 percent", "-", "", "#N/A", "#DIV/0!",
     "=B2*100", "NaN", "101", "-1", "85%%", "85 90"],
)  # fmt: skip
def test_a_score_that_says_nothing_sure_is_rejected(cell: str) -> None:
    assert [reason.field for reason in attempt(cell).reasons] == ["Score"]


@pytest.mark.parametrize(
    ("cell", "wanted"),
    [("=B2*100", "formula"), ("#N/A", "error"), ("#DIV/0!", "error"), ("#REF!", "error")],
)
def test_a_formula_or_an_error_of_a_spreadsheet_is_called_so_in_every_cell(
    cell: str, wanted: str
) -> None:
    for verdict in (
        attempt(cell),
        certified(cell),
        certified("", date=cell),
        certified("", status=cell),
        judged(event="training", date="2026-09-02", course=cell),
        judged(event=cell, date="2026-09-02"),
    ):
        assert [wanted in reason.message for reason in verdict.reasons] == [True], verdict


@pytest.mark.parametrize(
    ("cell", "score"), [("0.85", "85"), ("1", "100"), ("0.005", "0.5"), ("85%", "85"), ("0", "0")]
)
def test_a_source_that_scores_in_fractions_is_read_so(
    tmp_path_factory: pytest.TempPathFactory, cell: str, score: str
) -> None:
    path = write(
        tmp_path_factory.mktemp("fractions"),
        f"Training ID,Event,Date,Score\nABC1234,assessment,2026-09-02,{cell}\n",
    )
    source = ExportFormat.model_validate({"scale": "fraction"})
    [verdict] = source.judge(source.read(path), NOW)
    assert isinstance(verdict.fact, AssessmentScored), verdict.reasons
    assert verdict.fact.score == Decimal(score)


@pytest.mark.parametrize(
    ("cell", "moment"),
    [
        ("2026-11-20 09:15:00", (15, 15)),
        ("2026-11-20T15:15:00Z", (15, 15)),
        ("2026-11-20T09:15:00-0600", (15, 15)),
        ("2026-11-20T09:15:00-06:00", (15, 15)),
        ("2026-11-20 09:15:00.0", (15, 15)),
        ("2026-11-20\u00a009:15", (15, 15)),
        ("20261120", (6, 0)),
        ("2026-11-20", (6, 0)),
    ],
)
def test_a_date_in_iso_form_is_read(cell: str, moment: tuple[int, int]) -> None:
    fact = judged(event="training", date=cell).fact
    assert fact is not None
    assert fact.occurred_at.replace(microsecond=0) == datetime(2026, 11, 20, *moment, tzinfo=UTC)


@pytest.mark.parametrize(
    "cell",
    ["11/20/2026", "20.11.2026", "11/20/2026 9:15 AM", "2026-11-20 09:15 CST",
     "2026-11-20 15:15:00 UTC", "Nov 20, 2026", "1795187700", "46346", "2026/11/20", "26-11-20",
     "2026-11-20 24:00", "today", "20261320", "0"],
)  # fmt: skip
def test_a_date_that_cannot_be_read_surely_is_rejected(cell: str) -> None:
    assert [reason.field for reason in judged(event="training", date=cell).reasons] == ["Date"]


@pytest.mark.parametrize(
    "cell",
    ["1900-01-01", "1899-12-30", "1904-01-02", "1970-01-01 00:00:00", "0026-11-20", "0001-01-01",
     "1601-01-01T00:00:00Z"],
)  # fmt: skip
def test_a_date_that_programs_make_of_nothing_is_no_date(cell: str) -> None:
    [reason] = judged(event="training", date=cell).reasons
    assert (reason.field, reason.message) == ("Date", "is not a date between 2000 and 2200")


@pytest.mark.parametrize(
    ("cell", "day"),
    [
        ("2027-10-15", date(2027, 10, 15)),
        ("20271015", date(2027, 10, 15)),
        ("2027-10-15 00:00:00", date(2027, 10, 15)),
        ("2027-10-15T00:00", date(2027, 10, 15)),
        ("2027-10-15 00:00:00.000", date(2027, 10, 15)),
        ("2028-02-29", date(2028, 2, 29)),
        ("2026-09-02", date(2026, 9, 2)),
        ("", None),
    ],
)
def test_a_last_day_may_come_as_its_midnight(cell: str, day: date | None) -> None:
    fact = certified(cell).fact
    assert isinstance(fact, CertificationRecorded)
    assert fact.valid_through == day


@pytest.mark.parametrize(
    "cell",
    ["2027-10-15T23:59:59-06:00", "2027-10-15T00:00:00Z", "2027-10-15 00:00:01", "2027-02-29",
     "never", "none", "N/A", "12/31/2027", "31-DEC-2027", "9999-12-31", "46675", "1823558400"],
)  # fmt: skip
def test_a_last_day_that_is_none_is_rejected(cell: str) -> None:
    assert [reason.field for reason in certified(cell).reasons] == ["Valid Through"]


def test_a_certification_that_ended_before_its_record_is_questioned() -> None:
    [reason] = certified("2026-01-31").reasons
    assert (reason.field, "before" in reason.message) == ("Valid Through", True)
    assert certified("2026-01-31", status="Not Certified").fact is not None
    assert certified("2026-09-02", date="2026-09-02T23:30:00-05:00").fact is not None


def test_a_withdrawal_of_the_same_day_does_not_lose_to_the_certification(
    tmp_path: Path,
) -> None:
    """A date without a time may mean a later hour than any other event of that day."""
    withdrawn = certified("", status="Not Certified").fact
    at_noon = certified("", date="2026-09-02T12:00:00-05:00").fact
    bare = certified("").fact
    next_day = certified("", date="2026-09-03").fact
    assert withdrawn is not None
    assert at_noon is not None
    assert bare is not None
    assert next_day is not None
    assert bare.occurred_at <= at_noon.occurred_at < withdrawn.occurred_at < next_day.occurred_at
    for zone in ("America/New_York", "America/Chicago"):
        source = ExportFormat.model_validate({"zone": zone, "date_format": "%m/%d/%Y"})
        path = write(tmp_path, "Training ID,Event,Date,Status\nABC1234,certification,"
                               "09/02/2026,Not Certified\n")  # fmt: skip
        [there] = source.judge(source.read(path), NOW)
        assert there.fact is not None
        assert there.fact.occurred_at == withdrawn.occurred_at
    today = certified("", status="Not Certified", date="2026-11-20")
    assert today.fact is not None, "today is not in the future"
    assert certified("", status="Not Certified", date="2026-11-21").reasons
