"""The flow that brings a person to an account: the same events and mails for every system."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from time import monotonic
from typing import Any, Protocol

from temporalio.client import Client

from activities.intake import first_cases
from bench.figures import FLOOR, OURS
from bench.floor import TASK_QUEUE
from bench.processes import Program
from bench.site import Kind, Relay, Site, address_of, new_persons, site
from policy.calendar import StateHolidays
from policy.requirements import Fact
from services.activation import activate
from tests.support.system import activated, facts, record_people
from workflows.client import tell_case
from workflows.contract import FirstCase

MARGIN, EACH = 120.0, 1.0
"""A run fails after ``MARGIN`` seconds plus ``EACH`` seconds for each person."""
LOOKS_AT_ONCE = 4
HOLIDAYS = StateHolidays()


class Flow(Protocol):
    """A system that brings persons to their accounts."""

    async def prepare(self, persons: Sequence[str]) -> None:
        """Makes the persons known to the system; this is not measured."""
        ...

    async def tell(self, person: str, event: str, fact: Fact) -> None:
        """Tells the system of an event of a person."""
        ...

    async def activate(self, person: str) -> None:
        """Activates the person's account, as a registration number does."""
        ...


class OnTemporal(Flow, Protocol):
    """A system that has a Temporal workflow for each person."""

    def workflow_id(self, person: str) -> str:
        """The id of the person's workflow."""
        ...


@dataclass
class Ours:
    """The product."""

    site: Site
    _persons: Sequence[str] = field(default=(), init=False)
    _first: asyncio.Task[dict[str, FirstCase]] | None = field(default=None, init=False)

    async def prepare(self, persons: Sequence[str]) -> None:
        """Records the persons as rows of their agency's roster."""
        await record_people(self.site.system.database, *persons)
        self._persons, self._first = persons, None

    async def tell(self, person: str, event: str, fact: Fact) -> None:
        """Signals the case; the roster opens it, as an intake does for each of its rows."""
        system = self.site.system
        first = await self._first_case(person) if event == "roster_recorded" else None
        queue, terms = system.settings.task_queue, system.settings.terms
        await tell_case(system.client, queue, person, event, fact, terms, first)

    async def activate(self, person: str) -> None:
        """Activates the account with the number in the mail, as the portal's page does."""
        number = self.site.relay.numbers[address_of(person)]
        await activate(self.site.system.connections, number)

    async def _first_case(self, person: str) -> FirstCase | None:
        """Looks for earlier cases once for all persons, as an intake does for a roster's rows."""
        if self._first is None:
            system = self.site.system
            looking = first_cases(
                system.database, system.portal, self._persons, system.settings.terms, HOLIDAYS
            )
            self._first = asyncio.create_task(looking)
        return (await self._first).get(person)

    def workflow_id(self, person: str) -> str:
        """The id of the person's case."""
        return self.site.system.case(person).id


@dataclass(frozen=True)
class Floor:
    """The workflow of ``bench.floor``."""

    client: Client

    async def prepare(self, persons: Sequence[str]) -> None:
        """Does nothing: the floor keeps no records."""

    async def tell(self, person: str, event: str, fact: Fact) -> None:
        """Signals the workflow; the first signal starts it."""
        await self.client.start_workflow(
            "Floor",
            person,
            id=self.workflow_id(person),
            task_queue=TASK_QUEUE,
            start_signal=event,
            start_signal_args=[fact],
        )

    async def activate(self, person: str) -> None:
        """Signals the workflow."""
        await self.tell(person, "account_activated", activated())

    def workflow_id(self, person: str) -> str:
        """The id of the person's workflow."""
        return f"floor-{person}"


@dataclass
class Pair:
    """Ours and the floor at one site, each with a running worker."""

    site: Site
    flows: dict[str, OnTemporal]
    workers: dict[str, Program]

    async def restart(self) -> None:
        """Ends both workers and starts them again with an empty cache."""
        for worker in self.workers.values():
            await worker.end()
            await worker.start()


@asynccontextmanager
async def pair(kind: Kind) -> AsyncIterator[Pair]:
    """Runs ours and the floor while the context is open."""
    async with site(kind) as made:
        flows: dict[str, OnTemporal] = {OURS: Ours(made), FLOOR: Floor(made.system.client)}
        workers = {OURS: made.worker(), FLOOR: made.floor()}
        try:
            for worker in workers.values():
                await worker.start()
            yield Pair(made, flows, workers)
        finally:
            for worker in workers.values():
                await worker.end()


async def journey(flow: Flow, relay: Relay, person: str) -> float:
    """Brings one person to an account.

    Returns:
        The seconds from the last requirement to the activation mail.
    """
    for event, fact in facts().items():
        told = monotonic()
        await flow.tell(person, event, fact)
    mailed = await relay.mailed(person, 1)
    await flow.activate(person)
    await relay.mailed(person, 2)
    return mailed - told


async def journeys(flow: Flow, relay: Relay, number: int, at_once: int) -> tuple[list[str], float]:
    """Brings a number of persons to their accounts; returns their ids and the seconds it took."""
    persons = new_persons(number)
    await flow.prepare(persons)
    relay.start_anew()
    begun = monotonic()
    await for_each(persons, at_once, lambda person: journey(flow, relay, person))
    return persons, monotonic() - begun


async def for_each(
    persons: Sequence[str], at_once: int, act: Callable[[str], Awaitable[object]]
) -> None:
    """Calls a function for each person, at most ``at_once`` at a time."""
    places = asyncio.Semaphore(at_once)

    async def one(person: str) -> None:
        async with places:
            await act(person)

    async with asyncio.timeout(MARGIN + EACH * len(persons)):
        await asyncio.gather(*(one(person) for person in persons))


async def at_rest(client: Client, workflow_ids: Sequence[str]) -> None:
    """Waits until no workflow has a pending workflow task or activity."""

    async def rests(workflow_id: str) -> None:
        handle = client.get_workflow_handle(workflow_id)
        while True:
            described = (await handle.describe()).raw_description
            task = described.HasField("pending_workflow_task")
            if not task and not described.pending_activities:
                return
            await asyncio.sleep(0.1)

    # The workflows that began last usually rest last; after them, one look at each other is enough.
    await for_each(workflow_ids[::-1], LOOKS_AT_ONCE, rests)


async def run_of(client: Client, workflow_id: str) -> dict[str, Any]:
    """The events and bytes of a workflow's history, and the actions that Temporal Cloud bills."""
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
"""The events that are billed as actions; heartbeats and queries are actions without an event."""
