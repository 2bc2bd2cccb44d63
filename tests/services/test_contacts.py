"""Contacts: an import counts whole or not at all, and no import brings a revoked contact back.

An agency's mails go to its oldest contact who is not revoked.
"""

import asyncio
import os
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import col, func, select

from intake.agencies import AgencyVerdict
from records import audit
from records.database import Database
from records.people import NoContact, NotAuthorized, authorized_contact, contact_to_mail
from records.tables import Contact, ResultEvent
from services import Refused
from services.assisters import accept_address, correct_email
from services.contacts import correct_contact, import_agencies, restore_contact, revoke_contact
from tests.conftest import PATIENT
from tests.support.rosters import roster_row, take_in
from tests.support.system import (
    AGENCY,
    CONTACT,
    SECRET,
    System,
    eventually,
    meet_requirements,
    new_training_id,
    record_people,
)
from workflows.contract import IntakeProgress, assister_workflow_id, roster_workflow_id
from workflows.lists import waiting_for_contact

ROOT = Path(__file__).resolve().parents[2]
STAFF = {"by": "staff@arc.example.org", "reason": "left the agency"}
KIM = "kim@agency.example.org"
DIES = """
import asyncio, os, signal, sys
import {module}
import starter

real, calls = {module}.{name}, 0
async def dies(*args):
    global calls
    calls += 1
    if calls == {at}:
        os.kill(os.getpid(), signal.SIGKILL)
    return await real(*args)
{module}.{name} = dies
sys.exit(starter.main(sys.argv[1:]))
"""


async def contacts(database: Database) -> dict[str, bool]:
    async with database.snapshot() as session:
        found = await session.exec(select(Contact).where(Contact.agency_id == AGENCY))
        return {contact.email: contact.revoked_at is None for contact in found}


def kim() -> AgencyVerdict:
    return AgencyVerdict(2, AGENCY, "North Star Health", "Kim Oh", KIM)


async def run(system: System, folder: Path, *words: str, code: str = PATIENT) -> tuple[int, str]:
    environment = {
        "TEMPORAL_ADDRESS": system.client.service_client.config.target_host,
        "ASSISTER_DATABASE_URL": system.settings.database_url,
        "ASSISTER_DATA_DIR": str(folder),
        "ASSISTER_TASK_QUEUE": system.settings.task_queue,
        "ASSISTER_PORTAL_SECRET": SECRET,
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, *words, cwd=ROOT, env=os.environ | environment,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    said, _ = await process.communicate()
    return process.returncode or 0, said.decode()


@pytest.mark.parametrize("at", [1, 20, 39])
async def test_an_import_of_agencies_that_is_killed_is_nothing_and_completes(
    system: System, tmp_path: Path, at: int
) -> None:
    path = tmp_path / "agencies.csv"
    rows = "".join(f"{AGENCY},North,Person {chr(65 + n % 26)},p{n}@x.org\n" for n in range(40))
    path.write_text("Agency ID,Agency Name,Contact Name,Contact Email\n" + rows)
    before = await contacts(system.database)
    dies = DIES.format(module="services.contacts", name="record_agency", at=at)
    code, _ = await run(system, tmp_path, "agencies", "import", str(path), code=dies)
    assert code < 0, "it was killed"
    assert await contacts(system.database) == before
    code, said = await run(system, tmp_path, "agencies", "import", str(path))
    assert (code, "40 contacts imported" in said) == (0, True), said
    assert len(await contacts(system.database)) == len(before) + 40


async def test_an_import_of_results_that_is_killed_is_nothing_and_completes(
    system: System, tmp_path: Path
) -> None:
    path = tmp_path / "results.csv"
    ids = [new_training_id() for _ in range(30)]
    rows = "".join(f"{each},training,2026-02-{day:02d}\n" for each in ids for day in range(1, 15))
    path.write_text("Training ID,Event,Date\n" + rows)

    async def recorded() -> int:
        async with system.database.snapshot() as session:
            found = select(func.count()).where(col(ResultEvent.training_id).in_(ids))
            return (await session.exec(found)).one()

    dies = DIES.format(module="records.inbox", name="_receive", at=3)
    code, _ = await run(system, tmp_path, "results", "import", str(path), code=dies)
    assert code < 0, "it was killed"
    assert await recorded() == 0
    code, said = await run(system, tmp_path, "results", "import", str(path))
    assert (code, "420 results recorded" in said) == (0, True), said
    assert await recorded() == 420


@pytest.mark.clause("1")
async def test_a_revoked_contact_may_nothing_and_no_list_brings_them_back(system: System) -> None:
    await record_people(system.database)
    [verdict] = await import_agencies(system.database, [kim()])
    assert verdict.reasons == []
    done = await revoke_contact(system.connections, AGENCY, CONTACT, **STAFF)
    assert done == (1, [], [])
    assert await revoke_contact(system.connections, AGENCY, CONTACT, **STAFF) == (1, [], [])
    async with system.database.snapshot() as session:
        with pytest.raises(NotAuthorized):
            await authorized_contact(session, AGENCY, CONTACT)
    pat = AgencyVerdict(2, AGENCY, "North Star Health", "Pat Contact", CONTACT)
    [again, other] = await import_agencies(system.database, [pat, kim()])
    assert "restore-contact" in again.reasons[0].message
    assert other.reasons == [], "the other row counts"
    assert await contacts(system.database) == {CONTACT: False, KIM: True}
    with pytest.raises(Refused, match="revoked"):
        await correct_contact(system.connections, AGENCY, KIM, CONTACT, **STAFF)
    with pytest.raises(NotAuthorized):
        await revoke_contact(system.connections, AGENCY, "nobody@x.org", **STAFF)
    await restore_contact(system.connections, AGENCY, CONTACT, **STAFF)
    assert await contacts(system.database) == {CONTACT: True, KIM: True}
    async with system.database.snapshot() as session:
        trail = await audit.entries_of(session, f"agency-{AGENCY}")
    assert [entry.act for entry in trail] == ["contact_revoked", "contact_restored"]


async def test_mails_go_to_another_contact_or_wait_for_one(system: System) -> None:
    await record_people(system.database)
    system.inbox.refusals[CONTACT] = "550 5.1.1 no"
    submission = await take_in(system, roster_row(new_training_id()), wait=False)
    intake = roster_workflow_id(submission)
    handle = system.client.get_workflow_handle(intake)
    ask = partial(handle.query, "progress", result_type=IntakeProgress)
    await eventually(ask, lambda it: it.stage == "wants_contact")

    async def listed() -> list[str]:
        query = waiting_for_contact(AGENCY)
        return [workflow.id async for workflow in system.client.list_workflows(query)]

    await eventually(listed, [intake].__eq__)
    done = await revoke_contact(system.connections, AGENCY, CONTACT, **STAFF)
    assert done == (0, [], [intake])
    await import_agencies(system.database, [kim()])
    done = await revoke_contact(system.connections, AGENCY, CONTACT, **STAFF)
    assert done == (1, [intake], [])
    assert (await handle.result())["stage"] == "done"
    assert system.mails(to=KIM)
    assert not system.mails(to=CONTACT)


async def test_a_case_that_cannot_reach_its_assister_either_hears_of_a_corrected_contact(
    system: System,
) -> None:
    training_id = new_training_id()
    await record_people(system.database, training_id)
    await meet_requirements(system, training_id)
    assister = f"{training_id.lower()}@assisters.example.org"
    system.inbox.refusals |= {CONTACT: "550 5.1.1 no", assister: "550 5.1.1 no"}
    await system.act(training_id, "suspend_access")
    await system.until(training_id, lambda status: len(status.attention) == 2)
    case = assister_workflow_id(training_id)

    async def listed() -> list[str]:
        query = waiting_for_contact(AGENCY)
        return [workflow.id async for workflow in system.client.list_workflows(query)]

    await eventually(listed, [case].__eq__)
    assert await correct_contact(system.connections, AGENCY, CONTACT, KIM, **STAFF) == [case]
    await system.until(training_id, lambda status: len(status.attention) == 1)
    await eventually(lambda: _mails(system, KIM), bool)


async def _mails(system: System, to: str) -> list[tuple[str, str]]:
    return system.mails(to=to)


async def test_an_agency_without_a_contact_has_nobody_to_write_to(system: System) -> None:
    await record_people(system.database)
    async with system.database.snapshot() as session:
        pat = await authorized_contact(session, AGENCY, CONTACT)
        assert pat.id is not None
        assert (await contact_to_mail(session, pat.id)).email == CONTACT
    await revoke_contact(system.connections, AGENCY, CONTACT, **STAFF)
    async with system.database.snapshot() as session:
        with pytest.raises(NoContact):
            await contact_to_mail(session, pat.id)
    await import_agencies(system.database, [kim()])
    async with system.database.snapshot() as session:
        assert (await contact_to_mail(session, pat.id)).email == KIM


@pytest.mark.clause("1.2b")
async def test_staff_accept_a_desks_address_for_one_person(system: System) -> None:
    await record_people(system.database)
    mine, other = new_training_id(), new_training_id()
    roster = "".join(
        roster_row(each, email=f"{word}@{each.lower()}.example.org")
        for each, word in ((mine, "welcome"), (other, "info"))
    )
    assert "welcome@" in roster

    async def accepted() -> Any:
        submission = await take_in(system, roster)
        progress = await system.client.get_workflow_handle(roster_workflow_id(submission)).result()
        return submission, progress["accepted"]

    first = await accepted()
    assert first[1] == 0
    assert await accepted() == first, "the same roster, while nothing has changed"
    email = next(cell for cell in roster.split(",") if cell.startswith("welcome@"))
    for _ in range(2):
        await accept_address(system.database, mine, email, **STAFF)
    second = await accepted()
    assert second[1] == 1, "the same rows get another verdict"
    assert await accepted() == second
    with pytest.raises(Refused, match="does not look like"):
        await accept_address(system.database, mine, "ann@x.org", **STAFF)
    async with system.database.snapshot() as session:
        trail = await audit.entries_of(session, f"assister-{mine}")
    assert [entry.act for entry in trail][:1] == ["address_accepted"]


@pytest.mark.clause("1.2b")
async def test_a_corrected_address_is_judged_as_a_rosters_is(system: System) -> None:
    one = new_training_id()
    await record_people(system.database, one)

    async def correct(email: str) -> str:
        return await correct_email(system.connections, one, email, **STAFF)

    for desk in ("welcome@x.org", "info@x.org", "a.info@x.org"):
        with pytest.raises(Refused, match="accept-address"):
            await correct(desk)
    assert "is corrected" in await correct("ann.info@x.org")
    await accept_address(system.database, one, "welcome@x.org", **STAFF)
    assert "is corrected" in await correct("welcome@x.org")
