"""The forecast of a roster changes nothing, and the roster then does what it says."""

from datetime import date, datetime
from functools import partial
from pathlib import Path

from policy.calendar import CENTRAL
from policy.forecast import CaseForecast
from tests.support.rosters import forecast_of, roster_row, take_in
from tests.support.system import (
    System,
    facts,
    meet_requirements,
    new_training_id,
    record_people,
)
from workflows.contract import Status


async def test_what_is_foreseen_then_happens(system: System, tmp_path: Path) -> None:
    new, ready, waiting, gone, active, unclear = (new_training_id() for _ in range(6))
    await record_people(system.database, waiting, gone, active, unclear)
    for signal, fact in facts().items():
        if signal != "roster_recorded":
            await system.tell(ready, signal, fact)
    await meet_requirements(system, waiting)
    await meet_requirements(system, active)
    await system.activate(active)
    await system.until(
        active, lambda s: s.stage == "active" and all(mail.sent_at for mail in s.mails)
    )
    content = (
        roster_row(new)
        + roster_row(ready)
        + roster_row(waiting)
        + roster_row(active, access="No")
        + roster_row(unclear, access="maybe")
    )
    before = len(system.mails())
    today = datetime.now(CENTRAL).date()
    forecast = await forecast_of(system, tmp_path, content)
    assert forecast.missing == [gone], "a rejected row is not a missing one"
    assert (forecast.suspensions, forecast.with_access, forecast.held) == (1, 1, False)
    assert forecast.unchanged == 1
    foreseen = {case.training_id: case for case in forecast.cases}
    assert foreseen.keys() == {new, ready, active}
    assert foreseen[new].opens
    assert foreseen[new].mails == []
    assert foreseen[ready].becomes == "awaiting_activation"
    assert foreseen[ready].mails == ["activation"]
    assert foreseen[active].mails == ["suspended", "suspended_agency"]
    assert len(system.mails()) == before, "a forecast does nothing"
    await take_in(system, content)
    for training_id, case in foreseen.items():
        status = await system.until(training_id, partial(_came_true, case, today))
        kinds = [mail.kind for mail in status.mails]
        assert sorted(kinds[len(kinds) - len(case.mails) :]) == sorted(case.mails)


def _came_true(case: CaseForecast, foreseen_on: date, status: Status) -> bool:
    # A deadline counts from a day, and midnight may have passed since.
    later = datetime.now(CENTRAL).date() > foreseen_on
    return (
        status.stage == case.becomes
        and (later or status.next_deadline == case.next_deadline)
        and all(mail.sent_at for mail in status.mails)
    )
