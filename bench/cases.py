"""Measures how fast a roster opens cases, what waiting costs, and how fast waiting cases wake."""

import asyncio
from collections.abc import Iterable, Sequence
from functools import partial
from time import monotonic

import psycopg

from bench.figures import FLOOR, OURS, Figures
from bench.flows import OnTemporal, Pair, at_rest, for_each, pair
from bench.processes import cpu_seconds, resident_bytes
from bench.site import Kind, Site, new_persons
from tests.support.rosters import roster_row, submit_roster
from tests.support.system import facts, record_people
from workflows.client import start_intake

AT_ONCE = 20
WOKEN = 1000
"""The most cases that get a signal after the workers were started again."""
IN_TURN = 200
"""Ours and the floor answer so many in turn: the machine's speed changes within seconds."""


async def measure(
    figures: Figures, kinds: Iterable[Kind], sizes: Iterable[int], *, rounds: int, rest: float
) -> None:
    """Measures each number of cases on a fresh server; ours and the floor go first in turn.

    Args:
        rest: Seconds for which the idle processes are watched.
    """
    for kind in kinds:
        for number in sizes:
            for turn in range(1 if number > WOKEN else rounds):
                async with pair(kind) as both:
                    order = [OURS, FLOOR] if turn % 2 == 0 else [FLOOR, OURS]
                    await _measure(figures, both, order, kind, number, rest)


async def _measure(
    figures: Figures, both: Pair, order: Sequence[str], kind: Kind, number: int, rest: float
) -> None:
    made, client = both.site, both.site.system.client
    await record_people(made.system.database)
    opened: dict[str, list[str]] = {}
    before = await _idle(both, rest)
    for name in order:
        flow, place = both.flows[name], f"cases/{kind}/{name}"
        persons = opened[name] = new_persons(number)
        stored, begun = _stored(made, kind), monotonic()
        await (_by_roster if name == OURS else _by_signal)(made, flow, persons)
        figures.add(f"{place}/opened per s, {number}", number / (monotonic() - begun))
        await at_rest(client, [flow.workflow_id(person) for person in persons])
        figures.add(f"{place}/opened and waiting per s, {number}", number / (monotonic() - begun))
        figures.add(
            f"{place}/KB stored per case, {number}", (_stored(made, kind) - stored) / number
        )
        idle = await _idle(both, rest)
        for part, used in (("worker", name), ("server", "server")):
            more = max(0.0, idle[used] - before[used])
            figures.add(f"{place}/idle CPU of the {part} for them, % of a core, {number}", more)
        before = idle
    await both.restart()
    fact, woken = facts()["training_completed"], min(number, WOKEN)
    held = {name: resident_bytes(both.workers[name].pid) for name in order}
    spent = dict.fromkeys(order, 0.0)
    for start in range(0, woken, IN_TURN):
        for name in order:
            flow, persons = both.flows[name], opened[name][:woken][start : start + IN_TURN]
            tell, begun = partial(flow.tell, event="training_completed", fact=fact), monotonic()
            await for_each(persons, AT_ONCE, tell)
            await at_rest(client, [flow.workflow_id(person) for person in persons])
            spent[name] += monotonic() - begun
    for name in order:
        place = f"cases/{kind}/{name}"
        figures.add(f"{place}/answered per s, {number}", woken / spent[name])
        grown = resident_bytes(both.workers[name].pid) - held[name]
        figures.add(f"{place}/MB in memory per case, {number}", grown / 2**20 / woken)


async def _by_roster(made: Site, flow: OnTemporal, persons: list[str]) -> None:
    """Opens the cases as `rosters submit --wait` does, with the mail to the contact."""
    settings, client = made.system.settings, made.system.client
    submission = await submit_roster(made.system, *map(roster_row, persons))
    intake = await start_intake(client, settings.task_queue, submission, settings.terms)
    await intake.result()


async def _by_signal(made: Site, flow: OnTemporal, persons: list[str]) -> None:
    """Opens the workflows in a bare loop of signal-with-start."""
    fact = facts()["roster_recorded"]
    await for_each(persons, AT_ONCE, lambda person: flow.tell(person, "roster_recorded", fact))


async def _idle(both: Pair, seconds: float) -> dict[str, float]:
    """The CPU that workers and server use while nothing happens, in percent of a core."""
    workers = {name: worker.pid for name, worker in both.workers.items()}
    pids = workers | {"server": both.site.server}
    before = {name: cpu_seconds(pid) for name, pid in pids.items()}
    await asyncio.sleep(seconds)
    return {name: 100 * (cpu_seconds(pid) - before[name]) / seconds for name, pid in pids.items()}


def _stored(made: Site, kind: Kind) -> float:
    """The kilobytes that Temporal and the records store."""
    files = [*made.folder.glob("temporal.db*"), *made.folder.glob("records.db*")]
    held = sum(file.stat().st_size for file in files)
    if kind == "postgresql":
        with psycopg.connect(made.system.settings.database_url) as connection:
            [size] = connection.execute(
                "SELECT pg_database_size(current_database())"
            ).fetchone() or [0]
            held += size
    return held / 1024
