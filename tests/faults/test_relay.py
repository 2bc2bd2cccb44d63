"""The mail relay is down or slow, greylists, hangs up or has a wrong certificate."""

import asyncio
import ssl
import subprocess
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
from aiosmtpd.smtp import SMTP, Envelope, Session
from temporalio.testing import WorkflowEnvironment

from embedded.inbox import Inbox, mail_inbox
from embedded.web_ui import free_port
from mail.transport import Security
from tests.faults.conftest import full
from tests.faults.disturbed import disturbed, judged
from tests.faults.matrix import Matrix
from tests.faults.mischief import put
from tests.faults.trials import SMTP_TIMEOUT, without_worker
from tests.faults.workers import Mischief, WorkerProcess
from tests.support.conditions import in_stage, mailed, marked
from tests.support.system import System, eventually, facts, new_training_id, record_people

OUTAGE = 5.0
IMPATIENT: Mischief = ("tests.faults.mischief:impatient", ())

pytestmark = pytest.mark.timeout(600)


@full
async def test_the_relay_is_down(
    temporal: WorkflowEnvironment,
    sqlite_url: str,
    tmp_path: Path,
    matrix: Matrix,
    undisturbed: Counter[str],
) -> None:
    port = free_port()

    async def strike(system: System) -> None:
        await asyncio.sleep(OUTAGE)
        await back.enter_async_context(mail_inbox(system.inbox.folder, port))

    async with AsyncExitStack() as back:
        trial = await disturbed(temporal.client, sqlite_url, tmp_path, strike, smtp_port=port)
    judged(matrix, "the relay is down for 5 s", "SQLite", trial, undisturbed)


class Rude:
    """Ways in which a relay fails the first attempt at each message."""

    def __init__(self, inbox: Inbox) -> None:
        self._take, self._keep = inbox.handle_RCPT, inbox.handle_DATA
        self._seen: set[object] = set()

    def first(self, what: object) -> bool:
        """Whether something comes for the first time."""
        first = what not in self._seen
        self._seen.add(what)
        return first

    async def greylists(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """Refuses the first mail to each recipient until later."""
        if self.first(address):
            return "451 4.7.1 greylisted"
        return await self._take(server, session, envelope, address, options)

    async def hangs(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """Answers the first mail to each recipient too late."""
        if self.first(address):
            await asyncio.sleep(SMTP_TIMEOUT + 1)
        return await self._take(server, session, envelope, address, options)

    async def drops(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        """Hangs up instead of taking a message's first copy."""
        if self.first(envelope.content):
            assert isinstance(server.transport, asyncio.WriteTransport)
            server.transport.abort()
            return "451 never heard"
        return await self._keep(server, session, envelope)

    async def keeps_and_drops(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        """Takes a message's first copy, and hangs up instead of answering."""
        if self.first(envelope.content):
            await self._keep(server, session, envelope)
            assert isinstance(server.transport, asyncio.WriteTransport)
            server.transport.abort()
            return "250 never heard"
        return await self._keep(server, session, envelope)


@pytest.mark.parametrize(
    ("manner", "hook", "fault"),
    [
        ("greylists", "handle_RCPT", "the relay greylists every recipient once"),
        pytest.param("hangs", "handle_RCPT", "the relay answers too late once", marks=full),
        pytest.param(
            "drops",
            "handle_DATA",
            "the relay hangs up on each message once, not keeping it",
            marks=full,
        ),
        pytest.param(
            "keeps_and_drops",
            "handle_DATA",
            "the relay keeps each message once and hangs up (the one window)",
            marks=full,
        ),
    ],
)
async def test_the_relay_is_rude(
    temporal: WorkflowEnvironment,
    sqlite_url: str,
    tmp_path: Path,
    matrix: Matrix,
    undisturbed: Counter[str],
    manner: str,
    hook: str,
    fault: str,
) -> None:
    async def strike(system: System) -> None:
        put(system.inbox, hook, getattr(Rude(system.inbox), manner))

    trial = await disturbed(temporal.client, sqlite_url, tmp_path, strike, IMPATIENT)
    judged(matrix, fault, "SQLite", trial, undisturbed)
    if manner == "keeps_and_drops":
        assert trial.in_doubt > 0


def certificate(folder: Path, name: str) -> Path:
    """Makes a self-signed certificate; returns the file with it and its key."""
    pem = folder / f"{name}.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", pem, "-out",
         folder / f"{name}.crt", "-days", "2", "-subj", "/CN=127.0.0.1",
         "-addext", "subjectAltName=IP:127.0.0.1"],
        check=True, capture_output=True,
    )  # fmt: skip
    pem.write_text(pem.read_text() + (folder / f"{name}.crt").read_text())
    return pem


@asynccontextmanager
async def relay_with(certificate: Path, inbox: Inbox, port: int) -> AsyncIterator[None]:
    """Runs a relay that demands STARTTLS."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: SMTP(inbox, tls_context=context, require_starttls=True, loop=loop),
        "127.0.0.1",
        port,
    )
    try:
        yield
    finally:
        server.close()


@full
async def test_the_relay_shows_a_wrong_certificate(
    temporal: WorkflowEnvironment,
    sqlite_url: str,
    tmp_path: Path,
    matrix: Matrix,
    undisturbed: Counter[str],
) -> None:
    port = free_port()
    good, wrong = certificate(tmp_path, "good"), certificate(tmp_path, "wrong")

    async def strike(system: System) -> None:
        async with relay_with(wrong, system.inbox, port):
            await asyncio.sleep(OUTAGE)
        assert list(system.inbox.messages()) == []
        await mended.enter_async_context(relay_with(good, system.inbox, port))

    async with AsyncExitStack() as mended:
        trial = await disturbed(
            temporal.client,
            sqlite_url,
            tmp_path,
            strike,
            IMPATIENT,
            environment={"SSL_CERT_FILE": str(tmp_path / "good.crt")},
            smtp_port=port,
            smtp_security=Security.STARTTLS,
        )
    judged(matrix, "the relay's certificate is wrong for 5 s", "SQLite", trial, undisturbed)


async def test_people_are_told_when_a_mail_takes_too_long(
    temporal: WorkflowEnvironment, sqlite_url: str, tmp_path: Path, matrix: Matrix
) -> None:
    port, training_id = free_port(), new_training_id()
    async with without_worker(temporal.client, sqlite_url, tmp_path, smtp_port=port) as system:
        await record_people(system.database, training_id)
        worker = WorkerProcess(system)
        for signal, fact in facts().items():
            await system.tell(training_id, signal, fact)
        await system.until(training_id, in_stage("awaiting_activation"))
        await system.skip(training_id, minutes=61)
        late = await system.until(training_id, marked)
        assert "activation is being retried" in late.attention[0].problem
        begun = asyncio.get_running_loop().time()
        async with mail_inbox(system.inbox.folder, port):
            await eventually(
                lambda: system.status(training_id),
                lambda s: not s.attention and bool(s.mails[0].sent_at),
                seconds=90,
            )
        worker.kill()
        assert len(list(system.inbox.messages())) == 1
    matrix.add(
        "the relay is down for an hour: people are told, then the mail goes out",
        "SQLite",
        seconds=asyncio.get_running_loop().time() - begun,
    )


async def test_the_relay_refuses_one_recipient(
    temporal: WorkflowEnvironment, sqlite_url: str, tmp_path: Path, matrix: Matrix
) -> None:
    refused, other = new_training_id(), new_training_id()
    async with without_worker(temporal.client, sqlite_url, tmp_path) as system:
        await record_people(system.database, refused, other)
        worker = WorkerProcess(system)
        system.inbox.refusals[f"{refused.lower()}@assisters.example.org"] = "550 5.1.1 no such user"
        for each in (refused, other):
            for signal, fact in facts().items():
                await system.tell(each, signal, fact)
        await system.until(other, mailed())
        parked = await system.until(refused, marked)
        assert "correct the address" in parked.attention[0].remedy
        begun = asyncio.get_running_loop().time()
        system.inbox.refusals.clear()
        await system.act(refused, "email_corrected")
        await system.until(refused, mailed())
        worker.kill()
        assert len(system.mails()) == 2, "one each"
        matrix.add(
            "the relay refuses one recipient of two: the other hears, a person corrects",
            "SQLite",
            seconds=asyncio.get_running_loop().time() - begun,
        )
