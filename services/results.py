"""Results of certification records and learning centers."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from activities.results import tell_results
from intake.results import ResultVerdict
from policy.requirements import Fact
from records.inbox import AT_ONCE, Incoming, Receipt, receive, waiting_of
from services.connections import Connections

Progress = Callable[[int], None]
ENTERED = "entered"
"""The source of results that a person enters by a file or a command. Their event ids are a hash of
their content, so the same result entered twice counts once."""


def nothing(told: int) -> None:
    """Ignores the progress."""


async def import_results(
    to: Connections, verdicts: Sequence[ResultVerdict], progress: Progress = nothing
) -> list[Receipt]:
    """Records the accepted rows of an export, all or none, and tells their cases.

    Returns a receipt for each accepted row.
    """
    return await record_results(
        to,
        [
            Incoming(ENTERED, each.fact.event_id, each.training_id, each.fact)
            for each in verdicts
            if each.fact is not None
        ],
        progress,
    )


async def record_result(to: Connections, training_id: str, fact: Fact) -> Receipt:
    """Records one result and tells its case."""
    [receipt] = await record_results(to, [Incoming(ENTERED, fact.event_id, training_id, fact)])
    return receipt


async def record_results(
    to: Connections, events: Sequence[Incoming], progress: Progress = nothing
) -> list[Receipt]:
    """Records results, all or none, and tells their cases; a receipt for each.

    If the caller dies in between or Temporal does not answer, a worker tells the cases later.

    Args:
        progress: Called with the number of results whose cases have been told so far.
    """
    async with to.database.transaction() as session:
        receipts = await receive(await session.connection(), events, datetime.now(UTC))
    done = 0
    # A repeated result that still waits is told, too: the first attempt may have died.
    for start in range(0, len(events), AT_ONCE):
        async with to.database.snapshot() as session:
            untold = await waiting_of(session, events[start : start + AT_ONCE])
        told = await tell_results(to.database, to.client, to.task_queue, to.terms, untold)
        if untold and not told:
            break
        done += told
        progress(done)
    return receipts
