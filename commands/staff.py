"""Orders of staff to a case: each command sends one update."""

from typing import Annotated

from cyclopts import Parameter

from commands import console
from commands.session import (
    By,
    Json,
    ThisAssister,
    Why,
    answered,
    interrupted_says,
    print_json,
    session,
    training_id_of,
)
from services.orders import order
from workflows.contract import assister_workflow_id

ChangingAgency = Annotated[str, Parameter(help="The agency whose roster asks for the change.")]
NOT_ANSWERED = "The order may still be carried out when a worker runs. "
MAY_BE_CARRIED_OUT = (
    "Interrupted. The order may still be carried out: look at the case before you repeat it."
)


async def resend(training_id: ThisAssister, *, by: By, reason: Why, json: Json = False) -> None:
    """Repeat the activation mail, with the registration number that still counts.

    Example: starter.py resend NAV1001 --by sam@arc.example.org --reason "cannot find the mail"
    """
    await _act(training_id, "resend_activation", by, reason, json)


async def reissue(training_id: ThisAssister, *, by: By, reason: Why, json: Json = False) -> None:
    """Void the registration number and mail a new one, for example after it has expired.

    Example: starter.py reissue NAV1001 --by sam@arc.example.org --reason "was on leave"
    """
    await _act(training_id, "reissue_activation", by, reason, json)


async def suspend(training_id: ThisAssister, *, by: By, reason: Why, json: Json = False) -> None:
    """End access at once, until staff reinstate it; the assister and the agency are told.

    Example: starter.py suspend NAV1001 --by sam@arc.example.org --reason "the agency asked"
    """
    await _act(training_id, "suspend_access", by, reason, json)


async def reinstate(training_id: ThisAssister, *, by: By, reason: Why, json: Json = False) -> None:
    """End a suspension that staff ordered; the four requirements are checked again first.

    A suspension for a missing requirement ends by itself once the requirement is met again.

    Example: starter.py reinstate NAV1001 --by sam@arc.example.org --reason "cleared by the agency"
    """
    await _act(training_id, "reinstate_access", by, reason, json)


async def close(training_id: ThisAssister, *, by: By, reason: Why, json: Json = False) -> None:
    """End a case and its access for good: a new approval is needed to begin again.

    Example: starter.py close NAV1001 --by sam@arc.example.org --reason "left the agency"
    """
    await _act(training_id, "close_case", by, reason, json)


async def confirm_change(
    training_id: ThisAssister, *, agency: ChangingAgency, by: By, reason: Why, json: Json = False
) -> None:
    """Make the agency the assister's agency, or use the new e-mail address; ask the assister first.

    Example: starter.py confirm-change NAV1001 --agency AG-200 --by sam@arc.example.org
    --reason "the assister has changed agencies"
    """
    await _act(training_id, "confirm_change", by, reason, json, agency)


async def refuse_change(
    training_id: ThisAssister, *, agency: ChangingAgency, by: By, reason: Why, json: Json = False
) -> None:
    """Refuse the change of agency or e-mail address that a roster asks for; nothing changes.

    Example: starter.py refuse-change NAV1001 --agency AG-200 --by sam@arc.example.org
    --reason "the assister does not know the agency"
    """
    await _act(training_id, "refuse_change", by, reason, json, agency)


async def _act(
    training_id: str, update: str, by: str, reason: str, as_json: bool, agency_id: str = ""
) -> None:
    case = assister_workflow_id(training_id_of(training_id))
    await give(case, update, by, reason, as_json, agency_id)


async def give(
    workflow_id: str, update: str, by: str, reason: str, as_json: bool, agency_id: str = ""
) -> None:
    """Sends an update to a case or an intake, and prints the answer."""
    async with session() as here, interrupted_says(MAY_BE_CARRIED_OUT):
        ordering = order(
            here.database, await here.client(), workflow_id, update, by, reason, agency_id
        )
        answer = await answered(ordering, NOT_ANSWERED)
    print_answer(workflow_id, answer, as_json)


def print_answer(workflow_id: str, answer: str, as_json: bool) -> None:
    """Prints the answer of a case or an intake to an order."""
    if as_json:
        print_json({"workflow_id": workflow_id, "answer": answer})
        return
    console.out.print(answer)
