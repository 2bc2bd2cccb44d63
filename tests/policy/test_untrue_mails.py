"""A mail waits for its relay or for an address, and a newer event happens before it is sent.

No mail is sent that the newer event made untrue.
"""

from collections.abc import Callable
from datetime import date, timedelta

import pytest

from policy.case import Case, Due, Outcome, Stage
from policy.mails import MailKind
from policy.requirements import AccountActivated, ResultVoided
from tests.support.cases import (
    NOW,
    ORDER,
    active_case,
    certified,
    enroll,
    enrolled_case,
    new_case,
    ready_case,
    roster,
    scored,
    send_all,
    trained,
)

END = NOW + timedelta(days=7)
RENEWED = certified(2, through=date(2028, 3, 31))


def expired_case() -> Case:
    case = enrolled_case()
    send_all(case)
    case.expiring()
    case.expired(END)
    return case


def warned_case() -> Case:
    case = active_case()
    case.record_certification(certified(1, through=date(2026, 3, 31)), NOW)
    case.certification_dated(NOW + timedelta(days=29), [NOW])
    case.warn_of_certification(NOW)
    return case


def claimed_case() -> Case:
    case = active_case()
    case.record_roster(roster(agency="B", sequence=2, mailbox=2), NOW)
    return case


def failed_case() -> Case:
    case = new_case()
    case.record_roster(roster(), NOW)
    case.record_assessment(scored("50", "fail"), NOW)
    return case


def reminded_case() -> Case:
    case = new_case()
    case.record_roster(roster(), NOW)
    case.remind_of_requirements(NOW)
    return case


def confirmed_case() -> Case:
    case = enrolled_case()
    send_all(case)
    case.record_activation(AccountActivated(event_id="p", occurred_at=NOW, registration=1), NOW)
    case.confirm(NOW)
    return case


def reinstated_case() -> Case:
    case = active_case()
    suspend(case)
    case.reinstate(NOW)
    send_all(case)
    case.reinstating()
    case.reinstated(NOW)
    return case


def suspended_case() -> Case:
    case = active_case()
    suspend(case)
    return case


def suspend(case: Case) -> None:
    case.suspend(ORDER, NOW)
    assert case.due(NOW) is Due.SUSPENSION
    case.suspending()
    case.suspended(NOW)


def reinstate(case: Case) -> None:
    case.reinstate(NOW)
    assert case.due(NOW) is Due.REINSTATEMENT
    case.reinstating()
    case.reinstated(NOW)


def close(case: Case) -> None:
    case.close(Outcome.CLOSED_BY_STAFF, NOW)
    case.closing()
    case.closed(NOW)


def reissue(case: Case) -> None:
    assert case.refuse_reissue(END) is None
    case.reissue(END)


def activate_late(case: Case) -> None:
    case.record_activation(AccountActivated(event_id="p", occurred_at=NOW, registration=1), END)
    case.confirm(END)


def confirm_claim(case: Case) -> None:
    case.confirm_change("B", NOW)


def decline_claim(case: Case) -> None:
    case.decline_change("B", NOW)


def take_claim_back(case: Case) -> None:
    case.record_roster(roster(agency="B", sequence=3, mailbox=2, approved=False), NOW)


def renew(case: Case) -> None:
    case.record_certification(RENEWED, NOW)


def withdraw(case: Case) -> None:
    case.record_certification(certified(2, yes=False), NOW)


def pass_it(case: Case) -> None:
    case.record_assessment(scored("80", "pass"), NOW)


def train(case: Case) -> None:
    case.record_training(trained(), NOW)


def deny(case: Case) -> None:
    case.record_roster(roster(3, sequence=3, approved=False), NOW)


@pytest.mark.parametrize(
    ("made", "kind", "happens"),
    [
        (expired_case, MailKind.ACTIVATION_EXPIRED, reissue),
        (expired_case, MailKind.ACTIVATION_EXPIRED_AGENCY, reissue),
        (expired_case, MailKind.ACTIVATION_EXPIRED, activate_late),
        (expired_case, MailKind.ACTIVATION_EXPIRED, suspend),
        (expired_case, MailKind.ACTIVATION_EXPIRED, close),
        (warned_case, MailKind.CERTIFICATION_ENDING, renew),
        (warned_case, MailKind.CERTIFICATION_ENDING_AGENCY, renew),
        (warned_case, MailKind.CERTIFICATION_ENDING, withdraw),
        (warned_case, MailKind.CERTIFICATION_ENDING, suspend),
        (warned_case, MailKind.CERTIFICATION_ENDING, close),
        (claimed_case, MailKind.CHANGE_CLAIMED, confirm_claim),
        (claimed_case, MailKind.CHANGE_CLAIMED_AGENCY, decline_claim),
        (claimed_case, MailKind.CHANGE_CLAIMED, take_claim_back),
        (claimed_case, MailKind.CHANGE_CLAIMED, close),
        (confirmed_case, MailKind.CONFIRMATION, suspend),
        (confirmed_case, MailKind.CONFIRMATION, close),
        (reinstated_case, MailKind.REINSTATED, suspend),
        (reinstated_case, MailKind.REINSTATED_AGENCY, close),
        (suspended_case, MailKind.SUSPENDED, reinstate),
        (suspended_case, MailKind.SUSPENDED_AGENCY, close),
        (failed_case, MailKind.ASSESSMENT_FAILED, pass_it),
        (failed_case, MailKind.ASSESSMENT_FAILED, close),
        (reminded_case, MailKind.REQUIREMENT_REMINDER, train),
        (reminded_case, MailKind.REQUIREMENT_REMINDER_AGENCY, deny),
        (reminded_case, MailKind.REQUIREMENT_REMINDER, close),
        (reminded_case, MailKind.REQUIREMENT_REMINDER, suspend),
        (enrolled_case, MailKind.ACTIVATION, suspend),
        (enrolled_case, MailKind.ACTIVATION, close),
    ],
)
@pytest.mark.parametrize("refused", [False, True], ids=["waits", "was refused"])
def test_a_mail_that_became_untrue_never_goes_out(
    made: Callable[[], Case], kind: MailKind, happens: Callable[[Case], None], refused: bool
) -> None:
    case = made()
    [mail] = [mail for mail in case.mails_due if mail.kind is kind]
    if refused:
        case.mail_refused(mail, "the address was refused (550 5.1.1)", NOW)
    happens(case)
    assert mail not in case.mails_due
    assert mail not in case.mails_undeliverable
    assert f"mail:{kind}" not in case.attention
    case.retry_mails(NOW)
    assert kind not in [mail.kind for mail in case.mails_due]


def test_a_mail_that_is_still_true_goes_out() -> None:
    case = warned_case()
    case.record_assessment(scored("90", "again"), NOW)
    assert MailKind.CERTIFICATION_ENDING in send_all(case)
    case = claimed_case()
    case.record_roster(roster(agency="C", sequence=4, mailbox=4), NOW)
    case.decline_change("C", NOW)
    assert {mail.facts["by_agency"] for mail in case.mails_due} == {"B"}


def test_who_was_never_told_of_the_account_is_told_once_access_is_back() -> None:
    case = confirmed_case()
    suspend(case)
    reinstate(case)
    assert case.stage is Stage.ACTIVE
    sent = send_all(case)
    assert MailKind.CONFIRMATION in sent
    assert MailKind.REINSTATED not in sent


def test_no_number_is_mailed_while_the_case_closes() -> None:
    case = enrolled_case()
    case.close(Outcome.CLOSED_BY_STAFF, NOW)
    case.closing()
    assert case.mails_due == [], "the portal may take days to answer"


def test_an_address_corrected_after_the_end_gets_a_number_after_all() -> None:
    case = enrolled_case()
    case.mail_refused(case.mails_due[0], "the address was refused (550 5.1.1)", NOW)
    case.expiring()
    case.expired(END)
    assert case.stage is Stage.ACTIVATION_EXPIRED
    assert send_all(case, END) == [MailKind.ACTIVATION_EXPIRED_AGENCY], (
        "the assister never had a number"
    )
    assert "mail:activation" in case.attention
    assert "1" in case.correct_email(END)
    assert case.due(END) is Due.ENROLLMENT
    assert case.attention == {}
    enroll(case, END, registration=2)
    assert send_all(case, END) == [MailKind.ACTIVATION]


def test_a_confirmed_change_sends_nothing_untrue_of_what_waited() -> None:
    case = enrolled_case()
    case.mail_refused(case.mails_due[0], "the address was refused (550 5.1.1)", NOW)
    case.expiring()
    case.expired(END)
    [told] = case.mails_due
    case.mail_refused(told, "the address was refused (550 5.1.1)", END)
    case.record_roster(roster(agency="B", sequence=2, mailbox=2), END)
    send_all(case, END)
    case.confirm_change("B", END)
    assert case.due(END) is Due.ENROLLMENT
    assert case.mails_due == [], "the agency would hear that the number expired"


def test_no_agency_is_asked_about_before_the_case_is_open() -> None:
    case = Case(training_id="ABC1234", opened_at=NOW)
    case.record_roster(roster(agency="B", sequence=2, mailbox=2), NOW)
    case.record_roster(roster(agency="A", sequence=1, mailbox=1), NOW)
    assert case.attention == {}
    assert case.mails_due == []
    assert "opened" in (case.refuse_change("A", NOW) or "")
    ready = ready_case()
    assert ready.due(NOW) is Due.ENROLLMENT


def test_nobody_is_told_of_an_attempt_that_was_voided_before_it_came() -> None:
    case = new_case()
    case.record_roster(roster(), NOW)
    case.record_void(ResultVoided(event_id="v", occurred_at=NOW, voids="pass"), NOW)
    case.record_assessment(scored("85"), NOW)
    assert case.mails_due == []


def test_an_expiry_under_way_does_not_undo_a_reissue() -> None:
    case = enrolled_case()
    send_all(case)
    assert case.due(END) is Due.EXPIRY
    case.expiring()
    case.reissue(END)
    case.expired(END)
    assert case.due(END) is Due.ENROLLMENT
    assert case.mails_due == []
