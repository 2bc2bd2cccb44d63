"""Agencies and their authorized contacts."""

from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter
from pydantic import TypeAdapter, ValidationError
from sqlmodel.ext.asyncio.session import AsyncSession
from temporalio.client import WorkflowUpdateFailedError

from commands import console
from commands.session import STAFF, By, Encoding, Json, Refused, Why, print_json, session
from commands.staff import signed
from intake.files import read_table
from policy.addresses import BadAddress, clean_address, mailbox_key
from policy.requirements import AgencyId
from records import audit
from records.people import NotAuthorized, authorized_contact, record_agency
from records.schema import migrate as migrate_records
from workflows.client import act
from workflows.contract import ROSTER_INTAKE, StaffAct
from workflows.lists import waiting_for_contact

app = App(name="agencies", help="Agencies and their authorized contacts.", group=STAFF)

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
                name, contact = row.cells["agency_name"].strip(), row.cells["contact_name"].strip()
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
    try:
        agency_id = TypeAdapter(AgencyId).validate_python(agency)
        address = clean_address(to)
    except (ValidationError, BadAddress):
        raise Refused("the agency's id or the new address cannot be used") from None
    async with session() as here:
        client = await here.client()
        async with here.database.transaction() as records:
            who = await signed(records, by, reason)
            await _correct(records, agency_id, email, address, who)
        told = []
        async for each in client.list_workflows(waiting_for_contact(agency_id)):
            intake = each.workflow_type == ROSTER_INTAKE
            update = "contact_corrected" if intake else "email_corrected"
            # One that refuses waits for nothing any more; the others are told all the same.
            with suppress(WorkflowUpdateFailedError):
                await act(client, each.id, update, who)
                told.append(each.id)
    if json:
        print_json({"agency_id": agency_id, "told": told})
        return
    console.out.print(f"Corrected. Cases and rosters that waited for it: {len(told)}.")


async def _correct(
    records: AsyncSession, agency_id: str, email: str, address: str, who: StaffAct
) -> None:
    """Records the right address, once: corrected before, there is nothing to do."""
    try:
        right = await authorized_contact(records, agency_id, address)
    except NotAuthorized:
        right = None
    try:
        contact = await authorized_contact(records, agency_id, email)
    except NotAuthorized:
        if right is None:
            raise
        return
    if right is not None and right is not contact:
        raise Refused(f"{address} is another contact of {agency_id} already")
    contact.email, contact.mailbox_key = address, mailbox_key(address)
    records.add(contact)
    await audit.append(
        records,
        f"agency-{agency_id}",
        "contact_corrected",
        at=datetime.now(UTC),
        by=who.by,
        clause="1",
        contact_id=contact.id,
        reason=who.reason,
    )
