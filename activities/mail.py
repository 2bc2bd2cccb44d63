"""Sending one mail, once.

The outbox row is written before the relay hears of the mail and marked sent after it has taken it.
A retry that finds ``sent`` does nothing. One that finds ``sending`` cannot know whether the relay
took it. It sends the same message again, with the same Message-ID and Date: a lost activation mail
locks a person out, and a mail store can drop a second copy. The row counts these doubts; a mail
that was in doubt too often waits for a person.
"""

import asyncio
import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import bindparam
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import col, select, update
from sqlmodel.ext.asyncio.session import AsyncSession
from temporalio import activity
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory

from activities.letters import Letterhead, NoAddress, write_letter
from mail.failures import FailureKind, MailFailure
from mail.message import UnsafeHeader, build, message_id
from mail.templates import html_of, render
from mail.transport import Receipt, Transport
from policy.mails import MailKind
from portal.directory import Portal, StaleCommand
from records import audit
from records.database import Database, insert_new
from records.people import NoContact
from records.tables import MailDelivery
from workflows import steps
from workflows.contract import assister_workflow_id, roster_workflow_id

PLACEHOLDER = "[[registration-number]]"
"""Stands for the registration number in the text that the outbox keeps."""

CLAUSES = {
    MailKind.ACTIVATION: "3.1a",
    MailKind.ACTIVATION_REMINDER: "3.1a",
    MailKind.CONFIRMATION: "3.2",
    MailKind.ASSESSMENT_FAILED: "2.2",
    MailKind.ROSTER_SUMMARY: "1",
    MailKind.ROSTER_DISCARDED: "1",
}

REFUSED = {
    FailureKind.ADDRESS: ("address_refused", steps.ADDRESS_REFUSED),
    FailureKind.MESSAGE: ("message_refused", steps.MESSAGE_REFUSED),
}
IN_DOUBT = "in_doubt"
MOST_DOUBTS = 3
"""After so many doubts a mail waits: a relay that never answers would get it without end."""
FINAL = {state: failure for state, failure in REFUSED.values()} | {IN_DOUBT: steps.IN_DOUBT}
"""The final states of a mail, and the failure that each means for the workflow."""


_ROW = col(MailDelivery.key) == bindparam("named")
_KNOWN = select(MailDelivery.key).where(_ROW)
_SENT = update(MailDelivery).where(_ROW).returning(*audit.newest_of(bindparam("case")))
_NEW = insert_new(MailDelivery, col(MailDelivery.key))


@dataclass(frozen=True)
class MailActivities:
    """The mail step of both workflows.

    Attributes:
        sending_time: The longest that one delivery may take; an attempt owns its row that long.
        room: For the mails that go out without waiting their turn at the queue of mails.
    """

    database: Database
    portal: Portal
    transport: Transport
    letterhead: Letterhead
    sending_time: timedelta
    room: asyncio.Semaphore

    @activity.defn(name=steps.SEND_MAIL.name)
    async def send_mail_at_once(self, request: steps.MailRequest) -> steps.Sent:
        """Sends a mail unless so many are under way that a slow relay would delay other steps.

        Raises:
            ApplicationError: ``NoRoom``, or what `send_mail` raises.
        """
        if self.room.locked() or self.transport.crowded:
            raise ApplicationError(
                "it waits its turn at the queue of mails",
                type=steps.NO_ROOM,
                non_retryable=True,
                category=ApplicationErrorCategory.BENIGN,
            )
        async with self.room:
            return await self.send_mail(request)

    @activity.defn(name=steps.SEND_MAIL.name)
    async def send_mail(self, request: steps.MailRequest) -> steps.Sent:
        """Sends a mail unless it was sent before.

        Raises:
            ApplicationError: ``NoAddress``, ``AddressRefused``, ``MessageRefused``, ``InDoubt`` or
                ``Stale``, which no retry mends; any other is worth one.
        """
        number = await self._registration_number(request)
        delivery, message = await self._claim(request, number)
        if delivery.state in FINAL:
            raise ApplicationError(delivery.reply, type=FINAL[delivery.state], non_retryable=True)
        if delivery.state == "sent":
            return steps.Sent(copies=1 + delivery.doubts)
        try:
            receipt = await self.transport.send(
                sender=self.letterhead.sender, recipient=delivery.recipient, message=message
            )
        except MailFailure as failure:
            raise await self._failed(request, failure) from None
        await self._sent(request, delivery, message, receipt)
        return steps.Sent(copies=1 + delivery.doubts)

    async def _registration_number(self, request: steps.MailRequest) -> str:
        if not request.registration:
            return ""
        try:
            return await self.portal.registration_number(request.subject_id, request.registration)
        except StaleCommand as stale:
            raise ApplicationError(str(stale), type=steps.STALE, non_retryable=True) from None

    async def _claim(self, request: steps.MailRequest, number: str) -> tuple[MailDelivery, bytes]:
        """Claims the mail's row for this attempt; returns it with the message to hand over."""
        now = datetime.now(UTC)
        async with self.database.statements() as connection:
            delivery = MailDelivery(
                key=request.key,
                case_id=_case_id(request),
                kind=request.kind,
                message_id=message_id(request.key, self.letterhead.domain),
                dated_at=now.replace(microsecond=0),
                state="prepared",
            )
            try:
                await self._write(connection, request, delivery)
                message = self._message(delivery, number)
            except ApplicationError:
                # What cannot be written today may have gone out before.
                if (await connection.execute(_KNOWN, {"named": request.key})).first() is None:
                    raise
            else:
                self._taken(delivery, now)
                # Each mail has one row, whatever came first: an earlier attempt or one beside this.
                new = _NEW[connection.dialect.name]
                if (await connection.execute(new, delivery.model_dump())).first() is not None:
                    return delivery, message
        return await self._claim_again(request, number, now)

    async def _claim_again(
        self, request: steps.MailRequest, number: str, now: datetime
    ) -> tuple[MailDelivery, bytes]:
        """Claims the row of a mail that was tried before."""
        async with self.database.transaction() as session:
            delivery = await session.get_one(MailDelivery, request.key, with_for_update=True)
            if delivery.state == "sent" or delivery.state in FINAL:
                return delivery, b""
            # A claim beyond Temporal's limit for an attempt comes from a clock that was ahead.
            longest = now + steps.SEND_MAIL.timeout
            if delivery.claimed_until is not None and now < delivery.claimed_until <= longest:
                raise ApplicationError(
                    "another attempt at this mail is in flight",
                    type="InFlight",
                    next_retry_delay=delivery.claimed_until - now,
                )
            # The relay does not have the mail yet, so a corrected address still counts.
            if delivery.state == "prepared":
                await self._write(await session.connection(), request, delivery)
            message = self._message(delivery, number)
            if delivery.state == "sending":
                delivery.doubts += 1
            if delivery.doubts < MOST_DOUBTS:
                self._taken(delivery, now)
            else:
                await self._given_up(session, delivery, now)
            session.add(delivery)
        return delivery, message

    def _taken(self, delivery: MailDelivery, now: datetime) -> None:
        delivery.state = "sending"
        delivery.claimed_until = now + self.sending_time
        delivery.attempts += 1

    async def _write(
        self,
        connection: AsyncConnection,
        request: steps.MailRequest,
        delivery: MailDelivery,
    ) -> None:
        try:
            letter = await write_letter(connection, request, self.letterhead, PLACEHOLDER)
        except NoAddress as missing:
            raise ApplicationError(
                str(missing), type=steps.NO_ADDRESS, non_retryable=True
            ) from None
        except NoContact as missing:
            raise ApplicationError(
                str(missing), type=steps.ADDRESS_REFUSED, non_retryable=True
            ) from None
        rendered = render(request.kind, **letter.values)
        delivery.recipient = letter.recipient
        delivery.recipient_name = letter.recipient_name
        delivery.subject = rendered.subject
        delivery.text = rendered.text

    async def _given_up(self, session: AsyncSession, delivery: MailDelivery, now: datetime) -> None:
        delivery.state = IN_DOUBT
        delivery.claimed_until = None
        delivery.text = None
        delivery.reply = (
            f"the relay was given the message {delivery.doubts} times and never answered: it may"
            " have arrived"
        )
        await audit.append(
            await session.connection(),
            delivery.case_id,
            "mail_in_doubt",
            at=now,
            by="system",
            kind=delivery.kind,
            doubts=delivery.doubts,
        )

    def _message(self, delivery: MailDelivery, number: str) -> bytes:
        assert delivery.text is not None
        text = delivery.text.replace(PLACEHOLDER, number)
        try:
            return build(
                sender=self.letterhead.sender,
                sender_name=self.letterhead.sender_name,
                reply_to=self.letterhead.arc_email,
                recipient=delivery.recipient,
                recipient_name=delivery.recipient_name,
                subject=delivery.subject,
                text=text,
                html=html_of(delivery.subject, text),
                message_id=delivery.message_id,
                date=delivery.dated_at,
            )
        except UnsafeHeader as unsafe:
            raise ApplicationError(
                f"it cannot be mailed: {unsafe}", type=steps.ADDRESS_REFUSED, non_retryable=True
            ) from None

    async def _sent(
        self, request: steps.MailRequest, delivery: MailDelivery, message: bytes, receipt: Receipt
    ) -> None:
        now, digest = datetime.now(UTC), hashlib.sha256(message).hexdigest()
        sent = {
            "named": request.key,
            "case": delivery.case_id,
            "state": "sent",
            "sent_at": now,
            "claimed_until": None,
            "reply": receipt.reply,
            "digest": digest,
            "text": None,
        }
        async with self.database.begin() as connection:
            newest = (await connection.execute(_SENT, sent)).one()
            await audit.append(
                connection,
                delivery.case_id,
                "mail_sent",
                at=now,
                by="system",
                clause=CLAUSES.get(request.kind, ""),
                after=audit.link(*newest),
                kind=request.kind.value,
                message=digest,
                doubts=delivery.doubts,
            )

    async def _failed(self, request: steps.MailRequest, failure: MailFailure) -> ApplicationError:
        now = datetime.now(UTC)
        final = REFUSED.get(failure.kind)
        async with self.database.transaction() as session:
            delivery = await session.get_one(MailDelivery, request.key, with_for_update=True)
            delivery.reply = failure.summary
            delivery.claimed_until = None
            if final is not None:
                delivery.state = final[0]
                delivery.text = None
                await audit.append(
                    await session.connection(),
                    delivery.case_id,
                    "mail_refused",
                    at=now,
                    by="mail relay",
                    kind=request.kind.value,
                    reply=failure.summary,
                )
            elif not failure.ambiguous:
                delivery.state = "prepared"
            session.add(delivery)
        return ApplicationError(
            failure.summary,
            type=final[1] if final is not None else failure.kind.value,
            non_retryable=final is not None,
            next_retry_delay=failure.retry_after,
        )


def _case_id(request: steps.MailRequest) -> str:
    if request.kind is MailKind.ATTENTION_DIGEST:
        return request.subject_id
    if request.kind.about_roster:
        return roster_workflow_id(request.subject_id)
    return assister_workflow_id(request.subject_id)
