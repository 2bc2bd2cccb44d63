"""Staff find a caller by a name, an address or a number."""

import pytest

from records.database import Database
from records.tables import Affiliation
from services.find import find
from tests.support.system import AGENCY, record_people


@pytest.fixture
async def known(records_url: str) -> Database:
    """Two assisters, one with a name that is hard to search for."""
    database = Database(records_url)
    await record_people(database, "AAA0001", "AAA0002")
    async with database.transaction() as session:
        person = await session.get_one(Affiliation, ("AAA0001", AGENCY))
        person.first_name, person.last_name = "Élise", "O'Brien_Vang"
        session.add(person)
    return database


async def test_every_word_must_be_found_in_any_case_and_order(known: Database) -> None:
    for said in (
        "Élise", "élise", "o'brien", "VANG éli", "aaa0001", "aaa0001@ASSISTERS.example.org",
        "aaa0001+old@assisters.example.org", "brien_v",
    ):  # fmt: skip
        assert [person.training_id for person in await find(known, said)] == ["AAA0001"], said
    assert len(await find(known, "assisters.example.org")) == 2
    for nobody in ("nobody", "%", "brien%v", "élise lee"):
        assert await find(known, nobody) == [], nobody
    await known.close()
