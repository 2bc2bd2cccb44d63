"""One Chromium and one Temporal with its Web UI for all tests of this folder."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
from playwright.async_api import BrowserContext, expect
from temporalio.testing import WorkflowEnvironment

from embedded.temporal_server import TIME_SKIPPING, temporal_server
from embedded.web_ui import free_port
from tests.browser.temporal_ui import BROWSERS, PATIENCE, TemporalUi, browser, find_browser
from tests.conftest import MakeSystem
from tests.support.system import System, record_people

EVENTS_OF_A_RUN = 200
"""The limit is low, so that a case continues as a new run within a test."""


@dataclass
class Served:
    """A Temporal server, and the address of its Web UI."""

    environment: WorkflowEnvironment
    ui_url: str


@pytest.fixture(scope="session")
async def chromium() -> AsyncIterator[BrowserContext]:
    path = find_browser()
    if path is None:
        pytest.skip(f"no Chromium on PATH under the names {', '.join(BROWSERS)}")
    expect.set_options(timeout=PATIENCE)
    async with browser(path) as opened:
        yield opened


@pytest.fixture(scope="session")
async def served(chromium: BrowserContext) -> AsyncIterator[Served]:
    """A server with its UI; the tests are skipped if there is no browser."""
    del chromium
    port = free_port()
    config = {
        **TIME_SKIPPING,
        "limit.historyCount.suggestContinueAsNew": str(EVENTS_OF_A_RUN),
    }
    async with temporal_server(ui_port=port, dynamic_config=config) as environment:
        yield Served(environment, f"http://127.0.0.1:{port}")


@pytest.fixture
async def ui(chromium: BrowserContext, served: Served) -> AsyncIterator[TemporalUi]:
    """A new window on the Web UI."""
    page = await chromium.new_page()
    yield TemporalUi(page, served.ui_url)
    await page.close()


@pytest.fixture
async def system(make_system: MakeSystem, served: Served, sqlite_url: str) -> System:
    """A running system at the server with the UI, with the agency and its contact recorded."""
    made = await make_system(sqlite_url, client=served.environment.client, ui_url=served.ui_url)
    await record_people(made.database)
    return made
