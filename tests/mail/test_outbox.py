"""The mail step on real records and a real relay: what it reads, builds and sends."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

import pytest
from aiosmtpd.smtp import SMTP, Envelope, Session
from sqlmodel import select
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from activities.letters import Letterhead
from activities.mail import MailActivities
from embedded.inbox import Inbox, body_of, mail_inbox
from mail.transport import Transport
from policy.mails import MailKind
from portal.embedded import EmbeddedPortal
from records.database import Database
from records.tables import Contact, MailDelivery, SubmissionRow
from tests.support.system import CONTACT, SECRET, eventually, record_people
from workflows import steps

HEAD = Letterhead(
    sender="no-reply@x.org",
    sender_name="ARC",
    arc_email="arc@x.org",
    arc_phone="651-555-0100",
    portal_url="https://portal.x.org",
    gateway_url="https://gateway.x.org",
    ui_url="https://ui.x.org",
    namespace="default",
    rejected_rows=100,
)


class Outbox(NamedTuple):
    """The mail step, its records and its relay."""

    step: MailActivities
    database: Database
    inbox: Inbox

    async def send(self, rejected: int = 0, key: str = "roster-s0.1") -> steps.Sent:
        """Sends the summary of the roster ``s0``."""
        return await ActivityEnvironment().run(self.step.send_mail, self.request(rejected, key))

    def request(self, rejected: int = 0, key: str = "roster-s0.1") -> steps.MailRequest:
        counts = {"rows": rejected, "accepted": 0, "rejected": rejected}
        return steps.MailRequest(
            key=key,
            kind=MailKind.ROSTER_SUMMARY,
            subject_id="s0",
            facts={name: str(count) for name, count in counts.items()},
        )

    async def change_contact(self, **values: str) -> None:
        async with self.database.transaction() as session:
            contact = (await session.exec(select(Contact))).one()
            for name, value in values.items():
                setattr(contact, name, value)
            session.add(contact)


@pytest.fixture
async def outbox(records_url: str, tmp_path: Path) -> AsyncIterator[Outbox]:
    database = Database(records_url)
    await record_people(database, "ABC1234")
    async with mail_inbox(tmp_path / "inbox") as inbox:
        sending = Transport(host="127.0.0.1", port=inbox.port, timeout=60.0)
        portal = EmbeddedPortal(database, SECRET)
        step = MailActivities(
            database, portal, sending, HEAD, timedelta(seconds=7), asyncio.Semaphore(1)
        )
        yield Outbox(step, database, inbox)
        await sending.close()
    await database.close()


async def test_a_corrected_address_reaches_a_mail_that_waits_behind_a_full_mailbox(
    outbox: Outbox,
) -> None:
    outbox.inbox.refusals[CONTACT] = "452 4.2.2 full"
    with pytest.raises(ApplicationError, match="full"):
        await outbox.send()
    await outbox.change_contact(email="right@agency.example.org", name="Right Person")
    await outbox.send()
    [mail] = outbox.inbox.messages()
    assert str(mail["To"]) == "Right Person <right@agency.example.org>"
    assert "Hello Right Person," in body_of(mail)


async def test_what_a_relay_cannot_deliver_returns_to_the_senders_mailbox(
    outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    envelopes: list[str] = []
    keep = outbox.inbox.handle_DATA

    async def noted(server: SMTP, session: Session, envelope: Envelope) -> str:
        envelopes.append(str(envelope.mail_from))
        return await keep(server, session, envelope)

    monkeypatch.setattr(outbox.inbox, "handle_DATA", noted)
    await outbox.send()
    assert envelopes == [HEAD.sender]


@pytest.mark.parametrize("name", ["Pat\u2028Contact", "Pat\r\nBcc: x@y.org", "=?utf-8?q?Pat?="])
async def test_a_name_that_cannot_be_mailed_is_a_clear_fault_until_it_is_mended(
    outbox: Outbox, name: str
) -> None:
    await outbox.change_contact(name=name)
    for _ in range(4):
        with pytest.raises(ApplicationError, match="it cannot be mailed: a name") as failure:
            await outbox.send()
        assert (failure.value.type, failure.value.non_retryable) == (steps.ADDRESS_REFUSED, True)
    async with outbox.database.snapshot() as session:
        waiting = (await session.exec(select(MailDelivery))).all()
    assert [mail.state for mail in waiting if mail.state != "prepared"] == [], "nothing in doubt"
    await outbox.change_contact(name="Pat Contact")
    assert await outbox.send() == steps.Sent(copies=1)


async def test_a_mail_that_went_out_is_not_written_again(outbox: Outbox) -> None:
    assert await outbox.send() == steps.Sent(copies=1)
    await outbox.change_contact(name="=?utf-8?q?Pat?=")
    assert await outbox.send() == steps.Sent(copies=1)
    assert len(list(outbox.inbox.messages())) == 1


async def test_a_mail_waits_its_turn_if_as_many_wait_for_a_connection_as_there_are(
    outbox: Outbox,
) -> None:
    outbox.inbox.answers.clear()
    under_way = [asyncio.create_task(outbox.send(key=f"roster-s0.{each}")) for each in range(8)]

    async def crowded() -> bool:
        return outbox.step.transport.crowded

    await eventually(crowded, bool)
    at_once = outbox.step.send_mail_at_once
    with pytest.raises(ApplicationError) as failure:
        await ActivityEnvironment().run(at_once, outbox.request(key="roster-s0.8"))
    assert failure.value.type == steps.NO_ROOM
    outbox.inbox.answers.set()
    await asyncio.gather(*under_way)
    assert len(list(outbox.inbox.messages())) == 8
    assert await ActivityEnvironment().run(at_once, outbox.request(key="roster-s0.8"))


async def test_a_summary_of_thirty_thousand_rejected_rows_can_be_sent(outbox: Outbox) -> None:
    reason = {"field": "Email", "message": "is not a valid e-mail address", "clause": "1.2a"}
    async with outbox.database.transaction() as session:
        for line in range(2, 30_002):
            row = SubmissionRow(
                submission_id="s0", line=line, cells={}, verdict="rejected", reasons=[reason]
            )
            session.add(row)
    await outbox.send(rejected=30_000)
    [mail] = outbox.inbox.messages()
    assert len(mail.as_bytes()) < 100_000
    body = body_of(mail)
    assert body.count("\n- Line ") == 100
    rest = "https://gateway.x.org/agencies/AG-100/rosters/s0"
    assert f"first 100 of 30000 rejected rows. All of them are listed at {rest}" in body
