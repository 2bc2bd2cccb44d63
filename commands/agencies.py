"""Agencies and their authorized contacts."""

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter
from pydantic import TypeAdapter, ValidationError

from commands import console
from commands.session import By, Encoding, Json, Why, interrupted_says, print_json, session
from intake.files import read_table
from policy.addresses import BadAddress, clean_address
from policy.requirements import AgencyId
from policy.text import on_one_line, unprintable
from records.people import record_agency
from records.schema import migrate as migrate_records
from services import Refused
from services.contacts import correct_contact

app = App(name="agencies", help="Agencies and their authorized contacts.")

AGENCY_COLUMNS = {
    "agency_id": "Agency ID",
    "agency_name": "Agency Name",
    "contact_name": "Contact Name",
    "contact_email": "Contact Email",
}


@app.command(name="import")
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
                name = on_one_line(row.cells["agency_name"])
                contact = on_one_line(row.cells["contact_name"])
                # No mail could be addressed to such a name.
                if unseen := unprintable(name + contact):
                    raise Refused(
                        f"line {row.line}: Agency Name or Contact Name holds {unseen}; nothing was"
                        " imported"
                    )
                await record_agency(records, agency_id, name, [(contact, email)])
                count += 1
    console.out.print(f"{count} contacts imported.")


@app.command(name="correct-contact")
async def agencies_correct_contact(
    agency: str,
    *,
    email: Annotated[str, Parameter(help="The address on record.")],
    to: Annotated[str, Parameter(help="The right one.")],
    by: By,
    reason: Why,
    json: Json = False,
) -> None:
    """Correct a contact's e-mail; the mails that waited for it go out.

    Once more is harmless, and goes on where it was interrupted.
    """
    async with session() as here:
        connected = await here.connections()
        async with interrupted_says("Interrupted. Do it again: it goes on where it stopped."):
            told = await correct_contact(connected, agency, email, to, by=by, reason=reason)
    if json:
        print_json({"agency_id": agency, "told": told})
        return
    console.out.print(f"Corrected. Cases and rosters that waited for it: {len(told)}.")
