"""Faults inside a worker process, made by wrapping the code under test from outside."""

import asyncio
import importlib
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta, tzinfo
from functools import wraps
from pathlib import Path
from typing import Any

from sqlalchemy import event
from sqlmodel import select
from temporalio import activity
from temporalio.client import Client

import activities.relay
import mail.failures
import worker
from activities.mail import MailActivities
from mail.transport import Receipt
from policy.requirements import AccountActivated
from policy.terms import Terms
from portal.directory import Portal
from portal.embedded import EmbeddedPortal
from portal.tables import PortalAccount
from records.database import Database
from workflows import steps

COMMANDS = ("enroll", "suspend", "reinstate")
TOO_LONG = 33.0
"""Seconds: longer than a step may take (``workflows/steps.py``)."""
NO_LIMIT = 2**31


class Broken(Exception):
    """The error of a part that is broken on purpose."""


def put(owner: Any, name: str, value: Any) -> None:
    """Replaces an attribute until the process ends."""
    assert hasattr(owner, name), f"{name} is elsewhere: nothing would be broken"
    setattr(owner, name, value)


# Parts that fail


def portal_slow() -> None:
    """The portal carries out the first attempt at each command long after its time limit."""

    async def slow(first: bool, command: Callable[[], Awaitable[Any]]) -> Any:
        if first:
            await asyncio.sleep(TOO_LONG)
        return await command()

    _break_commands(slow)


def portal_failing() -> None:
    """The portal answers the first attempt at each command with an error."""

    async def failing(first: bool, command: Callable[[], Awaitable[Any]]) -> Any:
        if first:
            raise Broken("the portal fails")
        return await command()

    _break_commands(failing)


def portal_without_answer() -> None:
    """The portal carries out the first attempt at each command, and its answer is lost."""

    async def silent(first: bool, command: Callable[[], Awaitable[Any]]) -> Any:
        answer = await command()
        if first:
            raise Broken("the portal's answer is lost")
        return answer

    _break_commands(silent)


def portal_twice() -> None:
    """Each command reaches the portal twice, at the same time."""

    async def twice(_first: bool, command: Callable[[], Awaitable[Any]]) -> Any:
        return (await asyncio.gather(command(), command()))[0]

    _break_commands(twice)


def _break_commands(
    breaking: Callable[[bool, Callable[[], Awaitable[Any]]], Awaitable[Any]],
) -> None:
    attempts: Counter[tuple[str, str, int]] = Counter()

    def broken(name: str, method: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        @wraps(method)
        async def command(portal: Any, training_id: str, fence: int, *rest: Any) -> Any:
            attempts[name, training_id, fence] += 1
            first = attempts[name, training_id, fence] == 1
            return await breaking(first, lambda: method(portal, training_id, fence, *rest))

        return command

    for name in COMMANDS:
        setattr(EmbeddedPortal, name, broken(name, getattr(EmbeddedPortal, name)))


def disk_full(while_there: str) -> None:
    """SQLite's file cannot grow while the named file exists."""
    made = Database.__init__

    def make(database: Database, url: str) -> None:
        made(database, url)

        @event.listens_for(database.engine.sync_engine, "begin")
        def limit(connection: Any) -> None:
            # SQLite cannot go below its present pages, and says "database or disk is full".
            pages = 1 if Path(while_there).exists() else NO_LIMIT
            connection.exec_driver_sql(f"PRAGMA max_page_count={pages}")

    put(Database, "__init__", make)


def clock_shifted(hours: float) -> None:
    """The host's clock is wrong for all of our code."""

    class Shifted(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
            return datetime.now(tz) + timedelta(hours=hours)

    for name in ("activities.mail", "activities.intake", "activities.access", "portal.embedded"):
        put(importlib.import_module(name), "datetime", Shifted)


def impatient() -> None:
    """The worker waits seconds instead of minutes for a relay."""
    for name in ("GREYLISTED", "MISCONFIGURED"):
        put(mail.failures, name, timedelta(seconds=2))


# Bugs to plant, each of which the matrix must find


def new_key_for_each_attempt() -> None:
    """The outbox does not recognize a repeated mail."""
    send = MailActivities.send_mail

    @wraps(send)
    async def send_mail(mails: MailActivities, request: steps.MailRequest) -> steps.Sent:
        key = f"{request.key}.{activity.info().attempt}"
        return await send(mails, request.model_copy(update={"key": key}))

    put(MailActivities, "send_mail", send_mail)


def commit_before_send() -> None:
    """A mail is recorded as sent before the relay has it."""

    @wraps(MailActivities.send_mail)
    async def send_mail(mails: MailActivities, request: steps.MailRequest) -> steps.Sent:
        number = await mails._registration_number(request)
        delivery, message = await mails._claim(request, number)
        if delivery.state != "sent":
            await mails._sent(request, delivery, message, Receipt(250, "250"))
            await mails.transport.send(
                sender=mails.letterhead.sender, recipient=delivery.recipient, message=message
            )
        return steps.Sent()

    put(MailActivities, "send_mail", send_mail)


def fence_not_checked() -> None:
    """The portal carries out a repeated command again."""

    as_it_is = EmbeddedPortal._commanded

    async def commanded(
        portal: EmbeddedPortal, connection: Any, training_id: str, fence: int, command: str
    ) -> PortalAccount:
        account = await as_it_is(portal, connection, training_id, fence, command)
        if account is None:
            known = select(PortalAccount).where(PortalAccount.training_id == training_id)
            account = PortalAccount(**(await connection.execute(known)).mappings().one())
        return account

    put(EmbeddedPortal, "_commanded", commanded)


def reported_before_told() -> None:
    """An activation is recorded as reported before its case was told."""

    async def relay(portal: Portal, client: Client, task_queue: str, terms: Terms) -> None:
        for each in await portal.unreported():
            await portal.reported(each)
            fact = AccountActivated(
                event_id=f"portal-{each.training_id}-{each.registration}",
                occurred_at=each.at,
                registration=each.registration,
            )
            tell = activities.relay.tell_case  # type: ignore[attr-defined]
            await tell(client, task_queue, each.training_id, "account_activated", fact, terms)

    put(worker, "relay_activations", relay)
