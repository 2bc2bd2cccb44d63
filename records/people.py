"""Agencies, their authorized contacts, assisters and staff."""

import hashlib
from collections.abc import Iterable, Sequence

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from policy.addresses import BadAddress, clean_address, mailbox_key
from records.tables import Actor, Agency, Assister, Contact

LETTERS = str.maketrans("0123456789", "ghijklmnop")


class NotAuthorized(Exception):
    """The act is not this person's to do; the text names the policy clause."""


async def authorized_contact(session: AsyncSession, agency_id: str, by: str) -> Contact:
    """The agency's authorized contact with this address (clauses 1, 3.3).

    Raises:
        NotAuthorized: If there is none.
    """
    found = select(Contact).where(
        Contact.agency_id == agency_id, Contact.mailbox_key == mailbox_key(by)
    )
    contact = (await session.exec(found)).first()
    if contact is None:
        raise NotAuthorized(
            f"{by} is not an authorized contact of agency {agency_id} (policy 1). Authorized"
            " contacts are recorded with: starter.py agencies import FILE"
        )
    return contact


async def assister_of(session: AsyncSession, agency_id: str, training_id: str) -> Assister:
    """The agency's own assister (clause 3.3).

    Raises:
        NotAuthorized: If the assister is unknown or another agency's; which of them is not said.
    """
    assister = await session.get(Assister, training_id)
    if assister is None or assister.agency_id != agency_id:
        raise NotAuthorized(f"agency {agency_id} has no assister {training_id} (policy 3.3)")
    return assister


async def record_agency(
    session: AsyncSession, agency_id: str, name: str, contacts: Iterable[tuple[str, str]]
) -> None:
    """Records an agency and its contacts (name, e-mail), replacing what was known of them."""
    await session.merge(Agency(id=agency_id, name=name))
    await session.flush()
    for contact_name, email in contacts:
        key = mailbox_key(email)
        found = select(Contact).where(Contact.agency_id == agency_id, Contact.mailbox_key == key)
        contact = (await session.exec(found)).first() or Contact(
            agency_id=agency_id, name="", email="", mailbox_key=key
        )
        contact.name, contact.email = contact_name, email
        session.add(contact)
        await session.flush()


async def holders(session: AsyncSession, keys: Iterable[str]) -> dict[str, str]:
    """Which Training ID holds each mailbox, where one does."""
    found = select(Assister.mailbox_key, Assister.training_id).where(
        col(Assister.mailbox_key).in_(sorted(set(keys)))
    )
    return {key: training_id for key, training_id in await session.exec(found)}


async def assisters_of(session: AsyncSession, agency_id: str) -> Sequence[str]:
    """The Training IDs of the agency's assisters."""
    found = select(Assister.training_id).where(Assister.agency_id == agency_id)
    return (await session.exec(found)).all()


async def staff_id(session: AsyncSession, email: str) -> str:
    """The id under which a member of staff appears in histories and the audit trail.

    Raises:
        NotAuthorized: If this is nobody's address.
    """
    try:
        email = clean_address(email)
    except BadAddress as bad:
        raise NotAuthorized(f"{email} {bad}; say who you are by your e-mail address") from None
    key = mailbox_key(email)
    found = select(Actor).where(Actor.mailbox_key == key)
    actor = (await session.exec(found)).first()
    if actor is None:
        # Letters only: ten digits in a row would be refused as a phone number in every order.
        digest = hashlib.sha256(key.encode()).hexdigest()[:10].translate(LETTERS)
        actor = Actor(id=f"staff-{digest}", email=email, mailbox_key=key)
        session.add(actor)
    return actor.id
