"""The gateway as a server: its connections, and how HTTP is spoken."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn

import bootstrap
from gateway.app import create_app
from mail.transport import Transport
from records.database import Database
from records.schema import migrate
from services.connections import Connections
from settings import Settings

MOST_HEADER = 32 * 2**10
"""Bytes of a request's head, beyond which the connection is closed."""
SHUTDOWN = 20
"""Seconds in which what is in flight may finish."""


def make_server(settings: Settings) -> uvicorn.Server:
    """A server for the address that the settings name; port 0 takes a free one."""

    @asynccontextmanager
    async def connected() -> AsyncIterator[tuple[Connections, Transport]]:
        await migrate(settings.records_url)
        database = Database(settings.records_url)
        transport = bootstrap.make_transport(settings)
        try:
            made = Connections(
                database,
                # Results are taken while Temporal is away: its cases are told later.
                await bootstrap.connect(lazy=True),
                bootstrap.make_portal(settings, database),
                settings.task_queue,
                settings.terms,
            )
            yield made, transport
        finally:
            await transport.close()
            await database.close()

    config = uvicorn.Config(
        create_app(settings, connected),
        host=settings.gateway_host,
        port=settings.gateway_port,
        forwarded_allow_ips=settings.gateway_proxies,
        # httptools would take a header of any size.
        http="h11",
        h11_max_incomplete_event_size=MOST_HEADER,
        # Paths and queries hold tokens; the guard logs each request without them.
        access_log=False,
        log_config=None,
        server_header=False,
        timeout_graceful_shutdown=SHUTDOWN,
    )
    return uvicorn.Server(config)


async def serve(settings: Settings) -> None:
    """Serves until SIGTERM or Ctrl-C."""
    await make_server(settings).serve()
