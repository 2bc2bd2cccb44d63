"""Places for work that takes long, so that it cannot hold up everything else."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.exceptions import HTTPException

WAITS = 60.0
"""Seconds for which a request waits for a place."""


@asynccontextmanager
async def in_turn(places: asyncio.Semaphore) -> AsyncIterator[None]:
    """Does long work when one of the places is free.

    Raises:
        HTTPException: 503 if none becomes free.
    """
    try:
        async with asyncio.timeout(WAITS):
            await places.acquire()
    except TimeoutError:
        raise HTTPException(503, "Others are being served. Try again in a minute.") from None
    try:
        yield
    finally:
        places.release()
