"""Periods end when somebody can help: weekends, holidays and clock changes in Central time."""

from datetime import UTC, date, datetime

import pytest

from policy import calendar
from policy.terms import Terms

MINNESOTA = calendar.StateHolidays()


def central(year: int, month: int, day: int, hour: int = 0, minute: int = 0) -> datetime:
    return datetime(year, month, day, hour, minute, tzinfo=calendar.CENTRAL)


@pytest.mark.parametrize(
    ("issued", "ends"),
    [
        # Seven days after a Monday is a Monday.
        (central(2026, 3, 2, 10), central(2026, 3, 10)),
        # A Saturday is followed by the weekend: the end moves to Monday's.
        (central(2026, 3, 7, 10), central(2026, 3, 17)),
        # Thanksgiving 2026 is November 26; the Friday after it is a holiday, too.
        (central(2026, 11, 19, 10), central(2026, 12, 1)),
        # Issued before midnight in Central, after it in UTC.
        (central(2026, 3, 2, 23, 59), central(2026, 3, 10)),
        # Daylight saving time ends on November 1, 2026: the day's end is local all the same.
        (central(2026, 10, 26, 10), central(2026, 11, 3)),
    ],
)
def test_an_activation_ends_with_a_business_day(issued: datetime, ends: datetime) -> None:
    assert calendar.activation_times(issued, Terms(), MINNESOTA).expires_at == ends


def test_the_end_of_daylight_saving_time_moves_the_end_by_an_hour_in_utc() -> None:
    ends = calendar.activation_times(central(2026, 10, 26, 10), Terms(), MINNESOTA).expires_at
    assert ends.astimezone(UTC) == datetime(2026, 11, 3, 6, 0, tzinfo=UTC)


def test_reminders_fall_on_business_mornings_once_each() -> None:
    friday = central(2026, 3, 6, 10)
    assert calendar.reminders(friday, (1, 2, 3, 5), MINNESOTA) == [
        central(2026, 3, 9, 9),
        central(2026, 3, 11, 9),
    ]


def test_certification_warnings_are_early_rather_than_late_and_never_past() -> None:
    warnings = calendar.certification_warnings(
        date(2026, 3, 29), central(2026, 3, 1), Terms(), MINNESOTA
    )
    assert warnings == [central(2026, 3, 20, 9)]


@pytest.mark.parametrize(
    ("suspensions", "with_access", "held"),
    [(5, 5, False), (6, 6, True), (6, 30, False), (7, 30, True), (0, 0, False)],
)
def test_the_fuse_needs_both_number_and_share(
    suspensions: int, with_access: int, held: bool
) -> None:
    assert Terms().holds(suspensions, with_access) is held
