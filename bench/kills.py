"""Kills the worker in mid-run and counts the mails that are lost or come twice."""

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from time import monotonic

from bench import peer
from bench.figures import Figures
from bench.flows import Flow, Pair, for_each, journey
from bench.processes import Program
from bench.site import Relay, new_persons

AT_ONCE = 16
MAILS = 2
QUIET = 40.0
"""After so many seconds without a mail no more is expected. A step of the floor that the kill
interrupted is repeated after 30 seconds."""


async def measure(figures: Figures, both: Pair, *, peers: Mapping[str, Path], persons: int) -> None:
    """Kills the worker of each system once, when a third of the persons are done."""
    relay = both.site.relay
    for name, flow in both.flows.items():
        await _killed(figures, f"kill/{name}", flow, both.workers[name], relay, persons)
    for name, python in peers.items():
        async with peer.at_work(both.site, name, python) as (door, worker):
            await _killed(figures, f"kill/{name}", door, worker, relay, persons)


async def _killed(
    figures: Figures, place: str, flow: Flow, worker: Program, relay: Relay, number: int
) -> None:
    persons = new_persons(number)
    await flow.prepare(persons)
    relay.start_anew()
    done = 0
    a_third = asyncio.Event()

    async def one(person: str) -> None:
        nonlocal done
        await journey(flow, relay, person)
        done += 1
        if done > number / 3:
            a_third.set()

    async def all_of_them() -> float:
        begun = monotonic()
        await for_each(persons, AT_ONCE, one)
        return monotonic() - begun

    running = asyncio.create_task(all_of_them())
    await a_third.wait()
    await worker.kill()
    await worker.start()
    try:
        async with asyncio.timeout(QUIET * 3):
            figures.add(f"{place}/persons per s", number / await running)
    except TimeoutError:
        figures.add(f"{place}/persons per s", 0)
    came, kinds = await _settled(relay, persons)
    figures.add(f"{place}/mails lost", MAILS * number - kinds)
    figures.add(f"{place}/mails twice", came - kinds)


async def _settled(relay: Relay, persons: Sequence[str]) -> tuple[int, int]:
    """Waits for the last mail; returns how many came, with and without repetitions."""
    while True:
        before = sum(len(relay.mails_of(person)) for person in persons)
        await asyncio.sleep(QUIET)
        came = [relay.mails_of(person) for person in persons]
        if sum(map(len, came)) == before:
            return before, sum(len(set(subjects)) for subjects in came)
