"""What every command works with: settings, connections, and the words it takes and prints."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from cyclopts import Parameter
from pydantic import TypeAdapter, ValidationError
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

import bootstrap
from commands import console
from policy.requirements import TrainingId
from services import Refused
from settings import Settings, load
from workflows.readiness import NotReady, check_server, has_worker

if TYPE_CHECKING:
    from records.database import Database
    from services.connections import Connections

CONNECT_TIMEOUT = 4.0
WORKER_PAUSES = (0.5,) * 4
"""Seconds in which a worker that was just started begins to poll."""
ANSWER_TIMEOUT = 5.0
"""Seconds for a worker to answer. With the other two limits, a command waits less than ten in
vain."""
BUSY = timedelta(seconds=3)
"""A worker that has polled within so many seconds and does not answer is busy."""

ThisAssister = Annotated[str, Parameter(help="A Training ID: seven letters or digits.")]
ThisAgency = Annotated[str, Parameter(help="An agency's id, such as AG-100.")]
Json = Annotated[
    bool,
    Parameter(name="--json", negative="", show_default=False, help="Print JSON and nothing else."),
]
By = Annotated[str, Parameter(name="--by", help="Your e-mail address: who acts.")]
Why = Annotated[str, Parameter(name="--reason", help="Why, for the audit trail; without names.")]
At = Annotated[
    datetime | None,
    Parameter(
        name="--at",
        help="When it happened, with an offset, such as 2026-11-02T15:04-06:00; now, if left out.",
    ),
]
Encoding = Annotated[str, Parameter(help="The file's encoding, such as cp1252.")]
AnswerT = TypeVar("AnswerT")


@dataclass
class Session:
    """What a command works with. It opens a connection when that is first needed."""

    settings: Settings

    @cached_property
    def database(self) -> "Database":
        """The records."""
        from records.database import Database

        return Database(self.settings.records_url)

    async def client(self) -> Client:
        """Temporal, checked to have everything that the system needs except a worker.

        Raises:
            Refused: If it cannot be reached or lacks something.
        """
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT):
                client = await bootstrap.connect()
                await check_server(client)
        except NotReady as missing:
            raise Refused(str(missing)) from None
        except (RuntimeError, RPCError, TimeoutError):
            raise Refused(
                "Temporal cannot be reached. Start the embedded stack with `starter.py up`, or name"
                " a server in TEMPORAL_ADDRESS."
            ) from None
        return client

    async def connections(self) -> "Connections":
        """What use cases work with, after checking that a worker is there to carry out what they
        begin.

        Raises:
            Refused: If something is missing. Then nothing has been done.
        """
        from services.connections import Connections

        client, queue = await self.client(), self.settings.task_queue
        for pause in WORKER_PAUSES:
            if await has_worker(client, queue):
                break
            await asyncio.sleep(pause)
        else:
            raise Refused(
                f"Nothing was done: no worker waits at the task queue {queue!r}. Start one with"
                " `python worker.py`, or name the workers' queue in ASSISTER_TASK_QUEUE."
            )
        portal = bootstrap.make_portal(self.settings, self.database)
        return Connections(self.database, client, portal, queue, self.settings.terms)


@asynccontextmanager
async def session() -> AsyncIterator[Session]:
    """Settings and connections for one command."""
    opened = Session(load())
    try:
        yield opened
    finally:
        if "database" in vars(opened):
            await opened.database.close()


async def answered(asking: Coroutine[Any, Any, AnswerT], so_far: str = "") -> AnswerT:
    """A worker's answer.

    Args:
        so_far: What to say of an order that may still be carried out although no answer came.

    Raises:
        Refused: If no worker answers in time.
    """
    # A task of its own: the SDK turns the cancellation of an update into an error.
    task = asyncio.ensure_future(asking)
    try:
        if (await asyncio.wait({task}, timeout=ANSWER_TIMEOUT))[0]:
            return task.result()
    except RPCError as error:
        if error.status is not RPCStatusCode.DEADLINE_EXCEEDED and "poller" not in error.message:
            raise
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    raise _nobody_answered(so_far)


async def answered_by_all(
    client: Client, task_queue: str, asking: Coroutine[Any, Any, AnswerT], so_far: str = ""
) -> AnswerT:
    """What follows from many answers of workers, as long as they are at it.

    Raises:
        Refused: If no worker asks for work any more.
    """
    task = asyncio.ensure_future(asking)
    try:
        while not (await asyncio.wait({task}, timeout=ANSWER_TIMEOUT))[0]:
            if not await has_worker(client, task_queue, BUSY):
                raise _nobody_answered(so_far)
        return task.result()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def _nobody_answered(so_far: str) -> Refused:
    return Refused(
        f"{so_far}No worker answered in {ANSWER_TIMEOUT:.0f} seconds. Start one with"
        " `python worker.py`, then look with `starter.py status`."
    )


async def answered_unless_busy(
    to: "Connections", asking: Coroutine[Any, Any, AnswerT], so_far: str
) -> AnswerT | None:
    """A worker's answer; None if the workers have too much to do to answer in time.

    Raises:
        Refused: If no worker answers and none polls.
    """
    try:
        return await answered(asking, so_far)
    except Refused:
        if await has_worker(to.client, to.task_queue, BUSY):
            return None
        raise


@asynccontextmanager
async def interrupted_says(text: str) -> AsyncIterator[None]:
    """After Ctrl-C, says what may still happen."""
    try:
        yield
    except (asyncio.CancelledError, KeyboardInterrupt):
        console.err.print(text, style="yellow")
        raise


def training_id_of(text: str) -> str:
    """A Training ID as people type it.

    Raises:
        Refused: If it is not a Training ID.
    """
    try:
        return TypeAdapter(TrainingId).validate_python(text.strip().upper())
    except ValidationError:
        raise Refused(f"{text!r} is not a Training ID: seven letters or digits") from None


def as_json(value: object, indent: int | None = None) -> str:
    """For machines; times in ISO 8601."""
    return json.dumps(value, indent=indent, default=str)


def print_json(value: object) -> None:
    """Prints one JSON object, and nothing else."""
    sys.stdout.write(as_json(value, indent=2) + "\n")
