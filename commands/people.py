"""People: finding them, their numbers, and correcting their records."""

from typing import Annotated

from cyclopts import App, Parameter
from temporalio.envconfig import ClientConfig

from commands import console
from commands.session import (
    By,
    Json,
    ThisAgency,
    ThisAssister,
    Why,
    answered,
    answered_unless_busy,
    interrupted_says,
    print_json,
    session,
    training_id_of,
)
from commands.staff import MAY_BE_CARRIED_OUT, NOT_ANSWERED, print_answer
from services import Refused
from services.activation import activate as use_number
from services.assisters import accept_address, correct_email
from services.find import find as find_assisters
from services.lookup import look_up
from workflows.client import case_status
from workflows.contract import assister_workflow_id
from workflows.lists import case_link, staff_page

Right = Annotated[
    str, Parameter(help="The right address: the assister's own, not a shared mailbox.")
]
Asking = Annotated[
    str, Parameter(name="--by", help="The e-mail address of the agency's contact who asks.")
]
Number = Annotated[str, Parameter(help="From the activation mail; it works once.")]

assister = App(name="assister", help="Correct what is on record of an assister.")


async def find(
    text: Annotated[str, Parameter(help="What the caller says of themselves.")],
    *,
    json: Json = False,
) -> None:
    """Find an assister by name, e-mail address or Training ID, with links to the case.

    Parts of a name or address are enough; a Training ID must be whole. Several words must all be
    found: starter.py find "ann lee"
    """
    namespace = ClientConfig.load_client_connect_config().get("namespace", "default")
    async with session() as here:
        shown = [
            {
                **each._asdict(),
                "case": case_link(
                    here.settings.ui_url, namespace, assister_workflow_id(each.training_id)
                ),
                "page": staff_page(here.settings.gateway_url, each.training_id),
            }
            for each in await find_assisters(here.database, text)
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
    columns = ("Training ID", "name", "e-mail", "agency")
    console.out.print(console.table(f"{len(rows)} found", columns, rows))
    for each in shown:
        for link in (each["case"], each["page"]):
            # On one line: a link that is broken in two cannot be clicked.
            line = f"{each['training_id']}  {link}"
            console.out.print(line, highlight=False, markup=False, soft_wrap=True)


async def lookup(
    training_id: ThisAssister, *, agency: ThisAgency, by: Asking, json: Json = False
) -> None:
    """Look up an assister's reference number, as a contact of their agency (policy 3.3).

    Example: starter.py lookup NAV1001 --agency AG-100 --by pat@agency.example.org
    """
    training_id = training_id_of(training_id)
    async with session() as here:
        to = await here.connections()
        number = await answered(look_up(to, training_id, agency_id=agency, by=by))
    if json:
        print_json({"training_id": training_id, "reference_number": number})
        return
    console.out.print(f"Reference number of {training_id}: {number}")


@assister.command(name="correct-email")
async def assister_correct_email(
    training_id: ThisAssister, *, email: Right, by: By, reason: Why, json: Json = False
) -> None:
    """Correct an assister's e-mail address (a roster's column Email); mails that waited go out.

    Example: starter.py assister correct-email NAV1001 --email ann@agency.example.org
    --by sam@arc.example.org --reason "typing error"
    """
    training_id = training_id_of(training_id)
    async with session() as here:
        to = await here.connections()
        correcting = correct_email(to, training_id, email, by=by, reason=reason)
        async with interrupted_says(MAY_BE_CARRIED_OUT):
            answer = await answered(correcting, NOT_ANSWERED)
    print_answer(assister_workflow_id(training_id), answer, json)


async def activate(*, registration_number: Number) -> None:
    """Activate an account with its registration number (policy 3.2).

    With the built-in portal you can use this command instead of the page.

    Example: starter.py activate --registration-number ABCD-EFGH-IJKL-MNOP
    """
    async with session() as here:
        to = await here.connections()
        async with interrupted_says("Interrupted. The number may have been used: see `status`."):
            activated = await use_number(to, registration_number)
        said = f"The account of {activated.training_id} is active. "
        await answered_unless_busy(to, case_status(to.client, activated.training_id), said)
    console.out.print(said)


@assister.command(name="accept-address")
async def assister_accept_address(
    training_id: ThisAssister,
    *,
    email: Annotated[str, Parameter(help="The address for which the row was rejected.")],
    by: By,
    reason: Why,
    json: Json = False,
) -> None:
    """Accept an address that looks like a shared mailbox as the assister's own (policy 1.2b).

    Rows are no longer rejected for it; the agency submits its roster again. You may run it again.

    Example: starter.py assister accept-address NAV1001 --email welcome@agency.example.org
    --by sam@arc.example.org --reason "the address is one person's own"
    """
    training_id = training_id_of(training_id)
    async with session() as here:
        await accept_address(here.database, training_id, email, by=by, reason=reason)
    if json:
        print_json({"training_id": training_id})
        return
    console.out.print("Accepted. The agency can submit its roster again.")
