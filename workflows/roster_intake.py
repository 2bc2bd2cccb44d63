"""RosterIntake: from a submitted roster to a case for every accepted row."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from itertools import count
from typing import Any, Literal

from temporalio import workflow
from temporalio.exceptions import ApplicationError

with workflow.unsafe.imports_passed_through():
    from policy.mails import MailKind
    from workflows import dialogs, presentation, search_attributes, steps
    from workflows.contract import ROSTER_INTAKE, IntakeInput, IntakeProgress, StaffAct
    from workflows.performing import Overtaken, perform
    from workflows.refusals import refused
    from workflows.staff import accepted, cancelled, checked
    from workflows.steps import AnswerT, ArgumentT, Step


@workflow.defn(name=ROSTER_INTAKE)
class RosterIntake:
    """Judges every row, opens or updates a case for each accepted one, tells the contact."""

    @workflow.init
    def __init__(self, start: IntakeInput) -> None:
        self._request = steps.SubmissionRequest(
            submission_id=start.submission_id, terms=start.terms
        )
        self._progress = IntakeProgress(submission_id=start.submission_id, stage="judging")
        self._decision: Literal["release", "discard"] | None = None
        self._orders: list[steps.OrderRequest] = []
        self._wants_contact = False
        self._marked: str | None = None

    @workflow.run
    async def run(self, start: IntakeInput) -> IntakeProgress:
        """Processes the roster once; a cancellation discards a roster that is on hold."""
        del start
        intake = asyncio.create_task(self._take_in())
        while not intake.done():
            try:
                await asyncio.shield(intake)
            except asyncio.CancelledError:
                # A roster that is not on hold goes on: half a roster would be worse than all of it.
                if self._on_hold():
                    self._decision = "discard"
                    self._orders = [*self._orders, cancelled("discard")]
        return self._progress

    async def _take_in(self) -> None:
        judged = await self._perform(steps.JUDGE_ROSTER, self._request, "Judge every row")
        self._show("judged", judged.model_dump(exclude={"agency_id"}))
        agency = search_attributes.AGENCY.value_set(judged.agency_id)
        workflow.upsert_search_attributes([agency])
        if self._request.terms.holds(judged.suspensions, judged.with_access):
            await self._hold()
        discarded = self._decision == "discard"
        if not discarded:
            await self._open_cases()
        await self._tell(MailKind.ROSTER_DISCARDED if discarded else MailKind.ROSTER_SUMMARY)
        self._show("discarded" if discarded else "done")
        await workflow.wait_condition(workflow.all_handlers_finished)
        await self._record_orders()

    async def _hold(self) -> None:
        self._show("held")
        self._mark("roster:held")
        # At the same time: a full mailbox must delay neither the other mail nor the decision.
        await asyncio.gather(
            self._tell_of_hold(MailKind.ROSTER_HELD_ARC),
            self._tell_of_hold(MailKind.ROSTER_HELD),
        )
        await workflow.wait_condition(self._decided)
        self._mark(None)
        await self._record_orders()

    async def _tell_of_hold(self, kind: MailKind) -> None:
        # Once it is decided the mail is untrue.
        with suppress(Overtaken):
            await self._mail(kind, unless=self._decided)

    async def _open_cases(self) -> None:
        remaining = self._progress.accepted
        while remaining:
            opened = await self._perform(steps.OPEN_CASES, self._request, "Open or update cases")
            remaining = opened.remaining
            self._show("opening", {"opened": opened.opened})
        # If another roster took its mailbox meanwhile, a row is rejected after all.
        accepted = self._progress.opened
        rejected = self._progress.rows - accepted
        self._show("opening", {"accepted": accepted, "rejected": rejected})

    async def _tell(self, kind: MailKind) -> None:
        """Mails the contact; if the address is refused, again once it is corrected."""
        for correction in count():
            if await self._mail(kind, correction):
                return
            self._wants_contact = True
            self._show("wants_contact")
            self._mark(f"mail:{kind}")
            await workflow.wait_condition(lambda: not self._wants_contact)
            self._mark(None)

    # Updates, from staff

    @workflow.update(description=dialogs.RELEASE)
    def release(self, act: Any = None) -> str:
        """Lets a held roster go on."""
        self._decide("release", act)
        return "The roster goes on."

    @release.validator
    def _check_release(self, act: Any = None) -> None:
        self._check(act, self._on_hold(), "The roster is not on hold")

    @workflow.update(description=dialogs.DISCARD)
    def discard(self, act: Any = None) -> str:
        """Drops a held roster."""
        self._decide("discard", act)
        return "The roster is discarded; it changed nothing."

    @discard.validator
    def _check_discard(self, act: Any = None) -> None:
        self._check(act, self._on_hold(), "The roster is not on hold")

    @workflow.update(description=dialogs.CONTACT_CORRECTED)
    def contact_corrected(self, act: Any = None) -> str:
        """Sends the mail that waited: the contact's address in the records was corrected."""
        self._wants_contact = False
        self._orders = [*self._orders, accepted(checked(StaffAct, act))]
        return "The mail goes out again."

    @contact_corrected.validator
    def _check_contact_corrected(self, act: Any = None) -> None:
        self._check(act, self._wants_contact, "No mail waits for a better address")

    @workflow.query(description=dialogs.PROGRESS)
    def progress(self) -> IntakeProgress:
        """How far the roster is, for commands and pages."""
        return self._progress

    # Private parts

    def _decided(self) -> bool:
        return self._decision is not None

    def _on_hold(self) -> bool:
        return self._progress.stage == "held" and self._decision is None

    def _decide(self, decision: Literal["release", "discard"], act: Any) -> None:
        self._decision = decision
        self._orders = [*self._orders, accepted(checked(StaffAct, act))]

    def _check(self, act: Any, allowed: bool, refusal: str) -> None:
        checked(StaffAct, act)
        if not allowed:
            raise refused(f"{refusal}; its stage is {self._progress.stage}.")

    async def _record_orders(self) -> None:
        while orders := self._orders:
            request = steps.OrdersRequest(orders=orders)
            await self._perform(steps.RECORD_ORDERS, request, "Record what staff decided")
            self._orders = self._orders[len(orders) :]

    async def _mail(
        self, kind: MailKind, correction: int = 0, unless: Callable[[], bool] = lambda: False
    ) -> bool:
        """Sends a mail; returns False if its address was refused."""
        counts = self._progress.model_dump(exclude={"submission_id", "stage"})
        request = steps.MailRequest(
            key=f"{workflow.info().workflow_id}.{kind}.{correction}",
            kind=kind,
            subject_id=self._progress.submission_id,
            facts={name: str(count) for name, count in counts.items()},
        )
        try:
            await self._perform(steps.SEND_MAIL, request, presentation.mail(kind), unless)
        except ApplicationError:
            return False
        return True

    async def _perform(
        self,
        step: Step[ArgumentT, AnswerT],
        argument: ArgumentT,
        summary: str,
        unless: Callable[[], bool] = lambda: False,
    ) -> AnswerT:
        """Performs a step; one that is retried for an hour is marked for a person."""
        late, before = f"late:{step.name}", self._marked
        answer = await perform(
            step, argument, summary, unless=unless, late=lambda: self._mark(late)
        )
        if self._marked == late:
            # The mark before the step was for another matter, which a person must still settle.
            self._mark(before)
        return answer

    def _mark(self, what: str | None) -> None:
        self._marked = what
        attention = search_attributes.ATTENTION
        update = attention.value_set(what) if what is not None else attention.value_unset()
        workflow.upsert_search_attributes([update])

    def _show(self, stage: str, counts: dict[str, int] | None = None) -> None:
        self._progress = self._progress.model_copy(update={"stage": stage, **(counts or {})})
        workflow.set_current_details(presentation.intake(self._progress))
