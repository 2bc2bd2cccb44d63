"""Performing a step until it succeeds, is refused, or is no longer wanted."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from functools import partial

from temporalio import workflow
from temporalio.exceptions import (
    ActivityError,
    ApplicationError,
    FailureError,
    TimeoutError,
    TimeoutType,
)

with workflow.unsafe.imports_passed_through():
    from workflows import steps
    from workflows.steps import AnswerT, ArgumentT, Step

LATE = timedelta(hours=1)
"""A step that has been retried for so long is marked for people."""
PAUSE = timedelta(minutes=1)
"""No shorter than the longest pause between two attempts."""

SOON = timedelta(seconds=10)
"""A step that has a task queue of its own changes to it if no worker takes it within this time."""


class Overtaken(Exception):
    """The step is no longer wanted."""


async def perform(
    step: Step[ArgumentT, AnswerT],
    argument: ArgumentT,
    summary: str,
    *,
    unless: Callable[[], bool],
    late: Callable[[], None],
    within: timedelta = LATE,
) -> AnswerT:
    """Performs a step; the server retries it until it is done.

    A step that has a task queue of its own waits there only if no worker has room for it at once:
    on the workflow's queue the server hands it over with the answer to the workflow task, which
    saves two of its transactions.

    Example: ``await perform(steps.SEND_MAIL, request, "Mail", unless=untrue, late=mark)``

    Args:
        unless: Becomes true when the step is no longer wanted.
        late: Called for each hour that the step has been retried.
        within: The longest time between two checks whether the step is still wanted.

    Raises:
        Overtaken: If ``unless`` became true first.
        ApplicationError: If the failure is one that no retry can mend.
    """
    begun, task_queue = workflow.now(), workflow.info().task_queue
    own_queue = step.queue(task_queue)
    while True:
        no_room = False
        # The activity's own limit wakes the workflow: a timer beside it would cost two more events.
        handle = workflow.start_activity(
            step.name,
            argument,
            task_queue=task_queue,
            result_type=step.answer,
            retry_policy=steps.UNTIL_DONE,
            start_to_close_timeout=step.timeout,
            schedule_to_close_timeout=within,
            schedule_to_start_timeout=SOON if task_queue != own_queue else None,
            heartbeat_timeout=step.heartbeat,
            summary=summary,
        )
        try:
            await workflow.wait_condition(partial(_over, handle, unless))
            if not handle.done():
                raise Overtaken
            done: AnswerT = await handle
            return done
        except FailureError as error:
            final = _final(error)
            no_room = _no_room(error)
            if final is not None and not no_room:
                raise final from None
        finally:
            if not handle.done():
                handle.cancel()
                # Without this, asyncio logs a fault: nobody asked how the activity ended.
                handle.add_done_callback(_ended)
        if no_room:
            task_queue = own_queue
        else:
            # The server gives up before a retry that would come after the limit.
            if workflow.now() - begun >= LATE - PAUSE:
                late()
            with suppress(asyncio.TimeoutError):
                await workflow.wait_condition(
                    unless, timeout=PAUSE, timeout_summary="Then once more"
                )
        if unless():
            raise Overtaken


def _over(handle: workflow.ActivityHandle[AnswerT], unless: Callable[[], bool]) -> bool:
    return handle.done() or unless()


def _ended(handle: "asyncio.Task[AnswerT]") -> None:
    if not handle.cancelled():
        handle.exception()


def _no_room(error: FailureError) -> bool:
    """Whether the worker had no room for the step, or no worker took it soon."""
    cause = error.cause
    if isinstance(cause, TimeoutError):
        return cause.type is TimeoutType.SCHEDULE_TO_START
    return isinstance(cause, ApplicationError) and cause.type == steps.NO_ROOM


def _final(error: FailureError) -> ApplicationError | None:
    """The failure, if it is one that no retry can mend."""
    cause = error.cause if isinstance(error, ActivityError) else error
    return cause if isinstance(cause, ApplicationError) and cause.non_retryable else None
