"""Correcting an assister's address, and accepting one that looks like a shared mailbox."""

from datetime import UTC, datetime

from sqlmodel import select
from sqlmodel.ext.asyncio.session import AsyncSession
from temporalio.service import RPCError, RPCStatusCode

from policy.addresses import BadAddress, clean_address, is_generic, mailbox_key
from records import audit
from records.database import Database
from records.people import holders, newest_affiliation
from records.tables import AcceptedAddress, Mailbox
from services import Refused, Unknown
from services.connections import Connections
from services.orders import signed
from workflows.client import act, open_case
from workflows.contract import assister_workflow_id


async def correct_email(
    to: Connections, training_id: str, email: str, *, by: str, reason: str
) -> str:
    """Corrects an assister's certification e-mail and tells the case, which then sends its mails.

    Returns the case's answer.

    Raises:
        Refused: If the address cannot be used, or is another assister's.
        Unknown: If no roster has named the assister.
        WorkflowUpdateFailedError: If the case refuses; the address is corrected nevertheless.
    """
    try:
        address = clean_address(email)
    except BadAddress as bad:
        raise Refused(f"{email} {bad}") from None
    case = await open_case(to.client, training_id)
    in_use = case.evidence.mailbox if case is not None else 0
    async with to.database.transaction() as session:
        ordered = await signed(session, by, reason)
        person = await newest_affiliation(session, training_id)
        if person is None:
            raise Unknown(f"no roster has named {training_id} yet")
        own = await session.get(AcceptedAddress, (training_id, mailbox_key(address)))
        if own is None and is_generic(address, person.first_name, person.last_name):
            raise Refused(
                f"{address} looks like a shared mailbox; the assister's own address is needed"
                " (policy 1.2b). If it is their own: starter.py assister accept-address"
            )
        await _correct(session, training_id, in_use or person.mailbox_id, address)
        await audit.append(
            await session.connection(),
            assister_workflow_id(training_id),
            "address_corrected",
            at=datetime.now(UTC),
            by=ordered.by,
            clause="1.2a",
            reason=ordered.reason,
        )
    try:
        return await act(to.client, assister_workflow_id(training_id), "email_corrected", ordered)
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            return "The address is corrected. No case is open, so no mail waited for it."
        raise


async def accept_address(
    database: Database, training_id: str, email: str, *, by: str, reason: str
) -> None:
    """Accepts an address that looks like a shared mailbox as personal, from the next roster on.

    Raises:
        Refused: If the address cannot be used, or does not look like a shared mailbox.
    """
    try:
        address = clean_address(email)
    except BadAddress as bad:
        raise Refused(f"{email} {bad}") from None
    if not is_generic(address):
        raise Refused(
            f"{address} does not look like a shared mailbox: a roster may use it as it is"
        )
    async with database.transaction() as session:
        ordered = await signed(session, by, reason)
        accepted, key = datetime.now(UTC), mailbox_key(address)
        if await session.get(AcceptedAddress, (training_id, key)) is not None:
            return
        session.add(AcceptedAddress(training_id=training_id, mailbox_key=key, accepted_at=accepted))
        await audit.append(
            await session.connection(),
            assister_workflow_id(training_id),
            "address_accepted",
            at=accepted,
            by=ordered.by,
            clause="1.2b",
            reason=ordered.reason,
        )


async def _correct(session: AsyncSession, training_id: str, mailbox_id: int, address: str) -> None:
    """Changes the mailbox's address for all mails from now on."""
    key = mailbox_key(address)
    if (await holders(session, [key])).get(key, training_id) != training_id:
        raise Refused(f"{address} belongs to another assister already (policy 1.2a)")
    same = (await session.exec(select(Mailbox).where(Mailbox.mailbox_key == key))).first()
    if same is not None and same.id != mailbox_id:
        same.mailbox_key = None
        session.add(same)
        await session.flush()
    mailbox = await session.get_one(Mailbox, mailbox_id)
    mailbox.email, mailbox.mailbox_key, mailbox.corrected = address, key, True
    session.add(mailbox)
