"""Rosters of agencies' programs: POST /rosters, POST /rosters/check, GET /rosters/{id}.

A key is bound to an agency and to the authorized contact who answers for what is sent (clause 1).
"""

from collections.abc import Sequence
from typing import Annotated, Literal

from fastapi import APIRouter, Path, Request, Response
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from temporalio.service import RPCError

from gateway.callers import AgencyProgram, To
from gateway.cases import checked
from gateway.problems import described
from gateway.uploads import encoding_of, file_body, file_of, parsed
from gateway.verdicts import Notes, Reason
from intake.files import read_roster, read_whole
from intake.forecast import RosterForecast
from policy.requirements import AssisterType
from policy.roster import COLUMNS, Row
from services import Unknown
from services.agency import own_submission
from services.rosters import progress, submit_roster, verdicts

router = APIRouter(tags=["agencies"])

EXAMPLE = (
    ",".join(COLUMNS.values())
    + "\nAnn,Lee,ann.lee@agency.example.org,NAV1001,Active,Yes,651-555-0142,"
    "help@agency.example.org,,,\n"
)
REFUSALS = (400, 401, 403, 408, 413, 415, 422)
ENDED = ("done", "discarded")
LOOK_AGAIN = "2"
"""Seconds."""


class RosterRow(BaseModel):
    """A row and its verdict, which is null until the row is judged."""

    line: int
    training_id: str
    verdict: Literal["accepted", "rejected"] | None
    reasons: list[Reason]


class Taken(BaseModel):
    """A roster that is recorded. It is not new if the last one was the same."""

    submission_id: str
    rows: int
    new: bool
    notes: Notes


class RosterState(BaseModel):
    """The progress of a roster."""

    submission_id: str
    stage: str
    rows: list[RosterRow]


class RosterCheck(BaseModel):
    """The verdicts and the forecast of a roster, as if it were submitted now."""

    rows: list[RosterRow]
    forecast: RosterForecast
    notes: Notes


async def _read(request: Request) -> tuple[list[Row], Sequence[str]]:
    encoding = encoding_of(request)
    async with file_of(request, "the roster") as file:
        return await parsed(lambda: read_whole(read_roster(file, encoding)))


@router.post(
    "/rosters",
    status_code=202,
    summary="Submit a roster",
    responses=described(*REFUSALS, 503),
    openapi_extra=file_body(EXAMPLE),
)
async def submit(
    request: Request, answer: Response, contact: AgencyProgram, to: To, type: AssisterType
) -> Taken:
    """Records the roster whole and starts its intake. `Location` says where to look at it.

    Sending it again changes nothing.
    """
    rows, notes = await _read(request)
    try:
        done = await submit_roster(
            to,
            rows,
            agency_id=contact.agency_id,
            roster_type=type,
            by=contact.email,
            filename="sent by a program",
        )
    except (RPCError, RuntimeError):
        raise HTTPException(503, "the roster's intake cannot start now; send it again") from None
    answer.headers["location"] = f"/rosters/{done.submission_id}"
    return Taken(**done._asdict(), notes=notes)


@router.post(
    "/rosters/check",
    summary="See what a roster would get and lead to",
    responses=described(*REFUSALS, 503),
    openapi_extra=file_body(EXAMPLE),
)
async def check(
    request: Request, contact: AgencyProgram, to: To, type: AssisterType
) -> RosterCheck:
    """Answers every row's verdict and the forecast; changes nothing."""
    rows, notes = await _read(request)
    found = await checked(to, rows, contact.agency_id, type)
    shown = [RosterRow.model_validate(each.public()) for each in found.verdicts]
    return RosterCheck(rows=shown, forecast=found.forecast, notes=notes)


@router.get(
    "/rosters/{submission_id}",
    summary="See how far a roster is",
    responses=described(401, 403, 404, 422, 503),
)
async def show(
    answer: Response,
    contact: AgencyProgram,
    to: To,
    submission_id: Annotated[str, Path(pattern="^[a-z0-9]{6,40}$", examples=["0f3a9c51be77"])],
) -> RosterState:
    """Answers the stage and every row's verdict; `Retry-After` while it goes on."""
    try:
        await own_submission(to.database, contact.agency_id, submission_id)
        stage = (await progress(to.client, submission_id)).stage
        rows = await verdicts(to.database, submission_id)
    except Unknown as unknown:
        raise HTTPException(404, str(unknown)) from None
    except (RPCError, RuntimeError):
        raise HTTPException(503, "the intake cannot be asked now; try again") from None
    if stage not in ENDED:
        answer.headers["retry-after"] = LOOK_AGAIN
    shown = [RosterRow.model_validate(each) for each in rows]
    return RosterState(submission_id=submission_id, stage=stage, rows=shown)
