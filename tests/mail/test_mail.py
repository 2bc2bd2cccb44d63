"""Messages, templates and the transport, against real SMTP conversations."""

import asyncio
import ssl
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.policy import default
from pathlib import Path
from typing import Any

import jinja2
import pytest

from embedded.inbox import mail_inbox
from mail.message import UnsafeHeader, build, message_id
from mail.templates import html_of, render
from mail.transport import FailureKind, MailFailure, Security, Transport
from policy.mails import MailKind

MESSAGE: dict[str, Any] = {
    "sender": "no-reply@portal.example.org",
    "sender_name": "MNsure ARC",
    "reply_to": "arc@portal.example.org",
    "recipient": "ann@x.org",
    "recipient_name": "Zoë Lee",
    "subject": "Set up your account",
    "text": "Hello Zoë\n",
    "html": "<p>Hello Zoë</p>",
    "message_id": message_id("key", "portal.example.org"),
    "date": datetime(2026, 3, 2, tzinfo=UTC),
}
VALUES: dict[str, Any] = {
    "arc_email": "arc@x.org", "arc_phone": "651-555-0100", "portal_url": "https://portal.x.org",
    "first_name": "Ann<b>", "last_name": "Lee", "assister_name": "Ann Lee", "contact_name": "Pat",
    "training_id": "ABC1234", "reference_number": "1234567", "registration_number": "[[number]]",
    "activation_url": "https://portal.x.org/activate", "ends": "Monday", "score": "65",
    "mastery": "70", "missing": ["training"], "reason": "employment ended", "outcome": "done",
    "reissuable_until": "Friday", "roster_type": "cac", "filename": "r.csv", "received": "today",
    "accepted": 1, "rejected": 1, "rows": 2, "submission_id": "s1", "agency_id": "AG-1",
    "suspensions": 6, "with_access": 9, "ui_link": "https://ui.x.org/x", "items": [],
    "rejected_rows": [
        {"line": 2, "training_id": "X", "reasons": [{"field": "f", "message": "m", "clause": "1"}]}
    ],
}  # fmt: skip


def test_the_same_mail_has_the_same_bytes_and_the_headers_of_a_transactional_one() -> None:
    first = build(**MESSAGE)
    assert first == build(**MESSAGE)
    parsed = message_from_bytes(first, policy=default)
    assert parsed["Auto-Submitted"] == "auto-generated"
    assert parsed["Reply-To"] == "arc@portal.example.org"
    assert parsed["To"] == "Zoë Lee <ann@x.org>"
    assert [part.get_content_type() for part in parsed.walk()] == [
        "multipart/alternative", "text/plain", "text/html",
    ]  # fmt: skip


@pytest.mark.parametrize("field", ["recipient_name", "subject", "sender_name"])
@pytest.mark.parametrize(
    "value", ["=?utf-8?q?Hi=0D=0AX-Injected=3A_1?=", "a\r\nBcc: b@x.org", "\0"]
)
def test_no_value_becomes_a_header(field: str, value: str) -> None:
    with pytest.raises(UnsafeHeader):
        build(**MESSAGE | {field: value})


@pytest.mark.parametrize("kind", MailKind)
def test_every_template_renders_and_escapes(kind: MailKind) -> None:
    rendered = render(kind, **VALUES)
    assert rendered.subject
    assert "\n" not in rendered.subject
    html = html_of(rendered.subject, rendered.text)
    assert "<b>" not in html
    assert 'href="https://' in html or "https://" not in rendered.text


@pytest.mark.parametrize("kind", MailKind)
def test_a_missing_value_is_an_error_not_a_gap(kind: MailKind) -> None:
    with pytest.raises(jinja2.UndefinedError):
        render(kind)


def test_the_two_numbers_are_told_apart() -> None:
    text = render(MailKind.ACTIVATION, **VALUES).text
    assert "REGISTRATION NUMBER: [[number]]" in text
    assert "REFERENCE NUMBER: 1234567" in text
    assert "Social Security" in text


def transport(port: int, **changes: Any) -> Transport:
    options: dict[str, Any] = {"host": "127.0.0.1", "port": port, "timeout": 3.0}
    return Transport(**options | changes)


async def send(sending: Transport, recipient: str = "ann@x.org") -> str:
    receipt = await sending.send(
        sender=MESSAGE["sender"], recipient=recipient, message=build(**MESSAGE)
    )
    return receipt.reply


async def test_two_hundred_mails_over_four_connections(tmp_path: Path) -> None:
    async with mail_inbox(tmp_path) as inbox:
        sending = transport(inbox.port)
        assert set(await asyncio.gather(*(send(sending) for _ in range(200)))) == {"250"}
        assert len(list(inbox.messages())) == 200
        assert len(sending._idle) <= 4
        await sending.close()


@pytest.mark.parametrize(
    ("reply", "kind", "later"),
    [
        ("550 5.1.1 no such user ann@x.org", FailureKind.ADDRESS, None),
        ("550 no such user", FailureKind.ADDRESS, None),
        ("553 5.1.3 bad", FailureKind.ADDRESS, None),
        ("552 5.2.2 full", FailureKind.TRANSIENT, timedelta(hours=4)),
        ("450 4.2.0 greylisted", FailureKind.TRANSIENT, timedelta(minutes=5)),
        ("451 4.3.0 later", FailureKind.TRANSIENT, timedelta(minutes=5)),
        ("554 5.7.1 policy", FailureKind.MESSAGE, None),
        ("530 5.7.0 sign in", FailureKind.CONFIGURATION, timedelta(minutes=5)),
        ("421 4.3.2 going down", FailureKind.TRANSIENT, None),
    ],
)
async def test_a_refusal_says_who_must_act_and_the_connection_goes_on(
    tmp_path: Path, reply: str, kind: FailureKind, later: timedelta | None
) -> None:
    async with mail_inbox(tmp_path) as inbox:
        inbox.refusals["ann@x.org"] = reply
        sending = transport(inbox.port)
        with pytest.raises(MailFailure) as failure:
            await send(sending)
        assert (failure.value.kind, failure.value.retry_after) == (kind, later)
        assert not failure.value.ambiguous
        assert "ann@x.org" not in str(failure.value)
        assert await send(sending, "bob@x.org") == "250"
        await sending.close()


@asynccontextmanager
async def scripted(
    *replies: bytes | None, tls: Any = None
) -> AsyncIterator[tuple[int, list[bytes]]]:
    """A server that answers the greeting and each command in turn; None drops the connection."""
    heard: list[bytes] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            for reply in replies:
                if reply is None:
                    break
                writer.write(reply)
                await writer.drain()
                line = await reader.readline()
                heard.append(line)
                while line and reply.startswith(b"354") and line != b".\r\n":
                    line = await reader.readline()
            else:
                await reader.read()
        except (ConnectionError, OSError):
            return
        finally:
            writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1], heard
    finally:
        server.close()


OK = b"250 ok\r\n"


@pytest.mark.parametrize(
    ("replies", "kind", "ambiguous"),
    [
        ((None,), FailureKind.TRANSIENT, False),
        ((b"554 no\r\n",), FailureKind.MESSAGE, False),
        ((b"421 busy\r\n",), FailureKind.TRANSIENT, False),
        ((b"nonsense\r\n",), FailureKind.TRANSIENT, False),
        ((b"220 hi\r\n", OK, None), FailureKind.TRANSIENT, False),
        ((b"220 hi\r\n", OK, OK, OK, b"354 go\r\n", None), FailureKind.TRANSIENT, True),
        ((b"220 hi\r\n", OK, OK, OK, b"354 go\r\n"), FailureKind.TRANSIENT, True),
        (
            (b"220 hi\r\n", OK, OK, OK, b"354 go\r\n", b"554 5.7.1 no\r\n"),
            FailureKind.MESSAGE,
            False,
        ),
    ],
)
async def test_faults_of_the_relay(
    replies: tuple[bytes | None, ...], kind: FailureKind, ambiguous: bool
) -> None:
    async with scripted(*replies) as (port, _):
        with pytest.raises(MailFailure) as failure:
            await send(transport(port, timeout=0.5))
        assert failure.value.ambiguous is ambiguous
        if not replies[0] or not replies[0].startswith((b"554", b"nonsense")):
            assert failure.value.kind is kind


async def test_nobody_listening_is_transient() -> None:
    async with scripted() as (port, _):
        pass
    with pytest.raises(MailFailure) as failure:
        await send(transport(port))
    assert failure.value.kind is FailureKind.TRANSIENT


@pytest.mark.parametrize(
    ("replies", "changes"),
    [
        ((b"220 hi\r\n", OK), {"security": Security.STARTTLS}),
        ((b"220 hi\r\n", OK), {"username": "u", "password": "p"}),
        (
            (b"220 hi\r\n", b"250-ok\r\n250 AUTH PLAIN\r\n", b"535 5.7.8 no\r\n", OK),
            {"username": "u", "password": "p"},
        ),
    ],
)
async def test_settings_that_do_not_fit_are_the_operators(
    replies: tuple[bytes, ...], changes: dict[str, Any]
) -> None:
    async with scripted(*replies) as (port, _):
        with pytest.raises(MailFailure) as failure:
            await send(transport(port, **changes))
        assert failure.value.kind is FailureKind.CONFIGURATION


@pytest.fixture
def self_signed(tmp_path: Path) -> ssl.SSLContext:
    key, cert = tmp_path / "key.pem", tmp_path / "cert.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", cert,
         "-subj", "/CN=localhost", "-days", "1"],
        check=True, capture_output=True,
    )  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    return context


async def test_a_certificate_that_cannot_be_verified_stops_the_mail(
    self_signed: ssl.SSLContext,
) -> None:
    async with scripted(b"220 hi\r\n", OK, tls=self_signed) as (port, heard):
        with pytest.raises(MailFailure):
            await send(transport(port, security=Security.IMPLICIT))
        assert heard == [], "nothing was said over a connection that could not be trusted"


async def test_a_cancelled_delivery_leaves_no_connection_out_of_step(tmp_path: Path) -> None:
    async with scripted(b"220 hi\r\n", OK, OK) as (port, heard):
        sending = transport(port)
        task = asyncio.create_task(send(sending))
        while len(heard) < 3:
            await asyncio.sleep(0)
            await asyncio.sleep(0.001)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert sending._idle == []


async def test_a_connection_dropped_while_idle_is_replaced_without_doubt() -> None:
    taken = 0

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal taken
        say: Callable[[bytes], None] = writer.write
        say(b"220 hi\r\n")
        while line := await reader.readline():
            if line.startswith(b"DATA"):
                say(b"354 go\r\n")
                while await reader.readline() != b".\r\n":
                    pass
                taken += 1
                say(OK)
                await writer.drain()
                break
            say(OK)
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    sending = transport(server.sockets[0].getsockname()[1])
    assert [await send(sending), await send(sending)] == ["250", "250"]
    assert taken == 2
    server.close()
