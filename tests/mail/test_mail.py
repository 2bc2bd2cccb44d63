"""Messages, templates and the transport, against real SMTP conversations."""

import asyncio
import re
import ssl
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.policy import default
from pathlib import Path
from typing import Any

import jinja2
import jinja2.meta
import pytest
from aiosmtpd.smtp import SMTP
from temporalio.api.failure.v1 import Failure
from temporalio.converter import DataConverter

from embedded.inbox import Inbox, mail_inbox
from mail import templates
from mail import transport as transport_module
from mail.failures import FailureKind, MailFailure
from mail.message import UnsafeHeader, build, message_id
from mail.templates import html_of, render
from mail.transport import Receipt, Security, Transport
from policy.mails import MailKind
from tests.support.system import eventually

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
    "by_staff": False,
    "sender": "no-reply@x.org",
    "arc_email": "arc@x.org", "arc_phone": "651-555-0100", "portal_url": "https://portal.x.org",
    "first_name": "Ann<b>", "last_name": "Lee", "assister_name": "Ann Lee", "contact_name": "Pat",
    "training_id": "ABC1234", "reference_number": "1234567", "registration_number": "[[number]]",
    "activation_url": "https://portal.x.org/activate", "ends": "Monday", "score": "65",
    "mastery": "70", "missing": ["training"], "reason": "employment ended", "outcome": "done",
    "reissuable_until": "Friday", "roster_type": "cac", "filename": "r.csv", "received": "today",
    "accepted": 1, "rejected": 3, "rows": 4, "submission_id": "s1", "agency_id": "AG-1",
    "by_agency": "AG-2", "by_agency_name": "Lakes Health",
    "suspensions": 6, "with_access": 9, "ui_link": "https://ui.x.org/x",
    "more": 3, "all_link": "https://ui.example.org/all",
    "items": [
        {"training_id": "A", "what": "<b>", "link": "https://ui.x.org/a", "page": "https://x.org/A"}
    ],
    "rows_link": "https://portal.x.org/agencies/AG-1/rosters/s1",
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
    "value",
    [
        "=?utf-8?q?Hi=0D=0AX-Injected=3A_1?=", "a\r\nBcc: b@x.org", "\0", "a\x7fb", "a\x85b",
        "a\u2028b", "a\ud800b",
    ],
)  # fmt: skip
def test_no_value_becomes_a_header(field: str, value: str) -> None:
    with pytest.raises(UnsafeHeader):
        build(**MESSAGE | {field: value})


@pytest.mark.parametrize("field", ["recipient", "sender", "reply_to"])
@pytest.mark.parametrize("value", ["", "nobody", "a@x.org\r\nBcc: b@x.org", "a@x.org>, <b@x.org"])
def test_no_address_becomes_two_or_a_header(field: str, value: str) -> None:
    with pytest.raises(UnsafeHeader) as refused:
        build(**MESSAGE | {field: value})
    assert "x.org" not in str(refused.value)


class Disguised(str):
    """A subject that hides its encoded word from a search."""

    __slots__ = ()

    def __contains__(self, part: object) -> bool:
        return False


def test_an_injected_header_is_seen_in_the_bytes_themselves() -> None:
    subject = Disguised("=?utf-8?q?Hi=0D=0AX-Injected=3A_1?=")
    with pytest.raises(UnsafeHeader, match="not meant"):
        build(**MESSAGE | {"subject": subject})


def test_an_international_domain_goes_out_in_ascii_and_stays_the_same_domain() -> None:
    raw = build(**MESSAGE | {"recipient": "zoe@straße.de"})
    assert b"<zoe@xn--strae-oqa.de>" in raw
    assert raw.partition(b"\r\n\r\n")[0].isascii()


def test_a_message_id_is_hex_and_the_same_for_the_same_key() -> None:
    made = message_id("assister-A/1:activation", "x.org")
    assert re.fullmatch(r"<[0-9a-f]{32}@x\.org>", made)
    assert made == message_id("assister-A/1:activation", "x.org")
    assert made != message_id("assister-A/2:activation", "x.org")
    raw = build(**MESSAGE | {"message_id": made})
    assert message_from_bytes(raw, policy=default)["Message-ID"] == made


@pytest.mark.parametrize("kind", MailKind)
def test_every_template_renders_and_escapes(kind: MailKind) -> None:
    rendered = render(kind, **VALUES)
    assert rendered.subject
    assert "\n" not in rendered.subject
    assert "{{" not in rendered.text
    assert "\n\n\n" not in rendered.text
    assert VALUES["arc_email"] in rendered.text
    html = rendered.html
    assert html == html_of(rendered.subject, rendered.text)
    assert "<b>" not in html
    assert rendered.text.count("https://") == html.count('<a href="https://')
    assert rendered.text.count("\n- ") == html.count("<li ")


@pytest.mark.parametrize("kind", MailKind)
def test_a_missing_value_is_an_error_not_a_gap(kind: MailKind) -> None:
    names = {"arc_email"}
    for part in (f"{kind}.txt", "footer_arc.txt" if kind.recipient == "arc" else "footer.txt"):
        source = (Path(templates.__file__).parent / "templates" / part).read_text()
        names |= jinja2.meta.find_undeclared_variables(jinja2.Environment().parse(source))
    for name in names:
        with pytest.raises(jinja2.UndefinedError, match=name):
            render(kind, **{key: value for key, value in VALUES.items() if key != name})


def test_html_escapes_everything_and_links_only_what_is_a_web_address() -> None:
    html = html_of(
        "<script>", 'a < b & "c"\n\n- https://x.org/a?b=1&c="><i>.\n- javascript:alert(1)'
    )
    assert "<script>" not in html
    assert "a &lt; b &amp; &#34;c&#34;" in html
    assert '<a href="https://x.org/a?b=1&amp;c=">' in html
    assert "<i>" not in html
    assert html.count("<a ") == 1
    assert html.count("<li ") == 2


def test_a_summary_without_rejected_rows_lists_none() -> None:
    text = render(MailKind.ROSTER_SUMMARY, **VALUES | {"rejected_rows": []}).text
    assert "There is nothing for you to correct." in text
    assert "Line" not in text


def test_a_summary_says_where_the_rest_of_its_rejected_rows_is() -> None:
    all_of_them = render(MailKind.ROSTER_SUMMARY, **VALUES | {"rejected": "1"}).text
    assert "first" not in all_of_them
    text = render(MailKind.ROSTER_SUMMARY, **VALUES).text
    assert "\n- Line 2" in text
    assert "the first 1 of 3 rejected rows." in text
    assert f"All of them are listed at {VALUES['rows_link']}." in text


def test_a_summary_says_from_where_the_mails_of_its_people_come() -> None:
    for accepted in ("1", "12"):
        text = render(MailKind.ROSTER_SUMMARY, **VALUES | {"accepted": accepted}).text
        assert "our mails come from no-reply@x.org" in text
    assert "no-reply" not in render(MailKind.ROSTER_SUMMARY, **VALUES | {"accepted": "0"}).text


def test_the_two_numbers_are_told_apart() -> None:
    text = render(MailKind.ACTIVATION, **VALUES).text
    assert "REGISTRATION NUMBER: [[number]]" in text
    assert "REFERENCE NUMBER: 1234567" in text
    assert "MNsure never asks for your Social Security number" in text


def transport(port: int, **changes: Any) -> Transport:
    options: dict[str, Any] = {"host": "127.0.0.1", "port": port, "timeout": 60.0}
    return Transport(**options | changes)


async def send(sending: Transport, recipient: str = "ann@x.org") -> str:
    receipt = await sending.send(
        sender=MESSAGE["sender"], recipient=recipient, message=build(**MESSAGE)
    )
    return str(receipt.code)


async def test_two_hundred_mails_over_four_connections(tmp_path: Path) -> None:
    # A worker takes as many mails at once; each waits for a connection within its own time limit.
    places = asyncio.Semaphore(8)

    async def in_turn(sending: Transport) -> str:
        async with places:
            return await send(sending)

    async with mail_inbox(tmp_path) as inbox:
        sending = transport(inbox.port)
        assert set(await asyncio.gather(*(in_turn(sending) for _ in range(200)))) == {"250"}
        assert len(list(inbox.messages())) == 200
        assert 1 <= len(sending._idle) <= 4
        await sending.close()
        assert sending._idle == []


@pytest.mark.parametrize(
    ("reply", "kind", "later"),
    [
        ("550 5.1.1 no such user ann@x.org", FailureKind.ADDRESS, None),
        ("550 no such user", FailureKind.ADDRESS, None),
        ("550 5.1.10 no such user", FailureKind.ADDRESS, None),
        ("550 5.2.1 disabled", FailureKind.ADDRESS, None),
        ("550 5.7.1 policy", FailureKind.MESSAGE, None),
        ("450 4.2.2 full", FailureKind.TRANSIENT, timedelta(hours=4)),
        ("452 4.3.1 disk full", FailureKind.TRANSIENT, timedelta(minutes=5)),
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
    """Runs a server with one reply for the greeting and each command; None hangs up."""
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


HI = b"220 hi\r\n"
TO_DATA = (HI, OK, OK, OK, b"354 go\r\n")


@pytest.mark.parametrize(
    ("replies", "kind", "ambiguous"),
    [
        ((None,), FailureKind.TRANSIENT, False),
        ((b"421 busy\r\n",), FailureKind.TRANSIENT, False),
        ((b"554 no\r\n",), FailureKind.CONFIGURATION, False),
        ((b"nonsense\r\n",), FailureKind.TRANSIENT, False),
        ((HI, b"550 no\r\n", b"550 no\r\n"), FailureKind.CONFIGURATION, False),
        ((HI, OK, None), FailureKind.TRANSIENT, False),
        ((HI, OK, b"nonsense\r\n"), FailureKind.TRANSIENT, False),
        ((HI, OK, b"550 go away\r\n"), FailureKind.CONFIGURATION, False),
        ((HI, OK, b"553 5.1.8 your sender\r\n"), FailureKind.CONFIGURATION, False),
        ((HI, OK, b"552 5.3.4 too big\r\n"), FailureKind.MESSAGE, False),
        ((HI, OK, OK, None), FailureKind.TRANSIENT, False),
        ((*TO_DATA, None), FailureKind.TRANSIENT, True),
        ((*TO_DATA, b"nonsense\r\n"), FailureKind.TRANSIENT, True),
        ((*TO_DATA, b"252 perhaps\r\n"), FailureKind.TRANSIENT, True),
        ((*TO_DATA, b"451 4.3.0 later\r\n"), FailureKind.TRANSIENT, False),
        ((*TO_DATA, b"550 looks like spam\r\n"), FailureKind.MESSAGE, False),
        ((*TO_DATA, b"554 5.7.1 no\r\n"), FailureKind.MESSAGE, False),
        ((*TO_DATA, b"552 5.2.2 full\r\n"), FailureKind.TRANSIENT, False),
    ],
)
async def test_faults_of_the_relay(
    replies: tuple[bytes | None, ...], kind: FailureKind, ambiguous: bool
) -> None:
    async with scripted(*replies) as (port, _):
        with pytest.raises(MailFailure) as failure:
            await send(transport(port))
        assert (failure.value.kind, failure.value.ambiguous) == (kind, ambiguous)


@pytest.fixture
def limits(monkeypatch: pytest.MonkeyPatch) -> list[asyncio.Timeout]:
    """The time limits that the transport has set, the newest last: a test lets one pass."""
    made: list[asyncio.Timeout] = []
    timeout = asyncio.timeout

    def kept(seconds: float) -> asyncio.Timeout:
        made.append(timeout(seconds))
        return made[-1]

    monkeypatch.setattr(asyncio, "timeout", kept)
    return made


async def noted(by_relay: list[Any], count: int) -> None:
    """Waits until a relay has noted so much."""

    async def so_far() -> int:
        return len(by_relay)

    await eventually(so_far, lambda noted: noted == count)


@pytest.mark.parametrize(("replies", "ambiguous"), [((HI, OK, OK), False), (TO_DATA, True)])
async def test_a_relay_that_falls_silent_is_given_up(
    limits: list[asyncio.Timeout], replies: tuple[bytes, ...], ambiguous: bool
) -> None:
    async with scripted(*replies) as (port, heard):
        sending = asyncio.create_task(send(transport(port)))
        await noted(heard, len(replies))
        limits[-1].reschedule(0)
        with pytest.raises(MailFailure) as failure:
            await sending
        assert (failure.value.kind, failure.value.ambiguous) == (FailureKind.TRANSIENT, ambiguous)


async def test_nothing_personal_is_in_a_failure_nor_in_what_temporal_keeps_of_it() -> None:
    echo = b"550 5.1.1 <ann@x.org>: Ann Lee unknown\r\n"
    async with scripted(HI, OK, OK, echo) as (port, _):
        with pytest.raises(MailFailure) as failed:
            await send(transport(port))
    kept = Failure()
    converter = DataConverter.default
    converter.failure_converter.to_failure(failed.value, converter.payload_converter, kept)
    assert "550 5.1.1" in kept.message
    assert not kept.HasField("cause")
    assert "ann@" not in str(kept).lower()
    assert "lee" not in str(kept).lower()


async def test_a_receipt_keeps_codes_only() -> None:
    async with scripted(*TO_DATA, b"250 2.0.0 queued for ann@x.org\r\n", OK) as (port, _):
        receipt = await transport(port).send(
            sender=MESSAGE["sender"], recipient="ann@x.org", message=build(**MESSAGE)
        )
    assert receipt == Receipt(250, "250 2.0.0")


async def test_a_failed_goodbye_does_not_undo_a_delivery() -> None:
    async with scripted(*TO_DATA, OK, b"500 what?\r\n") as (port, heard):
        sending = transport(port)
        assert await send(sending) == "250"
        await sending.close()
        assert heard[-1] == b"QUIT\r\n"


async def test_relays_that_never_answer_a_goodbye_hold_nobody_up(
    limits: list[asyncio.Timeout], monkeypatch: pytest.MonkeyPatch
) -> None:
    goodbyes = []

    async def all_but_quit(connection: int, mail: int, verb: bytes) -> None:
        del mail
        if verb == b"QUIT":
            goodbyes.append(connection)
            await asyncio.Event().wait()

    monkeypatch.setattr(transport_module, "GOODBYE", 600.0)
    async with relay() as (one, port):
        one.answer = all_but_quit
        sending = transport(port, connections=4, timeout=600.0)
        await asyncio.gather(*(send(sending) for _ in range(8)))
        assert len(sending._idle) == 4
        closing = asyncio.create_task(sending.close())
        await noted(goodbyes, 4)
        limits[-1].reschedule(0)
        await closing


@pytest.mark.parametrize("recipient", ["", "nobody", "a@x.org>\r\nRCPT TO:<b@x.org", "a b@x.org"])
async def test_what_is_no_address_never_reaches_the_relay(recipient: str) -> None:
    async with scripted(HI, OK, OK) as (port, heard):
        with pytest.raises(MailFailure) as failure:
            await send(transport(port), recipient)
        assert failure.value.kind is FailureKind.ADDRESS
        assert heard == []


@pytest.mark.parametrize("offered", [True, False])
async def test_letters_before_the_at_need_a_relay_that_takes_them(
    tmp_path: Path, offered: bool
) -> None:
    inbox = Inbox(tmp_path)
    async with served(lambda: SMTP(inbox, enable_SMTPUTF8=offered)) as port:
        sending = transport(port)
        message = build(**MESSAGE | {"recipient": "zoë@x.org"})
        delivery = sending.send(sender=MESSAGE["sender"], recipient="zoë@x.org", message=message)
        if offered:
            assert (await delivery).code == 250
            assert next(inbox.messages())["To"] == "Zoë Lee <zoë@x.org>"
        else:
            with pytest.raises(MailFailure) as failure:
                await delivery
            assert failure.value.kind is FailureKind.ADDRESS
        # A domain alone has an ASCII form that every relay takes.
        assert await send(sending, "zoe@bücher.org") == "250"
        await sending.close()


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


@asynccontextmanager
async def served(
    factory: Callable[[], asyncio.Protocol], tls: ssl.SSLContext | None = None
) -> AsyncIterator[int]:
    """Runs an aiosmtpd server in this loop; gives its port."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(factory, "127.0.0.1", 0, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


@pytest.fixture
def self_signed(tmp_path: Path) -> ssl.SSLContext:
    key, cert = tmp_path / "key.pem", tmp_path / "cert.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", cert,
         "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-days", "1"],
        check=True, capture_output=True,
    )  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    return context


@pytest.mark.parametrize(
    ("security", "kind"),
    [
        (Security.IMPLICIT, FailureKind.TRANSIENT),
        (Security.STARTTLS, FailureKind.CONFIGURATION),
    ],
)
async def test_a_certificate_that_cannot_be_verified_stops_the_mail(
    self_signed: ssl.SSLContext, tmp_path: Path, security: Security, kind: FailureKind
) -> None:
    inbox = Inbox(tmp_path / "inbox")
    implicit = security is Security.IMPLICIT
    starttls = None if implicit else self_signed
    around = self_signed if implicit else None
    async with served(lambda: SMTP(inbox, tls_context=starttls), tls=around) as port:
        with pytest.raises(MailFailure) as failure:
            await send(transport(port, security=security))
    assert failure.value.kind is kind
    assert "verified" in failure.value.summary
    assert list(inbox.messages()) == []


async def test_a_trusted_certificate_lets_the_mail_through(
    self_signed: ssl.SSLContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "cert.pem"))
    inbox = Inbox(tmp_path / "inbox")
    async with served(lambda: SMTP(inbox, tls_context=self_signed, require_starttls=True)) as port:
        sending = transport(port, host="localhost", security=Security.STARTTLS)
        assert await send(sending) == "250"
        await sending.close()


class Relay:
    """A relay that counts connections, and gives the replies of a test.

    Attributes:
        answer: Called with the connection's number, the mail's number on it and the verb. Returns
            the reply, and whether to hang up after it; None gives the usual reply.
    """

    def __init__(self) -> None:
        self.connections = 0
        self.answer: Callable[[int, int, bytes], Awaitable[tuple[bytes, bool] | None]] | None = None

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        number, mails = self.connections, 0
        with suppress(ConnectionError):
            writer.write(HI)
            while line := await reader.readline():
                verb = line[:4].upper()
                mails += verb == b"MAIL"
                special = await self.answer(number, mails, verb) if self.answer else None
                reply, hang_up = special or (OK, verb == b"QUIT")
                if verb == b"DATA" and special is None:
                    writer.write(b"354 go\r\n")
                    while await reader.readline() != b".\r\n":
                        pass
                writer.write(reply)
                await writer.drain()
                if hang_up:
                    break
        writer.close()


@asynccontextmanager
async def relay() -> AsyncIterator[tuple[Relay, int]]:
    """Runs a `Relay`; gives it and its port."""
    one = Relay()
    server = await asyncio.start_server(one.talk, "127.0.0.1", 0)
    try:
        yield one, server.sockets[0].getsockname()[1]
    finally:
        server.close()


@pytest.mark.parametrize("verb", [b"MAIL", b"RCPT"])
async def test_a_cancelled_delivery_leaves_no_connection_out_of_step(verb: bytes) -> None:
    reached, go_on = asyncio.Event(), asyncio.Event()

    async def late(connection: int, mail: int, said: bytes) -> tuple[bytes, bool] | None:
        if (connection, mail, said) != (1, 2, verb):
            return None
        reached.set()
        await go_on.wait()
        return b"550 5.1.1 meant for the cancelled one\r\n", False

    async with relay() as (one, port):
        one.answer = late
        sending = transport(port, connections=1)
        assert await send(sending) == "250"
        task = asyncio.create_task(send(sending))
        await reached.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        go_on.set()
        assert await send(sending) == "250", "a late reply was read as this delivery's"
        assert one.connections == 2
        await sending.close()


@pytest.mark.parametrize("goodbye", [b"", b"421 4.4.2 idle for too long\r\n"])
async def test_a_connection_dropped_while_idle_is_replaced_without_doubt(goodbye: bytes) -> None:
    async def drop(connection: int, mail: int, verb: bytes) -> tuple[bytes, bool] | None:
        return (goodbye, True) if (connection, mail, verb) == (1, 2, b"MAIL") else None

    async with relay() as (one, port):
        one.answer = drop
        sending = transport(port, connections=1)
        assert [await send(sending), await send(sending)] == ["250", "250"]
        assert one.connections == 2
        await sending.close()


async def test_a_new_connection_turned_away_is_not_tried_again_at_once() -> None:
    async def busy(connection: int, mail: int, verb: bytes) -> tuple[bytes, bool] | None:
        del connection, mail
        return (b"421 4.3.2 busy\r\n", True) if verb == b"MAIL" else None

    async with relay() as (one, port):
        one.answer = busy
        with pytest.raises(MailFailure) as failure:
            await send(transport(port))
        assert failure.value.kind is FailureKind.TRANSIENT
        assert one.connections == 1


@pytest.mark.parametrize(
    ("limit", "value", "connections"), [("MAX_USES", 2, 2), ("MAX_IDLE", 0.0, 4), (None, None, 1)]
)
async def test_a_connection_is_used_again_but_neither_too_often_nor_too_late(
    monkeypatch: pytest.MonkeyPatch, limit: str | None, value: float, connections: int
) -> None:
    if limit:
        monkeypatch.setattr(transport_module, limit, value)
    async with relay() as (one, port):
        sending = transport(port)
        for _ in range(4):
            assert await send(sending) == "250"
        assert one.connections == connections
        await sending.close()


async def test_no_more_connections_than_allowed_and_none_idle_in_vain() -> None:
    async with relay() as (one, port):
        sending = transport(port, connections=4)
        await asyncio.gather(*(send(sending) for _ in range(40)))
        assert one.connections == 4
        await sending.close()
