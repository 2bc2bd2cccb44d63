"""Measures a signed event at the gateway, beside a bare handler that writes one row."""

import asyncio
import json
from collections import defaultdict
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from statistics import median, quantiles
from time import perf_counter

import httpx2
from standardwebhooks.webhooks import Webhook

from bench.figures import FLOOR, OURS, Figures
from bench.processes import Program
from bench.site import Site, new_persons, site
from bootstrap import system_secret
from embedded.web_ui import free_port
from records.keys import Kind, make_key, signing_secret

PATH = "/training/events"
PATIENCE = 60.0
IN_TURN = 20
"""Events to one gateway before the other has its turn."""


async def measure(figures: Figures, *, events: int, rounds: int) -> None:
    """Sends one event after the other, to each gateway in turn, on PostgreSQL."""
    async with site("postgresql") as made, AsyncExitStack() as stack:
        secret = await _secret(made)
        clients = {}
        for who, program in ((OURS, "gateway"), (FLOOR, "bench.bare_gateway")):
            url = await _served(stack, made, program)
            client = await stack.enter_async_context(httpx2.AsyncClient(base_url=url))
            clients[who] = client
            for person in new_persons(events):
                await _sent(client, person, secret)
        for _ in range(rounds):
            took: dict[str, list[float]] = defaultdict(list)
            # In short turns: the machine's speed changes from one second to the next.
            for _ in range(0, events, IN_TURN):
                for who, client in clients.items():
                    for person in new_persons(IN_TURN):
                        took[who].append(await _sent(client, person, secret))
            for who, seconds in took.items():
                figures.add(f"gateway/{who}/median ms", 1000 * median(seconds))
                p99 = quantiles(seconds, n=100, method="inclusive")[98]
                figures.add(f"gateway/{who}/p99 ms", 1000 * p99)


async def _secret(made: Site) -> str:
    async with made.system.database.transaction() as session:
        key, _ = await make_key(session, Kind.EVENTS, "lms", None, datetime.now(UTC))
    return signing_secret(system_secret(made.system.settings), key.id)


async def _served(stack: AsyncExitStack, made: Site, program: str) -> str:
    port = free_port()
    environment = made.environment() | {"ASSISTER_GATEWAY_PORT": str(port)}
    log = made.folder / f"{program}.log"
    served = Program(["-m", program], environment, log, ready="")
    await served.start()
    stack.push_async_callback(served.end)
    url = f"http://127.0.0.1:{port}"
    async with httpx2.AsyncClient(base_url=url) as client, asyncio.timeout(PATIENCE):
        while True:
            try:
                await client.get("/healthz")
            except httpx2.TransportError:
                await asyncio.sleep(0.05)
            else:
                return url


async def _sent(client: httpx2.AsyncClient, person: str, secret: str) -> float:
    now = datetime.now(UTC)
    data = {"training_id": person, "score": 82.5}
    event = {"type": "assessment.scored", "timestamp": now.isoformat(), "data": data}
    body, identity = json.dumps(event), f"event-{person}"
    headers = {
        "content-type": "application/json",
        "webhook-id": identity,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Webhook(secret).sign(identity, now, body),
    }
    begun = perf_counter()
    answer = await client.post(PATH, content=body, headers=headers)
    took = perf_counter() - begun
    assert answer.status_code == 202, answer.text
    return took
