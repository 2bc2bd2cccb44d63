"""Cases compared with the portal and the outbox, after a restore of one of them.

If they disagree about access, the one that gives less access wins. The exception is a case that is
surely newer: its count of commands is ahead of the portal's. Staff can give back what this takes
away.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from enum import StrEnum
from typing import NamedTuple

from sqlmodel import col, func, select, update
from temporalio.client import WorkflowQueryFailedError, WorkflowUpdateFailedError
from temporalio.service import RPCError, RPCStatusCode

from activities.results import relay_results
from policy.case import Case, Stage
from portal.directory import AccountState
from records import audit
from records.tables import (
    Affiliation,
    ClosedCase,
    MailDelivery,
    ResultEvent,
    Submission,
    SubmissionRow,
)
from services.connections import Connections
from workflows import lists
from workflows.client import act, open_case, snapshot, start_intake
from workflows.contract import StaffAct, assister_workflow_id, roster_workflow_id

AT_ONCE = 20
LONGEST_ASKED = 10.0
"""Seconds that a case has to answer."""
UNDER_WAY = 3.0
"""Seconds between two looks: a step that is under way ends in between."""
LONGEST_SUSPENSION = 30
"""Seconds."""
BY = "operator"
WHY = "Reconciled after a restore"
LOST = "no case sends it any more; it may have gone out before a restore"
WAITING = ("prepared", "sending")
CASES = assister_workflow_id("")


class Repair(StrEnum):
    """What makes a case and the portal agree."""

    LOOK = "none: look at the case"
    SUSPEND_CASE = "suspend the case; staff reinstate it"
    SUSPEND_ACCOUNT = "suspend in the portal"
    REINSTATE_ACCOUNT = "reinstate in the portal"
    ENROLL_AGAIN = "suspend and reinstate the case: a new registration number is mailed"
    REISSUE = "reissue: a new registration number, or the confirmation"


class Difference(NamedTuple):
    """A disagreement between a case and the portal."""

    training_id: str
    case: str
    portal: str
    repair: Repair


class LostMail(NamedTuple):
    """A mail in the outbox that no case will send."""

    key: str
    kind: str
    state: str


class Told(NamedTuple):
    """What cases were told after the moment to which Temporal was restored, and so do not know.

    Attributes:
        results: How many results.
        rosters: Submissions whose intake is gone or was set back.
    """

    results: int
    rosters: Sequence[str]


class Found(NamedTuple):
    """All differences, and the number of assisters compared."""

    compared: int
    differences: Sequence[Difference]
    mails: Sequence[LostMail]


async def compare(to: Connections) -> Found:
    """Compares every known case; a difference counts if it is there at two looks."""
    known = await _known(to)
    first, mails = await _differences(to, known), await _lost_mails(to)
    if first or mails:
        await asyncio.sleep(UNDER_WAY)
    again = await _differences(to, [each.training_id for each in first])
    lost = set(await _lost_mails(to)) if mails else set()
    return Found(
        len(known),
        [each for each in again if each in first],
        [each for each in mails if each in lost],
    )


async def told_since(to: Connections, since: datetime) -> Told:
    """What cases were told since then, as the records say."""
    results = select(func.count()).where(col(ResultEvent.told_at) >= since)
    submitted = select(Submission.id).where(Submission.submitted_at >= since)
    async with to.database.snapshot() as session:
        count = (await session.exec(results)).one()
        candidates = set(await session.exec(submitted))
    rosters = {each for each in candidates if not await _taken_in(to, each)}
    # Rosters that were on hold when Temporal's backup was made are on hold again.
    async for each in to.client.list_workflows(lists.ROSTERS):
        rosters.add(each.id.removeprefix(roster_workflow_id("")))
    return Told(count, sorted(rosters))


async def tell_again(to: Connections, since: datetime) -> None:
    """Tells cases again what they were told since then; a fact that a case knows has no effect."""
    told = await told_since(to, since)
    now = datetime.now(UTC)
    results = update(ResultEvent).where(col(ResultEvent.told_at) >= since)
    rows = update(SubmissionRow).where(col(SubmissionRow.submission_id).in_(told.rosters))
    async with to.database.transaction() as session:
        await session.exec(results.values(told_at=None, next_attempt_at=now))
        await session.exec(rows.values(opened=False))
    for each in told.rosters:
        await start_intake(to.client, to.task_queue, each, to.terms)
    while await relay_results(to.database, to.client, to.task_queue, to.terms):
        pass


async def repair(to: Connections, found: Found) -> None:
    """Gives the commands that make cases and portal agree, under fences new to both."""
    for each in found.differences:
        await _repair(to, each)
    await _give_up(to, [each.key for each in found.mails])


# Private parts


async def _known(to: Connections) -> list[str]:
    async with to.database.snapshot() as session:
        known = set(await session.exec(select(Affiliation.training_id)))
        known.update(await session.exec(select(ClosedCase.training_id)))
    async for each in to.client.list_workflows(lists.CASES):
        known.add(each.id.removeprefix(CASES))
    return sorted(known)


async def _differences(to: Connections, training_ids: Sequence[str]) -> list[Difference]:
    places = asyncio.Semaphore(AT_ONCE)
    untold = {each.training_id for each in await to.portal.unreported()}

    async def one(training_id: str) -> Difference | None:
        async with places:
            account, fence = (
                await to.portal.account(training_id),
                await to.portal.fence(training_id),
            )
            try:
                async with asyncio.timeout(LONGEST_ASKED):
                    case = await open_case(to.client, training_id)
            except (TimeoutError, RPCError, WorkflowQueryFailedError):
                return Difference(
                    training_id, "does not answer", _with_number(account), Repair.LOOK
                )
        # The relay is about to tell the case of these: they are no difference.
        needed = None if training_id in untold else needed_repair(case, account, fence)
        if needed is None:
            return None
        return Difference(training_id, _standing(case), _with_number(account), needed)

    found = await asyncio.gather(*(one(each) for each in training_ids))
    return [each for each in found if each is not None]


def needed_repair(case: Case | None, account: AccountState, fence: int) -> Repair | None:
    """What to do about a case and an account; None if they agree or a step is under way.

    Args:
        fence: The newest that the portal has seen.
    """
    suspended, number = account.status == "suspended", account.registration
    ahead = case is not None and case.fence > fence
    match case.stage if case else Stage.CLOSED:
        case Stage.ENROLLING:
            return None
        case Stage.ACTIVE if account.status != "active":
            if suspended and not ahead:
                return Repair.SUSPEND_CASE
            return Repair.REINSTATE_ACCOUNT if account.activated else Repair.ENROLL_AGAIN
        case Stage.AWAITING_ACTIVATION | Stage.ACTIVATION_EXPIRED:
            if suspended and not ahead:
                return Repair.SUSPEND_CASE
            known = case.activation.registration if case and case.activation else 0
            return Repair.REISSUE if suspended or account.activated or number != known else None
        case Stage.COLLECTING_REQUIREMENTS | Stage.SUSPENDED | Stage.CLOSED:
            return Repair.SUSPEND_ACCOUNT if account.status in ("active", "pending") else None
    return None


def _standing(case: Case | None) -> str:
    if case is None:
        return "no open case"
    number = f", number {case.activation.registration}" if case.activation else ""
    return f"{case.stage}{number}"


def _with_number(account: AccountState) -> str:
    number = f", number {account.registration}" if account.status == "pending" else ""
    return f"{account.status}{number}"


async def _repair(to: Connections, found: Difference) -> None:
    training_id, portal = found.training_id, to.portal
    match found.repair:
        case Repair.SUSPEND_CASE:
            await _order(to, training_id, "suspend_access")
        case Repair.REISSUE:
            await _order(to, training_id, "reissue_activation")
        case Repair.SUSPEND_ACCOUNT:
            await portal.suspend(training_id, await _next_fence(to, training_id), WHY)
        case Repair.REINSTATE_ACCOUNT:
            fence = await _next_fence(to, training_id)
            await portal.reinstate(training_id, fence, {"reason": WHY})
        case Repair.ENROLL_AGAIN:
            await _order(to, training_id, "suspend_access")
            for _ in range(LONGEST_SUSPENSION):
                case = await open_case(to.client, training_id)
                if case is None or case.stage is Stage.SUSPENDED:
                    break
                await asyncio.sleep(1)
            # A suspension that was lifted before it was carried out never took effect.
            await _order(to, training_id, "reinstate_access")


async def _order(to: Connections, training_id: str, update: str) -> None:
    """Gives an order. A refusal is no fault: the case has changed since the comparison."""
    order = StaffAct(by=BY, reason=WHY)
    with suppress(WorkflowUpdateFailedError):
        await act(to.client, assister_workflow_id(training_id), update, order)


async def _next_fence(to: Connections, training_id: str) -> int:
    """A fence that is new to the portal and ahead of the case, whose own command becomes stale."""
    case = await open_case(to.client, training_id)
    return max(case.fence if case else 0, await to.portal.fence(training_id)) + 1


async def _lost_mails(to: Connections) -> list[LostMail]:
    waiting = select(MailDelivery).where(
        col(MailDelivery.state).in_(WAITING), col(MailDelivery.case_id).startswith(CASES)
    )
    async with to.database.snapshot() as session:
        mails = (await session.exec(waiting)).all()
    lost = []
    for mail in mails:
        case = await snapshot(to.client, mail.case_id.removeprefix(CASES))
        due = [*case.mails_due, *case.mails_undeliverable] if case else []
        # The key names the case, the chain of its runs, and which of its mails.
        if mail.key.split(".")[2] not in {str(each.number) for each in due}:
            lost.append(LostMail(mail.key, mail.kind, mail.state))
    return lost


async def _give_up(to: Connections, keys: Sequence[str]) -> None:
    now = datetime.now(UTC)
    async with to.database.transaction() as session:
        found = select(MailDelivery).where(
            col(MailDelivery.key).in_(keys), col(MailDelivery.state).in_(WAITING)
        )
        for mail in await session.exec(found):
            mail.state, mail.text, mail.claimed_until, mail.reply = "in_doubt", None, None, LOST
            session.add(mail)
            await audit.append(
                await session.connection(),
                mail.case_id,
                "mail_in_doubt",
                at=now,
                by=BY,
                kind=mail.kind,
            )


async def _taken_in(to: Connections, submission_id: str) -> bool:
    """Whether Temporal says that its intake has ended."""
    handle = to.client.get_workflow_handle(roster_workflow_id(submission_id))
    try:
        return (await handle.describe()).close_time is not None
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise
        return False
