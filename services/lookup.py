"""What an agency may see of an assister's case."""

from sqlmodel import select

from policy.forecast import known_agencies
from records.closed_cases import earlier_of
from records.people import assister_of, authorized_contact, not_the_agencys
from records.tables import Affiliation, ClosedCase
from services import Unknown
from services.connections import Connections
from workflows.client import open_case


async def look_up(to: Connections, training_id: str, *, agency_id: str, by: str) -> str:
    """The reference number of an agency's assister, for a contact of that agency (clause 3.3).

    Raises:
        NotAuthorized: If ``by`` is no contact of the agency, or the assister is not the agency's.
        Unknown: If the assister has no account yet.
    """
    async with to.database.snapshot() as session:
        await authorized_contact(session, agency_id, by)
    await own_assister(to, agency_id, training_id)
    number = await to.portal.reference_number(training_id)
    if number is None:
        raise Unknown(f"{training_id} has no account yet")
    return number


async def own_assister(to: Connections, agency_id: str, training_id: str) -> Affiliation:
    """The agency's own assister: its roster names the person, and the case knows the agency.

    The roster alone is not enough: an agency could read any case by naming its assister.

    Raises:
        NotAuthorized: If the assister is unknown or another agency's. Both give the same answer.
    """
    async with to.database.snapshot() as session:
        named = await assister_of(session, agency_id, training_id)
        closed = await session.get(ClosedCase, training_id)
        others = select(Affiliation).where(
            Affiliation.training_id == training_id, Affiliation.agency_id != agency_id
        )
        alone = (await session.exec(others)).first() is None
    case = await open_case(to.client, training_id)
    known = known_agencies(case, earlier_of(closed))
    if agency_id in known or (not known and alone):
        return named
    raise not_the_agencys(agency_id, training_id)
