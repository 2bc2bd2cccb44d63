"""The gateway is killed while results come in: what it answered 2xx is there, once, and is told."""

import asyncio
import json
import os
import random
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial

import httpx2
from sqlmodel import select

from activities.results import relay_results
from bootstrap import system_secret
from embedded.web_ui import free_port
from records.inbox import waiting
from records.keys import Kind, make_key, signing_secret
from records.tables import ResultEvent
from tests.support.events import signed
from tests.support.programs import ROOT
from tests.support.system import System, eventually, new_training_id

ASSISTERS = int(os.environ.get("GATEWAY_ASSISTERS", "15"))
DELIVERIES, CONNECTIONS, KILLS = 3, 50, 2
AT = "2026-01-05T10:00:00-06:00"


class Killed:
    """A gateway in a process of its own, that is started again whenever it is killed."""

    def __init__(self, system: System) -> None:
        self.port = free_port()
        self.kills = 0
        settings = system.settings
        self._environment = os.environ | {
            "PYTHONPATH": str(ROOT),
            "TEMPORAL_ADDRESS": system.client.service_client.config.target_host,
            "ASSISTER_DATABASE_URL": settings.database_url,
            "ASSISTER_DATA_DIR": str(settings.data_dir),
            "ASSISTER_PORTAL_SECRET": settings.portal_secret.get_secret_value(),
            "ASSISTER_GATEWAY_PORT": str(self.port),
        }
        self._process: asyncio.subprocess.Process | None = None

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Killed"]:
        await self._start()
        try:
            yield self
        finally:
            assert self._process is not None
            self._process.kill()
            await self._process.wait()

    async def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        await self._process.wait()
        self.kills += 1
        await self._start()

    async def _start(self) -> None:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "gateway",
            env=self._environment,
            stderr=asyncio.subprocess.DEVNULL,
        )


def events(training_id: str) -> list[tuple[str, str]]:
    """An event of each kind, by its id."""
    said: dict[str, dict[str, object]] = {
        "certification.recorded": {"certified": True},
        "training.completed": {},
        "assessment.scored": {"score": 70},
    }
    return [
        (
            f"{training_id}-{kind}",
            json.dumps(
                {"type": kind, "timestamp": AT, "data": {"training_id": training_id, **data}}
            ),
        )
        for kind, data in said.items()
    ]


async def test_nothing_that_was_answered_is_lost_or_doubled(each_system: System) -> None:
    system = each_system
    async with system.database.transaction() as session:
        key, _ = await make_key(session, Kind.EVENTS, "lms", None, datetime.now(UTC))
    secret = signing_secret(system_secret(system.settings), key.id)
    ids = [new_training_id() for _ in range(ASSISTERS)]
    deliveries = [each for one in ids for each in events(one)] * DELIVERIES
    random.Random(7).shuffle(deliveries)
    answered: list[str] = []
    places = asyncio.Semaphore(CONNECTIONS)

    async with Killed(system).running() as gateway, httpx2.AsyncClient(timeout=20) as client:

        async def deliver(identity: str, body: str) -> None:
            async with places:
                while True:
                    try:
                        answer = await client.post(
                            f"http://127.0.0.1:{gateway.port}/training/events",
                            content=body,
                            headers=signed(body, secret, identity),
                        )
                    except httpx2.TransportError:
                        # As senders do: no answer, so once more.
                        await asyncio.sleep(0.1)
                        continue
                    assert answer.status_code == 202, answer.text
                    answered.append(identity)
                    return

        async def count() -> int:
            return len(answered)

        async def kill() -> None:
            for part in range(1, KILLS + 1):
                enough = len(deliveries) * part // (KILLS + 1)
                await eventually(count, partial(int.__le__, enough), seconds=300)
                await gateway.kill()

        await asyncio.gather(kill(), *(deliver(*each) for each in deliveries))
        assert gateway.kills == KILLS

    assert len(answered) == len(deliveries)
    async with system.database.snapshot() as session:
        kept = (await session.exec(select(ResultEvent))).all()
    assert sorted(each.event_id for each in kept) == sorted(set(answered))
    settings = system.settings

    async def untold() -> int:
        await relay_results(system.database, system.client, settings.task_queue, settings.terms)
        async with system.database.snapshot() as session:
            return len(await waiting(session, datetime.max.replace(tzinfo=UTC), 1))

    await eventually(untold, partial(int.__eq__, 0), seconds=600)
    for each in ids:
        await system.until(each, lambda status: status.missing == ["approval"])
