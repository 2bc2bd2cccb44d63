"""Measures the whole flow, from the first event to the confirmation."""

from collections.abc import Mapping
from pathlib import Path
from statistics import mean, median

from bench import peer
from bench.figures import OURS, Figures
from bench.flows import Flow, Pair, journeys, run_of
from bench.processes import cpu_seconds
from bench.site import Relay

AT_ONCE = 16
LOOKED_AT = 5
"""How many histories are counted in each round."""
ROUNDS_OF_PEERS = 3
"""The peers take part in one of so many rounds: each is started anew, which takes seconds."""


async def measure(
    figures: Figures, both: Pair, kind: str, *, peers: Mapping[str, Path], persons: int, rounds: int
) -> float:
    """Measures ours, the floor and the peers in turn; returns the persons per second of ours.

    The turns are short, because the speed of a machine that others use changes within seconds.
    """
    made = both.site
    records = {} if made.database is None else {"database": made.database}
    for flow in both.flows.values():
        await journeys(flow, made.relay, AT_ONCE, AT_ONCE)
    for turn in range(rounds):
        order = list(both.flows.items())
        for name, flow in order if turn % 2 == 0 else reversed(order):
            place = f"whole flow/{kind}/{name}"
            pids = {"worker": both.workers[name].pid, "server": made.server, **records}
            who = await _timed(figures, place, flow, made.relay, persons, pids)
            ids = [flow.workflow_id(person) for person in who[:LOOKED_AT]]
            runs = [await run_of(made.system.client, workflow_id) for workflow_id in ids]
            for what in runs[0]:
                figures.add(f"{place}/{what} per person", mean(run[what] for run in runs))
        for name, python in peers.items() if turn % ROUNDS_OF_PEERS == 0 else ():
            async with peer.at_work(made, name, python) as (door, worker):
                await journeys(door, made.relay, AT_ONCE, AT_ONCE)
                pids = {"worker": worker.pid, **records}
                place = f"whole flow/{kind}/{name}"
                await _timed(figures, place, door, made.relay, persons, pids)
    return median(figures.values[f"whole flow/{kind}/{OURS}/persons per s"])


async def _timed(
    figures: Figures, place: str, flow: Flow, relay: Relay, persons: int, pids: Mapping[str, int]
) -> list[str]:
    before = {name: cpu_seconds(pid) for name, pid in pids.items()}
    who, seconds = await journeys(flow, relay, persons, AT_ONCE)
    figures.add(f"{place}/persons per s", persons / seconds)
    used = {name: cpu_seconds(pid) - before[name] for name, pid in pids.items()}
    used["all"] = sum(used.values())
    for name, took in used.items():
        figures.add(f"{place}/{name} CPU ms per person", 1000 * took / persons)
    return who
