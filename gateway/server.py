"""The gateway as a server: its connections, and how HTTP is spoken."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import h11
import uvicorn
from sqlalchemy.exc import OperationalError
from uvicorn.protocols.http.h11_impl import H11Protocol

import bootstrap
from gateway.app import create_app
from mail.transport import Transport
from records.database import Database
from records.schema import migrate
from services.connections import Connections
from settings import Misconfigured, Settings

MOST_HEADER = 32 * 2**10
"""Bytes of a request's head, beyond which the connection is closed."""
HEAD_WITHIN = 15.0
"""Seconds for the head of a request."""
SHUTDOWN = 20
"""Seconds for requests in flight to finish."""


class PatientProtocol(H11Protocol):
    """Speaks HTTP, and closes a connection whose request head does not come in time.

    Uvicorn itself would wait for a head that has begun without a limit.
    """

    _waiting: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Starts the clock for the first request."""
        super().connection_made(transport)
        self._waiting = self.loop.call_later(HEAD_WITHIN, self.transport.close)

    def data_received(self, data: bytes) -> None:
        """Starts the clock again for the next request of the connection."""
        super().data_received(data)
        if self.conn.their_state is not h11.IDLE:
            self._stop_waiting()
        elif self._waiting is None:
            self._waiting = self.loop.call_later(HEAD_WITHIN, self.transport.close)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stops the clock."""
        self._stop_waiting()
        super().connection_lost(exc)

    def _stop_waiting(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None


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
                # Lazy: results are taken while Temporal is away, and cases are told later.
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
        # h11, because httptools would accept a header of any size.
        http=PatientProtocol,
        h11_max_incomplete_event_size=MOST_HEADER,
        # Paths and queries hold tokens. The guard logs each request without them.
        access_log=False,
        log_config=None,
        server_header=False,
        timeout_graceful_shutdown=SHUTDOWN,
    )
    return uvicorn.Server(config)


async def serve(settings: Settings) -> None:
    """Serves until SIGTERM or Ctrl-C.

    Raises:
        Misconfigured: If the portal's secret differs from the one used before, or the database
            cannot be opened.
    """
    try:
        await migrate(settings.records_url)
    except OperationalError as fault:
        reason = str(fault.orig).partition("\n")[0]
        raise Misconfigured(
            f"ASSISTER_DATABASE_URL: the database cannot be opened ({reason}). Start it, or name"
            " another one; `starter.py up` runs everything with a database of its own"
        ) from None
    database = Database(settings.records_url)
    try:
        await bootstrap.check_secret(bootstrap.make_portal(settings, database))
    finally:
        await database.close()
    await make_server(settings).serve()
