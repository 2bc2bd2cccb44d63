"""Who calls: programs by their key. Asked before a byte of the body is read."""

from datetime import UTC, datetime
from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.exceptions import HTTPException

from records.keys import ApiKey, Kind, key_sent
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
