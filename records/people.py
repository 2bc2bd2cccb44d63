"""Agencies, their authorized contacts, assisters and staff."""

import hashlib
from collections.abc import Iterable, Sequence

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from policy.addresses import BadAddress, clean_address, mailbox_key
from records.tables import AcceptedAddress, Actor, Affiliation, Agency, Contact, Mailbox

LETTERS = str.maketrans("0123456789", "ghijklmnop")


class NotAuthorized(Exception):
    """This person may not do that; the text names the policy clause."""


async def authorized_contact(session: AsyncSession, agency_id: str, by: str) -> Contact:
    """The agency's authorized contact with this address (clauses 1, 3.3).

    Raises:
        NotAuthorized: If there is none.
    """
    contact = await known_contact(session, agency_id, by)
    if contact is None or contact.revoked_at is not None:
        raise NotAuthorized(
            f"{by} is not an authorized contact of agency {agency_id} (policy 1). Authorized"
            " contacts are recorded with: starter.py agencies import FILE"
        )
    return contact


class NoContact(Exception):
    """The agency has no authorized contact left."""


async def contact_to_mail(session: AsyncSession, contact_id: int) -> Contact:
    """The contact, or another one of the agency if this one was revoked.

    Raises:
        NoContact: If the agency has none left.
    """
    contact = await session.get_one(Contact, contact_id)
    if contact.revoked_at is None:
        return contact
    others = select(Contact).where(
        Contact.agency_id == contact.agency_id, col(Contact.revoked_at).is_(None)
    )
    other = (await session.exec(others.order_by(col(Contact.id)).limit(1))).first()
    if other is None:
        raise NoContact(f"agency {contact.agency_id} has no authorized contact")
    return other


async def known_contact(session: AsyncSession, agency_id: str, email: str) -> Contact | None:
    """The agency's contact with this address, authorized or revoked."""
    found = select(Contact).where(
        Contact.agency_id == agency_id, Contact.mailbox_key == mailbox_key(email)
    )
    return (await session.exec(found)).first()


async def assister_of(session: AsyncSession, agency_id: str, training_id: str) -> Affiliation:
    """The person as the agency's own roster describes them.

    Raises:
        NotAuthorized: If no roster of the agency has named them.
    """
    named = await session.get(Affiliation, (training_id, agency_id))
    if named is None:
        raise not_the_agencys(agency_id, training_id)
    return named


def not_the_agencys(agency_id: str, training_id: str) -> NotAuthorized:
    """The same error for an unknown assister and for another agency's."""
    return NotAuthorized(f"agency {agency_id} has no assister {training_id} (policy 3.3)")


async def newest_affiliation(session: AsyncSession, training_id: str) -> Affiliation | None:
    """What the newest accepted roster row of any agency says of the person."""
    found = select(Affiliation).where(Affiliation.training_id == training_id)
    return (await session.exec(found.order_by(col(Affiliation.sequence).desc()).limit(1))).first()


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
    """The Training ID that holds each mailbox: an agency's newest row names it for that one."""
    found = (
        select(Mailbox.mailbox_key, Mailbox.training_id)
        .join(Affiliation, col(Affiliation.mailbox_id) == col(Mailbox.id))
        .where(col(Mailbox.mailbox_key).in_(sorted(set(keys))))
    )
    return {key: training_id for key, training_id in await session.exec(found) if key is not None}


async def approved_by(session: AsyncSession, agency_id: str) -> Sequence[str]:
    """The assisters for whom the agency approves access."""
    found = select(Affiliation.training_id).where(
        Affiliation.agency_id == agency_id, col(Affiliation.approved), col(Affiliation.employed)
    )
    return (await session.exec(found)).all()


async def accepted_addresses(
    session: AsyncSession, keys: Iterable[str]
) -> frozenset[tuple[str, str]]:
    """The desk-like mailboxes that staff accepted, with the Training ID (clause 1.2b)."""
    found = select(AcceptedAddress.training_id, AcceptedAddress.mailbox_key).where(
        col(AcceptedAddress.mailbox_key).in_(sorted(set(keys)))
    )
    return frozenset((training_id, key) for training_id, key in await session.exec(found))


async def staff_id(session: AsyncSession, email: str) -> str:
    """The id under which a member of staff appears in histories and the audit trail.

    Raises:
        NotAuthorized: If this is not an e-mail address.
    """
    try:
        email = clean_address(email)
    except BadAddress as bad:
        raise NotAuthorized(f"{email} {bad}; say who you are by your e-mail address") from None
    key = mailbox_key(email)
    found = select(Actor).where(Actor.mailbox_key == key)
    actor = (await session.exec(found)).first()
    if actor is None:
        # Letters only: every order with ten digits in a row would be refused as a phone number.
        digest = hashlib.sha256(key.encode()).hexdigest()[:10].translate(LETTERS)
        actor = Actor(id=f"staff-{digest}", email=email, mailbox_key=key)
        session.add(actor)
    return actor.id
