"""Who calls: programs by their key. Asked before a byte of the body is read."""

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
    """What the app has connected to."""
    made: Connections = request.app.state.connections
    return made


To = Annotated[Connections, Depends(connections)]


async def _key(request: Request, to: To, sent: Sent) -> ApiKey:
    key = None
    if sent is not None:
        async with to.database.snapshot() as session:
            key = await key_sent(session, sent.credentials, datetime.now(UTC))
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


async def _agency(key: Annotated[ApiKey, Depends(_key)], to: To) -> Contact:
    if key.kind != Kind.AGENCY:
        raise HTTPException(403, "this key is not an agency's")
    async with to.database.snapshot() as session:
        contact = await session.get(Contact, key.contact_id)
    if contact is None or contact.agency_id != key.holder:
        raise HTTPException(403, "the contact of this key is no longer authorized (policy 1)")
    return contact


AgencyProgram = Annotated[Contact, Depends(_agency)]
"""The authorized contact for whom an agency's program calls (clause 1)."""


def client_address(request: Request) -> str:
    """From where somebody calls; of IPv6 the network, which is one household or office."""
    host = request.client.host if request.client else ""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    if address.version == 4:
        return host
    return str(ipaddress.ip_network(f"{address}/64", strict=False))
