"""Records and Temporal agree after a restore to different moments, in both directions."""

import asyncio
import json
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlmodel import select

import starter
from activities.results import relay_results
from embedded.inbox import mail_inbox
from embedded.temporal_server import temporal_server
from policy.case import Activation, Case, Stage
from portal.directory import AccountState
from portal.tables import PortalAccount
from records.inbox import Incoming, receive
from records.tables import MailDelivery
from services.reconcile import Repair, compare, needed_repair, repair, tell_again, told_since
from tests.support.conditions import met
from tests.support.databases import new_database, run_program, verified
from tests.support.rosters import roster_row, submit_roster
from tests.support.system import (
    SECRET,
    System,
    facts,
    meet_requirements,
    new_training_id,
    record_people,
    running,
)
from workflows.client import start_intake
from workflows.contract import Status, roster_workflow_id

NOW = datetime(2026, 11, 2, 15, tzinfo=UTC)


def copied(of: Path, to: Path) -> Path:
    """Copies everything that is committed now, with SQLite's own backup."""
    with closing(sqlite3.connect(of)) as here, closing(sqlite3.connect(to)) as there:
        here.backup(there)
    return to


async def active(system: System, training_id: str) -> None:
    await meet_requirements(system, training_id)
    await system.activate(training_id)
    await settled(system, training_id, Stage.ACTIVE)


async def settled(system: System, training_id: str, stage: Stage) -> None:
    await system.until(
        training_id,
        lambda status: status.stage == stage and all(mail.sent_at for mail in status.mails),
    )


async def mend(system: System, since: datetime | None = None) -> dict[str, Repair]:
    """Reconciles and repairs as the command does; returns what it repaired."""
    to = system.connections
    if since:
        await tell_again(to, since)
    found = await compare(to)
    await repair(to, found)
    left = await compare(to)
    assert (left.differences, left.mails) == ([], [])
    async with system.database.snapshot():
        assert (await verified(system.database)).breaks == []
    return {difference.training_id: difference.repair for difference in found.differences}


async def test_temporal_older_than_the_records(postgres_template: str, tmp_path: Path) -> None:
    url = new_database(postgres_template)
    same, suspended, reissued, used, enrolled, other, new = (new_training_id() for _ in range(7))
    async with (
        mail_inbox(tmp_path / "inbox") as inbox,
        temporal_server(database=tmp_path / "temporal.db") as server,
        running(server.client, url, inbox, tmp_path) as before,
    ):
        await record_people(before.database, same, suspended, reissued, used, enrolled, other)
        await active(before, same)
        await active(before, suspended)
        for each in (reissued, used, other):
            await meet_requirements(before, each)
        await before.tell(enrolled, "roster_recorded", facts()["roster_recorded"])
        await before.until(enrolled, met("approval"))
        since = datetime.now(UTC)
        older = copied(tmp_path / "temporal.db", tmp_path / "older.db")

        await before.act(suspended, "suspend_access")
        await settled(before, suspended, Stage.SUSPENDED)
        for each in (reissued, other):
            await before.act(each, "reissue_activation")
            await before.until(each, mailed_twice)
        await before.activate(used)
        await settled(before, used, Stage.ACTIVE)
        # The cases of the backup know nothing of these results and this roster.
        told = [
            Incoming("lms", f"{name}-{enrolled}", enrolled, fact)
            for name, fact in facts().items()
            if name != "roster_recorded"
        ]
        async with before.database.transaction() as session:
            await receive(await session.connection(), told, since)
        settings = before.settings
        await relay_results(before.database, before.client, settings.task_queue, settings.terms)
        await settled(before, enrolled, Stage.AWAITING_ACTIVATION)
        submission_id = await submit_roster(before, roster_row(new))
        await start_intake(before.client, settings.task_queue, submission_id, settings.terms)
        await before.client.get_workflow_handle(roster_workflow_id(submission_id)).result()

    async with (
        mail_inbox(tmp_path / "inbox") as inbox,
        temporal_server(database=older) as server,
        running(server.client, url, inbox, tmp_path) as restored,
    ):
        # This mail has the number of another mail that was sent before the restore.
        await restored.act(other, "suspend_access")
        await settled(restored, other, Stage.SUSPENDED)
        assert "suspended" in restored.mails(to=f"{other.lower()}@")[-1][0]
        lost = await told_since(restored.connections, since)
        assert (lost.results, list(lost.rosters)) == (3, [submission_id])
        repairs = await mend(restored, since)
        assert repairs.get(suspended) is Repair.SUSPEND_CASE
        assert repairs.get(reissued) is Repair.REISSUE
        assert repairs.get(used) is Repair.REISSUE
        assert same not in repairs
        await settled(restored, suspended, Stage.SUSPENDED)
        await settled(restored, used, Stage.ACTIVE)
        await settled(restored, reissued, Stage.AWAITING_ACTIVATION)
        # The command and its fence are the same as before, so the number mailed then is valid.
        assert (await restored.portal.account(reissued)).registration == 2
        await restored.activate(reissued, 2)
        await settled(restored, reissued, Stage.ACTIVE)
        await settled(restored, enrolled, Stage.AWAITING_ACTIVATION)
        number = (await restored.portal.account(enrolled)).registration
        await restored.activate(enrolled, number)
        await settled(restored, enrolled, Stage.ACTIVE)
        assert (await restored.status(new)).requirements["approval"].met
        assert await mend(restored) == {}
        having = await restored.portal.having_access([same, suspended, reissued, used, enrolled])
        assert having == {same, reissued, used, enrolled}
        # Nobody gets a second confirmation.
        for each in (same, used):
            subjects = [subject for subject, _ in restored.mails(to=f"{each.lower()}@")]
            assert len(subjects) == len(set(subjects))


async def test_the_records_older_than_temporal(postgres_template: str, tmp_path: Path) -> None:
    older, empty = (new_database(postgres_template, empty=empty) for empty in (False, True))
    same, suspended, reinstated, activated, reissued = (new_training_id() for _ in range(5))
    backup = tmp_path / "records.dump"
    async with (
        mail_inbox(tmp_path / "inbox") as inbox,
        temporal_server(database=tmp_path / "temporal.db") as server,
    ):
        async with running(server.client, older, inbox, tmp_path) as before:
            await record_people(before.database, same, suspended, reinstated, activated, reissued)
            for each in (same, suspended, reinstated):
                await active(before, each)
            await before.act(reinstated, "suspend_access")
            await settled(before, reinstated, Stage.SUSPENDED)
            for each in (activated, reissued):
                await meet_requirements(before, each)
            # This mail is being sent at the moment of the backup, and was sent afterwards.
            of = select(MailDelivery).where(
                MailDelivery.kind == "confirmation", MailDelivery.case_id == f"assister-{same}"
            )
            async with before.database.transaction() as session:
                (await session.exec(of)).one().state = "sending"
            run_program("pg_dump", "--format=custom", f"--file={backup}", older)

            await before.act(suspended, "suspend_access")
            await settled(before, suspended, Stage.SUSPENDED)
            await before.act(reinstated, "reinstate_access")
            await settled(before, reinstated, Stage.ACTIVE)
            await before.activate(activated)
            await settled(before, activated, Stage.ACTIVE)
            await before.act(reissued, "reissue_activation")
            await before.until(reissued, mailed_twice)

        run_program("pg_restore", "--exit-on-error", "--no-owner", f"--dbname={empty}", str(backup))
        async with running(server.client, empty, inbox, tmp_path) as restored:
            found = await compare(restored.connections)
            assert [mail.kind for mail in found.mails] == ["confirmation"]
            assert await mend(restored) == {
                suspended: Repair.SUSPEND_ACCOUNT,
                reinstated: Repair.REINSTATE_ACCOUNT,
                activated: Repair.ENROLL_AGAIN,
                reissued: Repair.REISSUE,
            }
            # The restored portal knows neither the activation nor the second number.
            for each, number in ((activated, 2), (reissued, 2)):
                await settled(restored, each, Stage.AWAITING_ACTIVATION)
                await restored.activate(each, number)
                await settled(restored, each, Stage.ACTIVE)
            assert await mend(restored) == {}
            people = [same, suspended, reinstated, activated, reissued]
            assert await restored.portal.having_access(people) == set(people) - {suspended}


@pytest.mark.usefixtures("patient")
async def test_the_command_shows_and_repairs(
    sqlite_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    same, changed = new_training_id(), new_training_id()

    async def said(*words: str) -> tuple[int, str]:
        code = await asyncio.to_thread(starter.main, ["reconcile", *words])
        captured = capsys.readouterr()
        return code, captured.out + captured.err

    async with (
        mail_inbox(tmp_path / "inbox") as inbox,
        temporal_server() as server,
        running(server.client, sqlite_url, inbox, tmp_path) as system,
    ):
        monkeypatch.setenv("TEMPORAL_ADDRESS", server.client.service_client.config.target_host)
        monkeypatch.setenv("ASSISTER_DATABASE_URL", sqlite_url)
        monkeypatch.setenv("ASSISTER_DATA_DIR", str(tmp_path))
        monkeypatch.setenv("ASSISTER_TASK_QUEUE", system.settings.task_queue)
        monkeypatch.setenv("ASSISTER_PORTAL_SECRET", SECRET)
        await record_people(system.database, same, changed)
        await active(system, same)
        await active(system, changed)
        assert await said() == (0, "2 cases compared: all agree.\n")
        async with system.database.transaction() as session:
            (await session.get_one(PortalAccount, changed)).status = "suspended"
        code, shown = await said()
        assert (code, changed in shown, same in shown) == (1, True, False)
        monkeypatch.setenv("ASSISTER_SCIM_URL", "http://127.0.0.1:1/v2")
        monkeypatch.setenv("ASSISTER_SCIM_TOKEN", "a token")
        assert await said() == (1, "the directory: ConnectError\n")
        monkeypatch.delenv("ASSISTER_SCIM_URL")
        monkeypatch.delenv("ASSISTER_SCIM_TOKEN")
        code, shown = await said("--json")
        [difference] = json.loads(shown.partition("\n}")[0] + "}")["differences"]
        assert (difference["case"], difference["portal"]) == ("active", "suspended")
        code, shown = await said("--repair", "--since", "2026-02-01T00:00:00-06:00")
        assert (code, "suspend the" in shown) == (0, True), shown
        await settled(system, changed, Stage.SUSPENDED)
        assert (await said("--since", "2026-01-01"))[0] in (1, 2)


def mailed_twice(status: Status) -> bool:
    """The activation mail with the second number has been sent."""
    return [mail.kind for mail in status.mails if mail.sent_at].count("activation") == 2


def case(stage: Stage, fence: int = 5, number: int = 0) -> Case:
    made = Case(training_id="NAV1001", opened_at=NOW, stage=stage, fence=fence)
    if number:
        later = NOW + timedelta(days=7)
        made.activation = Activation(
            registration=number, issued_at=NOW, expires_at=later, reissuable_until=later
        )
    return made


@pytest.mark.parametrize(
    ("stage", "status", "needed"),
    [
        (None, "none", None),
        (None, "suspended", None),
        (None, "pending", Repair.SUSPEND_ACCOUNT),
        (None, "active", Repair.SUSPEND_ACCOUNT),
        (Stage.COLLECTING_REQUIREMENTS, "none", None),
        (Stage.COLLECTING_REQUIREMENTS, "active", Repair.SUSPEND_ACCOUNT),
        (Stage.ENROLLING, "none", None),
        (Stage.ENROLLING, "active", None),
        (Stage.AWAITING_ACTIVATION, "pending", None),
        (Stage.AWAITING_ACTIVATION, "none", Repair.REISSUE),
        (Stage.AWAITING_ACTIVATION, "active", Repair.REISSUE),
        (Stage.AWAITING_ACTIVATION, "suspended", Repair.SUSPEND_CASE),
        (Stage.ACTIVATION_EXPIRED, "pending", None),
        (Stage.ACTIVATION_EXPIRED, "suspended", Repair.SUSPEND_CASE),
        (Stage.ACTIVE, "active", None),
        (Stage.ACTIVE, "pending", Repair.ENROLL_AGAIN),
        (Stage.ACTIVE, "none", Repair.ENROLL_AGAIN),
        (Stage.ACTIVE, "suspended", Repair.SUSPEND_CASE),
        (Stage.SUSPENDED, "suspended", None),
        (Stage.SUSPENDED, "active", Repair.SUSPEND_ACCOUNT),
        (Stage.SUSPENDED, "pending", Repair.SUSPEND_ACCOUNT),
        (Stage.CLOSED, "active", Repair.SUSPEND_ACCOUNT),
    ],
)
def test_less_access_holds_unless_the_case_is_ahead(
    stage: Stage | None, status: str, needed: Repair | None
) -> None:
    number = 0 if status == "none" else 2
    account = AccountState("1234567", number, status in ("active", "suspended"), status)
    known = case(stage, number=2) if stage else None
    assert needed_repair(known, account, 5) is needed
    ahead = {
        (Stage.ACTIVE, "suspended"): Repair.REINSTATE_ACCOUNT,
        (Stage.AWAITING_ACTIVATION, "suspended"): Repair.REISSUE,
        (Stage.ACTIVATION_EXPIRED, "suspended"): Repair.REISSUE,
    }
    if stage:
        assert needed_repair(known, account, 4) is ahead.get((stage, status), needed)
