"""POST /portal/events: what happened to an account in the directory that keeps it, as signed
events.

Before it answers 202, an activation is in the portal's tables and a closing in the inbox. The
worker tells the case.
"""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal

import structlog
from fastapi import APIRouter, Request
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, TypeAdapter
from starlette.exceptions import HTTPException

from gateway.callers import To
from gateway.problems import described
from gateway.signed import described_signed, read_signed, sent_event, signer
from gateway.training_events import Received, When
from policy.requirements import TrainingId
from portal.directory import ActivationRefused
from records.inbox import AccountClosed, Incoming, Receipt, receive
from records.keys import Kind

router = APIRouter(tags=["the portal"])

CLOCKS = timedelta(minutes=5)
"""How far ahead the portal's clock may be."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Used(_Strict):
    """Which of the assister's registration numbers was used, counted from 1."""

    training_id: TrainingId
    registration: Annotated[int, Field(ge=1, le=1_000_000, strict=True)]


class Ended(_Strict):
    """Whose account was closed."""

    training_id: TrainingId


class ActivatedEvent(_Strict):
    """`account.activated`"""

    type: Literal["account.activated"]
    timestamp: When
    data: Used


class ClosedEvent(_Strict):
    """`account.closed`"""

    type: Literal["account.closed"]
    timestamp: When
    data: Ended


Event = Annotated[ActivatedEvent | ClosedEvent, Field(discriminator="type")]
TYPES = ("account.activated", "account.closed")
_events: TypeAdapter[Event] = TypeAdapter(Event)

EXAMPLE = {
    "type": "account.activated",
    "timestamp": "2026-11-02T15:04:00-06:00",
    "data": {"training_id": "NAV1001", "registration": 1},
}


@router.post(
    "/portal/events",
    status_code=202,
    summary="Say that an account was activated or closed, as a signed event",
    responses=described(400, 401, 408, 409, 413, 415, 422, 503),
    openapi_extra=described_signed(_events.json_schema(), EXAMPLE),
)
async def portal_events(request: Request, to: To) -> Received:
    """Signed as Standard Webhooks 1.0.0 says. Send it again until it is answered: a repetition
    changes nothing. An event of a type that is not listed is answered 202 and ignored.
    """
    now = datetime.now(UTC)
    sent = await sent_event(request, now)
    async with to.database.statements() as connection:
        source = await signer(connection, request, sent, Kind.PORTAL, now)
    event = read_event(sent.body)
    if event is None:
        return Received(status="ignored")
    at = happened(event.timestamp, now)
    if isinstance(event, ActivatedEvent):
        try:
            new = await to.portal.was_activated(event.data.training_id, event.data.registration, at)
        except ActivationRefused as refused:
            structlog.get_logger().warning("activation refused", reason=str(refused))
            raise HTTPException(409, str(refused)) from None
        return Received(status="recorded" if new else "repeated")
    identity = sent.envelope.id
    closed = AccountClosed(event_id=f"{source}:{identity}", occurred_at=at)
    incoming = Incoming(source, identity, event.data.training_id, closed)
    async with to.database.statements() as connection:
        [receipt] = await receive(connection, [incoming], now)
    if receipt is Receipt.CONFLICT:
        raise HTTPException(409, "this webhook-id came before, with other content")
    return Received(status="recorded" if receipt is Receipt.NEW else "repeated")


def read_event(body: bytes) -> Event | None:
    """The event; None if its type is not one of ours."""
    return read_signed(body, _events, TYPES)


def happened(timestamp: AwareDatetime, now: datetime) -> datetime:
    """When it happened by the portal's clock, but not later than now."""
    if timestamp > now + CLOCKS:
        raise HTTPException(422, "timestamp: lies in the future")
    return min(timestamp, now)
