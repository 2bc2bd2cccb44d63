"""POST /rosters, POST /rosters/check and GET /rosters/{id}, as an agency's program calls them."""

import asyncio

import httpx2
import pytest
from sqlmodel import col, delete

from gateway.uploads import CSV
from intake.forecast import RosterForecast
from records.tables import Contact
from services.checking import Checked
from tests.support.gateway import OTHER, Gateway, Serving, other_agency
from tests.support.rosters import roster_of
from tests.support.system import System, eventually, new_training_id
from workflows.contract import roster_workflow_id


async def post(
    gateway: Gateway, path: str, body: str, key: dict[str, str], kind: str = "navigator"
) -> httpx2.Response:
    headers = {"Content-Type": CSV, **key}
    return await gateway.client.post(f"{path}?type={kind}", content=body, headers=headers)


async def test_a_roster_is_checked_submitted_and_watched(system: System, gateway: Gateway) -> None:
    one = new_training_id()
    body = roster_of(one, "bad")
    key = await gateway.agency_key()
    checked = (await post(gateway, "/rosters/check", body, key)).json()
    assert [row["verdict"] for row in checked["rows"]] == ["accepted", "rejected"]
    assert [case["training_id"] for case in checked["forecast"]["cases"]] == [one]
    answer = await post(gateway, "/rosters", body, key)
    assert (answer.status_code, answer.json()["new"]) == (202, True)
    where = answer.headers["location"]

    async def look() -> httpx2.Response:
        return await gateway.client.get(where, headers=key)

    done = await eventually(look, lambda answer: answer.json()["stage"] == "done")
    assert "retry-after" not in done.headers
    assert [row["verdict"] for row in done.json()["rows"]] == ["accepted", "rejected"]
    assert (await system.status(one)).requirements["approval"].met
    again = await post(gateway, "/rosters", body, key)
    assert (again.json()["new"], again.headers["location"]) == (False, where)


async def test_another_agencys_roster_is_not_there(gateway: Gateway) -> None:
    taken = await post(
        gateway, "/rosters", roster_of(new_training_id()), await gateway.agency_key()
    )
    stranger = await other_agency(gateway)
    hidden = await gateway.client.get(taken.headers["location"], headers=stranger)
    missing = await gateway.client.get("/rosters/000000000000", headers=stranger)
    assert (hidden.status_code, missing.status_code) == (404, 404)
    assert hidden.json()["title"] == missing.json()["title"]


async def test_a_training_systems_key_submits_no_roster(gateway: Gateway) -> None:
    answer = await post(gateway, "/rosters", roster_of("NAV1001"), await gateway.key())
    assert answer.status_code == 403


async def test_a_key_ends_with_its_contact(gateway: Gateway) -> None:
    key = await other_agency(gateway)
    async with gateway.database.transaction() as session:
        await session.exec(delete(Contact).where(col(Contact.agency_id) == OTHER[0]))
    answer = await post(gateway, "/rosters", roster_of("NAV1001"), key)
    assert answer.status_code == 403
    assert "no longer authorized" in answer.json()["detail"]


async def test_a_roster_that_cannot_start_is_not_taken(
    serve: Serving, system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    training_id = new_training_id()
    monkeypatch.setenv("TEMPORAL_ADDRESS", "127.0.0.1:1")
    async with serve() as away:
        refused = await post(away, "/rosters", roster_of(training_id), await away.agency_key())
        assert refused.status_code == 503
        checked = await post(
            away, "/rosters/check", roster_of(training_id), await away.agency_key()
        )
        assert checked.status_code == 503
    monkeypatch.setenv("TEMPORAL_ADDRESS", system.client.service_client.config.target_host)
    async with serve() as back:
        taken = await post(back, "/rosters", roster_of(training_id), await back.agency_key())
        assert taken.status_code == 202
    await system.client.get_workflow_handle(
        roster_workflow_id(taken.json()["submission_id"])
    ).result()
    assert (await system.status(training_id)).requirements["approval"].met


async def test_the_file_and_its_type_are_needed(gateway: Gateway) -> None:
    key = await gateway.agency_key()
    assert (await post(gateway, "/rosters", roster_of("NAV1001"), key, "nurse")).status_code == 422
    assert (await post(gateway, "/rosters", "", key)).status_code == 422


async def test_checks_that_take_long_hold_up_nobody_else(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A check holds a connection to the records while it asks the cases."""
    asked, over = asyncio.Semaphore(0), asyncio.Event()

    async def slow(*_: object, **__: object) -> Checked:
        asked.release()
        await over.wait()
        return Checked([], RosterForecast())

    monkeypatch.setattr("gateway.cases.check_roster", slow)
    monkeypatch.setattr("gateway.turns.WAITS", 0.1)
    key = await gateway.agency_key()

    async def check() -> int:
        return (await post(gateway, "/rosters/check", roster_of("NAV1001"), key)).status_code

    async with asyncio.TaskGroup() as group:
        for _ in range(4):
            group.create_task(check())
            await asked.acquire()
        assert await check() == 503
        assert (await gateway.client.get("/readyz")).status_code == 200
        over.set()
