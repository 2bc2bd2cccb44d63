"""Connects and wires: the Temporal client, the portal, the relay, the worker.

Programs and commands take what they need from here: each dependency is made in one place, from one
set of settings. A function imports what it wires when it is called, so a command that shows a
status need not import the database and the worker, and starts in half the time.
"""

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator, Container, Sequence
from contextlib import asynccontextmanager
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from temporalio.client import Client
from temporalio.envconfig import ClientConfig

from settings import Misconfigured, Settings
from workflows.converter import DATA_CONVERTER

if TYPE_CHECKING:
    from temporalio.runtime import Runtime
    from temporalio.worker import Interceptor

    from mail.transport import Transport
    from portal.embedded import EmbeddedPortal
    from records.database import Database

DELIVERY_MARGIN = timedelta(seconds=5)
LONGEST_GRACE = timedelta(seconds=20)
"""How long a worker that is told to end may finish its work; Kubernetes kills it after 30 s."""
STEPS_AT_ONCE = 100
"""The most steps that a worker performs at once. Mails take half of them at most, so a relay that
falls silent holds up no other step; more mails wait at their own queue."""


async def connect(*, lazy: bool = False, runtime: "Runtime | None" = None) -> Client:
    """A client for the Temporal server that the environment names, or for the local one.

    Args:
        lazy: Connects at the first use, so that a program can start while the server is away.
        runtime: The SDK's runtime, if its metrics are shown.
    """
    config = ClientConfig.load_client_connect_config()
    config.setdefault("target_host", "127.0.0.1:7233")
    interceptors = []
    if "OTEL_EXPORTER_OTLP_ENDPOINT" in os.environ:
        from telemetry import tracing

        interceptors.append(tracing())
    return await Client.connect(
        **config,
        data_converter=DATA_CONVERTER,
        lazy=lazy,
        runtime=runtime,
        interceptors=interceptors,
    )


def arc_holidays() -> Container[date]:
    """The days on which the Assister Resource Center is closed, weekends aside."""
    from policy.calendar import StateHolidays

    return StateHolidays()


def system_secret(settings: Settings) -> str:
    """The secret from which registration numbers and the secrets of events are derived."""
    from portal.secret import portal_secret

    return settings.portal_secret.get_secret_value() or portal_secret(settings.data_dir)


def make_portal(settings: Settings, database: "Database") -> "EmbeddedPortal":
    """The portal that the settings name."""
    if not settings.scim_url:
        from portal.embedded import EmbeddedPortal

        return EmbeddedPortal(database, system_secret(settings))
    from portal.scim import ScimDirectory, ScimPortal

    directory = ScimDirectory(settings.scim_url, settings.scim_token.get_secret_value())
    return ScimPortal(database, system_secret(settings), directory)


async def check_secret(portal: "EmbeddedPortal") -> None:
    """Refuses to start with a secret that would derive other numbers than those on record.

    Raises:
        Misconfigured: If the open registration numbers were made with another secret.
    """
    if not await portal.has_its_secret():
        raise Misconfigured(
            "ASSISTER_PORTAL_SECRET: the open registration numbers were made with another secret."
            " Set that one again: with this one wrong numbers would be mailed, and nobody could"
            " activate an account"
        )


def make_transport(settings: Settings) -> "Transport":
    """The relay that the settings name."""
    from mail.transport import Transport

    return Transport(
        host=settings.smtp_host,
        port=settings.smtp_port,
        security=settings.smtp_security,
        username=settings.smtp_username,
        password=settings.smtp_password.get_secret_value(),
        connections=settings.smtp_connections,
        timeout=settings.smtp_timeout,
    )


def build_id() -> str:
    """The build id: a hash of the code that workflows replay.

    The SDK's own build id is a hash of all modules, which takes two seconds at each start.
    """
    here = Path(__file__).parent
    code = sorted([*here.glob("workflows/*.py"), *here.glob("policy/*.py")])
    return hashlib.sha256(b"".join(each.read_bytes() for each in code)).hexdigest()[:16]


def _versioned() -> dict[str, Any]:
    """A worker's options that name its code.

    If ``TEMPORAL_DEPLOYMENT_NAME`` is set, as on Kubernetes, the code is a version of that
    deployment. Cases move to the current version at their next task: a pinned case would stop once
    the workers of its version are gone.
    """
    from temporalio.common import VersioningBehavior, WorkerDeploymentVersion
    from temporalio.worker import WorkerDeploymentConfig

    name = os.environ.get("TEMPORAL_DEPLOYMENT_NAME")
    if not name:
        return {"build_id": build_id()}
    version = os.environ.get("TEMPORAL_WORKER_BUILD_ID") or build_id()
    return {
        "deployment_config": WorkerDeploymentConfig(
            version=WorkerDeploymentVersion(name, version),
            use_worker_versioning=True,
            default_versioning_behavior=VersioningBehavior.AUTO_UPGRADE,
        )
    }


@asynccontextmanager
async def make_worker(
    client: Client,
    settings: Settings,
    database: "Database",
    portal: "EmbeddedPortal",
    transport: "Transport",
    interceptors: "Sequence[Interceptor]" = (),
) -> AsyncIterator[None]:
    """A worker for the workflows and every step, and one for mails, until the context ends."""
    from temporalio.worker import UnsandboxedWorkflowRunner, Worker

    from activities.access import AccessActivities
    from activities.digest import DigestActivities
    from activities.intake import IntakeActivities
    from activities.letters import Letterhead
    from activities.mail import MailActivities
    from workflows import steps
    from workflows.assister_access import AssisterAccess
    from workflows.attention_digest import AttentionDigest
    from workflows.roster_intake import RosterIntake

    letterhead = Letterhead(
        sender=settings.mail_from,
        sender_name="MNsure Assister Resource Center",
        arc_email=settings.arc_email,
        arc_phone=settings.arc_phone,
        portal_url=settings.portal_url,
        gateway_url=settings.gateway_url,
        ui_url=settings.ui_url,
        namespace=client.namespace,
        rejected_rows=settings.summary_rows,
    )
    holidays = arc_holidays()
    access = AccessActivities(database, portal, holidays)
    mail = MailActivities(
        database,
        portal,
        transport,
        letterhead,
        timedelta(seconds=settings.smtp_timeout) + DELIVERY_MARGIN,
        # The rate is that of the queue; a mail that passes it by would not be counted.
        room=asyncio.Semaphore(0 if settings.smtp_rate else STEPS_AT_ONCE // 2),
    )
    intake = IntakeActivities(database, portal, client, settings.task_queue, holidays)
    versioned = _versioned()
    grace = min(timedelta(seconds=settings.smtp_timeout), LONGEST_GRACE)
    mails = Worker(
        client,
        task_queue=steps.SEND_MAIL.queue(settings.task_queue),
        activities=[mail.send_mail],
        # While half of them talk to the relay, the others use the records. More would only wait
        # here for a connection until they time out.
        max_concurrent_activities=2 * settings.smtp_connections,
        max_task_queue_activities_per_second=settings.smtp_rate or None,
        interceptors=interceptors,
        **versioned,
        graceful_shutdown_timeout=grace,
    )
    steps_and_workflows = Worker(
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
            access.record_orders,
            mail.send_mail_at_once,
            intake.judge_roster,
            intake.open_cases,
            DigestActivities(client, database).list_attention,
        ],
        max_concurrent_activities=STEPS_AT_ONCE,
        interceptors=interceptors,
        # The sandbox took a third of a workflow task. What it refuses, tests refuse: they replay
        # the histories in it, and look through the source (tests/test_determinism.py).
        workflow_runner=UnsandboxedWorkflowRunner(),
        **versioned,
        graceful_shutdown_timeout=grace,
    )
    async with mails, steps_and_workflows:
        yield
