"""Asking an assister's case, for a page that must not wait for it."""

import asyncio

from temporalio.service import RPCError

from services.connections import Connections
from workflows.client import case_status
from workflows.contract import Status

ANSWER_WITHIN = 10.0
"""Seconds for a case to answer."""


async def case_of(to: Connections, training_id: str) -> Status | None:
    """The case; None if there is none or it does not answer: the page shows the rest."""
    try:
        async with asyncio.timeout(ANSWER_WITHIN):
            return await case_status(to.client, training_id)
    except (RPCError, RuntimeError, TimeoutError):
        return None
