"""A door's lines: each event read, kept, and said to be."""

import asyncio
import sys
from collections.abc import Awaitable, Callable


async def serve(keep: Callable[[str, str], Awaitable[None]]) -> None:
    """Keeps every event that comes in, many at once, until there are no more."""
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)

    async def one(line: str) -> None:
        person, event = line.split()
        await keep(person, event)
        print(line, flush=True)

    async with asyncio.TaskGroup() as group:
        async for line in reader:
            group.create_task(one(line.decode().strip()))
