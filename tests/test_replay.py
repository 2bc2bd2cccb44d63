"""Running cases continue under this code: a committed history of every stage replays."""

from pathlib import Path

import pytest

from policy.case import Case, Stage
from tests.support.commands import changes, recorded, replayer
from tests.support.histories import FOLDER, OTHER_SCENES, SCENES


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.json")), ids=lambda path: path.stem)
async def test_a_committed_history_replays(path: Path) -> None:
    history = recorded(path)
    await replayer().replay_workflow(history)


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.json")), ids=lambda path: path.stem)
async def test_no_command_changed(path: Path) -> None:
    changed = await changes(path)
    assert not changed, (
        f"running cases would go another way than they went; docs/changing-a-workflow.md says how"
        f" to change a workflow without that.\n{changed}"
    )


def test_every_stage_has_a_history() -> None:
    scenes = {path.stem for path in FOLDER.glob("*.json")}
    assert scenes == SCENES.keys() | OTHER_SCENES.keys()
    # The stage "enrolling" lasts for one step only, and every history passes through it.
    assert {str(stage) for stage in Stage} - {"enrolling"} <= scenes


async def test_a_changed_procedure_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    def without_waiting_for_approval(self: Case, now: object) -> None:
        return None

    monkeypatch.setattr(Case, "bar", without_waiting_for_approval)
    history = recorded(FOLDER / "collecting_requirements.json")
    with pytest.raises(Exception, match="ondetermin"):
        await replayer().replay_workflow(history)
    assert "+schedule_activity enroll" in await changes(FOLDER / "collecting_requirements.json")
