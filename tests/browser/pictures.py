"""Makes the pictures of the README and the staff guide from a real run of the demo.

Every step is done in a browser, as staff do it.
"""

import asyncio
import csv
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from aiosmtpd.smtp import SMTP, Envelope, Session
from playwright.async_api import Locator, Page, expect
from rich.console import Console

from bootstrap import make_portal
from commands import console
from commands.demo import AGENCY, CONTACT, DATA, NEVER_ACTIVATES, run_demo
from commands.outside import LINK
from embedded.inbox import body_of
from embedded.stack import Stack
from intake.files import read_roster
from mail.transport import MAX_IDLE
from policy.requirements import AssisterType, RosterRecorded, TrainingCompleted
from policy.terms import Terms
from records.database import Database
from services.connections import Connections
from services.rosters import submit_roster
from tests.browser.palette import with_palette
from tests.browser.temporal_ui import PATIENCE, TemporalUi, browser, find_browser
from tests.faults.mischief import put
from tests.support.system import eventually
from workflows.client import act, case_status, tell_case
from workflows.contract import ChangeAct, StaffAct, assister_workflow_id, roster_workflow_id
from workflows.lists import ready_made

DOCS = Path(__file__).resolve().parents[2] / "docs"
PICTURES = DOCS / "pictures"
REFUSED_ADDRESS = "NAV1006"
FAILED_ASSESSMENT = "NAV1004"
ACTIVE, DOUBTFUL, MOVED = "NAV1003", "NAV1002", "NAV1001"
MISREAD = "NAV1O04"
HELD_AT_ONE = Terms(fuse_count=0)
"""The demo's agency is too small for the default fuse."""


@dataclass
class Album:
    """Takes pictures of the UI."""

    ui: TemporalUi
    easel: Page
    stack: Stack

    async def take(self, name: str, of: Locator, height: int = 900) -> None:
        """Takes a picture of a part of the page, in a window of this height."""
        await self.ui.page.set_viewport_size({"width": 1280, "height": height})
        taken = await of.screenshot(animations="disabled", caret="hide")
        (PICTURES / f"{name}.png").write_bytes(await with_palette(self.easel, taken))

    @property
    def main(self) -> Locator:
        """The page without its menu."""
        return self.ui.page.locator("main")

    def around(self, heading: str) -> Locator:
        """The part of the page under a heading."""
        return self.ui.page.get_by_role("heading", name=heading).locator("xpath=ancestor::div[3]")

    async def list(self, name: str, query: str, workflow_id: str) -> None:
        """Takes a picture of a ready-made list, once it shows a case."""
        client = self.stack.client

        async def listed() -> list[str]:
            return [workflow.id async for workflow in client.list_workflows(query)]

        await eventually(listed, lambda ids: workflow_id in ids)
        await self.ui.open_list(query)
        await expect(self.ui.row(workflow_id)).to_be_visible()
        await self.take(name, self.main, height=600)

    async def case(self, name: str, workflow_id: str, says: str) -> None:
        """Takes a picture of a case's details, once they contain a text."""
        await self.ui.open_case(workflow_id)
        await expect(self.ui.details).to_contain_text(says)
        await self.take(name, self.around("Current Details"), height=1500)

    async def act(self, training_id: str, update: str, reason: str) -> None:
        """Sends an update, and waits for its mails."""
        await self.ui.open_case(assister_workflow_id(training_id))
        answer = await self.ui.send("Update", update, f'{{"by": "arc-7", "reason": "{reason}"}}')
        assert not answer, answer
        await eventually(
            lambda: case_status(self.stack.client, training_id),
            lambda status: all(mail.sent_at for mail in status.mails),
        )


async def tour(stack: Stack) -> None:
    """Goes through the calls of the staff guide, on the demo's cases."""
    path = find_browser()
    if path is None:
        raise SystemExit("No Chromium on PATH: install it to make the pictures.")
    PICTURES.mkdir(exist_ok=True)
    expect.set_options(timeout=PATIENCE)
    async with browser(path) as window:
        ui = TemporalUi(await window.new_page(), stack.environment["ASSISTER_UI_URL"])
        album = Album(ui, await window.new_page(), stack)
        await pages(album, await window.new_page())
        await lists(album)
        await expired_and_reissued(album)
        await suspended(album)
        await in_doubt(album)
        await elsewhere(album)
        await held_roster(album)


async def pages(album: Album, page: Page) -> None:
    """Takes pictures of the gateway's pages for an assister, and for a contact with a roster."""
    gateway, inbox = album.stack.settings.gateway_url, album.stack.inbox

    async def take(name: str) -> None:
        taken = await page.locator("body").screenshot(animations="disabled", caret="hide")
        (PICTURES / f"{name}.png").write_bytes(await with_palette(album.easel, taken))

    async def links() -> list[str]:
        found = [LINK.search(body_of(mail)) for mail in inbox.messages()]
        return [link[0] for link in found if link][before:]

    await page.set_viewport_size({"width": 900, "height": 400})
    await page.goto(f"{gateway}/activate")
    await take("page-activation")
    before = 0
    before = len(await links())
    await page.goto(f"{gateway}/sign-in")
    await page.get_by_label("Your e-mail address").fill(CONTACT)
    await page.get_by_role("button").click()
    await page.goto((await eventually(links, bool))[-1])
    await page.get_by_role("button").click()
    await page.get_by_label("The roster").set_input_files(DATA / "navigators.csv")
    await page.get_by_label("Navigators").check()
    await page.get_by_role("button", name="Check the roster").click()
    await expect(page.get_by_role("status")).to_be_visible()
    await take("page-roster")


async def lists(album: Album) -> None:
    """Takes pictures of the lists and of the cases in them."""
    named = {entry.name: entry.query for entry in ready_made(datetime.now(UTC))}
    refused = assister_workflow_id(REFUSED_ADDRESS)
    await album.list("list-open", named["All open cases"], refused)
    await album.list("list-attention", named["Needs attention"], refused)
    await album.case("address-refused", refused, "Needs attention")
    await album.case("collecting", assister_workflow_id(FAILED_ASSESSMENT), "69.95 %")


async def expired_and_reissued(album: Album) -> None:
    """Takes pictures of an expired case, of a refusal, and of the reissue."""
    ui, workflow_id = album.ui, assister_workflow_id(NEVER_ACTIVATES)
    await album.case("expired", workflow_id, "Activation expired")
    await ui.open_tab("timeline")
    await expect(ui.page.get_by_text("Waits for reissue").first).to_be_visible()
    await album.take("timeline", album.around("Timeline"), height=1500)
    await ui.page.get_by_role("button", name="More Actions").click()
    await album.take("more-actions", album.main, height=520)
    await ui.page.keyboard.press("Escape")
    dialog = await ui.open_dialog("Update")
    await album.take("updates", dialog)
    await ui.choose(dialog, "resend_activation")
    await ui.fill(dialog, '{"by": "arc-7", "reason": "Caller cannot find the mail"}')
    await album.take("resend", dialog)
    assert await ui.submit(dialog)
    await album.take("refusal", dialog)
    await dialog.get_by_test_id("cancel-modal-button").click()
    await album.act(NEVER_ACTIVATES, "reissue_activation", "The number expired")
    await album.case("reissued", workflow_id, "registration number 2 issued")
    await album.act(NEVER_ACTIVATES, "resend_activation", "Caller cannot find the mail")
    await album.case("resent", workflow_id, "Activation mail sent again")
    await album.take("case", album.main, height=860)
    await expect(await ui.run_query("status")).to_contain_text("Awaiting activation")
    await album.take("status", album.main, height=760)


async def suspended(album: Album) -> None:
    """Takes pictures of an active case while staff suspend it."""
    ui, workflow_id = album.ui, assister_workflow_id(ACTIVE)
    await album.case("active", workflow_id, "Reference number")
    dialog = await ui.open_dialog("Update")
    await ui.choose(dialog, "suspend_access")
    await ui.fill(dialog, '{"by": "arc-7", "reason": "The agency asked"}')
    await album.take("suspend", dialog)
    await dialog.get_by_test_id("cancel-modal-button").click()
    await album.act(ACTIVE, "suspend_access", "The agency asked for it")
    await album.case("suspended", assister_workflow_id(ACTIVE), "Suspended: suspended by staff")
    await album.act(ACTIVE, "reinstate_access", "Cleared by the agency")


async def in_doubt(album: Album) -> None:
    """Takes a picture of a case whose relay takes a mail and never answers."""
    inbox, workflow_id = album.stack.inbox, assister_workflow_id(DOUBTFUL)
    keep = inbox.handle_DATA

    async def keep_and_hang_up(server: SMTP, session: Session, envelope: Envelope) -> str:
        await keep(server, session, envelope)
        assert isinstance(server.transport, asyncio.WriteTransport)
        server.transport.abort()
        return "250 never heard"

    # An open SMTP connection keeps its handler. After this time the worker opens a new one.
    await asyncio.sleep(MAX_IDLE)
    put(inbox, "handle_DATA", keep_and_hang_up)
    order = StaffAct(by="arc-7", reason="The agency asked")
    await act(album.stack.client, workflow_id, "suspend_access", order)
    client = album.stack.client
    await eventually(lambda: case_status(client, DOUBTFUL), lambda status: bool(status.attention))
    await album.case("in-doubt", workflow_id, "it may have arrived")
    put(inbox, "handle_DATA", keep)


async def elsewhere(album: Album) -> None:
    """Takes pictures of a result with a misread Training ID, and of a move to another agency."""
    stack, now = album.stack, datetime.now(UTC)
    queue, terms = stack.settings.task_queue, stack.settings.terms
    result = TrainingCompleted(event_id="lms-4711", occurred_at=now)
    await tell_case(stack.client, queue, MISREAD, "training_completed", result, terms)
    named = {entry.name: entry.query for entry in ready_made(now)}
    waiting = named["Waiting for approval"]
    await album.list("list-approval", waiting, assister_workflow_id(MISREAD))
    row = RosterRecorded(
        event_id="5f0c1d7a2b9e.2",
        occurred_at=now,
        agency_id="AG-200",
        assister_type=AssisterType.NAVIGATOR,
        approved=True,
        employed=True,
    )
    await tell_case(stack.client, queue, MOVED, "roster_recorded", row, terms)
    await eventually(
        lambda: case_status(stack.client, MOVED), lambda status: status.changes == ["AG-200"]
    )
    moved = ChangeAct(by="arc-7", reason="The assister wants it", agency_id="AG-200")
    await act(stack.client, assister_workflow_id(MOVED), "confirm_change", moved)
    await album.case("moved", assister_workflow_id(MOVED), "Staff confirmed the roster of AG-200")


async def held_roster(album: Album) -> None:
    """Takes pictures of a roster that would end every access of the agency."""
    stack = album.stack
    path = stack.settings.data_dir / "everybody-no.csv"
    with (DATA / "navigators.csv").open(newline="") as known, path.open("w", newline="") as made:
        rows = csv.DictReader(known)
        assert rows.fieldnames is not None
        writer = csv.DictWriter(made, rows.fieldnames)
        writer.writeheader()
        writer.writerows({**row, "Assister Portal Access": "No"} for row in rows)
    database = Database(stack.settings.records_url)
    submission = await submit_roster(
        Connections(
            database,
            stack.client,
            make_portal(stack.settings, database),
            stack.settings.task_queue,
            HELD_AT_ONE,
        ),
        read_roster(path),
        agency_id=AGENCY,
        roster_type=AssisterType.NAVIGATOR,
        by=CONTACT,
        filename=path.name,
    )
    await database.close()
    await album.case("held", roster_workflow_id(submission.submission_id), "Roster on hold")


def main() -> None:
    """Runs the demo, saves its terminal output as a picture, and opens its cases in a browser."""
    console.out = Console(record=True, width=100, force_terminal=True)
    asyncio.run(run_demo(keep=False, visit=tour))
    (DOCS / "demo.svg").write_text(console.out.export_svg(title="make demo"))


if __name__ == "__main__":
    main()
