"""Files that programs and people send, on their way to the reader of tables."""

import asyncio
import re
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

from fastapi import Request
from starlette.exceptions import HTTPException

from gateway.bodies import media_type
from intake.files import UnreadableFile

CSV = "text/csv"
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
AT_ONCE = 2
"""Files parsed at the same time; the others wait, so that answers to small requests do not."""
CHARSET = re.compile(r";\s*charset=\"?([\w.:-]+)\"?", re.IGNORECASE)

ParsedT = TypeVar("ParsedT")
_places = asyncio.Semaphore(AT_ONCE)


def file_body(example: str) -> dict[str, Any]:
    """The body of an operation that takes a file, for the OpenAPI document."""
    content = {
        CSV: {"schema": {"type": "string", "minLength": 1}, "example": example},
        XLSX: {"schema": {"type": "string", "format": "binary"}},
    }
    return {"requestBody": {"required": True, "content": content}}


@asynccontextmanager
async def file_of(request: Request, name: str) -> AsyncIterator[Path]:
    """The body as a file under a name of ours, for as long as the context is open.

    Raises:
        HTTPException: 415 for a body that does not say that it is CSV or XLSX.
    """
    if media_type(request) not in (CSV, XLSX):
        raise HTTPException(415, f"send the file itself, as Content-Type {CSV} or {XLSX}")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        with path.open("wb") as file:
            async for chunk in request.stream():
                file.write(chunk)
        yield path


def encoding_of(request: Request) -> str:
    """The encoding that the Content-Type names, or UTF-8."""
    named = CHARSET.search(request.headers.get("content-type", ""))
    return named[1] if named and named[1].lower() not in ("utf-8", "utf8") else "utf-8-sig"


async def parsed(parse: Callable[[], ParsedT]) -> ParsedT:
    """What a parser makes of a file, beside everything else that is going on.

    Raises:
        HTTPException: 422 where the file cannot be read; it says what to do.
    """
    async with _places:
        try:
            return await asyncio.to_thread(parse)
        except UnreadableFile as unreadable:
            raise HTTPException(422, str(unreadable)) from None
