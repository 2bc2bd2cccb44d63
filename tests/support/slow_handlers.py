"""A case whose update handlers take a moment, to test that a run waits for them before it ends."""

from datetime import timedelta
from typing import Any

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from workflows.contract import ASSISTER_ACCESS, AccessInput, Status

from workflows.assister_access import AssisterAccess

MOMENT = timedelta(milliseconds=300)


@workflow.defn(name=ASSISTER_ACCESS)
class SlowHandlers(AssisterAccess):
    """The product's handlers answer at once. A run could end before these have answered."""

    @workflow.init
    def __init__(self, start: AccessInput) -> None:
        super().__init__(start)

    @workflow.run
    async def run(self, start: AccessInput) -> Status:
        return await super().run(start)

    @workflow.update
    async def suspend_access(self, act: Any = None) -> str:
        await workflow.sleep(MOMENT)
        answer = super().suspend_access(act)
        assert isinstance(answer, str)
        return answer

    @workflow.update
    async def reinstate_access(self, act: Any = None) -> str:
        await workflow.sleep(MOMENT)
        answer = super().reinstate_access(act)
        assert isinstance(answer, str)
        return answer
