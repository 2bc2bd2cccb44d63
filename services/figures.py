"""The system in figures: how many cases are in which stage, what waits, and for how long."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import chain

from sqlmodel import col, func, select
from temporalio.client import Client, WorkflowExecution, WorkflowQueryFailedError
from temporalio.service import RPCError

from policy.case import Stage
from records.tables import MailDelivery, ResultEvent, SubmissionRow
from services.connections import Connections
from workflows import lists
from workflows.client import case_status
from workflows.contract import ASSISTER_ACCESS, assister_workflow_id

MOST_ASKED = 20
"""The most cases that are asked since when they need a person."""
LONGEST_ASKED = 5.0
"""Seconds that a case has to answer."""
MAIL_STATES = ("prepared", "sending", "sent", "address_refused", "message_refused", "in_doubt")
WAITING = ("prepared", "sending")
VERDICTS = ("accepted", "rejected")


@dataclass(frozen=True)
class Figures:
    """How many there are, and since when the oldest one waits; None if none waits.

    Attributes:
        rows: Roster rows by verdict.
        attention: Cases and rosters that need a person.
        backlog: Activations and results that cases have not been told of.
    """

    cases: Mapping[Stage, int]
    rows: Mapping[str, int]
    mails: Mapping[str, int]
    mail_since: datetime | None
    attention: int
    attention_since: datetime | None
    backlog: Mapping[str, int]
    backlog_since: datetime | None


async def take_figures(of: Connections) -> Figures:
    """Counts everything once."""
    client = of.client
    cases = {
        stage: (await client.count_workflows(f"{lists.CASES} AND AssisterStage = '{stage}'")).count
        for stage in Stage
    }
    needy = [each async for each in client.list_workflows(lists.ATTENTION, limit=MOST_ASKED)]
    marks = await asyncio.gather(*(_needy_since(client, each) for each in needy))
    async with of.database.snapshot() as session:
        verdict, state = col(SubmissionRow.verdict), col(MailDelivery.state)
        rows = dict((await session.exec(select(verdict, func.count()).group_by(verdict))).all())
        mails = dict((await session.exec(select(state, func.count()).group_by(state))).all())
        mail_since = (
            await session.exec(select(func.min(MailDelivery.dated_at)).where(state.in_(WAITING)))
        ).one()
        untold, backlog_since = (
            await session.exec(
                select(func.count(), func.min(ResultEvent.received_at)).where(
                    col(ResultEvent.told_at).is_(None)
                )
            )
        ).one()
    return Figures(
        cases=cases,
        rows={each: rows.get(each, 0) for each in VERDICTS},
        mails={each: mails.get(each, 0) for each in MAIL_STATES},
        mail_since=mail_since,
        attention=(await client.count_workflows(lists.ATTENTION)).count,
        attention_since=min(chain.from_iterable(marks), default=None),
        backlog={"activations": len(await of.portal.unreported()), "results": untold},
        backlog_since=backlog_since,
    )


async def _needy_since(client: Client, workflow: WorkflowExecution) -> list[datetime]:
    """Since when a workflow needs a person; None if it does not answer."""
    if workflow.workflow_type != ASSISTER_ACCESS:
        return [workflow.start_time]
    try:
        async with asyncio.timeout(LONGEST_ASKED):
            status = await case_status(client, workflow.id.removeprefix(assister_workflow_id("")))
    except (TimeoutError, RPCError, WorkflowQueryFailedError):
        # A case whose workflow task fails does not answer; it must not hold up every figure.
        return []
    return [mark.since for mark in status.attention]
