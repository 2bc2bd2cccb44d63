"""The commands that the workflows give while a committed history replays, one on each line.

They are committed beside each history as ``*.commands.txt``. A replay fails at the first command
that differs; a comparison with this file shows the whole difference.
"""

from dataclasses import dataclass, field
from difflib import unified_diff
from pathlib import Path
from typing import Any

from temporalio.client import WorkflowHistory
from temporalio.worker import Replayer, WorkflowInstance, WorkflowInstanceDetails
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions

from workflows.assister_access import AssisterAccess
from workflows.attention_digest import AttentionDigest
from workflows.converter import DATA_CONVERTER
from workflows.roster_intake import RosterIntake


@dataclass(frozen=True)
class Listening(SandboxedWorkflowRunner):
    """A sandbox that notes the commands."""

    commands: list[str] = field(default_factory=list)

    def create_instance(self, det: WorkflowInstanceDetails) -> WorkflowInstance:
        """Makes an instance that notes its commands."""
        instance: Any = super().create_instance(det)
        activate = instance.activate

        def heard(activation: Any) -> Any:
            completion = activate(activation)
            self.commands.extend(_line(command) for command in completion.successful.commands)
            return completion

        instance.activate = heard
        made: WorkflowInstance = instance
        return made


def isolating() -> SandboxRestrictions:
    """Restrictions with which the sandbox copies the workflows for each run and checks their calls.

    The messages are not copied: Pydantic rejects an instance of a model's copy.
    """
    return SandboxRestrictions.default.with_passthrough_modules(
        "workflows.contract",
        "workflows.steps",
        "policy",
        "pydantic",
        "pydantic_core",
        "annotated_types",
        "telemetry",
    )


def replayer(runner: SandboxedWorkflowRunner | None = None) -> Replayer:
    """A replayer with the present workflows."""
    return Replayer(
        workflows=[AssisterAccess, RosterIntake, AttentionDigest],
        data_converter=DATA_CONVERTER,
        workflow_runner=runner or SandboxedWorkflowRunner(isolating()),
    )


def recorded(path: Path) -> WorkflowHistory:
    """Reads a committed history."""
    return WorkflowHistory.from_json(f"assister-{path.stem}", path.read_text())


def baseline(path: Path) -> Path:
    """The file with the commands of a history."""
    return path.with_suffix(".commands.txt")


async def commands_of(path: Path) -> list[str]:
    """The commands that the present code gives in a history, until the replay fails or ends."""
    listening = Listening(isolating())
    await replayer(listening).replay_workflow(recorded(path), raise_on_replay_failure=False)
    return listening.commands


async def changes(path: Path) -> str:
    """The difference to the committed commands; empty if there is none."""
    before, now = baseline(path).read_text().splitlines(), await commands_of(path)
    return "\n".join(unified_diff(before, now, "as recorded", "now", lineterm="", n=1))


def _line(command: Any) -> str:
    kind = str(command.WhichOneof("variant"))
    content = getattr(command, kind)
    match kind:
        case "schedule_activity" | "schedule_local_activity":
            return f"{kind} {content.activity_type}"
        case "upsert_workflow_search_attributes":
            names = sorted(content.search_attributes.indexed_fields)
            return f"{kind} {', '.join(names)}"
        case "set_patch_marker":
            return f"{kind} {content.patch_id}"
        case "update_response":
            return f"{kind} {content.WhichOneof('response')}"
    return kind
