"""A person's way to an account, on whatever drives it: the same events, the same mails."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Any, Protocol

from temporalio.client import Client

from bench.floor import TASK_QUEUE
from bench.site import Relay, Site, new_persons
from policy.requirements import Fact
from tests.support.system import activated, facts, record_people

PATIENCE = 300.0
"""Seconds after which a run counts as not finished."""


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


async def journey(flow: Flow, relay: Relay, person: str) -> None:
    """One person's way."""
    for event, fact in facts().items():
        await flow.tell(person, event, fact)
    await relay.mailed(person, 1)
    await flow.activate(person)
    await relay.mailed(person, 2)


async def journeys(flow: Flow, relay: Relay, number: int, at_once: int) -> tuple[list[str], float]:
    """So many persons, so many at a time; who they were, and the seconds it took."""
    persons = new_persons(number)
    await flow.prepare(persons)
    relay.start_anew()
    places = asyncio.Semaphore(at_once)

    async def one(person: str) -> None:
        async with places:
            await journey(flow, relay, person)

    begun = monotonic()
    async with asyncio.timeout(PATIENCE):
        await asyncio.gather(*(one(each) for each in persons))
    return persons, monotonic() - begun


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
