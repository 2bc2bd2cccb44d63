"""Runs the worker, and nothing else.

SIGTERM and SIGINT stop it cleanly, within 25 seconds and with exit code 0: work in flight finishes
or is handed back. If the configuration cannot be used the exit code is 2, with a line for each
fault.
"""

import os
import signal

if __name__ == "__main__":
    # The imports below take seconds and begin nothing that needs an end. Without this, Python as
    # process 1 of a container would ignore the signal during that time.
    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, lambda *_: os._exit(0))

import asyncio
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime

import structlog
from sqlalchemy.exc import SQLAlchemyError
from temporalio.runtime import Runtime
from temporalio.service import RPCError
from temporalio.worker import Interceptor

import bootstrap
from activities.relay import relay_activations
from activities.results import relay_results
from records import audit
from records.database import Database
from records.drafts import drop_ended
from records.schema import migrate
from services.connections import Connections
from services.figures import take_figures
from settings import Misconfigured, Settings, load, take_no_arguments
from telemetry import (
    TRACES_TO,
    Gauges,
    Measured,
    Traced,
    configure_logging,
    make_runtime,
    version,
)
from workflows.client import schedule_digest
from workflows.readiness import register_search_attributes

PAUSE = 2.0
"""Seconds between two looks for activations and results that no case has been told of, and after a
fault."""
FIGURES_EVERY = 15.0
"""Seconds between two looks at the figures, if metrics are shown."""
HEAD_EVERY = 6 * 3600.0
"""Seconds between two log lines with the audit trail's head: logs are kept elsewhere, so a later
removal from the trail can be found."""
DRAFTS_EVERY = 600.0
"""Seconds between two looks for files that contacts chose on the page and did not submit."""
LONGEST_END = 24.0
"""Seconds after a signal at which the process ends in any case: another worker retries a step that
was cut off."""
FAULTS = (SQLAlchemyError, RPCError, RuntimeError, OSError)
"""Errors that pass: Temporal or the database is away, or not there yet."""


async def run(settings: Settings, stop: asyncio.Event, runtime: Runtime | None = None) -> None:
    """Runs until ``stop`` is set, also while Temporal or the database is away.

    Args:
        runtime: The SDK's runtime; None takes its default.
    """
    while not stop.is_set():
        try:
            await _run(settings, stop, runtime)
        except FAULTS as fault:
            _log("the worker cannot run, it tries again", fault)
            await _pause(stop)


async def _run(settings: Settings, stop: asyncio.Event, runtime: Runtime | None) -> None:
    client = await bootstrap.connect(runtime=runtime)
    await register_search_attributes(client)
    await migrate(settings.records_url)
    database = Database(settings.records_url)
    portal = bootstrap.make_portal(settings, database)
    transport = bootstrap.make_transport(settings)
    try:
        await bootstrap.check_secret(portal)
        await schedule_digest(client, settings.task_queue)
        queue, terms = settings.task_queue, settings.terms
        relays = [
            _keep_on(
                "activations are not relayed",
                lambda: relay_activations(portal, client, queue, terms),
                stop,
            ),
            _keep_on(
                "results are not relayed",
                lambda: relay_results(database, client, queue, terms),
                stop,
            ),
        ]
        interceptors: list[Interceptor] = [Traced()] if TRACES_TO in os.environ else []
        if runtime is not None and settings.metrics_address:
            gauges = Gauges(runtime.metric_meter)
            to = Connections(database, client, portal, queue, terms)
            interceptors.append(Measured(runtime.metric_meter))

            async def show() -> None:
                gauges.show(await take_figures(to), datetime.now(UTC))

            relays.append(_keep_on("the figures are not taken", show, stop, FIGURES_EVERY))

        async def tell_head() -> None:
            structlog.get_logger().info("audit trail", head=await audit.head(database))

        relays.append(_keep_on("the audit trail's head is not known", tell_head, stop, HEAD_EVERY))

        async def forget_drafts() -> None:
            async with database.transaction() as session:
                await drop_ended(session, datetime.now(UTC))

        relays.append(
            _keep_on("files on the page are not deleted", forget_drafts, stop, DRAFTS_EVERY)
        )
        async with bootstrap.make_worker(
            client, settings, database, portal, transport, interceptors
        ):
            structlog.get_logger().info("worker running", task_queue=queue, version=version())
            await asyncio.gather(*relays)
    finally:
        await transport.close()
        await database.close()


async def _keep_on(
    trouble: str, act: Callable[[], Awaitable[object]], stop: asyncio.Event, pause: float = PAUSE
) -> None:
    """Repeats an act until ``stop`` is set; a failure does not end the repetition.

    Args:
        trouble: The log's event for a failure.
    """
    while not stop.is_set():
        more = None
        try:
            more = await act()
        except FAULTS as fault:
            _log(f"{trouble}, it tries again", fault)
        if not more:
            await _pause(stop, pause)


async def _pause(stop: asyncio.Event, seconds: float = PAUSE) -> None:
    with suppress(TimeoutError):
        await asyncio.wait_for(stop.wait(), seconds)


def _log(event: str, fault: Exception) -> None:
    # The first line only: the SDK adds a stack, a database its statement.
    reason = str(fault).partition("\n")[0]
    structlog.get_logger().warning(event, fault=type(fault).__name__, reason=reason)


async def main() -> None:
    """The program.

    Raises:
        Misconfigured: If the configuration cannot be used.
    """
    settings = load()
    configure_logging()
    runtime = _made_runtime(settings.metrics_address)
    loop, stop = asyncio.get_running_loop(), asyncio.Event()

    def end() -> None:
        stop.set()
        loop.call_later(LONGEST_END, os._exit, 0)

    for each in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(each, end)
    await run(settings, stop, runtime)


def _made_runtime(metrics_address: str) -> Runtime:
    try:
        return make_runtime(metrics_address)
    except (ValueError, RuntimeError, OSError):
        raise Misconfigured(
            f"ASSISTER_METRICS_ADDRESS: nothing can listen at {metrics_address}"
        ) from None


if __name__ == "__main__":
    code = 0
    take_no_arguments(
        "worker.py", "Runs a worker, which works on cases and rosters, until SIGTERM or Ctrl-C."
    )
    try:
        asyncio.run(main())
    except Misconfigured as fault:
        sys.stderr.write(f"{fault}\n")
        code = 2
    sys.stdout.flush()
    sys.stderr.flush()
    # The SDK may abort at the interpreter's own exit (sdk-python 300). All is closed by now.
    os._exit(code)
