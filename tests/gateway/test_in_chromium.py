"""People's ways through the pages in a real browser: with and without scripts, narrow and wide.

axe checks every page.
"""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from playwright.async_api import Browser, expect
from sqlmodel import update

from portal.tables import PortalAccount, PortalRegistration
from records.people import record_agency
from services.contacts import revoke_contact
from tests.support.gateway import STAFF, Gateway, Serving, waiting
from tests.support.rosters import roster_of, roster_row, roster_text, take_in
from tests.support.system import (
    AGENCY,
    CONTACT,
    OTHER_AGENCY,
    System,
    facts,
    new_training_id,
    record_people,
)
from tests.support.windows import (
    BOTH,
    WIDE,
    check_roster,
    link_to,
    look_until,
    looked_at,
    sign_in,
    window,
)
from workflows.contract import roster_workflow_id


@BOTH
async def test_an_assister_sets_up_the_account(
    system: System, gateway: Gateway, chromium: Browser, width: int, scripts: bool
) -> None:
    training_id, number = await waiting(system)
    async with window(chromium, gateway, width, scripts) as page:
        await page.goto("/activate")
        await looked_at(page, scripts)
        await page.get_by_role("link", name="I cannot find my mail").click()
        await looked_at(page, scripts, "I cannot find my activation mail")
        await page.get_by_label("Your Training ID").fill("nobody")
        await page.get_by_role("button").click()
        await expect(page.get_by_role("alert")).to_contain_text("seven letters or digits")
        await looked_at(page, scripts)
        await page.get_by_label("Your Training ID").fill(training_id)
        await page.get_by_role("button").click()
        await expect(page.get_by_role("heading", name="Look in your mail")).to_be_visible()
        await looked_at(page, scripts)
        await page.get_by_role("link", name="I have my registration number").click()
        await page.get_by_label("Your registration number").fill("AAAA-AAAA-AAAA-AAAA")
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("alert")).to_contain_text("is not known")
        await looked_at(page, scripts)
        await page.get_by_label("Your registration number").fill(number.lower())
        await page.get_by_role("button", name="Set up my account").click()
        await expect(page.get_by_role("heading", name="Your account is active")).to_be_visible()
        await looked_at(page, scripts)
        await page.goto("/nothing")
        await looked_at(page, scripts)


@BOTH
async def test_a_contact_submits_a_roster(
    system: System,
    gateway: Gateway,
    chromium: Browser,
    tmp_path: Path,
    width: int,
    scripts: bool,
) -> None:
    training_id, _ = await waiting(system)
    file = tmp_path / "navigators.csv"
    file.write_text(roster_of(training_id, new_training_id(), "bad"))
    async with window(chromium, gateway, width, scripts) as page:
        await page.goto("/home")
        await looked_at(page, scripts)
        await page.get_by_label("Your e-mail address").fill(CONTACT)
        await page.get_by_role("button", name="Send me a link").click()
        await expect(page.get_by_role("heading", name="Look in your mail")).to_be_visible()
        await looked_at(page, scripts)
        await page.goto(await link_to(system, CONTACT))
        await looked_at(page, scripts)
        await page.get_by_role("button", name="Sign in").click()
        await expect(page.get_by_role("heading", name="Agency AG-100")).to_be_visible()
        await looked_at(page, scripts)
        await page.get_by_label("The roster: a CSV file").set_input_files(file)
        await page.get_by_label("Navigators").check()
        await page.get_by_role("button", name="Check the roster").click()
        await expect(page.get_by_role("status")).to_contain_text("2 rows would be accepted")
        await looked_at(page, scripts)
        await page.get_by_role("button", name="Submit this roster").click()
        await look_until(page, "Done.")
        await looked_at(page, scripts)
        await page.get_by_role("link", name="Back to your agency").click()
        await page.get_by_label("The assister's Training ID").fill(training_id)
        await page.get_by_role("button", name="Look up").click()
        await expect(page.get_by_text("Reference number")).to_be_visible()
        await looked_at(page, scripts)
        await page.get_by_role("button", name="Send the activation mail again").click()
        await expect(page.get_by_role("status")).to_contain_text("being sent again")
        await looked_at(page, scripts)
        await page.get_by_role("button", name="Sign out").click()
        await expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


@BOTH
async def test_a_contact_sees_that_a_roster_is_held_and_what_staff_decided(
    system: System,
    gateway: Gateway,
    serve: Serving,
    chromium: Browser,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    width: int,
    scripts: bool,
) -> None:
    people = [new_training_id() for _ in range(6)]
    await take_in(system, *map(roster_row, people))
    async with system.database.transaction() as session:
        session.add_all(PortalAccount(training_id=e, fence=0, status="active") for e in people)
    file = tmp_path / "all-no.csv"
    file.write_text(roster_text(*(roster_row(each, "No") for each in people)))
    async with window(chromium, gateway, width, scripts) as page:

        async def submit() -> None:
            await check_roster(page, file)
            await expect(page.get_by_role("alert")).to_contain_text("would be held")
            await looked_at(page, scripts)
            await page.get_by_role("button", name="Submit this roster").click()
            await look_until(page, "On hold")
            await looked_at(page, scripts)

        await sign_in(page, system)
        for decision, said in (("discard", "Discarded"), ("release", "Done.")):
            await submit()
            held = system.client.get_workflow_handle(
                roster_workflow_id(page.url.rpartition("/")[2])
            )
            await held.execute_update(decision, {"by": "staff-1", "reason": "the agency was asked"})
            await held.result()
            await page.reload()
            await expect(page.get_by_role("status")).to_contain_text(said)
            await looked_at(page, scripts)
        monkeypatch.setenv("TEMPORAL_ADDRESS", "127.0.0.1:1")
        async with serve() as away:
            # A browser keeps cookies by host, whatever the port.
            await page.goto(page.url.replace(gateway.url, away.url))
            await expect(page.get_by_role("alert")).to_contain_text("Try again in a few minutes")
            await looked_at(page, scripts)


async def test_another_sites_page_can_send_nothing(
    system: System, gateway: Gateway, chromium: Browser, tmp_path: Path
) -> None:
    _, number = await waiting(system)
    evil = tmp_path / "evil.html"
    evil.write_text(
        f"<form method=post action={gateway.url}/activate>"
        f"<input name=registration_number value={number}><button>Win</button></form>"
    )
    async with window(chromium, gateway, WIDE, True) as page:
        await page.goto(evil.as_uri())
        await page.get_by_role("button").click()
        await expect(page.get_by_role("alert")).to_contain_text("from its own page")
        await page.goto("/activate")
        await page.get_by_label("Your registration number").fill(number)
        await page.get_by_role("button").click()
        await expect(page.get_by_role("heading", name="Your account is active")).to_be_visible()


@BOTH
async def test_what_does_not_work_is_said_on_a_page_for_everybody(
    system: System,
    gateway: Gateway,
    chromium: Browser,
    monkeypatch: pytest.MonkeyPatch,
    width: int,
    scripts: bool,
) -> None:
    _, number = await waiting(system)
    async with gateway.database.transaction() as session:
        await session.exec(update(PortalRegistration).values(expires_at=datetime.now(UTC)))
    async with window(chromium, gateway, width, scripts) as page:

        async def said(text: str) -> None:
            await expect(page.get_by_role("alert")).to_contain_text(text)
            await looked_at(page, scripts)

        await page.goto("/activate")
        await page.get_by_label("Your registration number").fill(number)
        await page.keyboard.press("Enter")
        await said("no longer works")
        monkeypatch.setattr("gateway.activation_page.MOST_OF_NUMBER", 0)
        await page.get_by_label("Your registration number").fill(number)
        await page.keyboard.press("Enter")
        await said("too many tries")
        await page.goto("/sign-in/no-such-link")
        await page.get_by_role("button", name="Sign in").click()
        await said("does not work here")
        await page.get_by_role("link", name="Ask for another link").click()
        # The browser takes this for an address, and the gateway does not.
        await page.get_by_label("Your e-mail address").fill("pat@localhost")
        await page.get_by_role("button").click()
        await said("This address")
        for path in ("/nothing", "/activate/%00", "/sign-out", "/agencies/AG-100"):
            await page.goto(path)
            await looked_at(page, scripts)
        assert page.url.endswith("/sign-in"), "who has not signed in is asked to"


@BOTH
async def test_who_is_a_contact_twice_and_staff_chooses(
    system: System, serve: Serving, chromium: Browser, width: int, scripts: bool
) -> None:
    """The choice of the agency, empty pages, a claim, and a page with a revoked contact."""
    training_id, _ = await waiting(system)
    await record_people(system.database, training_id, agency=OTHER_AGENCY)
    async with system.database.transaction() as session:
        for agency in (AGENCY, "AG-300"):
            await record_agency(session, agency, "Both", [("Lou", STAFF), ("Sam", "sam@x.org")])
    await revoke_contact(system.connections, "AG-300", "sam@x.org", by=STAFF, reason="left")
    claim = facts()["roster_recorded"].model_copy(
        update={"event_id": "claim", "agency_id": OTHER_AGENCY}
    )
    await system.tell(training_id, "roster_recorded", claim)
    await system.until(training_id, lambda it: bool(it.changes))
    async with serve(staff=(STAFF,)) as gateway, window(chromium, gateway, width, scripts) as page:
        await page.goto("/sign-in")
        await page.get_by_label("Your e-mail address").fill(STAFF)
        await page.get_by_role("button").click()
        link = await link_to(system, STAFF)
        await page.goto(link)
        await page.get_by_role("button").click()
        await expect(page.get_by_role("heading", name="Where to")).to_be_visible()
        await looked_at(page, scripts)
        await page.get_by_role("link", name="Agency AG-300").last.click()
        await expect(page.get_by_text("None yet.")).to_be_visible()
        await looked_at(page, scripts)
        await page.goto("/staff")
        await page.get_by_label("Name, e-mail address or Training ID").fill("nobody at all")
        await page.get_by_role("button", name="Find").click()
        await expect(page.get_by_role("status")).to_contain_text("Nobody")
        await looked_at(page, scripts)
        await page.goto("/staff/agencies/AG-300")
        await expect(page.get_by_text("(revoked)")).to_be_visible()
        await looked_at(page, scripts)
        await page.goto(f"/staff/assisters/{training_id}")
        await page.get_by_label("What the assister says").select_option("It is wrong: refuse it")
        await page.get_by_label("Why").last.fill("the assister was asked")
        await looked_at(page, scripts)
        await page.get_by_role("button", name="Decide").click()
        await expect(page.get_by_role("status")).to_be_visible()
        await looked_at(page, scripts)
        await page.goto("/staff/assisters/NOBODY1")
        await expect(page.get_by_role("alert")).to_contain_text("No roster has named")
        await looked_at(page, scripts)
        # The link works only once.
        await page.goto(link)
        await page.get_by_role("button", name="Sign in").click()
        await expect(page.get_by_role("alert")).to_contain_text("does not work here")
        await looked_at(page, scripts)
        await page.goto("/staff")
        await page.get_by_role("button", name="Sign out").click()
        await expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
        await looked_at(page, scripts)
        await page.goto("/staff")
        await expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


@BOTH
async def test_a_roster_without_a_good_row(
    system: System,
    gateway: Gateway,
    chromium: Browser,
    tmp_path: Path,
    width: int,
    scripts: bool,
) -> None:
    file = tmp_path / "a name that is long and has no place to break_________________________.csv"
    async with window(chromium, gateway, width, scripts) as page:
        await sign_in(page, system)
        for content, then in (
            (roster_of("bad"), "Check before you submit"),
            ("no,roster\nat,all\n", "This did not work"),
        ):
            file.write_text(content)
            await check_roster(page, file)
            await looked_at(page, scripts, then)
            assert not await page.get_by_role("button", name="Submit this roster").count()
        await expect(page.get_by_role("alert")).to_contain_text("lacks these columns")
        missing = await page.goto("/agencies/AG-100/assisters/NOBODY1")
        assert missing is not None
        assert missing.status == 404
        await looked_at(page, scripts)
