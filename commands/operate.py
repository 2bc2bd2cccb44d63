"""Operating the system: agencies, the records' schema, the embedded stack, the demo."""

from pathlib import Path

from cyclopts import App
from pydantic import TypeAdapter, ValidationError

import console
from activities.relay import relay_activations
from commands.session import OPERATE, Encoding, Refused, session
from embedded.demo import run_demo
from embedded.stack import run_stack
from policy.addresses import BadAddress, clean_address
from policy.requirements import AgencyId
from records.people import record_agency
from records.schema import migrate as migrate_records
from rosters.files import read_table
from worker import make_portal

app = App()
agencies = App(name="agencies", help="Agencies and their authorized contacts.", group=OPERATE)

AGENCY_COLUMNS = {
    "agency_id": "Agency ID",
    "agency_name": "Agency Name",
    "contact_name": "Contact Name",
    "contact_email": "Contact Email",
}


@agencies.command(name="import")
async def agencies_import(file: Path, *, encoding: Encoding = "utf-8-sig") -> None:
    """Import agencies and their authorized contacts.

    Columns: Agency ID, Agency Name, Contact Name, Contact Email.
    """
    table = read_table(file, AGENCY_COLUMNS, AGENCY_COLUMNS, encoding)
    count = 0
    async with session() as here:
        await migrate_records(here.settings.records_url)
        async with here.database.transaction() as records:
            for row in table:
                try:
                    agency_id = TypeAdapter(AgencyId).validate_python(
                        row.cells["agency_id"].strip()
                    )
                    email = clean_address(row.cells["contact_email"])
                except (ValidationError, BadAddress):
                    raise Refused(
                        f"line {row.line}: Agency ID or Contact Email cannot be used; nothing was"
                        " imported"
                    ) from None
                name, contact = row.cells["agency_name"].strip(), row.cells["contact_name"].strip()
                await record_agency(records, agency_id, name, [(contact, email)])
                count += 1
    console.out.print(f"{count} contacts imported.")


@app.command(group=OPERATE)
async def migrate() -> None:
    """Bring the records' database to the newest schema."""
    async with session() as here:
        await migrate_records(here.settings.records_url)
    console.out.print("The records' schema is up to date.")


@app.command(group=OPERATE)
async def up() -> None:
    """Run the embedded stack until Ctrl-C; its data stays in the data folder."""
    async with session() as here:
        await run_stack(here.settings)


@app.command(group=OPERATE)
async def demo(*, keep: bool = False) -> None:
    """Show the whole policy at work on a roster of its own; leaves nothing running.

    With --keep the stack stays up until Ctrl-C, for a look at the Temporal UI.
    """
    await run_demo(keep=keep)


@app.command(group=OPERATE)
async def activate(*, registration_number: str) -> None:
    """Use a registration number, as the portal's page does (policy 3.2)."""
    async with session() as here:
        client = await here.client()
        portal = make_portal(here.settings, here.database)
        activated = await portal.activate(registration_number)
        await relay_activations(portal, client, here.settings.task_queue, here.settings.terms)
    console.out.print(f"The account of {activated.training_id} is active.")
