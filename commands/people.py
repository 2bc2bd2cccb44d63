"""People: who somebody is, their numbers, and correcting what is on record of them."""

from cyclopts import App

import bootstrap
from commands import console
from commands.session import (
    By,
    Json,
    Why,
    answered,
    interrupted_says,
    print_json,
    session,
    training_id_of,
)
from commands.staff import MAY_BE_CARRIED_OUT, NOT_ANSWERED, print_answer
from services import Refused
from services.activation import activate as use_number
from services.assisters import correct_email
from services.find import find as find_assisters
from services.lookup import look_up
from workflows.client import case_status
from workflows.contract import assister_workflow_id
from workflows.lists import case_link

assister = App(name="assister", help="Correct what is on record of an assister.")


async def find(text: str, *, json: Json = False) -> None:
    """Find an assister by name, e-mail address or Training ID, and the link to the case.

    Several words must all be found: starter.py find "ann lee".
    """
    async with session() as here:
        found = await find_assisters(here.database, text)
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


async def lookup(training_id: str, *, agency: str, by: By, json: Json = False) -> None:
    """Look up an assister's reference number, as a contact of their agency (policy 3.3)."""
    training_id = training_id_of(training_id)
    async with session() as here:
        portal = bootstrap.make_portal(here.settings, here.database)
        number = await look_up(here.database, portal, training_id, agency_id=agency, by=by)
    if json:
        print_json({"training_id": training_id, "reference_number": number})
        return
    console.out.print(f"Reference number of {training_id}: {number}")


@assister.command(name="correct-email")
async def assister_correct_email(
    training_id: str, *, email: str, by: By, reason: Why, json: Json = False
) -> None:
    """Correct an assister's certification e-mail; mails that waited for it go out."""
    training_id = training_id_of(training_id)
    async with session() as here:
        to = await here.connections()
        correcting = correct_email(to, training_id, email, by=by, reason=reason)
        async with interrupted_says(MAY_BE_CARRIED_OUT):
            answer = await answered(correcting, NOT_ANSWERED)
    print_answer(assister_workflow_id(training_id), answer, json)


async def activate(*, registration_number: str) -> None:
    """Use a registration number, as the portal's page does (policy 3.2)."""
    async with session() as here:
        to = await here.connections()
        async with interrupted_says("Interrupted. The number may have been used: see `status`."):
            activated = await use_number(to, registration_number)
        said = f"The account of {activated.training_id} is active. "
        await answered(case_status(to.client, activated.training_id), said)
    console.out.print(said)
