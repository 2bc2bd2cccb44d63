"""What an agency's authorized contact sees: the agency's own assisters and rosters."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from sqlmodel import col, select

from records.database import Database
from records.tables import Affiliation, Submission
from services import Unknown
from services.connections import Connections
from workflows import search_attributes
from workflows.contract import assister_workflow_id
from workflows.lists import CASES

LATEST = 10
"""Rosters shown."""


class OwnAssister(NamedTuple):
    """An assister of the agency, and the stage of the case; None if no case is open."""

    training_id: str
    name: str
    stage: str | None
    waiting_on: Sequence[str]
    next_deadline: datetime | None


async def own_assisters(to: Connections, agency_id: str) -> list[OwnAssister]:
    """Every assister of the agency, by name."""
    found = select(Affiliation).where(Affiliation.agency_id == agency_id)
    async with to.database.snapshot() as session:
        people = (
            await session.exec(
                found.order_by(col(Affiliation.last_name), col(Affiliation.first_name))
            )
        ).all()
    query = f"{CASES} AND {search_attributes.AGENCY.name} = '{agency_id}'"
    cases = {
        each.id: each.typed_search_attributes async for each in to.client.list_workflows(query)
    }
    shown = []
    for person in people:
        case = cases.get(assister_workflow_id(person.training_id))
        shown.append(
            OwnAssister(
                person.training_id,
                f"{person.first_name} {person.last_name}",
                case.get(search_attributes.STAGE) if case else None,
                (case.get(search_attributes.WAITING_ON) or ()) if case else (),
                case.get(search_attributes.NEXT_DEADLINE) if case else None,
            )
        )
    return shown


async def own_submissions(database: Database, agency_id: str) -> Sequence[Submission]:
    """The agency's latest rosters, the newest first."""
    found = select(Submission).where(Submission.agency_id == agency_id)
    async with database.snapshot() as session:
        return (
            await session.exec(found.order_by(col(Submission.sequence).desc()).limit(LATEST))
        ).all()


async def own_submission(database: Database, agency_id: str, submission_id: str) -> Submission:
    """One of the agency's rosters.

    Raises:
        Unknown: If there is none, or if it is another agency's. Both give the same answer.
    """
    async with database.snapshot() as session:
        submission = await session.get(Submission, submission_id)
    if submission is None or submission.agency_id != agency_id:
        raise Unknown(f"there is no submission {submission_id}")
    return submission
