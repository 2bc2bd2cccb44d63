"""DBOS on PostgreSQL: a durable workflow for each person, its state in the database."""

import asyncio
import os
import signal
import sys
import threading

from dbos import DBOS, DBOSClient

from bench.peers import lines
from bench.smtp import Mails

QUEUE = "people"
REQUIREMENTS = {
    "roster_recorded",
    "certification_recorded",
    "training_completed",
    "assessment_scored",
}
FIRST = "roster_recorded"
YEAR, WEEK = 365 * 86400, 7 * 86400
_mails: list[Mails] = []


@DBOS.step()
async def make_account(person: str) -> None:
    """Does nothing."""


@DBOS.step(retries_allowed=True, max_attempts=100)
async def send_mail(person: str, kind: str) -> None:
    """Sends one mail to the relay."""
    if not _mails:
        _mails.append(Mails())
    await _mails[0].send(person, kind)


@DBOS.workflow(name="onboarding")
async def onboarding(person: str) -> None:
    """Waits for the requirements, makes the account and sends both mails."""
    met = {FIRST}
    while met != REQUIREMENTS:
        met.add(await DBOS.recv_async("requirements", timeout_seconds=YEAR))
    await make_account(person)
    await send_mail(person, "activation")
    if await DBOS.recv_async("activation", timeout_seconds=WEEK):
        await send_mail(person, "confirmation")


def work() -> None:
    """Runs the worker until SIGTERM."""
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    DBOS(
        config={
            "name": "peer",
            "system_database_url": os.environ["PEER_DATABASE_URL"],
            "application_version": "1",
            "log_level": "WARNING",
        }
    )
    DBOS.launch()
    DBOS.register_queue(QUEUE, polling_interval_sec=0.1)
    print("worker running", flush=True)
    stop.wait()
    os._exit(0)


async def door() -> None:
    """Starts a person's workflow at the first event, and sends it the later ones."""
    client = DBOSClient(system_database_url=os.environ["PEER_DATABASE_URL"])

    async def keep(person: str, event: str) -> None:
        if event == FIRST:
            options = {"queue_name": QUEUE, "workflow_name": "onboarding", "workflow_id": person}
            await client.enqueue_async(options, person)
            return
        topic = "requirements" if event in REQUIREMENTS else "activation"
        await client.send_async(person, event, topic, idempotency_key=f"{person} {event}")

    await lines.serve(keep)


if __name__ == "__main__":
    if sys.argv[1] == "worker":
        work()
    else:
        asyncio.run(door())
