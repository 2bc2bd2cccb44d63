"""POST /portal/events: the case is told of an event, or the event is refused."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlmodel import select

from activities.relay import relay_activations
from activities.results import relay_results
from records.keys import Kind
from records.tables import ResultEvent
from tests.support.conditions import in_stage, mailed
from tests.support.events import made, scored, signed
from tests.support.gateway import Gateway
from tests.support.system import (
    System,
    approved_again,
    meet_requirements,
    new_training_id,
    record_people,
)

PATH = "/portal/events"


def event(training_id: str, what: str, at: datetime | None = None, **data: Any) -> str:
    at = at or datetime.now(UTC)
    said = {"training_id": training_id, **data}
    return json.dumps({"type": f"account.{what}", "timestamp": at.isoformat(), "data": said})


async def send(gateway: Gateway, body: str, secret: str, identity: str = "m1") -> tuple[int, str]:
    answer = await gateway.client.post(PATH, content=body, headers=signed(body, secret, identity))
    said = answer.json()
    return answer.status_code, str(said.get("detail") or said["status"])


async def portals(gateway: Gateway) -> str:
    """Makes the portal's key; returns its secret."""
    return (await made(gateway, "portal", Kind.PORTAL))[1]


async def relay(system: System) -> None:
    settings = system.settings
    await relay_activations(system.portal, system.client, settings.task_queue, settings.terms)
    await relay_results(system.database, system.client, settings.task_queue, settings.terms)


async def waiting(system: System) -> str:
    """An assister who got the mail with a registration number."""
    training_id = new_training_id()
    await record_people(system.database, training_id)
    await meet_requirements(system, training_id)
    return training_id


async def test_an_activation_and_a_closing_reach_the_case(system: System, gateway: Gateway) -> None:
    secret, training_id = await portals(gateway), await waiting(system)
    body = event(training_id, "activated", registration=1)
    assert await send(gateway, body, secret) == (202, "recorded")
    assert await send(gateway, body, secret) == (202, "repeated")
    await relay(system)
    await system.until(training_id, in_stage("active"))
    assert await system.portal.having_access([training_id]) == {training_id}

    closed = event(training_id, "closed")
    assert await send(gateway, closed, secret, "m2") == (202, "recorded")
    assert await send(gateway, closed, secret, "m2") == (202, "repeated")
    await relay(system)
    await system.until(training_id, in_stage("suspended"))
    assert not await system.portal.having_access([training_id])
    kinds = [mail.kind for mail in (await system.status(training_id)).mails]
    assert kinds.count("suspended") == 1
    await system.act(training_id, "reinstate_access")
    await system.until(training_id, in_stage("active"))


async def test_a_closing_without_a_case_is_told_and_done(system: System, gateway: Gateway) -> None:
    secret, training_id = await portals(gateway), new_training_id()
    assert await send(gateway, event(training_id, "closed"), secret) == (202, "recorded")
    await relay(system)
    async with gateway.database.snapshot() as session:
        [kept] = await session.exec(select(ResultEvent))
    assert (kept.told_at is None, kept.attempts) == (False, 0)


async def test_an_activation_during_a_suspension_gives_no_access(
    system: System, gateway: Gateway
) -> None:
    secret, training_id = await portals(gateway), await waiting(system)
    used_at = datetime.now(UTC)
    await system.act(training_id, "suspend_access")
    await system.until(training_id, in_stage("suspended"))
    body = event(training_id, "activated", used_at, registration=1)
    assert await send(gateway, body, secret) == (202, "recorded")
    await relay(system)
    assert not await system.portal.having_access([training_id])
    await system.act(training_id, "reinstate_access")
    await system.until(training_id, in_stage("active"))
    assert await system.portal.fence(training_id) == 3


@pytest.mark.parametrize("registration", [1, 2, 3])
async def test_only_the_number_that_counted_activates(
    system: System, gateway: Gateway, registration: int
) -> None:
    secret, training_id = await portals(gateway), await waiting(system)
    await system.act(training_id, "reissue_activation")
    await system.until(training_id, mailed("activation", 2))
    body = event(training_id, "activated", registration=registration)
    status, says = await send(gateway, body, secret)
    assert (status, "number" in says) == ((202, False) if registration == 2 else (409, True))
    assert bool(await system.portal.unreported()) is (registration == 2)


async def test_a_number_that_had_ended_does_not_activate(system: System, gateway: Gateway) -> None:
    secret, training_id = await portals(gateway), new_training_id()
    await system.portal.enroll(training_id, 1, datetime.now(UTC) - timedelta(hours=1), {})
    body = event(training_id, "activated", registration=1)
    assert (await send(gateway, body, secret))[0] == 409
    early = datetime.now(UTC) - timedelta(hours=2)
    await system.portal.void(training_id, 2)
    body = event(training_id, "activated", early, registration=1)
    assert await send(gateway, body, secret, "m2") == (202, "recorded")


async def test_forged_replayed_and_anothers_is_401_and_changes_nothing(
    system: System, gateway: Gateway
) -> None:
    secret, training_id = await portals(gateway), await waiting(system)
    body = event(training_id, "activated", registration=1)
    _, trainings = await made(gateway)
    forged = signed(event(training_id, "closed"), secret, "m")
    late = signed(body, secret, "m", datetime.now(UTC) - timedelta(minutes=6))
    other_id = signed(body, secret, "m") | {"webhook-id": "n"}
    for headers in (signed(body, trainings, "m"), forged, late, other_id, {}):
        sent = headers | {"content-type": "application/json"}
        assert (await gateway.client.post(PATH, content=body, headers=sent)).status_code == 401
    # The portal's secret does not sign for a training system either.
    result = scored(training_id)
    headers = signed(result, secret, "m")
    answer = await gateway.client.post("/training/events", content=result, headers=headers)
    assert answer.status_code == 401
    assert await system.portal.unreported() == []
    async with gateway.database.snapshot() as session:
        assert (await session.exec(select(ResultEvent))).all() == []


WRONG: list[tuple[str, int]] = [
    ("{", 400),
    ("[]", 422),
    ('{"type": "account.closed"}', 422),
    ('{"type": "account.renamed", "data": {}}', 202),
    (event("nav-1", "closed"), 422),
    (event("NAV1001", "closed", name="Ann"), 422),
    (event("NAV1001", "closed", datetime(2126, 1, 5, tzinfo=UTC)), 422),
    (event("NAV1001", "activated"), 422),
    (event("NAV1001", "activated", registration=0), 422),
    (event("NAV1001", "activated", registration=True), 422),
    (event("NAV1001", "activated", registration="1"), 422),
    (event("NAV1001", "activated", registration=10**30), 422),
    (event("NAV1001", "activated", registration=1), 409),
]


async def test_what_is_signed_and_wrong_is_said(gateway: Gateway) -> None:
    secret = await portals(gateway)
    for number, (body, status) in enumerate(WRONG):
        answer = await send(gateway, body, secret, f"m{number}")
        assert answer[0] == status, (body, answer)


async def test_an_account_that_the_portal_closed_stays_closed_for_the_case_that_opens_next(
    system: System, gateway: Gateway
) -> None:
    secret, training_id = await portals(gateway), await waiting(system)
    await system.activate(training_id)
    await system.until(training_id, in_stage("active"))
    await system.act(training_id, "close_case")
    await system.case(training_id).result()
    assert await send(gateway, event(training_id, "closed"), secret) == (202, "recorded")
    await relay(system)
    await system.tell(training_id, "roster_recorded", approved_again())
    await system.until(training_id, in_stage("suspended"))
    assert not await system.portal.having_access([training_id])
    await system.act(training_id, "reinstate_access")
    await system.until(training_id, in_stage("active"))


async def test_a_repetition_is_one_though_the_senders_clock_is_ahead(gateway: Gateway) -> None:
    secret, ahead = await portals(gateway), datetime.now(UTC) + timedelta(minutes=1)
    body = event(new_training_id(), "closed", ahead)
    for said in ("recorded", "repeated", "repeated"):
        assert await send(gateway, body, secret) == (202, said)
    other = event(new_training_id(), "closed", ahead)
    assert (await send(gateway, other, secret))[0] == 409
