"""One assister from the first event to the confirmation, on the real server with real mail."""

import pytest

from records.audit import verify
from tests.support.conditions import in_stage, mailed, marked
from tests.support.system import (
    System,
    facts,
    meet_requirements,
    new_training_id,
    record_people,
)


@pytest.mark.clause("3")
@pytest.mark.clause("3.1a")
@pytest.mark.clause("3.2")
async def test_an_assister_who_meets_everything_ends_with_a_confirmed_account(
    each_system: System,
) -> None:
    system, training_id = each_system, new_training_id()
    await record_people(system.database, training_id)
    waiting = await meet_requirements(system, training_id)
    assert waiting.waiting_on == ["activation"]
    await system.activate(training_id)
    done = await system.until(training_id, mailed("confirmation"))
    assert done.stage == "active"
    subjects = [subject for subject, _ in system.mails(to=training_id.lower())]
    assert subjects == [
        "Set up your MNsure assister portal account",
        "Your MNsure assister portal account has been created",
    ]
    number = await system.portal.reference_number(training_id)
    assert number is not None
    assert all(number in text for _, text in system.mails(to=training_id.lower()))
    async with system.database.transaction() as session:
        trail = await verify(session)
    assert trail.breaks == []
    history = await system.case(training_id).fetch_history()
    assert len(history.events) <= 70


async def test_a_refused_address_parks_the_case_until_it_is_corrected(system: System) -> None:
    training_id = new_training_id()
    await record_people(system.database, training_id)
    address = f"{training_id.lower()}@assisters.example.org"
    system.inbox.refusals[address] = "550 5.1.1 no such user"
    for signal, fact in facts().items():
        await system.tell(training_id, signal, fact)
    parked = await system.until(training_id, marked)
    assert parked.stage == "awaiting_activation"
    assert "550 5.1.1" in parked.attention[0].problem
    assert "correct" in parked.attention[0].remedy
    system.inbox.refusals.clear()
    answer = await system.act(training_id, "email_corrected")
    assert "1" in answer
    mended = await system.until(training_id, mailed())
    assert mended.attention == []
    await system.activate(training_id, 2)
    await system.until(training_id, in_stage("active"))
