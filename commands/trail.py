"""The audit trail."""

import re
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter
from pydantic import BaseModel

from commands import console
from commands.session import Json, ThisAssister, print_json, session, training_id_of
from records import audit
from services import Refused
from workflows.contract import assister_workflow_id

app = App(name="audit", help="The audit trail: every act in a case.")


class Heads(BaseModel):
    """The part of `audit verify --json` that is read again."""

    heads: dict[str, str]


@app.command(name="show")
async def audit_show(training_id: ThisAssister, *, json: Json = False) -> None:
    """Show every act in an assister's case: when, what, by whom, and on which clause.

    Example: starter.py audit show NAV1001
    """
    async with session() as here, here.database.snapshot() as records:
        entries = await audit.entries_of(records, assister_workflow_id(training_id_of(training_id)))
    if json:
        print_json([each.model_dump(mode="json") for each in entries])
        return
    rows = [(e.sequence, e.at, e.act, e.by, e.clause, e.details) for e in entries]
    columns = ("", "at", "act", "by", "policy", "details")
    console.out.print(console.table(f"Audit trail of {training_id}", columns, rows))


@app.command(name="verify")
async def audit_verify(
    *,
    heads: Annotated[
        Path | None, Parameter(help="The file of an earlier `audit verify --json`, to compare.")
    ] = None,
    head: Annotated[
        str, Parameter(help="A check value (head) that a worker wrote to its log.")
    ] = "",
    json: Json = False,
) -> None:
    """Check that no entry was altered, removed or inserted.

    The trail itself cannot show that the newest entries of a case, or all of them, were removed, or
    that somebody wrote a case anew with fitting hashes. So keep the heads elsewhere,
    `audit verify --json > heads.json`, and compare later: `audit verify --heads heads.json`.

    A worker logs a head for the whole trail four times a day. `audit verify --head 1234-5e1f…`
    says whether everything up to then is still there, but not which case is at fault.
    """
    kept = _read_heads(heads) if heads else None
    if head and not re.fullmatch("[0-9]{1,18}-[0-9a-f]{64}", head):
        raise Refused(f"{head} is no head of the trail: a number, a hyphen and 64 digits")
    async with session() as here, here.database.snapshot(streams=True) as records:
        found = await audit.verify(records, kept)
        if head and not await audit.holds(records, head):
            found.breaks.append(audit.Break("", 0, "not all of what the head names is as it was"))
    if json:
        breaks = [each._asdict() for each in found.breaks]
        print_json({"entries": found.entries, "heads": found.heads, "breaks": breaks})
    elif found.breaks:
        rows = [tuple(each) for each in found.breaks]
        console.out.print(console.table("Breaks", ("case", "entry", "problem"), rows))
    else:
        newest = list(found.heads.items())
        console.out.print(console.table("Heads", ("case", "hash of the newest entry"), newest))
        console.out.print(f"{found.entries} entries: every chain holds.")
    if found.breaks:
        raise Refused(f"The trail is broken in {len(found.breaks)} places.")


def _read_heads(path: Path) -> dict[str, str]:
    """The heads that `audit verify --json` printed."""
    try:
        # To read a device could take for ever.
        text = path.read_text() if path.is_file() else ""
        return Heads.model_validate_json(text).heads
    except (OSError, ValueError):
        raise Refused(f"{path} is not what `audit verify --json` printed") from None
