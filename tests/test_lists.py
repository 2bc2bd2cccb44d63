"""The ready-made lists, as the real server answers them."""

from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import count

import pytest
from temporalio import activity
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from policy.calendar import CENTRAL
from policy.requirements import CertificationRecorded
from tests.support.conditions import marked
from tests.support.system import (
    AGENCY,
    LONG_AGO,
    System,
    eventually,
    facts,
    meet_requirements,
    new_training_id,
    record_people,
)
from workflows import steps
from workflows.attention_digest import AttentionDigest
from workflows.client import schedule_digest
from workflows.contract import ATTENTION_DIGEST, DIGEST_SCHEDULE, assister_workflow_id
from workflows.lists import ATTENTION, ready_made


async def test_every_list_holds_the_cases_it_names(system: System) -> None:
    collecting, waiting, active, ending, refused = (new_training_id() for _ in range(5))
    await record_people(system.database, collecting, waiting, active, ending, refused)
    await system.tell(collecting, "roster_recorded", facts()["roster_recorded"])
    await meet_requirements(system, waiting)
    for each in (active, ending):
        await meet_requirements(system, each)
        await system.activate(each)
    soon = CertificationRecorded(
        event_id="soon",
        occurred_at=LONG_AGO.replace(month=2),
        certified=True,
        valid_through=datetime.now(UTC).date() + timedelta(days=40),
    )
    await system.tell(ending, "certification_recorded", soon)
    system.inbox.refusals[f"{refused.lower()}@assisters.example.org"] = "550 5.1.1 no such user"
    for signal, fact in facts().items():
        await system.tell(refused, signal, fact)
    await system.until(refused, marked)
    lists = {entry.name: entry.query for entry in ready_made(datetime.now(UTC), AGENCY)}
    expected = {
        "All open cases": {collecting, waiting, active, ending, refused},
        "Needs attention": {refused},
        "Waiting for training": {collecting},
        "Waiting for the assessment": {collecting},
        "Waiting for approval": set(),
        "Waiting for activation": {waiting, refused},
        "Activation ends or is reminded this week": {waiting, refused},
        "Active": {active, ending},
        "Suspended": set(),
        "Certification ends within 60 days": {ending},
    }
    ours = {assister_workflow_id(person): person for person in expected["All open cases"]}
    for name, ids in expected.items():

        async def found(query: str = lists[name]) -> set[str]:
            listed = [workflow.id async for workflow in system.client.list_workflows(query)]
            return {ours[workflow_id] for workflow_id in listed if workflow_id in ours}

        await eventually(found, ids.__eq__)


async def digest(system: System, name: str) -> int:
    """Runs a digest; returns how many wait."""
    waiting: int = await system.client.execute_workflow(
        ATTENTION_DIGEST, id=name, task_queue=system.settings.task_queue, result_type=int
    )
    return waiting


async def mark(system: System, training_id: str) -> str:
    """Opens a case whose mails are refused; returns the address."""
    await record_people(system.database, training_id)
    address = f"{training_id.lower()}@assisters.example.org"
    system.inbox.refusals[address] = "550 5.1.1 no such user"
    for signal, fact in facts().items():
        await system.tell(training_id, signal, fact)
    await system.until(training_id, marked)
    return address


async def test_a_digest_of_many_names_some_and_counts_the_others(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("activities.digest.MOST", 1)
    ids = [new_training_id() for _ in range(2)]
    for each in ids:
        await mark(system, each)
    waiting, runs = 0, count()
    # The server lists a case a little later than it is marked.
    while waiting < len(ids):
        waiting = await digest(system, f"many-{ids[0]}-{next(runs)}")
    [(subject, text)] = [
        each for each in system.mails(to=system.settings.arc_email) if "not named" in each[1]
    ]
    assert subject.startswith(f"{waiting} cases need")
    assert text.count("/workflows/") == 1
    assert f"{waiting - 1} more are not named here" in text
    assert "/workflows?query=NeedsAttention" in text


async def test_the_digest_lists_what_needs_a_person_and_says_nothing_else(system: System) -> None:
    def about_us() -> list[str]:
        texts = [text for _, text in system.mails(to=system.settings.arc_email)]
        return [text for text in texts if f"assister-{refused}" in text]

    refused = new_training_id()
    address = await mark(system, refused)
    first = partial(digest, system, f"first-{refused}")
    await eventually(first, lambda waiting: waiting > 0 and bool(about_us()))
    [text] = about_us()
    assert "mail:activation" in text
    assert f"{system.settings.gateway_url}/staff/assisters/{refused}" in text
    assert "Ann" not in text
    assert address not in text
    system.inbox.refusals.clear()
    await system.act(refused, "email_corrected")
    await system.until(refused, lambda s: not s.attention)

    async def cleared() -> bool:
        return refused in str(
            [workflow.id async for workflow in system.client.list_workflows(ATTENTION)]
        )

    await eventually(cleared, lambda still: not still)
    await digest(system, f"second-{refused}")
    assert len(about_us()) == 1, "an attention mark clears itself"


async def test_no_digest_is_sent_where_nothing_waits(temporal: WorkflowEnvironment) -> None:
    @activity.defn(name=steps.LIST_ATTENTION.name)
    async def nothing_waits() -> steps.Waiting:
        return steps.Waiting(needs={})

    queue = new_training_id()
    async with Worker(
        temporal.client,
        task_queue=queue,
        workflows=[AttentionDigest],
        activities=[nothing_waits],
        workflow_runner=UnsandboxedWorkflowRunner(),
    ):
        # This worker has no mail step, so a digest with a mail would never end.
        listed = await temporal.client.execute_workflow(
            ATTENTION_DIGEST, id=f"empty-{queue}", task_queue=queue, result_type=int
        )
    assert listed == 0


async def test_the_digest_is_scheduled_once(temporal: WorkflowEnvironment) -> None:
    for _ in range(2):
        await schedule_digest(temporal.client, "no-worker")
    described = await temporal.client.get_schedule_handle(DIGEST_SCHEDULE).describe()
    [next_at, *_] = described.info.next_action_times
    assert next_at.astimezone(CENTRAL).hour == 8
    assert next_at.astimezone(CENTRAL).weekday() < 5
