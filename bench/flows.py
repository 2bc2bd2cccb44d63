"""A person's way to an account, on whatever drives it: the same events, the same mails."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from time import monotonic
from typing import Any, Protocol

from temporalio.client import Client

from bench.figures import FLOOR, OURS
from bench.floor import TASK_QUEUE
from bench.processes import Program
from bench.site import Kind, Relay, Site, new_persons, site
from policy.requirements import Fact
from tests.support.system import activated, facts, record_people

MARGIN, EACH = 120.0, 1.0
"""Seconds, and seconds for each person, after which a run counts as not finished."""
LOOKS_AT_ONCE = 4


class Flow(Protocol):
    """What drives it."""

    async def prepare(self, persons: Sequence[str]) -> None:
        """Makes the persons known; this is not measured."""
        ...

    async def tell(self, person: str, event: str, fact: Fact) -> None:
        """Tells it something of a person."""
        ...

    async def activate(self, person: str) -> None:
        """The person uses the registration number."""
        ...


class OnTemporal(Flow, Protocol):
    """One whose workflows can be looked at."""

    def workflow_id(self, person: str) -> str:
        """Of the person's workflow."""
        ...


@dataclass(frozen=True)
class Ours:
    """The product."""

    site: Site

    async def prepare(self, persons: Sequence[str]) -> None:
        """They are on a roster of their agency."""
        await record_people(self.site.system.database, *persons)

    async def tell(self, person: str, event: str, fact: Fact) -> None:
        """Signals the case, and opens it."""
        await self.site.system.tell(person, event, fact)

    async def activate(self, person: str) -> None:
        """What the portal's page does."""
        await self.site.system.activate(person)

    def workflow_id(self, person: str) -> str:
        """The case's."""
        return self.site.system.case(person).id


@dataclass(frozen=True)
class Floor:
    """The floor."""

    client: Client

    async def prepare(self, persons: Sequence[str]) -> None:
        """It knows nobody."""

    async def tell(self, person: str, event: str, fact: Fact) -> None:
        """Signals the workflow, and opens it."""
        await self.client.start_workflow(
            "Floor",
            person,
            id=self.workflow_id(person),
            task_queue=TASK_QUEUE,
            start_signal=event,
            start_signal_args=[fact],
        )

    async def activate(self, person: str) -> None:
        """Tells the workflow straight away."""
        await self.tell(person, "account_activated", activated())

    def workflow_id(self, person: str) -> str:
        """The workflow's."""
        return f"floor-{person}"


@dataclass
class Pair:
    """Ours and the floor at one site, each with a worker that runs."""

    site: Site
    flows: dict[str, OnTemporal]
    workers: dict[str, Program]

    async def restart(self) -> None:
        """Ends both workers, and starts them with nothing in their memory."""
        for each in self.workers.values():
            await each.end()
            await each.start()


@asynccontextmanager
async def pair(kind: Kind) -> AsyncIterator[Pair]:
    """Both for as long as the context is open."""
    async with site(kind) as made:
        flows: dict[str, OnTemporal] = {OURS: Ours(made), FLOOR: Floor(made.system.client)}
        workers = {OURS: made.worker(), FLOOR: made.floor()}
        try:
            for each in workers.values():
                await each.start()
            yield Pair(made, flows, workers)
        finally:
            for each in workers.values():
                await each.end()


async def journey(flow: Flow, relay: Relay, person: str) -> float:
    """One person's way; the seconds from the last requirement to the activation mail."""
    for event, fact in facts().items():
        told = monotonic()
        await flow.tell(person, event, fact)
    mailed = await relay.mailed(person, 1)
    await flow.activate(person)
    await relay.mailed(person, 2)
    return mailed - told


async def journeys(flow: Flow, relay: Relay, number: int, at_once: int) -> tuple[list[str], float]:
    """So many persons, so many at a time; who they were, and the seconds it took."""
    persons = new_persons(number)
    await flow.prepare(persons)
    relay.start_anew()
    begun = monotonic()
    await for_each(persons, at_once, lambda person: journey(flow, relay, person))
    return persons, monotonic() - begun


async def for_each(
    persons: Sequence[str], at_once: int, act: Callable[[str], Awaitable[object]]
) -> None:
    """Acts for each, so many at a time."""
    places = asyncio.Semaphore(at_once)

    async def one(person: str) -> None:
        async with places:
            await act(person)

    async with asyncio.timeout(MARGIN + EACH * len(persons)):
        await asyncio.gather(*(one(each) for each in persons))


async def at_rest(client: Client, workflow_ids: Sequence[str]) -> None:
    """Waits until workflows have nothing left to do at once."""

    async def rests(workflow_id: str) -> None:
        handle = client.get_workflow_handle(workflow_id)
        while True:
            described = (await handle.describe()).raw_description
            task = described.HasField("pending_workflow_task")
            if not task and not described.pending_activities:
                return
            await asyncio.sleep(0.1)

    # The last are the last to rest, as a rule: then one look each is enough.
    await for_each(workflow_ids[::-1], LOOKS_AT_ONCE, rests)


async def run_of(client: Client, workflow_id: str) -> dict[str, Any]:
    """What a workflow's history holds: events, bytes and what Temporal Cloud would bill."""
    handle = client.get_workflow_handle(workflow_id)
    info = (await handle.describe()).raw_description.workflow_execution_info
    billed = 0
    async for event in handle.fetch_history_events():
        billed += event.WhichOneof("attributes") in BILLED
    return {
        "events": info.history_length,
        "bytes": info.history_size_bytes,
        "actions": billed,
    }


BILLED = {
    "workflow_execution_started_event_attributes",
    "workflow_execution_signaled_event_attributes",
    "workflow_execution_update_accepted_event_attributes",
    "timer_started_event_attributes",
    "activity_task_started_event_attributes",
    "upsert_workflow_search_attributes_event_attributes",
    "workflow_execution_continued_as_new_event_attributes",
}
"""Events of which each is an action; a heartbeat and a query are actions without an event."""
