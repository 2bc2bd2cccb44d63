"""A committed fingerprint of the policy's decisions in many random lives of a case.

All of ``policy/`` runs inside workflows. A changed decision changes what a running case does, even
if every committed history still replays. ``./run behaviour`` writes the fingerprint;
``./run behaviour 7`` prints the life of that number, to compare it before and after a change.
"""

import hashlib
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from random import Random

from policy.case import Case, Due, Earlier, Order, Outcome, Stage, waiting_on, who_must_act
from policy.forecast import carry_out
from policy.requirements import (
    AccountActivated,
    AssessmentScored,
    AssisterType,
    CertificationRecorded,
    ResultVoided,
    RosterRecorded,
    TrainingCompleted,
)
from workflows.presentation import UPDATES

FINGERPRINT = Path(__file__).resolve().parent.parent / "policy/behaviour.txt"
BEGUN = datetime(2026, 3, 2, 15, tzinfo=UTC)
LIVES, STEPS = 500, 50
LIKELY = ("roster", "certification", "training", "assessment", "time", "activation", "mail")
SELDOM = ("void", "staff", "staff", "staff", "deadline", "change", "refusal", "close", "late")
COURSES = ("assister-portal",) * 4 + ("another",)


def lives() -> list[str]:
    """The digest of each life."""
    return [
        f"{number} {hashlib.sha256(chr(10).join(life(number)).encode()).hexdigest()[:16]}"
        for number in range(LIVES)
    ]


def life(number: int) -> Iterator[str]:
    """The events of a case and of the cases that follow it, with the decisions after each event."""
    chance = Random(number)
    now, sequence, earlier = BEGUN, 0, Earlier()
    case = Case(training_id="ABC1234", opened_at=now)
    for step in range(STEPS):
        now += timedelta(minutes=chance.randrange(120))
        event = chance.choice(LIKELY * 3 + SELDOM)
        if event == "time":
            now += timedelta(days=chance.choice((1, 3, 8, 15, 40)))
        if event == "deadline":
            now = case.next_deadline(now) or now
        if event == "roster":
            sequence += 1
        answer = _happens(case, event, step, now, sequence, chance)
        dues = list(_works(case, earlier, now))
        yield f"{step} {event}: {answer} -> {' '.join(dues)} | {_shown(case, now)}"
        if case.stage is Stage.CLOSED:
            if not case.only_keeps:
                case.evidence.end(sequence)
            earlier = Earlier(
                outcome=case.outcome,
                evidence=case.evidence,
                hold=case.hold,
                reference_number=case.reference_number,
                fence=case.fence,
            )
            case = Case(training_id="ABC1234", opened_at=now)


def _works(case: Case, earlier: Earlier, now: datetime) -> Iterator[str]:
    for _ in range(30):
        due = case.due(now)
        if due is Due.NOTHING:
            return
        yield due
        carry_out(case, due, earlier, now, ())
        case.succeeded(due)


def _happens(
    case: Case, event: str, step: int, now: datetime, sequence: int, chance: Random
) -> str | None:
    at = {"event_id": f"e{step}", "occurred_at": now - timedelta(hours=chance.randrange(50))}
    match event:
        case "roster" | "late":
            row = RosterRecorded(
                event_id=f"r{sequence}-{step}",
                occurred_at=now,
                agency_id=chance.choice("AAAB"),
                assister_type=chance.choice(list(AssisterType)),
                approved=chance.random() < 0.8,
                employed=chance.random() < 0.9,
                sequence=max(sequence - (event == "late"), 0),
                mailbox=chance.choice((1, 1, 1, 2)),
            )
            return case.record_roster(row, now)
        case "certification":
            days = chance.choice((None, 5, 90, 400))
            through = None if days is None else (now + timedelta(days=days)).date()
            record = CertificationRecorded(
                **at, certified=chance.random() < 0.85, valid_through=through
            )
            return case.record_certification(record, now)
        case "training":
            training = TrainingCompleted(**at, course=chance.choice(COURSES))
            return case.record_training(training, now)
        case "assessment":
            score = Decimal(chance.choice(("69.95", "70", "88.5", "100", "12")))
            scored = AssessmentScored(**at, score=score, course=chance.choice(COURSES))
            return case.record_assessment(scored, now)
        case "void":
            void = ResultVoided(**at, voids=f"e{chance.randrange(step + 1)}")
            return case.record_void(void, now)
        case "activation":
            registration = case.activation.registration if case.activation else 0
            used = AccountActivated(**at, registration=max(registration, 1))
            return case.record_activation(used, now)
        case "mail":
            fate = chance.choice(("mail_sent",) * 4 + ("mail_refused", "mail_in_doubt"))
            for mail in case.mails_due[:2]:
                problem = () if fate == "mail_sent" else ("refused",)
                getattr(case, fate)(mail, *problem, now)
            return fate
        case "staff":
            return _orders(case, chance.choice(list(UPDATES)), now)
        case "change":
            claims = case.evidence.claims
            if not claims or case.refuse_changes(now):
                return case.refuse_change("A", now)
            decide = case.confirm_change if chance.random() < 0.5 else case.decline_change
            return decide(claims[0].agency_id, now)
        case "refusal":
            due = chance.choice((Due.ENROLLMENT, Due.SUSPENSION, Due.REINSTATEMENT, Due.CLOSING))
            if case.opened and case.ending is None:
                case.failed(due, "the portal says no", now)
        case "close":
            if case.refuse_close(now) is None:
                return case.close(Outcome.CLOSED_BY_STAFF, now)
    return None


def _orders(case: Case, update: str, now: datetime) -> str:
    refusal = UPDATES[update](case, now)
    if refusal is not None:
        return refusal
    match update:
        case "resend_activation":
            return case.resend(now)
        case "reissue_activation":
            return case.reissue(now)
        case "email_corrected":
            return case.correct_email(now)
        case "suspend_access":
            return case.suspend(Order(by="staff-1", reason="a test"), now)
        case "reinstate_access":
            return case.reinstate(now)
    return update


def _shown(case: Case, now: datetime) -> str:
    mails = [f"{mail.kind}{sorted(mail.facts.items())}{mail.to}" for mail in case.mails_due]
    return "; ".join(
        map(
            str,
            (
                case.stage.value, case.speaker, case.fence, case.next_deadline(now), mails,
                [mail.kind.value for mail in case.mails_undeliverable],
                sorted(case.attention.items()),
                waiting_on(case, now), who_must_act(case, now), case.bar(now),
                case.evidence.claims, case.evidence.known, case.happenings[-1:],
                [name for name, refuse in UPDATES.items() if refuse(case, now) is None],
            ),
        )
    )  # fmt: skip


if __name__ == "__main__":
    if sys.argv[1:]:
        sys.stdout.write("\n".join(life(int(sys.argv[1]))) + "\n")
    else:
        FINGERPRINT.write_text("\n".join(lives()) + "\n")
