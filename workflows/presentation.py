"""How a case is shown to people: the status query, the details page, the words in the dialogs."""

from datetime import datetime

from pydantic import ValidationError

from policy.calendar import CENTRAL
from policy.case import Case, Stage, waiting_on, who_must_act
from policy.requirements import RESPONSIBLE, Requirement
from workflows.contract import AttentionStatus, MailStatus, RequirementStatus, Status

STAFF_EXAMPLE = 'Send one object: {"by": "arc-7", "reason": "Caller lost the mail"}'
_FACT = '"event_id": "lms-4711", "occurred_at": "2026-11-02T15:04:00Z"'

RESEND = f"Repeats the activation mail with the same registration number. {STAFF_EXAMPLE}"
REISSUE = f"Voids the registration number and mails a new one. {STAFF_EXAMPLE}"
CORRECTED = f"The e-mail address in the records was corrected; parked mails go on. {STAFF_EXAMPLE}"
SUSPEND = f"Ends access at once, until reinstate_access. {STAFF_EXAMPLE}"
REINSTATE = f"Ends a suspension by staff; all requirements are checked again. {STAFF_EXAMPLE}"
CLOSE = f"Ends the case and the access. {STAFF_EXAMPLE}"
STATUS = "Stage, what is met and missing, who must act, deadlines, mails. Takes no input."

SNAPSHOT = "The whole case, for programs that forecast. Takes no input; people read status."

ROSTER_RECORDED = (
    f"From the roster intake. {{{_FACT}, "
    '"agency_id": "AG-100", "assister_type": "navigator", "approved": true, "employed": true}'
)
CERTIFICATION_RECORDED = (
    f'From certification records. {{{_FACT}, "certified": true, "valid_through": "2027-10-15"}}'
)
TRAINING_COMPLETED = f"From the learning center. {{{_FACT}}}"
ASSESSMENT_SCORED = f'From the learning center. {{{_FACT}, "score": "82.5"}}'
RESULT_VOIDED = f'From the learning center. {{{_FACT}, "voids": "lms-4710"}}'
ACCOUNT_ACTIVATED = f'From the portal. {{{_FACT}, "registration": 1}}'

UPDATES = {
    "resend_activation": Case.refuse_resend,
    "reissue_activation": Case.refuse_reissue,
    "email_corrected": Case.refuse_correction,
    "suspend_access": Case.refuse_suspend,
    "reinstate_access": Case.refuse_reinstate,
    "close_case": Case.refuse_close,
}


def status(case: Case, now: datetime) -> Status:
    """The case as a program reads it."""
    approval = case.evidence.approval
    return Status(
        training_id=case.training_id,
        stage=case.stage,
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
        activation_expires=case.activation.expires_at if case.activation else None,
        certified_until=case.evidence.certified_until,
        reference_number=case.reference_number,
        mails=[
            *(MailStatus(kind=each.kind, sent_at=each.sent_at) for each in case.mails_sent),
            *(
                MailStatus(kind=each.kind, sent_at=None)
                for each in (*case.mails_due, *case.mails_undeliverable)
            ),
        ],
        happenings=[f"{_central(each.at)}: {each.what}" for each in case.happenings],
        allowed=[name for name, refuse in UPDATES.items() if refuse(case, now) is None],
    )


def details(case: Case, now: datetime) -> str:
    """The case as staff read it in the Temporal UI, in Markdown."""
    shown = status(case, now)
    lines = [f"## {_words(shown.stage)}"]
    lines += [f"> **Needs attention:** {e.problem}. {e.remedy}." for e in shown.attention]
    if case.stage is not Stage.CLOSED:
        lines += ["", "**Who must act:** " + ("; ".join(shown.who_must_act) or "nobody")]
    if shown.next_deadline is not None:
        lines += ["", f"**Next deadline:** {_central(shown.next_deadline)}"]
    lines += ["", "| requirement | met | source |", "| --- | --- | --- |"]
    lines += [
        f"| {name} | {_central(each.at) if each.at else 'no'} | {_source(case, name)} |"
        for name, each in shown.requirements.items()
    ]
    lines += ["", "**Mails**", ""]
    lines += [
        f"- {_words(each.kind)}: {_central(each.sent_at) if each.sent_at else 'waiting'}"
        for each in shown.mails
    ] or ["- none"]
    lines += ["", "**Lately**", ""]
    lines += [f"- {each}" for each in shown.happenings] or ["- nothing yet"]
    lines += ["", f"**Staff can use now:** {', '.join(shown.allowed) or 'nothing'}"]
    return "\n".join(lines)


def timer(case: Case, deadline: datetime | None) -> str:
    """What the workflow waits for, for the timeline."""
    waiting = ", ".join(waiting_on(case, case.opened_at)) or "news"
    return f"Waiting on {waiting}" + (f" until {_central(deadline)}" if deadline else "")


def mistake(error: ValidationError) -> str:
    """What is wrong with an input, without repeating what was in it."""
    problems = []
    for each in error.errors(include_url=False, include_context=False, include_input=False):
        where = ".".join(str(part) for part in each["loc"])
        if each["type"] == "extra_forbidden":
            # Its name is the sender's own words.
            problems.append("there is a field that is not known")
        else:
            problems.append(f"{where}: {each['msg']}" if where else "an object is needed")
    return "; ".join(problems[:4]) + "."


def _requirement(case: Case, requirement: Requirement, now: datetime) -> RequirementStatus:
    at = case.evidence.met(requirement, now, case.terms)
    return RequirementStatus(met=at is not None, at=at, who=RESPONSIBLE[requirement])


def _source(case: Case, requirement: str) -> str:
    evidence = case.evidence
    match requirement:
        case Requirement.APPROVAL:
            return evidence.approval.event_id if evidence.approval else ""
        case Requirement.CERTIFICATION:
            return evidence.certification.event_id if evidence.certification else ""
        case Requirement.TRAINING:
            return evidence.trainings[-1].event_id if evidence.trainings else ""
    return evidence.assessments[-1].event_id if evidence.assessments else ""


def _central(moment: datetime) -> str:
    return f"{moment.astimezone(CENTRAL):%a %b %d, %Y %H:%M} Central"


def _words(name: str) -> str:
    return name.replace("_", " ").capitalize()
