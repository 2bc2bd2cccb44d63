"""Records tests/histories/*.json: a real history of every stage, with its commands.

Later code must replay these histories. Run `./run histories` only to add a stage. Never record a
history again that no longer replays: the running cases do not replay either.
"""

import asyncio
import json
import re
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from temporalio.client import WorkflowHandle
from temporalio.common import WorkflowIDReusePolicy

from embedded.inbox import mail_inbox
from embedded.temporal_server import temporal_server
from policy.terms import Terms
from records.schema import migrate
from tests.support.commands import baseline, commands_of
from tests.support.conditions import mailed, marked
from tests.support.rosters import roster_row, submit_roster, take_in
from tests.support.system import (
    OTHER_AGENCY,
    System,
    approved_by_another,
    eventually,
    facts,
    meet_requirements,
    record_people,
    running,
)
from workflows.client import act, start_intake
from workflows.contract import ATTENTION_DIGEST, IntakeProgress, StaffAct

FOLDER = Path(__file__).resolve().parent.parent / "histories"


async def collecting_requirements(system: System, training_id: str) -> None:
    for signal in ("roster_recorded", "certification_recorded"):
        await system.tell(training_id, signal, facts()[signal])
    await system.tell(training_id, "assessment_scored", facts(score="60")["assessment_scored"])
    await system.until(training_id, mailed())
    await system.skip(training_id, days=16)


async def opened_by_roster(system: System, training_id: str) -> None:
    await take_in(system, roster_row(training_id))
    await meet_requirements(system, training_id)


async def awaiting_activation(system: System, training_id: str) -> None:
    await meet_requirements(system, training_id)
    await system.act(training_id, "resend_activation")


async def activation_expired(system: System, training_id: str) -> None:
    await meet_requirements(system, training_id)
    await system.skip(training_id, days=12)


async def active(system: System, training_id: str) -> None:
    await meet_requirements(system, training_id)
    await system.activate(training_id)
    await _mailed(system, training_id, "confirmation")


async def suspended(system: System, training_id: str) -> None:
    await active(system, training_id)
    await system.act(training_id, "suspend_access")
    await _mailed(system, training_id, "suspended")
    await _mailed(system, training_id, "suspended_agency")


async def reinstated(system: System, training_id: str) -> None:
    await suspended(system, training_id)
    await system.act(training_id, "reinstate_access")
    await _mailed(system, training_id, "reinstated_agency")


async def closed(system: System, training_id: str) -> None:
    await activation_expired(system, training_id)
    await system.act(training_id, "close_case")
    await system.case(training_id).result()


async def parked(system: System, training_id: str) -> None:
    address = f"{training_id.lower()}@assisters.example.org"
    system.inbox.refusals[address] = "550 5.1.1 no such user"
    for signal, fact in facts().items():
        await system.tell(training_id, signal, fact)
    await system.until(training_id, marked)


async def change_confirmed(system: System, training_id: str) -> None:
    await active(system, training_id)
    await system.tell(training_id, "roster_recorded", approved_by_another())
    await system.until(training_id, lambda s: s.changes == [OTHER_AGENCY])
    await system.decide(training_id, "confirm_change", OTHER_AGENCY)


async def _mailed(system: System, training_id: str, kind: str) -> None:
    await system.until(
        training_id, lambda s: any(e.kind == kind and e.sent_at is not None for e in s.mails)
    )


Scene = Callable[[System, str], Awaitable[None]]
SCENES: dict[str, Scene] = {
    "collecting_requirements": collecting_requirements,
    "opened_by_roster": opened_by_roster,
    "awaiting_activation": awaiting_activation,
    "activation_expired": activation_expired,
    "active": active,
    "suspended": suspended,
    "reinstated": reinstated,
    "closed": closed,
    "parked": parked,
    "change_confirmed": change_confirmed,
}

Handle = WorkflowHandle[Any, Any]


async def roster_done(system: System, training_id: str) -> Handle:
    intake = await _start(
        system, await submit_roster(system, roster_row(training_id), roster_row("wrong")), Terms()
    )
    await intake.result()
    return intake


async def roster_released(system: System, training_id: str) -> Handle:
    return await _decided(system, training_id, "release")


async def roster_discarded(system: System, training_id: str) -> Handle:
    return await _decided(system, training_id, "discard")


async def _decided(system: System, training_id: str, decision: str) -> Handle:
    await active(system, training_id)
    no_access = await submit_roster(system, roster_row(training_id, "No"))
    intake = await _start(system, no_access, Terms(fuse_count=0, fuse_percent=0))
    await eventually(
        lambda: intake.query("progress", result_type=IntakeProgress), lambda it: it.stage == "held"
    )
    await act(system.client, intake.id, decision, StaffAct(by="staff-1", reason="a test"))
    await intake.result()
    return intake


async def _start(system: System, submission_id: str, terms: Terms) -> Handle:
    return await start_intake(system.client, system.settings.task_queue, submission_id, terms)


async def digest(system: System, training_id: str) -> Handle:
    await parked(system, training_id)

    async def sent() -> Handle | None:
        handle = await system.client.start_workflow(
            ATTENTION_DIGEST,
            id=f"{ATTENTION_DIGEST}-{training_id}",
            task_queue=system.settings.task_queue,
            id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
        )
        return handle if await handle.result() else None

    # The digest lists cases from the visibility store, which is updated a moment later.
    digested: Handle = await eventually(sent, bool)
    return digested


OTHER_SCENES: dict[str, Callable[[System, str], Awaitable[Handle]]] = {
    "roster_done": roster_done,
    "roster_released": roster_released,
    "roster_discarded": roster_discarded,
    "digest": digest,
}
"""Scenes of the other workflows."""


def _anonymous(history: str) -> str:
    """The history without names of the machine and the process."""

    def cleaned(value: Any) -> Any:
        if isinstance(value, list):
            return [cleaned(item) for item in value]
        if isinstance(value, dict):
            dropped = ("stackTrace", "identity")
            return {name: cleaned(item) for name, item in value.items() if name not in dropped}
        return value

    text = json.dumps(cleaned(json.loads(history)), indent=1) + "\n"
    # The names of sticky task queues contain process and host.
    return re.sub(r'"\d+@[^"]+"', '"worker"', text)


async def _played(system: System, name: str, training_id: str) -> Handle:
    if name in OTHER_SCENES:
        return await OTHER_SCENES[name](system, training_id)
    await SCENES[name](system, training_id)
    return system.case(training_id)


async def main() -> None:
    """Plays every scene that has no history yet."""
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        async with temporal_server() as server, mail_inbox(Path(folder) / "inbox") as inbox:
            url = f"sqlite:///{folder}/records.db"
            await migrate(url)
            async with running(server.client, url, inbox, Path(folder)) as system:
                for number, name in enumerate([*SCENES, *OTHER_SCENES]):
                    path = FOLDER / f"{name}.json"
                    if not path.exists():
                        training_id = f"HIST{number:03}"
                        await record_people(system.database, training_id)
                        handle = await _played(system, name, training_id)
                        history = await handle.fetch_history()
                        path.write_text(_anonymous(history.to_json()))
                    if not baseline(path).exists():
                        baseline(path).write_text("\n".join(await commands_of(path)) + "\n")


if __name__ == "__main__":
    asyncio.run(main())
