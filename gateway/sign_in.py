"""Signing in by a mailed link: for contacts of agencies and for staff.

The link works once, for fifteen minutes, in the browser that asked. To open it changes nothing,
because mail scanners open links: the button on its page signs in. Neither an answer nor its time
tells whether an address is known.
"""

import secrets
from datetime import UTC, datetime

from fastapi import APIRouter, Depends, Request
from fastapi.responses import RedirectResponse, Response
from starlette.exceptions import HTTPException

from gateway.callers import To, client_address
from gateway.forms import form_of, only_from_our_pages, visitors_form
from gateway.pages import page
from gateway.post import send_mail
from gateway.visitors import (
    SignedIn,
    cookie_of,
    rights_of,
    set_cookie,
    set_visit,
)
from policy.addresses import BadAddress, clean_address, mailbox_key
from records.visits import LINK_WORKS, end_visit, make_link, may_try, use_link

router = APIRouter(include_in_schema=False)

MOST_OF_MAILBOX = 5
MOST_OF_ADDRESS = 30
"""The most links per hour asked from one address: an agency may share one."""
SUBJECT = "Your link to sign in"
TEXT = """\
Somebody, most likely you, asked to sign in to MNsure assister portal access with this address.

Open this link in the browser in which you asked, within 15 minutes: {link}

If you did not ask, ignore this mail: the link works in no other browser.
"""


@router.get("/sign-in")
async def ask(request: Request) -> Response:
    """The form that asks for an address."""
    return page(request, "sign_in.html", mistake="", email="")


@router.post("/sign-in", dependencies=[Depends(only_from_our_pages)])
async def send_link(request: Request, to: To) -> Response:
    """Mails a link if the address is a contact's or staff's; the answer is always the same."""
    email = (await form_of(request)).get("email", "")
    try:
        address = clean_address(email)
    except BadAddress as bad:
        return page(request, "sign_in.html", 422, mistake=f"This address {bad}.", email=email)
    mailbox = mailbox_key(address)
    browser = cookie_of(request, "browser") or secrets.token_urlsafe(32)
    now = datetime.now(UTC)
    async with to.database.transaction() as session:
        asked = await may_try(
            session, "sign in from", client_address(request), MOST_OF_ADDRESS, now
        )
        few = await may_try(session, "sign in as", mailbox, MOST_OF_MAILBOX, now)
        token = await make_link(session, mailbox, browser, now)
        rights = await rights_of(session, request.app.state.settings, mailbox)
    if not asked:
        raise HTTPException(429, "Too many links were asked for. Try again in an hour.")
    recipient = next((each.email for each in rights.contacts), rights.staff)
    if recipient and few:
        state = request.app.state
        text = TEXT.format(link=f"{state.settings.gateway_url}/sign-in/{token}")
        mail = send_mail(state.transport, state.settings, recipient, SUBJECT, text)
        state.errands.begin("sign-in mail", mail)
    answer = page(request, "sign_in_sent.html")
    set_cookie(request, answer, "browser", browser, int(LINK_WORKS.total_seconds()))
    return answer


@router.get("/sign-in/{token}")
async def open_link(request: Request, token: str) -> Response:
    """The page that a link opens. It changes nothing."""
    del token
    return page(request, "sign_in_link.html", mistake=False)


@router.post("/sign-in/{token}", dependencies=[Depends(only_from_our_pages)])
async def use(request: Request, token: str, to: To) -> Response:
    """Signs in, once."""
    async with to.database.transaction() as session:
        cookie = await use_link(session, token, cookie_of(request, "browser"), datetime.now(UTC))
        if cookie is not None:
            await end_visit(session, cookie_of(request, "visit"))
    if cookie is None:
        return page(request, "sign_in_link.html", 403, mistake=True)
    answer = RedirectResponse("/home", 303)
    set_visit(request, answer, cookie)
    return answer


@router.get("/home")
async def home(request: Request, visitor: SignedIn) -> Response:
    """The pages that somebody who has signed in can open."""
    places = [f"/agencies/{each.agency_id}" for each in visitor.contacts]
    places += ["/staff"] if visitor.staff else []
    if len(places) == 1:
        return RedirectResponse(places[0], 303)
    return page(request, "home.html", visitor=visitor)


@router.post("/sign-out", dependencies=[Depends(only_from_our_pages)])
async def sign_out(request: Request, visitor: SignedIn, to: To) -> Response:
    """Ends the visit."""
    await visitors_form(request, visitor.token)
    async with to.database.transaction() as session:
        await end_visit(session, cookie_of(request, "visit"))
    return RedirectResponse("/sign-in", 303)
