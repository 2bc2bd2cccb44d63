"""Rosters: submitting one, and what became of it."""

import asyncio
import hashlib
import json
import tempfile
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import IO, Any, NamedTuple

from sqlmodel import col, insert, select
from sqlmodel.ext.asyncio.session import AsyncSession
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from intake.submission import chunks
from policy.requirements import AssisterType
from policy.roster import Row
from records import audit
from records.database import Database
from records.people import authorized_contact
from records.submissions import next_sequence
from records.tables import Agency, Submission, SubmissionRow
from services import Unknown
from services.connections import Connections
from services.repeats import changes_nothing
from workflows.client import start_intake
from workflows.contract import IntakeProgress, roster_workflow_id

SPOOL = 8_000_000
"""The most bytes of a roster kept in memory while it is read; more goes to a temporary file."""


class Submitted(NamedTuple):
    """A submitted roster.

    Attributes:
        new: False if the agency's last roster of this type was the same.
    """

    submission_id: str
    rows: int
    new: bool


async def submit_roster(
    to: Connections,
    roster: Iterable[Row],
    *,
    agency_id: str,
    roster_type: AssisterType,
    by: str,
    filename: str,
) -> Submitted:
    """Records a roster sent by an agency's authorized contact, and starts its intake (clause 1).

    The roster is recorded whole or not at all. To submit it again is harmless: it starts the intake
    if the first attempt died before that.

    Args:
        by: The sender's e-mail address.

    Raises:
        NotAuthorized: If the sender is no authorized contact of the agency.
        UnreadableFile: If the file turns out to be damaged; then nothing is recorded.
    """
    done = await record_roster(
        to.database, roster, agency_id=agency_id, roster_type=roster_type, by=by, filename=filename
    )
    await start_intake(to.client, to.task_queue, done.submission_id, to.terms)
    return done


async def record_roster(
    database: Database,
    roster: Iterable[Row],
    *,
    agency_id: str,
    roster_type: AssisterType,
    by: str,
    filename: str,
) -> Submitted:
    """Records a roster, as `submit_roster` describes."""
    # The file is parsed before the transaction begins: a large workbook takes half a minute, in
    # which no other process could write to SQLite.
    with tempfile.SpooledTemporaryFile(SPOOL, mode="w+", encoding="utf-8") as spool:
        content, rows = await asyncio.to_thread(_spooled, roster, spool)
        async with database.transaction() as session:
            contact = await authorized_contact(session, agency_id, by)
            assert contact.id is not None
            # Submissions of one agency wait for each other: each is compared with the one before
            # it.
            await session.get(Agency, agency_id, with_for_update=True)
            last = await _last(session, agency_id, roster_type)
            if last is not None and last.digest == content and await changes_nothing(session, last):
                return Submitted(last.id, last.rows, new=False)
            identity = f"{agency_id}|{roster_type}|{content}|{last.id if last else ''}"
            submission = Submission(
                id=hashlib.sha256(identity.encode()).hexdigest()[:12],
                agency_id=agency_id,
                roster_type=roster_type,
                contact_id=contact.id,
                filename=filename[:200],
                digest=content,
                rows=rows,
                sequence=await next_sequence(session),
                submitted_at=datetime.now(UTC),
            )
            session.add(submission)
            await session.flush()
            for chunk in chunks(_recorded(submission.id, spool)):
                # To insert them as objects of the session takes twice as long, with SQLite locked.
                await session.exec(insert(SubmissionRow), params=chunk)
            await audit.append(
                await session.connection(),
                f"roster-{submission.id}",
                "roster_submitted",
                at=submission.submitted_at,
                by=f"contact-{contact.id}",
                clause="1",
                agency_id=agency_id,
                roster_type=roster_type.value,
                rows=rows,
                digest=content,
            )
            return Submitted(submission.id, rows, new=True)


def _spooled(roster: Iterable[Row], spool: IO[str]) -> tuple[str, int]:
    """Writes the rows down; returns their hash and their number."""
    digest, rows = hashlib.sha256(), 0
    for row in roster:
        line = json.dumps([row.line, row.cells, row.fault], sort_keys=True)
        digest.update(line.encode())
        spool.write(line + "\n")
        rows += 1
    return digest.hexdigest(), rows


async def progress(client: Client, submission_id: str) -> IntakeProgress:
    """The progress of a roster.

    Raises:
        Unknown: If its intake was never started.
    """
    handle = client.get_workflow_handle(roster_workflow_id(submission_id))
    try:
        found: IntakeProgress = await handle.query("progress", result_type=IntakeProgress)
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            raise Unknown(
                f"The intake of roster {submission_id} has not begun. Submit the same file again:"
                " that starts it."
            ) from None
        raise
    return found


async def verdicts(database: Database, submission_id: str) -> list[dict[str, Any]]:
    """Every row of a submission with its verdict, which is None until the row is judged.

    Raises:
        Unknown: If there is no such submission.
    """
    async with database.snapshot() as session:
        if await session.get(Submission, submission_id) is None:
            raise Unknown(f"there is no submission {submission_id}")
        found = select(SubmissionRow).where(SubmissionRow.submission_id == submission_id)
        rows = await session.exec(found.order_by(col(SubmissionRow.line)))
        return [
            each.model_dump(include={"line", "training_id", "verdict", "reasons"}) for each in rows
        ]


def _recorded(submission_id: str, spool: IO[str]) -> Iterator[dict[str, object]]:
    spool.seek(0)
    for text in spool:
        line, read, fault = json.loads(text)
        # PostgreSQL cannot store NUL in JSON text.
        cells = {name: cell.replace("\0", "\x01") for name, cell in read.items()}
        yield {
            "submission_id": submission_id,
            "line": line,
            "cells": cells | {"": fault},
            "reasons": [],
        }


async def _last(
    session: AsyncSession, agency_id: str, roster_type: AssisterType
) -> Submission | None:
    found = select(Submission).where(
        Submission.agency_id == agency_id, Submission.roster_type == roster_type
    )
    return (await session.exec(found.order_by(col(Submission.sequence).desc()).limit(1))).first()
