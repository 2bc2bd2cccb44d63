"""The Temporal Web UI as a person at a browser uses it; for the tests and the pictures."""

import re
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Literal

from playwright.async_api import BrowserContext, FrameLocator, Locator, Page, async_playwright

from workflows.lists import case_link, link

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)
PATIENCE = 40_000
"""Milliseconds until something on a page counts as missing."""

Message = Literal["Signal", "Update"]


def find_browser() -> str | None:
    """The path of a Chromium on PATH; None if there is none."""
    return next((path for name in BROWSERS if (path := shutil.which(name))), None)


@asynccontextmanager
async def browser(path: str) -> AsyncIterator[BrowserContext]:
    """Runs a Chromium with Minnesota's time zone while the context is open."""
    async with async_playwright() as playwright:
        launched = await playwright.chromium.launch(executable_path=path, args=FLAGS)
        try:
            opened = await launched.new_context(
                viewport={"width": 1280, "height": 1000},
                timezone_id="America/Chicago",
                locale="en-US",
                reduced_motion="reduce",
            )
            opened.set_default_timeout(PATIENCE)
            yield opened
        finally:
            await launched.close()


@dataclass
class TemporalUi:
    """A window on the UI."""

    page: Page
    url: str
    namespace: str = "default"

    async def open_list(self, query: str) -> None:
        """Opens a ready-made list."""
        await self.page.goto(link(self.url, self.namespace, query))

    def row(self, workflow_id: str) -> Locator:
        """The link to a case in a list."""
        return self.page.get_by_role("link", name=workflow_id, exact=True)

    async def open_case(self, workflow_id: str) -> None:
        """Opens the details of a case's latest run, through the link that mails carry."""
        await self.page.goto(case_link(self.url, self.namespace, workflow_id))
        await self.open_tab("user-metadata")

    async def open_tab(self, name: str) -> None:
        """Opens a tab of the case."""
        await self.page.get_by_test_id(f"{name}-tab").click()

    @property
    def details(self) -> Locator:
        """The case's details on the tab User Metadata."""
        return self._details_frame.locator("body")

    @property
    def _details_frame(self) -> FrameLocator:
        return self.page.frame_locator('iframe[title="output"]').last

    async def actions(self) -> list[str]:
        """The entries of the menu More Actions."""
        await self.page.get_by_role("button", name="More Actions").click()
        items = self.page.get_by_role("menuitem")
        # Unlike a click, reading does not wait: a menu that is not open yet has no entries.
        await items.first.wait_for()
        offered = [text.strip() for text in await items.all_inner_texts()]
        await self.page.keyboard.press("Escape")
        return offered

    async def open_dialog(self, message: Message) -> Locator:
        """Opens the dialog that sends a signal or an update."""
        await self.page.get_by_role("button", name="More Actions").click()
        await self.page.get_by_role("menuitem", name=f" {message}").click()
        dialog = self.page.locator("dialog[open]")
        await dialog.get_by_test_id(f"{message.lower()}-select-button").click()
        return dialog

    async def choose(self, dialog: Locator, name: str) -> str:
        """Picks a message in an open dialog; returns its description."""
        option = dialog.get_by_role("option", name=re.compile(rf"^{name}\b"))
        described = await option.inner_text()
        await option.click()
        return described

    async def fill(self, dialog: Locator, data: str) -> None:
        """Pastes into an open dialog."""
        box = dialog.get_by_role("textbox", name="Data")
        await box.fill(data)
        # Leaving the box reformats the text, and the button moves: a click now would miss it.
        await box.blur()

    async def submit(self, dialog: Locator) -> str:
        """Submits the dialog; returns the error that it shows, or nothing if it closed."""
        await dialog.get_by_test_id("confirm-modal-button").click()
        await self.page.wait_for_function(
            """() => {
                const dialog = document.querySelector('dialog[open]');
                return !dialog || [...dialog.querySelectorAll('[role=alert]')].some(
                    (each) => each.innerText.trim()
                );
            }"""
        )
        if not await dialog.count():
            await self._put_away_what_it_says()
            return ""
        return " ".join(await dialog.locator("[role=alert]:visible").all_inner_texts())

    async def _put_away_what_it_says(self) -> None:
        """Closes the note “Workflow signaled.”: a second one beside it breaks the page (2.54.1)."""
        note = "#workflow-signal-success-toast"
        # A script, not a click: the note may also close by itself in the middle of a click.
        await self.page.evaluate(f"document.querySelector('{note} [aria-label=Close]')?.click()")
        await self.page.locator(note).wait_for(state="detached")

    async def send(self, message: Message, name: str, data: str | None = None) -> str:
        """Sends a signal or an update; returns the error that the dialog shows.

        Args:
            data: If None, the example in the message's description is sent.
        """
        dialog = await self.open_dialog(message)
        described = await self.choose(dialog, name)
        example = described[described.index("{") : described.rindex("}") + 1]
        await self.fill(dialog, example if data is None else data)
        answer = await self.submit(dialog)
        if answer:
            await dialog.get_by_test_id("cancel-modal-button").click()
        return answer

    async def run_query(self, name: str) -> Locator:
        """Runs a query on its tab; returns the place of the answer."""
        await self.open_tab("queries")
        await self.page.get_by_test_id("query-select-button").click()
        await self.page.get_by_role("option", name=re.compile(rf"^{name}\b")).click()
        await self.page.get_by_role("button", name="Run Query").click()
        return self.page.get_by_role("textbox", name="Query Result")

    async def cancel(self) -> None:
        """Presses the blue button for a cancellation, and confirms."""
        await self.page.get_by_role("button", name="Request Cancellation").click()
        dialog = self.page.locator("dialog[open]")
        await dialog.get_by_test_id("confirm-modal-button").click()
