"""The calendar of a case, to the minute, on the real server with skipped time."""

from datetime import UTC, date, datetime, time, timedelta
from functools import partial

import pytest

from embedded.temporal_server import clock_of
from policy.calendar import CENTRAL
from tests.support.system import System, facts, new_training_id, record_people
from workflows.contract import Status

MINUTE = timedelta(minutes=1)
MONDAY, THURSDAY, SUNDAY = 0, 3, 6


def _nth(weekday: int, nth: int, month: int, year: int) -> date:
    first = date(year, month, 1)
    return first + timedelta(days=(weekday - first.weekday()) % 7 + 7 * (nth - 1))


NEXT_YEAR = datetime.now(UTC).year + 1
THANKSGIVING = _nth(THURSDAY, 4, 11, NEXT_YEAR)
DST_ENDS = _nth(SUNDAY, 1, 11, NEXT_YEAR)


def _at(day: date, hour: int, *, minute: int = 0) -> datetime:
    return datetime.combine(day, time(hour, minute), CENTRAL)


def _sent(status: Status, kind: str) -> list[datetime]:
    return [mail.sent_at for mail in status.mails if mail.kind == kind and mail.sent_at]


def _reminded(times: int, status: Status) -> bool:
    return len(_sent(status, "activation_reminder")) == times


async def _activation_issued_on(system: System, moment: datetime) -> str:
    """Brings a case to an activation that is issued at ``moment`` of its clock."""
    training_id = new_training_id()
    await record_people(system.database, training_id)
    first, *others = facts().items()
    await system.tell(training_id, *first)
    await system.until(training_id, lambda s: s.next_deadline is not None)
    await system.skip_to(training_id, moment)
    for signal, fact in others:
        await system.tell(training_id, signal, fact)
    await system.until(training_id, lambda s: bool(_sent(s, "activation")))
    return training_id


@pytest.mark.parametrize(
    ("issued", "reminded", "ends"),
    [
        pytest.param(
            _at(THANKSGIVING - timedelta(days=7), 10),
            # The day after two days is a Saturday, the day after five a Tuesday.
            [_at(THANKSGIVING - timedelta(days=3), 9), _at(THANKSGIVING - timedelta(days=2), 9)],
            # The day after seven days is Thanksgiving, and the Friday is a holiday: Monday counts.
            _at(THANKSGIVING + timedelta(days=5), 0),
            id="weekend and Thanksgiving",
        ),
        pytest.param(
            _at(DST_ENDS - timedelta(days=4), 10),
            [_at(DST_ENDS - timedelta(days=2), 9), _at(DST_ENDS + timedelta(days=1), 9)],
            # The end is in standard time, one hour more than seven times 24 hours later.
            _at(DST_ENDS + timedelta(days=4), 0),
            id="end of daylight saving time",
        ),
    ],
)
async def test_reminders_and_expiry_to_the_minute(
    system: System, issued: datetime, reminded: list[datetime], ends: datetime
) -> None:
    training_id = await _activation_issued_on(system, issued)
    status = await system.status(training_id)
    assert status.activation_expires == ends
    for number, due in enumerate(reminded):
        await system.skip_to(training_id, due - MINUTE)
        assert len(_sent(await system.status(training_id), "activation_reminder")) == number
        await system.skip_to(training_id, due + MINUTE)
        status = await system.until(training_id, partial(_reminded, number + 1))
        assert due <= _sent(status, "activation_reminder")[-1] < due + MINUTE
    await system.skip_to(training_id, ends - MINUTE)
    assert (await system.status(training_id)).stage == "awaiting_activation"
    await system.portal.registration_number(training_id, 1)
    await system.skip_to(training_id, ends + MINUTE)
    status = await system.until(training_id, lambda s: bool(_sent(s, "activation_expired")))
    assert status.stage == "activation_expired"
    assert ends <= _sent(status, "activation_expired")[0] < ends + MINUTE
    clock = await clock_of(system.client, system.case(training_id))
    assert ends < clock < ends + 2 * MINUTE
