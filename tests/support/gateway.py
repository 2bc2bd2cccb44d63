"""A gateway on a real port, and clients that call it."""

import asyncio
import re
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

import httpx2

from gateway.server import make_server
from records.database import Database
from records.keys import Kind, make_key
from records.people import authorized_contact, record_agency
from settings import Settings
from tests.support.system import (
    AGENCY,
    CONTACT,
    System,
    eventually,
    meet_requirements,
    new_training_id,
    record_people,
)


@dataclass
class Gateway:
    """A running gateway.

    Attributes:
        client: A client without a key.
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

    def browser(self) -> httpx2.AsyncClient:
        """A client that keeps cookies and sends ``Sec-Fetch-Site``, as a browser does."""
        headers = {"Accept": "text/html", "Sec-Fetch-Site": "same-origin"}
        return httpx2.AsyncClient(base_url=self.url, headers=headers, timeout=30)

    async def signed_in(self, system: System, email: str = CONTACT) -> httpx2.AsyncClient:
        """A browser in which a person has signed in with the link from their mail."""
        browser = self.browser()
        before = len(system.mails(to=email))
        assert (await browser.post("/sign-in", data={"email": email})).status_code == 200
        mails = await eventually(partial(_mails, system, email), lambda e: len(e) > before)
        link = LINK.search(mails[-1][1])
        assert link is not None
        assert (await browser.get(link[0])).status_code == 200
        assert (await browser.post(link[0])).status_code == 303
        return browser


LINK = re.compile(r"http://\S+/sign-in/\S+")
TOKEN = re.compile(r'name="token" value="(\w+)"')


async def _mails(system: System, email: str) -> list[tuple[str, str]]:
    return system.mails(to=email)


def token_of(page: httpx2.Response) -> str:
    """The token in the forms of a page."""
    found = TOKEN.search(page.text)
    assert found is not None, page.text
    return found[1]


Serving = Callable[..., AbstractAsyncContextManager[Gateway]]


@asynccontextmanager
async def serving(settings: Settings, **changes: Any) -> AsyncIterator[Gateway]:
    """Runs a gateway with these settings and changes while the context is open.

    It takes its port at once: another program could take a free one while the gateway starts.
    """
    listening = socket.create_server(("127.0.0.1", 0))
    port = listening.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    where = {"gateway_port": port, "gateway_url": url}
    settings = settings.model_copy(update=where | changes)
    server = make_server(settings)
    task = asyncio.create_task(server.serve(sockets=[listening]))
    while not server.started:
        assert not task.done(), "the server did not start"
        await asyncio.sleep(0.01)
    database = Database(settings.records_url)
    async with httpx2.AsyncClient(base_url=url, timeout=30) as client:
        yield Gateway(url, port, settings, database, client)
    await database.close()
    server.should_exit = True
    await task


STAFF = "staff@arc.example.org"
OTHER = ("AG-200", "lou@other.example.org")


async def other_agency(gateway: Gateway) -> dict[str, str]:
    async with gateway.database.transaction() as session:
        await record_agency(session, OTHER[0], "Other", [("Lou", OTHER[1])])
    return await gateway.agency_key(*OTHER)


NUMBER = re.compile(r"REGISTRATION NUMBER: (\S+)")


async def waiting(system: System) -> tuple[str, str]:
    """Brings a case to the activation; returns its Training ID and the registration number."""
    training_id = new_training_id()
    await record_people(system.database, training_id)
    await meet_requirements(system, training_id)
    found = NUMBER.search(system.mails(to=f"{training_id.lower()}@")[-1][1])
    assert found is not None
    return training_id, found[1]
