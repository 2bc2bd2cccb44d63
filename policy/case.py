"""One assister's case: what is known, what is due next, and what each act leads to.

This is the policy's procedure as a pure state machine. :meth:`Case.due` names the one thing that
must happen now; the workflow does it and tells the case the result. Nothing in here waits, reads a
clock or touches the world, so every path can be tested without a server.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from policy.mails import MailKind
from policy.requirements import (
    RESPONSIBLE,
    AccountActivated,
    AssessmentScored,
    CertificationRecorded,
    Evidence,
    Requirement,
    ResultVoided,
    RosterRecorded,
    TrainingCompleted,
    TrainingId,
)
from policy.terms import Terms

HAPPENINGS_KEPT = 5
MAILS_KEPT = 30
RESEND_PERIOD = timedelta(days=1)


class Stage(StrEnum):
    """Where a case stands."""

    COLLECTING_REQUIREMENTS = "collecting_requirements"
    ENROLLING = "enrolling"
    AWAITING_ACTIVATION = "awaiting_activation"
    ACTIVATION_EXPIRED = "activation_expired"
    ACTIVE = "active"
    SUSPENDED = "suspended"
    CLOSED = "closed"


class Outcome(StrEnum):
    """How a case ended."""

    ACTIVATION_EXPIRED = "activation_expired"
    CLOSED_BY_STAFF = "closed_by_staff"
    CANCELLED = "cancelled"


class Due(StrEnum):
    """What must happen now."""

    OPENING = "opening"
    CERTIFICATION_DATES = "certification_dates"
    REQUIREMENT_REMINDER = "requirement_reminder"
    ENROLLMENT = "enrollment"
    ACTIVATION_REMINDER = "activation_reminder"
    EXPIRY = "expiry"
    CONFIRMATION = "confirmation"
    CERTIFICATION_WARNING = "certification_warning"
    SUSPENSION = "suspension"
    REINSTATEMENT = "reinstatement"
    CLOSING = "closing"
    NOTHING = "nothing"


class Activation(BaseModel):
    """One registration number's life; every time is absolute.

    Attributes:
        registration: Which of the account's registration numbers, counted by the portal from 1.
        expires_at: The first moment at which the number no longer works.
        reissuable_until: When an expired activation can no longer be issued anew.
    """

    model_config = ConfigDict(frozen=True)

    registration: int
    issued_at: datetime
    reminders_at: tuple[datetime, ...] = ()
    expires_at: datetime
    reissuable_until: datetime


class Order(BaseModel):
    """A member of staff's decision: who, by staff id, and why."""

    model_config = ConfigDict(frozen=True)

    by: str
    reason: str


class Mail(BaseModel):
    """A mail that is due.

    Attributes:
        number: Counts the case's mails, so that each has a key of its own.
        registration: The registration number it carries or speaks of, 0 where none.
        facts: What it says beyond the records: no personal data.
        order: The decision of staff that caused it, where one did.
    """

    model_config = ConfigDict(frozen=True)

    number: int
    kind: MailKind
    registration: int = 0
    facts: dict[str, str] = {}
    order: Order | None = None

    @property
    def key(self) -> str:
        """Its name in the outbox: in a case restored to an earlier moment a number comes again."""
        return f"{self.number}.{self.kind}.{self.registration}"


class SentMail(BaseModel):
    """A mail that went out.

    Attributes:
        copies: How many may have arrived: more than one where the relay left it in doubt.
    """

    model_config = ConfigDict(frozen=True)

    kind: MailKind
    sent_at: datetime
    copies: int = 1


class Attention(BaseModel):
    """A mark that a person must act: what is wrong and what to do about it."""

    model_config = ConfigDict(frozen=True)

    since: datetime
    problem: str
    remedy: str


class Happening(BaseModel):
    """Something that happened in the case, for people to read."""

    model_config = ConfigDict(frozen=True)

    at: datetime
    what: str


class Case(BaseModel):
    """The state of one assister's case, from first event to close."""

    training_id: TrainingId
    opened_at: datetime
    terms: Terms = Terms()
    stage: Stage = Stage.COLLECTING_REQUIREMENTS
    stage_since: datetime | None = None
    outcome: Outcome | None = None
    opened: bool = False
    evidence: Evidence = Evidence()

    fence: int = 0
    """Counts the commands given to the portal: it refuses one older than the last it saw."""
    reference_number: str | None = None
    activated: bool = False
    confirmed: bool = False
    activation: Activation | None = None
    resent_at: list[datetime] = []

    requirement_reminders_at: list[datetime] = []
    certification_warnings_at: list[datetime] = []
    hold: Order | None = None
    """Staff's decision that there is no access until they say otherwise."""
    order: Order | None = None
    """The decision of staff behind the step under way, for the audit trail."""
    suspended_for: str | None = None
    reinstatement_under_way: bool = False
    """The portal may have given access back: only another suspension takes it away for sure."""
    ending: Outcome | None = None
    """The outcome with which the case is about to close."""

    attention: dict[str, Attention] = {}
    parked: Due | None = None
    """A step that failed for good and waits for a person."""
    mails: int = 0
    mails_due: list[Mail] = []
    mails_undeliverable: list[Mail] = []
    mails_sent: list[SentMail] = []
    happenings: Annotated[list[Happening], Field(max_length=HAPPENINGS_KEPT)] = []

    # What is due

    def due(self, now: datetime) -> Due:
        """The one thing that must happen at ``now``; suspension beats all that the policy orders.

        Clauses ``before`` and 3: all four requirements are checked at this moment, not remembered.
        """
        due = self._due(now)
        return Due.NOTHING if due is self.parked else due

    def _due(self, now: datetime) -> Due:
        if self.stage is Stage.CLOSED:
            return Due.NOTHING
        if not self.opened:
            return Due.OPENING
        if self.evidence.needs_certified_until:
            return Due.CERTIFICATION_DATES
        if self.ending is not None:
            return Due.CLOSING
        bar = self.bar(now)
        match self.stage:
            case Stage.SUSPENDED:
                if bar is None:
                    return Due.REINSTATEMENT
                return Due.SUSPENSION if self.reinstatement_under_way else Due.NOTHING
            case Stage.COLLECTING_REQUIREMENTS:
                if self.hold is not None:
                    return Due.SUSPENSION
                if bar is None:
                    return Due.ENROLLMENT
                return _when(now, self.requirement_reminders_at, Due.REQUIREMENT_REMINDER)
        if bar is not None:
            return Due.SUSPENSION
        match self.stage:
            case Stage.ENROLLING:
                return Due.ENROLLMENT
            case Stage.ACTIVE:
                return _when(now, self.certification_warnings_at, Due.CERTIFICATION_WARNING)
        if self.activated:
            return Due.CONFIRMATION
        activation = self.activation
        assert activation is not None
        if self.stage is Stage.ACTIVATION_EXPIRED:
            return _when(now, [activation.reissuable_until], Due.CLOSING)
        if now >= activation.expires_at:
            return Due.EXPIRY
        return _when(now, activation.reminders_at, Due.ACTIVATION_REMINDER)

    def next_deadline(self, now: datetime) -> datetime | None:
        """When something will be due though nothing else happens; None where nothing will."""
        deadlines = list(self.certification_warnings_at) if self.stage is Stage.ACTIVE else []
        match self.stage:
            case Stage.COLLECTING_REQUIREMENTS:
                deadlines += self.requirement_reminders_at
            case Stage.AWAITING_ACTIVATION if self.activation is not None:
                deadlines += [*self.activation.reminders_at, self.activation.expires_at]
            case Stage.ACTIVATION_EXPIRED if self.activation is not None:
                deadlines.append(self.activation.reissuable_until)
            case Stage.CLOSED:
                return None
        if self.evidence.certified_until is not None:
            deadlines.append(self.evidence.certified_until)
        return min((each for each in deadlines if each > now), default=None)

    def missing(self, now: datetime) -> list[Requirement]:
        """The requirements not met at ``now`` (clause ``before``)."""
        return self.evidence.missing(now, self.terms)

    def bar(self, now: datetime) -> str | None:
        """Why there may be no access at ``now``, in words for people; None where there may."""
        if self.hold is not None:
            return "suspended by staff"
        missing = self.missing(now)
        if not missing:
            return None
        certification = self.evidence.certification
        approval = self.evidence.approval
        match missing[0]:
            case Requirement.APPROVAL if approval is not None and not approval.employed:
                return "employment is inactive on the agency's roster"
            case Requirement.APPROVAL if approval is not None:
                return "portal access is “No” on the agency's roster"
            case Requirement.CERTIFICATION if certification is not None and certification.certified:
                return "the certification has lapsed"
            case Requirement.CERTIFICATION if certification is not None:
                return "the certification was withdrawn"
            case Requirement.ASSESSMENT if self.evidence.assessments:
                return "no valid passing assessment result is on record"
        return f"{missing[0]} is missing"

    # Events, from systems: each returns why it changes nothing, or None

    def record_roster(self, row: RosterRecorded, now: datetime) -> str | None:
        """Clauses 1 and 1.1: an accepted roster row."""
        ignored = self.evidence.record_roster(row)
        if row.contact_changed or self.mails_undeliverable:
            self.retry_mails(now)
        access = "approved" if row.grants else "not approved"
        return self._taken(ignored, f"Roster of {row.agency_id}: access {access}", now)

    def record_certification(self, event: CertificationRecorded, now: datetime) -> str | None:
        """Clause before.2: the certification's state."""
        ignored = self.evidence.record_certification(event)
        if not ignored:
            self.certification_warnings_at = []
        state = "recorded" if event.certified else "withdrawn"
        return self._taken(ignored, f"Certification {state}", now)

    def record_training(self, event: TrainingCompleted, now: datetime) -> str | None:
        """Clause before.3: a completed course."""
        ignored = self.evidence.record_training(event, self.terms)
        return self._taken(ignored, f"Training completed: {event.course}", now)

    def record_assessment(self, event: AssessmentScored, now: datetime) -> str | None:
        """Clauses before.4 and 2.2: an attempt; one below mastery is told to the assister."""
        ignored = self.evidence.record_assessment(event, self.terms)
        if ignored:
            return ignored
        mastery = self.terms.mastery[event.course]
        if event.score < mastery and Requirement.ASSESSMENT in self.missing(now):
            percents = {"score": f"{event.score:f}", "mastery": f"{mastery:f}"}
            self._send(MailKind.ASSESSMENT_FAILED, percents)
        scored = f"Assessment scored {event.score:f} % (mastery {mastery:f} %)"
        return self._taken(None, scored, now)

    def record_void(self, event: ResultVoided, now: datetime) -> str | None:
        """A result taken back."""
        ignored = self.evidence.record_void(event)
        return self._taken(ignored, f"Result {event.voids} voided", now)

    def record_activation(self, event: AccountActivated, now: datetime) -> str | None:
        """Clause 3.2: the portal says that a registration number was used."""
        if self.activated:
            return "the account is already activated"
        if self.activation is None or event.registration != self.activation.registration:
            return f"registration {event.registration} is not the one that counts"
        self.activated = True
        return self._taken(None, "Account activated by the assister", now)

    # Acts of staff: a refusal in plain English, or None; then the act

    def refuse_resend(self, now: datetime) -> str | None:
        """Why the activation mail cannot be repeated now, and what to do instead."""
        if self.stage is Stage.ACTIVATION_EXPIRED:
            return "The registration number has expired. Use reissue_activation for a new one."
        if self.stage is not Stage.AWAITING_ACTIVATION or self.activation is None:
            return f"There is no activation to resend: {self._standing()}"
        if any(each.kind is MailKind.ACTIVATION for each in self.mails_due):
            return "The activation mail is on its way; nothing to resend yet."
        if any(each.kind is MailKind.ACTIVATION for each in self.mails_undeliverable):
            return "The last activation mail waits: first do what its attention mark asks for."
        recent = [each for each in self.resent_at if each > now - RESEND_PERIOD]
        if len(recent) >= self.terms.resends_a_day:
            return (
                f"Already resent {len(recent)} times in 24 hours, the most allowed. Ask the"
                " assister to look in the spam folder, or use reissue_activation if it is lost."
            )
        return None

    def resend(self, order: Order, now: datetime) -> str:
        """Repeats the activation mail with the same registration number."""
        self.resent_at = [*(e for e in self.resent_at if e > now - RESEND_PERIOD), now]
        self._send_activation(MailKind.ACTIVATION, order)
        self._note(now, "Activation mail resent by staff")
        return "The activation mail is sent again with the same registration number."

    def refuse_reissue(self, now: datetime) -> str | None:
        """Why no new registration number can be issued now, and what to do instead."""
        del now
        if self.parked is Due.ENROLLMENT:
            return None
        if self.stage not in (Stage.AWAITING_ACTIVATION, Stage.ACTIVATION_EXPIRED):
            return f"No activation can be reissued: {self._standing()}"
        if self.activated:
            return "The account is already activated; the confirmation is on its way."
        return None

    def reissue(self, order: Order, now: datetime) -> str:
        """Voids the registration number and issues a new one, with a new clock."""
        self.parked = None
        self.order = order
        self._enter(Stage.ENROLLING, now)
        self._drop_activation_mails()
        self._note(now, "Activation reissued by staff")
        return "A new registration number is issued and mailed; the old one no longer works."

    def refuse_suspend(self, now: datetime) -> str | None:
        """Why staff cannot suspend now."""
        del now
        if self.hold is not None and self.parked is not Due.SUSPENSION:
            return "Staff have suspended this assister already. Use reinstate_access to end it."
        return self._refuse_closed()

    def suspend(self, order: Order, now: datetime) -> str:
        """Staff suspend access, at any stage."""
        self.parked = None
        self.hold = self.order = order
        self._note(now, "Suspended by staff")
        return "Access is suspended: the portal first, then the assister and the agency are told."

    def refuse_reinstate(self, now: datetime) -> str | None:
        """Why staff cannot reinstate now, and what to do instead."""
        if self.parked is Due.REINSTATEMENT:
            return None
        if self.stage is Stage.SUSPENDED and self.hold is None:
            return (
                f"Nothing that staff hold: {self.bar(now)}. Access comes back by itself once all"
                " four requirements are met."
            )
        return f"Access is not suspended: {self._standing()}" if self.hold is None else None

    def reinstate(self, order: Order, now: datetime) -> str:
        """Staff lift their suspension; the four requirements still decide."""
        self.parked = None
        self.order = order
        self.hold = None
        self._note(now, "Suspension lifted by staff")
        bar = self.bar(now)
        if bar is None:
            return "All four requirements are met: access is given back."
        return f"The suspension by staff is lifted, but access stays off: {bar}."

    def refuse_correction(self, now: datetime) -> str | None:
        """Why a corrected address cannot be taken."""
        del now
        return self._refuse_closed()

    def correct_email(self, order: Order, now: datetime) -> str:
        """The certification e-mail in the records was corrected; parked mails go on."""
        self.order = order
        waiting = len(self.mails_undeliverable)
        self.retry_mails(now)
        self._note(now, "E-mail address corrected")
        if not waiting:
            return "The corrected address is used from now on; no mail was waiting for it."
        return f"Mails that were waiting for the corrected address: {waiting}. They go out now."

    def refuse_close(self, now: datetime) -> str | None:
        """Why the case cannot be closed."""
        del now
        return self._refuse_closed()

    def close(self, outcome: Outcome, order: Order | None, now: datetime) -> str:
        """Ends the case: its number is voided, its access ends, people are told."""
        self.parked = None
        self.order = order
        self.ending = outcome
        self._note(now, f"Closing: {outcome}")
        return "The case is closing: access ends first, then the assister and the agency are told."

    # Results of what was due

    def planned(
        self, fence: int, reminders_at: list[datetime], earlier: Evidence, now: datetime
    ) -> None:
        """The case is open: its reminder dates, and what an earlier case had learned."""
        self.opened = True
        self.fence = max(self.fence, fence)
        self.requirement_reminders_at = reminders_at
        self.evidence = self.evidence.with_earlier(earlier, self.terms)
        if earlier != Evidence():
            self._note(now, "Opened again with what an earlier case had recorded")

    def certification_dated(self, ends_at: datetime, warnings_at: list[datetime]) -> None:
        """The certification's end and the warnings before it, worked out by calendar."""
        self.evidence.certified_until = ends_at
        self.certification_warnings_at = warnings_at

    def remind_of_requirements(self, now: datetime) -> None:
        """Tells whoever must act what is missing; an agency that said no is not asked again."""
        self.requirement_reminders_at = [e for e in self.requirement_reminders_at if e > now]
        missing = self.missing(now)
        theirs = [e for e in missing if e in (Requirement.TRAINING, Requirement.ASSESSMENT)]
        agencys = [e for e in missing if e not in theirs]
        if theirs:
            self._send(MailKind.REQUIREMENT_REMINDER, {"missing": ",".join(theirs)})
        if agencys and not self.evidence.denied:
            self._send(MailKind.REQUIREMENT_REMINDER_AGENCY, {"missing": ",".join(agencys)})
        self._note(now, "Reminded of what is missing")

    def enrolling(self, now: datetime) -> int:
        """Enrollment begins (clause 3); returns the fence of its command to the portal."""
        self._enter(Stage.ENROLLING, now)
        return self._fenced()

    def issued(self, reference_number: str, activation: Activation, now: datetime) -> None:
        """The account is made and its number issued: the activation mail is due (clause 3.1a)."""
        self.reference_number = reference_number
        self.activation = activation
        self._enter(Stage.AWAITING_ACTIVATION, now)
        self.resent_at = []
        self._send_activation(MailKind.ACTIVATION)
        self._note(now, f"Enrolled; registration number {activation.registration} issued")

    def found_active(self, reference_number: str, now: datetime) -> None:
        """The account was set up already: no number is issued, and access is confirmed."""
        self.reference_number = reference_number
        self.activated = True
        self.confirm(now)

    def remind_of_activation(self, now: datetime) -> None:
        """The activation is unused: the assister is reminded of when it ends."""
        assert self.activation is not None
        later = tuple(each for each in self.activation.reminders_at if each > now)
        self.activation = self.activation.model_copy(update={"reminders_at": later})
        if not self._activation_mail_waits():
            self._send_activation(MailKind.ACTIVATION_REMINDER)
            self._note(now, "Reminded of the unused activation")

    def expiring(self) -> int:
        """Expiry begins; returns the fence of its command to the portal."""
        return self._fenced()

    def expired(self, now: datetime) -> None:
        """The number no longer works; where its mail never went out a new one is issued."""
        mailed = not any(each.kind is MailKind.ACTIVATION for each in self.mails_due)
        self._drop_activation_mails()
        if not mailed:
            self._enter(Stage.ENROLLING, now)
            self._note(now, "The activation mail could not go out in time: issued anew")
            return
        self._enter(Stage.ACTIVATION_EXPIRED, now)
        assert self.activation is not None
        until = self.activation.reissuable_until.isoformat()
        self._send(MailKind.ACTIVATION_EXPIRED, {"reissuable_until": until})
        self._send(MailKind.ACTIVATION_EXPIRED_AGENCY, {"reissuable_until": until})
        self._note(now, "Activation expired: the registration number no longer works")

    def confirm(self, now: datetime) -> None:
        """The account is active: the ARC confirms it in a mail of its own (clause 3.2)."""
        self._enter(Stage.ACTIVE, now)
        self.confirmed = True
        self.activation = None
        self._drop_activation_mails()
        self._send(MailKind.CONFIRMATION)
        self._note(now, "Account active")

    def warn_of_certification(self, now: datetime) -> None:
        """The certification ends soon: assister and agency are told."""
        self.certification_warnings_at = [e for e in self.certification_warnings_at if e > now]
        certification = self.evidence.certification
        assert certification is not None
        assert certification.valid_through is not None
        ends = certification.valid_through.isoformat()
        self._send(MailKind.CERTIFICATION_ENDING, {"ends": ends})
        self._send(MailKind.CERTIFICATION_ENDING_AGENCY, {"ends": ends})
        self._note(now, "Warned that the certification ends")

    def suspending(self) -> int:
        """Suspension begins; returns the fence of its command to the portal."""
        self._drop_activation_mails()
        return self._fenced()

    def suspended(self, now: datetime) -> None:
        """The portal has suspended: now people are told."""
        reason = self.bar(now) or self.suspended_for or "suspended"
        again = self.reinstatement_under_way
        self.reinstatement_under_way = False
        self._enter(Stage.SUSPENDED, now)
        self.activation = None
        self.suspended_for = reason
        if not again:
            self._send(MailKind.SUSPENDED, {"reason": reason})
            self._send(MailKind.SUSPENDED_AGENCY, {"reason": reason})
        self._note(now, f"Suspended: {reason}")

    def reinstating(self) -> int:
        """Reinstatement begins; returns the fence of its command to the portal."""
        self.reinstatement_under_way = True
        return self._fenced()

    def reinstated(self, now: datetime) -> None:
        """All four requirements hold again: an active account is back, others are enrolled."""
        self.suspended_for = None
        self.reinstatement_under_way = False
        self._drop_mails(lambda mail: mail.kind in (MailKind.SUSPENDED, MailKind.SUSPENDED_AGENCY))
        if not self.activated:
            self._enter(Stage.ENROLLING, now)
            self._note(now, "Requirements met again: enrolling")
            return
        if not self.confirmed:
            self.confirm(now)
            return
        self._enter(Stage.ACTIVE, now)
        self._send(MailKind.REINSTATED)
        self._send(MailKind.REINSTATED_AGENCY)
        self._note(now, "Access reinstated")

    def closing(self) -> int:
        """Closing begins; returns the fence of its command to the portal."""
        self.ending = self.ending or Outcome.ACTIVATION_EXPIRED
        return self._fenced()

    def closed(self, now: datetime) -> None:
        """The case has ended with its outcome."""
        self.outcome = self.ending
        self._enter(Stage.CLOSED, now)
        self.activation = None
        self.attention = {}
        self.mails_undeliverable = []
        self._drop_activation_mails()
        if self.evidence.standings:
            self._send(MailKind.CASE_CLOSED, {"outcome": str(self.outcome)})
            self._send(MailKind.CASE_CLOSED_AGENCY, {"outcome": str(self.outcome)})
        self._note(now, f"Closed: {self.outcome}")

    def failed(self, step: Due, problem: str, now: datetime) -> None:
        """A step failed for good: it is parked until a person acts."""
        self.parked = step
        remedies = {
            Due.SUSPENSION: "clear it in the portal, then use suspend_access again",
            Due.REINSTATEMENT: "clear it in the portal, then use reinstate_access again",
            Due.CLOSING: "clear it in the portal, then use close_case again",
        }
        self._mark(
            f"portal:{step}",
            problem,
            remedies.get(step, "clear it in the portal, then use reissue_activation"),
            now,
        )

    def succeeded(self, step: Due) -> None:
        """A step went through: what a person had to do about it is done."""
        self.attention = {
            code: mark for code, mark in self.attention.items() if code != f"portal:{step}"
        }
        self.parked = None
        self.order = None

    def late(self, what: str, now: datetime) -> None:
        """Something is retried for too long; it goes on by itself once the fault is gone."""
        self._mark(f"late:{what}", f"{what} is being retried", "see the worker's log", now)

    def no_longer_late(self, what: str) -> None:
        """What was retried went through, or is no longer wanted."""
        self.attention = {
            code: mark for code, mark in self.attention.items() if code != f"late:{what}"
        }

    def mail_sent(self, mail: Mail, now: datetime, copies: int = 1) -> None:
        """The relay has taken a mail."""
        self.mail_dropped(mail)
        sent = SentMail(kind=mail.kind, sent_at=now, copies=copies)
        self.mails_sent = [*self.mails_sent, sent][-MAILS_KEPT:]

    def mail_dropped(self, mail: Mail) -> None:
        """A mail is no longer true: what it speaks of was overtaken."""
        self.mails_due = [each for each in self.mails_due if each != mail]

    def mail_waits(self, mail: Mail) -> None:
        """Nobody's address is known yet: the mail waits for a roster."""
        self.mail_dropped(mail)
        self.mails_undeliverable = [*self.mails_undeliverable, mail][-MAILS_KEPT:]

    def mail_refused(self, mail: Mail, problem: str, now: datetime) -> None:
        """A mail was refused for good: it waits until a person has mended the address."""
        self.mail_waits(mail)
        remedy = (
            "correct the contact: starter.py agencies correct-contact"
            if mail.kind.recipient == "agency"
            else "correct the address: starter.py assister correct-email"
        )
        self._mark(f"mail:{mail.kind}", f"{mail.kind} mail: {problem}", remedy, now)

    def mail_in_doubt(self, mail: Mail, problem: str, now: datetime) -> None:
        """Whether a mail arrived cannot be known: a person asks before it is sent once more."""
        self.mail_waits(mail)
        remedy = (
            "ask the assister whether it arrived; if not, use reissue_activation"
            if mail.registration
            else "if it did not arrive, use email_corrected to send it again"
        )
        self._mark(f"mail:{mail.kind}", f"{mail.kind} mail: {problem}", remedy, now)

    def retry_mails(self, now: datetime) -> None:
        """Mails that waited for an address go out; an activation is issued anew with its clock."""
        waiting, self.mails_undeliverable = self.mails_undeliverable, []
        self.attention = {
            code: mark for code, mark in self.attention.items() if not code.startswith("mail:")
        }
        for mail in waiting:
            if mail.kind in (MailKind.ACTIVATION, MailKind.ACTIVATION_REMINDER):
                if self.refuse_reissue(now) is None:
                    self._enter(Stage.ENROLLING, now)
            else:
                self._send(mail.kind, mail.facts, registration=mail.registration)

    def ignored(self, what: str, why: str, now: datetime) -> None:
        """An event changed nothing; it is kept visible."""
        self._note(now, f"Ignored {what}: {why}")

    # Private parts

    def _enter(self, stage: Stage, now: datetime) -> None:
        if stage is not self.stage:
            self.stage, self.stage_since = stage, now

    def _fenced(self) -> int:
        self.fence += 1
        return self.fence

    def _taken(self, ignored: str | None, what: str, now: datetime) -> str | None:
        if ignored is None:
            self._note(now, what)
        return ignored

    def _note(self, now: datetime, what: str) -> None:
        self.happenings = [*self.happenings, Happening(at=now, what=what)][-HAPPENINGS_KEPT:]

    def _mark(self, code: str, problem: str, remedy: str, now: datetime) -> None:
        known = self.attention.get(code)
        since = known.since if known is not None else now
        mark = Attention(since=since, problem=problem, remedy=remedy)
        self.attention = {**self.attention, code: mark}

    def _send(
        self,
        kind: MailKind,
        facts: dict[str, str] | None = None,
        *,
        registration: int = 0,
        order: Order | None = None,
    ) -> None:
        self.mails += 1
        mail = Mail(
            number=self.mails, kind=kind, registration=registration, facts=facts or {}, order=order
        )
        self.mails_due = [*self.mails_due, mail]

    def _send_activation(self, kind: MailKind, order: Order | None = None) -> None:
        assert self.activation is not None
        ends = self.activation.expires_at.isoformat()
        self._send(kind, {"ends": ends}, registration=self.activation.registration, order=order)

    def _activation_mail_waits(self) -> bool:
        kinds = [each.kind for each in (*self.mails_due, *self.mails_undeliverable)]
        return MailKind.ACTIVATION in kinds

    def _drop_activation_mails(self) -> None:
        self._drop_mails(lambda mail: bool(mail.registration))

    def _drop_mails(self, dropped: Callable[[Mail], bool]) -> None:
        self.mails_due = [each for each in self.mails_due if not dropped(each)]
        self.mails_undeliverable = [e for e in self.mails_undeliverable if not dropped(e)]
        kinds = {f"mail:{each.kind}" for each in self.mails_undeliverable}
        self.attention = {
            code: mark
            for code, mark in self.attention.items()
            if not code.startswith("mail:") or code in kinds
        }

    def _refuse_closed(self) -> str | None:
        if self.stage is Stage.CLOSED or self.ending is not None:
            return "The case is closed. A new roster or result opens a new one."
        return None

    def _standing(self) -> str:
        return f"the case is in stage {self.stage}."


def waiting_on(case: Case, now: datetime) -> list[str]:
    """What a case waits for, one word each.

    Requirements, activation, reissue, staff, or a contact to whom its agency's mails can go.
    """
    waiting: list[str] = ["attention"] if case.attention else []
    match case.stage:
        case Stage.COLLECTING_REQUIREMENTS | Stage.SUSPENDED:
            waiting += [str(each) for each in case.missing(now)]
            if case.hold is not None:
                waiting.append("staff")
        case Stage.AWAITING_ACTIVATION:
            waiting.append("activation")
        case Stage.ACTIVATION_EXPIRED:
            waiting.append("reissue")
    if any(each.kind.recipient == "agency" for each in case.mails_undeliverable):
        waiting.append("contact")
    return waiting


def who_must_act(case: Case, now: datetime) -> list[str]:
    """Who must act for the case to go on, in words, and on what."""
    remedies = dict.fromkeys(mark.remedy for mark in case.attention.values())
    acting = [f"staff: {remedy}" for remedy in remedies]
    match case.stage:
        case Stage.COLLECTING_REQUIREMENTS | Stage.SUSPENDED:
            if case.hold is not None:
                acting.append("staff: reinstate_access")
            missing = case.missing(now)
            for who in dict.fromkeys(RESPONSIBLE[each] for each in missing):
                theirs = [str(each) for each in missing if RESPONSIBLE[each] == who]
                acting.append(f"{who}: {', '.join(theirs)}")
        case Stage.AWAITING_ACTIVATION:
            acting.append("the assister: activate the account")
        case Stage.ACTIVATION_EXPIRED:
            acting.append("the assister: ask the ARC for a new registration number")
            acting.append("staff: reissue_activation")
    return acting


def _when(now: datetime, moments: list[datetime] | tuple[datetime, ...], due: Due) -> Due:
    return due if any(now >= each for each in moments) else Due.NOTHING
