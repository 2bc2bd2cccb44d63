"""What programs ask of workflows: to take a fact, to carry out an order, to show their state."""

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleAlreadyRunningError,
    ScheduleSpec,
    WorkflowHandle,
)
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from policy.calendar import CENTRAL
from policy.case import Case, Stage
from policy.requirements import Fact
from policy.terms import Terms
from workflows.contract import (
    ASSISTER_ACCESS,
    ATTENTION_DIGEST,
    DIGEST_SCHEDULE,
    ROSTER_INTAKE,
    AccessInput,
    FirstCase,
    IntakeInput,
    StaffAct,
    Status,
    assister_workflow_id,
    roster_workflow_id,
)

DIGEST_AT = "0 8 * * 1-5"
NOT_READY_PAUSES = (0.05, 0.1, 0.2, 0.4, 0.8, 1.6)
"""Seconds."""


async def tell_case(
    client: Client,
    task_queue: str,
    training_id: str,
    signal: str,
    fact: Fact,
    terms: Terms,
    first: FirstCase | None = None,
) -> None:
    """Signals the assister's case, and opens it if this is its first event.

    Args:
        first: Given if the records have no earlier case of the assister.
    """

    async def start(first: FirstCase | None, reuse: WorkflowIDReusePolicy) -> None:
        await client.start_workflow(
            ASSISTER_ACCESS,
            AccessInput(training_id=training_id, terms=terms, first=first),
            id=assister_workflow_id(training_id),
            task_queue=task_queue,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            id_reuse_policy=reuse,
            start_signal=signal,
            start_signal_args=[fact],
            static_summary=f"Portal access of assister {training_id}",
        )

    if first is not None:
        # A case may have closed since the records were read; only Temporal can tell for certain.
        with suppress(WorkflowAlreadyStartedError):
            return await start(first, WorkflowIDReusePolicy.REJECT_DUPLICATE)
    await start(None, WorkflowIDReusePolicy.ALLOW_DUPLICATE)


async def start_intake(
    client: Client, task_queue: str, submission_id: str, terms: Terms
) -> WorkflowHandle[Any, Any]:
    """Starts the intake of a recorded submission, or finds the one that was started."""
    workflow_id = roster_workflow_id(submission_id)
    # It ran before: its verdicts stand, and this call answers the same.
    with suppress(WorkflowAlreadyStartedError):
        await client.start_workflow(
            ROSTER_INTAKE,
            IntakeInput(submission_id=submission_id, terms=terms),
            id=workflow_id,
            task_queue=task_queue,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
            static_summary=f"Roster {submission_id}",
        )
    return client.get_workflow_handle(workflow_id)


async def schedule_digest(client: Client, task_queue: str) -> None:
    """Sets up the daily digest, once; staff may pause or change it in the Temporal UI."""
    with suppress(ScheduleAlreadyRunningError):
        await client.create_schedule(
            DIGEST_SCHEDULE,
            Schedule(
                action=ScheduleActionStartWorkflow(
                    ATTENTION_DIGEST, id=DIGEST_SCHEDULE, task_queue=task_queue
                ),
                spec=ScheduleSpec(cron_expressions=[DIGEST_AT], time_zone_name=CENTRAL.key),
            ),
        )


async def case_status(client: Client, training_id: str) -> Status:
    """The status of the assister's latest case."""
    handle = client.get_workflow_handle(assister_workflow_id(training_id))
    status: Status = await _when_ready(lambda: handle.query("status", result_type=Status))
    return status


async def open_case(client: Client, training_id: str) -> Case | None:
    """The assister's open case as it stands; None if none is open."""
    case = await snapshot(client, training_id)
    return case if case is not None and case.stage is not Stage.CLOSED else None


async def snapshot(client: Client, training_id: str) -> Case | None:
    """The assister's latest case, open or closed; None if Temporal has none."""
    handle = client.get_workflow_handle(assister_workflow_id(training_id))
    try:
        case: Case = await _when_ready(lambda: handle.query("snapshot", result_type=Case))
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            return None
        raise
    return case


async def act(
    client: Client, workflow_id: str, update: str, order: StaffAct, update_id: str = ""
) -> str:
    """Gives a workflow a staff update, once, and returns its answer.

    Args:
        update_id: Names the order: the workflow recognizes a repetition by it.

    Raises:
        WorkflowUpdateFailedError: If the workflow refuses; the cause says why.
    """
    handle = client.get_workflow_handle(workflow_id)
    # Every attempt has the same id, so that the workflow recognizes a repetition.
    update_id = update_id or str(uuid.uuid4())
    answer: str = await _when_ready(lambda: handle.execute_update(update, order, id=update_id))
    return answer


async def _when_ready(ask: Callable[[], Awaitable[Any]]) -> Any:
    """Asks again if the run ended because it continued as new."""
    for pause in NOT_READY_PAUSES:
        try:
            return await ask()
        except RPCError as error:
            if error.status is not RPCStatusCode.FAILED_PRECONDITION:
                raise
            await asyncio.sleep(pause)
    return await ask()
