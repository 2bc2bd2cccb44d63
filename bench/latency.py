"""Measures the time from the last requirement to the activation mail, idle and under load."""

import asyncio
from statistics import median, quantiles
from time import monotonic

from bench.figures import Figures
from bench.flows import OnTemporal, Pair, at_rest, journey
from bench.site import new_persons
from tests.support.system import facts


async def measure(
    figures: Figures, both: Pair, kind: str, *, persons: int, highest_rate: float
) -> None:
    """Measures ours and the floor, first idle, then at half of the highest rate of ours."""
    for name, flow in both.flows.items():
        idle = await _one_after_the_other(both, flow, persons)
        busy = await _at_a_rate(both, flow, persons, highest_rate / 2)
        for when, took in (("idle", idle), ("half rate", busy)):
            place = f"latency/{kind}/{name}/{when}"
            figures.add(f"{place} median ms", 1000 * median(took))
            figures.add(f"{place} p99 ms", 1000 * quantiles(took, n=100, method="inclusive")[98])


async def _one_after_the_other(both: Pair, flow: OnTemporal, number: int) -> list[float]:
    persons = new_persons(number)
    await flow.prepare(persons)
    *earlier, (event, last) = facts().items()
    for person in persons:
        for name, fact in earlier:
            await flow.tell(person, name, fact)
    ids = [flow.workflow_id(person) for person in persons]
    await at_rest(both.site.system.client, ids)
    took = []
    for person in persons:
        told = monotonic()
        await flow.tell(person, event, last)
        took.append(await both.site.relay.mailed(person, 1) - told)
    return took


async def _at_a_rate(both: Pair, flow: OnTemporal, number: int, rate: float) -> list[float]:
    persons = new_persons(number)
    await flow.prepare(persons)
    both.site.relay.start_anew()
    begun = []
    for person in persons:
        begun.append(asyncio.create_task(journey(flow, both.site.relay, person)))
        await asyncio.sleep(1 / rate)
    return await asyncio.gather(*begun)
