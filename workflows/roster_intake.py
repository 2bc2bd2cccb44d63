"""RosterIntake: from a submitted roster to a case for every accepted row."""

import asyncio
from datetime import timedelta
from itertools import count
from typing import Any, Literal

from temporalio import workflow
from temporalio.exceptions import ActivityError

with workflow.unsafe.imports_passed_through():
    from pydantic import ValidationError

    from policy.case import Order
    from policy.mails import MailKind
    from workflows import dialogs, presentation, search_attributes, steps
    from workflows.contract import ROSTER_INTAKE, IntakeInput, IntakeProgress, StaffAct
    from workflows.refusals import refused

TELL_THE_END = "tell-the-end"
"""The contact hears of a roster's end, a discarded one's too, though it take a better address."""
HEARTBEAT = timedelta(seconds=30)


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
        self._order: Order | None = None
        self._wants_contact = False

    @workflow.run
    async def run(self, start: IntakeInput) -> IntakeProgress:
        """Goes through the roster once; a cancellation discards it where it is on hold."""
        del start
        intake = asyncio.create_task(self._take_in())
        while not intake.done():
            try:
                await asyncio.shield(intake)
            except asyncio.CancelledError:
                # Anywhere else it changes nothing: half a roster would be worse than all of it.
                if self._on_hold():
                    self._decision = "discard"
        return self._progress

    async def _take_in(self) -> None:
        judged = await self._rows(steps.JUDGE_ROSTER, "Judge every row")
        self._show("judged", judged.model_dump(exclude={"agency_id"}))
        tells_the_end = workflow.patched(TELL_THE_END)
        if tells_the_end:
            agency = search_attributes.AGENCY.value_set(judged.agency_id)
            workflow.upsert_search_attributes([agency])
        if self._request.terms.holds(judged.suspensions, judged.with_access):
            await self._hold()
        discarded = self._decision == "discard"
        if not discarded:
            await self._open_cases()
        if tells_the_end:
            await self._tell(MailKind.ROSTER_DISCARDED if discarded else MailKind.ROSTER_SUMMARY)
        elif not discarded:
            await self._mail(1, MailKind.ROSTER_SUMMARY)
        self._show("discarded" if discarded else "done")
        await workflow.wait_condition(workflow.all_handlers_finished)

    async def _hold(self) -> None:
        self._show("held")
        self._mark("roster:held")
        await self._mail(2, MailKind.ROSTER_HELD)
        await self._mail(3, MailKind.ROSTER_HELD_ARC)
        await workflow.wait_condition(lambda: self._decision is not None)
        self._mark(None)

    async def _open_cases(self) -> None:
        remaining = self._progress.accepted
        while remaining:
            opened = await self._rows(steps.OPEN_CASES, "Open or update cases")
            remaining = opened.remaining
            self._show("opening", {"opened": opened.opened})

    async def _tell(self, kind: MailKind) -> None:
        """Mails the contact; where the address is refused, again once it is corrected."""
        for number in count(4):
            if await self._mail(number, kind):
                return
            self._wants_contact = True
            self._show("wants_contact")
            self._mark(f"mail:{kind}")
            await workflow.wait_condition(lambda: not self._wants_contact)
            self._mark(None)

    # Updates, from staff

    @workflow.update(description=dialogs.RELEASE)
    def release(self, act: Any = None) -> str:
        """Staff let a held roster go on."""
        self._decide("release", act)
        return "The roster goes on."

    @release.validator
    def _check_release(self, act: Any = None) -> None:
        self._check(act, self._on_hold(), "The roster is not on hold")

    @workflow.update(description=dialogs.DISCARD)
    def discard(self, act: Any = None) -> str:
        """Staff drop a held roster."""
        self._decide("discard", act)
        return "The roster is discarded; it changed nothing."

    @discard.validator
    def _check_discard(self, act: Any = None) -> None:
        self._check(act, self._on_hold(), "The roster is not on hold")

    @workflow.update(description=dialogs.CONTACT_CORRECTED)
    def contact_corrected(self, act: Any = None) -> str:
        """The contact's address in the records was corrected."""
        del act
        self._wants_contact = False
        return "The mail goes out again."

    @contact_corrected.validator
    def _check_contact_corrected(self, act: Any = None) -> None:
        self._check(act, self._wants_contact, "No mail waits for a better address")

    @workflow.query(description=dialogs.PROGRESS)
    def progress(self) -> IntakeProgress:
        """How far the roster is."""
        return self._progress

    # Private parts

    def _on_hold(self) -> bool:
        return self._progress.stage == "held" and self._decision is None

    def _decide(self, decision: Literal["release", "discard"], act: Any) -> None:
        self._decision = decision
        self._order = StaffAct.model_validate(act).order

    def _check(self, act: Any, allowed: bool, refusal: str) -> None:
        try:
            StaffAct.model_validate(act)
        except ValidationError as error:
            raise refused(f"{dialogs.mistake(error)} {dialogs.STAFF_EXAMPLE}") from None
        if not allowed:
            raise refused(f"{refusal}; its stage is {self._progress.stage}.")

    async def _rows(
        self, step: steps.Step[steps.SubmissionRequest, steps.AnswerT], summary: str
    ) -> steps.AnswerT:
        answer: steps.AnswerT = await workflow.execute_activity(
            step.name,
            self._request,
            result_type=step.answer,
            retry_policy=steps.UNTIL_DONE,
            start_to_close_timeout=step.timeout,
            heartbeat_timeout=HEARTBEAT,
            summary=summary,
        )
        return answer

    async def _mail(self, number: int, kind: MailKind) -> bool:
        """Whether the mail went out; where not, its address was refused."""
        counts = self._progress.model_dump(exclude={"submission_id", "stage"})
        request = steps.MailRequest(
            key=f"{workflow.info().workflow_id}.{number}",
            kind=kind,
            subject_id=self._progress.submission_id,
            facts={name: str(count) for name, count in counts.items()},
            order=self._order,
        )
        try:
            await workflow.execute_activity(
                steps.SEND_MAIL.name,
                request,
                result_type=steps.SEND_MAIL.answer,
                retry_policy=steps.UNTIL_DONE,
                start_to_close_timeout=steps.SEND_MAIL.timeout,
                summary=presentation.mail(kind),
            )
        except ActivityError:
            if not workflow.patched(TELL_THE_END):
                self._mark(f"mail:{kind}")
            return False
        return True

    def _mark(self, what: str | None) -> None:
        attention = search_attributes.ATTENTION
        update = attention.value_set(what) if what is not None else attention.value_unset()
        workflow.upsert_search_attributes([update])

    def _show(self, stage: str, counts: dict[str, int] | None = None) -> None:
        self._progress = self._progress.model_copy(update={"stage": stage, **(counts or {})})
        workflow.set_current_details(presentation.intake(self._progress))
