"""Reading signed events and checking who signed them (Standard Webhooks 1.0.0)."""

from collections.abc import Container, Iterable, Mapping
from datetime import datetime
from typing import Any, NamedTuple, TypeVar

import structlog
from fastapi import Request
from pydantic import TypeAdapter, ValidationError
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.exceptions import HTTPException

from gateway.bodies import media_type, small_body
from gateway.strict_json import BadJson, loads
from intake.webhooks import Envelope, Unsigned, open_envelope, secret_bytes
from records.keys import Kind, signing_secret, working_keys
from services import mistakes

EventT = TypeVar("EventT")

MOST = 64 * 2**10
"""Bytes of an event."""


class SentEvent(NamedTuple):
    """An event as it came; nobody has looked yet at who signed it."""

    envelope: Envelope
    body: bytes


def described_signed(schema: dict[str, Any], example: dict[str, Any]) -> dict[str, Any]:
    """The OpenAPI description of such a request."""
    header = {"in": "header", "required": True, "schema": {"type": "string"}}
    content = {"application/json": {"schema": schema, "example": example}}
    return {
        "requestBody": {"required": True, "content": content},
        "parameters": [
            header | {"name": f"webhook-{each}"} for each in ("id", "timestamp", "signature")
        ],
    }


def read_signed(body: bytes, events: TypeAdapter[EventT], types: Container[str]) -> EventT | None:
    """The event; None if its type is not one of these.

    Raises:
        HTTPException: 400 unless it is JSON, 422 if it is not what its type says.
    """
    try:
        sent = loads(body)
        if not isinstance(sent, Mapping) or not isinstance(sent.get("type"), str):
            raise HTTPException(422, "an event is an object with a type")
        return events.validate_python(sent) if sent["type"] in types else None
    except BadJson as bad:
        raise HTTPException(400, str(bad)) from None
    except ValidationError as error:
        raise HTTPException(422, mistakes(error)) from None


async def sent_event(request: Request, now: datetime) -> SentEvent:
    """Reads an event, its headers before its body.

    Raises:
        HTTPException: 401 unless it has a signature that is fresh, 415, 413.
    """
    try:
        envelope = open_envelope(request.headers, now)
    except Unsigned as unsigned:
        raise _refused(unsigned) from None
    if media_type(request) != "application/json":
        raise HTTPException(415, "send application/json")
    return SentEvent(envelope, await small_body(request, MOST, "an event has at most 64 KB"))


async def signer(
    connection: AsyncConnection,
    request: Request,
    sent: SentEvent,
    kind: Kind,
    now: datetime,
    given: Iterable[tuple[str, str]] = (),
) -> str:
    """Whose secret signed an event.

    Args:
        kind: The kind of keys that may sign.
        given: Further secrets that may sign, with their owners.

    Raises:
        HTTPException: 401 unless a secret that works has signed it.
    """
    made = [
        (holder, signing_secret(request.app.state.secret, key_id))
        for key_id, holder in await working_keys(connection, kind, now)
    ]
    secrets = [(source, secret_bytes(each)) for source, each in [*made, *given]]
    try:
        source = sent.envelope.signer(sent.body, secrets)
    except Unsigned as unsigned:
        raise _refused(unsigned) from None
    request.scope["caller"] = source
    return source


def _refused(unsigned: Unsigned) -> HTTPException:
    structlog.get_logger().warning("event refused", reason=str(unsigned))
    return HTTPException(401, str(unsigned))
