"""No name, address, phone number or secret is in anything that the system writes or answers.

A whole scenario runs on real parts: a worker process, a server that keeps its store in a file, and
a relay that refuses mails and repeats their addresses. Then all output is searched.
"""

import asyncio
import base64
import json
import re
import sys
import traceback
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from urllib.parse import quote

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from temporalio.testing import WorkflowEnvironment

import bootstrap
import starter
import worker
from embedded.inbox import body_of, mail_inbox
from embedded.temporal_server import temporal_server
from mail.failures import FailureKind, MailFailure
from mail.transport import Transport
from records.database import Database
from records.tables import Actor
from settings import Settings
from tests.support.conditions import in_stage, marked
from tests.support.databases import records
from tests.support.system import System, eventually, new_training_id
from workflows.contract import DIGEST_SCHEDULE, Status
from workflows.readiness import has_worker

ROOT = Path(__file__).resolve().parent.parent
HEADER = (
    "First Name,Last Name,Email,Training ID,Current Employment Status,Assister Portal Access,"
    "Public-Facing Phone Number,Public-Facing Email,Business Address,Languages Spoken\n"
)
PEOPLE = {
    "names": ["Zoësi", "Quillfeather", "Marblethorn", "Brindlewick", "Contessa Harrowgate"],
    "addresses": [
        "zoesi.q@canary-one.example.org", "m.thorn@canary-two.example.org",
        "brindle@canary-three.example.org", "helpdesk@canary-public.example.org",
        "harrowgate@canary-agency.example.org", "arc.staff@canary-staff.example.org",
        "corrected@canary-new.example.org", "77 Gooseberry Lane", "Tlingit-Canary",
    ],
    "phones": ["651-555-0187", "(651) 555-0187", "651.555.0187", "6515550187"],
}  # fmt: skip
SENT_BY_MISTAKE = "lost@canary-signal.example.org"
SECRETS = {
    "portal secret": "canary-portal-secret-0123456789abcdef",
    "SMTP password": "canary-smtp-password",
    "database password": "canary-database-password",
}


FAULT = {
    "sqlite": (
        "CREATE TRIGGER fault BEFORE INSERT ON maildelivery"
        " BEGIN SELECT RAISE(ABORT, 'out_of_order'); END",
        "DROP TRIGGER fault",
    ),
    # PostgreSQL adds "Failing row contains (…)" to this error.
    "postgresql": (
        "ALTER TABLE maildelivery ADD CONSTRAINT out_of_order CHECK (attempts > 99) NOT VALID",
        "ALTER TABLE maildelivery DROP CONSTRAINT out_of_order",
    ),
}
"""Statements that make each new mail fail with an error that may name its recipient, and undo
this."""


def spellings(value: str) -> Iterator[bytes]:
    """The spellings in which software writes a value, with base64 in all three alignments."""
    for cased in {value, value.lower(), value.upper(), value.casefold()}:
        raw = cased.encode()
        yield raw
        yield quote(cased, safe="").encode()
        yield quote(cased, safe="@").replace("%20", "+").encode()
        yield json.dumps(cased)[1:-1].encode()
        yield cased.encode("unicode_escape")
        for shift in range(3):
            encoded = base64.b64encode(b"\0" * shift + raw)
            # The first and last characters are left out, because they depend on the neighbours.
            yield encoded[(0, 2, 3)[shift] : 8 * (shift + len(raw)) // 6]


def found_in(places: dict[str, bytes], values: list[str]) -> list[tuple[str, str]]:
    """The values that were found, each with its place."""
    wanted = [
        (value, spelling) for value in values for spelling in spellings(value) if len(spelling) > 5
    ]
    return sorted(
        {(value, name) for name, content in places.items() for value, each in wanted
         if each in content}
    )  # fmt: skip


def test_the_search_finds_every_spelling() -> None:
    for value in (*PEOPLE["names"], *PEOPLE["addresses"], *SECRETS.values()):
        for shift in ("", "a", "ab"):
            hidden = base64.b64encode(f"{shift}{value} and more".encode())
            assert found_in({"x": hidden}, [value]), value
        for each in (value.upper(), json.dumps(value.lower()), quote(value)):
            assert found_in({"x": each.encode()}, [value]), each
    assert not found_in({"x": b"nothing of the kind"}, ["Zoësi"])


@dataclass
class Scenario:
    """One run and its output."""

    folder: Path
    system: System
    printed: pytest.CaptureFixture[str]
    ids: list[str] = field(default_factory=lambda: [new_training_id() for _ in range(3)])
    secrets: list[str] = field(default_factory=lambda: list(SECRETS.values()))
    said: list[str] = field(default_factory=list)
    """The output of the commands."""

    async def command(self, *words: object, code: int = 0) -> str:
        """Runs a command."""
        returned = await asyncio.to_thread(starter.main, [str(word) for word in words])
        out = "".join(self.printed.readouterr())
        assert returned == code, out
        self.said.append(out)
        return out

    def roster(self, *access: str, address: str = "zoesi.q@canary-one.example.org") -> Path:
        one, two, three = self.ids
        rest = "651-555-0187,helpdesk@canary-public.example.org,77 Gooseberry Lane,Tlingit-Canary"
        yes = dict(zip(self.ids, access, strict=True))
        path = self.folder / "roster.csv"
        path.write_text(
            HEADER + f"Zoësi,Quillfeather,{address},{one},Active,{yes[one]},{rest}\n"
            f"Una,Marblethorn,m.thorn@canary-two.example.org,{two},Active,{yes[two]},{rest}\n"
            f"Per,Brindlewick,brindle@canary-three.example.org,{three},Active,{yes[three]},{rest}\n"
            f"=Zoësi,Quillfeather,zoesi.q@canary-one.example.org Zoësi,?,No,?,651-555-0187 x,-,,\n"
        )
        return path


@asynccontextmanager
async def running(
    records_url: str,
    folder: Path,
    patch: pytest.MonkeyPatch,
    printed: pytest.CaptureFixture[str],
) -> AsyncIterator[Scenario]:
    """Runs a worker with a log, a server with a store and a relay, all configured with secrets."""
    url = records_url.replace("postgres:@", f"postgres:{SECRETS['database password']}@")
    async with (
        temporal_server(database=folder / "temporal.db") as server,
        mail_inbox(folder / "inbox") as inbox,
    ):
        environment = {
            "TEMPORAL_ADDRESS": server.client.service_client.config.target_host,
            "ASSISTER_DATABASE_URL": url,
            "ASSISTER_DATA_DIR": str(folder),
            "ASSISTER_PORTAL_SECRET": SECRETS["portal secret"],
            "ASSISTER_SMTP_PORT": str(inbox.port),
            "ASSISTER_SMTP_PASSWORD": SECRETS["SMTP password"],
            "ASSISTER_TERMS__FUSE_COUNT": "0",
        }
        for name, value in environment.items():
            patch.setenv(name, value)
        settings = Settings(_env_file=None)
        database = Database(url)
        portal = bootstrap.make_portal(settings, database)
        transport = bootstrap.make_transport(settings)
        with (folder / "worker.log").open("wb") as log:
            process = await asyncio.create_subprocess_exec(
                sys.executable, str(ROOT / "worker.py"), stdout=log, stderr=log
            )
            try:
                system = System(server.client, settings, database, portal, transport, inbox)
                # A command may wait for a worker for less time than the worker needs to start.
                queue = settings.task_queue
                await eventually(partial(has_worker, server.client, queue), bool)
                yield Scenario(folder, system, printed)
            finally:
                process.terminate()
                await process.wait()
                await database.close()


async def play(scenario: Scenario) -> None:
    """Does everything that people and systems do, with their mistakes."""
    system, run = scenario.system, scenario.command
    one, two, three = scenario.ids
    agencies = scenario.folder / "agencies.csv"
    agencies.write_text(
        "Agency ID,Agency Name,Contact Name,Contact Email\n"
        "AG-1,North,Contessa Harrowgate,harrowgate@canary-agency.example.org\n"
    )
    await run("agencies", "import", agencies)
    submit = ("--agency", "AG-1", "--type", "navigator", "--by",
              "harrowgate@canary-agency.example.org", "--wait", "--json")  # fmt: skip
    # The relay repeats the address and the name.
    system.inbox.refusals["zoesi.q@canary-one.example.org"] = (
        "550 5.1.1 zoesi.q@canary-one.example.org: no mailbox for Quillfeather"
    )
    await run("rosters", "submit", scenario.roster("Yes", "Yes", "Yes"), *submit)
    exported = scenario.folder / "results.csv"
    exported.write_text(
        "Training ID,Event,Date,Score,Status\n"
        + "".join(
            f"{each},certification,2026-02-02,,Certified\n{each},training,2026-02-02,,\n"
            f"{each},assessment,2026-02-02,71,\n"
            for each in scenario.ids
        )
        + "Zoësi Quillfeather,training,651-555-0187,,\n"
    )
    # The database fails in the middle of a mail step.
    break_it, mend_it = FAULT[system.database.engine.dialect.name]
    await _run(system.database, break_it)
    await run("results", "import", exported, "--json")
    await eventually(partial(_described, system, two), lambda told: b"out_of_order" in told)
    await _run(system.database, mend_it)
    await system.until(one, marked)
    await system.until(two, _mailed("activation"))
    for each in (two, three):
        number = await system.portal.registration_number(each, 1)
        scenario.secrets.append(number)
        await system.until(each, _mailed("activation"))
        await run("activate", "--registration-number", number)
    await run("activate", "--registration-number", f"{scenario.secrets[-1][:-1]}7", code=1)
    await system.until(two, _mailed("confirmation"))
    staff = ("--by", "arc.staff@canary-staff.example.org", "--reason")
    await run("assister", "correct-email", one, "--email", "corrected@canary-new.example.org",
              *staff, "a caller")  # fmt: skip
    await system.until(one, lambda s: s.stage == "awaiting_activation" and not s.attention)
    await system.until(one, _mailed("activation"))
    scenario.secrets.append(await system.portal.registration_number(one, 2))
    await run("suspend", two, *staff, "Zoësi's call from 651-555-0187", code=1)
    await run("suspend", two, *staff, "a complaint")
    await run("suspend", "Zoësi Quillfeather", *staff, "a complaint", code=1)
    await run("training", "record", three, "--course", "brindle@canary-three.example.org", code=1)
    # The fuse holds this roster: everybody with access would lose it.
    held = scenario.roster("Yes", "No", "No", address="corrected@canary-new.example.org")
    out = await run("rosters", "submit", held, *submit[:-2], "--json")
    roster = json.loads(out)["submission_id"]
    progress = system.client.get_workflow_handle(f"roster-{roster}")
    await eventually(lambda: progress.query("progress"), lambda p: p["stage"] == "held")
    await run("rosters", "release", roster, *staff, "they called")
    await system.until(three, in_stage("suspended"))
    # A careless system sends such signals and such an update.
    case = system.case(one)
    await case.signal("training_completed", {"event_id": SENT_BY_MISTAKE})
    with pytest.raises(Exception, match="failed"):
        await case.execute_update("suspend_access", {"Brindlewick": "brindle@canary-three"})


async def everything(scenario: Scenario) -> dict[str, bytes]:
    """All output: histories, the server's answers and store, the log and the audit trail."""
    system, client = scenario.system, scenario.system.client
    places: dict[str, bytes] = {}
    async for each in client.list_workflows(""):
        handle = client.get_workflow_handle(each.id, run_id=each.run_id)
        history = [event async for event in handle.fetch_history_events()]
        places[f"history of {each.id}"] = b"".join(e.SerializeToString() for e in history)
        description = (await handle.describe()).raw_description
        places[f"description of {each.id}"] = description.SerializeToString()
        queries = {"Assis": ("status", "snapshot"), "Roste": ("progress",)}
        for query in (*queries.get((each.workflow_type or "")[:5], ()), "__stack_trace",
                      "__temporal_workflow_metadata"):  # fmt: skip
            answer = await handle.query(query)
            places[f"{query} of {each.id}"] = repr(answer).encode()
    schedule = await client.get_schedule_handle(DIGEST_SCHEDULE).describe()
    places["schedule"] = schedule.raw_description.SerializeToString()
    for path in scenario.folder.glob("temporal.db*"):
        places[path.name] = path.read_bytes()
    places["worker log"] = (scenario.folder / "worker.log").read_bytes()
    tables = await records(system.database)
    places["audit"], replies = tables["auditentry"], tables["maildelivery"]
    places["relay's replies"] = b"".join(re.findall(rb"'(\d{3} [^']*)'", replies))
    return places


@pytest.mark.usefixtures("patient")
async def test_a_whole_run_tells_nobodys_name_and_no_secret(
    records_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    async with running(records_url, tmp_path, monkeypatch, capsys) as scenario:
        await play(scenario)
        places = await everything(scenario)
        tables = await records(scenario.system.database)
    personal = [value for kind in PEOPLE.values() for value in kind]
    assert len(places) > 20
    assert found_in(places, personal) == []
    # The server stores what a system sends by mistake before the workflow can refuse it.
    repeated = [where for _, where in found_in(places, [SENT_BY_MISTAKE])]
    assert all(place.startswith(("history", "temporal.db")) for place in repeated), repeated
    tables["printed"] = "".join(scenario.said).encode()
    assert found_in(places | tables, scenario.secrets) == []
    # The search works: it finds people's data in the places where they belong.
    assert {"Quillfeather", "corrected@canary-new.example.org"} <= {
        value for value, _ in found_in(tables, personal)
    }
    mails = "".join(body_of(mail) for mail in scenario.system.inbox.messages())
    assert all(secret in mails for secret in scenario.secrets[len(SECRETS) :])


def test_an_error_of_the_database_repeats_no_value(records_url: str) -> None:
    async def twice() -> None:
        database = Database(records_url)
        try:
            async with database.transaction() as session:
                for each in "12":
                    session.add(Actor(id=each, email="ann@x.org", mailbox_key="ann@x.org"))
        finally:
            await database.close()

    with pytest.raises(IntegrityError) as error:
        asyncio.run(twice())
    told = "".join(traceback.format_exception(error.value))
    assert "mailbox_key" in told
    assert "ann@x.org" not in told


async def test_a_refused_sign_in_repeats_no_password() -> None:
    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 hi\r\n")
        while line := await reader.readline():
            if line.startswith(b"EHLO"):
                writer.write(b"250-ok\r\n250 AUTH PLAIN LOGIN\r\n")
            else:
                writer.write(b"535 5.7.8 refused: " + line)
        writer.close()

    server = await asyncio.start_server(relay, "127.0.0.1", 0)
    password = SECRETS["SMTP password"]
    transport = Transport(
        host="127.0.0.1", port=server.sockets[0].getsockname()[1], username="portal",
        password=password,
    )  # fmt: skip
    with pytest.raises(MailFailure) as failure:
        await transport.send(sender="a@x.org", recipient="b@x.org", message=b"")
    assert failure.value.kind is FailureKind.CONFIGURATION
    told = "".join(traceback.format_exception(failure.value)) + repr(vars(failure.value))
    assert found_in({"error": told.encode()}, [password]) == []
    server.close()


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("ASSISTER_DATABASE_URL", "postgresql://u:canary-password@127.0.0.1:1/x"),
        ("ASSISTER_DATABASE_URL", "postgresql://u:canary-password@h:port/x"),
        ("ASSISTER_DATABASE_URL", "mysql://u:canary-password@h/x"),
        ("ASSISTER_DATABASE_URL", "canary-password"),
        ("ASSISTER_PORTAL_SECRET", "canary-password"),
        ("ASSISTER_SMTP_PORT", "canary-password"),
        ("ASSISTER_TERMS", '{"mastery": "canary-password"}'),
        ("ASSISTER_TERMS", "canary-password"),
    ],
)
async def test_a_bad_setting_is_not_repeated(
    temporal: WorkflowEnvironment,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    variable: str,
    value: str,
) -> None:
    monkeypatch.setenv("TEMPORAL_ADDRESS", temporal.client.service_client.config.target_host)
    monkeypatch.setenv("ASSISTER_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("ASSISTER_PORTAL_SECRET", "s" * 32)
    monkeypatch.setenv(variable, value)
    stop, told = asyncio.Event(), ""

    async def end_it(stop: asyncio.Event, seconds: float = 0) -> None:
        stop.set()

    # The worker logs that the database is not there yet, and tries again.
    monkeypatch.setattr(worker, "_pause", end_it)
    try:
        await worker.run(Settings(_env_file=None), stop)
    except Exception as error:
        told = "".join(traceback.format_exception(error))
    assert told or stop.is_set()
    words = ["activate", "--registration-number", "x"]
    assert await asyncio.to_thread(starter.main, words) in (1, 2)
    assert "canary-password" not in told + "".join(capsys.readouterr())


# Private parts


def _mailed(kind: str) -> Callable[[Status], bool]:
    return lambda status: any(mail.kind == kind and mail.sent_at for mail in status.mails)


async def _described(system: System, training_id: str) -> bytes:
    description = await system.case(training_id).describe()
    told: bytes = description.raw_description.SerializeToString()
    return told


async def _run(database: Database, statement: str) -> None:
    async with database.engine.begin() as connection:
        await connection.execute(text(statement))
