"""What staff do with a case: each command gives it one of its updates."""

from cyclopts import App

from commands import console
from commands.session import STAFF, By, Json, Why, print_json, session, training_id_of
from services.assisters import correct_email
from services.orders import order
from workflows.contract import assister_workflow_id

app = App()
assister = App(name="assister", help="What is on record of a person.", group=STAFF)


@app.command(group=STAFF)
async def resend(training_id: str, *, by: By, reason: Why, json: Json = False) -> None:
    """Repeat the activation mail."""
    await _act(training_id, "resend_activation", by, reason, json)


@app.command(group=STAFF)
async def reissue(training_id: str, *, by: By, reason: Why, json: Json = False) -> None:
    """Void the registration number and mail a new one."""
    await _act(training_id, "reissue_activation", by, reason, json)


@app.command(group=STAFF)
async def suspend(training_id: str, *, by: By, reason: Why, json: Json = False) -> None:
    """End access until it is reinstated."""
    await _act(training_id, "suspend_access", by, reason, json)


@app.command(group=STAFF)
async def reinstate(training_id: str, *, by: By, reason: Why, json: Json = False) -> None:
    """End a suspension by staff; the four requirements are checked again."""
    await _act(training_id, "reinstate_access", by, reason, json)


@app.command(group=STAFF)
async def close(training_id: str, *, by: By, reason: Why, json: Json = False) -> None:
    """End a case and its access."""
    await _act(training_id, "close_case", by, reason, json)


@assister.command(name="correct-email")
async def assister_correct_email(
    training_id: str, *, email: str, by: By, reason: Why, json: Json = False
) -> None:
    """Correct an assister's certification e-mail; mails that waited for it go out."""
    training_id = training_id_of(training_id)
    async with session() as here:
        to = await here.connections()
        answer = await correct_email(to, training_id, email, by=by, reason=reason)
    _print(assister_workflow_id(training_id), answer, json)


async def _act(training_id: str, update: str, by: str, reason: str, as_json: bool) -> None:
    await give(assister_workflow_id(training_id_of(training_id)), update, by, reason, as_json)


async def give(workflow_id: str, update: str, by: str, reason: str, as_json: bool) -> None:
    """Gives a case or an intake one of its updates, and prints what it answers."""
    async with session() as here:
        answer = await order(here.database, await here.client(), workflow_id, update, by, reason)
    _print(workflow_id, answer, as_json)


def _print(workflow_id: str, answer: str, as_json: bool) -> None:
    if as_json:
        print_json({"workflow_id": workflow_id, "answer": answer})
        return
    console.out.print(answer)
