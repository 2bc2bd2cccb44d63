"""The text that staff read about a case: the sources of its evidence, and what comes next."""

from datetime import timedelta

from policy.requirements import ResultVoided
from tests.support.cases import (
    NOW,
    ORDER,
    active_case,
    certified,
    enrolled_case,
    new_case,
    ready_case,
    roster,
    scored,
    trained,
)
from workflows import presentation


def void(event_id: str) -> ResultVoided:
    return ResultVoided(event_id=f"void-{event_id}", occurred_at=NOW, voids=event_id)


def test_the_source_shown_is_the_result_that_counts() -> None:
    case = new_case()
    case.record_assessment(scored("64", "first"), NOW)
    case.record_assessment(scored("69.95", "second"), NOW)
    assert "Assessment: **missing**, learning center, 69.95 %, below 70 % (second)" in (
        presentation.details(case, NOW)
    )
    for name in ("third", "fourth"):
        case.record_assessment(scored("80", name), NOW)
        case.record_training(trained(f"training-{name}"), NOW)
    case.record_void(void("third"), NOW)
    case.record_void(void("training-third"), NOW)
    page = presentation.details(case, NOW)
    assert "Assessment: met Mon Mar 2, 2026, learning center, 80 % (fourth)" in page
    assert "Training: met Mon Mar 2, 2026, learning center (training-fourth)" in page
    assert "Approval: **missing**, nothing yet; the agency's authorized contact must act" in page


def test_what_a_roster_or_a_record_says_against_access_is_shown() -> None:
    case = ready_case()
    case.record_roster(roster(1, approved=False), NOW)
    case.record_certification(certified(1, yes=False), NOW)
    page = presentation.details(case, NOW)
    assert "Approval: **missing**, A's roster, access “No”" in page
    assert "Certification: **missing**, certification records, not certified" in page


def test_a_stage_says_since_when_and_why_and_a_midnight_is_the_end_of_a_day() -> None:
    case = active_case()
    later = NOW + timedelta(days=3)
    case.suspend(ORDER, later)
    case.suspending()
    case.suspended(later)
    shown = presentation.status(case, later)
    assert shown.since == later
    assert "- **Why:** suspended by staff" in presentation.details(case, later)
    waiting = enrolled_case()
    assert waiting.activation is not None
    midnight = NOW.replace(day=10, hour=5)
    waiting.activation = waiting.activation.model_copy(
        update={"expires_at": midnight, "reminders_at": ()}
    )
    assert presentation.status(waiting, NOW).next_step == (
        "End of Mon Mar 9, 2026 Central: the registration number expires."
    )
    assert presentation.timer(waiting, NOW).startswith("Waits for activation. End of Mon Mar 9")
