"""What the workflows ask of Temporal while a committed history replays, one command a line.

Committed beside each history as ``*.commands.txt``. Replay fails at the first command that differs,
in the SDK's words; this shows the whole difference, in ours.
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
from workflows.refusals import DATA_CONVERTER
from workflows.roster_intake import RosterIntake


@dataclass(frozen=True)
class Listening(SandboxedWorkflowRunner):
    """The sandbox, with an ear for commands."""

    commands: list[str] = field(default_factory=list)

    def create_instance(self, det: WorkflowInstanceDetails) -> WorkflowInstance:
        """An instance whose commands are noted."""
        instance: Any = super().create_instance(det)
        activate = instance.activate

        def heard(activation: Any) -> Any:
            completion = activate(activation)
            self.commands.extend(_line(each) for each in completion.successful.commands)
            return completion

        instance.activate = heard
        made: WorkflowInstance = instance
        return made


def isolating() -> SandboxRestrictions:
    """Temporal's sandbox, with its own copy of the workflows for each run: it refuses what they may
    not call when they call it.

    Their messages are not copied: a model takes no instance of its copy.
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
    """Replays histories under today's code."""
    return Replayer(
        workflows=[AssisterAccess, RosterIntake, AttentionDigest],
        data_converter=DATA_CONVERTER,
        workflow_runner=runner or SandboxedWorkflowRunner(isolating()),
    )


def recorded(path: Path) -> WorkflowHistory:
    """A committed history."""
    return WorkflowHistory.from_json(f"assister-{path.stem}", path.read_text())


def baseline(path: Path) -> Path:
    """Where the commands of a history are kept."""
    return path.with_suffix(".commands.txt")


async def commands_of(path: Path) -> list[str]:
    """The commands that today's code gives along a history, as far as it comes."""
    listening = Listening(isolating())
    await replayer(listening).replay_workflow(recorded(path), raise_on_replay_failure=False)
    return listening.commands


async def changes(path: Path) -> str:
    """The commands that are not those of the baseline; empty where none changed."""
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
