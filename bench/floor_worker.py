"""The floor's worker: an account that costs nothing, and mails over connections that stay."""

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
    """What the floor does in the world."""

    def __init__(self, mails: Mails) -> None:
        self._mails = mails

    @activity.defn
    async def make_account(self, person: str) -> None:
        """Does nothing: what an account costs is not Temporal's."""

    @activity.defn
    async def send_mail(self, person: str, kind: str) -> None:
        """Hands one mail to the relay."""
        await self._mails.send(person, kind)


async def main() -> None:
    """Runs until it is told to end."""
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
    # The SDK may abort in the interpreter's own exit (sdk-python 300); all is closed by now.
    os._exit(0)
