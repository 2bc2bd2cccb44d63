"""Workers with versions, as on Kubernetes: a case moves to the current version at its next task."""

from pathlib import Path

import pytest
from temporalio.api.workflowservice.v1 import SetWorkerDeploymentCurrentVersionRequest
from temporalio.client import Client
from temporalio.service import RPCError

from embedded.inbox import mail_inbox
from embedded.temporal_server import temporal_server
from policy.case import Stage
from tests.support.system import (
    eventually,
    meet_requirements,
    new_training_id,
    record_people,
    running,
)

NAME = "assister-portal-access"


async def make_current(client: Client, build: str) -> None:
    """Makes a version the current one, once one of its workers polls."""
    request = SetWorkerDeploymentCurrentVersionRequest(
        namespace=client.namespace, deployment_name=NAME, build_id=build, identity="a test"
    )

    async def made() -> bool:
        try:
            await client.workflow_service.set_worker_deployment_current_version(request)
        except RPCError:
            return False
        return True

    await eventually(made, bool, seconds=60)


async def test_a_case_goes_on_under_the_next_version(
    sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    training_id = new_training_id()
    monkeypatch.setenv("TEMPORAL_DEPLOYMENT_NAME", NAME)
    async with mail_inbox(tmp_path / "inbox") as inbox, temporal_server() as server:
        monkeypatch.setenv("TEMPORAL_WORKER_BUILD_ID", "one")
        async with running(server.client, sqlite_url, inbox, tmp_path) as system:
            await make_current(server.client, "one")
            await record_people(system.database, training_id)
            await meet_requirements(system, training_id)
        monkeypatch.setenv("TEMPORAL_WORKER_BUILD_ID", "two")
        async with running(server.client, sqlite_url, inbox, tmp_path) as system:
            await make_current(server.client, "two")
            await system.activate(training_id)
            # Its mail is sent too, from another task queue.
            await system.until(
                training_id,
                lambda s: s.stage == Stage.ACTIVE and all(e.sent_at for e in s.mails),
            )
            described = await system.case(training_id).describe()
    versioning = described.raw_description.workflow_execution_info.versioning_info
    assert versioning.deployment_version.build_id == "two"
