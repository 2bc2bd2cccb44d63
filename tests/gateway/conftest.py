"""A gateway on a real port, over the records and Temporal of a system under test."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import httpx2
import pytest

from gateway.server import make_server
from records.database import Database
from records.keys import Kind, make_key
from records.people import authorized_contact
from settings import Settings
from tests.support.system import AGENCY, CONTACT, System


@dataclass
class Gateway:
    """A gateway that serves.

    Attributes:
        client: Calls it, without a key.
    """

    url: str
    port: int
    settings: Settings
    database: Database
    client: httpx2.AsyncClient

    async def key(self, source: str = "learning-center") -> dict[str, str]:
        """The header that a training system sends."""
        async with self.database.transaction() as session:
            _, sent = await make_key(session, Kind.TRAINING, source, None, datetime.now(UTC))
        return {"Authorization": f"Bearer {sent}"}

    async def agency_key(self, agency: str = AGENCY, contact: str = CONTACT) -> dict[str, str]:
        """The header that an agency's program sends."""
        now = datetime.now(UTC)
        async with self.database.transaction() as session:
            contact_id = (await authorized_contact(session, agency, contact)).id
            _, sent = await make_key(session, Kind.AGENCY, agency, contact_id, now)
        return {"Authorization": f"Bearer {sent}"}


Serving = Callable[..., AbstractAsyncContextManager[Gateway]]


@asynccontextmanager
async def serving(settings: Settings) -> AsyncIterator[Gateway]:
    """A gateway with these settings, for as long as the context is open."""
    server = make_server(settings.model_copy(update={"gateway_port": 0}))
    task = asyncio.create_task(server.serve())
    while not server.started:
        assert not task.done(), "the server did not start"
        await asyncio.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    database = Database(settings.records_url)
    async with httpx2.AsyncClient(base_url=url, timeout=30) as client:
        yield Gateway(url, port, settings, database, client)
    await database.close()
    server.should_exit = True
    await task


@pytest.fixture
def serve(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., AbstractAsyncContextManager[Gateway]]:
    """Serves a gateway over the system, with other settings where a test names them."""
    monkeypatch.setenv("TEMPORAL_ADDRESS", system.client.service_client.config.target_host)

    def started(**changes: Any) -> AbstractAsyncContextManager[Gateway]:
        return serving(system.settings.model_copy(update=changes))

    return started


@pytest.fixture
async def gateway(serve: Serving) -> AsyncIterator[Gateway]:
    """A gateway as it is without configuration."""
    async with serve() as made:
        yield made


@pytest.fixture
async def gateway_document(gateway: Gateway) -> dict[str, Any]:
    """The OpenAPI document as it is served."""
    document: dict[str, Any] = (await gateway.client.get("/openapi.json")).json()
    return document
