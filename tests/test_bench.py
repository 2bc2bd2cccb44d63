"""The bench's own reckoning: what a comparison shows, and where figures go."""

from pathlib import Path

import pytest

from bench import page
from bench.figures import Figures, changes
from embedded.stack import ROOT

OURS, FLOOR, RATIO = (
    f"whole flow/sqlite/{each}/persons per s" for each in ("ours", "floor", "ratio")
)


def run(ours: list[float], floor: list[float]) -> Figures:
    return Figures(values={OURS: ours, FLOOR: floor})


def test_a_comparison_shows_a_change_of_a_fifth_and_no_smaller_one(tmp_path: Path) -> None:
    before, after = run([9, 10, 90], [20, 20, 20]), run([12, 12, 12.1], [20, 20, 23])
    after.write(tmp_path / "after.json")
    kept = Figures.read(tmp_path / "after.json")
    assert changes(before, kept) == []
    kept.values[OURS] = [12.1, 12.1, 12.1]
    assert [name for name, *_ in changes(before, kept)] == [OURS, RATIO]


def test_a_ratio_is_taken_round_by_round() -> None:
    assert run([10, 30], [20, 40]).with_ratios()[RATIO] == [0.5, 0.75]


def test_the_page_has_a_place_for_each_table_and_keeps_its_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / "performance.md"
    before = page.PAGE.read_text()
    copy.write_text(before)
    monkeypatch.setattr(page, "PAGE", copy)
    page.write(run([9.5], [19.0]))
    assert "| 9.50 | 19.0 | 0.50 |" in copy.read_text()
    page.write(Figures.read(ROOT / "docs/performance.json"))
    assert copy.read_text() == before
