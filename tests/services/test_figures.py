"""The figures of the system."""

import asyncio

from temporalio.common import SearchAttributePair, TypedSearchAttributes

from services.figures import LONGEST_ASKED, take_figures
from tests.support.system import System, eventually, new_training_id
from workflows import search_attributes
from workflows.contract import ASSISTER_ACCESS, assister_workflow_id
from workflows.lists import ATTENTION


async def test_cases_that_never_answer_hold_up_no_figures(system: System) -> None:
    ids = [assister_workflow_id(new_training_id()) for _ in range(8)]
    needs = SearchAttributePair(search_attributes.ATTENTION, "mail:activation")
    stuck = [
        await system.client.start_workflow(
            ASSISTER_ACCESS,
            id=each,
            task_queue="nobody-asks-here",
            search_attributes=TypedSearchAttributes([needs]),
        )
        for each in ids
    ]

    async def listed() -> set[str]:
        return {each.id async for each in system.client.list_workflows(ATTENTION)}

    await eventually(listed, lambda found: set(ids) <= found)
    # Asked one after another, they would take longer.
    async with asyncio.timeout(LONGEST_ASKED * len(ids) - 1):
        assert (await take_figures(system.connections)).attention >= len(ids)
    for each in stuck:
        await each.terminate()
