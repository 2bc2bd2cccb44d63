"""What goes on beside the requests: an answer never waits for it, nor tells how long it took."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import structlog


class Errands:
    """Work that was begun by requests and outlives them."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def begin(self, what: str, work: Coroutine[Any, Any, object]) -> None:
        """Begins it; where it fails, the log says so and whoever asked asks again."""
        task = asyncio.create_task(_logged(what, work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Waits for what was begun."""
        await asyncio.gather(*self._tasks)


async def _logged(what: str, work: Coroutine[Any, Any, object]) -> None:
    try:
        await work
    except Exception as fault:
        # Its kind only: the text may repeat an address.
        structlog.get_logger().warning("errand failed", what=what, fault=type(fault).__name__)
