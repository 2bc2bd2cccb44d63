"""Which of several agencies and mailboxes counts for an assister, also after a close."""

from datetime import timedelta

import pytest

from policy.case import Activation, Case, Due, Earlier, Outcome, Stage
from policy.mails import MailKind
from policy.requirements import AccountActivated, Evidence, Requirement, Speaker
from policy.terms import Terms
from tests.support.cases import (
    NOW,
    ORDER,
    active_case,
    certified,
    enroll,
    new_case,
    ready_case,
    roster,
    scored,
    send_all,
    trained,
)
from workflows import presentation

CLAIMS = [MailKind.CHANGE_CLAIMED, MailKind.CHANGE_CLAIMED_AGENCY]


def waiting() -> Case:
    """A case whose registration number was sent to mailbox 1 of agency A."""
    case = new_case()
    case.record_roster(roster(sequence=1, mailbox=1), NOW)
    case.record_certification(certified(), NOW)
    case.record_training(trained(), NOW)
    case.record_assessment(scored(), NOW)
    enroll(case, NOW)
    send_all(case)
    return case


def closed(case: Case, *, until: int, outcome: Outcome = Outcome.CLOSED_BY_STAFF) -> Earlier:
    """Closes a case after ``until`` submissions; returns what the records keep of it."""
    case.close(outcome, NOW)
    fence = case.closing()
    case.closed(NOW)
    case.evidence.end(until)
    return Earlier(
        outcome=case.outcome,
        evidence=case.evidence,
        hold=case.hold,
        reference_number=case.reference_number,
        fence=fence,
    )


def reopened(earlier: Earlier, *rows: object) -> Case:
    case = Case(training_id="ABC1234", opened_at=NOW)
    for row in rows:
        case.record_roster(row, NOW)  # type: ignore[arg-type]
    case.planned([], earlier, NOW)
    return case


def test_another_agencys_approval_is_a_claim_until_staff_confirm_it() -> None:
    case = waiting()
    assert case.record_roster(roster(agency="B", sequence=2, mailbox=2), NOW) is None
    assert case.speaker == Speaker(agency_id="A", mailbox=1)
    assert "confirm_change" in case.attention["change:B:2"].remedy
    assert [(mail.kind, mail.to) for mail in case.mails_due] == [
        (kind, Speaker(agency_id="A", mailbox=1)) for kind in CLAIMS
    ], "who spoke so far is told"
    assert case.due(NOW) is Due.NOTHING
    send_all(case)
    case.record_roster(roster(agency="B", sequence=3, mailbox=2), NOW)
    assert case.mails_due == [], "once"
    assert case.refuse_change("B", NOW) is None
    assert "those that wait: B" in (case.refuse_change("C", NOW) or "")
    case.confirm_change("B", NOW)
    assert case.speaker == Speaker(agency_id="B", mailbox=2)
    assert case.attention == {}
    assert case.due(NOW) is Due.ENROLLMENT, "the number went to the mailbox before: it is void"


def test_a_refused_claim_stays_refused_and_another_one_is_asked_about() -> None:
    case = waiting()
    case.record_roster(roster(agency="B", sequence=2, mailbox=2), NOW)
    case.decline_change("B", NOW)
    assert case.attention == {}
    assert "No change" in (case.refuse_change("B", NOW) or "")
    case.record_roster(roster(agency="B", sequence=3, mailbox=2), NOW)
    assert case.attention == {}
    case.record_roster(roster(agency="B", sequence=4, mailbox=3), NOW)
    assert "change:B:3" in case.attention


def test_a_claim_that_changes_before_it_is_confirmed_is_told_anew() -> None:
    """Otherwise staff would ask about one mailbox and confirm another one."""
    case = waiting()
    case.record_roster(roster(sequence=2, mailbox=2), NOW)
    assert send_all(case) == CLAIMS
    case.record_roster(roster(sequence=3, mailbox=3), NOW)
    assert [mail.kind for mail in case.mails_due] == CLAIMS
    assert list(case.attention) == ["change:A:3"]


def test_a_claim_that_its_agency_takes_back_asks_nobody() -> None:
    case = waiting()
    case.record_roster(roster(agency="B", sequence=2, mailbox=2), NOW)
    case.record_roster(roster(agency="B", sequence=3, mailbox=2, approved=False), NOW)
    assert case.attention == {}


def test_the_agencys_own_new_address_waits_while_a_number_is_out() -> None:
    case = waiting()
    case.record_roster(roster(sequence=2, mailbox=2), NOW)
    assert case.speaker == Speaker(agency_id="A", mailbox=1)
    assert "another certification e-mail" in case.attention["change:A:2"].problem
    case.record_roster(roster(sequence=3, mailbox=1), NOW)
    assert case.attention == {}, "its own earlier roster restores its word"
    case.record_roster(roster(sequence=4, mailbox=2), NOW)
    case.confirm_change("A", NOW)
    assert case.speaker == Speaker(agency_id="A", mailbox=2)
    assert case.due(NOW) is Due.ENROLLMENT


def test_before_there_is_an_account_an_agency_corrects_the_address_by_itself() -> None:
    case = new_case()
    case.record_roster(roster(sequence=1, mailbox=1), NOW)
    case.record_roster(roster(sequence=2, mailbox=2), NOW)
    assert case.speaker == Speaker(agency_id="A", mailbox=2)
    assert case.attention == {}


def test_access_stays_while_any_known_agency_approves() -> None:
    case = active_case()
    case.record_roster(roster(agency="B", sequence=2), NOW)
    case.confirm_change("B", NOW)
    send_all(case)
    case.record_roster(roster(agency="B", sequence=3, approved=False), NOW)
    assert case.due(NOW) is Due.NOTHING, "A's approval goes on counting"
    assert case.speaker is not None
    assert case.speaker.agency_id == "A"
    case.record_roster(roster(agency="A", sequence=4, employed=False), NOW)
    assert case.due(NOW) is Due.SUSPENSION


def test_a_stranger_cannot_end_or_shield_an_access() -> None:
    case = active_case()
    ignored = case.record_roster(roster(agency="B", sequence=2, approved=False), NOW)
    assert ignored == "the assister is on another agency's roster"
    case.record_roster(roster(agency="C", sequence=3), NOW)
    assert case.due(NOW) is Due.NOTHING
    case.record_roster(roster(agency="A", sequence=4, approved=False), NOW)
    assert case.due(NOW) is Due.SUSPENSION, "C's approval is a claim"


@pytest.mark.parametrize("skew", [timedelta(minutes=-5), timedelta(days=2)])
def test_the_count_orders_rosters_whatever_the_senders_clock_says(skew: timedelta) -> None:
    case = ready_case()
    hours = skew / timedelta(hours=1)
    case.record_roster(roster(hours, sequence=1, approved=False), NOW)
    case.record_roster(roster(sequence=2), NOW)
    assert Requirement.APPROVAL not in case.missing(NOW)
    case.record_roster(roster(hours, sequence=1, approved=False), NOW)
    assert Requirement.APPROVAL not in case.missing(NOW)


def test_after_a_close_an_old_approval_a_repetition_and_a_result_open_nothing() -> None:
    ended = closed(active_case(), until=5)
    for rows in ((), (roster(sequence=0),), (roster(9, sequence=5),)):
        case = reopened(ended, *rows)
        case.record_training(trained("new"), NOW)
        assert case.due(NOW) is Due.CLOSING
        assert case.only_keeps
        case.closing()
        case.closed(NOW)
        assert case.mails_due == [], "nobody is told of a case that never was"


def test_a_newer_approval_opens_and_what_was_met_still_counts() -> None:
    ended = closed(active_case(), until=5)
    case = reopened(ended, roster(sequence=6))
    assert not case.only_keeps
    assert case.missing(NOW) == []
    assert case.due(NOW) is Due.ENROLLMENT
    case.enrolling(NOW)
    case.found_active("1234567", NOW)
    assert case.stage is Stage.ACTIVE
    assert MailKind.CONFIRMATION in [mail.kind for mail in case.mails_due]


def test_another_agencys_approval_after_a_close_is_still_a_claim() -> None:
    ended = closed(active_case(), until=5)
    case = reopened(ended, roster(agency="B", sequence=6))
    assert "change:B:0" in case.attention
    assert case.due(NOW) is Due.NOTHING
    case.confirm_change("B", NOW)
    assert case.due(NOW) is Due.ENROLLMENT


def test_staffs_hold_outlives_the_case() -> None:
    case = active_case()
    case.suspend(ORDER, NOW)
    case.suspending()
    case.suspended(NOW)
    again = reopened(closed(case, until=5), roster(sequence=6))
    assert again.due(NOW) is Due.SUSPENSION
    again.suspending()
    again.suspended(NOW)
    assert again.due(NOW) is Due.NOTHING
    again.reinstate(NOW)
    assert again.due(NOW) is Due.REINSTATEMENT


def test_what_was_kept_after_a_close_counts_for_the_case_that_opens() -> None:
    earlier = closed(new_case(), until=1)
    for tell in (
        lambda case: case.record_certification(certified(1), NOW),
        lambda case: case.record_training(trained(), NOW),
        lambda case: case.record_assessment(scored(), NOW),
    ):
        case = Case(training_id="ABC1234", opened_at=NOW)
        tell(case)  # type: ignore[no-untyped-call]
        case.planned([], earlier, NOW)
        assert case.only_keeps
        case.closing()
        case.closed(NOW)
        earlier = earlier.model_copy(update={"evidence": case.evidence, "fence": case.fence})
    assert reopened(earlier, roster(sequence=2)).missing(NOW) == []


def test_orders_to_a_case_that_ends_are_answered_with_the_truth() -> None:
    case = waiting()
    case.close(Outcome.CLOSED_BY_STAFF, NOW)
    for refuse in (
        case.refuse_resend, case.refuse_reissue, case.refuse_suspend, case.refuse_reinstate,
        case.refuse_correction, case.refuse_changes, case.refuse_close,
    ):  # fmt: skip
        assert "closed" in (refuse(NOW) or ""), refuse
    case.closing()
    case.failed(Due.CLOSING, "locked by hand", NOW)
    assert case.refuse_close(NOW) is None, "a refused close can be ordered again"
    case.close(Outcome.CLOSED_BY_STAFF, NOW)
    assert case.due(NOW) is Due.CLOSING


def test_a_close_overtakes_a_suspension_and_both_all_else() -> None:
    case = active_case()
    case.record_certification(certified(1, through=NOW.date()), NOW)
    case.suspend(ORDER, NOW)
    assert case.due(NOW) is Due.SUSPENSION, "not after the dates of a certification"
    case.close(Outcome.CLOSED_BY_STAFF, NOW)
    assert case.due(NOW) is Due.CLOSING


def test_a_certification_whose_dates_are_not_worked_out_ends_no_access() -> None:
    case = active_case()
    case.record_certification(certified(1, through=NOW.date()), NOW)
    assert case.due(NOW) is Due.CERTIFICATION_DATES


def test_a_used_number_stays_used_when_a_reissue_races_its_report() -> None:
    case = waiting()
    case.reissue(NOW)
    assert case.due(NOW) is Due.ENROLLMENT
    case.enrolling(NOW)
    case.found_active("1234567", NOW)
    assert case.stage is Stage.ACTIVE
    late = AccountActivated(event_id="p", occurred_at=NOW, registration=1)
    assert "already activated" in (case.record_activation(late, NOW) or "")


def test_a_number_used_before_the_portals_answer_came_is_not_lost() -> None:
    for registration, due in ((1, Due.CONFIRMATION), (9, Due.NOTHING)):
        case = ready_case()
        case.enrolling(NOW)
        used = AccountActivated(event_id="p", occurred_at=NOW, registration=registration)
        assert case.record_activation(used, NOW) is None
        activation = Activation(
            registration=1,
            issued_at=NOW,
            expires_at=NOW + timedelta(days=7),
            reissuable_until=NOW + timedelta(days=37),
        )
        case.issued("1234567", activation, NOW)
        assert case.due(NOW) is due


def test_one_kind_of_evidence_does_not_stand_for_the_other() -> None:
    case = new_case()
    terms = case.terms.model_copy(update={"training_courses": ("course-a",)})
    case = case.model_copy(update={"terms": terms})
    assert case.record_training(trained(), NOW) is not None
    assert case.record_training(trained(course="course-a"), NOW) is None
    assert case.record_assessment(scored(course="course-a"), NOW) is not None


def test_evidence_of_an_old_and_a_new_case_says_the_same_in_either_order() -> None:
    old, new = ready_case().evidence, Evidence()
    new.record_certification(certified(1, yes=False))
    merged, news = new.with_earlier(old, ready_case().terms, secured=False)
    assert news
    assert Requirement.CERTIFICATION in merged.missing(NOW, ready_case().terms)
    again, nothing = old.with_earlier(merged, ready_case().terms, secured=False)
    assert again == merged
    assert not nothing


def test_an_undecided_change_alone_opens_no_case_after_a_close() -> None:
    case = waiting()
    case.record_roster(roster(sequence=2, mailbox=2), NOW)
    ended = closed(case, until=5)
    again = Case(training_id="ABC1234", opened_at=NOW)
    again.record_training(trained("new"), NOW)
    again.planned([], ended, NOW)
    assert again.only_keeps


def test_a_case_that_opens_again_warns_of_the_certifications_end() -> None:
    case = active_case()
    through = (NOW + timedelta(days=90)).date()
    case.record_certification(certified(1, through=through), NOW)
    case.certification_dated(NOW + timedelta(days=91), [NOW + timedelta(days=60)])
    again = reopened(closed(case, until=5), roster(sequence=6))
    assert again.due(NOW) is Due.CERTIFICATION_DATES


def test_a_case_opens_under_terms_that_name_other_courses() -> None:
    ended = closed(active_case(), until=5)
    case = Case(
        training_id="ABC1234",
        opened_at=NOW,
        terms=Terms(mastery={"new-course": 70}, training_courses=["new-course"]),
    )
    case.record_roster(roster(sequence=6), NOW)
    case.planned([], ended, NOW)
    assert case.missing(NOW) == [Requirement.TRAINING, Requirement.ASSESSMENT]
    assert "assister-portal" not in presentation.details(case, NOW)


def test_who_passed_before_is_not_asked_to_repeat_it() -> None:
    ended = closed(active_case(), until=5)
    case = Case(training_id="ABC1234", opened_at=NOW)
    case.record_roster(roster(sequence=6), NOW)
    case.record_assessment(scored("50", "again"), NOW)
    case.planned([], ended, NOW)
    assert case.mails_due == []
    kept = Case(training_id="ABC1234", opened_at=NOW)
    kept.record_assessment(scored("50", "again"), NOW)
    kept.planned([], closed(new_case(), until=5), NOW)
    assert (kept.only_keeps, kept.mails_due) == (True, [])
