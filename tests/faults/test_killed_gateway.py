"""Gateway and worker are killed under load; every request that was answered 2xx is done once."""

import asyncio
import json
import os
import random
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import httpx2
import pytest
from sqlmodel import select
from temporalio.testing import WorkflowEnvironment

from bootstrap import system_secret
from embedded.web_ui import free_port
from portal.tables import PortalAccount
from records import audit
from records.inbox import waiting
from records.keys import Kind, make_key, signing_secret
from records.people import authorized_contact
from records.tables import MailDelivery, ResultEvent, Submission
from services.rosters import progress
from tests.faults.conftest import FULL, NewRecords
from tests.faults.matrix import Matrix
from tests.faults.trials import without_worker
from tests.faults.workers import WorkerProcess
from tests.support.events import signed
from tests.support.programs import ROOT
from tests.support.rosters import roster_of
from tests.support.system import (
    AGENCY,
    CONTACT,
    SECRET,
    System,
    eventually,
    new_training_id,
    record_people,
)
from workflows.contract import Status

ASSISTERS = int(os.environ.get("GATEWAY_ASSISTERS", "15"))
ROUNDS = int(os.environ.get("GATEWAY_ROUNDS", "8" if FULL else "1"))
DELIVERIES, CONNECTIONS, KILLS, ON_A_ROSTER = 3, 50, 2, 4
PATIENCE = 300
AT = "2026-01-05T10:00:00-06:00"

Blow = Callable[[], Awaitable[None]]


class GatewayProcess:
    """A gateway process that can be killed and replaced."""

    def __init__(self, system: System) -> None:
        self.port = free_port()
        settings = system.settings
        self._environment = os.environ | {
            "PYTHONPATH": str(ROOT),
            "TEMPORAL_ADDRESS": system.client.service_client.config.target_host,
            "ASSISTER_DATABASE_URL": settings.database_url,
            "ASSISTER_DATA_DIR": str(settings.data_dir),
            "ASSISTER_TASK_QUEUE": settings.task_queue,
            "ASSISTER_PORTAL_SECRET": SECRET,
            "ASSISTER_GATEWAY_PORT": str(self.port),
        }
        self._process: asyncio.subprocess.Process | None = None

    @asynccontextmanager
    async def running(self) -> AsyncIterator["GatewayProcess"]:
        await self._start()
        try:
            yield self
        finally:
            await self._kill()

    async def replace(self) -> None:
        await self._kill()
        await self._start()

    async def _kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        await self._process.wait()

    async def _start(self) -> None:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "gateway",
            env=self._environment,
            stderr=asyncio.subprocess.DEVNULL,
        )


class Senders:
    """A learning center, the portal and an agency's program, which send until they are answered."""

    def __init__(self, system: System, gateway: GatewayProcess, client: httpx2.AsyncClient) -> None:
        self.system, self._gateway, self._client = system, gateway, client
        self._places = asyncio.Semaphore(CONNECTIONS)
        self._secrets: dict[Kind, str] = {}
        self._key = ""
        self.answered: Counter[str] = Counter()
        """The number of answered deliveries, by the event's id."""
        self.rosters: list[str] = []
        """The ids of the submissions that were answered."""
        self.broken_off = 0
        """The number of rosters without an answer, which may have been recorded."""

    async def introduced(self) -> None:
        now = datetime.now(UTC)
        async with self.system.database.transaction() as session:
            for kind in (Kind.EVENTS, Kind.PORTAL):
                key, _ = await make_key(session, kind, kind, None, now)
                secret = system_secret(self.system.settings)
                self._secrets[kind] = signing_secret(secret, key.id)
            contact = await authorized_contact(session, AGENCY, CONTACT)
            _, self._key = await make_key(session, Kind.AGENCY, AGENCY, contact.id, now)

    async def event(self, kind: Kind, what: str, training_id: str, **data: object) -> None:
        """Delivers an event once."""
        identity = f"{training_id}-{what}"
        body = json.dumps(
            {"type": what, "timestamp": AT, "data": {"training_id": training_id, **data}}
        )
        path = "/portal/events" if kind is Kind.PORTAL else "/training/events"
        answer = await self._sent(path, body, lambda: signed(body, self._secrets[kind], identity))
        assert answer.status_code == 202, answer.text
        self.answered[identity] += 1

    async def roster(self, ids: list[str]) -> None:
        headers = {"Content-Type": "text/csv", "Authorization": f"Bearer {self._key}"}
        answer = await self._sent("/rosters?type=navigator", roster_of(*ids), lambda: headers)
        assert answer.status_code == 202, answer.text
        self.rosters.append(answer.json()["submission_id"])

    async def _sent(
        self, path: str, body: str, headers: Callable[[], dict[str, str]]
    ) -> httpx2.Response:
        url = f"http://127.0.0.1:{self._gateway.port}{path}"
        async with self._places:
            while True:
                try:
                    return await self._client.post(url, content=body, headers=headers())
                except httpx2.ConnectError:
                    pass
                except httpx2.TransportError:
                    self.broken_off += path.startswith("/rosters")
                # Without an answer, a sender sends again.
                await asyncio.sleep(0.1)


@pytest.mark.timeout(PATIENCE * ROUNDS * 2)
@pytest.mark.parametrize("number", range(ROUNDS))
async def test_nothing_that_was_answered_is_lost_or_doubled(
    temporal: WorkflowEnvironment,
    new_records: NewRecords,
    database_kind: str,
    tmp_path: Path,
    matrix: Matrix,
    number: int,
) -> None:
    chance = random.Random(number)
    async with without_worker(temporal.client, new_records(), tmp_path) as system:
        await record_people(system.database)
        workers = [WorkerProcess(system)]
        gateway = GatewayProcess(system)

        async def replace_worker() -> None:
            workers[-1].kill()
            await workers[-1].gone()
            workers.append(WorkerProcess(system))

        try:
            async with gateway.running(), httpx2.AsyncClient(timeout=20) as client:
                senders = Senders(system, gateway, client)
                await senders.introduced()
                ids = [new_training_id() for _ in range(ASSISTERS)]
                await _all_sent(senders, ids, chance, [gateway.replace, replace_worker] * KILLS)
            sent = time.monotonic()
            doubled = await _all_done(system, senders, ids)
            matrix.add(
                f"gateway and worker killed {KILLS} times each under load",
                database_kind,
                allowed=doubled,
                seconds=time.monotonic() - sent,
            )
        finally:
            workers[-1].kill()


async def _all_sent(
    senders: Senders, ids: list[str], chance: random.Random, blows: list[Blow]
) -> None:
    """Sends events, rosters and the portal's events in random order, and kills in between."""

    async def events(training_id: str) -> None:
        said: dict[str, dict[str, object]] = {
            "certification.recorded": {"certified": True},
            "training.completed": {},
            "assessment.scored": {"score": 70},
        }
        await asyncio.gather(
            *(
                senders.event(Kind.EVENTS, what, training_id, **data)
                for what, data in said.items()
                for _ in range(DELIVERIES)
            )
        )

    async def account(training_id: str) -> None:
        """Sends the portal's events: each account is activated, and some are closed."""
        await eventually(partial(_invited, senders.system, training_id), bool, seconds=PATIENCE)
        said: dict[str, dict[str, object]] = {"account.activated": {"registration": 1}}
        if training_id in _closed(ids):
            said["account.closed"] = {}
        for what, data in said.items():
            deliveries = (
                senders.event(Kind.PORTAL, what, training_id, **data) for _ in range(DELIVERIES)
            )
            await asyncio.gather(*deliveries)

    groups = [ids[first : first + ON_A_ROSTER] for first in range(0, len(ids), ON_A_ROSTER)]
    total = len(groups) + DELIVERIES * (4 * len(ids) + len(_closed(ids)))

    async def answers() -> int:
        return senders.answered.total() + len(senders.rosters)

    # The numbers of answers after which a kill comes. Rosters are sent at the early ones of these
    # moments, which the events that wait for no roster reach by themselves.
    moments = sorted(int(total * chance.uniform(0, 0.95)) for _ in blows)
    early = [count for count in moments if count < DELIVERIES * 3 * len(ids) - CONNECTIONS] or [0]

    async def strike() -> None:
        for moment, blow in zip(moments, chance.sample(blows, len(blows)), strict=True):
            await eventually(answers, partial(int.__le__, moment), seconds=PATIENCE)
            await blow()

    async def submitted(group: list[str]) -> None:
        moment = chance.choice(early)
        await eventually(answers, partial(int.__le__, moment), seconds=PATIENCE)
        await senders.roster(group)

    work: list[Coroutine[Any, Any, None]] = [submitted(group) for group in groups]
    work += [act(person) for act in (events, account) for person in ids]
    chance.shuffle(work)
    await asyncio.gather(strike(), *work)
    assert await answers() == total


async def _all_done(system: System, senders: Senders, ids: list[str]) -> int:
    """Checks that every answered event and roster had its effect, once.

    Returns:
        The number of mails that were in doubt and came twice.
    """

    async def untold() -> int:
        async with system.database.snapshot() as session:
            return len(await waiting(session, datetime.max.replace(tzinfo=UTC), 1))

    await eventually(untold, partial(int.__eq__, 0), seconds=PATIENCE)
    for roster in senders.rosters:
        done = await eventually(
            partial(progress, system.client, roster),
            lambda it: it.stage == "done",
            seconds=PATIENCE,
        )
        assert done.rejected == 0
    for person in ids:
        stage = "suspended" if person in _closed(ids) else "active"
        reached = partial(lambda stage, it: it.stage == stage and _sent(it), stage)
        await eventually(partial(system.status, person), reached, seconds=PATIENCE)
    async with system.database.snapshot(streams=True) as session:
        events = (await session.exec(select(ResultEvent))).all()
        submissions = (await session.exec(select(Submission.id))).all()
        accounts = (await session.exec(select(PortalAccount))).all()
        mails = (await session.exec(select(MailDelivery))).all()
        assert (await audit.verify(session)).breaks == []
    # An activation is in the portal's tables, not in the inbox of results.
    told = {event for event in senders.answered if not event.endswith("account.activated")}
    assert sorted(event.event_id for event in events) == sorted(told)
    assert set(senders.rosters) <= set(submissions)
    assert len(submissions) <= len(senders.rosters) + senders.broken_off
    assert sorted(account.training_id for account in accounts) == sorted(ids)
    assert len({account.reference_number for account in accounts}) == len(ids)
    assert {account.registration for account in accounts} == {1}
    kinds = Counter((mail.case_id, mail.kind) for mail in mails)
    for person in ids:
        ended = {"suspended", "suspended_agency"} if person in _closed(ids) else set()
        for kind in {"activation", "confirmation"} | ended:
            assert kinds[f"assister-{person}", kind] == 1 or (ended and kind == "confirmation")
    received = Counter(
        (str(m["To"]), str(m["Subject"]), m["Message-ID"]) for m in system.inbox.messages()
    )
    doubled = received.total() - len(received)
    assert len(received) == len(mails)
    assert doubled <= sum(mail.doubts for mail in mails)
    answered = f"{senders.answered.total()} events and {len(senders.rosters)} rosters answered"
    sys.stderr.write(
        f"\n{len(ids)} assisters: {answered}, {senders.broken_off} rosters broken off,"
        f" {doubled} of {len(mails)} mails doubled\n"
    )
    return doubled


def _closed(ids: list[str]) -> list[str]:
    """The assisters whose accounts the portal closes again."""
    return ids[::3]


def _sent(status: Status) -> bool:
    return all(mail.sent_at for mail in status.mails)


async def _invited(system: System, training_id: str) -> bool:
    """Whether the activation mail was sent: before that, the assister has no number."""
    sent = select(MailDelivery).where(
        MailDelivery.case_id == f"assister-{training_id}",
        MailDelivery.kind == "activation",
        MailDelivery.state == "sent",
    )
    async with system.database.snapshot() as session:
        return (await session.exec(sent)).first() is not None
