"""The embedded stack: Temporal's server, an inbox and a worker, as processes of one program."""

import asyncio
import ctypes
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from temporalio.client import Client

from embedded.inbox import Inbox, mail_inbox
from embedded.temporal_server import temporal_server
from portal.secret import portal_secret
from records.schema import migrate
from settings import Settings

ROOT = Path(__file__).resolve().parent.parent
TEMPORAL_PORT = 7233
UI_PORT = 8233
RESTART_PAUSE = 0.5
GRACE = 0.8
"""Seconds for a worker to finish its work when the stack ends."""
PR_SET_PDEATHSIG = 1


class PortInUse(Exception):
    """Another program uses a port of the stack; most often it is another such stack."""


@dataclass
class Stack:
    """A running stack.

    Attributes:
        environment: What another process needs to work with it.
        workers: The process ids of the workers that were started; the last one runs.
        gateways: The same for the gateways.
    """

    client: Client
    inbox: Inbox
    settings: Settings
    environment: dict[str, str]
    workers: list[int] = field(default_factory=list)
    gateways: list[int] = field(default_factory=list)


@asynccontextmanager
async def embedded_stack(
    settings: Settings,
    *,
    temporal_port: int = TEMPORAL_PORT,
    ui_port: int = UI_PORT,
    dynamic_config: Mapping[str, str] | None = None,
) -> AsyncIterator[Stack]:
    """The stack for as long as the context is open; its data stays in the data folder.

    Args:
        dynamic_config: Settings of the Temporal server, such as ``TIME_SKIPPING``.

    Raises:
        PortInUse: If a stack, or another program, runs there already.
    """
    for port in (temporal_port, ui_port, settings.smtp_port, settings.gateway_port):
        _check_free(port)
    data = settings.data_dir.resolve()
    await asyncio.to_thread(portal_secret, data)
    await migrate(settings.records_url)
    async with (
        mail_inbox(data / "inbox", settings.smtp_port) as inbox,
        temporal_server(
            database=data / "temporal.db",
            port=temporal_port,
            ui_port=ui_port,
            dynamic_config=dynamic_config or {},
        ) as server,
    ):
        environment = {
            "TEMPORAL_ADDRESS": f"127.0.0.1:{temporal_port}",
            "ASSISTER_DATA_DIR": str(data),
            "ASSISTER_DATABASE_URL": settings.database_url,
            "ASSISTER_SMTP_PORT": str(inbox.port),
            "ASSISTER_UI_URL": f"http://127.0.0.1:{ui_port}",
            "ASSISTER_GATEWAY_PORT": str(settings.gateway_port),
            "ASSISTER_GATEWAY_URL": settings.gateway_url,
            "ASSISTER_STAFF": json.dumps(settings.staff),
            "ASSISTER_TASK_QUEUE": settings.task_queue,
            "ASSISTER_PORTAL_SECRET": settings.portal_secret.get_secret_value(),
            "TEMPORAL_NAMESPACE": server.client.namespace,
        }
        stack = Stack(server.client, inbox, settings, environment)
        kept = [
            asyncio.create_task(
                _keep([str(ROOT / "worker.py")], environment, data / "worker.log", stack.workers)
            ),
            asyncio.create_task(
                _keep(["-m", "gateway"], environment, data / "gateway.log", stack.gateways)
            ),
        ]
        try:
            yield stack
        finally:
            for each in kept:
                each.cancel()
            await asyncio.gather(*kept, return_exceptions=True)


def _check_free(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            raise PortInUse(f"port {port} is in use; does the stack run already?") from None


async def _keep(
    program: Sequence[str], environment: Mapping[str, str], log: Path, started: list[int]
) -> None:
    """Runs a program and restarts it whenever it dies."""
    with log.open("ab") as output:
        while True:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                *program,
                env=os.environ | environment | {"PYTHONPATH": str(ROOT)},
                stdout=output,
                stderr=output,
                preexec_fn=_end_with_parent,
            )
            started.append(process.pid)
            try:
                await process.wait()
                await asyncio.sleep(RESTART_PAUSE)
            finally:
                if process.returncode is None:
                    process.terminate()
                    # A worker that still waits for a mail relay is killed; the next one continues.
                    with suppress(TimeoutError):
                        await asyncio.wait_for(process.wait(), GRACE)
                    with suppress(ProcessLookupError):
                        process.kill()
                    await process.wait()


def _end_with_parent() -> None:
    """Asks Linux to end this child when its parent is gone, even if the parent was killed."""
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
