"""Cases without a server, and facts to tell them."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from policy.case import (
    Activation,
    Case,
    Due,
    Earlier,
    Order,
)
from policy.mails import MailKind
from policy.requirements import (
    AccountActivated,
    AssessmentScored,
    AssisterType,
    CertificationRecorded,
    RosterRecorded,
    TrainingCompleted,
)

NOW = datetime(2026, 3, 2, 15, tzinfo=UTC)
ORDER = Order(by="staff-1", reason="a test")


def roster(
    hours: float = 0,
    *,
    agency: str = "A",
    approved: bool = True,
    employed: bool = True,
    sequence: int = 0,
    mailbox: int = 0,
) -> RosterRecorded:
    return RosterRecorded(
        event_id=f"roster-{agency}-{hours}",
        occurred_at=NOW + timedelta(hours=hours),
        agency_id=agency,
        assister_type=AssisterType.NAVIGATOR,
        approved=approved,
        employed=employed,
        sequence=sequence,
        mailbox=mailbox,
    )


def certified(
    hours: float = 0, *, yes: bool = True, through: date | None = None
) -> CertificationRecorded:
    return CertificationRecorded(
        event_id=f"certification-{hours}-{yes}-{through}",
        occurred_at=NOW + timedelta(hours=hours),
        certified=yes,
        valid_through=through,
    )


def trained(name: str = "training", course: str = "assister-portal") -> TrainingCompleted:
    return TrainingCompleted(event_id=name, occurred_at=NOW, course=course)


def scored(
    percent: str = "70", name: str = "pass", course: str = "assister-portal"
) -> AssessmentScored:
    return AssessmentScored(event_id=name, occurred_at=NOW, score=Decimal(percent), course=course)


def new_case() -> Case:
    case = Case(training_id="ABC1234", opened_at=NOW)
    assert case.due(NOW) is Due.OPENING
    case.planned([NOW + timedelta(days=14), NOW + timedelta(days=30)], Earlier(), NOW)
    return case


def ready_case() -> Case:
    case = new_case()
    case.record_roster(roster(), NOW)
    case.record_certification(certified(), NOW)
    case.record_training(trained(), NOW)
    case.record_assessment(scored(), NOW)
    return case


def enrolled_case(now: datetime = NOW, registration: int = 1) -> Case:
    case = ready_case()
    enroll(case, now, registration)
    return case


def enroll(case: Case, now: datetime, registration: int = 1) -> None:
    assert case.due(now) is Due.ENROLLMENT
    case.enrolling(now)
    activation = Activation(
        registration=registration,
        issued_at=now,
        reminders_at=(now + timedelta(days=2), now + timedelta(days=5)),
        expires_at=now + timedelta(days=7),
        reissuable_until=now + timedelta(days=37),
    )
    case.issued("1234567", activation, now)
    case.succeeded(Due.ENROLLMENT)


def send_all(case: Case, now: datetime = NOW) -> list[MailKind]:
    sent = [mail.kind for mail in case.mails_due]
    for mail in list(case.mails_due):
        case.mail_sent(mail, now)
    return sent


def active_case() -> Case:
    case = enrolled_case()
    send_all(case)
    case.record_activation(AccountActivated(event_id="p", occurred_at=NOW, registration=1), NOW)
    assert case.due(NOW) is Due.CONFIRMATION
    case.confirm(NOW)
    send_all(case)
    return case
