"""Browser windows on the gateway's pages, and checks that hold for every page."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from axe_playwright_python.async_playwright import Axe  # type: ignore[import-untyped]
from playwright.async_api import Browser, Page, expect

from tests.support.gateway import LINK, Gateway
from tests.support.system import AGENCY, CONTACT, System, eventually

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
        # The pages allow no script, and axe is a script.
        bypass_csp=scripts,
    )
    yield await context.new_page()
    await context.close()


async def looked_at(page: Page, scripts: bool, heading: str = "") -> None:
    """Checks that a page violates no rule and does not scroll sideways.

    Args:
        heading: The page's, if the page before may still be there.
    """
    if heading:
        await expect(page.get_by_role("heading", level=1, name=heading)).to_be_visible()
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
    """The link in the newest mail to an address."""

    async def mails() -> list[tuple[str, str]]:
        return [mail for mail in system.mails(to=address) if LINK.search(mail[1])]

    found = LINK.search((await eventually(mails, bool))[-1][1])
    assert found is not None
    return found[0]


async def look_until(page: Page, text: str) -> None:
    """Looks again at a submitted roster until its status says this."""
    await page.wait_for_url("**/rosters/*")
    while text not in await page.get_by_role("status").inner_text():
        async with page.expect_navigation():
            await page.get_by_role("link", name="Look again").click()


async def sign_in(page: Page, system: System) -> None:
    """Signs the agency's contact in with the link from their mail."""
    await page.goto("/sign-in")
    await page.get_by_label("Your e-mail address").fill(CONTACT)
    await page.get_by_role("button").click()
    await page.goto(await link_to(system, CONTACT))
    await page.get_by_role("button", name="Sign in").click()
    await expect(page.get_by_role("heading", name=f"Agency {AGENCY}")).to_be_visible()


async def check_roster(page: Page, file: Path) -> None:
    """Chooses a roster on the agency's page and has it checked."""
    await page.goto(f"/agencies/{AGENCY}")
    await page.get_by_label("The roster: a CSV file").set_input_files(file)
    await page.get_by_label("Navigators").check()
    await page.get_by_role("button", name="Check the roster").click()
