"""Whether a Temporal server has what this system needs: the namespace, search attributes, a worker.

Without them Temporal is silent for minutes, or accepts orders that no worker will carry out.
"""

from datetime import UTC, datetime, timedelta

from temporalio.api.enums.v1 import IndexedValueType, TaskQueueType
from temporalio.api.operatorservice.v1 import (
    AddSearchAttributesRequest,
    ListSearchAttributesRequest,
)
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest, DescribeTaskQueueRequest
from temporalio.client import Client
from temporalio.common import SearchAttributeKey
from temporalio.service import RPCError, RPCStatusCode

from workflows import search_attributes

NOT_OFFERED = (RPCStatusCode.PERMISSION_DENIED, RPCStatusCode.UNIMPLEMENTED)
"""The status with which Temporal Cloud answers requests that only its own tools may make."""


class NotReady(RuntimeError):
    """The server lacks something; the text says what is missing and what to do."""


async def check_server(client: Client) -> None:
    """Checks that the namespace exists and has the search attributes.

    Raises:
        NotReady: If something is missing.
        RPCError: If the server does not answer.
    """
    try:
        await client.workflow_service.describe_namespace(
            DescribeNamespaceRequest(namespace=client.namespace)
        )
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise
        raise NotReady(
            f"Temporal has no namespace {client.namespace!r}. Name one that it has in"
            " TEMPORAL_NAMESPACE, or have it created: temporal operator namespace create"
            f" --namespace {client.namespace}"
        ) from None
    missing = await _missing_search_attributes(client)
    if missing:
        raise NotReady(
            f"The namespace {client.namespace!r} lacks the search attributes"
            f" {', '.join(each.name for each in missing)}. A worker registers them when it starts;"
            " one that may not do so names the command for it in its log."
        )


async def register_search_attributes(client: Client) -> None:
    """Registers the search attributes that the namespace lacks.

    Raises:
        NotReady: If this client may not; the text has the commands for an administrator.
    """
    missing = await _missing_search_attributes(client)
    if not missing:
        return
    wanted = {each.name: IndexedValueType.ValueType(each.indexed_value_type) for each in missing}
    try:
        await client.operator_service.add_search_attributes(
            AddSearchAttributesRequest(namespace=client.namespace, search_attributes=wanted)
        )
    except RPCError as error:
        if error.status not in NOT_OFFERED:
            raise
        each_one = " ".join(f"--name {e.name} --type {_type_name(e)}" for e in missing)
        raise NotReady(
            "The search attributes cannot be registered with these rights. Have it done: temporal"
            f" operator search-attribute create --namespace {client.namespace} {each_one}"
        ) from None


async def has_worker(
    client: Client, task_queue: str, within: timedelta = timedelta(minutes=5)
) -> bool:
    """Whether a worker has polled this task queue lately.

    Args:
        within: How far back to look; Temporal remembers five minutes. A busy worker polls several
            times a second, an idle one once a minute.
    """
    described = await client.workflow_service.describe_task_queue(
        DescribeTaskQueueRequest(
            namespace=client.namespace,
            task_queue=TaskQueue(name=task_queue),
            task_queue_type=TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW,
        )
    )
    since = datetime.now(UTC) - within
    return any(each.last_access_time.ToDatetime(UTC) > since for each in described.pollers)


async def _missing_search_attributes(client: Client) -> list[SearchAttributeKey]:  # type: ignore[type-arg]
    try:
        known = await client.operator_service.list_search_attributes(
            ListSearchAttributesRequest(namespace=client.namespace)
        )
    except RPCError as error:
        if error.status in NOT_OFFERED:
            return []
        raise
    return [each for each in search_attributes.ALL if each.name not in known.custom_attributes]


def _type_name(key: SearchAttributeKey) -> str:  # type: ignore[type-arg]
    return key.indexed_value_type.name.title().replace("_", "")
