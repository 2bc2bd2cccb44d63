"""Telling a case something from outside: the case is opened where none is open."""

from contextlib import suppress
from typing import Any

from temporalio.client import Client, WorkflowHandle
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.exceptions import WorkflowAlreadyStartedError

from policy.requirements import Fact
from policy.terms import Terms
from workflows.contract import (
    ASSISTER_ACCESS,
    ROSTER_INTAKE,
    AccessInput,
    IntakeInput,
    Status,
    assister_workflow_id,
    roster_workflow_id,
)


async def tell_case(
    client: Client, task_queue: str, training_id: str, signal: str, fact: Fact, terms: Terms
) -> None:
    """Signals the assister's case, and opens it if this is its first event."""
    await client.start_workflow(
        ASSISTER_ACCESS,
        AccessInput(training_id=training_id, terms=terms),
        id=assister_workflow_id(training_id),
        task_queue=task_queue,
        id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
        id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
        start_signal=signal,
        start_signal_args=[fact],
        static_summary=f"Portal access of assister {training_id}",
    )


async def start_intake(
    client: Client, task_queue: str, submission_id: str, terms: Terms
) -> WorkflowHandle[Any, Any]:
    """Starts the intake of a recorded submission, or finds the one that was started."""
    workflow_id = roster_workflow_id(submission_id)
    # Done before: its verdicts stand, and this answers the same.
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


async def case_status(client: Client, training_id: str) -> Status:
    """The status of the assister's latest case."""
    handle = client.get_workflow_handle(assister_workflow_id(training_id))
    status: Status = await handle.query("status", result_type=Status)
    return status
