"""Temporal's own development server, from the wheel beside this interpreter or from PATH.

Only this module uses the experimental time skipping.
"""

import asyncio
import shutil
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import ExitStack, asynccontextmanager, suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from temporalio.client import Client, WorkflowHandle
from temporalio.service import RPCError
from temporalio.testing import TimeSkipper, TimeSkippingConfig, WorkflowEnvironment

from embedded.web_ui import free_port, web_ui
from workflows import search_attributes
from workflows.converter import DATA_CONVERTER

STARTUP = timedelta(seconds=30)
TIME_SKIPPING = {
    "frontend.WorkflowTimeSkippingEnabled": "true",
    "history.timerProcessorMaxTimeShift": '"10ms"',
}


def find_server() -> str | None:
    """The ``temporal`` program beside this interpreter or on PATH; None if there is none."""
    beside = Path(sys.executable).parent / "temporal"
    return str(beside) if beside.exists() else shutil.which("temporal")


@asynccontextmanager
async def temporal_server(
    *,
    database: Path | None = None,
    port: int | None = None,
    ui_port: int | None = None,
    dynamic_config: Mapping[str, str] = TIME_SKIPPING,
) -> AsyncIterator[WorkflowEnvironment]:
    """A server for as long as the context is open.

    Args:
        database: The file in which it keeps its state; None keeps none.
        ui_port: The Web UI's port; None runs no UI.
    """
    arguments = ["--ui-disable-news-fetch", "--output", "none"]
    if database is not None:
        arguments += ["--sqlite-pragma", "journal_mode=wal"]
    for name, value in dynamic_config.items():
        arguments += ["--dynamic-config-value", f"{name}={value}"]
    behind_port = None if ui_port is None else free_port()
    environment = None
    for attempt in (1, 2):
        try:
            environment = await WorkflowEnvironment.start_local(
                data_converter=DATA_CONVERTER,
                port=port,
                ui=ui_port is not None,
                ui_port=behind_port,
                search_attributes=search_attributes.ALL,
                dev_server_existing_path=find_server(),
                dev_server_database_filename=str(database) if database else None,
                dev_server_log_level="never",
                dev_server_extra_args=arguments,
                dev_server_startup_timeout=STARTUP,
            )
            break
        except RuntimeError:
            # Under load the server can miss even a long deadline once.
            if attempt == 2:
                raise
    assert environment is not None
    try:
        with ExitStack() as relay:
            if ui_port is not None and behind_port is not None:
                relay.enter_context(web_ui(ui_port, behind_port))
            yield environment
    finally:
        # A signal that ends this program reaches the server, too: it may have ended already.
        await asyncio.shield(environment.shutdown())


async def clock_of(client: Client, handle: WorkflowHandle[Any, Any]) -> datetime:
    """The workflow's own time."""
    return await _skipper(client).get_current_time(handle)


async def skip_time(client: Client, handle: WorkflowHandle[Any, Any], span: timedelta) -> None:
    """Skips ``span`` of one workflow's time; its timers fire in order."""
    skipper = _skipper(client)
    await skipper.fast_forward(handle, span)
    # A leap that is done is removed: a run that continues this one would leap again. If the
    # workflow has ended there is nothing to remove.
    with suppress(RPCError):
        await skipper._update_time_skipping_config(handle, skipper.config)


def _skipper(client: Client) -> TimeSkipper:
    return TimeSkipper(client, config=TimeSkippingConfig(enabled=False))
