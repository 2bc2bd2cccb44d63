"""Looking at cases: one, several, the ready-made lists."""

import asyncio
from datetime import UTC, datetime
from typing import Annotated, Any

from cyclopts import Parameter
from pydantic import TypeAdapter
from rich.console import Group
from rich.live import Live
from temporalio.client import WorkflowExecution

from commands import console
from commands.session import (
    Json,
    ThisAgency,
    ThisAssister,
    answered,
    print_json,
    session,
    training_id_of,
)
from policy.case import Stage
from policy.requirements import AgencyId
from policy.text import counted
from workflows import search_attributes
from workflows.client import case_status
from workflows.contract import ASSISTER_ACCESS, assister_workflow_id
from workflows.lists import CASES, link, ready_made

ThisStage = Annotated[Stage | None, Parameter(help="Where the cases stand.")]
WATCH_PAUSE = 1.0
"""Seconds between two looks at a case."""


async def status(training_id: ThisAssister, *, json: Json = False) -> None:
    """Show what a case waits for, who must act and by when, and which mails went out.

    Example: starter.py status NAV1001
    """
    training_id = training_id_of(training_id)
    async with session() as here:
        shown = await answered(case_status(await here.client(), training_id))
    if json:
        print_json(shown.model_dump(mode="json"))
        return
    console.out.print(*console.status(shown), sep="\n")


async def list_(
    *, stage: ThisStage = None, agency: ThisAgency | None = None, json: Json = False
) -> None:
    """List the open cases, by stage or agency; the closed ones with --stage closed.

    Example: starter.py list --stage awaiting-activation --agency AG-100
    """
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
    console.out.print(console.table(counted(len(rows), "case"), columns, rows))


async def links(*, agency: ThisAgency = "", json: Json = False) -> None:
    """Print links to the ready-made lists of the Temporal UI, of all agencies or of one.

    Example: starter.py links --agency AG-100
    """
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


async def watch(training_id: ThisAssister) -> None:
    """Show one case as it changes, until it closes or you press Ctrl-C.

    Example: starter.py watch NAV1001
    """
    training_id = training_id_of(training_id)
    async with session() as here:
        client = await here.client()
        shown = await answered(case_status(client, training_id))
        with Live(Group(*console.status(shown)), console=console.out) as live:
            while shown.stage != Stage.CLOSED:
                await asyncio.sleep(WATCH_PAUSE)
                shown = await answered(case_status(client, training_id))
                live.update(Group(*console.status(shown)))


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
