"""The words in the Temporal UI's dialogs: what each message does and what to paste.

The UI shows a description in its picker and takes one JSON value, without a form.
"""

from pydantic import ValidationError

CHANGE_AGENCY = '"agency_id": "the agency whose change it is"'
STAFF_ACT = '{"by": "your staff id", "reason": "why"}'
STAFF_EXAMPLE = 'Paste and change: {"by": "arc-7", "reason": "Caller cannot find the mail"}'
CHANGE_EXAMPLE = (
    'Paste and change: {"by": "arc-7", "reason": "The assister wants it", "agency_id": "AG-200"}'
)
_NO_CHANGE = CHANGE_EXAMPLE.replace("wants it", "does not want it")
_FACT = '"event_id": "lms-4711", "occurred_at": "2026-11-02T15:04:00Z"'


def _staff(what: str, reason: str) -> str:
    return f'{what} Paste and change: {{"by": "arc-7", "reason": "{reason}"}}'


RESEND = _staff("Mails the same registration number again.", "Caller cannot find the mail")
REISSUE = _staff("Voids the registration number, mails a new one.", "The number expired")
CORRECTED = _staff(
    "The address in the records was corrected: waiting mails go out.", "Caller gave a new address"
)
SUSPEND = _staff("Ends access at once, until reinstate_access.", "The agency asked for it")
REINSTATE = _staff(
    "Lifts a suspension by staff; all four requirements are checked again.", "Cleared by the agency"
)
CONFIRM_CHANGE = (
    f"Makes that agency the assister's agency, and uses its e-mail address. {CHANGE_EXAMPLE}"
)
REFUSE_CHANGE = f"Refuses what that agency's roster asks for: nothing changes. {_NO_CHANGE}"
CLOSE = _staff("Ends the case and the access for good.", "Opened by mistake")
RELEASE = _staff("Lets the roster on hold go on.", "The agency confirmed it")
DISCARD = _staff("Drops the roster on hold; it changes nothing.", "The agency sent the wrong file")
CONTACT_CORRECTED = _staff(
    "The contact's address in the records was corrected: the refused mail goes out again.",
    "The agency gave a new address",
)

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

STATUS = "For people: where the case stands, who must act, what comes next. Takes no input."
SNAPSHOT = "For programs that forecast: the whole case. Takes no input."
PROGRESS = "How far the roster is. Takes no input."


def mistake(error: ValidationError) -> str:
    """What is wrong with an input, without repeating the input."""
    problems = []
    for each in error.errors(include_url=False, include_context=False, include_input=False):
        where = ".".join(str(part) for part in each["loc"])
        what = each["msg"].removeprefix("Value error, ")
        if each["type"] == "extra_forbidden":
            # The unknown field's name is the sender's own text: it may name a person.
            problems.append("there is a field that is not known")
        else:
            problems.append(f"{where}: {what}" if where else "an object is needed")
    return "; ".join(problems[:4]) + "."
