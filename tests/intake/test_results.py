"""Each row of a learning center's export has a verdict."""

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from intake.results import COLUMNS, judge_result, judge_results, read_results
from policy.requirements import AssessmentScored, CertificationRecorded
from policy.roster import Row

NOW = datetime(2026, 11, 20, tzinfo=UTC)


def row(**cells: str) -> Row:
    return Row(2, dict.fromkeys(COLUMNS, "") | {"training_id": "ABC1234"} | cells)


def test_each_kind_of_event() -> None:
    certified = judge_result(
        row(
            event="Certification", date="2026-08-20", status="Certified", valid_through="2027-10-15"
        ),
        NOW,
    ).fact
    assert isinstance(certified, CertificationRecorded)
    assert certified.occurred_at == datetime(2026, 8, 20, 5, tzinfo=UTC), "the day's start, Central"
    scored = judge_result(
        row(event="assessment", date="2026-08-20T10:00:00Z", score="69.95 %"), NOW
    )
    assert isinstance(scored.fact, AssessmentScored)
    assert scored.fact.score == Decimal("69.95")
    assert scored.signal == "assessment_scored"
    trained = judge_result(row(event="training", date="2026-08-20 10:00"), NOW)
    assert trained.public()["verdict"] == "accepted"


def test_the_same_row_is_the_same_event() -> None:
    same = [judge_result(row(event="training", date="2026-08-20"), NOW).fact for _ in range(2)]
    assert same[0] == same[1]


@pytest.mark.parametrize(
    "cells",
    [
        {"training_id": "ABC", "event": "training", "date": "2026-08-20"},
        {"event": "party", "date": "2026-08-20"},
        {"event": "training", "date": "soon"},
        {"event": "training", "date": "2026-13-40"},
        {"event": "training", "date": "2027-01-01"},
        {"event": "training", "date": "0001-01-01T00:00:00+14:00"},
        {"event": "training", "date": "2026-08-20", "course": "a b"},
        *({"event": "assessment", "date": "2026-08-20", "score": cell} for cell in
          ["", "A", "101", "-1", "NaN", "Infinity", "70,5"]),
        {"event": "certification", "date": "2026-08-20", "status": "maybe"},
        *({"event": "certification", "date": "2026-08-20", "status": "certified",
           "valid_through": cell} for cell in ["x", "9999-01-01"]),
    ],
)  # fmt: skip
def test_a_bad_row_is_rejected_with_a_reason(cells: dict[str, str]) -> None:
    verdict = judge_result(row(**cells), NOW)
    assert verdict.reasons
    assert verdict.fact is None
    assert verdict.public()["verdict"] == "rejected"


def test_an_export_is_read_row_by_row(tmp_path: Path) -> None:
    path = tmp_path / "results.csv"
    path.write_text("training id;event;date\nABC1234;training;2026-08-20\nx;y;z;surplus\n")
    good, bad = judge_results(read_results(path), NOW)
    assert good.fact is not None
    assert bad.reasons[0].field == "row"
