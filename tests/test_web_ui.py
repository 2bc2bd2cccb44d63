"""The relay in front of the Temporal Web UI."""

import asyncio
import json
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from embedded.temporal_server import temporal_server
from embedded.web_ui import BUTTONS_OFF, free_port, web_ui
from tests.support.system import eventually


async def fetch(port: int, path: str) -> Any:
    def answer() -> Any:
        with urlopen(f"http://127.0.0.1:{port}/api/v1/{path}", timeout=30) as response:
            return json.load(response)

    return await asyncio.to_thread(answer)


async def fetch_once_up(port: int, path: str) -> Any:
    """Fetches a page once the UI answers: it says 503 until it has reached its server."""

    async def answer() -> Any:
        try:
            return await fetch(port, path)
        except HTTPError:
            return None

    return await eventually(answer, lambda found: found is not None)


async def test_the_ui_is_told_that_the_dangerous_buttons_are_off() -> None:
    port = free_port()
    async with temporal_server(ui_port=port) as server:
        settings = await fetch_once_up(port, "settings")
        # These must be the UI's own names: a name that it does not know turns nothing off.
        assert {each: settings.get(each) for each in BUTTONS_OFF} == dict.fromkeys(
            BUTTONS_OFF, True
        )
        assert settings["WorkflowCancelDisabled"] is False
        assert settings["Version"]
        namespace = await fetch_once_up(port, f"namespaces/{server.client.namespace}")
        assert namespace["namespaceInfo"]["name"] == server.client.namespace


@pytest.mark.parametrize(
    ("head", "status"),
    [
        ("GET / HTTP/1.1\r\nHost: evil.example.org", b"421"),
        ("GET / HTTP/1.1\r\nHost: 127.0.0.1.evil.example.org:8233", b"421"),
        ("GET / HTTP/1.1\r\nHost: localhost@evil.example.org", b"421"),
        ("GET / HTTP/1.1\r\nHost: [", b"421"),
        ("GET / HTTP/1.1", b"421"),
        ("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9999999999", b"413"),
        ("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1", b"411"),
        ("POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked", b"411"),
        ("GET / HTTP/1.1\r\nHost: [::1]:8233", b"502"),
        ("GET / HTTP/1.1\r\nHost: localhost:9000", b"502"),
    ],
)
async def test_only_this_machine_is_answered_and_no_more_is_read_than_can_be_kept(
    head: str, status: bytes
) -> None:
    port = free_port()
    with web_ui(port, free_port()):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(f"{head}\r\n\r\n".encode())
        async with asyncio.timeout(60):
            assert (await reader.readline()).split()[1] == status
        writer.close()


async def test_a_ui_that_is_not_there_is_said_to_be_so() -> None:
    port = free_port()
    with web_ui(port, free_port()), pytest.raises(HTTPError, match="does not answer"):
        await fetch(port, "settings")
