"""Cases that are under way go on under this code: a committed history of every stage replays."""

from pathlib import Path

import pytest
from temporalio.client import WorkflowHistory
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.worker import Replayer

import worker
from policy.case import Case, Stage
from tests.histories import FOLDER, SCENES
from workflows.assister_access import AssisterAccess


def replayer() -> Replayer:
    return Replayer(
        workflows=[AssisterAccess],
        data_converter=pydantic_data_converter,
        workflow_runner=worker.sandbox(),
    )


def recorded(path: Path) -> WorkflowHistory:
    return WorkflowHistory.from_json(f"assister-{path.stem}", path.read_text())


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.json")), ids=lambda path: path.stem)
async def test_a_committed_history_replays(path: Path) -> None:
    history = recorded(path)
    await replayer().replay_workflow(history)


def test_every_stage_has_a_history() -> None:
    scenes = {path.stem for path in FOLDER.glob("*.json")}
    assert scenes == SCENES.keys()
    # Enrolling lasts as long as one step: every history passes through it.
    assert {str(each) for each in Stage} - {"enrolling"} <= scenes


async def test_a_changed_procedure_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    def without_waiting_for_approval(self: Case, now: object) -> None:
        return None

    monkeypatch.setattr(Case, "bar", without_waiting_for_approval)
    history = recorded(FOLDER / "active.json")
    with pytest.raises(Exception, match="ondetermin"):
        await replayer().replay_workflow(history)
