"""The page that the activation mail links to, and the one for those who cannot find that mail.

To open a page changes nothing, because mail scanners open links, too. No address and no log holds a
registration number. No answer tells whether a person is on record.
"""

import asyncio
from datetime import UTC, datetime

from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from gateway.callers import To, client_address
from gateway.forms import form_of, only_from_our_pages
from gateway.pages import page
from policy.roster import TRAINING_ID
from portal.directory import ActivationRefused
from records.visits import may_try
from services.connections import Connections
from workflows.client import act
from workflows.contract import StaffAct, assister_workflow_id

router = APIRouter(prefix="/activate", include_in_schema=False)

MOST_OF_NUMBER = 10
"""The most tries per hour with one registration number."""
MOST_OF_ADDRESS = 100
"""The most tries per hour from one address: an agency's assisters may share one."""
MOST_OF_PERSON = 3
"""The most resends per hour for one Training ID; the case itself has a daily limit."""
TOO_MANY = "There were too many tries. Wait an hour, or contact the Assister Resource Center."
ANSWER_WITHIN = 20.0
"""Seconds for a case to accept an order."""

Sent = [Depends(only_from_our_pages)]


@router.get("")
async def ask(request: Request) -> Response:
    """The form for a registration number."""
    return page(request, "activate.html", mistake="")


@router.post("", dependencies=Sent)
async def activate(request: Request, to: To) -> Response:
    """Uses a registration number, once (clause 3.2). A worker tells the case within seconds."""
    number = (await form_of(request)).get("registration_number", "")
    plain = "".join(each for each in number.upper() if each.isalnum())
    if not plain:
        mistake = "Type the registration number from your activation mail."
        return page(request, "activate.html", 422, mistake=mistake)
    await _count(request, to, "activation", plain, MOST_OF_NUMBER)
    try:
        await to.portal.activate(number)
    except ActivationRefused as refused:
        return page(request, "activate.html", 422, mistake=str(refused))
    return page(request, "activated.html")


@router.get("/resend")
async def lost(request: Request) -> Response:
    """The form for those who cannot find their mail."""
    return page(request, "resend.html", mistake="")


@router.post("/resend", dependencies=Sent)
async def resend(request: Request, to: To) -> Response:
    """Asks for the activation mail again; it goes to the address on record (clause 3.1b).

    The answer is always the same, and does not wait for the case.
    """
    training_id = (await form_of(request)).get("training_id", "").strip().upper()
    if not TRAINING_ID.fullmatch(training_id):
        mistake = "A Training ID is seven letters or digits, such as NAV1001."
        return page(request, "resend.html", 422, mistake=mistake)
    await _count(request, to, "resend", training_id, MOST_OF_PERSON)
    request.app.state.errands.begin("resend", _resend(to, training_id))
    return page(request, "resend_asked.html")


async def _resend(to: Connections, training_id: str) -> None:
    order = StaffAct(by="assister", reason="asked for on the activation page")
    async with asyncio.timeout(ANSWER_WITHIN):
        await act(to.client, assister_workflow_id(training_id), "resend_activation", order)


async def _count(request: Request, to: To, what: str, subject: str, most: int) -> None:
    """Counts a try in the records, so that a restart or a second gateway does not lose the count.

    Raises:
        HTTPException: 429.
    """
    now = datetime.now(UTC)
    async with to.database.transaction() as session:
        few = await may_try(session, what, subject, most, now)
        here = client_address(request)
        few = await may_try(session, f"{what} from", here, MOST_OF_ADDRESS, now) and few
    if not few:
        raise HTTPException(429, TOO_MANY)
