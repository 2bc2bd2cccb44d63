"""Orders of staff: checking an update's argument, and the entry for the audit trail."""

from typing import Any, TypeVar

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from pydantic import ValidationError

    from workflows import dialogs
    from workflows.contract import StaffAct
    from workflows.refusals import refused
    from workflows.steps import OrderRequest

ActT = TypeVar("ActT", bound=StaffAct)


def checked(act_type: type[ActT], act: Any, example: str = dialogs.STAFF_EXAMPLE) -> ActT:
    """The argument of an update, validated.

    Raises:
        ApplicationError: If the update does not take it; the text says what to paste instead.
    """
    try:
        return act_type.model_validate(act)
    except ValidationError as error:
        raise refused(f"{dialogs.mistake(error)} {example}") from None


def accepted(act: StaffAct) -> OrderRequest:
    """The update that is being accepted, as the audit trail records it."""
    update, info = workflow.current_update_info(), workflow.info()
    assert update is not None
    return OrderRequest(
        key=f"{info.first_execution_run_id}.{update.id}",
        workflow_id=info.workflow_id,
        act=update.name,
        by=act.by,
        reason=act.reason,
        at=workflow.now(),
    )


def cancelled(act: str) -> OrderRequest:
    """The order that a cancellation of the workflow stands for, as the audit trail records it."""
    info = workflow.info()
    return OrderRequest(
        # A case that opens again and is cancelled again has the same workflow id.
        key=f"{info.run_id}.cancelled",
        workflow_id=info.workflow_id,
        act=act,
        by="system",
        reason="the workflow was cancelled",
        at=workflow.now(),
    )
