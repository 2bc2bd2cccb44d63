"""A case over the years: renewals, suspensions, a move and a lapse, under a stream of events.

In one run: one that follows within a second of its predecessor's start waits one before its first
task, with no timer yet, and the server's experimental skipping leaps over all its deadlines.
Continue-as-new under a stream has a test of its own.
"""

import asyncio
from datetime import UTC, date, datetime, timedelta
from functools import partial

from embedded.temporal_server import clock_of
from policy.calendar import certification_warnings, end_of
from policy.requirements import AssisterType, CertificationRecorded, RosterRecorded
from policy.terms import Terms
from records import audit
from records.tables import PortalAccount
from tests.system import (
    System,
    facts,
    meet_requirements,
    new_training_id,
    record_people,
)
from worker import arc_holidays
from workflows.contract import Status

YEARS = 5
SUSPENSIONS = {2, 4}
MOVE = 3
STREAMS = 3
SHORT = timedelta(seconds=5)


def _certified_until(end: datetime, status: Status) -> bool:
    return status.certified_until == end and status.stage == "active"


async def test_five_years_under_a_stream_lose_and_double_nothing(
    system: System,
) -> None:
    training_id = new_training_id()
    await record_people(system.database, training_id)
    await meet_requirements(system, training_id)
    await system.activate(training_id)
    await system.until(training_id, lambda s: s.stage == "active")
    sent = {"signals": 0, "updates": 0}
    done = asyncio.Event()

    async def stream(number: int) -> None:
        while not done.is_set():
            fact = facts()["training_completed"].model_copy(
                update={"event_id": f"training-{number}-{sent['signals'] % 20}"}
            )
            await system.tell(training_id, "training_completed", fact)
            sent["signals"] += 1
            assert await system.act(training_id, "email_corrected")
            sent["updates"] += 1

    streaming = [asyncio.create_task(stream(each)) for each in range(STREAMS)]
    today = datetime.now(UTC).date()
    warned_at: list[datetime] = []
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
            # A mail that is overtaken before it left is dropped: each is awaited.
            await system.until(
                training_id,
                lambda s: s.stage == "suspended" and all(e.sent_at for e in s.mails),
            )
            await system.act(training_id, "reinstate_access")
            await system.until(training_id, lambda s: s.stage == "active")
        if year == MOVE:
            move = RosterRecorded(
                event_id="moved",
                occurred_at=occurred_at,
                agency_id="AG-200",
                assister_type=AssisterType.NAVIGATOR,
                approved=True,
                employed=True,
            )
            await system.tell(training_id, "roster_recorded", move)
            await system.until(training_id, lambda s: s.agency_id == "AG-200")
        warned_at += certification_warnings(through, occurred_at, Terms(), arc_holidays())
        await system.skip_to(training_id, end_of(through) - timedelta(minutes=1))
        status = await system.status(training_id)
        assert status.stage == "active", "not a minute too early"
    await system.skip_to(training_id, end_of(through) + timedelta(minutes=1))
    lapsed = await system.until(training_id, lambda s: s.stage == "suspended")
    done.set()
    await asyncio.gather(*streaming)

    assert lapsed.missing == ["certification"]
    at = [e.sent_at for e in lapsed.mails if e.kind == "certification_ending" and e.sent_at]
    assert len(at) == len(warned_at) == 2 * YEARS
    assert all(SHORT > a - b >= timedelta() for a, b in zip(at, warned_at, strict=True))
    ended = [e.sent_at for e in lapsed.mails if e.kind == "suspended" and e.sent_at]
    assert len(ended) == len(SUSPENSIONS) + 1
    assert SHORT > ended[-1] - end_of(through) >= timedelta()
    subjects = [subject for subject, _ in system.mails(to=training_id.lower())]
    assert len([each for each in subjects if "certification ends" in each]) == 2 * YEARS
    assert len([each for each in subjects if "is suspended" in each]) == len(SUSPENSIONS) + 1
    assert len([each for each in subjects if "is back" in each]) == len(SUSPENSIONS)
    assert len([each for each in subjects if "been created" in each]) == 1
    assert min(sent.values()) > 100, sent
    async with system.database.transaction() as session:
        assert (await audit.verify(session)).breaks == []
        assert (await session.get_one(PortalAccount, training_id)).status == "suspended"
