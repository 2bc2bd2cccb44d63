"""Sign-ins by a mailed link, the visits they begin, and how often something was tried.

A visit proves a mailbox and nothing more: what its holder may see is asked anew at each request.
Of links and cookies only hashes are kept.
"""

import hashlib
import hmac
import secrets
from datetime import datetime, timedelta

from sqlmodel import Field, SQLModel, col, delete
from sqlmodel.ext.asyncio.session import AsyncSession

from records.database import UtcDateTime, insert_into

LINK_WORKS = timedelta(minutes=15)
VISIT_LASTS = timedelta(hours=8)
SECRET_BYTES = 32


class SignIn(SQLModel, table=True):
    """A link that was mailed, or would have been if the address were known.

    Attributes:
        id: SHA-256 of the link's token.
        browser: SHA-256 of the cookie of the browser that asked: only there does the link work.
    """

    id: str = Field(primary_key=True)
    mailbox_key: str
    browser: str
    ends_at: datetime = Field(sa_type=UtcDateTime, index=True)
    used: bool = False


class Visit(SQLModel, table=True):
    """A browser in which somebody has signed in.

    Attributes:
        id: SHA-256 of its cookie.
    """

    id: str = Field(primary_key=True)
    mailbox_key: str
    ends_at: datetime = Field(sa_type=UtcDateTime, index=True)


class Tries(SQLModel, table=True):
    """How often something was tried in a period.

    Attributes:
        subject: SHA-256 of what or who is counted.
    """

    what: str = Field(primary_key=True)
    subject: str = Field(primary_key=True)
    period: datetime = Field(sa_type=UtcDateTime, primary_key=True)
    count: int


def digest(secret: str) -> str:
    """What is kept of a token or cookie."""
    return hashlib.sha256(secret.encode()).hexdigest()


async def make_link(session: AsyncSession, mailbox: str, browser: str, now: datetime) -> str:
    """The token of a link with which this browser can sign in."""
    await session.exec(delete(SignIn).where(col(SignIn.ends_at) < now))
    token = secrets.token_urlsafe(SECRET_BYTES)
    session.add(
        SignIn(
            id=digest(token), mailbox_key=mailbox, browser=digest(browser), ends_at=now + LINK_WORKS
        )
    )
    return token


async def use_link(session: AsyncSession, token: str, browser: str, now: datetime) -> str | None:
    """Begins a visit and returns its cookie; None if the link is used, ended or not this browser's.

    One that is tried in another browser stays usable in its own.
    """
    link = await session.get(SignIn, digest(token), with_for_update=True)
    if link is None or link.used or now >= link.ends_at:
        return None
    if not hmac.compare_digest(link.browser, digest(browser)):
        return None
    link.used = True
    session.add(link)
    await session.exec(delete(Visit).where(col(Visit.ends_at) < now))
    return begin_visit(session, link.mailbox_key, now)


def begin_visit(session: AsyncSession, mailbox: str, now: datetime) -> str:
    """Begins a visit of somebody whose mailbox is proven; returns its cookie."""
    cookie = secrets.token_urlsafe(SECRET_BYTES)
    session.add(Visit(id=digest(cookie), mailbox_key=mailbox, ends_at=now + VISIT_LASTS))
    return cookie


async def visiting(session: AsyncSession, cookie: str, now: datetime) -> str | None:
    """The mailbox that was proven in this browser; None if none was, or it is too long ago."""
    visit = await session.get(Visit, digest(cookie))
    return visit.mailbox_key if visit is not None and now < visit.ends_at else None


async def end_visit(session: AsyncSession, cookie: str) -> None:
    """Signs out."""
    await session.exec(delete(Visit).where(col(Visit.id) == digest(cookie)))


async def end_visits(session: AsyncSession, mailbox: str) -> None:
    """Signs the holder of a mailbox out everywhere; links that were not used yet are void."""
    await session.exec(delete(Visit).where(col(Visit.mailbox_key) == mailbox))
    await session.exec(delete(SignIn).where(col(SignIn.mailbox_key) == mailbox))


async def may_try(session: AsyncSession, what: str, subject: str, most: int, now: datetime) -> bool:
    """Counts one more try; whether it is among the first ``most`` of this hour.

    One statement, so that tries at the same moment are all counted.
    """
    hour = _hour(now)
    insert = insert_into(Tries, session.get_bind().dialect.name)
    values = insert.values(what=what, subject=digest(subject), period=hour, count=1)
    counted = values.on_conflict_do_update(
        index_elements=["what", "subject", "period"], set_={"count": col(Tries.count) + 1}
    ).returning(col(Tries.count))
    connection = await session.connection()
    count: int = (await connection.execute(counted)).scalar_one()
    if count == 1:
        await session.exec(delete(Tries).where(col(Tries.period) < hour - timedelta(hours=1)))
    return count <= most


def _hour(now: datetime) -> datetime:
    return now.replace(minute=0, second=0, microsecond=0)
