"""How a case and a roster are shown to people: the status query, the details page, the timeline."""

from datetime import date, datetime, time, timedelta
from decimal import Decimal

from policy.calendar import CENTRAL
from policy.case import Case, Stage, waiting_on, who_must_act
from policy.mails import MailKind, Recipient
from policy.requirements import RESPONSIBLE, AssessmentScored, Fact, Requirement
from workflows import dialogs
from workflows.contract import (
    AttentionStatus,
    IntakeProgress,
    MailStatus,
    RequirementStatus,
    Status,
)

UPDATES = {
    "resend_activation": Case.refuse_resend,
    "reissue_activation": Case.refuse_reissue,
    "email_corrected": Case.refuse_correction,
    "suspend_access": Case.refuse_suspend,
    "reinstate_access": Case.refuse_reinstate,
    "close_case": Case.refuse_close,
    "confirm_change": Case.refuse_changes,
    "refuse_change": Case.refuse_changes,
}
"""For each update, the method that says why staff cannot use it now."""


def status(case: Case, now: datetime) -> Status:
    """The case as a program reads it; its summary is the case in a few sentences."""
    approval = case.evidence.approval
    return Status(
        summary=_summary(case, now),
        training_id=case.training_id,
        stage=case.stage,
        since=case.opened_at if case.stage is Stage.COLLECTING_REQUIREMENTS else case.stage_since,
        outcome=case.outcome,
        agency_id=approval.agency_id if approval else None,
        assister_type=approval.assister_type if approval else None,
        requirements={each: _requirement(case, each, now) for each in Requirement},
        missing=[str(each) for each in case.missing(now)],
        waiting_on=waiting_on(case, now),
        who_must_act=who_must_act(case, now),
        attention=[
            AttentionStatus(since=mark.since, problem=mark.problem, remedy=mark.remedy)
            for mark in case.attention.values()
        ],
        next_deadline=case.next_deadline(now),
        next_step=_next_step(case, now),
        activation_expires=case.activation.expires_at if case.activation else None,
        certified_until=case.evidence.certified_until,
        reference_number=case.reference_number,
        mails=[
            *(MailStatus(**each.model_dump()) for each in case.mails_sent),
            *(
                MailStatus(kind=each.kind, sent_at=None)
                for each in (*case.mails_due, *case.mails_undeliverable)
            ),
        ],
        happenings=[f"{_central(each.at)}: {each.what}" for each in case.happenings],
        changes=[each.agency_id for each in case.evidence.claims],
        allowed=[name for name, refuse in UPDATES.items() if refuse(case, now) is None],
    )


def details(case: Case, now: datetime) -> str:
    """The case as staff read it in the Temporal UI, in Markdown."""
    shown = status(case, now)
    blocks = [f"## {_words(shown.stage)}"]
    blocks += [
        f"> **Needs attention** since {_central(mark.since)}: {mark.problem}."
        f" **To do:** {mark.remedy}."
        for mark in shown.attention
    ]
    facts = [
        ("Since", _central(shown.since) if shown.since else ""),
        ("Why", case.suspended_for if case.stage is Stage.SUSPENDED else shown.outcome),
        ("Waits for", ", ".join(shown.waiting_on)),
        ("Who must act", "; ".join(shown.who_must_act) or _nobody(case)),
        ("Next", shown.next_step),
        ("Staff can use now", ", ".join(f"`{each}`" for each in shown.allowed)),
        ("They ask for", f"`{dialogs.STAFF_ACT}`" if shown.allowed else ""),
        ("For a change also", f"`{dialogs.CHANGE_AGENCY}`" if shown.changes else ""),
        ("Agency", shown.agency_id),
        ("Reference number", shown.reference_number),
    ]
    blocks.append("\n".join(f"- **{name}:** {value}" for name, value in facts if value))
    requirements = [
        f"- {_words(name)}: {_met(each.at)}, {_source(case, name)}"
        for name, each in shown.requirements.items()
    ]
    blocks += ["**Requirements**", "\n".join(requirements)]
    lately = [f"- {each}" for each in reversed(shown.happenings)]
    blocks += ["**Lately**", "\n".join(lately) or "- nothing yet"]
    mails = [
        f"- To {_mail(MailKind(each.kind))},"
        f" {_central(each.sent_at) if each.sent_at else 'not sent yet'}"
        f"{f' (perhaps {each.copies} copies)' if each.copies > 1 else ''}"
        for each in shown.mails
    ]
    blocks += ["**Mails**", "\n".join(mails) or "- none"]
    return "\n\n".join(blocks)


def timer(case: Case, now: datetime) -> str:
    """What the workflow waits for, for the timeline."""
    waiting = ", ".join(waiting_on(case, now)) or "news"
    return f"Waits for {waiting}. {_next_step(case, now)}"


def mail(kind: MailKind) -> str:
    """A mail on its way, for the timeline."""
    return f"Mail to {_mail(kind)}"


def intake(progress: IntakeProgress) -> str:
    """A roster's progress as staff read it in the Temporal UI, in Markdown."""
    stages = {"held": "on hold", "wants_contact": "done, its contact not told"}
    blocks = [f"## Roster {stages.get(progress.stage, progress.stage)}"]
    if progress.stage == "wants_contact":
        blocks.append(
            "> **Needs attention:** the mail to the contact did not go out, or nobody knows whether"
            " it did. **To do:** correct the address with `starter.py agencies correct-contact`, or"
            " use `contact_corrected` if it is right; both send the mail again."
        )
    if progress.stage == "held":
        blocks.append(
            f"> **Needs attention:** it would end the access of {progress.suspensions} of the"
            f" agency's {progress.with_access} assisters who have it. **To do:** ask the agency"
            " whether it means that; then `release` or `discard`."
        )
    blocks += [
        f"{progress.rows} rows: {progress.accepted} accepted, {progress.rejected} rejected;"
        f" {progress.opened} cases updated.",
        f"Every row's verdict: `starter.py rosters show {progress.submission_id}`",
    ]
    return "\n\n".join(blocks)


def _summary(case: Case, now: datetime) -> str:
    acting = "; ".join(who_must_act(case, now)) or _nobody(case)
    return f"{_words(case.stage)}. Must act: {acting}. {_next_step(case, now)}".rstrip()


def _nobody(case: Case) -> str:
    return "nobody: the account is being made" if case.stage is Stage.ENROLLING else "nobody"


def _next_step(case: Case, now: datetime) -> str:
    """What happens next if nobody acts, and when."""
    if case.stage is Stage.CLOSED:
        return ""
    deadline = case.next_deadline(now)
    if deadline is None:
        return "Nothing happens by itself."
    activation = case.activation
    if deadline == case.evidence.certified_until:
        what = "the certification ends"
    elif case.stage is Stage.COLLECTING_REQUIREMENTS:
        what = "whoever must act is reminded"
    elif case.stage is Stage.ACTIVE:
        what = "assister and agency are warned that the certification ends"
    elif case.stage is Stage.ACTIVATION_EXPIRED:
        what = "the case closes unless the activation is reissued"
    elif activation is not None and deadline == activation.expires_at:
        what = "the registration number expires"
    else:
        what = "the assister is reminded to activate"
    return f"{_central(deadline)}: {what}."


def _requirement(case: Case, requirement: Requirement, now: datetime) -> RequirementStatus:
    at = case.evidence.met(requirement, now, case.terms)
    return RequirementStatus(met=at is not None, at=at, who=RESPONSIBLE[requirement])


def _source(case: Case, requirement: str) -> str:
    """The source of the evidence that counts, or of evidence that is not enough."""
    evidence = case.evidence
    match requirement:
        case Requirement.APPROVAL if evidence.approval is not None:
            row = evidence.approval
            said = "" if row.grants else ", access “No”" if row.employed else ", not employed"
            return f"{row.agency_id}'s roster{said} ({row.event_id})"
        case Requirement.CERTIFICATION if evidence.certification is not None:
            record = evidence.certification
            ends = f", through {_day(record.valid_through)}" if record.valid_through else ""
            said = ends if record.certified else ", not certified"
            return f"certification records{said} ({record.event_id})"
        case Requirement.TRAINING:
            valid = [each for each in evidence.trainings if evidence.counts(each, case.terms)]
            if valid:
                return f"learning center ({min(valid, key=_when).event_id})"
        case Requirement.ASSESSMENT:
            scored = [each for each in evidence.assessments if evidence.counts(each, case.terms)]
            passed = [each for each in scored if each.score >= case.terms.mastery[each.course]]
            if scored:
                shown = min(passed, key=_when) if passed else max(scored, key=_score)
                below = "" if passed else f", below {case.terms.mastery[shown.course]:f} %"
                return f"learning center, {shown.score:f} %{below} ({shown.event_id})"
    return f"nothing yet; {RESPONSIBLE[Requirement(requirement)]} must act"


def _central(moment: datetime) -> str:
    """A moment for people. Midnight is shown as the end of the day before: nobody misreads that."""
    local = moment.astimezone(CENTRAL)
    if local.time() == time():
        return f"End of {_day(local - timedelta(days=1))} Central"
    return f"{_day(local)}, {local:%-I:%M %p} Central"


def _day(day: date) -> str:
    return f"{day:%a %b %-d, %Y}"


def _met(at: datetime | None) -> str:
    return f"met {_day(at.astimezone(CENTRAL))}" if at else "**missing**"


def _score(scored: AssessmentScored) -> Decimal:
    return scored.score


def _when(fact: Fact) -> datetime:
    return fact.occurred_at


def _mail(kind: MailKind) -> str:
    recipient = "ARC" if kind.recipient is Recipient.ARC else kind.recipient
    what = kind.removesuffix("_agency").removesuffix("_arc").replace("_", " ")
    return f"the {recipient}: {what}"


def _words(name: str) -> str:
    return name.replace("_", " ").capitalize()
