"""Agencies and their authorized contacts: importing, correcting, revoking and restoring them."""

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import NamedTuple

from pydantic import TypeAdapter, ValidationError
from sqlmodel import col, func, select
from sqlmodel.ext.asyncio.session import AsyncSession
from temporalio.client import WorkflowUpdateFailedError

from intake.agencies import AgencyVerdict
from policy.addresses import BadAddress, clean_address, mailbox_key
from policy.requirements import AgencyId
from policy.roster import Reason
from records import audit
from records.database import Database
from records.people import NotAuthorized, authorized_contact, known_contact, record_agency
from records.tables import Contact
from records.visits import end_visits
from services import Refused
from services.connections import Connections
from services.orders import signed
from workflows.client import act
from workflows.contract import ROSTER_INTAKE, StaffAct
from workflows.lists import waiting_for_contact


class Revoked(NamedTuple):
    """The result of revoking an agency's contact.

    Attributes:
        left: How many authorized contacts the agency still has.
        told: Cases and rosters whose mails waited for this contact and now go to another one.
        waiting: Those whose mails still wait, because the agency has no contact left.
    """

    left: int
    told: list[str]
    waiting: list[str]


async def import_agencies(
    database: Database, verdicts: Iterable[AgencyVerdict]
) -> list[AgencyVerdict]:
    """Records the agencies and contacts of the accepted rows, all of them or none.

    Returns the final verdicts: a revoked contact stays revoked, because a list that is sent again
    must not restore what somebody took away.
    """
    done = []
    async with database.transaction() as session:
        for each in verdicts:
            if not each.reasons:
                known = await known_contact(session, each.agency_id, each.email)
                if known is not None and known.revoked_at is not None:
                    message = (
                        f"was revoked on {known.revoked_at:%Y-%m-%d}; to authorize the contact"
                        " again: starter.py agencies restore-contact"
                    )
                    each = replace(each, reasons=[Reason("Contact Email", message, "1")])
                else:
                    contact = (each.contact, each.email)
                    await record_agency(session, each.agency_id, each.name, [contact])
            done.append(each)
    return done


async def correct_contact(
    to: Connections, agency: str, email: str, right: str, *, by: str, reason: str
) -> list[str]:
    """Corrects a contact's e-mail and tells the cases and intakes whose mails waited for it.

    A repetition is harmless and continues an interrupted call. Returns the ids of those told.

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
    return await _tell_waiting(to, agency_id, ordered)


async def revoke_contact(
    to: Connections, agency_id: str, email: str, *, by: str, reason: str
) -> Revoked:
    """Ends a contact's authorization, and every visit that the mailbox has begun (clause 1).

    Mails that waited for the contact go to another one of the agency. A repetition is harmless and
    continues an interrupted call.

    Raises:
        NotAuthorized: If the agency never had such a contact.
    """
    async with to.database.transaction() as session:
        ordered = await signed(session, by, reason)
        contact = await _known(session, agency_id, email)
        if contact.revoked_at is None:
            contact.revoked_at = datetime.now(UTC)
            session.add(contact)
            await _record(session, contact, "contact_revoked", ordered)
        await end_visits(session, contact.mailbox_key)
        others = select(func.count()).where(
            Contact.agency_id == agency_id, col(Contact.revoked_at).is_(None)
        )
        left = (await session.exec(others)).one()
    if left:
        return Revoked(left, await _tell_waiting(to, agency_id, ordered), [])
    found = to.client.list_workflows(waiting_for_contact(agency_id))
    return Revoked(0, [], [each.id async for each in found])


async def restore_contact(
    to: Connections, agency_id: str, email: str, *, by: str, reason: str
) -> list[str]:
    """Authorizes a revoked contact again; returns the ids of cases and intakes that waited for one.

    Raises:
        NotAuthorized: If the agency never had such a contact.
    """
    async with to.database.transaction() as session:
        ordered = await signed(session, by, reason)
        contact = await _known(session, agency_id, email)
        if contact.revoked_at is not None:
            contact.revoked_at = None
            session.add(contact)
            await _record(session, contact, "contact_restored", ordered)
    return await _tell_waiting(to, agency_id, ordered)


async def _tell_waiting(to: Connections, agency_id: str, ordered: StaffAct) -> list[str]:
    told = []
    async for each in to.client.list_workflows(waiting_for_contact(agency_id)):
        intake = each.workflow_type == ROSTER_INTAKE
        # One that refuses no longer waits for a contact. It must not keep the others from being
        # told.
        with suppress(WorkflowUpdateFailedError):
            update = "contact_corrected" if intake else "email_corrected"
            await act(to.client, each.id, update, ordered)
            told.append(each.id)
    return told


async def _known(session: AsyncSession, agency_id: str, email: str) -> Contact:
    contact = await known_contact(session, agency_id, email)
    if contact is None:
        raise NotAuthorized(f"agency {agency_id} never had a contact {email} (policy 1)")
    return contact


async def _record(session: AsyncSession, contact: Contact, what: str, ordered: StaffAct) -> None:
    await audit.append(
        await session.connection(),
        f"agency-{contact.agency_id}",
        what,
        at=datetime.now(UTC),
        by=ordered.by,
        clause="1",
        contact_id=contact.id,
        reason=ordered.reason,
    )


async def _correct(
    session: AsyncSession, agency_id: str, email: str, address: str, ordered: StaffAct
) -> None:
    """Records the right address; does nothing if it was corrected before."""
    right = await known_contact(session, agency_id, address)
    try:
        contact = await authorized_contact(session, agency_id, email)
    except NotAuthorized:
        if right is None or right.revoked_at is not None:
            raise
        return
    if right is not None and right is not contact:
        revoked = " and was revoked" if right.revoked_at is not None else ""
        raise Refused(f"{address} is another contact of {agency_id} already{revoked}")
    contact.email, contact.mailbox_key = address, mailbox_key(address)
    session.add(contact)
    await _record(session, contact, "contact_corrected", ordered)
