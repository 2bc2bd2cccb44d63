"""Staff find a roster on hold in the Temporal Web UI, and decide on it."""

import re
from datetime import UTC, datetime

from playwright.async_api import expect

from portal.tables import PortalAccount
from tests.browser.temporal_ui import TemporalUi
from tests.support.rosters import roster_row, take_in
from tests.support.system import System, eventually, listed, new_training_id
from workflows.contract import roster_workflow_id
from workflows.lists import ready_made

"""A browser is slow on a busy machine."""


async def test_a_held_roster_is_found_by_its_mark_and_released(
    ui: TemporalUi, system: System
) -> None:
    people = [new_training_id() for _ in range(6)]
    await take_in(system, *map(roster_row, people))
    async with system.database.transaction() as session:
        for each in people:
            session.add(PortalAccount(training_id=each, fence=0, status="active"))
    all_no = "".join(roster_row(person, "No") for person in people)
    workflow_id = roster_workflow_id(await take_in(system, all_no, wait=False))
    [attention, *_] = ready_made(datetime.now(UTC))
    await listed(system, attention.query, workflow_id)
    await ui.open_list(attention.query)
    await ui.row(workflow_id).click()
    await ui.open_tab("user-metadata")
    await expect(ui.details.get_by_role("heading", name="Roster on hold")).to_be_visible()
    await expect(ui.details).to_contain_text(
        re.compile("the access of 6 of the agency.s 6 assisters")
    )
    refused = await ui.send("Update", "release", '{"by": "arc-7"}')
    assert refused.startswith("reason: Field required")
    assert await ui.send("Update", "release") == ""
    result = await system.client.get_workflow_handle(workflow_id).result()
    assert result["stage"] == "done"
    await ui.open_case(workflow_id)
    await expect(ui.details.get_by_role("heading", name="Roster done")).to_be_visible()

    async def ids() -> list[str]:
        return [each.id async for each in system.client.list_workflows(attention.query)]

    await eventually(ids, lambda found: workflow_id not in found)
