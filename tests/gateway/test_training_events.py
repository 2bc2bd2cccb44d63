"""POST /training/events, with the reference library of Standard Webhooks as the sender."""

import asyncio
import base64
import hashlib
import hmac
import json
import time
from datetime import UTC, datetime, timedelta

import httpx2
import pytest
from pydantic import SecretStr, ValidationError
from sqlmodel import select
from standardwebhooks.webhooks import Webhook
from structlog.testing import capture_logs

from activities.results import relay_results
from bootstrap import system_secret
from records.keys import revoke_key, rotate_key, signing_secret
from records.tables import ResultEvent
from settings import Settings
from tests.support.conditions import met, unmet
from tests.support.events import made, scored, signed
from tests.support.gateway import Gateway, Serving
from tests.support.system import System, new_training_id

PATH = "/training/events"
GIVEN = "whsec_" + base64.b64encode(b"g" * 32).decode()


async def send(
    gateway: Gateway, body: str, secret: str, identity: str, **headers: str
) -> httpx2.Response:
    sent = signed(body, secret, identity) | {k.replace("_", "-"): v for k, v in headers.items()}
    return await gateway.client.post(PATH, content=body, headers=sent)


async def kept(gateway: Gateway) -> list[ResultEvent]:
    async with gateway.database.snapshot() as session:
        return list(await session.exec(select(ResultEvent)))


async def test_an_event_reaches_its_case_once(system: System, gateway: Gateway) -> None:
    training_id = new_training_id()
    _, secret = await made(gateway)
    body = scored(training_id)
    answers = await asyncio.gather(*(send(gateway, body, secret, "msg_1") for _ in range(5)))
    assert {answer.status_code for answer in answers} == {202}
    said = sorted(answer.json()["status"] for answer in answers)
    assert said == ["recorded"] + ["repeated"] * 4
    settings = system.settings
    await relay_results(system.database, system.client, settings.task_queue, settings.terms)
    await system.until(training_id, met("assessment"))
    changed = await send(gateway, scored(training_id, "90"), secret, "msg_1")
    assert changed.status_code == 409
    assert len(await kept(gateway)) == 1


async def test_only_its_source_voids_an_event(system: System, gateway: Gateway) -> None:
    training_id = new_training_id()
    _, secret = await made(gateway)
    _, stranger = await made(gateway, "other")
    await send(gateway, scored(training_id), secret, "msg_1")
    void = json.dumps(
        {
            "type": "result.voided",
            "timestamp": "2026-01-06T10:00:00-06:00",
            "data": {"training_id": training_id, "voids": "msg_1"},
        }
    )
    settings = system.settings

    async def relayed() -> None:
        await relay_results(system.database, system.client, settings.task_queue, settings.terms)

    assert (await send(gateway, void, stranger, "msg_2")).status_code == 202
    await relayed()
    status = await system.until(training_id, met("assessment"))
    assert (await send(gateway, void, secret, "msg_2")).status_code == 202
    await relayed()
    status = await system.until(training_id, unmet("assessment"))
    assert "assessment" in status.missing


@pytest.mark.parametrize(
    ("score", "passes"),
    [
        ("70", True),
        ("70.00", True),
        ("7e1", True),
        ("69.99999999999999999", False),
        ("1e-400", False),
    ],
)
async def test_a_score_is_a_decimal(
    system: System, gateway: Gateway, score: str, passes: bool
) -> None:
    training_id = new_training_id()
    _, secret = await made(gateway)
    assert (await send(gateway, scored(training_id, score), secret, "m")).status_code == 202
    settings = system.settings
    await relay_results(system.database, system.client, settings.task_queue, settings.terms)
    status = await system.until(training_id, lambda status: bool(status.happenings))
    assert status.requirements["assessment"].met is passes


BAD_SIGNATURES: list[dict[str, str]] = [
    {"webhook_signature": ""},
    {"webhook_signature": "v1"},
    {"webhook_signature": "v1,"},
    {"webhook_signature": "v1,a,b"},
    {"webhook_signature": "v1,not/base64!!"},
    {"webhook_signature": "v1," + "A" * 43 + "="},
    {"webhook_signature": "v2," + "A" * 43 + "="},
    {"webhook_signature": "v1,"[:2] * 1000},
    {"webhook_timestamp": "0"},
    {"webhook_timestamp": "1e9"},
    {"webhook_timestamp": "9" * 13},
    {"webhook_timestamp": "-1"},
    {"webhook_timestamp": "1_795_000_000"},
    {"webhook_id": ""},
    {"webhook_id": "another"},
    {"webhook_id": "a b"},
    {"webhook_id": "x" * 60},
]


async def test_a_bad_signature_is_401_and_changes_nothing(gateway: Gateway) -> None:
    _, secret = await made(gateway)
    with capture_logs() as logged:
        for changes in BAD_SIGNATURES:
            answer = await send(gateway, scored("NAV1001"), secret, "msg_1", **changes)
            assert answer.status_code == 401, changes
    assert not await kept(gateway)
    assert secret not in str(logged)
    assert "NAV1001" not in str(logged)


async def test_a_signature_for_other_content_or_another_time_is_401(gateway: Gateway) -> None:
    _, secret = await made(gateway)
    body = scored("NAV1001")
    forged = signed(scored("NAV1001", "10"), secret, "m")
    answers = [await gateway.client.post(PATH, content=body, headers=forged)]
    for minutes in (-6, 6):
        late = signed(body, secret, "m", datetime.now(UTC) + timedelta(minutes=minutes))
        answers.append(await gateway.client.post(PATH, content=body, headers=late))
    answers.append(
        await gateway.client.post(PATH, content=body[:-1], headers=signed(body, secret, "m"))
    )
    answers.append(await send(gateway, body, GIVEN, "m"))
    assert {answer.status_code for answer in answers} == {401}
    assert not await kept(gateway)


async def test_junk_inside_base64_is_no_signature(gateway: Gateway) -> None:
    _, secret = await made(gateway)
    body = scored("NAV1001")
    headers = signed(body, secret, "m")
    good = headers["webhook-signature"]
    lax = good[:10] + "!" + good[10:]
    Webhook(secret).verify(body, headers | {"webhook-signature": lax})
    answer = await send(gateway, body, secret, "m", webhook_signature=lax)
    assert answer.status_code == 401


async def test_secrets_are_rotated_and_revoked(serve: Serving, gateway: Gateway) -> None:
    key_id, old = await made(gateway)
    async with gateway.database.transaction() as session:
        new_key, _ = await rotate_key(session, key_id, datetime.now(UTC))
    new = signing_secret(system_secret(gateway.settings), new_key.id)
    assert (await send(gateway, scored("NAV1001"), old, "m1")).status_code == 202
    assert (await send(gateway, scored("NAV1001"), new, "m2")).status_code == 202
    # While a secret is replaced, a sender signs with both.
    body = scored("NAV1002")
    both = signed(body, GIVEN, "m3")["webhook-signature"] + " "
    both += signed(body, new, "m3")["webhook-signature"]
    assert (await send(gateway, body, new, "m3", webhook_signature=both)).status_code == 202
    async with gateway.database.transaction() as session:
        await revoke_key(session, key_id, datetime.now(UTC))
    assert (await send(gateway, scored("NAV1001"), old, "m4")).status_code == 401
    async with serve(event_secrets={"absorb": (SecretStr(GIVEN),)}) as configured:
        assert (await send(configured, scored("NAV1001"), GIVEN, "m1")).status_code == 202
    assert {event.source for event in await kept(gateway)} == {"lms", "absorb"}


@pytest.mark.parametrize("secret", ["abc", "whsec_", "whsec_YWJj", "whsec_!!!", "a" * 40])
def test_a_secret_that_is_none_is_refused_and_not_shown(secret: str) -> None:
    with pytest.raises(ValidationError) as refused:
        Settings.model_validate({"event_secrets": {"lms": [secret]}})
    assert secret not in str(refused.value).replace("whsec_ and", "")


WRONG: list[tuple[str, int]] = [
    ("", 400),
    ("{", 400),
    ('{"type": "assessment.scored", "type": "x"}', 400),
    ('{"type": NaN}', 400),
    ("[" * 20_000, 400),
    ("[]", 422),
    ("{}", 422),
    ('{"type": 1}', 422),
    ('{"type": "user.created", "data": {}}', 202),
    (scored("NAV1001", '"70"'), 422),
    (scored("NAV1001", "true"), 422),
    (scored("NAV1001", "null"), 422),
    (scored("NAV1001", "100.00001"), 422),
    (scored("NAV1001", "-1"), 422),
    (scored("NAV1001", "1e299"), 422),
    (scored("NAV1001", "1e400000"), 400),
    ('{"type": "\\u0000"}', 400),
    ('{"type": "\\ud800"}', 400),
    (scored("nav-1"), 422),
    (scored("NAV1001", timestamp="2026-01-05T10:00:00"), 422),
    (scored("NAV1001", timestamp="9999-12-31T23:59:59-12:00"), 422),
    (scored("NAV1001", timestamp="2126-01-05T10:00:00Z"), 422),
    (scored("NAV1001", timestamp=1767628800), 422),
    (scored("NAV1001", extra="x"), 422),
]


async def test_what_is_signed_and_wrong_is_said(gateway: Gateway) -> None:
    _, secret = await made(gateway)
    for number, (body, status) in enumerate(WRONG):
        answer = await send(gateway, body, secret, f"m{number}")
        assert answer.status_code == status, (body[:100], answer.text)
    assert not await kept(gateway)


async def test_what_is_no_json_or_too_large(gateway: Gateway) -> None:
    _, secret = await made(gateway)
    body = scored("NAV1001")
    assert (await send(gateway, body, secret, "m", content_type="text/csv")).status_code == 415
    large = body + " " * 70_000
    assert (await send(gateway, large, secret, "m")).status_code == 413


async def test_bytes_that_are_no_text_are_400(gateway: Gateway) -> None:
    _, secret = await made(gateway)
    body, now = b'{"type": "\xff"}', str(int(time.time()))
    key = base64.b64decode(secret.removeprefix("whsec_"))
    digest = hmac.digest(key, f"m.{now}.".encode() + body, hashlib.sha256)
    headers = {
        "content-type": "application/json",
        "webhook-id": "m",
        "webhook-timestamp": now,
        "webhook-signature": f"v1,{base64.b64encode(digest).decode()}",
    }
    answer = await gateway.client.post(PATH, content=body, headers=headers)
    assert answer.status_code == 400
