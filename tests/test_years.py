"""A case over years and many runs, with renewals, suspensions, a move, a lapse and many events."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from functools import partial

import pytest
from temporalio.testing import WorkflowEnvironment

from bootstrap import arc_holidays
from embedded.temporal_server import TIME_SKIPPING, clock_of, temporal_server
from policy.calendar import certification_warnings, end_of
from policy.requirements import AssisterType, CertificationRecorded, RosterRecorded
from policy.terms import Terms
from portal.tables import PortalAccount
from records import audit
from tests.conftest import MakeSystem
from tests.support.conditions import in_stage
from tests.support.system import (
    System,
    eventually,
    facts,
    meet_requirements,
    new_training_id,
    record_people,
)
from workflows.contract import Status

YEARS = 5
SUSPENSIONS = {2, 4}
MOVE = 3
STREAMS = 2
MINUTE = timedelta(minutes=1)
LONG, YOUNG, SETTLED = 400, 150, 10
"""Numbers of events in a history."""


def _certified_until(end: datetime, status: Status) -> bool:
    return status.certified_until == end and status.stage == "active"


@pytest.fixture
async def several_runs() -> AsyncIterator[WorkflowEnvironment]:
    """A server that suggests continue-as-new several times in the five years."""
    config = {**TIME_SKIPPING, "limit.historyCount.suggestContinueAsNew": str(LONG)}
    async with temporal_server(dynamic_config=config) as server:
        yield server


@pytest.fixture
async def years(
    several_runs: WorkflowEnvironment, make_system: MakeSystem, sqlite_url: str
) -> System:
    """A system that ends before its server: without a server, a worker takes long to end."""
    return await make_system(sqlite_url, client=several_runs.client)


async def leap_to(
    system: System, training_id: str, moment: datetime, runs: set[str], updating: asyncio.Event
) -> None:
    """Skips time until ``moment``, in a run in which no time was skipped yet.

    The run must not be near its start or end. Between the end of a run and the first timer of the
    next one, the server's experimental time skipping would pass every deadline.
    """
    described = await eventually(
        system.case(training_id).describe,
        lambda it: it.run_id not in runs and SETTLED < it.history_length < YOUNG,
    )
    runs.add(described.run_id)
    # The server skips time only if no activity runs, and an activity records each order.
    updating.clear()
    await system.skip_to(training_id, moment)
    updating.set()


async def test_five_years_under_a_stream_lose_and_double_nothing(years: System) -> None:
    system = years
    training_id = new_training_id()
    await record_people(system.database, training_id)
    await meet_requirements(system, training_id)
    await system.activate(training_id)
    await system.until(training_id, in_stage("active"))
    sent = {"signals": 0, "updates": 0}
    done, updating = asyncio.Event(), asyncio.Event()
    updating.set()

    async def stream(number: int) -> None:
        while not done.is_set():
            fact = facts()["training_completed"].model_copy(
                update={"event_id": f"training-{number}-{sent['signals'] % 20}"}
            )
            await system.tell(training_id, "training_completed", fact)
            sent["signals"] += 1
            await updating.wait()
            assert await system.act(training_id, "email_corrected")
            sent["updates"] += 1

    streaming = [asyncio.create_task(stream(number)) for number in range(STREAMS)]
    today = datetime.now(UTC).date()
    warned_at: list[datetime] = []
    runs: set[str] = set()
    for year in range(1, YEARS + 1):
        through = date(today.year + year, today.month, 15)
        occurred_at = await clock_of(system.client, system.case(training_id))
        renewal = CertificationRecorded(
            event_id=f"certification-{year}",
            occurred_at=occurred_at,
            certified=True,
            valid_through=through,
        )
        await system.tell(training_id, "certification_recorded", renewal)
        await system.until(training_id, partial(_certified_until, end_of(through)))
        if year in SUSPENSIONS:
            await system.act(training_id, "suspend_access")
            # The next event drops a mail that waits, so the test waits until each mail is sent.
            await system.until(
                training_id,
                lambda s: s.stage == "suspended" and all(e.sent_at for e in s.mails),
            )
            await system.act(training_id, "reinstate_access")
            await system.until(training_id, in_stage("active"))
        if year == MOVE:
            await record_people(system.database, training_id, agency="AG-200")
            move = RosterRecorded(
                event_id="moved",
                occurred_at=occurred_at,
                agency_id="AG-200",
                assister_type=AssisterType.NAVIGATOR,
                approved=True,
                employed=True,
            )
            await system.tell(training_id, "roster_recorded", move)
            await system.until(training_id, lambda s: s.changes == ["AG-200"])
            await system.decide(training_id, "confirm_change", "AG-200")
            await system.until(training_id, lambda s: s.agency_id == "AG-200")
        warned_at += certification_warnings(through, occurred_at, Terms(), arc_holidays())
        await leap_to(system, training_id, end_of(through) - MINUTE, runs, updating)
        status = await system.status(training_id)
        assert status.stage == "active", "not a minute too early"
    await leap_to(system, training_id, end_of(through) + MINUTE, runs, updating)
    lapsed = await system.until(training_id, in_stage("suspended"))
    done.set()
    await asyncio.gather(*streaming)

    assert lapsed.missing == ["certification"]
    at = [e.sent_at for e in lapsed.mails if e.kind == "certification_ending" and e.sent_at]
    assert len(at) == len(warned_at) == 2 * YEARS
    assert all(MINUTE > a - b >= timedelta() for a, b in zip(at, warned_at, strict=True))
    ended = [e.sent_at for e in lapsed.mails if e.kind == "suspended" and e.sent_at]
    assert len(ended) == len(SUSPENSIONS) + 1
    assert MINUTE > ended[-1] - end_of(through) >= timedelta()
    subjects = [subject for subject, _ in system.mails(to=training_id.lower())]
    assert len([subject for subject in subjects if "certification ends" in subject]) == 2 * YEARS
    assert (
        len([subject for subject in subjects if "is suspended" in subject]) == len(SUSPENSIONS) + 1
    )
    assert len([subject for subject in subjects if "is back" in subject]) == len(SUSPENSIONS)
    assert len([subject for subject in subjects if "been created" in subject]) == 1
    assert min(sent.values()) > 100, sent
    assert len(runs) == YEARS + 1, "a run for each year, and one for the end"
    async with system.database.transaction() as session:
        assert (await audit.verify(session)).breaks == []
        assert (await session.get_one(PortalAccount, training_id)).status == "suspended"
