"""Finding an assister by what a caller says."""

from typing import NamedTuple

from sqlmodel import col, func, or_, select

from policy.addresses import mailbox_key
from records.database import Database
from records.tables import Agency, Assister

MOST = 50
"""Assisters shown; a caller who says more narrows it down."""


class Found(NamedTuple):
    """An assister on record."""

    training_id: str
    name: str
    email: str
    agency_id: str
    agency_name: str


async def find(database: Database, text: str) -> list[Found]:
    """Assisters whose name, e-mail address or Training ID is, or holds, what is asked for.

    Every word must be found; a word that is found is a part of the name, the address or the id.
    """
    name = col(Assister.first_name) + " " + col(Assister.last_name)
    query = select(Assister, Agency).join(Agency, col(Agency.id) == col(Assister.agency_id))
    for word in text.split():
        # SQLite lowers ASCII only, so that É is asked for in each of its forms.
        forms = {word, word.lower(), word.upper(), word.capitalize()}
        query = query.where(
            or_(
                *(name.contains(each, autoescape=True) for each in forms),
                func.lower(name).contains(word.lower(), autoescape=True),
                func.lower(Assister.email).contains(word.lower(), autoescape=True),
                col(Assister.mailbox_key) == mailbox_key(word),
                col(Assister.training_id) == word.upper(),
            )
        )
    query = query.order_by(col(Assister.last_name), col(Assister.training_id)).limit(MOST)
    async with database.snapshot() as session:
        return [
            Found(
                person.training_id,
                f"{person.first_name} {person.last_name}",
                person.email,
                agency.id,
                agency.name,
            )
            for person, agency in await session.exec(query)
        ]
