"""Work beside the requests: no answer waits for it, and no answer's time depends on it."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import structlog


class Errands:
    """Work that requests begin and that outlives them."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def begin(self, what: str, work: Coroutine[Any, Any, object]) -> None:
        """Begins the work; if it fails, it is logged, and the person has to ask again."""
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
        # Only the error's type: its text may repeat an address.
        structlog.get_logger().warning("errand failed", what=what, fault=type(fault).__name__)
