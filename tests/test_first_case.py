"""A roster opens a first case without a look at the records; a later case looks there."""

from datetime import UTC, datetime, timedelta

import pytest

from activities.intake import first_cases
from bootstrap import arc_holidays
from tests.support.conditions import in_stage
from tests.support.rosters import roster_row, take_in
from tests.support.system import (
    System,
    approved_again,
    facts,
    meet_requirements,
    new_training_id,
    record_people,
)
from workflows.client import tell_case
from workflows.contract import FirstCase
from workflows.steps import OPEN_CASE


async def looked_up(system: System, training_id: str) -> bool:
    """Whether the assister's latest case looked for an earlier one in the records."""
    return OPEN_CASE.name in [
        event.activity_task_scheduled_event_attributes.activity_type.name
        async for event in system.case(training_id).fetch_history_events()
    ]


async def first_case_of(system: System, training_id: str) -> FirstCase | None:
    terms = system.settings.terms
    found = await first_cases(system.database, system.portal, [training_id], terms, arc_holidays())
    return found.get(training_id)


async def approve(system: System, training_id: str, first: FirstCase | None) -> None:
    queue, terms = system.settings.task_queue, system.settings.terms
    fact = approved_again()
    await tell_case(system.client, queue, training_id, "roster_recorded", fact, terms, first)


async def test_a_first_case_is_planned_without_a_step(system: System) -> None:
    told, opened = new_training_id(), new_training_id()
    await record_people(system.database, told)
    await system.tell(told, "roster_recorded", facts()["roster_recorded"])
    await take_in(system, roster_row(opened))
    stages = [
        await system.until(each, lambda status: status.next_deadline is not None)
        for each in (told, opened)
    ]
    assert await looked_up(system, told)
    assert not await looked_up(system, opened)
    assert stages[0].next_deadline == stages[1].next_deadline


async def test_an_account_whose_case_is_lost_ends_with_the_new_one(
    system: System,
) -> None:
    """Temporal was restored to before the case, or lost it; the portal has its account."""
    training_id = new_training_id()
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    await system.portal.enroll(training_id, 1, tomorrow, {})
    number = await system.portal.registration_number(training_id, 1)
    await system.portal.activate(number)
    await take_in(system, roster_row(training_id))
    assert await looked_up(system, training_id)
    await system.act(training_id, "close_case")
    await system.case(training_id).result()
    assert (await system.portal.account(training_id)).status == "suspended"


async def test_a_case_after_a_closed_one_is_looked_up(system: System) -> None:
    training_id = new_training_id()
    await take_in(system, roster_row(training_id))
    await system.act(training_id, "close_case")
    await system.case(training_id).result()
    assert await first_case_of(system, training_id) is None
    await take_in(system, roster_row(training_id))
    await system.until(training_id, in_stage("collecting_requirements"))
    assert await looked_up(system, training_id)


async def test_a_suspension_by_staff_outlives_a_case_that_closes_after_the_look(
    system: System,
) -> None:
    training_id = new_training_id()
    await record_people(system.database, training_id)
    await system.tell(training_id, "roster_recorded", facts()["roster_recorded"])
    first = await first_case_of(system, training_id)
    assert first is not None, "it is open, so the records have none that is closed"
    await meet_requirements(system, training_id)
    await system.act(training_id, "suspend_access")
    await system.until(training_id, in_stage("suspended"))
    await system.act(training_id, "close_case")
    await system.case(training_id).result()
    await approve(system, training_id, first)
    await system.until(training_id, in_stage("suspended"))
    assert await looked_up(system, training_id)


@pytest.mark.parametrize("ago", [timedelta(hours=2), timedelta(hours=-2)])
async def test_what_was_read_long_ago_or_by_a_wrong_clock_is_looked_up(
    system: System, ago: timedelta
) -> None:
    training_id = new_training_id()
    await record_people(system.database, training_id)
    first = await first_case_of(system, training_id)
    assert first is not None
    await approve(system, training_id, first.model_copy(update={"as_of": first.as_of - ago}))
    await system.until(training_id, lambda status: status.next_deadline is not None)
    assert await looked_up(system, training_id)
