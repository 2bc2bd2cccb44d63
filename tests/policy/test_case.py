"""The case without a server: what is due, what is refused, and what never happens."""

from collections import Counter
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import permutations
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from policy.case import (
    Activation,
    Case,
    Due,
    Earlier,
    Outcome,
    Stage,
    waiting_on,
    who_must_act,
)
from policy.correspondence import Mail
from policy.mails import MailKind, Recipient
from policy.requirements import (
    AGENCIES_KEPT,
    AccountActivated,
    AssessmentScored,
    AssisterType,
    CertificationRecorded,
    Evidence,
    Fact,
    Requirement,
    ResultVoided,
    RosterRecorded,
    TrainingCompleted,
)
from policy.terms import Terms
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
from workflows import presentation, search_attributes


@pytest.mark.clause("before")
@pytest.mark.clause("before.1")
@pytest.mark.clause("before.2")
@pytest.mark.clause("before.3")
@pytest.mark.clause("before.4")
@pytest.mark.clause("2a")
@pytest.mark.parametrize("order", [*permutations(range(4))])
def test_enrollment_is_due_after_the_last_requirement_in_any_order(order: tuple[int, ...]) -> None:
    case = new_case()
    steps = [
        lambda: case.record_roster(roster(), NOW),
        lambda: case.record_certification(certified(), NOW),
        lambda: case.record_training(trained(), NOW),
        lambda: case.record_assessment(scored(), NOW),
    ]
    for at, index in enumerate(order):
        assert case.due(NOW) is Due.NOTHING
        assert len(case.missing(NOW)) == 4 - at
        assert steps[index]() is None
        assert steps[index]() is not None, "a repetition changes nothing"
    assert case.due(NOW) is Due.ENROLLMENT


@pytest.mark.clause("2.2")
@pytest.mark.parametrize(
    ("percent", "passes"), [("69.95", False), ("69.999999", False), ("70", True), ("100", True)]
)
def test_mastery_is_seventy_percent_without_rounding(percent: str, passes: bool) -> None:
    case = new_case()
    assert case.record_assessment(scored(percent), NOW) is None
    assert (Requirement.ASSESSMENT not in case.missing(NOW)) is passes
    assert [mail.kind for mail in case.mails_due] == (
        [] if passes else [MailKind.ASSESSMENT_FAILED]
    )


def test_a_failed_attempt_after_a_pass_takes_nothing_away() -> None:
    case = ready_case()
    case.record_assessment(scored("10", "later"), NOW)
    assert case.missing(NOW) == []
    assert case.mails_due == []


def test_other_courses_do_not_count() -> None:
    case = new_case()
    assert "course" in (case.record_training(trained(course="security"), NOW) or "")
    assert "course" in (case.record_assessment(scored(course="security"), NOW) or "")
    assert len(case.missing(NOW)) == 4


@pytest.mark.clause("1.1")
def test_a_newer_roster_decides_by_when_it_happened_not_when_it_came() -> None:
    case = new_case()
    case.record_roster(roster(2, approved=False), NOW)
    assert "newer" in (case.record_roster(roster(1), NOW) or "")
    assert Requirement.APPROVAL in case.missing(NOW)
    case.record_roster(roster(3), NOW)
    assert Requirement.APPROVAL not in case.missing(NOW)


def test_of_two_facts_at_one_moment_the_lesser_holds() -> None:
    for order in permutations((certified(yes=True), certified(yes=False))):
        evidence = Evidence()
        for each in order:
            evidence.record_certification(each)
        assert evidence.met(Requirement.CERTIFICATION, NOW, Terms()) is None


def test_a_certification_with_a_last_day_waits_for_its_end_to_be_worked_out() -> None:
    case = ready_case()
    case.record_certification(certified(1, through=date(2027, 10, 15)), NOW)
    assert case.due(NOW) is Due.CERTIFICATION_DATES
    ends = NOW + timedelta(days=100)
    case.certification_dated(ends, [ends - timedelta(days=30), ends - timedelta(days=7)])
    assert case.due(NOW) is Due.ENROLLMENT
    assert Requirement.CERTIFICATION in case.missing(ends)
    assert Requirement.CERTIFICATION not in case.missing(ends - timedelta(seconds=1))


def test_a_lapse_is_warned_of_and_then_suspends() -> None:
    case = active_case()
    case.record_certification(certified(1, through=date(2027, 10, 15)), NOW)
    ends = NOW + timedelta(days=100)
    case.certification_dated(ends, [ends - timedelta(days=30), ends - timedelta(days=7)])
    assert case.next_deadline(NOW) == ends - timedelta(days=30)
    assert case.due(ends - timedelta(days=30)) is Due.CERTIFICATION_WARNING
    case.warn_of_certification(ends - timedelta(days=30))
    assert send_all(case) == [
        MailKind.CERTIFICATION_ENDING,
        MailKind.CERTIFICATION_ENDING_AGENCY,
    ]
    assert case.due(ends) is Due.SUSPENSION
    case.suspending()
    case.suspended(ends)
    assert case.suspended_for == "the certification has lapsed"
    assert case.due(ends) is Due.NOTHING
    renewed = CertificationRecorded(event_id="new", occurred_at=ends, certified=True)
    case.record_certification(renewed, ends)
    assert case.due(ends) is Due.REINSTATEMENT


@pytest.mark.parametrize(
    ("loss", "reason"),
    [
        (lambda c: c.record_roster(roster(1, approved=False), NOW), "portal access is “No”"),
        (lambda c: c.record_roster(roster(1, employed=False), NOW), "employment is inactive"),
        (lambda c: c.record_certification(certified(1, yes=False), NOW), "withdrawn"),
        (
            lambda c: c.record_void(ResultVoided(event_id="v", occurred_at=NOW, voids="pass"), NOW),
            "no valid passing",
        ),
        (
            lambda c: c.record_void(
                ResultVoided(event_id="v", occurred_at=NOW, voids="training"), NOW
            ),
            "training is missing",
        ),
        (lambda c: c.suspend(ORDER, NOW), "suspended by staff"),
    ],
)
@pytest.mark.parametrize("make", [enrolled_case, active_case])
def test_whatever_ends_access_suspends_first_and_tells_then(make, loss, reason) -> None:  # type: ignore[no-untyped-def]
    case = make()
    loss(case)
    assert case.due(NOW) is Due.SUSPENSION
    before = case.fence
    assert case.suspending() == before + 1
    assert not [mail for mail in case.mails_due if mail.registration], "the number is void"
    case.suspended(NOW)
    assert case.stage is Stage.SUSPENDED
    assert reason in (case.suspended_for or "")
    assert {MailKind.SUSPENDED, MailKind.SUSPENDED_AGENCY} <= {e.kind for e in case.mails_due}


def test_staff_can_hold_a_case_before_it_has_everything() -> None:
    case = new_case()
    assert case.refuse_suspend(NOW) is None
    case.suspend(ORDER, NOW)
    assert case.due(NOW) is Due.SUSPENSION
    case.suspending()
    case.suspended(NOW)
    assert waiting_on(case, NOW)[-1] == "staff"
    assert "already" in (case.refuse_suspend(NOW) or "")
    assert case.refuse_reinstate(NOW) is None
    assert "approval is missing" in case.reinstate(NOW)
    assert case.due(NOW) is Due.NOTHING
    assert "It comes back by itself" in (case.refuse_reinstate(NOW) or "")


def test_reinstatement_gives_an_active_account_back_and_enrolls_another() -> None:
    for make, stage in ((active_case, Stage.ACTIVE), (enrolled_case, Stage.ENROLLING)):
        case = make()
        case.suspend(ORDER, NOW)
        case.suspending()
        case.suspended(NOW)
        assert "given back" in case.reinstate(NOW)
        assert case.due(NOW) is Due.REINSTATEMENT
        case.reinstating()
        case.reinstated(NOW)
        assert case.stage is stage


def test_a_suspension_overtakes_a_reinstatement_under_way() -> None:
    case = active_case()
    case.suspend(ORDER, NOW)
    case.suspending()
    case.suspended(NOW)
    send_all(case)
    case.reinstate(NOW)
    case.reinstating()
    case.suspend(ORDER, NOW)
    assert case.due(NOW) is Due.SUSPENSION
    case.suspending()
    case.suspended(NOW)
    assert case.mails_due == [], "people were told of this suspension already"
    assert case.due(NOW) is Due.NOTHING


def test_an_activation_found_while_suspending_is_confirmed_when_access_is_back() -> None:
    case = enrolled_case()
    send_all(case)
    case.suspend(ORDER, NOW)
    case.suspending()
    case.activated = True
    case.suspended(NOW)
    case.reinstate(NOW)
    case.reinstating()
    case.reinstated(NOW)
    assert case.stage is Stage.ACTIVE
    assert MailKind.CONFIRMATION in [mail.kind for mail in case.mails_due]


def test_activation_reminders_and_expiry() -> None:
    case = enrolled_case()
    assert send_all(case) == [MailKind.ACTIVATION]
    second, fifth, end = (NOW + timedelta(days=days) for days in (2, 5, 7))
    assert case.next_deadline(NOW) == second
    assert case.due(second) is Due.ACTIVATION_REMINDER
    case.remind_of_activation(second)
    assert send_all(case) == [MailKind.ACTIVATION_REMINDER]
    assert case.next_deadline(second) == fifth
    assert case.due(end) is Due.EXPIRY
    case.expiring()
    case.expired(end)
    assert case.stage is Stage.ACTIVATION_EXPIRED
    assert send_all(case) == [MailKind.ACTIVATION_EXPIRED, MailKind.ACTIVATION_EXPIRED_AGENCY]
    assert case.next_deadline(end) == NOW + timedelta(days=37)
    assert waiting_on(case, end) == ["reissue"]
    assert any("reissue_activation" in line for line in who_must_act(case, end))
    assert case.due(NOW + timedelta(days=37)) is Due.CLOSING
    case.closing()
    case.closed(NOW + timedelta(days=37))
    assert case.outcome is Outcome.ACTIVATION_EXPIRED
    assert case.due(NOW) is Due.NOTHING
    assert case.next_deadline(NOW) is None
    assert waiting_on(case, NOW) == who_must_act(case, NOW) == []


def test_a_number_whose_mail_never_went_out_is_issued_anew() -> None:
    case = enrolled_case()
    end = NOW + timedelta(days=7)
    case.remind_of_activation(NOW + timedelta(days=5))
    assert [mail.kind for mail in case.mails_due] == [MailKind.ACTIVATION]
    case.expired(end)
    assert case.stage is Stage.ENROLLING
    assert case.mails_due == []


def test_resend_is_limited_and_says_why() -> None:
    case = ready_case()
    assert "collecting" in (case.refuse_resend(NOW) or "")
    enroll(case, NOW)
    assert "on its way" in (case.refuse_resend(NOW) or "")
    for _ in range(3):
        send_all(case)
        assert case.refuse_resend(NOW) is None
        case.resend(NOW)
    send_all(case)
    assert "3 times" in (case.refuse_resend(NOW) or "")
    assert case.refuse_resend(NOW + timedelta(days=1)) is None
    case.expiring()
    case.expired(NOW + timedelta(days=7))
    assert "reissue_activation" in (case.refuse_resend(NOW) or "")


def test_reissue_voids_and_starts_the_clock_again() -> None:
    case = enrolled_case()
    assert case.refuse_reissue(NOW) is None
    case.reissue(NOW)
    assert case.mails_due == []
    later = NOW + timedelta(days=3)
    enroll(case, later, registration=2)
    old = AccountActivated(event_id="p", occurred_at=NOW, registration=1)
    assert "not the one" in (case.record_activation(old, later) or "")
    new = AccountActivated(event_id="q", occurred_at=NOW, registration=2)
    assert case.record_activation(new, later) is None
    assert "already" in (case.record_activation(new, later) or "")
    assert "already activated" in (case.refuse_reissue(later) or "")
    case.confirm(later)
    assert "stage active" in (case.refuse_reissue(later) or "")
    assert "not suspended" in (case.refuse_reinstate(later) or "")


def test_a_refused_address_waits_for_its_correction_and_starts_a_new_clock() -> None:
    case = enrolled_case()
    case.mail_refused(case.mails_due[0], "the address was refused (550 5.1.1)", NOW)
    assert waiting_on(case, NOW) == ["attention", "activation"]
    assert not [line for line in who_must_act(case, NOW) if line.startswith("the assister")]
    assert "attention mark" in (case.refuse_resend(NOW) or "")
    assert case.refuse_correction(NOW) is None
    assert "1" in case.correct_email(NOW)
    assert case.attention == {}
    assert case.due(NOW) is Due.ENROLLMENT
    assert "no mail was waiting" in active_case().correct_email(NOW)


def test_a_correction_after_activation_issues_nothing() -> None:
    case = enrolled_case()
    case.mail_refused(case.mails_due[0], "refused", NOW)
    case.activated = True
    case.correct_email(NOW)
    assert case.stage is Stage.AWAITING_ACTIVATION
    assert case.due(NOW) is Due.CONFIRMATION
    case.stage = Stage.ENROLLING
    assert waiting_on(case, NOW) == who_must_act(case, NOW) == []


def test_a_mail_in_doubt_waits_for_a_person_or_for_its_own_proof() -> None:
    case = enrolled_case()
    case.mail_in_doubt(case.mails_due[0], "never answered", NOW)
    assert "reissue_activation" in case.attention["mail:activation"].remedy
    reissued = case.model_copy(deep=True)
    assert reissued.refuse_reissue(NOW) is None
    reissued.reissue(NOW)
    assert reissued.attention == {}
    used = AccountActivated(event_id="p", occurred_at=NOW, registration=1)
    assert case.record_activation(used, NOW) is None
    case.confirm(NOW)
    assert case.attention == {}, "it had arrived"
    case.mail_in_doubt(case.mails_due[0], "never answered", NOW)
    assert "email_corrected" in case.attention["mail:confirmation"].remedy
    case.correct_email(NOW)
    assert [mail.kind for mail in case.mails_due] == [MailKind.CONFIRMATION]
    case.mail_sent(case.mails_due[0], NOW, copies=2)
    assert "perhaps 2 copies" in presentation.details(case, NOW)


def test_other_refused_mails_are_sent_again_once_there_is_an_address() -> None:
    case = new_case()
    case.record_assessment(scored("50"), NOW)
    case.mail_waits(case.mails_due[0])
    assert case.attention == {}, "nobody's fault: no roster has named the person yet"
    case.record_roster(roster(), NOW)
    assert [mail.kind for mail in case.mails_due] == [MailKind.ASSESSMENT_FAILED]
    agency = Mail(number=9, kind=MailKind.SUSPENDED_AGENCY)
    case.mail_refused(agency, "refused", NOW)
    assert "agencies correct-contact" in case.attention["mail:suspended_agency"].remedy
    case.mail_dropped(case.mails_due[0])
    assert case.mails_due == []


def test_a_portal_that_refuses_parks_the_step_until_staff_act() -> None:
    case = ready_case()
    case.enrolling(NOW)
    case.failed(Due.ENROLLMENT, "locked by hand", NOW)
    assert case.due(NOW) is Due.NOTHING
    assert "reissue_activation" in who_must_act(case, NOW)[0]
    assert case.refuse_reissue(NOW) is None
    case.reissue(NOW)
    enroll(case, NOW)
    assert case.attention == {}
    case.suspend(ORDER, NOW)
    case.failed(Due.SUSPENSION, "locked", NOW)
    case.failed(Due.SUSPENSION, "locked", NOW + timedelta(hours=1))
    assert case.attention["portal:suspension"].since == NOW
    assert case.refuse_suspend(NOW) is None
    case.parked = Due.REINSTATEMENT
    assert case.refuse_reinstate(NOW) is None


def test_what_takes_too_long_is_marked_and_clears_itself() -> None:
    case = ready_case()
    case.late("Mail: activation", NOW)
    assert "late:Mail: activation" in case.attention
    case.no_longer_late("Mail: activation")
    assert case.attention == {}


def test_missing_requirements_are_reminded_of_unless_the_agency_said_no() -> None:
    case = new_case()
    day = NOW + timedelta(days=14)
    assert case.next_deadline(NOW) == day
    assert case.due(day) is Due.REQUIREMENT_REMINDER
    case.remind_of_requirements(day)
    assert [(e.kind, e.facts["missing"]) for e in case.mails_due] == [
        (MailKind.REQUIREMENT_REMINDER, "training,assessment"),
        (MailKind.REQUIREMENT_REMINDER_AGENCY, "approval,certification"),
    ]
    send_all(case)
    case.record_roster(roster(approved=False), day)
    case.record_training(trained(), day)
    case.record_assessment(scored(), day)
    case.remind_of_requirements(NOW + timedelta(days=30))
    assert case.mails_due == []
    assert case.due(NOW + timedelta(days=31)) is Due.NOTHING


def test_closing_by_staff_ends_everything_and_is_final() -> None:
    case = new_case()
    case.close(Outcome.CLOSED_BY_STAFF, NOW)
    assert case.due(NOW) is Due.CLOSING
    assert "closed" in (case.refuse_close(NOW) or "")
    case.closing()
    case.closed(NOW)
    assert case.outcome is Outcome.CLOSED_BY_STAFF
    assert case.mails_due == [], "no roster named anybody who could be told"
    for refuse in (case.refuse_suspend, case.refuse_correction, case.refuse_close):
        assert "closed" in (refuse(NOW) or "")
    known = ready_case()
    known.close(Outcome.CLOSED_BY_STAFF, NOW)
    known.closing()
    known.closed(NOW)
    assert [mail.kind for mail in known.mails_due] == [
        MailKind.CASE_CLOSED,
        MailKind.CASE_CLOSED_AGENCY,
    ]


def test_a_case_opened_again_knows_what_was_met() -> None:
    earlier = ready_case()
    earlier.record_certification(certified(1, through=date(2027, 1, 1)), NOW)
    earlier.certification_dated(NOW + timedelta(days=300), [])
    case = Case(training_id="ABC1234", opened_at=NOW)
    case.record_roster(roster(9), NOW)
    case.record_certification(certified(9), NOW)
    case.record_training(trained("again"), NOW)
    case.record_assessment(scored(name="again"), NOW)
    void = ResultVoided(event_id="v", occurred_at=NOW, voids="pass")
    case.record_void(void, NOW)
    assert case.record_void(void, NOW) is not None
    case.planned([], Earlier(evidence=earlier.evidence, fence=5), NOW)
    assert case.fence == 5
    assert case.missing(NOW) == []
    assert len(case.evidence.trainings) == 2
    assert case.evidence.certification == certified(9)
    nothing = Case(training_id="ABC1234", opened_at=NOW)
    nothing.planned([], Earlier(evidence=earlier.evidence, fence=1), NOW)
    assert nothing.evidence.certified_until is not None


def test_what_an_event_did_not_change_stays_visible() -> None:
    case = new_case()
    case.ignored("signal nonsense", "no such signal", NOW)
    assert "nonsense" in case.happenings[-1].what


def test_agencies_beyond_number_are_forgotten_but_not_the_one_that_speaks() -> None:
    case = new_case()
    case.record_roster(roster(agency="SPEAKS"), NOW)
    for number in range(60):
        case.record_roster(roster(number % 9, agency=f"NO{number}", approved=False), NOW)
    assert len(case.evidence.rows) == AGENCIES_KEPT
    assert case.evidence.approval is not None
    assert case.evidence.approval.agency_id == "SPEAKS"


def test_who_must_act_at_every_stage() -> None:
    assert "the assister: training, assessment" in who_must_act(new_case(), NOW)
    assert who_must_act(enrolled_case(), NOW) == ["the assister: activate the account"]
    assert who_must_act(active_case(), NOW) == []
    assert waiting_on(active_case(), NOW) == []
    assert new_case().bar(NOW) == "approval is missing"


def test_every_mail_has_a_recipient() -> None:
    assert MailKind.ACTIVATION.recipient is Recipient.ASSISTER
    assert MailKind.ROSTER_SUMMARY.recipient is Recipient.AGENCY
    assert MailKind.ATTENTION_DIGEST.recipient is Recipient.ARC
    assert MailKind.CASE_CLOSED_AGENCY.recipient is Recipient.AGENCY


LATE = st.just(0) | st.integers(1, 30)
"""Days between an event and its arrival."""


class AnySequence(RuleBasedStateMachine):
    """Plays random events, acts and times, and does what is due as the workflow does."""

    def __init__(self) -> None:
        super().__init__()
        self.now = NOW
        self.account = "none"
        self.valid: set[int] = set()
        self.registrations = 0
        self.used = self.held = False
        self.sequence = self.ended = 0
        self.events: list[tuple[str, Fact]] = []
        self.untold: list[RosterRecorded] = []
        self.earlier = Earlier()
        self.open()

    def open(self) -> None:
        """Opens a new case, which has sent no mail."""
        self.case = Case(training_id="ABC1234", opened_at=self.now)
        self.keys: set[int] = set()
        self.sent: Counter[tuple[MailKind, int]] = Counter()
        self.resent: Counter[int] = Counter()
        self.expiries = self.suspensions = self.reinstatements = 0

    @initialize(start=st.sampled_from(["new", "enrolled", "active", "ended"]))
    def begins(self, start: str) -> None:
        if start == "new":
            return
        self.a_roster(agency="A", approved=True, employed=True, mailbox=1, held=False)
        self.a_certification(yes=True, days=None, late=0)
        self.a_training(late=0)
        self.a_score(percent=80, late=0)
        self.the_workflow_works()
        if start == "enrolled":
            return
        self.the_assister_activates()
        self.the_workflow_works()
        if start == "ended":
            self.staff_act("suspend")
            self.the_workflow_works()
            self.the_case_is_cancelled()
            self.the_workflow_works()

    def record(self, how: str, kind: type[Fact], days_ago: int = 0, **values: object) -> None:
        """Tells the case of an event, perhaps late; a later step may repeat it."""
        occurred_at = self.now - timedelta(days=days_ago)
        fact = kind(event_id=f"e{len(self.events) + 1}", occurred_at=occurred_at, **values)
        self.tell(how, fact)

    def tell(self, how: str, fact: Fact) -> None:
        self.events.append((how, fact))
        secured, mailbox = self.case.reference_number, self.case.evidence.mailbox
        known = self.case.evidence.known
        getattr(self.case, how)(fact, self.now)
        assert not known or self.case.evidence.known == known, "staff alone let another one speak"
        if secured and mailbox:
            assert self.case.evidence.mailbox == mailbox, "no event changes where numbers go"

    @precondition(lambda self: bool(self.events))
    @rule(data=st.data())
    def the_same_again(self, data: st.DataObject) -> None:
        how, fact = data.draw(st.sampled_from(self.events))
        again = getattr(self.case, how)(fact, self.now)
        before = self.case.model_copy(deep=True)
        assert getattr(self.case, how)(fact, self.now) is not None, (how, again)
        unread = {"happenings"}
        assert self.case.model_dump(exclude=unread) == before.model_dump(exclude=unread)

    @rule(
        agency=st.sampled_from("AB"),
        approved=st.sampled_from([True, True, False]),
        employed=st.sampled_from([True, True, False]),
        mailbox=st.sampled_from([1, 1, 2]),
        held=st.booleans(),
    )
    def a_roster(
        self, agency: str, approved: bool, employed: bool, mailbox: int, held: bool
    ) -> None:
        self.sequence += 1
        row = RosterRecorded(
            event_id=f"r{self.sequence}",
            occurred_at=self.now,
            agency_id=agency,
            assister_type=AssisterType.CAC,
            approved=approved,
            employed=employed,
            sequence=self.sequence,
            mailbox=mailbox,
        )
        if held:
            self.untold.append(row)
        else:
            self.tell("record_roster", row)

    @precondition(lambda self: bool(self.untold))
    @rule()
    def a_roster_is_told_late(self) -> None:
        self.tell("record_roster", self.untold.pop())

    @precondition(lambda self: bool(self.case.evidence.claims))
    @rule(act=st.sampled_from(["confirm_change", "decline_change"]))
    def staff_decide_who_speaks(self, act: str) -> None:
        agency = self.case.evidence.claims[0].agency_id
        if self.case.refuse_change(agency, self.now) is None:
            assert getattr(self.case, act)(agency, self.now)

    @rule(yes=st.sampled_from([True, True, False]), days=st.none() | st.integers(1, 400), late=LATE)
    def a_certification(self, yes: bool, days: int | None, late: int) -> None:
        through = None if days is None else (self.now + timedelta(days=days)).date()
        state = {"certified": yes, "valid_through": through}
        self.record("record_certification", CertificationRecorded, late, **state)

    @rule(late=LATE)
    def a_training(self, late: int) -> None:
        self.record("record_training", TrainingCompleted, late)

    @rule(percent=st.integers(50, 100), late=LATE)
    def a_score(self, percent: int, late: int) -> None:
        self.record("record_assessment", AssessmentScored, late, score=Decimal(percent))

    @rule(event=st.integers(1, 20))
    def a_void(self, event: int) -> None:
        self.record("record_void", ResultVoided, voids=f"e{event}")

    @rule(days=st.integers(0, 40))
    def time_passes(self, days: int) -> None:
        self.now += timedelta(days=days, hours=1)

    @precondition(lambda self: bool(self.valid))
    @rule()
    def the_assister_activates(self) -> None:
        self.account, self.used = "active", True
        self.record("record_activation", AccountActivated, registration=self.valid.pop())

    @rule(act=st.sampled_from(["resend", "reissue", "suspend", "reinstate", "correction"]))
    def staff_act(self, act: str) -> None:
        refusal = getattr(self.case, f"refuse_{act}")(self.now)
        if refusal is None:
            do: Any = self.case.correct_email if act == "correction" else getattr(self.case, act)
            assert do(ORDER, self.now) if act == "suspend" else do(self.now)
            self.held = act == "suspend" or (self.held and act != "reinstate")
            if act == "resend":
                self.resent[self.case.mails_due[-1].registration] += 1
        else:
            assert refusal.endswith((".", "none")), refusal

    @rule(fate=st.sampled_from(["mail_sent", "mail_refused", "mail_in_doubt"]))
    def a_mail_goes_out(self, fate: str) -> None:
        for mail in self.case.mails_due[:1]:
            assert mail.number not in self.keys, "two mails for one reason"
            self.keys.add(mail.number)
            if fate != "mail_sent":
                getattr(self.case, fate)(mail, "refused", self.now)
            else:
                self.case.mail_sent(mail, self.now)
                self.sent[mail.kind, mail.registration] += 1

    @rule(code=st.sampled_from([Due.ENROLLMENT, Due.SUSPENSION, Due.REINSTATEMENT]))
    def the_portal_refuses(self, code: Due) -> None:
        if self.case.due(self.now) is code:
            match code:
                case Due.ENROLLMENT:
                    self.case.enrolling(self.now)
                case Due.SUSPENSION:
                    self.case.suspending()
                case Due.REINSTATEMENT if self.case.activated:
                    self.case.reinstating()
            self.case.failed(code, "the portal says no", self.now)

    @precondition(lambda self: self.case.opened)
    @rule()
    def the_case_is_cancelled(self) -> None:
        if self.case.refuse_close(self.now) is None:
            self.case.close(Outcome.CANCELLED, self.now)

    @rule()
    def the_workflow_works(self) -> None:
        for _ in range(50):
            due = self.case.due(self.now)
            if due is Due.NOTHING or not self.events:
                return
            self.do(due)
            if due is Due.CLOSING:
                return
        raise AssertionError("the case does not come to rest")

    def do(self, due: Due) -> None:
        case, now = self.case, self.now
        match due:
            case Due.OPENING:
                case.planned([now + timedelta(days=14)], self.earlier, now)
                self.used = self.used and self.earlier.reference_number is not None
            case Due.CERTIFICATION_DATES:
                certification = case.evidence.certification
                assert certification is not None
                assert certification.valid_through is not None
                day = certification.valid_through + timedelta(days=1)
                ends = datetime(day.year, day.month, day.day, 6, tzinfo=UTC)
                case.certification_dated(ends, [e for e in [ends - timedelta(days=30)] if e > now])
            case Due.REQUIREMENT_REMINDER:
                case.remind_of_requirements(now)
            case Due.ENROLLMENT:
                assert case.missing(now) == [], "an account without all four requirements"
                case.enrolling(now)
                if self.used:
                    self.account = "active"
                    case.succeeded(due)
                    case.found_active("1234567", now)
                    return
                self.registrations += 1
                self.valid = {self.registrations}
                self.account = "active" if self.account == "active" else "pending"
                case.succeeded(due)
                enroll_result = Activation(
                    registration=self.registrations,
                    issued_at=now,
                    reminders_at=(now + timedelta(days=2), now + timedelta(days=5)),
                    expires_at=now + timedelta(days=7),
                    reissuable_until=now + timedelta(days=37),
                )
                case.issued("1234567", enroll_result, now)
            case Due.ACTIVATION_REMINDER:
                case.remind_of_activation(now)
            case Due.EXPIRY:
                case.expiring()
                if self.account == "active":
                    case.activated = True
                else:
                    self.valid = set()
                    self.expiries += 1
                    case.expired(now)
            case Due.CONFIRMATION:
                case.confirm(now)
            case Due.CERTIFICATION_WARNING:
                case.warn_of_certification(now)
            case Due.SUSPENSION:
                case.suspending()
                self.valid = set()
                case.activated = case.activated or self.account == "active"
                self.account = "suspended"
                self.suspensions += not case.reinstatement_under_way
                case.suspended(now)
            case Due.REINSTATEMENT:
                if case.activated:
                    case.reinstating()
                    self.account = "active"
                    self.reinstatements += 1
                case.reinstated(now)
            case Due.CLOSING:
                fence = case.closing()
                self.valid = set()
                if not case.only_keeps:
                    case.evidence.end(self.sequence)
                    self.ended = self.sequence
                    self.account = "suspended"
                case.closed(now)
                self.earlier = Earlier(
                    outcome=case.outcome,
                    evidence=case.evidence,
                    hold=case.hold,
                    reference_number=case.reference_number,
                    fence=fence,
                )
                self.open()

    @invariant()
    def at_most_one_number_is_valid(self) -> None:
        assert len(self.valid) <= 1

    @invariant()
    def no_two_mails_for_one_reason(self) -> None:
        reasons = {
            MailKind.ACTIVATION_EXPIRED: self.expiries,
            MailKind.SUSPENDED: self.suspensions,
            MailKind.REINSTATED: self.reinstatements,
            MailKind.CONFIRMATION: 1,
        }
        for (kind, registration), count in self.sent.items():
            match kind:
                case MailKind.ACTIVATION:
                    assert count <= 1 + self.resent[registration]
                case MailKind.ACTIVATION_REMINDER:
                    assert count <= len(self.case.terms.activation_reminder_days)
            assert count <= reasons.get(kind, count), kind

    @invariant()
    def nothing_is_open_while_suspended(self) -> None:
        if self.case.stage is Stage.SUSPENDED and self.case.due(self.now) is Due.NOTHING:
            assert self.account == "suspended"
            assert not self.valid

    @invariant()
    def only_who_is_known_speaks(self) -> None:
        evidence = self.case.evidence
        approval = evidence.approval
        assert approval is None or approval.agency_id in evidence.known
        if self.case.opened and not self.case.only_keeps and self.account == "active":
            granting = [
                row
                for row in evidence.rows.values()
                if row.approved and row.employed and row.sequence > self.ended
            ]
            suspends = self.case.due(self.now) in (Due.SUSPENSION, Due.CLOSING)
            assert granting or suspends or self.case.parked, "access without a newer approval"
            assert not self.held or suspends or self.case.parked, "access while staff hold it"

    @invariant()
    def there_is_a_way_forward(self) -> None:
        case, now = self.case, self.now
        if case.due(now) is not Due.NOTHING or not case.opened:
            return
        assert who_must_act(case, now) or case.stage is Stage.ACTIVE, case.stage

    @invariant()
    def every_view_tells_the_same_story(self) -> None:
        case, now = self.case, self.now
        shown = presentation.status(case, now)
        page = presentation.details(case, now)
        found = {name: each.value for name, each in search_attributes.of(case, now).items()}
        assert found["AssisterStage"] == shown.stage
        assert page.startswith(f"## {shown.stage.replace('_', ' ').capitalize()}")
        assert found["WaitingOn"] == shown.waiting_on
        assert bool(found["NeedsAttention"]) == bool(shown.attention)
        assert all(mark.remedy in page for mark in shown.attention)
        assert found["NextDeadline"] == shown.next_deadline
        assert found.get("AgencyId") == shown.agency_id
        assert found["CertifiedThrough"] == shown.certified_until
        if case.stage is not Stage.CLOSED:
            assert all(line in page for line in shown.who_must_act)
        assert all(name in page for name in shown.allowed)


AnySequence.TestCase.settings = settings(max_examples=60, stateful_step_count=40)
TestAnySequence = AnySequence.TestCase
