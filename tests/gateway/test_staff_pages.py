"""The staff's pages: who may sign in and whom they find; no personal data leaves the page."""

import httpx2
import pytest
import structlog.testing
from playwright.async_api import Browser, expect
from sqlmodel import select

from records import audit
from records.tables import Contact, Mailbox
from tests.support.conditions import in_stage
from tests.support.gateway import Gateway, Serving, token_of
from tests.support.system import (
    AGENCY,
    CONTACT,
    OTHER_AGENCY,
    System,
    approved_by_another,
    meet_requirements,
    new_training_id,
    record_people,
)
from tests.support.windows import BOTH, link_to, looked_at, window

STAFF = "sam@arc.example.org"


async def person(system: System) -> str:
    training_id = new_training_id()
    await record_people(system.database, training_id)
    await meet_requirements(system, training_id)
    return training_id


async def post(browser: httpx2.AsyncClient, path: str, **form: str) -> httpx2.Response:
    token = token_of(await browser.get("/staff"))
    return await browser.post(path, data={"token": token, **form})


async def test_staff_find_a_person_and_correct_the_address(system: System, serve: Serving) -> None:
    training_id = await person(system)
    page = f"/staff/assisters/{training_id}"
    async with serve(staff=(STAFF,)) as gateway:
        browser = await gateway.signed_in(system, STAFF)
        for asked in (f"lee-{training_id}".lower(), training_id, f"{training_id.lower()}@assist"):
            assert page in (await post(browser, "/staff", asked=asked)).text
        assert "Nobody on record" in (await post(browser, "/staff", asked="zzz qqq")).text
        shown = (await browser.get(page)).text
        assert "awaiting activation" in shown
        assert f"/workflows/assister-{training_id}" in shown
        done = await post(browser, f"{page}/email", email="new@x.org", reason="a letter came")
        assert 'role="alert"' not in done.text
        assert "new@x.org" in done.text
        for email, said in (("info@x.org", "shared mailbox"), ("x", "not a valid"), (CONTACT, "")):
            answer = await post(browser, f"{page}/email", email=email, reason="a letter came")
            assert said in answer.text
        named = await post(browser, f"{page}/email", email="b@x.org", reason="told by a@x.org")
        assert "leave out e-mail addresses" in named.text
    async with system.database.snapshot() as session:
        entries = await audit.entries_of(session, f"assister-{training_id}")
    assert "email_corrected" in {entry.act for entry in entries}
    assert STAFF not in str(entries)


async def test_staff_give_a_case_what_it_allows(system: System, serve: Serving) -> None:
    training_id = await person(system)
    page = f"/staff/assisters/{training_id}"
    async with serve(staff=(STAFF,)) as gateway:
        browser = await gateway.signed_in(system, STAFF)
        done = await post(browser, f"{page}/orders", order="suspend_access", reason="a complaint")
        assert 'role="status"' in done.text
        await system.until(training_id, in_stage("suspended"))
        for order in ("resend_activation", "email_corrected", "no_such_order", ""):
            refused = await post(browser, f"{page}/orders", order=order, reason="a complaint")
            assert refused.status_code == 422


async def test_staff_decide_who_speaks_for_a_person(system: System, serve: Serving) -> None:
    training_id = await person(system)
    page = f"/staff/assisters/{training_id}"
    await system.tell(training_id, "roster_recorded", approved_by_another())
    await system.until(training_id, lambda status: status.changes == [OTHER_AGENCY])
    order = {"order": "confirm_change", "reason": "asked the assister"}
    async with serve(staff=(STAFF,)) as gateway:
        browser = await gateway.signed_in(system, STAFF)
        assert "Confirm or refuse a change" in (await browser.get(page)).text
        for nobody in ("", "AG-999", "not an id", "<b>", "A" * 4000):
            refused = await post(browser, f"{page}/orders", agency=nobody, **order)
            assert refused.status_code == 200, nobody
            assert "<b>" not in refused.text
        assert (await system.status(training_id)).changes == [OTHER_AGENCY]
        await post(browser, f"{page}/orders", agency=OTHER_AGENCY, **order)
    confirmed = await system.until(training_id, lambda status: not status.changes)
    assert confirmed.agency_id == OTHER_AGENCY


async def test_staff_correct_a_contact(system: System, serve: Serving) -> None:
    page = f"/staff/agencies/{AGENCY}"
    async with serve(staff=(STAFF,)) as gateway:
        browser = await gateway.signed_in(system, STAFF)
        done = await post(
            browser, f"{page}/contacts", email=CONTACT, right="right@agency.example.org", reason="x"
        )
        assert "Corrected." in done.text
        again = await post(
            browser, f"{page}/contacts", email="no@x.org", right="r@x.org", reason="x"
        )
        assert "not an authorized contact" in again.text
    async with system.database.snapshot() as session:
        contact = await session.get_one(Contact, 1)
    assert contact.email == "right@agency.example.org"


async def test_nobody_else_gets_in(system: System, serve: Serving) -> None:
    training_id = await person(system)
    async with serve(staff=(STAFF,)) as gateway:
        assert (await gateway.browser().get("/staff")).headers["location"] == "/sign-in"
        contact = await gateway.signed_in(system, CONTACT)
        token = token_of(await contact.get(f"/agencies/{AGENCY}"))
        for path in ("/staff", f"/staff/assisters/{training_id}", f"/staff/agencies/{AGENCY}"):
            assert (await contact.get(path)).status_code == 404
        form = {"token": token, "asked": "lee", "email": "new@x.org", "reason": "x"}
        for path in ("", f"/assisters/{training_id}/email", f"/assisters/{training_id}/orders"):
            assert (await contact.post(f"/staff{path}", data=form)).status_code == 404
        staff = await gateway.signed_in(system, STAFF)
    # The staff member is taken off the list, and the visit ends.
    async with serve() as gateway:
        staff.base_url = gateway.url
        assert (await staff.get("/staff")).headers["location"] == "/sign-in"
    async with system.database.snapshot() as session:
        assert "new@x.org" not in (await session.exec(select(Mailbox.email))).all()


async def test_the_log_tells_of_nobody(system: System, serve: Serving) -> None:
    training_id = await person(system)
    async with serve(staff=(STAFF,)) as gateway:
        with structlog.testing.capture_logs() as logged:
            browser = await gateway.signed_in(system, STAFF)
            await post(browser, "/staff", asked="lee")
            await browser.get(f"/staff/assisters/{training_id}")
    assert training_id not in str(logged)
    assert "lee" not in str(logged)
    assert "@" not in str(logged)


@BOTH
async def test_staff_at_a_browser(
    system: System, serve: Serving, chromium: Browser, width: int, scripts: bool
) -> None:
    training_id = await person(system)
    async with serve(staff=(STAFF,)) as gateway, window(chromium, gateway, width, scripts) as page:
        await page.goto("/staff")
        await page.get_by_label("Your e-mail address").fill(STAFF)
        await page.get_by_role("button").click()
        await page.goto(await link_to(system, STAFF))
        await page.get_by_role("button").click()
        await looked_at(page, scripts, "Find a person")
        await page.get_by_label("Name, e-mail address or Training ID").fill(f"ann {training_id}")
        await page.get_by_role("button", name="Find").click()
        found = page.get_by_role("link", name=f"Ann Lee-{training_id}")
        await expect(found).to_be_visible()
        await looked_at(page, scripts)
        await found.click()
        await looked_at(page, scripts, f"Ann Lee-{training_id}")
        await page.get_by_label("The right address").fill("info@x.org")
        await page.get_by_label("Why").first.fill("a letter came")
        await page.get_by_role("button", name="Correct it").click()
        await expect(page.get_by_role("alert")).to_contain_text("shared mailbox")
        await looked_at(page, scripts)
        await page.get_by_label("What it allows now").select_option("suspend access")
        await page.get_by_label("Why").last.fill("a complaint")
        await page.get_by_role("button", name="Give the order").click()
        await expect(page.get_by_role("status")).to_be_visible()
        await page.get_by_role("link", name=AGENCY).click()
        await expect(
            page.get_by_role("heading", name="Correct a contact's address")
        ).to_be_visible()
        await looked_at(page, scripts)


@pytest.mark.parametrize(
    "path", ["/staff/assisters/../../x", "/staff/assisters/%ED%A0%80", "/staff/agencies/'"]
)
async def test_a_path_is_only_looked_up(system: System, serve: Serving, path: str) -> None:
    async with serve(staff=(STAFF,)) as gateway:
        browser = await gateway.signed_in(system, STAFF)
        assert (await browser.get(path)).status_code == 404


async def test_who_is_not_on_the_list_gets_no_mail(system: System, gateway: Gateway) -> None:
    await gateway.browser().post("/sign-in", data={"email": STAFF})
    assert not system.mails(to=STAFF)
