"""The whole system on real parts: events in every order, orders of staff, refusals and restarts."""

import asyncio
import json
import re
from datetime import timedelta
from functools import partial
from itertools import permutations
from pathlib import Path

import pytest
from aiosmtpd.smtp import SMTP, Envelope, Session
from sqlmodel import col, func, select, text
from temporalio.client import Client, WorkflowUpdateFailedError
from temporalio.testing import WorkflowEnvironment

from activities.mail import MOST_DOUBTS
from intake.files import read_roster
from mail.templates import render
from policy.calendar import StateHolidays, activation_times
from policy.mails import MailKind
from policy.requirements import AssisterType, ResultVoided
from policy.terms import Terms
from portal.directory import ActivationRefused
from portal.tables import PortalAccount, PortalRegistration
from records import audit
from records.people import NotAuthorized
from records.tables import AuditEntry, MailDelivery, SubmissionRow
from services.rosters import record_roster
from tests.conftest import MakeSystem
from tests.support.conditions import in_stage, mailed, marked, met, unmet
from tests.support.gates import Gate
from tests.support.rosters import HEADER, roster_row, take_in
from tests.support.system import (
    AGENCY,
    CONTACT,
    LONG_AGO,
    System,
    approved_again,
    eventually,
    facts,
    meet_requirements,
    new_training_id,
    record_people,
)
from workflows.contract import IntakeProgress, roster_workflow_id


async def test_all_orders_doubled_end_in_one_account_and_one_mail_of_each_kind(
    system: System,
) -> None:
    orders = {new_training_id(): order for order in permutations(facts())}
    await record_people(system.database, *orders)

    async def one(training_id: str, order: tuple[str, ...]) -> None:
        for signal in order:
            for _ in range(2):
                await system.tell(training_id, signal, facts()[signal])
        await system.until(training_id, mailed())
        await system.activate(training_id)
        await system.until(training_id, mailed("confirmation"))

    await asyncio.gather(*(one(*order) for order in orders.items()))
    assert len(system.mails()) == 2 * 24
    for training_id in orders:
        subjects = [subject for subject, _ in system.mails(to=training_id.lower())]
        assert len(subjects) == len(set(subjects)) == 2
    async with system.database.transaction() as session:
        accounts = (await session.exec(select(PortalAccount))).all()
        assert len(accounts) == 24
        assert {account.registration for account in accounts} == {1}
        assert (await audit.verify(session)).breaks == []


@pytest.mark.clause("1")
async def test_a_roster_opens_cases_and_answers_its_contact(each_system: System) -> None:
    system = each_system
    good, no, generic = (new_training_id() for _ in range(3))
    content = roster_row(good) + roster_row(no, "No") + roster_row(generic, email="info@x.org")
    submission_id = await take_in(system, content)
    assert (await system.status(good)).requirements["approval"].met
    assert not (await system.status(no)).requirements["approval"].met
    async with system.database.transaction() as session:
        rows = (await session.exec(select(SubmissionRow).order_by(col(SubmissionRow.line)))).all()
    assert [row.verdict for row in rows] == ["accepted", "accepted", "rejected"]
    ((subject, body),) = system.mails(to=CONTACT)
    assert "2 accepted, 1 rejected" in subject
    assert "Line 4" in body
    assert "(policy 1.2b)" in body
    assert await take_in(system, content) == submission_id
    assert len(system.mails(to=CONTACT)) == 1, "the same roster again changes nothing"
    changed = await take_in(system, roster_row(good, "No"))
    assert changed != submission_id
    await system.until(good, unmet("approval"))
    assert await take_in(system, content) not in (submission_id, changed)
    await system.until(good, met("approval"))
    async with system.database.transaction() as session:
        assert (await audit.verify(session)).breaks == []


@pytest.mark.clause("1")
async def test_only_an_authorized_contact_may_submit(system: System, tmp_path: Path) -> None:
    path = tmp_path / "roster.csv"
    path.write_text(HEADER + "\n")
    with pytest.raises(NotAuthorized, match="policy 1"):
        await record_roster(
            system.database,
            read_roster(path),
            agency_id=AGENCY,
            roster_type=AssisterType.CAC,
            by="stranger@x.org",
            filename="roster.csv",
        )


async def test_a_roster_that_would_end_many_accesses_is_held(system: System) -> None:
    people = [new_training_id() for _ in range(6)]
    await take_in(system, *map(roster_row, people))
    async with system.database.transaction() as session:
        for each in people:
            session.add(PortalAccount(training_id=each, fence=0, status="active"))
    all_no = "".join(roster_row(person, "No") for person in people)
    for decision, expected in (
        ("cancel", "discarded"),
        ("discard", "discarded"),
        ("release", "done"),
    ):
        extra = roster_row(new_training_id()) if decision != "cancel" else ""
        submission_id = await take_in(system, all_no + extra, wait=False)
        handle = system.client.get_workflow_handle(roster_workflow_id(submission_id))
        await eventually(
            partial(handle.query, "progress", result_type=IntakeProgress),
            lambda progress: progress.stage == "held",
        )
        await eventually(partial(_last_subject, system), lambda subject: "on hold" in subject)
        if decision == "cancel":
            await handle.cancel()
        else:
            with pytest.raises(WorkflowUpdateFailedError):
                await handle.execute_update(decision, {"by": "pat@x.org"})
            await handle.execute_update(decision, {"by": "staff-1", "reason": "looked at it"})
        assert (await handle.result())["stage"] == expected
        subjects = [subject for subject, _ in system.mails(to=CONTACT)]
        assert "on hold" in subjects[-2]
        assert ("discarded" if expected == "discarded" else "accepted") in subjects[-1]
        async with system.database.transaction() as session:
            trail = await audit.entries_of(session, roster_workflow_id(submission_id))
        told = {entry.act: (entry.by, entry.details.get("reason")) for entry in trail}
        by = ("system", "the workflow was cancelled")
        decided = told["release" if expected == "done" else "discard"]
        assert decided == (by if decision == "cancel" else ("staff-1", "looked at it"))


async def _last_subject(system: System) -> str:
    return system.mails(to=CONTACT)[-1][0]


async def test_a_cancelled_roster_is_taken_in_all_the_same(
    make_system: MakeSystem, temporal: WorkflowEnvironment, sqlite_url: str
) -> None:
    gate = Gate("judge_roster", "before")
    gate.armed = True
    client = Client(**temporal.client.config() | {"interceptors": [gate]})
    system = await make_system(sqlite_url, client=client)
    await record_people(system.database)
    training_id = new_training_id()
    submission_id = await take_in(system, roster_row(training_id), wait=False)
    await gate.held.wait()
    handle = client.get_workflow_handle(roster_workflow_id(submission_id))
    await handle.cancel()
    gate.go.set()
    assert (await handle.result())["stage"] == "done"
    assert (await system.status(training_id)).requirements["approval"].met


async def test_a_case_expires_is_reissued_and_lapses(system: System) -> None:
    training_id = new_training_id()
    await record_people(system.database, training_id)
    await meet_requirements(system, training_id)
    first = await system.portal.registration_number(training_id, 1)
    await system.skip(training_id, days=12)
    expired = await system.until(training_id, in_stage("activation_expired"))
    sent_at = expired.mails[0].sent_at
    assert sent_at is not None
    # The dates were worked out a moment before: around midnight that was the day before.
    planned = [
        activation_times(at, Terms(), StateHolidays()).reminders_at
        for at in (sent_at, sent_at - timedelta(minutes=1))
    ]
    reminded = [mail for mail in expired.mails if mail.kind == "activation_reminder"]
    # Around a weekend with a holiday both reminders fall on one business day and are one mail.
    assert len(reminded) in map(len, planned)
    with pytest.raises(ActivationRefused, match="no longer works"):
        await system.portal.activate(first)
    await system.act(training_id, "reissue_activation")
    await system.until(training_id, in_stage("awaiting_activation"))
    await system.until(training_id, mailed("activation", 2))
    await system.skip(training_id, days=60)
    result = await system.case(training_id).result()
    assert result["outcome"] == "activation_expired"
    told = len(system.mails(to=training_id.lower()))
    await system.tell(
        training_id,
        "result_voided",
        ResultVoided(event_id="v", occurred_at=LONG_AGO, voids="nothing"),
    )
    await system.case(training_id).result()
    assert len(system.mails(to=training_id.lower())) == told, "a result alone opens nothing"
    await system.tell(training_id, "roster_recorded", approved_again())
    again = await system.until(training_id, in_stage("awaiting_activation"))
    assert again.missing == [], "the new case knows what was met"


async def test_suspension_and_reinstatement_by_staff(each_system: System) -> None:
    system, training_id = each_system, new_training_id()
    await record_people(system.database, training_id)
    await meet_requirements(system, training_id)
    number = await system.portal.registration_number(training_id, 1)
    await system.act(training_id, "suspend_access")
    await system.until(training_id, in_stage("suspended"))
    with pytest.raises(ActivationRefused):
        await system.portal.activate(number)
    await system.act(training_id, "reinstate_access")
    await system.until(training_id, in_stage("awaiting_activation"))
    await system.activate(training_id, 2)
    await system.until(training_id, in_stage("active"))
    await system.act(training_id, "suspend_access")
    await system.until(training_id, in_stage("suspended"))
    await system.act(training_id, "reinstate_access")
    await system.until(training_id, in_stage("active"))
    await system.act(training_id, "close_case")
    result = await system.case(training_id).result()
    assert result["outcome"] == "closed_by_staff"
    async with system.database.transaction() as session:
        account = await session.get_one(PortalAccount, training_id)
        assert account.status == "suspended"
        assert (await audit.verify(session)).breaks == []


async def test_a_case_that_opens_again_finds_the_account_set_up(system: System) -> None:
    training_id = new_training_id()
    await record_people(system.database, training_id)
    await meet_requirements(system, training_id)
    await system.activate(training_id)
    await system.until(training_id, in_stage("active"))
    await system.act(training_id, "close_case")
    await system.case(training_id).result()
    assert not await system.portal.having_access([training_id])
    await system.tell(training_id, "roster_recorded", approved_again())
    again = await system.until(training_id, lambda s: s.stage == "active" and bool(s.mails))
    assert await system.portal.having_access([training_id])
    assert [mail.kind for mail in again.mails] == ["confirmation"]
    async with system.database.snapshot() as session:
        trail = await audit.entries_of(session, f"assister-{training_id}")
    assert [entry.act for entry in trail].count("registration_issued") == 1


async def test_malformed_input_changes_nothing_and_stays_visible(system: System) -> None:
    training_id = new_training_id()
    await record_people(system.database, training_id)
    await meet_requirements(system, training_id)
    before = await system.status(training_id)
    handle = system.case(training_id)
    for signal in [*facts(), "result_voided", "account_activated"]:
        junk: object
        for junk in (None, {}, [], "text", 7, {"event_id": "x"}, {"occurred_at": "soon"}):
            await handle.signal(signal, junk)
        await handle.signal(signal)
    await handle.signal("no_such_signal", {"name": "x"})
    future = facts()["training_completed"].model_copy(
        update={"event_id": "f", "occurred_at": LONG_AGO.replace(year=2099)}
    )
    await handle.signal("training_completed", future)
    after = await system.until(
        training_id, lambda s: any("in the future" in text for text in s.happenings)
    )
    assert after.model_dump(exclude={"happenings"}) == before.model_dump(exclude={"happenings"})
    for junk in (None, {}, {"by": "a@x.org", "reason": "b"}, {"by": "a", "reason": "651-555-0142"}):
        with pytest.raises(WorkflowUpdateFailedError) as refused:
            await handle.execute_update("resend_activation", junk)
        assert "Paste and change" in str(refused.value.cause)
    assert "sent again" in await system.act(training_id, "resend_activation")


async def test_a_cancellation_is_a_clean_close(system: System) -> None:
    training_id = new_training_id()
    await record_people(system.database, training_id)
    await meet_requirements(system, training_id)
    await system.case(training_id).cancel()
    result = await system.case(training_id).result()
    assert result["outcome"] == "cancelled"
    assert system.mails(to=training_id.lower())[-1][0].endswith("has ended")


async def test_mail_waits_for_its_relay_and_goes_out_once(system: System) -> None:
    training_id = new_training_id()
    await record_people(system.database, training_id)
    address = f"{training_id.lower()}@assisters.example.org"
    system.inbox.refusals[address] = "421 4.3.0 try later"
    for signal, fact in facts().items():
        await system.tell(training_id, signal, fact)

    async def attempts() -> int:
        async with system.database.transaction() as session:
            found = await session.exec(select(MailDelivery))
            return max((step.attempts for step in found), default=0)

    await eventually(attempts, lambda count: count >= 2)
    system.inbox.refusals.clear()
    await system.until(training_id, mailed())
    assert len(system.mails(to=address)) == 1


async def test_a_mail_that_became_untrue_while_the_relay_is_down_never_goes_out(
    system: System, caplog: pytest.LogCaptureFixture
) -> None:
    training_id = new_training_id()
    await record_people(system.database, training_id)
    address = f"{training_id.lower()}@assisters.example.org"
    waiting = await meet_requirements(system, training_id)
    assert waiting.activation_expires is not None
    await system.skip_to(training_id, waiting.activation_expires - timedelta(minutes=1))
    system.inbox.refusals[address] = "421 4.3.0 try later"
    # The skip ends only after the waiting mail, so the test does not wait for it here.
    leap = asyncio.create_task(system.skip(training_id, minutes=2))
    expired = await system.until(training_id, in_stage("activation_expired"))
    assert "activation_expired" in [mail.kind for mail in expired.mails if mail.sent_at is None]
    untrue = await eventually(partial(_pending, system, training_id), bool)
    await system.act(training_id, "reissue_activation")
    # A running attempt would still deliver the untrue mail once the relay is back.
    await eventually(partial(_pending, system, training_id), untrue.isdisjoint)
    system.inbox.refusals.clear()
    await system.until(
        training_id, lambda s: [e.kind for e in s.mails if e.sent_at].count("activation") == 2
    )
    await leap
    subjects = [subject for subject, _ in system.mails(to=address)]
    assert not [subject for subject in subjects if "expired" in subject]
    assert "never retrieved" not in caplog.text


async def _pending(system: System, training_id: str) -> set[str]:
    """The ids of the pending activities."""
    described = (await system.case(training_id).describe()).raw_description
    return {step.activity_id for step in described.pending_activities}


async def test_a_mail_that_is_never_answered_for_waits_for_a_person(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    training_id = new_training_id()
    await record_people(system.database, training_id)
    keep = system.inbox.handle_DATA

    async def keep_and_hang_up(server: SMTP, session: Session, envelope: Envelope) -> str:
        await keep(server, session, envelope)
        assert server.transport is not None
        server.transport.close()
        return "250 never heard"

    monkeypatch.setattr(system.inbox, "handle_DATA", keep_and_hang_up)
    for signal, fact in facts().items():
        await system.tell(training_id, signal, fact)
    status = await system.until(training_id, marked)
    assert "may have arrived" in status.attention[0].problem
    sent = list(system.inbox.messages())
    assert len(sent) == MOST_DOUBTS
    assert len({mail["Message-ID"] for mail in sent}) == 1
    monkeypatch.undo()
    with pytest.raises(WorkflowUpdateFailedError):
        await system.act(training_id, "resend_activation")
    await system.activate(training_id)
    status = await system.until(training_id, in_stage("active"))
    assert status.attention == [], "it had arrived"


async def test_a_full_mailbox_holds_up_nobody_elses_mail(system: System) -> None:
    training_id = new_training_id()
    await record_people(system.database, training_id)
    await meet_requirements(system, training_id)
    address = f"{training_id.lower()}@assisters.example.org"
    system.inbox.refusals[address] = "452 4.2.2 mailbox full"
    await system.act(training_id, "suspend_access")
    status = await system.until(training_id, mailed("suspended_agency"))
    assert [e.kind for e in status.mails if e.sent_at is None] == ["suspended"]


@pytest.mark.clause("3.1b")
def test_every_mail_says_how_to_reach_the_arc() -> None:
    rendered = render(
        MailKind.REINSTATED,
        first_name="Ann",
        portal_url="https://portal.example.org",
        arc_phone="651-555-0100",
        arc_email="arc@x.org",
    )
    assert "651-555-0100" in rendered.text


async def test_the_audit_trail_cannot_be_changed_and_shows_what_was(each_system: System) -> None:
    system, training_id = each_system, new_training_id()
    await record_people(system.database, training_id)
    await meet_requirements(system, training_id)
    with pytest.raises(Exception, match="append-only"):
        async with system.database.transaction() as session:
            await (await session.connection()).execute(text("UPDATE auditentry SET act = 'x'"))
    postgres = system.settings.database_url.startswith("postgres")
    drop = "ALTER TABLE auditentry DISABLE TRIGGER ALL" if postgres else "DROP TRIGGER audit_no_{}"
    for tampering, problem in (
        ("UPDATE auditentry SET act = 'x' WHERE sequence = 2", "altered"),
        ("DELETE FROM auditentry WHERE sequence = 2", "missing"),
    ):
        async with system.database.transaction() as session:
            connection = await session.connection()
            await connection.execute(text(drop.format(tampering[:6].lower())))
            await connection.execute(text(tampering))
            found = await audit.verify(session)
        assert any(problem in fault.problem for fault in found.breaks)


async def test_no_registration_number_is_kept_in_clear(system: System) -> None:
    training_id = new_training_id()
    await record_people(system.database, training_id)
    await meet_requirements(system, training_id)
    number = await system.portal.registration_number(training_id, 1)
    async with system.database.transaction() as session:
        for table in (MailDelivery, PortalRegistration, AuditEntry):
            for each in await session.exec(select(table)):
                assert number not in json.dumps(each.model_dump(mode="json"))
        assert (await session.exec(select(func.count()).select_from(MailDelivery))).one() == 1
    assert re.fullmatch(r"([A-Z2-7]{4}-){3}[A-Z2-7]{4}", number)
    sloppy = number.lower().replace("-", " ").replace("o", "0")
    assert (await system.portal.activate(sloppy)).training_id == training_id
    with pytest.raises(ActivationRefused, match="set up already"):
        await system.portal.activate(number)
    with pytest.raises(ActivationRefused, match="not known"):
        await system.portal.activate("AAAA-AAAA-AAAA-AAAA")
