"""Staff see and steer a case in the Temporal Web UI, with a real browser, UI and worker."""

import re
from datetime import UTC, datetime, timedelta
from itertools import count

from playwright.async_api import expect
from temporalio.client import WorkflowExecutionStatus

from policy.requirements import CertificationRecorded
from tests.browser.temporal_ui import TemporalUi
from tests.support.system import (
    AGENCY,
    LONG_AGO,
    System,
    eventually,
    facts,
    listed,
    meet_requirements,
    new_training_id,
    record_people,
)
from workflows.contract import Status, assister_workflow_id
from workflows.lists import ready_made

"""A browser is slow on a busy machine."""

ACT = '{"by": "arc-7", "reason": "A test"}'


async def waiting_case(system: System) -> str:
    """A case that waits for activation."""
    training_id = new_training_id()
    await record_people(system.database, training_id)
    await meet_requirements(system, training_id)
    return training_id


async def test_a_ready_made_link_leads_to_a_case_that_explains_itself(
    ui: TemporalUi, system: System
) -> None:
    training_id = await waiting_case(system)
    workflow_id = assister_workflow_id(training_id)
    lists = {entry.name: entry.query for entry in ready_made(datetime.now(UTC), AGENCY)}
    query = lists["Waiting for activation"]
    await listed(system, query, workflow_id)
    await ui.open_list(query)
    await ui.row(workflow_id).click()
    await ui.open_tab("user-metadata")
    status = await system.status(training_id)
    page = ui.details
    await expect(page.get_by_role("heading", name="Awaiting activation")).to_be_visible()
    await expect(page).to_contain_text("Who must act: the assister: activate the account")
    await expect(page).to_contain_text("Central: the assister is reminded to activate.")
    await expect(page).to_contain_text(f"Reference number: {status.reference_number}")
    lines = page.get_by_role("listitem")
    for evidence in (
        f"Approval: met Mon Jan 5, 2026, {AGENCY}.s roster .roster-1.",
        "Certification: met Mon Jan 5, 2026, certification records .certification-1.",
        "Training: met Mon Jan 5, 2026, learning center .training-1.",
        "Assessment: met Mon Jan 5, 2026, learning center, 70 % .assessment-1.",
        "Central: Enrolled; registration number 1 issued",
        "To the assister: activation, .* Central",
    ):
        await expect(lines.filter(has_text=re.compile(evidence))).to_have_count(1)
    for each in status.allowed:
        await expect(page.get_by_text(each, exact=True)).to_be_visible()
    phone = re.compile(r"651\D{0,2}555\D?0123")
    for private in ("Ann", f"{training_id.lower()}@", phone):
        await expect(page).not_to_contain_text(private)


async def test_each_staff_update_is_sent_with_the_example_of_its_description(
    ui: TemporalUi, system: System
) -> None:
    training_id = await waiting_case(system)
    await ui.open_case(assister_workflow_id(training_id))

    async def act(update: str, stage: str, happened: str) -> Status:
        assert await ui.send("Update", update) == ""
        status = await system.until(
            training_id,
            lambda s: s.stage == stage and all(mail.sent_at for mail in s.mails),
        )
        await ui.page.keyboard.press("r")
        await expect(ui.details).to_contain_text(happened)
        return status

    status = await act("resend_activation", "awaiting_activation", "Activation mail sent again")
    assert [mail.kind for mail in status.mails] == ["activation"] * 2
    first, second = system.mails(to=training_id.lower())
    assert first == second
    await act("reissue_activation", "awaiting_activation", "registration number 2 issued")
    *_, third = system.mails(to=training_id.lower())
    assert third != second
    await act("email_corrected", "awaiting_activation", "E-mail address corrected")
    await act("suspend_access", "suspended", "Suspended: suspended by staff")
    await act("reinstate_access", "awaiting_activation", "registration number 3 issued")
    await act("close_case", "closed", "Closed: closed_by_staff")
    result = Status.model_validate(await system.case(training_id).result())
    assert result.outcome == "closed_by_staff"


async def test_a_mistake_and_a_refusal_are_answered_in_plain_english(
    ui: TemporalUi, system: System
) -> None:
    training_id = await waiting_case(system)
    before = await system.status(training_id)
    await ui.open_case(assister_workflow_id(training_id))
    for data, answer in {
        "": "an object is needed. Paste and change: {",
        "{oops": "An unknown error occurred",
        '{"by": "arc-7"}': "reason: Field required",
        '{"by": "arc-7", "reason": "x", "when": "now"}': "there is a field that is not known",
        '{"by": "pat@example.org", "reason": "x"}': "by: leave out e-mail addresses",
    }.items():
        shown = await ui.send("Update", "suspend_access", data)
        assert answer in shown, data
        assert "File" not in shown, "a stack trace is no answer for staff"
    refused = await ui.send("Update", "reinstate_access", ACT)
    assert refused == "Access is not suspended: the case is in stage awaiting_activation."
    assert await system.status(training_id) == before


async def test_no_signal_that_a_person_can_send_harms_a_case(
    ui: TemporalUi, system: System
) -> None:
    training_id = await waiting_case(system)
    before = (await system.status(training_id)).model_dump(exclude={"happenings"})
    await ui.open_case(assister_workflow_id(training_id))
    assert await ui.send("Signal", "roster_recorded", "{oops") != ""
    for signal in (*facts(), "result_voided", "account_activated"):
        assert await ui.send("Signal", signal, "") == ""
        assert await ui.send("Signal", signal, '{"event_id": 7}') == ""
        shown = ui.details
        await ui.page.keyboard.press("r")
        await expect(shown).to_contain_text(f"Ignored {signal}: an object is needed")
        await expect(shown).to_contain_text(f"Ignored {signal}: event_id: Input should be a valid")
    after = (await system.status(training_id)).model_dump(exclude={"happenings"})
    assert after == before
    described = await system.case(training_id).describe()
    assert described.status is WorkflowExecutionStatus.RUNNING
    history = await system.case(training_id).fetch_history()
    assert not [e for e in history.events if e.HasField("workflow_task_failed_event_attributes")]


async def test_the_status_query_says_it_in_a_sentence(ui: TemporalUi, system: System) -> None:
    training_id = await waiting_case(system)
    await ui.open_case(assister_workflow_id(training_id))
    answer = await ui.run_query("status")
    await expect(answer).to_contain_text(
        '"summary": "Awaiting activation. Must act: the assister: activate the account.'
    )


async def test_a_case_cancelled_by_the_button_closes_with_its_mails(
    ui: TemporalUi, system: System
) -> None:
    training_id = await waiting_case(system)
    await ui.open_case(assister_workflow_id(training_id))
    await ui.cancel()
    result = Status.model_validate(await system.case(training_id).result())
    assert result.outcome == "cancelled"
    sent = {mail.kind for mail in result.mails if mail.sent_at}
    assert sent == {"activation", "case_closed", "case_closed_agency"}
    await ui.open_case(assister_workflow_id(training_id))
    await expect(ui.page.get_by_text("Completed", exact=True).first).to_be_visible()
    await expect(ui.details.get_by_role("heading", name="Closed")).to_be_visible()
    await expect(ui.details).to_contain_text("Closed: cancelled")


async def test_the_details_are_right_in_a_later_run(ui: TemporalUi, system: System) -> None:
    training_id = await waiting_case(system)
    await ui.open_case(assister_workflow_id(training_id))
    first_run = ui.page.url
    times = count()

    async def run_after_another_event() -> str:
        number = next(times)
        event = CertificationRecorded(
            event_id=f"certification-{number}",
            occurred_at=LONG_AGO + timedelta(minutes=number),
            certified=True,
        )
        await system.tell(training_id, "certification_recorded", event)
        return (await system.case(training_id).describe()).run_id

    await eventually(run_after_another_event, lambda run: run not in first_run)
    await ui.open_case(assister_workflow_id(training_id))
    await expect(ui.details.get_by_role("heading", name="Awaiting activation")).to_be_visible()
    await expect(ui.details).to_contain_text(f"certification-{next(times) - 1}")
    await expect(ui.details).to_contain_text("Central: the assister is reminded to activate.")
    assert await ui.send("Update", "resend_activation") == ""
    await system.until(training_id, lambda s: len(s.mails) == 2)


async def test_the_dangerous_buttons_are_off(ui: TemporalUi, system: System) -> None:
    training_id = await waiting_case(system)
    query = f"WorkflowId = '{assister_workflow_id(training_id)}'"
    await listed(system, query, assister_workflow_id(training_id))
    await ui.open_list(query)
    await expect(ui.row(assister_workflow_id(training_id))).to_be_visible()
    await expect(ui.page.get_by_role("checkbox")).to_have_count(0)
    await expect(ui.page.get_by_text("Start Workflow")).to_have_count(0)
    await ui.row(assister_workflow_id(training_id)).click()
    assert await ui.actions() == ["Send a Signal", "Send an Update"]
