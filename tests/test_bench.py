"""The benchmark's calculations: what a comparison shows, and where figures are written."""

import re
from pathlib import Path

import pytest

from bench import bars, page, pictures, profiles
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


def test_a_bar_is_kept_up_to_its_bound_and_unknown_where_nothing_was_measured() -> None:
    bar, *_ = (bar for bar in bars.BARS if bar.figure == RATIO)
    other = run([8, 8, 8], [10, 10, 10])
    kept = {says: met for says, _, _, met in bars.rows(other)}
    assert kept[bar.says] is True
    assert not any(kept[each.says] for each in bars.BARS if each.figure != RATIO)
    other.values[OURS] = [7.9, 7.9, 9]
    assert {says: met for says, _, _, met in bars.rows(other)}[bar.says] is False


def test_a_kept_run_names_a_figure_for_each_bar_that_it_could_keep() -> None:
    values = Figures.read(ROOT / "docs/performance.json").with_ratios()
    missing = {bar.figure for bar in bars.BARS} - values.keys()
    assert all("10000" in name for name in missing), missing


def test_a_picture_draws_the_longest_bar_at_full_width_and_the_rest_in_its_measure() -> None:
    drawn = pictures.bars("Speeds", {"ours": 5.0, "floor": 10.0}, ours="ours")
    short, long = (int(width) for width in re.findall(r'<rect .*? width="(\d+)"', drawn))
    assert long == 2 * short


def test_a_profile_tells_activities_from_workflows_and_names_the_innermost_library(
    tmp_path: Path,
) -> None:
    run_, sdk = "run (worker.py:1)", "_execute_activity (temporalio/worker/_activity.py:2)"
    stacks = {
        f"{run_};{sdk};Mail.send_mail (activities/mail.py:3);get (email/policy.py:4)": 3,
        f"{run_};activate (temporalio/worker/_workflow.py:5);due (policy/case.py:6)": 1,
    }
    seen = tmp_path / "seen.txt"
    seen.write_text("".join(f"{stack} {looks}\n" for stack, looks in stacks.items()))
    assert dict(profiles.shares(seen)) == {
        "step/send_mail": 75,
        "step/our workflow code": 25,
        "place/email": 75,
        "place/our own code": 25,
    }
