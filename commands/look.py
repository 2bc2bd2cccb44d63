"""Looking: cases, lists, the reference number, the audit trail."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter
from pydantic import BaseModel, TypeAdapter
from rich.console import Group
from rich.live import Live
from temporalio.client import WorkflowExecution

from bootstrap import make_portal
from commands import console
from commands.session import LOOK, By, Json, print_json, session, training_id_of
from policy.case import Stage
from policy.requirements import AgencyId
from records import audit
from services import Refused
from services.find import find
from services.lookup import look_up
from workflows import search_attributes
from workflows.client import case_status
from workflows.contract import ASSISTER_ACCESS, assister_workflow_id
from workflows.lists import CASES, case_link, link, ready_made


class Heads(BaseModel):
    """What is read again of what `audit verify --json` printed."""

    heads: dict[str, str]


app = App()
trail = App(name="audit", help="The audit trail of every act.", group=LOOK)


WATCH_PAUSE = 1.0
"""Seconds between two looks at a case."""


@app.command(group=LOOK)
async def status(training_id: str, *, json: Json = False) -> None:
    """Show what a case waits for, who must act, and by when."""
    training_id = training_id_of(training_id)
    async with session() as here:
        shown = await case_status(await here.client(), training_id)
    if json:
        print_json(shown.model_dump(mode="json"))
        return
    console.out.print(*console.status(shown), sep="\n")


@app.command(name="list", group=LOOK)
async def list_(
    *, stage: Stage | None = None, agency: str | None = None, json: Json = False
) -> None:
    """List the open cases, by stage or agency; the closed ones with --stage closed."""
    query = [f"WorkflowType = '{ASSISTER_ACCESS}'" if stage is Stage.CLOSED else CASES]
    if stage is not None:
        query.append(f"{search_attributes.STAGE.name} = '{stage}'")
    if agency is not None:
        agency_id = TypeAdapter(AgencyId).validate_python(agency)
        query.append(f"{search_attributes.AGENCY.name} = '{agency_id}'")
    async with session() as here:
        client = await here.client()
        found = [_listed(each) async for each in client.list_workflows(" AND ".join(query))]
    if json:
        print_json(found)
        return
    rows = [
        (
            each["training_id"],
            console.words(each["stage"] or ""),
            each["agency_id"],
            ", ".join(each["waiting_on"] or ()),
            each["attention"],
            each["next_deadline"],
        )
        for each in found
    ]
    columns = ("Training ID", "stage", "agency", "waiting on", "attention", "deadline")
    console.out.print(console.table(f"{len(rows)} cases", columns, rows))


@app.command(group=LOOK)
async def links(*, agency: str = "", json: Json = False) -> None:
    """Print links to the ready-made lists of the Temporal UI; --agency narrows them to one."""
    agency_id = TypeAdapter(AgencyId).validate_python(agency) if agency else None
    async with session() as here:
        namespace = (await here.client()).namespace
        shown = {
            each.name: link(here.settings.ui_url, namespace, each.query)
            for each in ready_made(datetime.now(UTC), agency_id)
        }
    if json:
        print_json(shown)
        return
    for name, address in shown.items():
        console.out.print(f"[link={address}]{name}[/link]", style="bold", highlight=False)
        console.out.print(address, highlight=False, markup=False, soft_wrap=True)


@app.command(group=LOOK)
async def watch(training_id: str) -> None:
    """Show one case as it goes on, until it is closed or Ctrl-C."""
    training_id = training_id_of(training_id)
    async with session() as here:
        client = await here.client()
        shown = await case_status(client, training_id)
        with Live(Group(*console.status(shown)), console=console.out) as live:
            while shown.stage != Stage.CLOSED:
                await asyncio.sleep(WATCH_PAUSE)
                shown = await case_status(client, training_id)
                live.update(Group(*console.status(shown)))


@app.command(group=LOOK)
async def lookup(training_id: str, *, agency: str, by: By, json: Json = False) -> None:
    """Look up an assister's reference number, as a contact of their agency (policy 3.3)."""
    training_id = training_id_of(training_id)
    async with session() as here:
        portal = make_portal(here.settings, here.database)
        number = await look_up(here.database, portal, training_id, agency_id=agency, by=by)
    if json:
        print_json({"training_id": training_id, "reference_number": number})
        return
    console.out.print(f"Reference number of {training_id}: {number}")


@app.command(name="find", group=LOOK)
async def find_(text: str, *, json: Json = False) -> None:
    """Find an assister by name, e-mail address or Training ID, and the link to the case.

    Several words must all be found: starter.py find "ann lee".
    """
    async with session() as here:
        found = await find(here.database, text)
        client = await here.client()
    shown = [
        {
            **each._asdict(),
            "case": case_link(
                here.settings.ui_url, client.namespace, assister_workflow_id(each.training_id)
            ),
        }
        for each in found
    ]
    if json:
        print_json(shown)
        return
    if not shown:
        raise Refused(f"Nobody on record is called {text!r}. A part of the name is enough.")
    rows = [
        (e["training_id"], e["name"], e["email"], f"{e['agency_name']} ({e['agency_id']})")
        for e in shown
    ]
    console.out.print(console.table("", ("Training ID", "name", "e-mail", "agency"), rows))
    for each in shown:
        console.out.print(each["case"], highlight=False, markup=False, soft_wrap=True)


@trail.command(name="show")
async def audit_show(training_id: str, *, json: Json = False) -> None:
    """Show every act in an assister's case."""
    async with session() as here, here.database.snapshot() as records:
        entries = await audit.entries_of(records, assister_workflow_id(training_id_of(training_id)))
    if json:
        print_json([each.model_dump(mode="json") for each in entries])
        return
    rows = [(e.sequence, e.at, e.act, e.by, e.clause, e.details) for e in entries]
    columns = ("", "at", "act", "by", "policy", "details")
    console.out.print(console.table(f"Audit trail of {training_id}", columns, rows))


@trail.command(name="verify")
async def audit_verify(
    *,
    heads: Annotated[Path | None, Parameter(help="Heads of an earlier check, to compare.")] = None,
    json: Json = False,
) -> None:
    """Check that no entry was altered, removed or inserted.

    Not to be seen in the trail itself: that the newest entries of a case, or all of them, were
    removed, or that somebody wrote a case anew with hashes that fit. So keep the heads elsewhere,
    `audit verify --json > heads.json`, and compare later: `audit verify --heads heads.json`.
    """
    kept = _read_heads(heads) if heads else None
    async with session() as here, here.database.snapshot() as records:
        found = await audit.verify(records, kept)
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
        # A device could be read for ever.
        text = path.read_text() if path.is_file() else ""
        return Heads.model_validate_json(text).heads
    except (OSError, ValueError):
        raise Refused(f"{path} is not what `audit verify --json` printed") from None


def _listed(execution: WorkflowExecution) -> dict[str, Any]:
    attributes = execution.typed_search_attributes
    return {
        "training_id": execution.id.removeprefix(assister_workflow_id("")),
        "stage": attributes.get(search_attributes.STAGE),
        "assister_type": attributes.get(search_attributes.TYPE),
        "agency_id": attributes.get(search_attributes.AGENCY),
        "waiting_on": attributes.get(search_attributes.WAITING_ON),
        "attention": attributes.get(search_attributes.ATTENTION),
        "next_deadline": attributes.get(search_attributes.NEXT_DEADLINE),
        "certified_until": attributes.get(search_attributes.CERTIFIED_THROUGH),
    }
