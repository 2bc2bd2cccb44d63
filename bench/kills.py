"""The worker killed in mid-run: is a mail lost, does one come twice?"""

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
"""Seconds without a mail after which no more is expected: a step of the floor that was cut off is
tried again after 30."""


async def measure(figures: Figures, both: Pair, *, peers: Mapping[str, Path], persons: int) -> None:
    """Ours, the floor and the peers, each killed once when a third of the persons are done."""
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
    """How many mails came once no more come, and how many there are without repetitions."""
    while True:
        before = sum(len(relay.mails_of(each)) for each in persons)
        await asyncio.sleep(QUIET)
        came = [relay.mails_of(each) for each in persons]
        if sum(map(len, came)) == before:
            return before, sum(len(set(each)) for each in came)
