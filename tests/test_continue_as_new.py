"""A case continues as new many times; nothing is lost or done twice between two runs."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import nullcontext

import pytest
from temporalio import workflow
from temporalio.client import WorkflowUpdateFailedError
from temporalio.service import RPCError
from temporalio.testing import WorkflowEnvironment

from portal.tables import PortalAccount
from records import audit
from tests.faults.conftest import full
from tests.support.conditions import mailed
from tests.support.slow_handlers import SlowHandlers
from tests.support.system import (
    LONG_AGO,
    System,
    activated,
    eventually,
    facts,
    meet_requirements,
    new_training_id,
    record_people,
)
from workflows import assister_access

ROUNDS = 4
SIGNALS = 240


async def test_a_stream_of_signals_and_updates_survives_many_runs(
    short_histories: WorkflowEnvironment,
    make_system: Callable[..., Awaitable[System]],
    sqlite_url: str,
) -> None:
    await survive_many_runs(await make_system(sqlite_url, client=short_histories.client))


@full
@pytest.mark.parametrize("wait", [True, False])
async def test_handlers_that_take_a_moment_need_the_wait_for_them(
    short_histories: WorkflowEnvironment,
    make_system: Callable[..., Awaitable[System]],
    sqlite_url: str,
    monkeypatch: pytest.MonkeyPatch,
    wait: bool,
) -> None:
    monkeypatch.setattr(assister_access, "AssisterAccess", SlowHandlers)
    if not wait:
        monkeypatch.setattr(workflow, "all_handlers_finished", lambda: True)
    system = await make_system(sqlite_url, client=short_histories.client)
    found = () if wait else (AssertionError, RPCError, WorkflowUpdateFailedError)
    with pytest.raises(found) if found else nullcontext():
        await survive_many_runs(system)


async def survive_many_runs(system: System) -> None:
    """Sends a stream of signals and updates to a case whose runs are short."""
    training_id = new_training_id()
    await record_people(system.database, training_id)
    await meet_requirements(system, training_id)
    await system.activate(training_id)
    # A suspension before the confirmation would drop it, and send it later instead of "is back".
    await system.until(training_id, mailed("confirmation"))

    async def signals() -> None:
        for number in range(SIGNALS):
            fact = facts()["training_completed"].model_copy(update={"event_id": f"t{number % 30}"})
            await system.tell(training_id, "training_completed", fact)
            await system.tell(training_id, "account_activated", activated())

    async def updates() -> None:
        for _ in range(ROUNDS):
            await system.act(training_id, "suspend_access")
            # The next event drops a mail that waits, so the test waits until each mail is sent.
            await system.until(
                training_id, lambda s: s.stage == "suspended" and all(e.sent_at for e in s.mails)
            )
            await system.act(training_id, "reinstate_access")
            await system.until(
                training_id, lambda s: s.stage == "active" and all(e.sent_at for e in s.mails)
            )

    await asyncio.gather(signals(), updates())
    await system.tell(
        training_id,
        "certification_recorded",
        facts(LONG_AGO.replace(year=2026, month=6))["certification_recorded"],
    )
    await system.until(training_id, lambda s: not any(mail.sent_at is None for mail in s.mails))
    subjects = [subject for subject, _ in system.mails(to=training_id.lower())]
    assert len([subject for subject in subjects if "is suspended" in subject]) == ROUNDS
    assert len([subject for subject in subjects if "is back" in subject]) == ROUNDS
    assert len([subject for subject in subjects if "been created" in subject]) == 1

    async def runs() -> int:
        query = f"WorkflowId = 'assister-{training_id}'"
        return len([run async for run in system.client.list_workflows(query)])

    await eventually(runs, lambda found: found >= 4)
    async with system.database.transaction() as session:
        assert (await audit.verify(session)).breaks == []
        assert (await session.get_one(PortalAccount, training_id)).status == "active"
