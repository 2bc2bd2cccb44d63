"""Mails have a task queue of their own with a rate, so that a slow relay delays mails only."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from temporalio.worker import Worker

from mail.transport import Transport
from settings import Settings
from tests.conftest import MakeSystem
from tests.support.conditions import in_stage, mailed
from tests.support.system import facts, new_training_id, record_people

SLOTS = 4
"""The steps that a worker takes at once in this test; the SDK's default is 100."""


@pytest.fixture
async def silent_relay() -> AsyncIterator[int]:
    """Runs a relay that takes connections and never answers; gives its port."""
    taken: list[asyncio.StreamWriter] = []
    server = await asyncio.start_server(lambda _, writer: taken.append(writer), "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()
    # With open connections the worker would wait for its deliveries before it ends.
    for each in taken:
        each.close()


async def test_a_relay_that_never_answers_holds_up_no_decision(
    make_system: MakeSystem,
    sqlite_url: str,
    silent_relay: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def with_few_slots(*given: Any, **settings: Any) -> Worker:
        return Worker(*given, **{"max_concurrent_activities": SLOTS} | settings)

    def never_giving_up(settings: Settings) -> Transport:
        return Transport(host="127.0.0.1", port=settings.smtp_port, timeout=600)

    monkeypatch.setattr("temporalio.worker.Worker", with_few_slots)
    # No slot that a delivery has taken becomes free.
    monkeypatch.setattr("bootstrap.make_transport", never_giving_up)
    system = await make_system(sqlite_url, smtp_port=silent_relay)
    people = [new_training_id() for _ in range(3 * SLOTS)]
    await record_people(system.database, *people)
    for training_id in people:
        for signal, fact in facts().items():
            await system.tell(training_id, signal, fact)
    for training_id in people:
        await system.until(training_id, in_stage("awaiting_activation"))
    await system.act(people[-1], "suspend_access")
    await system.until(people[-1], in_stage("suspended"))


async def test_mails_go_out_at_the_rate_that_the_relay_is_given(
    make_system: MakeSystem, sqlite_url: str
) -> None:
    rate, mails = 4, 12
    system = await make_system(sqlite_url, smtp_rate=rate)
    people = [new_training_id() for _ in range(mails)]
    await record_people(system.database, *people)
    begun = time.monotonic()
    for training_id in people:
        for signal, fact in facts().items():
            await system.tell(training_id, signal, fact)
    for training_id in people:
        await system.until(training_id, mailed())
    assert len(system.mails()) == mails
    # The mails of the first second may be sent at once.
    assert time.monotonic() - begun > (mails - rate) / rate - 0.5
