"""Holds steps until a test lets them continue."""

import asyncio
from typing import Any

from temporalio import activity
from temporalio.client import Interceptor as ClientInterceptor
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput
from temporalio.worker import Interceptor as WorkerInterceptor


class Gate(ClientInterceptor, WorkerInterceptor):
    """Holds one step before it begins, or after it is done, until ``go`` is set."""

    def __init__(self, step: str, where: str) -> None:
        self.step, self.where = step, where
        self.held, self.go = asyncio.Event(), asyncio.Event()
        self.armed = False

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:
        return _Held(next, self)

    async def wait(self, step: str, where: str) -> None:
        if self.armed and (step, where) == (self.step, self.where):
            self.held.set()
            await self.go.wait()


class _Held(ActivityInboundInterceptor):
    def __init__(self, next: ActivityInboundInterceptor, gate: Gate) -> None:
        super().__init__(next)
        self.gate = gate

    async def execute_activity(self, input: ExecuteActivityInput) -> Any:
        step = activity.info().activity_type
        # A step in another process would not stop when it is cancelled, so this one is shielded.
        return await asyncio.shield(asyncio.ensure_future(self._straggling(step, input)))

    async def _straggling(self, step: str, input: ExecuteActivityInput) -> Any:
        await self.gate.wait(step, "before")
        answer = await super().execute_activity(input)
        await self.gate.wait(step, "after")
        return answer
