"""The floor's worker: an account that costs nothing, and mails over connections that stay."""

import asyncio
import os
import signal
from email.message import EmailMessage

import aiosmtplib
from temporalio import activity
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.worker import Worker

from bench.floor import TASK_QUEUE, Floor

SMTP_CONNECTIONS = 4
_idle: asyncio.Queue[aiosmtplib.SMTP] = asyncio.Queue()


@activity.defn
async def make_account(person: str) -> None:
    """Does nothing: what an account costs is not Temporal's."""


@activity.defn
async def send_mail(person: str, kind: str) -> None:
    """Hands one mail to the relay."""
    message = EmailMessage()
    message["From"] = "no-reply@portal.example.org"
    message["To"] = f"{person.lower()}@assisters.example.org"
    message["Subject"] = kind
    message.set_content("A line of text.\n")
    smtp = await _idle.get()
    try:
        if not smtp.is_connected:
            await smtp.connect()
        await smtp.send_message(message)
    finally:
        _idle.put_nowait(smtp)


async def main() -> None:
    """Runs until it is told to end."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    port = int(os.environ["ASSISTER_SMTP_PORT"])
    for _ in range(SMTP_CONNECTIONS):
        _idle.put_nowait(aiosmtplib.SMTP(hostname="127.0.0.1", port=port))
    client = await Client.connect(
        os.environ["TEMPORAL_ADDRESS"], data_converter=pydantic_data_converter
    )
    async with Worker(
        client, task_queue=TASK_QUEUE, workflows=[Floor], activities=[make_account, send_mail]
    ):
        print("worker running", flush=True)
        await stop.wait()


if __name__ == "__main__":
    asyncio.run(main())
    # The SDK may abort in the interpreter's own exit (sdk-python 300); all is closed by now.
    os._exit(0)
