"""Periods end on a day on which somebody can help, with weekends, holidays and clock changes."""

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
        # Seven days after a Saturday is a Saturday: the end moves to Monday's.
        (central(2026, 3, 7, 10), central(2026, 3, 17)),
        # Thanksgiving 2026 is November 26; the Friday after it is a holiday, too.
        (central(2026, 11, 19, 10), central(2026, 12, 1)),
        # The number is issued before midnight in Central time, and after it in UTC.
        (central(2026, 3, 2, 23, 59), central(2026, 3, 10)),
        # Daylight saving time ends on November 1, 2026: the day still ends at midnight local time.
        (central(2026, 10, 26, 10), central(2026, 11, 3)),
    ],
)
def test_an_activation_ends_with_a_business_day(issued: datetime, ends: datetime) -> None:
    assert calendar.activation_times(issued, Terms(), MINNESOTA).expires_at == ends


@pytest.mark.parametrize(
    ("day", "open_"),
    [
        (date(2026, 11, 27), False),  # the Friday after Thanksgiving
        (date(2029, 11, 23), False),  # the earliest one
        (date(2030, 11, 29), False),  # the latest one
        (date(2026, 11, 20), True),  # a Friday in November
        (date(2026, 10, 12), True),  # Indigenous Peoples Day, no holiday of the executive branch
        (date(2027, 6, 18), False),  # Juneteenth on a Saturday
        (date(2027, 7, 5), False),  # Independence Day on a Sunday
        (date(2027, 12, 31), False),  # New Year's Day of the next year on a Saturday
        (date(2028, 11, 10), False),  # Veterans Day on a Saturday
        (date(2027, 5, 24), True),  # the last Monday of May but one
        (date(2027, 5, 31), False),  # Memorial Day
        (date(2028, 2, 21), False),  # Washington's and Lincoln's Birthday
        (date(2027, 2, 12), True),  # Lincoln's own
        (date(2027, 3, 26), True),  # Good Friday
        (date(2026, 12, 24), True),  # Christmas Eve
        (date(2028, 2, 29), True),
    ],
)
def test_the_days_of_the_executive_branch(day: date, open_: bool) -> None:
    assert calendar.is_business_day(day, MINNESOTA) is open_


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
