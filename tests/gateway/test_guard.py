"""The gateway refuses requests without a key, and no request blocks other requests."""

import asyncio
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import httpx2
import psycopg
import pytest
from psycopg.sql import SQL, Identifier
from structlog.testing import capture_logs

from gateway.guard import MOST_BODY
from records.keys import all_keys, key_sent, revoke_key, rotate_key
from tests.support.databases import beside, new_database
from tests.support.gateway import Gateway, Serving

PATH = "/training/results"
CSV = {"Content-Type": "text/csv"}


async def talk(gateway: Gateway, *parts: bytes, pause: float = 0) -> bytes:
    """Sends bytes on a new connection, and reads until the server closes it."""
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    try:
        for part in parts:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(pause)
        return await asyncio.wait_for(reader.read(), 20)
    except ConnectionResetError:
        return b""
    finally:
        writer.close()


@pytest.mark.parametrize(
    "sent",
    ["", "Bearer", "Bearer x", "Bearer {id}.", "Bearer {id}.wrong", "Basic {key}", "Bearer {key}x"],
)
async def test_a_key_that_is_not_one_is_401(gateway: Gateway, sent: str) -> None:
    key = (await gateway.key())["Authorization"].removeprefix("Bearer ")
    value = sent.format(id=key.partition(".")[0], key=key)
    answer = await gateway.client.post(PATH, headers={"Authorization": value, **CSV}, content="x")
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.headers["content-type"] == "application/problem+json"


async def test_no_byte_of_a_body_is_read_before_the_key(gateway: Gateway) -> None:
    # The server answers Expect: 100-continue when the gateway begins to read the body.
    head = (
        b"POST /training/results HTTP/1.1\r\nHost: x\r\nContent-Type: text/csv\r\n"
        b"Content-Length: 1000000\r\nExpect: 100-continue\r\nConnection: close\r\n%s\r\n"
    )
    refused = await talk(gateway, head % b"")
    assert refused.startswith(b"HTTP/1.1 401")
    key = (await gateway.key())["Authorization"].encode()
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    writer.write(head % (b"Authorization: " + key + b"\r\n"))
    assert (await reader.readline()).startswith(b"HTTP/1.1 100")
    writer.close()


async def test_a_key_that_was_revoked_or_replaced_ends(gateway: Gateway) -> None:
    key = await gateway.key()
    sent = key["Authorization"].removeprefix("Bearer ")
    now = datetime.now(UTC)
    async with gateway.database.transaction() as session:
        _, new = await rotate_key(session, sent.partition(".")[0], now)
    async with gateway.database.snapshot() as session:
        assert await key_sent(session, sent, now + timedelta(hours=23))
        assert await key_sent(session, sent, now + timedelta(hours=25)) is None
        assert await key_sent(session, new, now + timedelta(days=999))
    async with gateway.database.transaction() as session:
        await revoke_key(session, sent.partition(".")[0], now)
    answer = await gateway.client.post(PATH, headers={**key, **CSV}, content="x")
    assert answer.status_code == 401
    async with gateway.database.snapshot() as session:
        kept = "".join(key.model_dump_json() for key in await all_keys(session))
    assert sent.partition(".")[2] not in kept
    assert new.partition(".")[2] not in kept


async def test_an_agencys_key_opens_no_training_door(gateway: Gateway) -> None:
    key = await gateway.agency_key()
    answer = await gateway.client.post(PATH, headers={**key, **CSV}, content="x")
    assert answer.status_code == 403


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"Content-Length: %d\r\n" % (MOST_BODY + 1), b"413"),
        (b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n", b"400"),
        (b"Content-Length: 3\r\nContent-Length: 4\r\n", b"400"),
        (b"Content-Length: 99999999999999999999999999\r\n", b"400"),
        (b"X: " + b"x" * 17_000 + b"\r\n", b"431"),
        (b"X: " + b"x" * 10_000_000 + b"\r\n", b"400"),
    ],
)
async def test_what_is_too_large_or_ambiguous_is_refused(
    gateway: Gateway, head: bytes, status: bytes
) -> None:
    key = (await gateway.key())["Authorization"].encode()
    answer = await talk(
        gateway,
        b"POST /training/results HTTP/1.1\r\nHost: x\r\nContent-Type: text/csv\r\n"
        b"Authorization: " + key + b"\r\n" + head + b"Connection: close\r\n\r\nabc",
    )
    # The client may get a reset instead of the answer if the server leaves megabytes unread.
    assert answer[9:12] in (status, b"") if len(head) > 100_000 else answer[9:12] == status


async def test_a_chunked_body_is_counted(gateway: Gateway) -> None:
    key = (await gateway.key())["Authorization"].encode()
    megabyte = b"100000\r\n" + b"x" * 2**20 + b"\r\n"
    answer = await talk(
        gateway,
        b"POST /training/results HTTP/1.1\r\nHost: x\r\nContent-Type: text/csv\r\n"
        b"Authorization: " + key + b"\r\nTransfer-Encoding: chunked\r\n\r\n",
        *[megabyte] * 21,
    )
    # The server hangs up while the client still sends, so its answer may not arrive.
    assert answer[9:12] in (b"413", b"")
    assert await talk(gateway, b"GET /healthz HTTP/1.0\r\n\r\n")


async def test_a_slow_body_is_given_up(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.guard.PATIENCE", 0.3)
    key = (await gateway.key())["Authorization"].encode()
    answer = await talk(
        gateway,
        b"POST /training/results HTTP/1.1\r\nHost: x\r\nContent-Type: text/csv\r\n"
        b"Authorization: " + key + b"\r\nContent-Length: 1000\r\nConnection: close\r\n\r\n",
        b"a",
    )
    assert answer.startswith(b"HTTP/1.1 408")


async def test_a_slow_head_is_given_up(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
    await reader.readuntil(b'{"status":"runs"}')
    monkeypatch.setattr("gateway.server.HEAD_WITHIN", 0.3)
    writer.write(b"GET")
    # Closed before the server has read these bytes, the connection is reset.
    with suppress(ConnectionResetError):
        assert await asyncio.wait_for(reader.read(), 20) == b"", "the next head is given no time"
    writer.close()
    for begun in (b"", b"GET /healthz HTTP/1.1\r\n"):
        assert await talk(gateway, begun) == b""


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nothing/here", 404),
        ("GET", PATH, 405),
        ("DELETE", "/healthz", 405),
        ("GET", "/../../etc/passwd", 404),
        ("GET", "/style.css/../x", 404),
    ],
)
async def test_every_error_is_a_problem_with_the_headers_of_every_answer(
    gateway: Gateway, method: str, path: str, status: int
) -> None:
    answer = await gateway.client.request(method, path)
    assert answer.status_code == status
    assert answer.json()["status"] == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "server" not in answer.headers


async def test_a_fault_is_a_problem_that_tells_nothing(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: object) -> None:
        text = "ann.lee@x.org"
        raise RuntimeError(text)

    monkeypatch.setattr("gateway.callers.key_sent", broken)
    with capture_logs() as logged:
        answer = await gateway.client.post(PATH, headers={"Authorization": "Bearer x", **CSV})
    assert answer.status_code == 500
    assert "ann.lee" not in answer.text + str(logged)
    assert logged[0]["fault"] == "RuntimeError"
    assert "in broken" in logged[0]["where"]


async def test_a_person_is_answered_with_a_page(gateway: Gateway) -> None:
    answer = await gateway.client.get("/nothing", headers={"Accept": "text/html"})
    assert answer.status_code == 404
    assert "<h1>This did not work</h1>" in answer.text


async def test_the_log_has_no_query_no_path_and_no_key(gateway: Gateway) -> None:
    key = await gateway.key()
    with capture_logs() as logged:
        await gateway.client.get("/somebody/secret-token?name=ann")
        await gateway.client.post(f"{PATH}?name=ann", headers={**key, **CSV}, content="x")
    told = str(logged)
    assert "secret-token" not in told
    assert "ann" not in told
    assert key["Authorization"].partition(".")[2] not in told
    assert [line["route"] for line in logged] == ["(none)", PATH]
    assert logged[1]["caller"]


async def test_health(gateway: Gateway) -> None:
    assert (await gateway.client.get("/healthz")).status_code == 200
    assert (await gateway.client.get("/readyz")).json() == {"status": "ready"}


async def test_while_the_records_are_away_everybody_is_told_to_try_later(
    serve: Serving, postgres_template: str
) -> None:
    url = new_database(postgres_template)
    name = Identifier(urlsplit(url).path[1:])
    ended = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = %s"
    with psycopg.connect(beside(url, "postgres"), autocommit=True) as administrator:
        async with serve(database_url=url) as gateway:
            key = await gateway.key()

            async def answers() -> list[httpx2.Response]:
                sent: dict[str, Any] = {"headers": key | CSV, "content": "Training ID"}
                return [
                    await gateway.client.post(PATH, **sent),
                    await gateway.browser().post("/activate", data={"registration_number": "A"}),
                ]

            before = [each.status_code for each in await answers()]
            allow = SQL("ALTER DATABASE {} ALLOW_CONNECTIONS {}")
            administrator.execute(allow.format(name, SQL("false")))
            administrator.execute(ended, [urlsplit(url).path[1:]])
            with capture_logs() as logs:
                away = await answers()
            administrator.execute(allow.format(name, SQL("true")))
            after = [each.status_code for each in await answers()]
    assert [each.status_code for each in away] == [503, 503]
    assert away[0].headers["content-type"] == "application/problem+json"
    assert all("Try again later." in each.text for each in away)
    assert {each["log_level"] for each in logs} == {"warning", "info"}, "no fault of the program"
    assert after == before
