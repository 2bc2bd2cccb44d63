"""The staff's pages: names and addresses, which no history and no page of the Temporal UI has.

Staff find a person, open the case, correct an address, and give the case any order that it allows.
"""

import asyncio
from collections.abc import Awaitable, Mapping
from typing import Annotated, NamedTuple

from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response
from sqlmodel import col, select
from starlette.exceptions import HTTPException
from temporalio.client import WorkflowUpdateFailedError
from temporalio.service import RPCError, RPCStatusCode

from gateway.callers import To
from gateway.cases import ANSWER_WITHIN, case_of
from gateway.forms import only_from_our_pages, visitors_form
from gateway.pages import page
from gateway.visitors import SignedIn, Visitor
from records.people import NotAuthorized
from records.tables import Affiliation, Agency, Contact, Mailbox
from services import Refused
from services.assisters import correct_email
from services.contacts import correct_contact
from services.find import MOST, find
from services.orders import order
from workflows.contract import assister_workflow_id
from workflows.lists import case_link

router = APIRouter(prefix="/staff", include_in_schema=False)

LATER = "The case does not answer now. What was recorded stands; try again in a few minutes."
BY_ADDRESS = "email_corrected"
"""The update that goes with a new address."""
CHANGES = ("confirm_change", "refuse_change")
OWN_FORMS = (BY_ADDRESS, *CHANGES)
"""Updates that have their own form."""


async def _staff(visitor: SignedIn) -> Visitor:
    if not visitor.staff:
        raise HTTPException(404, "There is no such page for you.")
    return visitor


Staff = Annotated[Visitor, Depends(_staff)]
Sent = [Depends(only_from_our_pages)]


@router.get("")
async def ask(request: Request, visitor: Staff) -> Response:
    """The form that asks for a person."""
    return page(request, "staff.html", visitor=visitor, asked="", found=None, most=MOST)


@router.post("", dependencies=Sent)
async def look(request: Request, visitor: Staff, to: To) -> Response:
    """Lists who it may be. It takes a POST, so that no address holds a name."""
    form = await visitors_form(request, visitor.token)
    asked = form.get("asked", "").strip()[:200]
    found = await find(to.database, asked) if asked else []
    return page(request, "staff.html", visitor=visitor, asked=asked, found=found, most=MOST)


@router.get("/assisters/{training_id}")
async def assister(request: Request, training_id: str, visitor: Staff, to: To) -> Response:
    """Who a person is, the state of the case, and a link to it."""
    return await _assister_page(request, training_id, visitor, to)


@router.post("/assisters/{training_id}/email", dependencies=Sent)
async def correct(request: Request, training_id: str, visitor: Staff, to: To) -> Response:
    """Corrects the certification e-mail; the mails that waited for it go out (clause 1.2a)."""
    form = await visitors_form(request, visitor.token)
    outcome = await _outcome(
        correct_email(
            to,
            training_id,
            form.get("email", ""),
            by=visitor.staff,
            reason=form.get("reason", ""),
        )
    )
    return await _assister_page(request, training_id, visitor, to, outcome)


@router.post("/assisters/{training_id}/orders", dependencies=Sent)
async def give(request: Request, training_id: str, visitor: Staff, to: To) -> Response:
    """Gives the case one of the orders that it allows."""
    form = await visitors_form(request, visitor.token)
    case = await case_of(to, training_id)
    update = form.get("order", "")
    if case is None or update not in case.allowed or update == BY_ADDRESS:
        raise HTTPException(422, "The case does not allow this now. Open its page again.")
    outcome = await _outcome(
        order(
            to.database,
            to.client,
            assister_workflow_id(training_id),
            update,
            visitor.staff,
            form.get("reason", ""),
            form.get("agency", ""),
        )
    )
    return await _assister_page(request, training_id, visitor, to, outcome)


@router.get("/agencies/{agency_id}")
async def agency(request: Request, agency_id: str, visitor: Staff, to: To) -> Response:
    """An agency's authorized contacts."""
    return await _agency_page(request, agency_id, visitor, to)


@router.post("/agencies/{agency_id}/contacts", dependencies=Sent)
async def correct_contacts(request: Request, agency_id: str, visitor: Staff, to: To) -> Response:
    """Corrects a contact's address; the mails that waited for it go out (clause 1)."""
    form = await visitors_form(request, visitor.token)
    outcome = await _outcome(_corrected(to, agency_id, form, visitor))
    return await _agency_page(request, agency_id, visitor, to, outcome)


class Outcome(NamedTuple):
    """The result of an act, as the page says it."""

    text: str
    done: bool


async def _outcome(acting: Awaitable[str]) -> Outcome:
    try:
        async with asyncio.timeout(ANSWER_WITHIN):
            return Outcome(await acting, done=True)
    except (Refused, NotAuthorized) as refused:
        return Outcome(f"Not done: {refused}.", done=False)
    except WorkflowUpdateFailedError as refused:
        return Outcome(getattr(refused.cause, "message", str(refused)), done=False)
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            return Outcome("Recorded. No case is open that waits for it.", done=True)
        return Outcome(LATER, done=False)
    except (RuntimeError, TimeoutError):
        return Outcome(LATER, done=False)


async def _corrected(to: To, agency_id: str, form: Mapping[str, str], visitor: Visitor) -> str:
    told = await correct_contact(
        to,
        agency_id,
        form.get("email", ""),
        form.get("right", ""),
        by=visitor.staff,
        reason=form.get("reason", ""),
    )
    return f"Corrected. Cases and rosters that waited for it: {len(told)}."


async def _assister_page(
    request: Request, training_id: str, visitor: Visitor, to: To, outcome: Outcome | None = None
) -> Response:
    found = (
        select(Affiliation, Mailbox.email)
        .join(Mailbox, col(Mailbox.id) == col(Affiliation.mailbox_id))
        .where(Affiliation.training_id == training_id)
        .order_by(col(Affiliation.sequence).desc())
    )
    async with to.database.snapshot() as session:
        rosters = (await session.exec(found)).all()
    if not rosters:
        raise HTTPException(404, "No roster has named this Training ID.")
    case = await case_of(to, training_id)
    settings = request.app.state.settings
    return page(
        request,
        "staff_assister.html",
        visitor=visitor,
        person=rosters[0][0],
        rosters=rosters,
        case=case,
        orders=[each for each in case.allowed if each not in OWN_FORMS] if case else [],
        link=case_link(settings.ui_url, to.client.namespace, assister_workflow_id(training_id)),
        outcome=outcome,
    )


async def _agency_page(
    request: Request, agency_id: str, visitor: Visitor, to: To, outcome: Outcome | None = None
) -> Response:
    found = select(Contact).where(Contact.agency_id == agency_id).order_by(col(Contact.name))
    async with to.database.snapshot() as session:
        known = await session.get(Agency, agency_id)
        contacts = (await session.exec(found)).all()
    if known is None:
        raise HTTPException(404, "There is no agency with this id.")
    return page(
        request,
        "staff_agency.html",
        visitor=visitor,
        agency=known,
        contacts=contacts,
        outcome=outcome,
    )
