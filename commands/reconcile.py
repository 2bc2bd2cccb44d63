"""Cases compared with the portal and the outbox, after a restore."""

from contextlib import suppress
from datetime import datetime
from typing import Annotated

from cyclopts import Parameter
from pydantic import AwareDatetime, TypeAdapter
from temporalio.client import WorkflowQueryFailedError
from temporalio.service import RPCError

from commands import console
from commands.session import Json, answered_unless_busy, print_json, session
from services import Refused
from services.connections import Connections
from services.reconcile import Found, Told, compare, tell_again, told_since
from services.reconcile import repair as repair_all
from workflows.lists import CASES

Since = Annotated[
    datetime | None,
    Parameter(help="The moment to which Temporal was restored, with an offset."),
]
Repairs = Annotated[
    bool, Parameter(negative="", show_default=False, help="Carry out what the last column says.")
]


async def reconcile(*, since: Since = None, repair: Repairs = False, json: Json = False) -> None:
    """Compare every case with the portal and the outbox, and show what differs.

    Run it after a restore of Temporal or of the records, once workers run again. If Temporal is the
    older one, --since also counts the results and rosters that reached cases after that moment, and
    --repair sends them again. Exit code 1: something differs.

    Example: starter.py reconcile --since 2026-12-01T02:00-06:00 --repair
    """
    if since is not None:
        since = TypeAdapter(AwareDatetime).validate_python(since)
    async with session() as here:
        to = await here.connections()
        await _find_worker(to)
        told = await told_since(to, since) if since else Told(0, [])
        if repair and since:
            await tell_again(to, since)
        found = await compare(to)
        left = found
        if repair:
            await repair_all(to, found)
            left = await compare(to)
    if json:
        print_json(
            {
                "compared": found.compared,
                "differences": [each._asdict() for each in found.differences],
                "mails": [each._asdict() for each in found.mails],
                "told_since": told._asdict(),
                "left": len(left.differences) + len(left.mails),
            }
        )
    else:
        _show(found, told)
    if left.differences or left.mails:
        raise Refused(
            "Some still differ: run it again to see which, and look at those cases."
            if repair
            else "Something differs. --repair does what stands in the last column."
        )


async def _find_worker(to: Connections) -> None:
    """Asks one case, whose answer does not matter: without a worker each would be waited for.

    Raises:
        Refused: If no worker answers.
    """
    own = f"{CASES} AND TaskQueue = '{to.task_queue}'"
    async for each in to.client.list_workflows(own, limit=1):
        asking = to.client.get_workflow_handle(each.id).query("snapshot")
        with suppress(RPCError, WorkflowQueryFailedError):
            await answered_unless_busy(to, asking, "Nothing was done. ")


def _show(found: Found, told: Told) -> None:
    if found.differences:
        columns = ("Training ID", "the case says", "the portal says", "repair")
        title = f"{len(found.differences)} of {found.compared} cases differ"
        console.out.print(console.table(title, columns, found.differences))
    if found.mails:
        title = f"{len(found.mails)} mails that no case sends; repair: given up, in doubt"
        console.out.print(console.table(title, ("mail", "kind", "state"), found.mails))
    if told.results or told.rosters:
        console.out.print(
            f"Since then, and sent again with --repair: {told.results} results,"
            f" {len(told.rosters)} rosters."
        )
    if not found.differences and not found.mails:
        console.out.print(f"{found.compared} cases compared: all agree.")
