"""Finding an assister by what a caller says."""

from typing import NamedTuple

from sqlmodel import col, func, or_, select

from policy.addresses import mailbox_key
from records.database import Database
from records.tables import Affiliation, Agency, Mailbox

MOST = 50
"""The most assisters shown; more words narrow the search."""


class Found(NamedTuple):
    """An assister on an agency's roster."""

    training_id: str
    name: str
    email: str
    agency_id: str
    agency_name: str


async def find(database: Database, text: str) -> list[Found]:
    """Assisters whose name, e-mail address or Training ID contains every word of the search.

    An assister who is on several agencies' rosters is found once for each.
    """
    name = col(Affiliation.first_name) + " " + col(Affiliation.last_name)
    query = (
        select(Affiliation, Mailbox, Agency)
        .join(Mailbox, col(Mailbox.id) == col(Affiliation.mailbox_id))
        .join(Agency, col(Agency.id) == col(Affiliation.agency_id))
    )
    for word in text.split():
        # SQLite's lower() changes ASCII only, so each form of É is searched for.
        forms = {word, word.lower(), word.upper(), word.capitalize()}
        query = query.where(
            or_(
                *(name.contains(each, autoescape=True) for each in forms),
                func.lower(name).contains(word.lower(), autoescape=True),
                func.lower(Mailbox.email).contains(word.lower(), autoescape=True),
                col(Mailbox.mailbox_key) == mailbox_key(word),
                col(Affiliation.training_id) == word.upper(),
            )
        )
    query = query.order_by(
        col(Affiliation.last_name), col(Affiliation.training_id), col(Affiliation.agency_id)
    )
    async with database.snapshot() as session:
        return [
            Found(
                person.training_id,
                f"{person.first_name} {person.last_name}",
                mailbox.email,
                agency.id,
                agency.name,
            )
            for person, mailbox, agency in await session.exec(query.limit(MOST))
        ]
