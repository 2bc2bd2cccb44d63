"""The pages of an agency's authorized contact: its assisters, its rosters, reference numbers.

A contact chooses a roster, sees every row's verdict and the forecast, and only then submits it.
"""

import asyncio
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from fastapi import APIRouter, Depends, Request
from fastapi.responses import RedirectResponse, Response
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from temporalio.client import WorkflowUpdateFailedError
from temporalio.service import RPCError

from gateway.callers import To
from gateway.cases import ANSWER_WITHIN, LATER, case_of, checked
from gateway.forms import check_token, only_from_our_pages, visitors_form
from gateway.pages import page
from gateway.uploads import parsed
from gateway.visitors import AgencyContact, SignedIn
from intake.files import read_roster, read_whole
from policy.requirements import AssisterType
from policy.roster import Row
from records.drafts import RosterDraft, draft_of, drop_draft, keep_draft
from records.people import NotAuthorized
from records.tables import Affiliation, Contact
from services import Unknown
from services.agency import own_assisters, own_submission, own_submissions
from services.lookup import own_assister
from services.rosters import progress, submit_roster, verdicts
from workflows.client import act
from workflows.contract import StaffAct, assister_workflow_id

router = APIRouter(prefix="/agencies/{agency_id}", include_in_schema=False)

ENCODINGS = {"utf-8-sig": "UTF-8", "cp1252": "Windows (cp1252)"}
SHOWN = 200
"""The most rejected rows, or cases of a forecast, on one page."""

Sent = [Depends(only_from_our_pages)]


@router.get("")
async def agency(request: Request, contact: AgencyContact, visitor: SignedIn, to: To) -> Response:
    """The agency's assisters, its latest rosters, and the form to choose one."""
    try:
        assisters = await own_assisters(to, contact.agency_id)
    except (RPCError, RuntimeError):
        raise HTTPException(503, LATER) from None
    return page(
        request,
        "agency.html",
        visitor=visitor,
        contact=contact,
        assisters=assisters,
        submissions=await own_submissions(to.database, contact.agency_id),
        encodings=ENCODINGS,
        types=list(AssisterType),
    )


@router.post("/drafts", dependencies=Sent)
async def choose(request: Request, contact: AgencyContact, visitor: SignedIn, to: To) -> Response:
    """Keeps the chosen file for an hour, to check it before it is submitted."""
    async with request.form(max_files=1, max_fields=5, max_part_size=1000) as form:
        check_token(form.get("token"), visitor.token)
        file, kind, encoding = form.get("file"), form.get("type"), form.get("encoding")
        if not isinstance(file, UploadFile) or not file.size:
            raise HTTPException(422, "No file arrived. Go back and choose the roster's file.")
        if kind not in list(AssisterType) or encoding not in ENCODINGS:
            raise HTTPException(422, "Say which roster it is, and how the file is written.")
        content = await file.read()
        # Browsers may send a path: its last part is kept, to be shown and never opened.
        name = (file.filename or "").replace("\\", "/").rpartition("/")[2]
    async with to.database.transaction() as session:
        draft = await keep_draft(
            session,
            contact.agency_id,
            str(kind),
            str(encoding),
            "".join(each for each in name if each.isprintable())[:100] or "roster",
            content,
            datetime.now(UTC),
        )
    return RedirectResponse(f"/agencies/{contact.agency_id}/drafts/{draft}", 303)


@router.get("/drafts/{draft_id}")
async def check(
    request: Request, draft_id: str, contact: AgencyContact, visitor: SignedIn, to: To
) -> Response:
    """Shows every row's verdict and what would happen; changes nothing."""
    draft = await _draft(to, contact, draft_id)
    rows, notes = await _read(draft)
    found = await checked(to, rows, contact.agency_id, AssisterType(draft.roster_type))
    return page(
        request,
        "draft.html",
        visitor=visitor,
        contact=contact,
        draft=draft,
        rejected=[each.public() for each in found.verdicts if each.reasons],
        accepted=sum(not each.reasons for each in found.verdicts),
        forecast=found.forecast,
        notes=notes,
        shown=SHOWN,
    )


@router.post("/drafts/{draft_id}", dependencies=Sent)
async def submit(
    request: Request, draft_id: str, contact: AgencyContact, visitor: SignedIn, to: To
) -> Response:
    """Submits the roster as it was checked (clause 1)."""
    await visitors_form(request, visitor.token)
    draft = await _draft(to, contact, draft_id)
    rows, _ = await _read(draft)
    try:
        done = await submit_roster(
            to,
            rows,
            agency_id=contact.agency_id,
            roster_type=AssisterType(draft.roster_type),
            by=contact.email,
            filename=draft.filename,
        )
    except (RPCError, RuntimeError):
        raise HTTPException(
            503, "It cannot be submitted now. Try again in a few minutes."
        ) from None
    async with to.database.transaction() as session:
        await drop_draft(session, draft_id)
    return RedirectResponse(f"/agencies/{contact.agency_id}/rosters/{done.submission_id}", 303)


@router.get("/rosters/{submission_id}")
async def roster(
    request: Request, submission_id: str, contact: AgencyContact, visitor: SignedIn, to: To
) -> Response:
    """The progress of a submitted roster, and its rejected rows."""
    try:
        submission = await own_submission(to.database, contact.agency_id, submission_id)
    except Unknown:
        raise HTTPException(404, "There is no such page for you.") from None
    try:
        state = await progress(to.client, submission_id)
    except Unknown as not_begun:
        raise HTTPException(404, str(not_begun)) from None
    except (RPCError, RuntimeError):
        raise HTTPException(503, LATER) from None
    rows = await verdicts(to.database, submission_id)
    rejected = [each for each in rows if each["verdict"] == "rejected"]
    return page(
        request,
        "roster.html",
        visitor=visitor,
        contact=contact,
        submission=submission,
        progress=state,
        rejected=rejected,
        shown=len(rejected),
    )


@router.post("/lookup", dependencies=Sent)
async def find(request: Request, contact: AgencyContact, visitor: SignedIn, to: To) -> Response:
    """From a Training ID to the assister's page (clause 3.3)."""
    form = await visitors_form(request, visitor.token)
    training_id = form.get("training_id", "").strip().upper()
    await _assister(to, contact, training_id)
    return RedirectResponse(f"/agencies/{contact.agency_id}/assisters/{training_id}", 303)


@router.get("/assisters/{training_id}")
async def assister(
    request: Request, training_id: str, contact: AgencyContact, visitor: SignedIn, to: To
) -> Response:
    """One assister: the reference number, and what the case waits for."""
    person = await _assister(to, contact, training_id)
    return await _assister_page(request, person, contact, visitor, to)


@router.post("/assisters/{training_id}/resend", dependencies=Sent)
async def resend(
    request: Request, training_id: str, contact: AgencyContact, visitor: SignedIn, to: To
) -> Response:
    """Asks that the activation mail be sent again, to the address on record (clause 3.1b)."""
    await visitors_form(request, visitor.token)
    person = await _assister(to, contact, training_id)
    order = StaffAct(by=f"contact-{contact.id}", reason="asked for on the agency's page")
    try:
        async with asyncio.timeout(ANSWER_WITHIN):
            await act(to.client, assister_workflow_id(training_id), "resend_activation", order)
    except WorkflowUpdateFailedError:
        said = (
            "The mail was not sent again: none is waiting to be used, or it was sent as often as"
            " it can be in a day."
        )
    except (RPCError, RuntimeError, TimeoutError):
        raise HTTPException(503, LATER) from None
    else:
        said = "The activation mail is being sent again, to the address on record."
    return await _assister_page(request, person, contact, visitor, to, said)


async def _assister_page(
    request: Request,
    person: Affiliation,
    contact: Contact,
    visitor: SignedIn,
    to: To,
    said: str = "",
) -> Response:
    return page(
        request,
        "assister.html",
        visitor=visitor,
        contact=contact,
        person=person,
        number=await to.portal.reference_number(person.training_id),
        case=await case_of(to, person.training_id),
        said=said,
    )


async def _assister(to: To, contact: Contact, training_id: str) -> Affiliation:
    try:
        async with asyncio.timeout(ANSWER_WITHIN):
            return await own_assister(to, contact.agency_id, training_id)
    except NotAuthorized:
        raise HTTPException(404, "Your agency has no assister with this Training ID.") from None
    except (RPCError, RuntimeError, TimeoutError):
        raise HTTPException(503, LATER) from None


async def _draft(to: To, contact: Contact, draft_id: str) -> RosterDraft:
    async with to.database.snapshot() as session:
        draft = await draft_of(session, contact.agency_id, draft_id, datetime.now(UTC))
    if draft is None:
        raise HTTPException(
            404, "This roster is no longer waiting to be submitted. Choose the file again."
        )
    return draft


async def _read(draft: RosterDraft) -> tuple[list[Row], Sequence[str]]:
    """The draft's rows, and notes on what of the file was not read or deserves a look."""

    def read() -> tuple[list[Row], Sequence[str]]:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "the roster"
            path.write_bytes(draft.content)
            return read_whole(read_roster(path, draft.encoding))

    return await parsed(read)
