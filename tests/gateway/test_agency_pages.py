"""The agency's pages and their sign-in: who may sign in, and what they see."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import pytest
from sqlmodel import col, delete, select, update

from gateway.visitors import rights_of
from policy.addresses import mailbox_key
from policy.requirements import AssisterType
from policy.roster import COLUMNS, Row
from records.people import record_agency
from records.tables import Contact
from records.visits import SignIn, Visit
from services.contacts import revoke_contact
from services.rosters import record_roster
from tests.support.conditions import met
from tests.support.gateway import LINK, OTHER, Gateway, Serving, other_agency, token_of
from tests.support.rosters import roster_of, roster_row, submit_roster
from tests.support.system import (
    AGENCY,
    CONTACT,
    System,
    eventually,
    meet_requirements,
    new_training_id,
    record_people,
)

HOME = f"/agencies/{AGENCY}"


async def choose(
    browser: httpx2.AsyncClient, body: str | bytes, name: str = "navigators.csv", **fields: str
) -> httpx2.Response:
    token = token_of(await browser.get(HOME))
    form = {"token": token, "type": "navigator", "encoding": "utf-8-sig", **fields}
    return await browser.post(f"{HOME}/drafts", data=form, files={"file": (name, body)})


async def test_a_roster_is_shown_before_it_is_submitted(system: System, gateway: Gateway) -> None:
    browser = await gateway.signed_in(system)
    one = new_training_id()
    chosen = await choose(browser, roster_of(one, "bad"))
    assert chosen.status_code == 303
    draft = await browser.get(chosen.headers["location"])
    assert "1 row would be accepted, 1 rejected" in draft.text
    assert "Nothing has been submitted yet" in draft.text
    assert one in draft.text
    assert "is not seven letters or digits" in draft.text
    assert "None yet." in (await browser.get(HOME)).text
    done = await browser.post(draft.url, data={"token": token_of(draft)})
    assert done.status_code == 303

    async def look() -> str:
        return (await browser.get(done.headers["location"])).text

    await eventually(look, lambda text: "Done." in text)
    await system.until(one, met("approval"))
    # The draft was submitted, so it cannot be submitted again.
    assert (await browser.get(draft.url)).status_code == 404
    await eventually(lambda: _text(browser, HOME), lambda text: one in text)


async def test_a_roster_whose_intake_has_not_begun_says_what_to_do(
    system: System, gateway: Gateway
) -> None:
    browser = await gateway.signed_in(system)
    one = new_training_id()
    recorded = await record_roster(
        system.database,
        [Row(2, dict.fromkeys(COLUMNS, "") | {"training_id": one})],
        agency_id=AGENCY,
        roster_type=AssisterType.NAVIGATOR,
        by=CONTACT,
        filename="roster.csv",
    )
    page = await browser.get(f"{HOME}/rosters/{recorded.submission_id}")
    assert page.status_code == 404
    assert "Submit the same file again" in page.text


async def _text(browser: httpx2.AsyncClient, path: str) -> str:
    return (await browser.get(path)).text


@pytest.mark.clause("3.3")
async def test_a_contact_looks_up_a_number_and_asks_for_a_resend(
    system: System, gateway: Gateway
) -> None:
    training_id = new_training_id()
    await record_people(system.database, training_id)
    await meet_requirements(system, training_id)
    browser = await gateway.signed_in(system)
    token = token_of(await browser.get(HOME))
    found = await browser.post(
        f"{HOME}/lookup", data={"token": token, "training_id": f" {training_id.lower()} "}
    )
    shown = await browser.get(found.headers["location"])
    number = await system.portal.reference_number(training_id)
    assert number
    assert number in shown.text
    assert "awaiting activation" in shown.text
    sent = await browser.post(f"{found.headers['location']}/resend", data={"token": token})
    assert "is being sent again" in sent.text
    to = f"{training_id.lower()}@"
    await eventually(lambda: _count(system, to), lambda count: count == 2)
    for _ in range(3):
        # While a mail is on its way, a resend is refused and does not count.
        await system.until(training_id, lambda status: all(mail.sent_at for mail in status.mails))
        last = await browser.post(f"{found.headers['location']}/resend", data={"token": token})
    assert "was not sent again" in last.text


async def _count(system: System, to: str) -> int:
    return len(system.mails(to=to))


async def test_an_unknown_address_is_answered_like_a_known_one(
    system: System, gateway: Gateway
) -> None:
    browser = gateway.browser()
    known = await browser.post("/sign-in", data={"email": CONTACT})
    unknown = await browser.post("/sign-in", data={"email": "nobody@agency.example.org"})
    assert (known.status_code, known.text) == (unknown.status_code, unknown.text)
    assert set(known.headers) - set(unknown.headers) <= {"set-cookie"}
    await eventually(lambda: _count(system, CONTACT), lambda count: count == 1)
    assert await _count(system, "nobody") == 0


async def test_no_answer_waits_for_a_mail(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    relay_answers, begun = asyncio.Event(), asyncio.Event()

    async def slow(*_: object) -> None:
        begun.set()
        await relay_answers.wait()

    monkeypatch.setattr("gateway.sign_in.send_mail", slow)
    answer = await gateway.browser().post("/sign-in", data={"email": CONTACT})
    assert answer.status_code == 200
    assert begun.is_set()
    relay_answers.set()


async def link_of(system: System, browser: httpx2.AsyncClient) -> str:
    before = await _count(system, CONTACT)
    await browser.post("/sign-in", data={"email": CONTACT})
    await eventually(lambda: _count(system, CONTACT), lambda count: count > before)
    found = LINK.search(system.mails(to=CONTACT)[-1][1])
    assert found is not None
    return found[0]


async def test_a_link_works_once_in_its_own_browser_and_no_scanner_uses_it(
    system: System, gateway: Gateway
) -> None:
    browser, other = gateway.browser(), gateway.browser()
    link = await link_of(system, browser)
    for _ in range(3):
        assert (await other.get(link)).status_code == 200
        await other.head(link)
        assert (await other.post(link)).status_code == 403
    await other.post("/sign-in", data={"email": CONTACT})
    assert (await other.post(link)).status_code == 403
    assert (await browser.post(link)).status_code == 303
    assert (await browser.get("/home")).headers["location"] == HOME
    assert (await gateway.browser().post(link)).status_code == 403
    assert (await browser.post(link)).status_code == 403


async def test_a_link_ends(system: System, gateway: Gateway) -> None:
    browser = gateway.browser()
    link = await link_of(system, browser)
    async with gateway.database.transaction() as session:
        ended = datetime.now(UTC) - timedelta(seconds=1)
        await session.exec(update(SignIn).values(ends_at=ended))
    assert (await browser.post(link)).status_code == 403


@pytest.mark.usefixtures("one_hour")
async def test_links_are_limited(system: System, gateway: Gateway) -> None:
    browser = gateway.browser()
    answers = [
        (await browser.post("/sign-in", data={"email": CONTACT})).status_code for _ in range(8)
    ]
    assert answers == [200] * 8
    await eventually(lambda: _count(system, CONTACT), lambda count: count == 5)
    for number in range(30):
        last = await browser.post("/sign-in", data={"email": f"p{number}@x.example.org"})
    assert last.status_code == 429
    assert await _count(system, CONTACT) == 5


async def test_cookies_that_somebody_else_knows_open_nothing(
    system: System, gateway: Gateway
) -> None:
    """Session fixation: who plants cookies in a browser is not signed in together with it."""
    browser, other = gateway.browser(), gateway.browser()
    for name in ("visit", "browser"):
        for each in (browser, other):
            each.cookies.set(name, "known-to-another", domain="127.0.0.1")
    assert (await browser.post(await link_of(system, browser))).status_code == 303
    assert (await browser.get(HOME)).status_code == 200
    assert (await other.get(HOME)).headers["location"] == "/sign-in"
    other.cookies.set("visit", browser.cookies["visit"], domain="127.0.0.1")
    assert (await other.get(HOME)).status_code == 200
    assert (await browser.post(await link_of(system, browser))).status_code == 303
    assert (await other.get(HOME)).headers["location"] == "/sign-in", "the earlier visit has ended"


@pytest.mark.parametrize("how", ["contact revoked", "too long ago", "signed out"])
async def test_a_visit_ends(system: System, gateway: Gateway, how: str) -> None:
    async with gateway.database.transaction() as session:
        await record_agency(session, OTHER[0], "Other", [("Lou", OTHER[1])])
    browser = await gateway.signed_in(system, OTHER[1])
    home = f"/agencies/{OTHER[0]}"
    page = await browser.get(home)
    assert page.status_code == 200
    cookies = dict(browser.cookies)
    async with gateway.database.transaction() as session:
        if how == "contact revoked":
            await session.exec(delete(Contact).where(col(Contact.agency_id) == OTHER[0]))
        if how == "too long ago":
            await session.exec(update(Visit).values(ends_at=datetime.now(UTC)))
    if how == "signed out":
        await browser.post("/sign-out", data={"token": token_of(page)})
    browser.cookies.update(cookies)
    gone = await browser.get(home)
    assert (gone.status_code, gone.headers["location"]) == (303, "/sign-in")


async def test_another_agencys_contact_finds_nothing(system: System, gateway: Gateway) -> None:
    mine = new_training_id()
    await record_people(system.database, mine)
    submission = await submit_roster(system, roster_row(mine))
    browser = await gateway.signed_in(system)
    chosen = (await choose(browser, roster_of(mine))).headers["location"]
    await other_agency(gateway)
    stranger = await gateway.signed_in(system, OTHER[1])
    theirs = f"/agencies/{OTHER[0]}"
    token = token_of(await stranger.get(theirs))
    for path in ("", f"/rosters/{submission}", f"/assisters/{mine}", f"/drafts/{chosen[-16:]}"):
        assert (await stranger.get(HOME + path)).status_code == 404
        if path:
            assert (await stranger.get(theirs + path)).status_code == 404
    posts: dict[str, dict[str, str]] = {
        "/lookup": {"training_id": mine},
        f"/assisters/{mine}/resend": {},
        f"/drafts/{chosen[-16:]}": {},
    }
    for path, form in posts.items():
        for place in (HOME, theirs):
            answer = await stranger.post(place + path, data={"token": token, **form})
            assert answer.status_code == 404


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "", "Origin": "https://evil.example"},
        {"Sec-Fetch-Site": "", "Origin": "null"},
        {"Sec-Fetch-Site": ""},
    ],
)
async def test_another_sites_form_does_nothing(
    system: System, gateway: Gateway, headers: dict[str, str]
) -> None:
    browser = await gateway.signed_in(system)
    token = token_of(await browser.get(HOME))
    sent: dict[str, Any] = {k: v for k, v in headers.items() if v}
    if not headers["Sec-Fetch-Site"]:
        del browser.headers["Sec-Fetch-Site"]
    for path in ("/sign-in", "/sign-out", f"{HOME}/lookup", f"{HOME}/drafts"):
        answer = await browser.post(path, data={"token": token, "email": CONTACT}, headers=sent)
        assert answer.status_code == 403, path
    assert (await browser.get(HOME)).status_code == 200


async def test_a_form_without_its_token_does_nothing(system: System, gateway: Gateway) -> None:
    browser = await gateway.signed_in(system)
    for token in ("", "x", "ü"):
        answer = await browser.post(f"{HOME}/lookup", data={"token": token, "training_id": "X"})
        assert answer.status_code == 403
    assert (await choose(browser, roster_of("NAV1001"), token="x")).status_code == 403


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\roster\\<script>.csv", "&lt;script&gt;.csv"),
        ("a\u202egpj.csv", "agpj.csv"),
        ("x" * 300, "x" * 100),
    ],
)
async def test_a_files_name_is_only_shown(
    system: System, gateway: Gateway, name: str, shown: str
) -> None:
    browser = await gateway.signed_in(system)
    chosen = await choose(browser, roster_of(new_training_id()), name)
    assert f"<p>{shown}, navigator roster" in (await browser.get(chosen.headers["location"])).text


async def test_what_is_no_roster_is_said_on_a_page(system: System, gateway: Gateway) -> None:
    browser = await gateway.signed_in(system)
    assert (await choose(browser, "")).status_code == 422
    assert (await choose(browser, roster_of("NAV1001"), type="nurse")).status_code == 422
    chosen = await choose(browser, "<script>alert(1)</script>\n")
    answer = await browser.get(chosen.headers["location"])
    assert answer.status_code == 422
    assert "lacks these columns" in answer.text
    assert "<script>" not in answer.text


async def test_cookies_are_bound_to_the_host_where_it_is_https(serve: Serving) -> None:
    async with serve(gateway_url="https://assisters.example.org") as gateway:
        answer = await gateway.browser().post("/sign-in", data={"email": CONTACT})
    name, _, attributes = answer.headers["set-cookie"].partition("=")
    assert name == "__Host-browser"
    assert {"HttpOnly", "Path=/", "SameSite=lax", "Secure"} <= set(attributes.split("; "))
    assert answer.headers["strict-transport-security"]


async def test_a_revoked_contact_is_signed_out_and_cannot_sign_in(
    system: System, gateway: Gateway
) -> None:
    browser = await gateway.signed_in(system)
    assert (await browser.get(HOME)).status_code == 200
    await revoke_contact(
        system.connections, AGENCY, CONTACT, by="staff@arc.example.org", reason="left"
    )
    gone = await browser.get(HOME)
    assert (gone.status_code, gone.headers["location"]) == (303, "/sign-in")
    async with system.database.snapshot() as session:
        assert (await session.exec(select(Visit))).all() == []
        assert (await session.exec(select(SignIn))).all() == []
        assert not await rights_of(session, system.settings, mailbox_key(CONTACT))
