"""The dates on which the policy's periods end.

Every function takes the holidays that it must respect. A law may change them, so activities compute
each date once and the workflows carry it as an absolute time.
"""

from collections.abc import Container
from datetime import date, datetime, time, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from policy.terms import Terms

CENTRAL = ZoneInfo("America/Chicago")
"""MNsure's time zone: a day begins and ends by it."""

MORNING = time(9)
"""The time of day at which people get reminders."""

MONDAY, THURSDAY, FRIDAY, SATURDAY = 0, 3, 4, 5


class StateHolidays:
    """The holidays of the executive branch of Minnesota (Minnesota Statutes 645.44, subdivision 5).

    A holiday with a fixed date moves to the Friday before if it falls on a Saturday, and to the
    Monday after if it falls on a Sunday. For the executive branch the Friday after Thanksgiving is
    a holiday and Indigenous Peoples Day is not.
    """

    FIXED = frozenset({(1, 1), (6, 19), (7, 4), (11, 11), (12, 25)})
    """New Year's Day, Juneteenth, Independence Day, Veterans Day, Christmas Day."""
    MONDAYS = frozenset({(1, 3), (2, 3), (9, 1)})
    """The month's n-th Monday: Martin Luther King Day, Washington's and Lincoln's Birthday, Labor
    Day."""

    def __contains__(self, day: object) -> bool:
        """Whether ``day`` is a holiday or one that stands in for it."""
        if not isinstance(day, date):
            return False
        weekday, week = day.weekday(), (day.day + 6) // 7
        return (
            self._fixed(day)
            or (weekday == FRIDAY and self._fixed(day + timedelta(days=1)))
            or (weekday == MONDAY and self._fixed(day - timedelta(days=1)))
            or (weekday == MONDAY and (day.month, week) in self.MONDAYS)
            or (weekday == MONDAY and day.month == 5 and day.day > 24)  # Memorial Day, the last one
            or (weekday == THURSDAY and day.month == 11 and week == 4)  # Thanksgiving
            or (weekday == FRIDAY and day.month == 11 and 23 <= day.day <= 29)
        )

    def _fixed(self, day: date) -> bool:
        return (day.month, day.day) in self.FIXED


def is_business_day(day: date, holidays: Container[date]) -> bool:
    """Whether the Assister Resource Center can help on ``day``."""
    return day.weekday() < SATURDAY and day not in holidays


def next_business_day(day: date, holidays: Container[date]) -> date:
    """``day`` itself, or the first business day after it."""
    while not is_business_day(day, holidays):
        day += timedelta(days=1)
    return day


def last_business_day(day: date, holidays: Container[date]) -> date:
    """``day`` itself, or the last business day before it."""
    while not is_business_day(day, holidays):
        day -= timedelta(days=1)
    return day


def end_of(day: date) -> datetime:
    """The first moment after ``day`` in Central time."""
    return datetime.combine(day + timedelta(days=1), time(), CENTRAL)


def morning_of(day: date) -> datetime:
    """When people are told something on ``day``."""
    return datetime.combine(day, MORNING, CENTRAL)


def reminders(start: datetime, days: tuple[int, ...], holidays: Container[date]) -> list[datetime]:
    """The business-day mornings that many days after ``start``, without duplicates."""
    first = start.astimezone(CENTRAL).date()
    due = {next_business_day(first + timedelta(days=each), holidays) for each in days}
    return [morning_of(day) for day in sorted(due)]


class ActivationTimes(NamedTuple):
    """When an activation has its reminders, when it ends, and until when it can be reissued."""

    reminders_at: tuple[datetime, ...]
    expires_at: datetime
    reissuable_until: datetime


def activation_times(
    issued_at: datetime, terms: Terms, holidays: Container[date]
) -> ActivationTimes:
    """An activation's times: it ends after a business day, and no reminder comes after that."""
    last = issued_at.astimezone(CENTRAL).date() + timedelta(days=terms.activation_valid_days)
    expires_at = end_of(next_business_day(last, holidays))
    due = reminders(issued_at, terms.activation_reminder_days, holidays)
    return ActivationTimes(
        reminders_at=tuple(each for each in due if each < expires_at),
        expires_at=expires_at,
        reissuable_until=expires_at + timedelta(days=terms.reissuable_days),
    )


def certification_warnings(
    valid_through: date, now: datetime, terms: Terms, holidays: Container[date]
) -> list[datetime]:
    """The mornings after ``now`` and before ``valid_through`` on which people are warned.

    A warning that falls on a day off moves to an earlier day, never to a later one.
    """
    due = {
        last_business_day(valid_through - timedelta(days=each), holidays)
        for each in terms.certification_warning_days
    }
    return [morning for morning in map(morning_of, sorted(due)) if morning > now]
