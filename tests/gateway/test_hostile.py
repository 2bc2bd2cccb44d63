"""A caller with a valid key or visit tries to see other people's data, or to stop the gateway."""

import base64
from typing import Any

import pytest
from starlette.requests import Request

from gateway.callers import client_address
from gateway.uploads import CSV
from tests.support.gateway import STAFF, Gateway, other_agency, token_of
from tests.support.rosters import roster_of
from tests.support.system import (
    AGENCY,
    System,
    facts,
    meet_requirements,
    new_training_id,
    record_people,
)


async def checked(gateway: Gateway, key: dict[str, str], training_id: str) -> dict[str, Any]:
    body = roster_of(training_id)
    answer = await gateway.client.post(
        "/rosters/check?type=navigator", content=body, headers={**key, "Content-Type": CSV}
    )
    said: dict[str, Any] = answer.json()
    return said


@pytest.mark.parametrize("case", ["open", "closed"])
async def test_a_forecast_tells_nothing_of_another_agencys_assister(
    system: System, gateway: Gateway, case: str
) -> None:
    mine, nobody, unclaimed = (new_training_id() for _ in range(3))
    await record_people(system.database, mine)
    await meet_requirements(system, mine)
    if case == "closed":
        await system.act(mine, "close_case")
        await system.case(mine).result()
    for signal, fact in facts().items():
        if signal != "roster_recorded":
            await system.tell(unclaimed, signal, fact)
    stranger = await other_agency(gateway)
    of_mine, of_nobody = [await checked(gateway, stranger, person) for person in (mine, nobody)]
    assert str(of_mine).replace(mine, nobody) == str(of_nobody)
    # Results from before any roster belong to no agency, and an agency sees its own assisters.
    [foreseen] = (await checked(gateway, stranger, unclaimed))["forecast"]["cases"]
    assert foreseen["becomes"] == "awaiting_activation"
    own = (await checked(gateway, await gateway.agency_key(), mine))["forecast"]
    assert case == "closed" or own["unchanged"] == 1


async def test_nul_in_an_address_or_a_form_is_refused(
    each_system: System, each_gateway: Gateway
) -> None:
    contact = await each_gateway.signed_in(each_system)
    staff = await each_gateway.signed_in(each_system, STAFF)
    home = f"/agencies/{AGENCY}"
    for path in ("assisters", "drafts", "rosters"):
        assert (await contact.get(f"{home}/{path}/a%00b")).status_code == 400
    for path in ("/staff/assisters/a%00b", "/staff/agencies/a%00b"):
        assert (await staff.get(path)).status_code == 400
    form = {"token": token_of(await contact.get(home)), "training_id": "a\0b"}
    assert (await contact.post(f"{home}/lookup", data=form)).status_code == 400
    form = {"token": token_of(await staff.get("/staff")), "asked": "a\0b"}
    assert (await staff.post("/staff", data=form)).status_code == 400
    basic = base64.b64encode(b"a\0b:secret").decode()
    headers = {"Authorization": f"Basic {basic}", "X-Experience-API-Version": "1.0.3"}
    assert (await each_gateway.client.get("/xapi/statements", headers=headers)).status_code == 401


@pytest.mark.parametrize("charset", ["punycode", "unicode_escape", "utf-7", "zlib", "no-such"])
async def test_an_encoding_that_no_program_writes_is_refused(
    gateway: Gateway, charset: str
) -> None:
    headers = {**await gateway.agency_key(), "Content-Type": f"{CSV}; charset={charset}"}
    answer = await gateway.client.post("/rosters/check?type=cac", content="x", headers=headers)
    assert answer.status_code == 415


@pytest.mark.parametrize(
    ("host", "counted"),
    [
        ("203.0.113.9", "203.0.113.9"),
        ("::ffff:203.0.113.9", "203.0.113.9"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("testclient", "testclient"),
    ],
)
def test_who_calls_is_counted_by_address_and_by_network(host: str, counted: str) -> None:
    scope = {"type": "http", "headers": [], "client": (host, 1)}
    assert client_address(Request(scope)) == counted
