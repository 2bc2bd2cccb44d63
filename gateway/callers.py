"""Authenticating programs by their key, before any of the body is read."""

import base64
import ipaddress
from datetime import UTC, datetime
from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.exceptions import HTTPException

from records.keys import ApiKey, Kind, key_sent
from records.tables import Contact
from services.connections import Connections

_bearer = HTTPBearer(
    auto_error=False,
    scheme_name="key",
    description="A key that `starter.py keys create` made: `Authorization: Bearer …`.",
)
Sent = Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]


def connections(request: Request) -> Connections:
    """The app's connections."""
    made: Connections = request.app.state.connections
    return made


# FastAPI runs a dependency that is not async in a thread of its own, which costs more than this.
async def _connections(request: Request) -> Connections:
    return connections(request)


To = Annotated[Connections, Depends(_connections)]


async def _key(request: Request, to: To, sent: Sent) -> ApiKey:
    return await _known(request, to, sent.credentials if sent else "")


async def _known(request: Request, to: Connections, sent: str) -> ApiKey:
    key = None
    # Inside Basic there may be any character; PostgreSQL does not look for a text with NUL.
    if sent.isprintable():
        async with to.database.snapshot() as session:
            key = await key_sent(session, sent, datetime.now(UTC))
    if key is None:
        raise HTTPException(401, "a key is needed that works", {"WWW-Authenticate": "Bearer"})
    request.scope["caller"] = key.id
    return key


async def _source(key: Annotated[ApiKey, Depends(_key)]) -> str:
    if key.kind != Kind.TRAINING:
        raise HTTPException(403, "this key is not a training system's")
    return key.holder


Source = Annotated[str, Depends(_source)]
"""The training system that calls."""


async def _source_or_basic(request: Request, to: To) -> str:
    """As xAPI clients send it: Basic, with the part before the key's dot as the user name."""
    scheme, _, sent = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "basic":
        try:
            sent = base64.b64decode(sent, validate=True).decode().replace(":", ".", 1)
        except ValueError:
            sent = ""
    elif scheme.lower() != "bearer":
        sent = ""
    return await _source(await _known(request, to, sent))


SourceOrBasic = Annotated[str, Depends(_source_or_basic)]
"""The training system that calls, by a key sent as Bearer or Basic."""


async def _agency(key: Annotated[ApiKey, Depends(_key)], to: To) -> Contact:
    if key.kind != Kind.AGENCY:
        raise HTTPException(403, "this key is not an agency's")
    async with to.database.snapshot() as session:
        contact = await session.get(Contact, key.contact_id)
    if contact is None or contact.agency_id != key.holder or contact.revoked_at is not None:
        raise HTTPException(403, "the contact of this key is no longer authorized (policy 1)")
    return contact


AgencyProgram = Annotated[Contact, Depends(_agency)]
"""The authorized contact for whom an agency's program calls (clause 1)."""


def client_address(request: Request) -> str:
    """The caller's address; for IPv6 the network, which is one household or office."""
    host = request.client.host if request.client else ""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    # A socket that takes both kinds says an IPv4 address so; its /64 would be all of them.
    if mapped := getattr(address, "ipv4_mapped", None):
        return str(mapped)
    if address.version == 4:
        return host
    return str(ipaddress.ip_network(f"{address}/64", strict=False))
