"""Correcting an agency's authorized contact."""

from contextlib import suppress
from datetime import UTC, datetime

from pydantic import TypeAdapter, ValidationError
from sqlmodel.ext.asyncio.session import AsyncSession
from temporalio.client import WorkflowUpdateFailedError

from policy.addresses import BadAddress, clean_address, mailbox_key
from policy.requirements import AgencyId
from records import audit
from records.people import NotAuthorized, authorized_contact
from services import Refused
from services.connections import Connections
from services.orders import signed
from workflows.client import act
from workflows.contract import ROSTER_INTAKE, StaffAct
from workflows.lists import waiting_for_contact


async def correct_contact(
    to: Connections, agency: str, email: str, right: str, *, by: str, reason: str
) -> list[str]:
    """Corrects a contact's e-mail and tells the cases and intakes whose mails waited for it.

    Repeating it is harmless, and goes on where it was interrupted. Returns the ids of those told.

    Args:
        email: The address on record.
        right: The address to record instead.

    Raises:
        Refused: If a value cannot be used, or the address is another contact's.
        NotAuthorized: If the agency has no such contact.
    """
    try:
        agency_id = TypeAdapter(AgencyId).validate_python(agency)
        address = clean_address(right)
    except (ValidationError, BadAddress):
        raise Refused("the agency's id or the new address cannot be used") from None
    async with to.database.transaction() as session:
        ordered = await signed(session, by, reason)
        await _correct(session, agency_id, email, address, ordered)
    told = []
    async for each in to.client.list_workflows(waiting_for_contact(agency_id)):
        intake = each.workflow_type == ROSTER_INTAKE
        # One that refuses waits for nothing any more; the others are told all the same.
        with suppress(WorkflowUpdateFailedError):
            update = "contact_corrected" if intake else "email_corrected"
            await act(to.client, each.id, update, ordered)
            told.append(each.id)
    return told


async def _correct(
    session: AsyncSession, agency_id: str, email: str, address: str, ordered: StaffAct
) -> None:
    """Records the right address, once: corrected before, there is nothing to do."""
    try:
        right = await authorized_contact(session, agency_id, address)
    except NotAuthorized:
        right = None
    try:
        contact = await authorized_contact(session, agency_id, email)
    except NotAuthorized:
        if right is None:
            raise
        return
    if right is not None and right is not contact:
        raise Refused(f"{address} is another contact of {agency_id} already")
    contact.email, contact.mailbox_key = address, mailbox_key(address)
    session.add(contact)
    await audit.append(
        session,
        f"agency-{agency_id}",
        "contact_corrected",
        at=datetime.now(UTC),
        by=ordered.by,
        clause="1",
        contact_id=contact.id,
        reason=ordered.reason,
    )
