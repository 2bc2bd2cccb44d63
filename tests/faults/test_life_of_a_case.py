"""Events in a long-lived case: two agencies, an end and a return, a portal that is down."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from itertools import count, islice
from time import monotonic
from typing import Any

import pytest
from sqlmodel import select
from temporalio.client import Client, WorkflowHandle, WorkflowUpdateFailedError
from temporalio.service import RPCError, RPCStatusCode
from temporalio.testing import WorkflowEnvironment

import activities.intake
from embedded.temporal_server import skip_time
from policy.requirements import AssisterType
from policy.terms import Terms
from portal.directory import ActivationRefused
from portal.embedded import EmbeddedPortal
from records import audit
from records.tables import Mailbox, SubmissionRow
from tests.conftest import MakeSystem
from tests.faults.matrix import Matrix
from tests.support.conditions import in_stage, mailed, met
from tests.support.rosters import roster_row, submit_roster, take_in
from tests.support.system import (
    AGENCY,
    CONTACT,
    OTHER_AGENCY,
    System,
    approved_again,
    eventually,
    facts,
    meet_requirements,
    new_training_id,
    record_people,
)
from workflows.client import start_intake, tell_case
from workflows.contract import IntakeProgress, Status, assister_workflow_id, roster_workflow_id
from workflows.search_attributes import ATTENTION


class Down:
    """Makes a method of the portal fail while ``down`` is true."""

    def __init__(self, patch: pytest.MonkeyPatch, name: str) -> None:
        self.calls, self.down = 0, True
        working = getattr(EmbeddedPortal, name)

        async def failing(*args: Any, **values: Any) -> Any:
            self.calls += 1
            if self.down:
                raise ConnectionError("the portal is down")
            return await working(*args, **values)

        patch.setattr(EmbeddedPortal, name, failing)


def active(status: Status) -> bool:
    return status.stage == "active" and all(mail.sent_at for mail in status.mails)


async def active_case(system: System) -> str:
    training_id = new_training_id()
    await record_people(system.database, training_id)
    await meet_requirements(system, training_id)
    await system.activate(training_id)
    await system.until(training_id, active)
    return training_id


def at(training_id: str, host: str = "a.example.org", access: str = "Yes") -> str:
    """A row of an assister whose mailbox is at this host."""
    return roster_row(training_id, access, f"{training_id.lower()}@{host}")


@contextmanager
def row(matrix: Matrix, fault: str, where: str) -> Iterator[None]:
    """Adds a run to the matrix; the test itself checks that nothing is lost or doubled."""
    begun = monotonic()
    yield
    matrix.add(fault, where, seconds=monotonic() - begun)


async def orders_of(system: System, training_id: str) -> Counter[str]:
    async with system.database.snapshot() as session:
        trail = await audit.entries_of(session, assister_workflow_id(training_id))
    return Counter(entry.act for entry in trail if entry.by == "staff-1")


async def test_another_agencys_roster_moves_no_address_and_no_number(
    each_system: System, matrix: Matrix
) -> None:
    with row(matrix, "another agency's roster claims an assister", _database(each_system)):
        await claimed_and_confirmed(each_system)


def _database(system: System) -> str:
    kind = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}
    return f"access on {kind[system.database.engine.dialect.name]}"


async def claimed_and_confirmed(system: System) -> None:
    training_id = new_training_id()
    await record_people(system.database, agency=OTHER_AGENCY)
    await take_in(system, at(training_id))
    for signal, fact in list(facts().items())[1:]:
        await system.tell(training_id, signal, fact)
    mine, theirs = (f"{training_id.lower()}@{host}" for host in ("a.example.org", "b.example.org"))
    await system.until(training_id, mailed())
    number = await system.portal.registration_number(training_id, 1)
    await take_in(system, at(training_id, "b.example.org"), agency=OTHER_AGENCY)
    status = await system.until(
        training_id, lambda s: s.changes == [OTHER_AGENCY] and all(e.sent_at for e in s.mails)
    )
    assert status.agency_id == AGENCY
    assert status.stage == "awaiting_activation"
    assert system.mails(to=theirs) == []
    assert "Is this right?" in system.mails(to=mine)[-1][0]
    assert "Is this right?" in system.mails(to=CONTACT)[-1][0]
    await system.decide(training_id, "confirm_change", OTHER_AGENCY)
    await system.until(training_id, mailed("activation", 2))
    with pytest.raises(ActivationRefused):
        await system.portal.activate(number)
    await eventually(lambda: _count(system, theirs), lambda mails: mails == 1)
    await system.activate(training_id, 2)
    await system.until(training_id, in_stage("active"))
    assert (await system.status(training_id)).agency_id == OTHER_AGENCY


async def _count(system: System, address: str) -> int:
    return len(system.mails(to=address))


async def test_what_arrives_while_a_case_closes_goes_to_the_next_one(
    system: System, monkeypatch: pytest.MonkeyPatch, matrix: Matrix
) -> None:
    with row(matrix, "a case closes while news of it arrives, and opens again", "access on SQLite"):
        await closed_and_opened_again(system, monkeypatch)


async def closed_and_opened_again(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    training_id = await active_case(system)
    suspend = Down(monkeypatch, "suspend")
    await system.act(training_id, "close_case")
    await system.tell(training_id, "roster_recorded", approved_again())
    training = facts()["training_completed"].model_copy(update={"event_id": "while-closing"})
    await system.tell(training_id, "training_completed", training)
    assert (await system.status(training_id)).outcome is None
    suspend.down = False
    again = await system.until(
        training_id, lambda s: active(s) and [mail.kind for mail in s.mails] == ["confirmation"]
    )
    assert again.changes == []
    case = await system.case(training_id).query("snapshot")
    assert "while-closing" in str(case["evidence"]["trainings"])
    subjects = [subject for subject, _ in system.mails(to=training_id.lower())]
    assert len([text for text in subjects if text.endswith("has ended")]) == 1


async def test_every_order_is_in_the_trail_once_whatever_becomes_of_it(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    training_id = await active_case(system)
    suspend = Down(monkeypatch, "suspend")
    await system.act(training_id, "suspend_access")
    await eventually(lambda: _calls(suspend), lambda calls: calls > 0)
    await system.act(training_id, "reinstate_access")
    await system.act(training_id, "suspend_access")
    await system.act(training_id, "close_case")
    expected = {"suspend_access": 2, "reinstate_access": 1, "close_case": 1}
    found = await eventually(
        lambda: orders_of(system, training_id), lambda orders: orders.total() == 4
    )
    assert found == expected
    suspend.down = False
    assert (await system.case(training_id).result())["outcome"] == "closed_by_staff"
    assert await orders_of(system, training_id) == expected
    assert not await system.portal.having_access([training_id])


async def test_a_second_cancellation_is_in_the_trail_too(system: System) -> None:
    training_id = await active_case(system)
    for again in range(1, 3):
        await system.case(training_id).cancel()
        assert (await system.case(training_id).result())["outcome"] == "cancelled"
        async with system.database.snapshot() as session:
            trail = await audit.entries_of(session, assister_workflow_id(training_id))
        assert [entry.act for entry in trail].count("close_case") == again
        row = approved_again().model_copy(update={"sequence": 1_000_000 + again})
        await system.tell(training_id, "roster_recorded", row)
        await system.until(training_id, active)


async def held_roster(system: System, full: str) -> tuple[str, WorkflowHandle[Any, IntakeProgress]]:
    """Submits a roster that is held, while one mailbox is full; returns whom it suspends."""
    training_id = await active_case(system)
    system.inbox.refusals[full] = "421 4.3.0 try later"
    submission_id = await submit_roster(system, roster_row(training_id, "No"))
    terms = Terms(fuse_count=0, fuse_percent=0)
    queue = system.settings.task_queue
    return training_id, await start_intake(system.client, queue, submission_id, terms)


async def test_a_held_roster_whose_mail_is_late_is_still_marked_as_held(system: System) -> None:
    _, intake = await held_roster(system, CONTACT)

    async def mark() -> str | None:
        return (await intake.describe()).typed_search_attributes.get(ATTENTION)

    await eventually(mark, lambda it: it == "roster:held")
    await skip_time(system.client, intake, timedelta(hours=1, minutes=5))
    await eventually(mark, lambda it: it == "late:send_mail")
    system.inbox.refusals.clear()
    await skip_time(system.client, intake, timedelta(minutes=5))
    await eventually(mark, lambda it: it == "roster:held")


async def _calls(down: Down) -> int:
    return down.calls


@pytest.mark.parametrize("where", ["enroll", "void", "reinstate"])
async def test_a_close_and_a_suspension_overtake_each_command_while_the_portal_is_down(
    system: System, monkeypatch: pytest.MonkeyPatch, where: str, matrix: Matrix
) -> None:
    with row(matrix, f"portal down during `{where}`, then a suspension and a close", "SQLite"):
        await overtaken(system, monkeypatch, where)


async def overtaken(system: System, monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    training_id = new_training_id()
    await record_people(system.database, training_id)
    leap: Awaitable[None] | None = None
    if where == "enroll":
        down = Down(monkeypatch, where)
        for signal, fact in facts().items():
            await system.tell(training_id, signal, fact)
    elif where == "void":
        await meet_requirements(system, training_id)
        down = Down(monkeypatch, where)
        # The skip ends only after the failing step, so the test does not wait for it here.
        leap = asyncio.create_task(system.skip(training_id, days=14))
    else:
        await meet_requirements(system, training_id)
        await system.activate(training_id)
        await system.until(training_id, active)
        await system.act(training_id, "suspend_access")
        await system.until(training_id, in_stage("suspended"))
        down = Down(monkeypatch, where)
        await system.act(training_id, "reinstate_access")
    await eventually(lambda: _calls(down), lambda calls: calls > 0)
    await system.act(training_id, "suspend_access")
    await system.until(training_id, in_stage("suspended"))
    await system.act(training_id, "close_case")
    assert (await system.case(training_id).result())["outcome"] == "closed_by_staff"
    if leap is not None:
        await leap
    assert not await system.portal.having_access([training_id])


async def test_the_same_roster_is_judged_again_where_that_changes_something(
    each_system: System,
) -> None:
    system, training_id = each_system, new_training_id()
    first = await take_in(system, at(training_id))
    assert await take_in(system, at(training_id)) == first
    await system.act(training_id, "close_case")
    await system.case(training_id).result()
    again = await take_in(system, at(training_id))
    assert again != first
    await system.until(training_id, met("approval"))
    assert await take_in(system, at(training_id)) == again
    async with system.database.transaction() as session:
        for mailbox in await session.exec(select(Mailbox)):
            mailbox.corrected = True
            session.add(mailbox)
    assert await take_in(system, at(training_id)) not in (first, again)


async def test_a_freed_mailbox_goes_to_whom_its_roster_names_next(each_system: System) -> None:
    system, wrong, right = each_system, new_training_id(), new_training_id()
    await take_in(system, at(wrong))
    taken = f"{wrong.lower()}@a.example.org"

    async def verdicts_of(submission_id: str) -> list[str | None]:
        async with system.database.snapshot() as session:
            own = SubmissionRow.submission_id == submission_id
            return [kept.verdict for kept in await session.exec(select(SubmissionRow).where(own))]

    rows = roster_row(right, email=taken)
    refused = await take_in(system, rows, roster_type=AssisterType.CAC)
    assert await verdicts_of(refused) == ["rejected"]
    again = await take_in(system, rows, roster_type=AssisterType.CAC)
    assert again == refused, "still taken: nothing changes"
    await take_in(system, at(wrong, "new.example.org"))
    accepted = await take_in(system, rows, roster_type=AssisterType.CAC)
    assert accepted != refused
    assert await verdicts_of(accepted) == ["accepted"]


async def test_a_row_is_judged_once(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    training_id = await active_case(system)
    submission_id = await submit_roster(system, roster_row(training_id, "No"))
    terms = Terms(fuse_count=0, fuse_percent=0)
    intake = await start_intake(system.client, system.settings.task_queue, submission_id, terms)
    await eventually(
        lambda: intake.query("progress", result_type=IntakeProgress), lambda it: it.stage == "held"
    )

    def never(*_: object) -> None:
        raise AssertionError("judged again")

    monkeypatch.setattr(activities.intake, "judge", never)
    act = {"by": "staff-1", "reason": "the agency meant it"}
    await intake.execute_update("release", act)
    done = await intake.result()
    assert (done["stage"], done["accepted"]) == ("done", 1)
    await system.until(training_id, in_stage("suspended"))


async def test_a_case_that_cannot_be_told_holds_up_no_other_row(
    system: System, monkeypatch: pytest.MonkeyPatch, matrix: Matrix
) -> None:
    with row(matrix, "a wedged case among a roster's healthy ones", "intake on SQLite"):
        await told_beside_a_wedged_one(system, monkeypatch)


async def told_beside_a_wedged_one(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = [new_training_id() for _ in range(5)]
    told: list[str] = []
    wedged = True

    async def tell(client: Client, queue: str, training_id: str, *fact: Any) -> None:
        if training_id == ids[0] and wedged:
            raise RPCError("the case takes no more signals", RPCStatusCode.INVALID_ARGUMENT, b"")
        told.append(training_id)
        await tell_case(client, queue, training_id, *fact)

    monkeypatch.setattr(activities.intake, "tell_case", tell)
    submission_id = await submit_roster(system, *map(at, ids))
    settings = system.settings
    intake = await start_intake(system.client, settings.task_queue, submission_id, settings.terms)
    await eventually(lambda: _told(told), lambda cases: cases == 4)
    wedged = False
    assert (await intake.result())["opened"] == 5
    assert sorted(told) == sorted(ids)
    assert intake.id == roster_workflow_id(submission_id)


async def _told(told: list[str]) -> int:
    return len(told)


async def test_a_case_continues_as_new_while_a_step_is_retried(
    short_histories: WorkflowEnvironment,
    make_system: MakeSystem,
    sqlite_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    system = await make_system(sqlite_url, client=short_histories.client)
    training_id = new_training_id()
    await record_people(system.database, training_id)
    enroll = Down(monkeypatch, "enroll")
    for signal, fact in facts().items():
        await system.tell(training_id, signal, fact)
    first = (await system.case(training_id).describe()).run_id
    numbers = count()

    async def another_run() -> str:
        for number in islice(numbers, 20):
            fact = facts()["training_completed"].model_copy(update={"event_id": f"t{number}"})
            await system.tell(training_id, "training_completed", fact)
        return (await system.case(training_id).describe()).run_id

    await eventually(another_run, lambda run_id: run_id != first)
    enroll.down = False
    await system.until(training_id, in_stage("awaiting_activation"))
    account = await system.portal.account(training_id)
    assert account.registration == 1


async def test_signals_of_any_shape_wedge_nothing(system: System) -> None:
    training_id = await active_case(system)
    handle = system.case(training_id)
    deep: Any = "x"
    for _ in range(200):
        deep = [deep]
    for signal in [*facts(), "result_voided", "account_activated", "no_such_signal"]:
        await handle.signal(signal)
        await handle.signal(signal, args=[{"event_id": "x"}, {"event_id": "y"}])
        await handle.signal(signal, deep)
        await handle.signal(signal, {"event_id": deep, "occurred_at": {"a": deep}})
    order = {"by": "staff-1", "reason": "a test"}
    for given in ([], [order, order], [deep], [{"by": deep}]):
        with pytest.raises((WorkflowUpdateFailedError, RPCError)):
            await handle.execute_update("suspend_access", args=given)
    assert (await system.status(training_id)).stage == "active"
    await system.act(training_id, "suspend_access")
    await system.until(training_id, in_stage("suspended"))


async def test_a_reissue_while_the_expiry_is_retried_brings_a_number(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    training_id = new_training_id()
    await record_people(system.database, training_id)
    await meet_requirements(system, training_id)
    void = Down(monkeypatch, "void")
    # The skip ends only after the failing step, so the test does not wait for it here.
    leap = asyncio.create_task(system.skip(training_id, days=14))
    await eventually(lambda: _calls(void), lambda calls: calls > 0)
    await system.act(training_id, "reissue_activation")
    void.down = False
    await system.until(training_id, mailed("activation", times=2))
    await leap
    kinds = [mail.kind for mail in (await system.status(training_id)).mails]
    assert "activation_expired" not in kinds


async def test_time_without_the_portal_costs_the_assister_none(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The dates were worked out when the step began; a number that is late is issued anew."""
    training_id = new_training_id()
    await record_people(system.database, training_id)
    enroll = Down(monkeypatch, "enroll")
    for signal, fact in facts().items():
        await system.tell(training_id, signal, fact)
    await eventually(lambda: _calls(enroll), lambda calls: calls > 0)
    await system.skip(training_id, hours=2)
    enroll.down = False
    await system.skip(training_id, minutes=5)
    await system.until(training_id, mailed("activation"))
    assert (await system.portal.account(training_id)).registration == 2
    assert len(system.mails(to=training_id.lower())) == 1


@pytest.mark.parametrize("agencys", [True, False])
async def test_a_decision_on_a_roster_waits_for_no_mailbox(system: System, agencys: bool) -> None:
    arc = system.settings.arc_email
    full, other = (CONTACT, arc) if agencys else (arc, CONTACT)
    training_id, intake = await held_roster(system, full)
    await eventually(lambda: _mails(system, other), lambda told: "on hold" in " ".join(told))
    await intake.execute_update("release", {"by": "staff-1", "reason": "the agency means it"})
    await system.until(training_id, in_stage("suspended"))
    system.inbox.refusals.clear()
    await eventually(lambda: _mails(system, CONTACT), lambda told: "accepted" in " ".join(told))


async def _mails(system: System, address: str) -> list[str]:
    return [subject for subject, _ in system.mails(to=address)]
