"""Whole flow: from the first event to the confirmation, ours and the floor in turn."""

from statistics import mean

from bench.figures import Figures
from bench.flows import Floor, OnTemporal, Ours, journeys, run_of
from bench.processes import Program, cpu_seconds
from bench.site import KINDS, Site, site

AT_ONCE = 16
WARM_UP = 8
LOOKED_AT = 5
"""Workflows whose histories are counted."""


async def measure(figures: Figures, *, persons: int, rounds: int) -> None:
    """On either database."""
    for kind in KINDS:
        async with site(kind) as made:
            await _measure(figures, made, kind, persons, rounds)


async def _measure(figures: Figures, made: Site, kind: str, persons: int, rounds: int) -> None:
    client = made.system.client
    flows: dict[str, tuple[OnTemporal, Program]] = {
        "ours": (Ours(made), made.worker()),
        "floor": (Floor(client), made.floor()),
    }
    try:
        for flow, worker in flows.values():
            await worker.start()
            await journeys(flow, made.relay, WARM_UP, AT_ONCE)
        for _ in range(rounds):
            rates = {}
            for name, (flow, worker) in flows.items():
                pids = {"worker": worker.pid, "server": made.server}
                if made.database is not None:
                    pids["database"] = made.database
                before = {each: cpu_seconds(pid) for each, pid in pids.items()}
                who, seconds = await journeys(flow, made.relay, persons, AT_ONCE)
                rates[name] = persons / seconds
                place = f"whole flow/{kind}/{name}"
                figures.add(f"{place}/persons per s", rates[name])
                for each, pid in pids.items():
                    used = cpu_seconds(pid) - before[each]
                    figures.add(f"{place}/{each} CPU ms per person", 1000 * used / persons)
                runs = [await run_of(client, flow.workflow_id(each)) for each in who[:LOOKED_AT]]
                for each in runs[0]:
                    figures.add(f"{place}/{each} per person", mean(run[each] for run in runs))
            figures.add(f"whole flow/{kind}/ratio", rates["ours"] / rates["floor"])
    finally:
        for _, worker in flows.values():
            await worker.end()
