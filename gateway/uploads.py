"""Files that programs and people send, on their way to the reader of tables."""

import asyncio
import codecs
import re
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

from fastapi import Request
from starlette.exceptions import HTTPException

from gateway.bodies import media_type
from gateway.turns import in_turn
from intake.files import UnreadableFile

CSV = "text/csv"
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
AT_ONCE = 2
"""Files parsed at the same time; the others wait, so that answers to small requests do not."""
ENCODINGS = (
    "utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "ascii",
    "cp1252", "iso8859-1", "mac-roman", "cp437", "cp850",
)  # fmt: skip
"""What spreadsheets and learning systems write."""
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
    """The encoding that the Content-Type names, or UTF-8.

    Raises:
        HTTPException: 415 for one in which no program exports. Python knows more, and one of them,
            punycode, takes hours for a file that is small enough.
    """
    named = CHARSET.search(request.headers.get("content-type", ""))
    try:
        encoding = codecs.lookup(named[1] if named else "utf-8").name
    except (LookupError, ValueError):
        encoding = ""
    if encoding not in ENCODINGS:
        raise HTTPException(415, f"charset: send the file in one of {', '.join(ENCODINGS)}")
    return "utf-8-sig" if encoding == "utf-8" else encoding


async def parsed(parse: Callable[[], ParsedT]) -> ParsedT:
    """What a parser makes of a file, beside everything else that is going on.

    Raises:
        HTTPException: 422 where the file cannot be read; it says what to do. 503 as for `in_turn`.
    """
    async with in_turn(_places):
        try:
            return await asyncio.to_thread(parse)
        except UnreadableFile as unreadable:
            raise HTTPException(422, str(unreadable)) from None
