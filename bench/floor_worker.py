"""The floor's worker: it makes accounts at no cost and sends mails over open connections."""

import asyncio
import os
import signal

from temporalio import activity
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.worker import Worker

from bench.floor import TASK_QUEUE, Floor
from bench.smtp import Mails


class Activities:
    """The activities of the floor's workflow."""

    def __init__(self, mails: Mails) -> None:
        self._mails = mails

    @activity.defn
    async def make_account(self, person: str) -> None:
        """Does nothing: the cost of an account is no cost of Temporal's."""

    @activity.defn
    async def send_mail(self, person: str, kind: str) -> None:
        """Hands one mail to the relay."""
        await self._mails.send(person, kind)


async def main() -> None:
    """Runs the worker until SIGTERM."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    client = await Client.connect(
        os.environ["TEMPORAL_ADDRESS"], data_converter=pydantic_data_converter
    )
    does = Activities(Mails())
    async with Worker(
        client,
        task_queue=TASK_QUEUE,
        workflows=[Floor],
        activities=[does.make_account, does.send_mail],
    ):
        print("worker running", flush=True)
        await stop.wait()


if __name__ == "__main__":
    asyncio.run(main())
    # The SDK may abort while the interpreter exits (sdk-python 300). Everything is closed here.
    os._exit(0)
