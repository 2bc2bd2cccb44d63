"""Looking up a reference number."""

from portal.directory import Portal
from records.database import Database
from records.people import assister_of, authorized_contact
from services import Unknown


async def look_up(
    database: Database, portal: Portal, training_id: str, *, agency_id: str, by: str
) -> str:
    """The reference number of an agency's assister, for a contact of that agency (clause 3.3).

    Raises:
        NotAuthorized: If ``by`` is no contact of the agency, or the assister is not the agency's.
        Unknown: If the assister has no account yet.
    """
    async with database.snapshot() as session:
        await authorized_contact(session, agency_id, by)
        await assister_of(session, agency_id, training_id)
    number = await portal.reference_number(training_id)
    if number is None:
        raise Unknown(f"{training_id} has no account yet")
    return number
