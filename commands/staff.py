"""What staff do with a case: each command gives it one of its updates."""

from datetime import UTC, datetime

from cyclopts import App
from pydantic import ValidationError
from sqlmodel.ext.asyncio.session import AsyncSession

from commands import console
from commands.session import (
    STAFF,
    By,
    Json,
    Refused,
    Why,
    mistakes,
    print_json,
    session,
    training_id_of,
)
from policy.addresses import BadAddress, clean_address, is_generic, mailbox_key
from records import audit
from records.people import holders, staff_id
from records.tables import Assister
from workflows.client import act
from workflows.contract import StaffAct, assister_workflow_id

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
    try:
        address = clean_address(email)
    except BadAddress as bad:
        raise Refused(f"{email} {bad}") from None
    if is_generic(address):
        raise Refused(f"{address} is generic; an address of the assister's own is needed (1.2b)")
    async with session() as here, here.database.transaction() as records:
        who = await signed(records, by, reason)
        person = await records.get(Assister, training_id)
        if person is None:
            raise Refused(f"no roster has named {training_id} yet")
        key = mailbox_key(address)
        holder = (await holders(records, [key])).get(key, training_id)
        if holder != training_id:
            raise Refused(f"{address} belongs to another assister already (policy 1.2a)")
        person.email, person.mailbox_key = address, key
        records.add(person)
        await audit.append(
            records,
            assister_workflow_id(training_id),
            "email_corrected",
            at=datetime.now(UTC),
            by=who.by,
            clause="1.2a",
            reason=who.reason,
        )
    await _act(training_id, "email_corrected", by, reason, json)


async def _act(training_id: str, update: str, by: str, reason: str, as_json: bool) -> None:
    await order(assister_workflow_id(training_id_of(training_id)), update, by, reason, as_json)


async def signed(records: AsyncSession, by: str, reason: str) -> StaffAct:
    """Who acts, by staff id, and why.

    Raises:
        NotAuthorized: If ``by`` is nobody's address.
        Refused: If the reason is personal.
    """
    try:
        return StaffAct(by=await staff_id(records, by), reason=reason)
    except ValidationError as error:
        raise Refused(mistakes(error)) from None


async def order(workflow_id: str, update: str, by: str, reason: str, as_json: bool) -> None:
    """Gives a case or an intake one of its updates, and prints what it answers."""
    async with session() as here:
        async with here.database.transaction() as records:
            signed_act = await signed(records, by, reason)
        client = await here.client()
        answer = await act(client, workflow_id, update, signed_act)
    if as_json:
        print_json({"workflow_id": workflow_id, "answer": answer})
        return
    console.out.print(answer)
