"""Runs the worker: wires the dependencies, and nothing else.

Configuration comes from ``settings.py`` and, for the Temporal connection, from Temporal's own
environment variables. SIGTERM and SIGINT stop it cleanly: what is in flight finishes or is handed
back.
"""

import asyncio
import hashlib
import logging
import signal
from collections.abc import Container
from contextlib import suppress
from datetime import date, timedelta
from pathlib import Path

import holidays
import structlog
from sqlalchemy.exc import SQLAlchemyError
from temporalio import activity, workflow
from temporalio.client import Client
from temporalio.envconfig import ClientConfig
from temporalio.service import RPCError
from temporalio.worker import Worker
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions

from activities.access import AccessActivities
from activities.digest import DigestActivities
from activities.intake import IntakeActivities
from activities.letters import Letterhead
from activities.mail import MailActivities
from activities.relay import relay_activations
from embedded.secret import portal_secret
from mail.transport import Transport
from portal.embedded import EmbeddedPortal
from records.database import Database
from records.schema import migrate
from settings import Settings
from workflows.assister_access import AssisterAccess
from workflows.attention_digest import AttentionDigest
from workflows.client import schedule_digest
from workflows.refusals import DATA_CONVERTER
from workflows.roster_intake import RosterIntake

PAUSE = 2.0
"""Seconds between looks for activations that the cases have not been told of, and after a fault."""
FAULTS = (SQLAlchemyError, RPCError, RuntimeError, OSError)
"""What passes by itself: Temporal or the database is not there, or not yet."""
DELIVERY_MARGIN = timedelta(seconds=5)


async def connect() -> Client:
    """A client for the Temporal that the environment names, or the local one."""
    config = ClientConfig.load_client_connect_config()
    config.setdefault("target_host", "127.0.0.1:7233")
    return await Client.connect(**config, data_converter=DATA_CONVERTER)


def arc_holidays() -> Container[date]:
    """The days on which the Assister Resource Center is closed, weekends aside."""
    return holidays.country_holidays("US", subdiv="MN")


def make_portal(settings: Settings, database: Database) -> EmbeddedPortal:
    """The portal that the settings name."""
    secret = settings.portal_secret.get_secret_value() or portal_secret(settings.data_dir)
    return EmbeddedPortal(database, secret)


def make_transport(settings: Settings) -> Transport:
    """The relay that the settings name."""
    return Transport(
        host=settings.smtp_host,
        port=settings.smtp_port,
        security=settings.smtp_security,
        username=settings.smtp_username,
        password=settings.smtp_password.get_secret_value(),
        connections=settings.smtp_connections,
        timeout=settings.smtp_timeout,
    )


def sandbox() -> SandboxedWorkflowRunner:
    """Temporal's sandbox; importing these anew for every workflow would cost seconds each."""
    return SandboxedWorkflowRunner(
        restrictions=SandboxRestrictions.default.with_passthrough_modules(
            "policy", "pydantic", "pydantic_core", "annotated_types"
        )
    )


def build_id() -> str:
    """Names the code that decides: what it is replayed by.

    The SDK's own name is a hash of every module there is, which takes two seconds at each start.
    """
    here = Path(__file__).parent
    code = sorted([*here.glob("workflows/*.py"), *here.glob("policy/*.py")])
    return hashlib.sha256(b"".join(each.read_bytes() for each in code)).hexdigest()[:16]


def make_worker(
    client: Client,
    settings: Settings,
    database: Database,
    portal: EmbeddedPortal,
    transport: Transport,
) -> Worker:
    """A worker for both workflows and every step."""
    letterhead = Letterhead(
        sender=settings.mail_from,
        sender_name="MNsure Assister Resource Center",
        arc_email=settings.arc_email,
        arc_phone=settings.arc_phone,
        portal_url=settings.portal_url,
        ui_url=settings.ui_url,
        namespace=client.namespace,
    )
    access = AccessActivities(database, portal, arc_holidays())
    mail = MailActivities(
        database,
        portal,
        transport,
        letterhead,
        timedelta(seconds=settings.smtp_timeout) + DELIVERY_MARGIN,
    )
    intake = IntakeActivities(database, client, settings.task_queue)
    return Worker(
        client,
        task_queue=settings.task_queue,
        workflows=[AssisterAccess, RosterIntake, AttentionDigest],
        activities=[
            access.open_case,
            access.date_certification,
            access.enroll,
            access.expire_activation,
            access.suspend_access,
            access.reinstate_access,
            access.close_case,
            mail.send_mail,
            intake.judge_roster,
            intake.open_cases,
            DigestActivities(client).list_attention,
        ],
        workflow_runner=sandbox(),
        build_id=build_id(),
        graceful_shutdown_timeout=timedelta(seconds=settings.smtp_timeout),
    )


async def run(settings: Settings, stop: asyncio.Event) -> None:
    """Runs until ``stop`` is set, whatever becomes of Temporal and the database meanwhile."""
    while not stop.is_set():
        try:
            await _run(settings, stop)
        except FAULTS as fault:
            _log("the worker cannot run, it tries again", fault)
            await _pause(stop)


async def _run(settings: Settings, stop: asyncio.Event) -> None:
    client = await connect()
    await migrate(settings.records_url)
    database = Database(settings.records_url)
    portal = make_portal(settings, database)
    transport = make_transport(settings)
    try:
        await schedule_digest(client, settings.task_queue)
        async with make_worker(client, settings, database, portal, transport):
            structlog.get_logger().info("worker running", task_queue=settings.task_queue)
            while not stop.is_set():
                try:
                    await relay_activations(portal, client, settings.task_queue, settings.terms)
                except FAULTS as fault:
                    _log("activations are not relayed, it tries again", fault)
                await _pause(stop)
    finally:
        await transport.close()
        await database.close()


async def _pause(stop: asyncio.Event) -> None:
    with suppress(TimeoutError):
        await asyncio.wait_for(stop.wait(), PAUSE)


def _log(event: str, fault: Exception) -> None:
    # The first line: the SDK adds a stack of its own, a database its statement.
    reason = str(fault).partition("\n")[0]
    structlog.get_logger().warning(event, fault=type(fault).__name__, reason=reason)


def configure_logging() -> None:
    """One JSON line per event, from this code and from the libraries alike."""
    # Both would repeat ids and inputs in every message.
    workflow.logger.workflow_info_on_message = False
    activity.logger.activity_info_on_message = False
    shared: list[structlog.typing.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso"),
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
    )
    handler = logging.StreamHandler()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                structlog.processors.JSONRenderer(),
            ],
            foreign_pre_chain=shared,
        )
    )
    logging.basicConfig(level=logging.INFO, handlers=[handler])


async def main() -> None:
    """The program."""
    configure_logging()
    stop = asyncio.Event()
    for each in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(each, stop.set)
    await run(Settings(), stop)


if __name__ == "__main__":
    asyncio.run(main())
