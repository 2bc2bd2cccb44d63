"""The floor: the least that Temporal can do for this job.

The first signal starts the workflow. It takes the same signals as a case, makes an account in an
activity that does nothing, sends two real mails and waits at most seven days for the activation. It
keeps no records, refuses nothing and shows nothing in the Temporal UI.
"""

import asyncio
from collections.abc import Sequence
from datetime import timedelta

from temporalio import workflow
from temporalio.common import RawValue

TASK_QUEUE = "floor"
REQUIREMENTS = 4
SOON = timedelta(seconds=30)
VALID = timedelta(days=7)


@workflow.defn
class Floor:
    """Brings one person to an account."""

    def __init__(self) -> None:
        self.met: set[str] = set()
        self.activated = False

    @workflow.run
    async def run(self, person: str) -> None:
        """Waits for the requirements, makes the account and sends both mails."""
        await workflow.wait_condition(lambda: len(self.met) == REQUIREMENTS)
        await workflow.execute_activity("make_account", person, start_to_close_timeout=SOON)
        # The timer starts before the mail: a person may activate before the relay answers.
        valid = asyncio.create_task(asyncio.sleep(VALID.total_seconds()))
        await self._mail(person, "activation")
        await workflow.wait_condition(lambda: self.activated or valid.done())
        valid.cancel()
        await self._mail(person, "confirmation")

    @workflow.signal(dynamic=True)
    def told(self, name: str, args: Sequence[RawValue]) -> None:
        """Takes any signal: a requirement, or the activation."""
        del args
        if name == "account_activated":
            self.activated = True
        else:
            self.met.add(name)

    async def _mail(self, person: str, kind: str) -> None:
        await workflow.execute_activity(
            "send_mail", args=[person, kind], start_to_close_timeout=SOON
        )
