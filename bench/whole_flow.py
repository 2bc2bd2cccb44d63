"""Whole flow: from the first event to the confirmation, ours, the floor and the peers in turn."""

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
"""Workflows whose histories are counted."""


async def measure(
    figures: Figures, both: Pair, kind: str, *, peers: Mapping[str, Path], persons: int, rounds: int
) -> float:
    """Adds the figures; how many of ours a second there were."""
    made = both.site
    records = {} if made.database is None else {"database": made.database}
    for flow in both.flows.values():
        await journeys(flow, made.relay, AT_ONCE, AT_ONCE)
    for _ in range(rounds):
        for name, flow in both.flows.items():
            place = f"whole flow/{kind}/{name}"
            pids = {"worker": both.workers[name].pid, "server": made.server, **records}
            who = await _timed(figures, place, flow, made.relay, persons, pids)
            runs = [
                await run_of(made.system.client, flow.workflow_id(each)) for each in who[:LOOKED_AT]
            ]
            for what in runs[0]:
                figures.add(f"{place}/{what} per person", mean(run[what] for run in runs))
        for name, python in peers.items():
            async with peer.at_work(made, name, python) as (door, worker):
                await journeys(door, made.relay, AT_ONCE, AT_ONCE)
                pids = {"worker": worker.pid, **records}
                place = f"whole flow/{kind}/{name}"
                await _timed(figures, place, door, made.relay, persons, pids)
    return median(figures.values[f"whole flow/{kind}/{OURS}/persons per s"])


async def _timed(
    figures: Figures, place: str, flow: Flow, relay: Relay, persons: int, pids: Mapping[str, int]
) -> list[str]:
    before = {each: cpu_seconds(pid) for each, pid in pids.items()}
    who, seconds = await journeys(flow, relay, persons, AT_ONCE)
    figures.add(f"{place}/persons per s", persons / seconds)
    used = {each: cpu_seconds(pid) - before[each] for each, pid in pids.items()}
    used["all"] = sum(used.values())
    for each, took in used.items():
        figures.add(f"{place}/{each} CPU ms per person", 1000 * took / persons)
    return who
