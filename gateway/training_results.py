"""POST /training/results: an export of a training system, a verdict for every row.

What is answered 200 is in the records. The cases are told afterwards, by a relay that tries until
each has heard; sending an export again is harmless.
"""

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from fastapi import APIRouter, Request
from pydantic import BaseModel

from gateway.callers import Source, To
from gateway.problems import described
from gateway.uploads import encoding_of, file_body, file_of, parsed
from gateway.verdicts import Notes, Reason
from intake.results import ResultVerdict
from intake.sources import ExportFormat
from records.inbox import Incoming, Receipt, receive

router = APIRouter(tags=["training systems"])

EXAMPLE = (
    "Training ID,Event,Date,Course,Score\n"
    "NAV1001,training,2026-11-02,assister-portal,\n"
    "NAV1001,assessment,2026-11-02T15:04:00-06:00,assister-portal,82.5\n"
)


class ResultRow(BaseModel):
    """What became of a row: recorded, recorded by an earlier request, or rejected."""

    line: int
    training_id: str
    verdict: Literal["accepted", "repeated", "rejected"]
    reasons: list[Reason] = []


class Results(BaseModel):
    """What became of an export."""

    accepted: int
    repeated: int
    rejected: int
    rows: list[ResultRow]
    notes: Notes


@router.post(
    "/training/results",
    summary="Send an export of results",
    responses=described(400, 401, 403, 408, 413, 415, 422, 503),
    openapi_extra=file_body(EXAMPLE),
)
async def training_results(request: Request, source: Source, to: To) -> Results:
    """Each row is a certification, a completed training or a scored assessment. How the columns are
    called and on which scale scores are is configured for each training system; where nothing is,
    the columns are Training ID, Event, Date, Course, Score (in percent), Status and Valid Through.
    """
    sources: dict[str, ExportFormat] = request.app.state.settings.exports
    written = sources.get(source, ExportFormat())
    encoding = encoding_of(request)
    now = datetime.now(UTC)
    async with file_of(request, "the export") as file:
        verdicts, notes = await parsed(lambda: _judged(written, file, encoding, now))
    accepted = [
        Incoming(source, each.fact.event_id, each.training_id, each.fact)
        for each in verdicts
        if each.fact is not None
    ]
    async with to.database.transaction() as session:
        receipts = iter(await receive(await session.connection(), accepted, now))
    rows = [_row(each, next(receipts) if each.fact is not None else None) for each in verdicts]
    counts = Counter(each.verdict for each in rows)
    return Results(
        accepted=counts["accepted"],
        repeated=counts["repeated"],
        rejected=counts["rejected"],
        rows=rows,
        notes=notes,
    )


def _judged(
    written: ExportFormat, file: Path, encoding: str, now: datetime
) -> tuple[list[ResultVerdict], Sequence[str]]:
    export = written.read(file, encoding)
    return list(written.judge(export, now)), export.notes


def _row(verdict: ResultVerdict, receipt: Receipt | None) -> ResultRow:
    word: Literal["accepted", "repeated", "rejected"] = "rejected"
    if receipt is not None:
        word = "accepted" if receipt is Receipt.NEW else "repeated"
    reasons = [Reason(**each._asdict()) for each in verdict.reasons]
    return ResultRow(
        line=verdict.line, training_id=verdict.training_id, verdict=word, reasons=reasons
    )
