"""A suspension ends access in every stage and in the middle of every step."""

import asyncio
from typing import Any

import pytest
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from activities import relay
from portal.directory import ActivationRefused, StaleCommand
from portal.tables import PortalAccount
from tests.conftest import MakeSystem
from tests.support.conditions import in_stage
from tests.support.gates import Gate
from tests.support.histories import SCENES, Scene
from tests.support.system import (
    AGENCY,
    LONG_AGO,
    OTHER_AGENCY,
    System,
    eventually,
    facts,
    meet_requirements,
    new_training_id,
    no_access,
    record_people,
)
from workflows.client import tell_case
from workflows.contract import Status


async def nothing_works(system: System, training_id: str) -> None:
    """Checks that the account is suspended or was never made, and that no number of it works."""

    async def account_of() -> PortalAccount | None:
        async with system.database.transaction() as session:
            return await session.get(PortalAccount, training_id)

    account = await eventually(
        account_of,
        lambda it: it is None or it.reference_number is None or it.status == "suspended",
    )
    if account is None:
        return
    for registration in range(1, account.registration + 1):
        with pytest.raises(StaleCommand):
            await system.portal.registration_number(training_id, registration)


def over(status: Status) -> bool:
    return status.stage in ("suspended", "closed") or (
        status.stage == "collecting_requirements" and "approval" in status.missing
    )


@pytest.mark.parametrize("scene", dict.fromkeys(SCENES.values()), ids=lambda it: it.__name__)
async def test_a_suspension_at_each_stage(system: System, scene: Scene) -> None:
    training_id = new_training_id()
    await record_people(system.database, training_id)
    await scene(system, training_id)
    system.inbox.refusals.clear()
    numbers = []
    for registration in (1, 2):
        try:
            numbers.append(await system.portal.registration_number(training_id, registration))
        except StaleCommand:
            continue
    for agency in (AGENCY, OTHER_AGENCY):
        newest = {"agency_id": agency, "sequence": 1_000_000}
        denied = no_access().model_copy(update=newest)
        await system.tell(training_id, "roster_recorded", denied)
    await system.until(training_id, over)
    await nothing_works(system, training_id)
    for number in numbers:
        with pytest.raises(ActivationRefused):
            await system.portal.activate(number)


@pytest.mark.parametrize("where", ["before", "after"])
@pytest.mark.parametrize(
    "step",
    [
        "open_case",
        "date_certification",
        "enroll",
        "send_mail",
        "expire_activation",
        "suspend_access",
        "reinstate_access",
        "close_case",
    ],
)
async def test_a_suspension_in_the_middle_of_each_step(
    make_system: MakeSystem, temporal: Any, sqlite_url: str, step: str, where: str
) -> None:
    gate = Gate(step, where)
    client = Client(**temporal.client.config() | {"interceptors": [gate]})
    system = await make_system(sqlite_url, client=client)
    training_id = new_training_id()
    await record_people(system.database, training_id)
    number = ""
    if step in ("open_case", "date_certification", "enroll", "send_mail"):
        gate.armed = True
        dated = facts()
        dated["certification_recorded"] = dated["certification_recorded"].model_copy(
            update={"valid_through": LONG_AGO.date().replace(year=LONG_AGO.year + 9)}
        )
        for signal, fact in dated.items():
            await system.tell(training_id, signal, fact)
    else:
        await meet_requirements(system, training_id)
        number = await system.portal.registration_number(training_id, 1)
        if step != "expire_activation":
            await system.activate(training_id)
            await system.until(training_id, in_stage("active"))
        if step == "reinstate_access":
            await system.act(training_id, "suspend_access")
            await system.until(training_id, in_stage("suspended"))
        gate.armed = True
        match step:
            case "expire_activation":
                leap = asyncio.create_task(system.skip(training_id, days=14))
            case "suspend_access":
                await system.act(training_id, "suspend_access")
            case "reinstate_access":
                await system.act(training_id, "reinstate_access")
            case "close_case":
                await system.act(training_id, "close_case")
    await gate.held.wait()
    await system.tell(training_id, "roster_recorded", no_access())
    gate.go.set()
    if step == "expire_activation":
        await leap
    await system.until(training_id, over)
    await nothing_works(system, training_id)
    if number:
        with pytest.raises(ActivationRefused):
            await system.portal.activate(number)


async def test_one_case_that_cannot_be_told_of_its_activation_holds_up_no_other(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    full, other = new_training_id(), new_training_id()
    await record_people(system.database, full, other)
    for each in (full, other):
        await meet_requirements(system, each)
        await system.portal.activate(await system.portal.registration_number(each, 1))

    async def tell(client: Client, queue: str, training_id: str, *fact: Any) -> None:
        if training_id == full:
            raise RPCError("the case takes no more signals", RPCStatusCode.INVALID_ARGUMENT, b"")
        await tell_case(client, queue, training_id, *fact)

    settings = system.settings
    with monkeypatch.context() as patched:
        patched.setattr(relay, "tell_case", tell)
        with pytest.raises(RPCError):
            await relay.relay_activations(
                system.portal, system.client, settings.task_queue, settings.terms
            )
    await system.until(other, in_stage("active"))
    assert full in {activation.training_id for activation in await system.portal.unreported()}
    await relay.relay_activations(system.portal, system.client, settings.task_queue, settings.terms)
    await system.until(full, in_stage("active"))
