"""Who visits: people who have signed in, and what they may see. Asked at every request."""

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, NamedTuple

from fastapi import Depends, Request
from fastapi.responses import Response
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession
from starlette.exceptions import HTTPException

from gateway.callers import To
from policy.addresses import mailbox_key
from records.tables import Contact
from records.visits import VISIT_LASTS, visiting
from settings import Settings


@dataclass(frozen=True)
class Visitor:
    """Somebody who has signed in.

    Attributes:
        contacts: The agencies for which they are an authorized contact.
        staff: Their address if they are staff, else empty.
        token: What every form of this visit carries.
    """

    contacts: Sequence[Contact]
    staff: str
    token: str

    def contact_of(self, agency_id: str) -> Contact:
        """Themselves, as the agency's contact.

        Raises:
            HTTPException: 404, for agencies that there are as for others.
        """
        for contact in self.contacts:
            if contact.agency_id == agency_id:
                return contact
        raise HTTPException(404, "There is no such page for you.")


def cookie_name(settings: Settings, name: str) -> str:
    """The name under which a browser binds a cookie to this host, where it can."""
    return f"__Host-{name}" if _https(settings) else name


def set_cookie(request: Request, answer: Response, name: str, value: str, seconds: int) -> None:
    """Gives a browser a cookie that no script reads. Lax: a link in a mail must find it."""
    settings: Settings = request.app.state.settings
    answer.set_cookie(
        cookie_name(settings, name),
        value,
        max_age=seconds,
        secure=_https(settings),
        httponly=True,
        samesite="lax",
    )


def cookie_of(request: Request, name: str) -> str:
    """The cookie that a browser sent, or an empty text."""
    return request.cookies.get(cookie_name(request.app.state.settings, name), "")


def set_visit(request: Request, answer: Response, cookie: str) -> None:
    """Lets the browser keep its visit."""
    set_cookie(request, answer, "visit", cookie, int(VISIT_LASTS.total_seconds()))


class Rights(NamedTuple):
    """What a mailbox gives its holder.

    Attributes:
        contacts: The agencies for which they are an authorized contact.
        staff: Their address if they are staff, else empty.
    """

    contacts: Sequence[Contact]
    staff: str

    def __bool__(self) -> bool:
        return bool(self.contacts or self.staff)


async def rights_of(session: AsyncSession, settings: Settings, mailbox: str) -> Rights:
    """What the holder of a mailbox may see by now."""
    found = select(Contact).where(Contact.mailbox_key == mailbox, col(Contact.revoked_at).is_(None))
    contacts = (await session.exec(found.order_by(Contact.agency_id))).all()
    staff = next((each for each in settings.staff if mailbox_key(each) == mailbox), "")
    return Rights(contacts, staff)


async def _visitor(request: Request, to: To) -> Visitor:
    cookie = cookie_of(request, "visit")
    rights = Rights([], "")
    async with to.database.snapshot() as session:
        if mailbox := await visiting(session, cookie, datetime.now(UTC)):
            rights = await rights_of(session, request.app.state.settings, mailbox)
    if not rights:
        # Never signed in, too long ago, or no longer anybody's contact.
        raise HTTPException(303, "Sign in first.", {"Location": "/sign-in"})
    token = hmac.digest(cookie.encode(), b"form", hashlib.sha256).hex()
    return Visitor(rights.contacts, rights.staff, token)


def _https(settings: Settings) -> bool:
    return settings.gateway_url.startswith("https://")


SignedIn = Annotated[Visitor, Depends(_visitor)]
"""Whoever has signed in; others are sent to the sign-in page."""


async def _contact(agency_id: str, visitor: SignedIn) -> Contact:
    return visitor.contact_of(agency_id)


AgencyContact = Annotated[Contact, Depends(_contact)]
"""The visitor as the authorized contact of the agency in the path (clauses 1, 3.3)."""
