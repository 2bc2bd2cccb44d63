"""Measures the replay of a five-year-old case that the worker does not have in its cache."""

from datetime import UTC, date, datetime
from functools import partial
from time import perf_counter

from temporalio.worker import Replayer, UnsandboxedWorkflowRunner

from bench.figures import Figures
from bench.flows import Ours
from bench.site import Site, new_persons, site
from embedded.temporal_server import TIME_SKIPPING, clock_of
from policy.calendar import end_of
from policy.requirements import CertificationRecorded
from tests.support.system import meet_requirements
from workflows.assister_access import AssisterAccess
from workflows.contract import Status
from workflows.converter import DATA_CONVERTER

YEARS = 5


async def measure(figures: Figures, *, rounds: int) -> None:
    """Replays a case whose certification is renewed each year."""
    async with site("sqlite", TIME_SKIPPING) as made:
        worker = made.worker()
        await worker.start()
        try:
            [person] = new_persons(1)
            await _live(made, person)
            history = await made.system.case(person).fetch_history()
        finally:
            await worker.end()
    figures.add("replay/ours/events", len(history.events))
    for _ in range(rounds):
        replayer = Replayer(
            workflows=[AssisterAccess],
            data_converter=DATA_CONVERTER,
            workflow_runner=UnsandboxedWorkflowRunner(),
        )
        begun = perf_counter()
        await replayer.replay_workflow(history)
        figures.add("replay/ours/ms", 1000 * (perf_counter() - begun))


async def _live(made: Site, person: str) -> None:
    system = made.system
    await Ours(made).prepare([person])
    await meet_requirements(system, person)
    await system.activate(person)
    await system.until(person, lambda status: status.stage == "active")
    today = datetime.now(UTC).date()
    for year in range(1, YEARS + 1):
        through = date(today.year + year, today.month, 15)
        renewal = CertificationRecorded(
            event_id=f"certification-{year}",
            occurred_at=await clock_of(system.client, system.case(person)),
            certified=True,
            valid_through=through,
        )
        await system.tell(person, "certification_recorded", renewal)
        await system.until(person, partial(_certified_until, end_of(through)))
        if year < YEARS:
            await system.skip_to(person, end_of(through).replace(hour=0))


def _certified_until(end: datetime, status: Status) -> bool:
    return status.certified_until == end
