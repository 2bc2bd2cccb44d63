"""One assister's case: what is known, what is due next, and what each act leads to.

This is the policy's procedure as a pure state machine. :meth:`Case.due` names the one thing that
must happen now; the workflow does it and reports the result to the case. The case does not wait,
read a clock or do I/O, so tests reach every path without a server.
"""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from policy.correspondence import Correspondence, Mail
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
    Speaker,
    TrainingCompleted,
    TrainingId,
)
from policy.terms import Terms

HAPPENINGS_KEPT = 5
RESEND_PERIOD = timedelta(days=1)
SUSPENDED_BY_STAFF = "suspended by staff"


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


class Earlier(BaseModel):
    """What the records and the portal know of an assister before a case opens.

    Attributes:
        outcome: How the last case ended; None if there was none.
        hold: Staff's suspension that outlives the case.
        fence: The fence of the newest command that the portal has seen.
    """

    outcome: Outcome | None = None
    evidence: Evidence = Evidence()
    hold: Order | None = None
    reference_number: str | None = None
    fence: int = 0


class Happening(BaseModel):
    """Something that happened in the case, for people to read."""

    model_config = ConfigDict(frozen=True)

    at: datetime
    what: str


class Case(Correspondence, BaseModel):
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
    used_early: int | None = None
    """A registration number whose use was reported before the portal's answer that issued it."""
    resent_at: list[datetime] = []

    requirement_reminders_at: list[datetime] = []
    certification_warnings_at: list[datetime] = []
    hold: Order | None = None
    """Staff's decision that there is no access until they say otherwise."""
    suspended_for: str | None = None
    reinstatement_under_way: bool = False
    """The portal may already have given access back: only another suspension is sure to end it."""
    ending: Outcome | None = None
    """The outcome with which the case is about to close."""
    only_keeps: bool = False
    """What came after a close gives no access: the case only keeps it for a later one, and tells
    nobody."""

    parked: Due | None = None
    """A step that failed for good and waits for a person."""
    happenings: Annotated[list[Happening], Field(max_length=HAPPENINGS_KEPT)] = []

    @property
    def speaker(self) -> Speaker | None:
        """The agency and the mailbox that count; None before the first roster."""
        approval = self.evidence.approval
        if approval is None:
            return None
        return Speaker(agency_id=approval.agency_id, mailbox=self.evidence.mailbox)

    @property
    def reached_portal(self) -> bool:
        """Whether the portal may have an account that this case can end."""
        commanded = self.fence > 0 or self.reference_number is not None
        return commanded and not self.only_keeps

    # What is due

    def due(self, now: datetime) -> Due:
        """The one thing that must happen at ``now``.

        Clauses ``before`` and 3: all four requirements are checked at this moment, not remembered.
        A close and a suspension come first, so that a step which waits for a calendar or for the
        portal cannot keep an access alive.
        """
        due = self._due(now)
        return Due.NOTHING if due is self.parked else due

    def _due(self, now: datetime) -> Due:
        if self.stage is Stage.CLOSED:
            return Due.NOTHING
        if not self.opened:
            return Due.OPENING
        if self.ending is not None:
            return Due.CLOSING
        bar = self.bar(now)
        if self._must_suspend(bar):
            return Due.SUSPENSION
        if self.evidence.needs_certified_until:
            return Due.CERTIFICATION_DATES
        match self.stage:
            case Stage.SUSPENDED:
                return Due.REINSTATEMENT if bar is None else Due.NOTHING
            case Stage.COLLECTING_REQUIREMENTS:
                if bar is None:
                    return Due.ENROLLMENT
                return _when(now, self.requirement_reminders_at, Due.REQUIREMENT_REMINDER)
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

    def _must_suspend(self, bar: str | None) -> bool:
        match self.stage:
            case Stage.SUSPENDED:
                return bar is not None and self.reinstatement_under_way
            case Stage.COLLECTING_REQUIREMENTS:
                return self.hold is not None
        return bar is not None

    def next_deadline(self, now: datetime) -> datetime | None:
        """When the next thing falls due if no event arrives; None if nothing will."""
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
        """Why there may be no access at ``now``, in words for people; None if there may."""
        if self.hold is not None:
            return SUSPENDED_BY_STAFF
        missing = self.missing(now)
        if self.evidence.needs_certified_until:
            # It counts as missing until its end is computed. That wait must not end an access.
            missing.remove(Requirement.CERTIFICATION)
        if not missing:
            return None
        certification = self.evidence.certification
        approval = self.evidence.approval
        match missing[0]:
            case Requirement.APPROVAL if approval is not None and not approval.employed:
                return "employment is inactive on the agency's roster"
            case Requirement.APPROVAL if approval is not None and approval.grants:
                return "the access ended, and no newer roster approves it"
            case Requirement.APPROVAL if approval is not None:
                return "portal access is “No” on the agency's roster"
            case Requirement.CERTIFICATION if certification is not None and certification.certified:
                return "the certification has lapsed"
            case Requirement.CERTIFICATION if certification is not None:
                return "the certification was withdrawn"
            case Requirement.ASSESSMENT if self.evidence.assessments:
                return "no valid passing assessment result is on record"
        return f"{missing[0]} is missing"

    # Events from systems: each method returns why the event changes nothing, or None

    def record_roster(self, row: RosterRecorded, now: datetime) -> str | None:
        """Takes an accepted roster row (clauses 1, 1.1)."""
        ignored = self.evidence.record_roster(row, secured=self._secured)
        if self.evidence.approval == row and self.mails_undeliverable:
            self.retry_mails(now)
        self._mark_claims(now)
        access = "approved" if row.grants else "not approved"
        return self._taken(ignored, f"Roster of {row.agency_id}: access {access}", now)

    def record_certification(self, event: CertificationRecorded, now: datetime) -> str | None:
        """Takes the state of the certification (clause before.2)."""
        ignored = self.evidence.record_certification(event)
        if not ignored:
            self.certification_warnings_at = []
        state = "recorded" if event.certified else "withdrawn"
        return self._taken(ignored, f"Certification {state}", now)

    def record_training(self, event: TrainingCompleted, now: datetime) -> str | None:
        """Takes a completed course (clause before.3)."""
        ignored = self.evidence.record_training(event, self.terms)
        return self._taken(ignored, f"Training completed: {event.course}", now)

    def record_assessment(self, event: AssessmentScored, now: datetime) -> str | None:
        """Takes an attempt; the assister is told of one below mastery (clauses before.4, 2.2)."""
        ignored = self.evidence.record_assessment(event, self.terms)
        if ignored:
            return ignored
        mastery = self.terms.mastery[event.course]
        newest = max(self.evidence.assessments, key=lambda each: each.occurred_at)
        counts = self.evidence.counts(event, self.terms)
        if counts and event == newest and Requirement.ASSESSMENT in self.missing(now):
            percents = {"score": f"{event.score:f}", "mastery": f"{mastery:f}"}
            self.send(MailKind.ASSESSMENT_FAILED, percents)
        scored = f"Assessment scored {event.score:f} % (mastery {mastery:f} %)"
        return self._taken(None, scored, now)

    def record_void(self, event: ResultVoided, now: datetime) -> str | None:
        """Takes back a result."""
        ignored = self.evidence.record_void(event)
        return self._taken(ignored, f"Result {event.voids} voided", now)

    def record_activation(self, event: AccountActivated, now: datetime) -> str | None:
        """Takes the portal's report that a registration number was used (clause 3.2)."""
        if self.activated:
            return "the account is already activated"
        if self.stage is Stage.ENROLLING and self.used_early != event.registration:
            self.used_early = event.registration
            return self._taken(None, f"Registration {event.registration} was used", now)
        if self.activation is None or event.registration != self.activation.registration:
            return f"registration {event.registration} is not the one that counts"
        self.activated = True
        return self._taken(None, "Account activated by the assister", now)

    # Orders of staff: refuse_… returns a refusal in plain English or None; the other carries it out

    def refuse_resend(self, now: datetime) -> str | None:
        """Why the activation mail cannot be repeated now, and what to do instead."""
        if closed := self._refuse_closed():
            return closed
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

    def resend(self, now: datetime) -> str:
        """Repeats the activation mail with the same registration number."""
        self.resent_at = [*(e for e in self.resent_at if e > now - RESEND_PERIOD), now]
        self._send_activation(MailKind.ACTIVATION)
        self._note(now, "Activation mail sent again")
        return "The activation mail is sent again with the same registration number."

    def refuse_reissue(self, now: datetime) -> str | None:
        """Why no new registration number can be issued now, and what to do instead."""
        del now
        if closed := self._refuse_closed():
            return closed
        if self.parked is Due.ENROLLMENT:
            return None
        if self.stage not in (Stage.AWAITING_ACTIVATION, Stage.ACTIVATION_EXPIRED):
            return f"No activation can be reissued: {self._standing()}"
        if self.activated:
            return "The account is already activated; the confirmation is on its way."
        return None

    def reissue(self, now: datetime) -> str:
        """Voids the registration number; enrolling issues a new one with a full term."""
        self._issue_anew(now)
        self._note(now, "Activation reissued by staff")
        return "A new registration number is issued and mailed; the old one no longer works."

    def refuse_suspend(self, now: datetime) -> str | None:
        """Why staff cannot suspend now."""
        del now
        if self.hold is not None and self.parked is not Due.SUSPENSION:
            return "Staff have suspended this assister already. Use reinstate_access to end it."
        return self._refuse_closed()

    def suspend(self, order: Order, now: datetime) -> str:
        """Suspends access by order of staff, at any stage."""
        self.parked = None
        self.hold = order
        self._note(now, "Suspended by staff")
        return "Access is suspended: the portal first, then the assister and the agency are told."

    def refuse_reinstate(self, now: datetime) -> str | None:
        """Why staff cannot reinstate now, and what to do instead."""
        if closed := self._refuse_closed():
            return closed
        if self.parked is Due.REINSTATEMENT:
            return None
        if self.stage is Stage.SUSPENDED and self.hold is None:
            return (
                f"Staff did not suspend this access: {self.bar(now)}. It comes back by itself once"
                " all four requirements are met."
            )
        return f"Access is not suspended: {self._standing()}" if self.hold is None else None

    def reinstate(self, now: datetime) -> str:
        """Lifts the suspension by staff; the four requirements still decide."""
        self.parked = None
        self.hold = None
        self._note(now, "Suspension lifted by staff")
        bar = self.bar(now)
        if bar is None:
            return "All four requirements are met: access is given back."
        return f"The suspension by staff is lifted, but access stays off: {bar}."

    def refuse_correction(self, now: datetime) -> str | None:
        """Why a corrected address changes nothing now."""
        del now
        return self._refuse_closed()

    def correct_email(self, now: datetime) -> str:
        """Sends the mails that waited: the certification e-mail in the records was corrected."""
        waiting = len(self.mails_undeliverable)
        self.retry_mails(now)
        self._note(now, "E-mail address corrected")
        if not waiting:
            return "The corrected address is used from now on; no mail was waiting for it."
        return f"Mails that were waiting for the corrected address: {waiting}. They go out now."

    def refuse_close(self, now: datetime) -> str | None:
        """Why the case cannot be closed."""
        del now
        return None if self.parked is Due.CLOSING else self._refuse_closed()

    def close(self, outcome: Outcome, now: datetime) -> str:
        """Ends the case: closing voids its number and ends its access, and people are told."""
        self.parked = None
        self.ending = outcome
        self._note(now, f"Closing: {outcome}")
        return "The case is closing: access ends first, then the assister and the agency are told."

    def refuse_changes(self, now: datetime) -> str | None:
        """Why staff have no change to confirm or refuse."""
        del now
        if closed := self._refuse_closed():
            return closed
        if not self.opened:
            return "The case is being opened. Try again in a minute."
        return None if self.evidence.claims else "No change waits to be confirmed."

    def refuse_change(self, agency_id: str, now: datetime) -> str | None:
        """Why staff have no change by this agency to confirm or refuse."""
        if refusal := self.refuse_changes(now):
            return refusal
        if self._claim(agency_id) is not None:
            return None
        waiting = ", ".join(each.agency_id for each in self.evidence.claims)
        return f"No change of agency {agency_id} waits; those that wait: {waiting}."

    def confirm_change(self, agency_id: str, now: datetime) -> str:
        """Lets another agency, or another mailbox, speak for the assister.

        An open registration number went to the earlier mailbox, so it is void from now on.
        """
        claim = self._claim(agency_id)
        assert claim is not None
        mailbox = self.evidence.mailbox
        self.evidence.confirm(claim)
        self._mark_claims(now)
        if self.mails_undeliverable:
            self.retry_mails(now)
        # Afterwards, so that it drops what is no longer true of the mails that waited.
        self._note(now, f"Staff confirmed the roster of {agency_id}")
        if self.evidence.mailbox == mailbox or self.stage is not Stage.AWAITING_ACTIVATION:
            return f"From now on the roster of agency {agency_id} counts for the assister."
        self._issue_anew(now)
        return "A new registration number goes to the new mailbox; the old one no longer works."

    def decline_change(self, agency_id: str, now: datetime) -> str:
        """Declines an agency's claim: its row changes nothing."""
        claim = self._claim(agency_id)
        assert claim is not None
        self.evidence.decline(claim)
        self._mark_claims(now)
        self._note(now, f"Staff refused the roster of {agency_id}")
        return "Nothing changes."

    # Results of what was due

    def planned(self, reminders_at: list[datetime], earlier: Earlier, now: datetime) -> None:
        """Opens the case with its reminder dates and with what an earlier case had learned.

        After a close, only an approval newer than the end opens a case again. Anything else is kept
        for that later case.
        """
        self.opened = True
        self.fence = max(self.fence, earlier.fence)
        self.requirement_reminders_at = reminders_at
        self.reference_number = earlier.reference_number
        self.hold = self.hold or earlier.hold
        self.evidence, news = self.evidence.with_earlier(
            earlier.evidence, self.terms, secured=self._secured
        )
        if earlier.outcome is None:
            self._mark_claims(now)
            self._drop_untrue(now)
            return
        approval = self.evidence.approval
        rows = [self.evidence.rows[each.agency_id] for each in self.evidence.claims]
        if approval is not None:
            rows.append(approval)
        if news and any(map(self.evidence.approves, rows)):
            # The warnings before the certification's end are worked out anew with it.
            self.evidence.certified_until = None
            self._mark_claims(now)
            self._note(now, "Opened again with what an earlier case had recorded")
        else:
            self.drop_mails(lambda mail: True)
            self.ending = self.ending or earlier.outcome
            self.only_keeps = True

    def certification_dated(self, ends_at: datetime, warnings_at: list[datetime]) -> None:
        """Takes the certification's end and the warnings before it, which an activity computed."""
        self.evidence.certified_until = ends_at
        self.certification_warnings_at = warnings_at

    def remind_of_requirements(self, now: datetime) -> None:
        """Reminds those who must act of what is missing; nobody if the agency has said no."""
        self.requirement_reminders_at = [e for e in self.requirement_reminders_at if e > now]
        if self.evidence.denied:
            return
        missing = self.missing(now)
        theirs = [e for e in missing if e in (Requirement.TRAINING, Requirement.ASSESSMENT)]
        agencys = [e for e in missing if e not in theirs]
        if theirs:
            self.send(MailKind.REQUIREMENT_REMINDER, {"missing": ",".join(theirs)})
        if agencys:
            self.send(MailKind.REQUIREMENT_REMINDER_AGENCY, {"missing": ",".join(agencys)})
        self._note(now, "Reminded of what is missing")

    def enrolling(self, now: datetime) -> int:
        """Begins enrollment (clause 3); returns the fence for its command to the portal."""
        self._enter(Stage.ENROLLING, now)
        return self._fenced()

    def issued(self, reference_number: str, activation: Activation, now: datetime) -> None:
        """Takes the account and its number; the activation mail is due (clause 3.1a)."""
        self.reference_number = reference_number
        self.activation = activation
        self.activated = self.activated or self.used_early == activation.registration
        self._enter(Stage.AWAITING_ACTIVATION, now)
        self.resent_at = []
        self._send_activation(MailKind.ACTIVATION)
        self._note(now, f"Enrolled; registration number {activation.registration} issued")

    def found_active(self, reference_number: str, now: datetime) -> None:
        """Takes an account that was set up already: it gets no number, and access is confirmed."""
        self.reference_number = reference_number
        self.activated = True
        self.confirm(now)

    def remind_of_activation(self, now: datetime) -> None:
        """Reminds the assister of when the unused activation ends."""
        assert self.activation is not None
        later = tuple(each for each in self.activation.reminders_at if each > now)
        self.activation = self.activation.model_copy(update={"reminders_at": later})
        if not self.waits(MailKind.ACTIVATION):
            self._send_activation(MailKind.ACTIVATION_REMINDER)
            self._note(now, "Reminded of the unused activation")

    def expiring(self) -> int:
        """Begins the expiry; returns the fence for its command to the portal."""
        return self._fenced()

    def expired(self, now: datetime) -> None:
        """Ends the activation; if its mail never went out, a new number is issued.

        Nothing, if staff or a corrected address had a new number issued meanwhile.
        """
        if self.stage is not Stage.AWAITING_ACTIVATION:
            return
        if any(each.kind is MailKind.ACTIVATION for each in self.mails_due):
            self._issue_anew(now)
            self._note(now, "The activation mail could not go out in time: issued anew")
            return
        self._enter(Stage.ACTIVATION_EXPIRED, now)
        assert self.activation is not None
        until = self.activation.reissuable_until.isoformat()
        # An activation mail that was refused stays: a corrected address brings a new number.
        if not self.waits(MailKind.ACTIVATION):
            self._drop_activation_mails()
            self.send(MailKind.ACTIVATION_EXPIRED, {"reissuable_until": until})
        self.send(MailKind.ACTIVATION_EXPIRED_AGENCY, {"reissuable_until": until})
        self._note(now, "Activation expired: the registration number no longer works")

    def confirm(self, now: datetime) -> None:
        """Makes the case active; the ARC confirms it in a mail of its own (clause 3.2)."""
        self._enter(Stage.ACTIVE, now)
        self.confirmed = True
        self.activation = None
        self._drop_activation_mails()
        self.send(MailKind.CONFIRMATION)
        self._note(now, "Account active")

    def warn_of_certification(self, now: datetime) -> None:
        """Warns assister and agency that the certification ends soon."""
        self.certification_warnings_at = [e for e in self.certification_warnings_at if e > now]
        ends = self._certification_end()
        self.send(MailKind.CERTIFICATION_ENDING, ends)
        self.send(MailKind.CERTIFICATION_ENDING_AGENCY, ends)
        self._note(now, "Warned that the certification ends")

    def suspending(self) -> int:
        """Begins a suspension; returns the fence for its command to the portal."""
        self._drop_activation_mails()
        return self._fenced()

    def suspended(self, now: datetime) -> None:
        """Suspends the case, after the portal has done so; now people are told."""
        reason = self.bar(now) or self.suspended_for or "suspended"
        again = self.reinstatement_under_way
        self.reinstatement_under_way = False
        if self.waits(MailKind.CONFIRMATION):
            self.confirmed = False
        self._enter(Stage.SUSPENDED, now)
        self.activation = None
        self.suspended_for = reason
        if not again:
            self.send(MailKind.SUSPENDED, {"reason": reason})
            self.send(MailKind.SUSPENDED_AGENCY, {"reason": reason})
        self._note(now, f"Suspended: {reason}")

    def reinstating(self) -> int:
        """Begins a reinstatement; returns the fence for its command to the portal."""
        self.reinstatement_under_way = True
        return self._fenced()

    def reinstated(self, now: datetime) -> None:
        """Gives access back: an active account at once, any other by enrollment."""
        self.suspended_for = None
        self.reinstatement_under_way = False
        if not self.activated:
            self._enter(Stage.ENROLLING, now)
            self._note(now, "Requirements met again: enrolling")
            return
        if not self.confirmed:
            self.confirm(now)
            return
        self._enter(Stage.ACTIVE, now)
        self.send(MailKind.REINSTATED)
        self.send(MailKind.REINSTATED_AGENCY)
        self._note(now, "Access reinstated")

    def closing(self) -> int:
        """Begins the close; returns the fence for its command to the portal."""
        self.ending = self.ending or Outcome.ACTIVATION_EXPIRED
        self._drop_activation_mails()
        return self._fenced()

    def closed(self, now: datetime) -> None:
        """Ends the case with its outcome."""
        self.outcome = self.ending
        self._enter(Stage.CLOSED, now)
        self.activation = None
        self.attention = {}
        if self.evidence.approval is not None and not self.only_keeps:
            self.send(MailKind.CASE_CLOSED, {"outcome": str(self.outcome)})
            self.send(MailKind.CASE_CLOSED_AGENCY, {"outcome": str(self.outcome)})
        self._note(now, f"Closed: {self.outcome}")

    def failed(self, step: Due, problem: str, now: datetime) -> None:
        """Parks a step that failed for good until a person acts."""
        self.parked = step
        remedies = {
            Due.SUSPENSION: "clear it in the portal, then use suspend_access again",
            Due.REINSTATEMENT: "clear it in the portal, then use reinstate_access again",
            Due.CLOSING: "clear it in the portal, then use close_case again",
        }
        self.mark(
            f"portal:{step}",
            problem,
            remedies.get(step, "clear it in the portal, then use reissue_activation"),
            now,
        )

    def succeeded(self, step: Due) -> None:
        """Clears the mark of a step that succeeded."""
        self.unmark(lambda code: code == f"portal:{step}")
        self.parked = None

    def retry_mails(self, now: datetime) -> None:
        """Sends mails that waited for an address; an activation is issued anew with a full term."""
        waiting, self.mails_undeliverable = self.mails_undeliverable, []
        self.unmark(lambda code: code.startswith("mail:"))
        for mail in waiting:
            if mail.kind in (MailKind.ACTIVATION, MailKind.ACTIVATION_REMINDER):
                if self.refuse_reissue(now) is None:
                    self._issue_anew(now)
            else:
                self.send(mail.kind, mail.facts, registration=mail.registration, to=mail.to)

    def ignored(self, what: str, why: str, now: datetime) -> None:
        """Notes an event that changed nothing, so that people can see it."""
        self._note(now, f"Ignored {what}: {why}")

    # Private parts

    @property
    def _secured(self) -> bool:
        """Whether there is an account or an activation, or one is being made."""
        return self.reference_number is not None or self.stage is Stage.ENROLLING

    def _claim(self, agency_id: str) -> Speaker | None:
        claims = [each for each in self.evidence.claims if each.agency_id == agency_id]
        return claims[0] if claims else None

    def _mark_claims(self, now: datetime) -> None:
        """Marks what staff must confirm; the present agency and mailbox are told once."""
        if not self.opened:
            # An earlier case may know who speaks: its evidence comes with the opening.
            return
        # With the mailbox: one that the agency names later is told and marked anew.
        claims = {f"change:{e.agency_id}:{e.mailbox}": e for e in self.evidence.claims}
        self.unmark(lambda code: code.startswith("change:") and code not in claims)
        speaker = self.speaker
        for code, claim in claims.items():
            if speaker is None or code in self.attention:
                continue
            foreign = claim.agency_id != speaker.agency_id
            what = "approves access, too" if foreign else "names another certification e-mail"
            self.mark(
                code,
                f"the roster of {claim.agency_id} {what}; nothing changes until staff confirm it",
                "ask the assister, then confirm_change or refuse_change",
                now,
            )
            by = {"by_agency": claim.agency_id}
            self.send(MailKind.CHANGE_CLAIMED, by, to=speaker)
            self.send(MailKind.CHANGE_CLAIMED_AGENCY, by, to=speaker)

    def _issue_anew(self, now: datetime) -> None:
        """Voids the registration number; enrolling issues the next one."""
        self.parked = None
        self._enter(Stage.ENROLLING, now)
        self._drop_activation_mails()

    def _is_true(self, mail: Mail, now: datetime) -> bool:
        """Whether a mail that waits, for its relay or for an address, still says the truth."""
        kind, facts = mail.kind, mail.facts
        if kind in (MailKind.CASE_CLOSED, MailKind.CASE_CLOSED_AGENCY):
            return True
        if self.stage is Stage.CLOSED:
            return False
        missing = {str(each) for each in self.missing(now)}
        match kind:
            case MailKind.ACTIVATION_EXPIRED | MailKind.ACTIVATION_EXPIRED_AGENCY:
                return self.stage is Stage.ACTIVATION_EXPIRED
            case MailKind.CONFIRMATION | MailKind.REINSTATED | MailKind.REINSTATED_AGENCY:
                return self.stage is Stage.ACTIVE
            case MailKind.SUSPENDED | MailKind.SUSPENDED_AGENCY:
                return self.stage is Stage.SUSPENDED
            case MailKind.CERTIFICATION_ENDING | MailKind.CERTIFICATION_ENDING_AGENCY:
                return self.stage is Stage.ACTIVE and facts == self._certification_end()
            case MailKind.CHANGE_CLAIMED | MailKind.CHANGE_CLAIMED_AGENCY:
                return self._claim(facts["by_agency"]) is not None
            case MailKind.ASSESSMENT_FAILED:
                return Requirement.ASSESSMENT in missing
            case MailKind.REQUIREMENT_REMINDER | MailKind.REQUIREMENT_REMINDER_AGENCY:
                collecting = self.stage is Stage.COLLECTING_REQUIREMENTS
                told = set(facts["missing"].split(","))
                return collecting and not self.evidence.denied and told <= missing
        # Mails with a registration number are dropped when the portal is told to void it.
        return True

    def _certification_end(self) -> dict[str, str]:
        certification = self.evidence.certification
        if certification is None or certification.valid_through is None:
            return {}
        return {"ends": certification.valid_through.isoformat()}

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
        """Notes what happened, and drops the mails that it made untrue."""
        self._drop_untrue(now)
        self.happenings = [*self.happenings, Happening(at=now, what=what)][-HAPPENINGS_KEPT:]

    def _drop_untrue(self, now: datetime) -> None:
        self.drop_mails(lambda mail: not self._is_true(mail, now))

    def _send_activation(self, kind: MailKind) -> None:
        assert self.activation is not None
        ends = self.activation.expires_at.isoformat()
        self.send(kind, {"ends": ends}, registration=self.activation.registration)

    def _drop_activation_mails(self) -> None:
        self.drop_mails(lambda mail: bool(mail.registration))

    def _refuse_closed(self) -> str | None:
        if self.stage is Stage.CLOSED or self.ending is not None:
            return "The case is closed. A new roster with “Yes” opens a new one."
        return None

    def _standing(self) -> str:
        return f"the case is in stage {self.stage}."


def waiting_on(case: Case, now: datetime) -> list[str]:
    """What a case waits for, in one word each.

    These are requirements, activation, reissue, staff, or a contact who can get the agency's mails.
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
    """Who must act for the case to go on, and on what, in words."""
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
        # An assister whom the mail with the number cannot reach has nothing to do.
        case Stage.AWAITING_ACTIVATION if not any(
            each.kind is MailKind.ACTIVATION for each in case.mails_undeliverable
        ):
            acting.append("the assister: activate the account")
        case Stage.ACTIVATION_EXPIRED:
            acting.append("the assister: ask the ARC for a new registration number")
            acting.append("staff: reissue_activation")
    return acting


def _when(now: datetime, moments: list[datetime] | tuple[datetime, ...], due: Due) -> Due:
    return due if any(now >= each for each in moments) else Due.NOTHING
