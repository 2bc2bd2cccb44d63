"""The portal over a SCIM directory: a whole case, faults of the directory, and late commands."""

import asyncio
import json
import os
import shutil
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import httpx2
import pytest
from pydantic import SecretStr

from activities.relay import relay_activations
from embedded.web_ui import free_port
from portal.directory import PortalRefused, StaleCommand
from portal.scim import DirectoryUnavailable, ScimDirectory, ScimPortal
from records.database import Database
from tests.conftest import MakeSystem
from tests.support.conditions import in_stage
from tests.support.system import (
    SECRET,
    System,
    eventually,
    meet_requirements,
    new_training_id,
    no_access,
    record_people,
)

TOKEN = "a-token-of-the-tests"
REQUEST = httpx2.AsyncClient
SCIMMY = """
const express = require('express');
const {default: SCIMMYRouters} = require('scimmy-routers');
const SCIMMY = require('scimmy').default;
const users = new Map();
SCIMMY.Resources.declare(SCIMMY.Resources.User)
  .ingress(async (resource, data) => {
    const id = resource.id ?? String(users.size + 1);
    for (const other of users.values())
      if (other.id !== id && other.userName === data.userName)
        throw new SCIMMY.Types.Error(409, 'uniqueness', 'taken');
    users.set(id, {...data, id}); return users.get(id);
  })
  .egress(async (resource) => resource.id ? users.get(resource.id) : [...users.values()])
  .degress((resource) => users.delete(resource.id));
const app = express();
app.use('/scim', new SCIMMYRouters({type: 'bearer', handler: (request) => {
  if (request.header('Authorization') !== 'Bearer ' + process.argv[2]) throw new Error('no');
  return 'us'; }}));
app.listen(Number(process.argv[1]), '127.0.0.1');
"""
HAS_SCIMMY = (
    shutil.which("node") and Path(os.environ.get("NODE_PATH", ""), "scimmy-routers").is_dir()
)
DIRECTORIES = ["scim2-server", "scimmy-routers"]


@asynccontextmanager
async def directory(name: str) -> AsyncIterator[str]:
    """Runs a directory; gives its address."""
    port = free_port()
    if name == "scim2-server":
        command = [str(Path(sys.executable).parent / name), "--port", str(port)]
        command += ["--bearer-token", TOKEN]
        url = f"http://127.0.0.1:{port}/v2"
    else:
        if not HAS_SCIMMY:
            pytest.skip("no node, or no npm package scimmy-routers where NODE_PATH says")
        command = ["node", "-e", SCIMMY, str(port), TOKEN]
        url = f"http://127.0.0.1:{port}/scim"
    process = await asyncio.create_subprocess_exec(*command, stdout=-3, stderr=-3)
    try:
        await eventually(partial(users, url), lambda found: found is not None)
        yield url
    finally:
        process.terminate()
        await process.wait()


async def users(url: str) -> list[dict[str, Any]] | None:
    """The users of a directory; None while it does not answer."""
    try:
        headers = {"Authorization": f"Bearer {TOKEN}"}
        async with httpx2.AsyncClient(headers=headers, timeout=60) as http:
            answer = await http.get(f"{url}/Users")
    except httpx2.TransportError:
        return None
    return answer.json().get("Resources", []) if answer.is_success else None


@pytest.mark.parametrize("name", DIRECTORIES)
async def test_the_whole_way(
    make_system: MakeSystem, sqlite_url: str, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr("portal.scim.TIMEOUT", 60.0)
    training_id = new_training_id()
    async with directory(name) as url:
        system = await make_system(sqlite_url, scim_url=url, scim_token=SecretStr(TOKEN))
        await record_people(system.database, training_id)
        await meet_requirements(system, training_id)

        async def active() -> list[Any]:
            found = await users(url) or []
            return [e.get("active") for e in found if e["externalId"] == training_id]

        await eventually(active, [False].__eq__)
        await _activate(system, training_id)
        await eventually(active, [True].__eq__)
        await system.until(training_id, in_stage("active"))
        await system.tell(training_id, "roster_recorded", no_access())
        await system.until(training_id, in_stage("suspended"))
        await eventually(active, [False].__eq__)


async def _activate(system: System, training_id: str) -> None:
    number = await system.portal.registration_number(training_id, 1)
    await system.portal.activate(number)
    settings = system.settings
    await relay_activations(system.portal, system.client, settings.task_queue, settings.terms)


class Faulty:
    """A directory with one user, whose answers a test can replace."""

    def __init__(self) -> None:
        self.user: dict[str, Any] | None = None
        self.version = 0
        self.before: Callable[[str], Awaitable[int | None]] = self._nothing
        self.after: Callable[[str], Awaitable[int | None]] = self._nothing
        self.etags = True

    async def _nothing(self, method: str) -> int | None:
        del method
        return None

    async def answer(self, request: httpx2.Request) -> httpx2.Response:
        if status := await self.before(request.method):
            return httpx2.Response(status)
        made = self._answer(request)
        if status := await self.after(request.method):
            return httpx2.Response(status)
        return made

    def _answer(self, request: httpx2.Request) -> httpx2.Response:
        if request.method == "GET":
            return httpx2.Response(200, json={"Resources": [self.shown] if self.user else []})
        sent = json.loads(request.content)
        if request.method == "POST":
            if self.user:
                return httpx2.Response(409, json={})
            self.user = sent | {"id": "1"}
            return httpx2.Response(201, json=self.shown)
        match = request.headers.get("if-match")
        if match and match != f'W/"{self.version}"':
            return httpx2.Response(412, json={})
        self.change(sent["Operations"][0]["value"])
        return httpx2.Response(204)

    def change(self, active: bool) -> None:
        assert self.user
        self.user["active"] = active
        self.version += 1

    @property
    def shown(self) -> dict[str, Any]:
        assert self.user
        version = {"meta": {"version": f'W/"{self.version}"'}} if self.etags else {}
        return self.user | version


@pytest.fixture
def faulty(monkeypatch: pytest.MonkeyPatch) -> Faulty:
    made = Faulty()
    transport = httpx2.MockTransport(made.answer)
    client = partial(REQUEST, transport=transport)
    monkeypatch.setattr("portal.scim.httpx2.AsyncClient", client)
    return made


@pytest.fixture
async def portal(sqlite_url: str) -> AsyncIterator[ScimPortal]:
    database = Database(sqlite_url)
    yield ScimPortal(database, SECRET, ScimDirectory("http://directory.example.org/v2", TOKEN))
    await database.close()


SOON = datetime.now(UTC) + timedelta(days=7)


async def activated(portal: ScimPortal) -> None:
    await portal.enroll("NAV1001", 1, SOON, {})
    await portal.activate(await portal.registration_number("NAV1001", 1))


async def test_what_happened_though_its_answer_was_lost_is_not_done_twice(
    portal: ScimPortal, faulty: Faulty
) -> None:
    async def lost(method: str) -> int | None:
        return 504 if method != "GET" else None

    faulty.after = lost
    with pytest.raises(DirectoryUnavailable):
        await portal.enroll("NAV1001", 1, SOON, {})
    made = faulty.user
    # The repeated command finds the account, and makes or issues nothing.
    state = await portal.enroll("NAV1001", 1, SOON, {})
    assert (faulty.user, state.registration) == (made, 1)


@pytest.mark.parametrize("status", [401, 429, 500, 503])
async def test_a_directory_that_is_away_is_asked_again(
    portal: ScimPortal, faulty: Faulty, status: int
) -> None:
    async def away(method: str) -> int | None:
        del method
        return status

    faulty.before = away
    with pytest.raises(DirectoryUnavailable):
        await portal.enroll("NAV1001", 1, SOON, {})
    faulty.before = faulty._nothing
    await activated(portal)
    faulty.before = away
    # The case is not told of an activation that the directory does not know.
    assert await portal.unreported() == []
    faulty.before = faulty._nothing
    assert [activation.training_id for activation in await portal.unreported()] == ["NAV1001"]
    assert faulty.shown["active"] is True


async def test_a_suspension_is_not_undone_by_who_comes_late(
    portal: ScimPortal, faulty: Faulty
) -> None:
    await activated(portal)

    async def overtaken(method: str) -> int | None:
        # A suspension overtakes the activation on its way to the directory.
        if method == "PATCH":
            faulty.before = faulty._nothing
            await portal.suspend("NAV1001", 2, "a test")
            assert faulty.shown["active"] is False
        return None

    faulty.before = overtaken
    await portal.unreported()
    assert faulty.shown["active"] is False
    with pytest.raises(StaleCommand):
        await portal.reinstate("NAV1001", 1, {})
    assert faulty.shown["active"] is False


async def test_nor_in_a_directory_without_versions(portal: ScimPortal, faulty: Faulty) -> None:
    faulty.etags = False
    await test_a_suspension_is_not_undone_by_who_comes_late(portal, faulty)


async def test_another_account_under_the_name_is_never_ours(
    portal: ScimPortal, faulty: Faulty
) -> None:
    faulty.user = {"id": "1", "userName": "nav1001", "externalId": "somebody", "active": True}
    with pytest.raises(PortalRefused, match="another account"):
        await portal.enroll("NAV1001", 1, SOON, {})
    assert faulty.user["active"] is True


async def test_no_for_good_is_said(portal: ScimPortal, faulty: Faulty) -> None:
    async def no(method: str) -> int | None:
        return 400 if method == "POST" else None

    faulty.before = no
    with pytest.raises(PortalRefused, match="answered 400"):
        await portal.enroll("NAV1001", 1, SOON, {})


async def test_suspending_before_there_is_an_account_makes_none(
    portal: ScimPortal, faulty: Faulty
) -> None:
    await portal.suspend("NAV1001", 1, "a test")
    assert faulty.user is None


async def test_another_command_under_the_same_fence_leaves_the_directory(
    portal: ScimPortal, faulty: Faulty
) -> None:
    await activated(portal)
    await portal.unreported()
    await portal.suspend("NAV1001", 2, "a test")
    with pytest.raises(StaleCommand, match="carried out already: suspend"):
        await portal.reinstate("NAV1001", 2, {})
    assert faulty.shown["active"] is False
    await portal.reinstate("NAV1001", 3, {})
    assert faulty.shown["active"] is True


async def test_what_somebody_changed_in_the_directory_is_seen_and_mended(
    portal: ScimPortal, faulty: Faulty
) -> None:
    assert (await portal.account("NAV1001")).status == "none"
    await activated(portal)
    await portal.unreported()
    assert (await portal.account("NAV1001")).status == "active"
    faulty.change(active=False)
    assert (await portal.account("NAV1001")).status == "suspended"
    await portal.suspend("NAV1001", 2, "a test")
    faulty.change(active=True)
    assert (await portal.account("NAV1001")).status == "active"
    # `reconcile` does this if the case is suspended.
    await portal.suspend("NAV1001", 3, "a test")
    assert faulty.shown["active"] is False
    assert (await portal.account("NAV1001")).status == "suspended"
