"""Agencies and their authorized contacts."""

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from commands import console
from commands.session import (
    By,
    Encoding,
    Json,
    ThisAgency,
    Why,
    answered_by_all,
    interrupted_says,
    print_json,
    session,
)
from intake.agencies import judge_agencies, read_agencies
from policy.text import counted
from records.schema import migrate as migrate_records
from services.contacts import correct_contact, import_agencies, restore_contact, revoke_contact

app = App(name="agencies", help="Agencies and their authorized contacts.")

Address = Annotated[str, Parameter(help="The address on record.")]
ThisFile = Annotated[Path, Parameter(help="CSV or XLSX, one contact a row.")]
REPEAT = (
    "Interrupted. It may have been recorded: run it again, and it finishes what was interrupted."
)
NOT_TOLD = (
    "It is recorded, but the mails that wait for it do not go out yet: run it again once a worker"
    " runs. "
)


@app.command(name="import")
async def agencies_import(
    file: ThisFile, *, encoding: Encoding = "utf-8-sig", json: Json = False
) -> None:
    """Import agencies and their authorized contacts; every row gets a verdict.

    Rejected rows change nothing. The accepted rows are recorded all together or, if something
    fails, not at all. You may import the file again.

    Columns: Agency ID, Agency Name, Contact Name, Contact Email.

    Example: starter.py agencies import agencies.csv
    """
    table = read_agencies(file, encoding)
    judged = list(judge_agencies(table))
    async with session() as here:
        await migrate_records(here.settings.records_url)
        verdicts = await import_agencies(here.database, judged)
    shown = [each.public() for each in verdicts]
    if json:
        print_json({"notes": table.notes, "rows": shown})
        return
    count = sum(not each.reasons for each in verdicts)
    rows = console.verdicts(shown, "agency_id", "Agency ID")
    console.out.print(
        *rows, *console.notes(table), f"{counted(count, 'contact')} imported.", sep="\n"
    )


@app.command(name="correct-contact")
async def agencies_correct_contact(
    agency: ThisAgency,
    *,
    email: Address,
    to: Annotated[str, Parameter(help="The right address.")],
    by: By,
    reason: Why,
    json: Json = False,
) -> None:
    """Correct a contact's e-mail address; the mails that waited for it go out.

    You may run it again: it finishes what was interrupted.

    Example: starter.py agencies correct-contact AG-100 --email old@agency.example.org
    --to new@agency.example.org --by sam@arc.example.org --reason "typing error"
    """
    async with session() as here:
        connected = await here.connections()
        async with interrupted_says(REPEAT):
            told = await answered_by_all(
                connected.client,
                connected.task_queue,
                correct_contact(connected, agency, email, to, by=by, reason=reason),
                NOT_TOLD,
            )
    if json:
        print_json({"agency_id": agency, "told": told})
        return
    console.out.print(f"Corrected. Cases and rosters that waited for it: {len(told)}.")


@app.command(name="revoke-contact")
async def agencies_revoke_contact(
    agency: ThisAgency, *, email: Address, by: By, reason: Why, json: Json = False
) -> None:
    """End a contact's authorization: no more rosters, pages or lookups.

    They are signed out everywhere, and the agency's mails go to another contact. You may run it
    again: it finishes what was interrupted.

    Example: starter.py agencies revoke-contact AG-100 --email pat@agency.example.org
    --by sam@arc.example.org --reason "left the agency"
    """
    async with session() as here:
        connected = await here.connections()
        async with interrupted_says(REPEAT):
            done = await answered_by_all(
                connected.client,
                connected.task_queue,
                revoke_contact(connected, agency, email, by=by, reason=reason),
                NOT_TOLD,
            )
    if json:
        print_json({"agency_id": agency, **done._asdict()})
        return
    console.out.print(f"Revoked. Authorized contacts left: {done.left}.")
    if done.told:
        console.out.print(
            f"Cases and rosters that now write to another contact: {', '.join(done.told)}"
        )
    if not done.left:
        console.out.print(
            "The agency's mails wait for a contact. Import one and run this command again, or"
            " restore this one: starter.py agencies restore-contact"
        )
    if done.waiting:
        console.out.print(f"Cases and rosters that wait for a contact: {', '.join(done.waiting)}")


@app.command(name="restore-contact")
async def agencies_restore_contact(
    agency: ThisAgency, *, email: Address, by: By, reason: Why, json: Json = False
) -> None:
    """Authorize a revoked contact again, which an import does not do.

    Example: starter.py agencies restore-contact AG-100 --email pat@agency.example.org
    --by sam@arc.example.org --reason "is back at the agency"
    """
    async with session() as here:
        connected = await here.connections()
        async with interrupted_says(REPEAT):
            told = await answered_by_all(
                connected.client,
                connected.task_queue,
                restore_contact(connected, agency, email, by=by, reason=reason),
                NOT_TOLD,
            )
    if json:
        print_json({"agency_id": agency, "told": told})
        return
    console.out.print(f"Restored. Cases and rosters that waited for a contact: {len(told)}.")
