"""Asking the assisters' cases, for answers that must not wait for them."""

import asyncio
from collections.abc import Sequence

from starlette.exceptions import HTTPException
from temporalio.service import RPCError

from bootstrap import arc_holidays
from gateway.turns import in_turn
from policy.requirements import AssisterType
from policy.roster import Row
from services.checking import Checked, check_roster
from services.connections import Connections
from workflows.client import case_status
from workflows.contract import Status

ANSWER_WITHIN = 10.0
"""Seconds for a case to answer."""
CHECK_WITHIN = 120.0
"""Seconds for the check of a roster, which asks the case of each row."""
LATER = "The assisters' cases cannot be asked now. Try again in a few minutes."
_places = asyncio.Semaphore(4)
"""For checks: each holds a connection to the records while it asks the cases."""


async def case_of(to: Connections, training_id: str) -> Status | None:
    """The case; None if there is none or it does not answer: the page shows the rest."""
    try:
        async with asyncio.timeout(ANSWER_WITHIN):
            return await case_status(to.client, training_id)
    except (RPCError, RuntimeError, TimeoutError):
        return None


async def checked(
    to: Connections, rows: Sequence[Row], agency_id: str, roster_type: AssisterType
) -> Checked:
    """A roster's verdicts, and what would happen if it were submitted now.

    Raises:
        HTTPException: 503 if the cases cannot be asked, or too many checks are under way.
    """
    try:
        async with in_turn(_places), asyncio.timeout(CHECK_WITHIN):
            return await check_roster(
                to, rows, agency_id=agency_id, roster_type=roster_type, holidays=arc_holidays()
            )
    except (RPCError, RuntimeError, TimeoutError):
        raise HTTPException(503, LATER) from None
