"""Mails for which there is no room wait at their own task queue: a slow relay delays only mails."""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import NoReturn

import pytest

from mail.transport import Transport
from settings import Settings
from tests.conftest import MakeSystem
from tests.support.conditions import in_stage, mailed
from tests.support.system import (
    System,
    facts,
    meet_requirements,
    new_training_id,
    record_people,
)
from workflows import steps

SLOTS = 4
"""The steps that a worker takes at once in this test."""
AT_ONCE = ""
"""The suffix of the workflow's own task queue."""


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
    def never_giving_up(settings: Settings) -> Transport:
        return Transport(host="127.0.0.1", port=settings.smtp_port, timeout=600)

    monkeypatch.setattr("bootstrap.STEPS_AT_ONCE", SLOTS)
    # No slot that a delivery has taken becomes free.
    monkeypatch.setattr("bootstrap.make_transport", never_giving_up)
    patient = replace(steps.SEND_MAIL, timeout=timedelta(minutes=10))
    monkeypatch.setattr(steps, "SEND_MAIL", patient)
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


async def queues_of_mails(system: System, training_id: str) -> list[str]:
    """The suffixes of the task queues at which a case's mails were."""
    scheduled = [
        event.activity_task_scheduled_event_attributes
        async for event in system.case(training_id).fetch_history_events()
    ]
    return [
        each.task_queue.name.removeprefix(system.settings.task_queue)
        for each in scheduled
        if each.activity_type.name == steps.SEND_MAIL.name
    ]


async def test_a_portal_that_never_answers_holds_up_no_mail(
    make_system: MakeSystem, sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bootstrap.STEPS_AT_ONCE", SLOTS)
    monkeypatch.setattr("workflows.performing.SOON", timedelta(seconds=1))
    # No slot that an enrollment has taken becomes free.
    monkeypatch.setattr(steps, "ENROLL", replace(steps.ENROLL, timeout=timedelta(minutes=10)))
    system = await make_system(sqlite_url)
    enrolled, *others = (new_training_id() for _ in range(2 * SLOTS))
    await record_people(system.database, enrolled, *others)
    await meet_requirements(system, enrolled)
    commands: list[object] = []
    full, over = asyncio.Event(), asyncio.Event()

    async def never(*command: object) -> NoReturn:
        commands.append(command)
        if len(commands) == SLOTS:
            full.set()
        await over.wait()
        raise ConnectionError

    monkeypatch.setattr(system.portal, "enroll", never)
    for training_id in others:
        for signal, fact in facts().items():
            await system.tell(training_id, signal, fact)
    await full.wait()
    await system.act(enrolled, "resend_activation")
    await system.until(enrolled, mailed(times=2))
    over.set()


async def test_a_mail_goes_out_at_once(system: System) -> None:
    training_id = new_training_id()
    await record_people(system.database, training_id)
    await meet_requirements(system, training_id)
    assert await queues_of_mails(system, training_id) == [AT_ONCE]


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
    # None may go out at once, past the rate of their queue.
    assert await queues_of_mails(system, people[0]) == [AT_ONCE, steps.SEND_MAIL.apart]
    # The mails of the first second may be sent at once.
    assert time.monotonic() - begun > (mails - rate) / rate - 0.5
