"""Windows of a browser on the gateway's pages, and what must hold for each page."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from axe_playwright_python.async_playwright import Axe  # type: ignore[import-untyped]
from playwright.async_api import Browser, Page

from tests.support.gateway import LINK, Gateway
from tests.support.system import System, eventually

NARROW, WIDE = 320, 1280


RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


@asynccontextmanager
async def window(
    chromium: Browser, gateway: Gateway, width: int, scripts: bool
) -> AsyncIterator[Page]:
    context = await chromium.new_context(
        base_url=gateway.url,
        viewport={"width": width, "height": 900},
        java_script_enabled=scripts,
        color_scheme="light" if width == NARROW else "dark",
        # The pages allow no script at all; axe is one.
        bypass_csp=scripts,
    )
    yield await context.new_page()
    await context.close()


async def looked_at(page: Page, scripts: bool) -> None:
    """No violation of any rule, and nothing to scroll sideways."""
    if not scripts:
        return
    result = await Axe().run(page, options={"runOnly": {"type": "tag", "values": RULES}})
    assert not result.violations_count, result.generate_report()
    sideways = await page.evaluate(
        "document.documentElement.scrollWidth > document.documentElement.clientWidth"
    )
    assert not sideways, page.url


BOTH = pytest.mark.parametrize(
    ("width", "scripts"), [(NARROW, False), (NARROW, True), (WIDE, True)]
)


async def link_to(system: System, address: str) -> str:
    """The link in somebody's newest mail."""

    async def mails() -> list[tuple[str, str]]:
        return [each for each in system.mails(to=address) if LINK.search(each[1])]

    found = LINK.search((await eventually(mails, bool))[-1][1])
    assert found is not None
    return found[0]
