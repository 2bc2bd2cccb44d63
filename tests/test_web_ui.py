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
    """The UI says 503 until it has seen its server."""

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
        # The UI's own names: one that it does not know would turn nothing off.
        assert {each: settings.get(each) for each in BUTTONS_OFF} == dict.fromkeys(
            BUTTONS_OFF, True
        )
        assert settings["WorkflowCancelDisabled"] is False
        assert settings["Version"]
        namespace = await fetch_once_up(port, f"namespaces/{server.client.namespace}")
        assert namespace["namespaceInfo"]["name"] == server.client.namespace


async def test_a_ui_that_is_not_there_is_said_to_be_so() -> None:
    port = free_port()
    with web_ui(port, free_port()), pytest.raises(HTTPError, match="does not answer"):
        await fetch(port, "settings")
