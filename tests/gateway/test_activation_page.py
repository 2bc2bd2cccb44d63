"""The activation page: a person uses a number once, and no answer tells who is on record."""

import asyncio
from datetime import UTC, datetime

import httpx2
import pytest
import structlog.testing
from sqlmodel import update

from activities.relay import relay_activations
from portal.tables import PortalRegistration
from tests.support.conditions import in_stage
from tests.support.gateway import Gateway, Serving, waiting
from tests.support.system import (
    System,
    eventually,
)

PAGE = "/activate"


async def use(browser: httpx2.AsyncClient, number: str) -> httpx2.Response:
    return await browser.post(PAGE, data={"registration_number": number})


@pytest.mark.clause("3.2")
async def test_a_number_is_used_once(system: System, gateway: Gateway) -> None:
    training_id, number = await waiting(system)
    browser = gateway.browser()
    for _ in range(2):
        assert "registration_number" in (await browser.get(PAGE)).text
        await browser.head(PAGE)
    typed = number.lower().replace("-", " ")
    answers = await asyncio.gather(*(use(browser, typed) for _ in range(4)))
    assert sorted(answer.status_code for answer in answers) == [200, 422, 422, 422]
    assert "set up already" in (await use(browser, number)).text
    settings = system.settings
    # The worker does this every two seconds.
    await relay_activations(system.portal, system.client, settings.task_queue, settings.terms)
    await system.until(training_id, in_stage("active"))


async def test_the_mail_links_to_the_page(system: System) -> None:
    training_id, _ = await waiting(system)
    text = system.mails(to=f"{training_id.lower()}@")[-1][1]
    assert f"{system.settings.gateway_url}/activate" in text


async def test_what_does_not_work_says_what_to_do_and_nothing_of_anybody(
    system: System, gateway: Gateway
) -> None:
    training_id, number = await waiting(system)
    await system.act(training_id, "reissue_activation")
    await eventually(lambda: _mails(system, training_id), lambda count: count == 2)
    browser = gateway.browser()
    void = await use(browser, number)
    expiring = await system.portal.registration_number(training_id, 2)
    async with gateway.database.transaction() as session:
        await session.exec(update(PortalRegistration).values(expires_at=datetime.now(UTC)))
    expired = await use(browser, expiring)
    unknown = await use(browser, "AAAA-BBBB-CCCC-DDDD")
    empty = await use(browser, " ")
    assert "no longer works" in void.text
    assert "no longer works" in expired.text
    assert "not known" in unknown.text
    assert {answer.status_code for answer in (void, expired, unknown, empty)} == {422}
    for each in (void, expired, unknown, empty):
        assert training_id not in each.text
        assert "Ann" not in each.text
        assert number not in each.text


async def _mails(system: System, training_id: str) -> int:
    return len(system.mails(to=f"{training_id.lower()}@"))


@pytest.mark.usefixtures("one_hour")
async def test_guesses_are_limited_by_number_and_by_address(
    system: System, gateway: Gateway, serve: Serving
) -> None:
    browser = gateway.browser()
    answers = [(await use(browser, "AAAA")).status_code for _ in range(12)]
    assert answers == [422] * 10 + [429] * 2
    tries = [use(browser, f"GUESS{each}") for each in range(100)]
    statuses = [answer.status_code for answer in await asyncio.gather(*tries)]
    assert statuses.count(429) == 12
    # The count is in the records, so another gateway knows it too.
    async with serve() as other:
        assert (await use(other.browser(), "FRESH")).status_code == 429


@pytest.mark.usefixtures("one_hour")
async def test_a_lost_mail_is_sent_again_and_every_answer_is_the_same(
    system: System, gateway: Gateway
) -> None:
    training_id, _ = await waiting(system)
    browser = gateway.browser()
    known = await browser.post(f"{PAGE}/resend", data={"training_id": training_id})
    unknown = await browser.post(f"{PAGE}/resend", data={"training_id": "ZZZZZZZ"})
    assert (known.status_code, known.text) == (unknown.status_code, unknown.text)
    await eventually(lambda: _mails(system, training_id), lambda count: count == 2)
    wrong = await browser.post(f"{PAGE}/resend", data={"training_id": "x"})
    assert wrong.status_code == 422
    for known_id in (training_id, "ZZZZZZZ"):
        for _ in range(2):
            await browser.post(f"{PAGE}/resend", data={"training_id": known_id})
        last = await browser.post(f"{PAGE}/resend", data={"training_id": known_id})
        assert last.status_code == 429


async def test_another_sites_form_uses_no_number(system: System, gateway: Gateway) -> None:
    _, number = await waiting(system)
    browser = gateway.browser()
    cross = {"Sec-Fetch-Site": "cross-site"}
    for path in (PAGE, f"{PAGE}/resend"):
        answer = await browser.post(path, data={"registration_number": number}, headers=cross)
        assert answer.status_code == 403
    assert (await use(browser, number)).status_code == 200


async def test_no_log_holds_a_number(system: System, gateway: Gateway) -> None:
    training_id, number = await waiting(system)
    browser = gateway.browser()
    with structlog.testing.capture_logs() as logged:
        await browser.get(f"{PAGE}?registration_number={number}")
        await use(browser, number)
        await browser.post(f"{PAGE}/resend", data={"training_id": training_id})
    assert number not in str(logged)
    assert training_id not in str(logged)


@pytest.mark.parametrize(
    ("content", "kind", "status"),
    [
        (b"registration_number=" + b"A" * 20_000, "application/x-www-form-urlencoded", 413),
        (b"registration_number=%FF&" * 40, "application/x-www-form-urlencoded", 400),
        (b"\xff\xfe", "application/x-www-form-urlencoded", 400),
        (b"{}", "application/json", 415),
        (b"--x\r\n", "multipart/form-data; boundary=x", 415),
    ],
)
async def test_what_is_no_form_is_refused(
    gateway: Gateway, content: bytes, kind: str, status: int
) -> None:
    answer = await gateway.browser().post(PAGE, content=content, headers={"Content-Type": kind})
    assert answer.status_code == status
