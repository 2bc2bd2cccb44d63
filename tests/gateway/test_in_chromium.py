"""Each page's whole way in a real browser: with and without scripts, narrow and wide, by axe."""

from pathlib import Path

from playwright.async_api import Browser, expect

from tests.gateway.test_rosters import roster
from tests.support.gateway import Gateway, waiting
from tests.support.system import CONTACT, System, new_training_id
from tests.support.windows import BOTH, WIDE, link_to, looked_at, window


@BOTH
async def test_an_assister_sets_up_the_account(
    system: System, gateway: Gateway, chromium: Browser, width: int, scripts: bool
) -> None:
    training_id, number = await waiting(system)
    async with window(chromium, gateway, width, scripts) as page:
        await page.goto("/activate")
        await looked_at(page, scripts)
        await page.get_by_role("link", name="I cannot find my mail").click()
        await looked_at(page, scripts)
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
    file.write_text(roster(training_id, new_training_id(), "bad"))
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
        while await page.get_by_role("link", name="Look again").count():
            await page.get_by_role("link", name="Look again").click()
        await expect(page.get_by_role("status")).to_contain_text("Done.")
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
