"""Checks for what is often wrong in a new installation, and what to do about it."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from email.utils import format_datetime, make_msgid
from itertools import chain
from typing import Annotated

import aiosmtplib
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from cyclopts import Parameter
from sqlalchemy import Connection, text
from sqlalchemy.exc import SQLAlchemyError
from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import (
    DescribeNamespaceRequest,
    DescribeTaskQueueRequest,
    GetClusterInfoRequest,
)
from temporalio.client import Client
from temporalio.service import RPCError

import bootstrap
from commands import console
from commands.session import Json, Session, print_json, session
from mail.failures import MailFailure, classify
from mail.transport import Security
from records.schema import config, of_later_release
from services import Refused
from telemetry import version
from workflows.contract import DIGEST_SCHEDULE
from workflows.readiness import NotReady, check_server
from workflows.steps import SEND_MAIL

PATIENCE = 6.0
"""Seconds for one check; Temporal, the database and the relay are checked at the same time."""
LONGEST_SKEW = timedelta(seconds=5)
SHORTEST_RETENTION = timedelta(days=30)

TestMail = Annotated[
    str, Parameter(name="--mail", help="Send a test mail to this address.", show_default=False)
]


class Wrong(Exception):
    """A check failed; the text says what is wrong and what to do."""


@dataclass(frozen=True)
class Finding:
    """The result of one check; ``ok`` is None if it could not be made."""

    check: str
    ok: bool | None
    says: str


async def doctor(*, mail: TestMail = "", json: Json = False) -> None:
    """Check this installation: a line for each check, and what to do if it fails.

    Exit code 0: all is well; 1: a check failed. With --mail it also sends a mail.

    Example: starter.py doctor --mail you@example.org
    """
    async with session() as here:
        findings = await _examine(here, mail)
    if json:
        print_json({"version": version(), "checks": [asdict(each) for each in findings]})
    else:
        for each in findings:
            mark, style = {True: ("ok", "green"), False: ("WRONG", "red"), None: ("?", "yellow")}[
                each.ok
            ]
            console.out.print(
                f"{mark:5} {each.check}: {each.says}", style=style, markup=False, soft_wrap=True
            )
    if not all(each.ok for each in findings):
        raise Refused("At least one check failed; its line says what to do.")


async def _examine(here: Session, mail: str) -> list[Finding]:
    said = Finding("configuration", True, f"can be used, release {version()}")
    found = await asyncio.gather(
        _examine_temporal(here), _examine_database(here), _mails(here, mail)
    )
    return [said, *chain(*found)]


async def _examine_temporal(here: Session) -> list[Finding]:
    client: list[Client] = []

    async def connected() -> str:
        client.append(await bootstrap.connect())
        return await _temporal(client[0])

    findings = [await _checked("Temporal", connected)]
    for name, check in (
        ("namespace", lambda: _namespace(client[0])),
        ("search attributes", lambda: _search_attributes(client[0])),
        ("digest", lambda: _digest(client[0])),
        ("workers", lambda: _workers(client[0], here.settings.task_queue)),
    ):
        findings.append(
            await _checked(name, check)
            if client
            else Finding(name, None, "not checked: Temporal is away")
        )
    return findings


async def _examine_database(here: Session) -> list[Finding]:
    found = await _checked("database", lambda: _database(here))
    findings = [found]
    for name, check in (
        ("schema", lambda: _schema(here)),
        ("clock", lambda: _clock(here)),
        ("portal secret", lambda: _secret(here)),
    ):
        findings.append(
            await _checked(name, check)
            if found.ok
            else Finding(name, None, "not checked: the database is away")
        )
    return findings


async def _mails(here: Session, mail: str) -> list[Finding]:
    findings = [await _checked("relay", lambda: _relay(here))]
    if mail:
        findings.append(await _checked("test mail", lambda: _test_mail(here, mail)))
    return findings


async def _checked(name: str, check: Callable[[], Awaitable[str]]) -> Finding:
    try:
        async with asyncio.timeout(PATIENCE):
            return Finding(name, True, await check())
    except (Wrong, Refused, NotReady) as wrong:
        return Finding(name, False, str(wrong))
    except MailFailure as failure:
        return Finding(name, False, failure.summary)
    except TimeoutError:
        return Finding(name, False, f"no answer within {PATIENCE:.0f} seconds")
    except RPCError as error:
        return Finding(name, False, f"Temporal says {error.status.name}: {error.message}")
    except (SQLAlchemyError, RuntimeError, OSError) as error:
        # The first line only: drivers add statements and addresses.
        return Finding(name, False, f"{type(error).__name__}: {str(error).partition(chr(10))[0]}")


async def _temporal(client: Client) -> str:
    about = await client.workflow_service.get_cluster_info(GetClusterInfoRequest())
    return (
        f"{client.service_client.config.target_host}, server {about.server_version},"
        f" {about.persistence_store}, {about.history_shard_count} history shards"
    )


async def _namespace(client: Client) -> str:
    try:
        about = await client.workflow_service.describe_namespace(
            DescribeNamespaceRequest(namespace=client.namespace)
        )
    except RPCError:
        await check_server(client)
        raise
    retention = about.config.workflow_execution_retention_ttl.ToTimedelta()
    if retention < SHORTEST_RETENTION:
        raise Wrong(
            f"{client.namespace} forgets closed cases after {retention.days} days; 90 are better:"
            f" temporal operator namespace update --namespace {client.namespace} --retention 90d"
        )
    return f"{client.namespace}, keeps closed cases for {retention.days} days"


async def _search_attributes(client: Client) -> str:
    await check_server(client)
    return "all there"


async def _digest(client: Client) -> str:
    try:
        about = await client.get_schedule_handle(DIGEST_SCHEDULE).describe()
    except RPCError:
        raise Wrong(
            f"the schedule {DIGEST_SCHEDULE} is missing; a worker makes it when it starts"
        ) from None
    if about.schedule.state.paused:
        raise Wrong(
            f"the schedule {DIGEST_SCHEDULE} is paused: nobody is told what needs a person."
            f" temporal schedule toggle --schedule-id {DIGEST_SCHEDULE} --unpause --reason …"
        )
    times = about.info.next_action_times
    return f"the next at {times[0]:%Y-%m-%d %H:%M} UTC" if times else "scheduled"


async def _workers(client: Client, task_queue: str) -> str:
    mails = SEND_MAIL.queue(task_queue)
    queues = {
        task_queue: TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW,
        mails: TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY,
    }
    found = []
    for name, kind in queues.items():
        described = await client.workflow_service.describe_task_queue(
            DescribeTaskQueueRequest(
                namespace=client.namespace, task_queue=TaskQueue(name=name), task_queue_type=kind
            )
        )
        if not described.pollers:
            raise Wrong(
                f"no worker asks the task queue {name} for work. Start `python worker.py`, or name"
                " the workers' queue in ASSISTER_TASK_QUEUE"
            )
        ahead = max(each.last_access_time.ToDatetime(UTC) for each in described.pollers)
        if ahead - datetime.now(UTC) > LONGEST_SKEW:
            raise Wrong("Temporal's clock is ahead of this machine's; set both by NTP")
        found.append(f"{len({each.identity for each in described.pollers})} at {name}")
    return ", ".join(found)


async def _database(here: Session) -> str:
    try:
        async with here.database.engine.connect() as connection:
            if connection.dialect.name != "postgresql":
                return f"{connection.dialect.name}, for one machine"
            return f"PostgreSQL {(await connection.execute(text('SHOW server_version'))).scalar()}"
    except TypeError:
        # In SQL_ASCII the driver returns bytes for text, and SQLAlchemy cannot read the version.
        raise Wrong("its encoding is not UTF8: make it anew with ENCODING 'UTF8'") from None


async def _schema(here: Session) -> str:
    script = ScriptDirectory.from_config(config(here.settings.records_url))
    newest = script.get_current_head()

    def current(connection: Connection) -> str | None:
        return MigrationContext.configure(connection).get_current_revision()

    async with here.database.engine.connect() as connection:
        found = await connection.run_sync(current)
    if found is not None and of_later_release(script, [found]):
        return f"version {found}, of a later release: this one runs on it"
    if found != newest:
        raise Wrong(f"version {found or 'none'}, this release needs {newest}: starter.py migrate")
    return f"version {found}"


async def _clock(here: Session) -> str:
    async with here.database.engine.connect() as connection:
        if connection.dialect.name != "postgresql":
            return "the database has none of its own"
        before = datetime.now(UTC)
        theirs: datetime = (await connection.execute(text("SELECT clock_timestamp()"))).scalar_one()
    # The database read its clock at some moment in between: a slow answer makes no skew.
    skew = max(before - theirs, theirs - datetime.now(UTC), timedelta())
    if skew > LONGEST_SKEW:
        raise Wrong(
            f"{skew.total_seconds():.0f} s apart from the database's; set both clocks by NTP"
        )
    return f"{skew.total_seconds():.1f} s apart from the database's"


async def _secret(here: Session) -> str:
    portal = bootstrap.make_portal(here.settings, here.database)
    if not await portal.has_its_secret():
        raise Wrong(
            "the registration numbers on record were made with another secret: set"
            " ASSISTER_PORTAL_SECRET to that one, or nobody can activate an account"
        )
    if not here.settings.portal_secret.get_secret_value():
        return "made in the data folder; back it up"
    return "set"


async def _relay(here: Session) -> str:
    settings = here.settings
    client = aiosmtplib.SMTP(
        hostname=settings.smtp_host,
        port=settings.smtp_port,
        use_tls=settings.smtp_security is Security.IMPLICIT,
        start_tls=settings.smtp_security is Security.STARTTLS,
        username=settings.smtp_username or None,
        password=settings.smtp_password.get_secret_value() or None,
        timeout=PATIENCE,
    )
    try:
        await client.connect()
    except Exception as error:
        raise classify(error, data_begun=False) from None
    finally:
        client.close()
    signed_in = ", signed in" if settings.smtp_username else ""
    return f"{settings.smtp_host}:{settings.smtp_port}, {settings.smtp_security}{signed_in}"


async def _test_mail(here: Session, address: str) -> str:
    message = EmailMessage()
    message["From"], message["To"] = here.settings.mail_from, address
    message["Subject"] = "Test mail of the assister portal access system"
    message["Date"] = format_datetime(datetime.now(UTC))
    message["Message-ID"] = make_msgid(domain=here.settings.mail_from.rpartition("@")[2])
    message.set_content("The relay takes mail. Nothing else was done.\n")
    transport = bootstrap.make_transport(here.settings)
    try:
        await transport.send(
            sender=here.settings.mail_from, recipient=address, message=message.as_bytes()
        )
    finally:
        await transport.close()
    return "the relay has taken it"
