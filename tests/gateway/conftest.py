"""Fixtures: a gateway on a real port, over the records and Temporal of a system under test."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest
from playwright.async_api import Browser, async_playwright, expect

from tests.browser.temporal_ui import BROWSERS, FLAGS, PATIENCE, find_browser
from tests.support.gateway import STAFF, Gateway, Serving, serving
from tests.support.system import LONG_AGO, System


@pytest.fixture
def serve(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., AbstractAsyncContextManager[Gateway]]:
    """Serves a gateway over the system, with the settings that a test changes."""
    monkeypatch.setenv("TEMPORAL_ADDRESS", system.client.service_client.config.target_host)

    def started(**changes: Any) -> AbstractAsyncContextManager[Gateway]:
        return serving(system.settings, **changes)

    return started


@pytest.fixture
def one_hour(monkeypatch: pytest.MonkeyPatch) -> None:
    """All tries are counted in one hour, also where the clock strikes in the middle of a test."""
    monkeypatch.setattr("records.visits._hour", lambda _: LONG_AGO)


@pytest.fixture
async def gateway(serve: Serving) -> AsyncIterator[Gateway]:
    """A gateway with the default settings."""
    async with serve() as made:
        yield made


@pytest.fixture
async def each_gateway(
    each_system: System, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Gateway]:
    """A gateway over each database, with one staff member who may sign in."""
    monkeypatch.setenv("TEMPORAL_ADDRESS", each_system.client.service_client.config.target_host)
    async with serving(each_system.settings, staff=(STAFF,)) as made:
        yield made


@pytest.fixture
async def gateway_document(gateway: Gateway) -> dict[str, Any]:
    """The served OpenAPI document."""
    document: dict[str, Any] = (await gateway.client.get("/openapi.json")).json()
    return document


@pytest.fixture
async def chromium() -> AsyncIterator[Browser]:
    path = find_browser()
    if path is None:
        pytest.skip(f"no Chromium on PATH under the names {', '.join(BROWSERS)}")
    expect.set_options(timeout=PATIENCE)
    async with async_playwright() as playwright:
        launched = await playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield launched
        await launched.close()
