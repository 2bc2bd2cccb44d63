"""The requests in the documents work as they are printed."""

import asyncio
import re
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest

from records.keys import Kind
from tests.support.events import made
from tests.support.gateway import Gateway
from tests.support.rosters import roster_of
from tests.support.system import System

DOCS = Path(__file__).resolve().parents[2] / "docs"
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
TOOLS = ("bash", "curl", "openssl", "xxd")
pytestmark = pytest.mark.skipif(
    not all(map(shutil.which, TOOLS)), reason=f"not all of {', '.join(TOOLS)} are here"
)


def requests_in(name: str) -> list[str]:
    blocks = BLOCK.findall((DOCS / name).read_text())
    return [script for _, script in blocks if "curl" in script]


async def pasted(script: str, folder: Path) -> str:
    shell = await asyncio.create_subprocess_exec(
        "bash", "-euc", script, cwd=folder, stdout=-1, stderr=-1
    )
    out, err = await shell.communicate()
    assert shell.returncode == 0, (out, err)
    return out.decode()


async def test_results_and_events(gateway: Gateway, tmp_path: Path) -> None:
    export, event = requests_in("connect-a-training-system.md")
    key = (await gateway.key())["Authorization"].removeprefix("Bearer ")
    _, secret = await made(gateway)

    def here(script: str) -> str:
        script = script.replace("https://assisters.example.org", gateway.url)
        return script.replace("YOUR-KEY", key).replace("whsec_…", secret)

    assert '"accepted":2' in await pasted(here(export), tmp_path)
    assert '"recorded"' in await pasted(here(event), tmp_path)


async def test_rosters(gateway: Gateway, tmp_path: Path) -> None:
    (tmp_path / "navigators.csv").write_text(roster_of("NAV1001"))
    [check] = requests_in("for-contacts.md")
    key = (await gateway.agency_key())["Authorization"].removeprefix("Bearer ")
    script = check.replace("https://assisters.example.org", gateway.url).replace("YOUR-KEY", key)
    assert '"forecast"' in await pasted(script, tmp_path)


async def test_the_portals_events(system: System, gateway: Gateway, tmp_path: Path) -> None:
    await system.portal.enroll("NAV1001", 1, datetime(2099, 1, 1, tzinfo=UTC), {})
    [event] = requests_in("connect-a-directory.md")
    _, secret = await made(gateway, "portal", Kind.PORTAL)
    script = event.replace("https://assisters.example.org", gateway.url).replace("whsec_…", secret)
    assert '"recorded"' in await pasted(script, tmp_path)
