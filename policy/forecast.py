"""The forecast: plays a case's procedure on a copy, as far as it goes at this moment."""

from collections.abc import Container, Sequence
from datetime import date, datetime

from pydantic import BaseModel

from policy import calendar
from policy.case import Activation, Case, Due, Earlier, Stage
from policy.requirements import RosterRecorded


class CaseForecast(BaseModel):
    """What a roster row would lead to now.

    Attributes:
        opens: No case is open; the row would open one.
        mails: The kinds of the mails that would go out today, in order.
        next_deadline: When the next thing would fall due if no event arrives.
    """

    training_id: str
    opens: bool
    stage: str | None
    becomes: str
    mails: list[str]
    next_deadline: datetime | None

    @property
    def changes(self) -> bool:
        """Whether the row would open or change a case, or send a mail."""
        return self.opens or self.stage != self.becomes or bool(self.mails)


def known_agencies(case: Case | None, earlier: Earlier) -> Sequence[str]:
    """The agencies that an assister's case knows; of one that is not open, what is kept of it."""
    known = case.evidence.known if case is not None else []
    if case is None or not case.opened:
        known = earlier.evidence.known or known
    return known


def foresee(
    case: Case, row: RosterRecorded, earlier: Earlier, now: datetime, holidays: Container[date]
) -> CaseForecast:
    """Plays an accepted roster row on a copy of a case.

    Args:
        case: As it stands; a case that is not opened yet if none is open.
        earlier: What is known of the assister besides an open case.
    """
    played = case.model_copy(deep=True)
    played.record_roster(row, now)
    while (due := played.due(now)) is not Due.NOTHING:
        carry_out(played, due, earlier, now, holidays)
    known = {each.number for each in case.mails_due}
    stage = case.stage if case.opened else Stage.CLOSED if played.only_keeps else None
    return CaseForecast(
        training_id=case.training_id,
        opens=stage is None,
        stage=stage,
        becomes=played.stage,
        mails=[each.kind for each in played.mails_due if each.number not in known],
        next_deadline=played.next_deadline(now),
    )


def carry_out(
    case: Case, due: Due, earlier: Earlier, now: datetime, holidays: Container[date]
) -> None:
    """Does what the workflow does for ``due``, with a portal that always says yes."""
    match due:
        case Due.OPENING:
            days = case.terms.requirement_reminder_days
            case.planned(calendar.reminders(case.opened_at, days, holidays), earlier, now)
        case Due.CERTIFICATION_DATES:
            certification = case.evidence.certification
            assert certification is not None
            assert certification.valid_through is not None
            through = certification.valid_through
            warnings = calendar.certification_warnings(through, now, case.terms, holidays)
            case.certification_dated(calendar.end_of(through), warnings)
        case Due.REQUIREMENT_REMINDER:
            case.remind_of_requirements(now)
        case Due.ENROLLMENT:
            case.enrolling(now)
            times = calendar.activation_times(now, case.terms, holidays)
            activation = Activation(registration=0, issued_at=now, **times._asdict())
            case.issued(case.reference_number or "", activation, now)
        case Due.ACTIVATION_REMINDER:
            case.remind_of_activation(now)
        case Due.EXPIRY:
            case.expired(now)
        case Due.CONFIRMATION:
            case.confirm(now)
        case Due.CERTIFICATION_WARNING:
            case.warn_of_certification(now)
        case Due.SUSPENSION:
            case.suspended(now)
        case Due.REINSTATEMENT:
            case.reinstated(now)
        case Due.CLOSING:
            case.closing()
            case.closed(now)
