"""Whole flow: from the first event to the confirmation, ours and the floor in turn."""

from statistics import mean, median

from bench.figures import OURS, Figures
from bench.flows import Pair, journeys, run_of
from bench.processes import cpu_seconds

AT_ONCE = 16
LOOKED_AT = 5
"""Workflows whose histories are counted."""


async def measure(figures: Figures, both: Pair, kind: str, *, persons: int, rounds: int) -> float:
    """Adds the figures; how many of ours a second there were."""
    made = both.site
    for flow in both.flows.values():
        await journeys(flow, made.relay, AT_ONCE, AT_ONCE)
    for _ in range(rounds):
        for name, flow in both.flows.items():
            pids = {"worker": both.workers[name].pid, "server": made.server}
            if made.database is not None:
                pids["database"] = made.database
            before = {each: cpu_seconds(pid) for each, pid in pids.items()}
            who, seconds = await journeys(flow, made.relay, persons, AT_ONCE)
            place = f"whole flow/{kind}/{name}"
            figures.add(f"{place}/persons per s", persons / seconds)
            used = {each: cpu_seconds(pid) - before[each] for each, pid in pids.items()}
            used["worker and server"] = used["worker"] + used["server"]
            for each, took in used.items():
                figures.add(f"{place}/{each} CPU ms per person", 1000 * took / persons)
            runs = [
                await run_of(made.system.client, flow.workflow_id(each)) for each in who[:LOOKED_AT]
            ]
            for what in runs[0]:
                figures.add(f"{place}/{what} per person", mean(run[what] for run in runs))
    return median(figures.values[f"whole flow/{kind}/{OURS}/persons per s"])
