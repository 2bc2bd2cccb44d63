"""Small bodies, read whole: forms, events, statements. Files go to the disk (`gateway.uploads`)."""

from fastapi import Request
from starlette.exceptions import HTTPException


def media_type(request: Request) -> str:
    """What the body says that it is, without parameters and in lower case; empty for nothing."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


async def small_body(request: Request, most: int, too_large: str) -> bytes:
    """The body, if it has at most ``most`` bytes.

    Raises:
        HTTPException: 413, with ``too_large``; the rest is not read.
    """
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > most:
            raise HTTPException(413, too_large)
    return body
