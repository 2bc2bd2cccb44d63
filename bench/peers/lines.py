"""Reads the events of a door, line by line, and prints those that are stored."""

import asyncio
import sys
from collections.abc import Awaitable, Callable


async def serve(keep: Callable[[str, str], Awaitable[None]]) -> None:
    """Stores the events from standard input, many at once, until it ends."""
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
