"""RosterIntake: from a submitted roster to a case for every accepted row."""

from datetime import timedelta
from typing import Any, Literal

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError

with workflow.unsafe.imports_passed_through():
    from pydantic import ValidationError

    from policy.mails import MailKind
    from workflows import presentation, search_attributes, steps
    from workflows.contract import ROSTER_INTAKE, IntakeInput, IntakeProgress, StaffAct

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

    @workflow.run
    async def run(self, start: IntakeInput) -> IntakeProgress:
        """Goes through the roster once."""
        del start
        judged = await self._rows(steps.JUDGE_ROSTER, "Judge every row")
        self._show("judged", judged.model_dump())
        if self._request.terms.holds(judged.suspensions, judged.with_access):
            await self._hold()
        if self._decision != "discard":
            await self._open_cases()
            await self._mail(1, MailKind.ROSTER_SUMMARY)
        self._show("discarded" if self._decision == "discard" else "done")
        await workflow.wait_condition(workflow.all_handlers_finished)
        return self._progress

    async def _hold(self) -> None:
        self._show("held")
        workflow.upsert_search_attributes([search_attributes.ATTENTION.value_set("roster:held")])
        await self._mail(2, MailKind.ROSTER_HELD)
        await self._mail(3, MailKind.ROSTER_HELD_ARC)
        await workflow.wait_condition(lambda: self._decision is not None)
        workflow.upsert_search_attributes([search_attributes.ATTENTION.value_unset()])

    async def _open_cases(self) -> None:
        remaining = self._progress.accepted
        while remaining:
            opened = await self._rows(steps.OPEN_CASES, "Open or update cases")
            remaining = opened.remaining
            self._show("opening", {"opened": opened.opened})

    @workflow.update(description=f"Goes on with a held roster. {presentation.STAFF_EXAMPLE}")
    def release(self, act: Any = None) -> str:
        """Staff let a held roster go on."""
        del act
        self._decision = "release"
        return "The roster goes on."

    @release.validator
    def _check_release(self, act: Any = None) -> None:
        self._check(act)

    @workflow.update(description=f"Drops a held roster. {presentation.STAFF_EXAMPLE}")
    def discard(self, act: Any = None) -> str:
        """Staff drop a held roster."""
        del act
        self._decision = "discard"
        return "The roster is discarded; it changed nothing."

    @discard.validator
    def _check_discard(self, act: Any = None) -> None:
        self._check(act)

    @workflow.query(description="How far the roster is. Takes no input.")
    def progress(self) -> IntakeProgress:
        """How far the roster is."""
        return self._progress

    def _check(self, act: Any) -> None:
        try:
            StaffAct.model_validate(act)
        except ValidationError as error:
            mistake = presentation.mistake(error)
            raise ApplicationError(f"{mistake} {presentation.STAFF_EXAMPLE}") from None
        if self._progress.stage != "held" or self._decision is not None:
            raise ApplicationError(f"The roster is not on hold; it is {self._progress.stage}.")

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

    async def _mail(self, number: int, kind: MailKind) -> None:
        counts = self._progress.model_dump(exclude={"submission_id", "stage"})
        request = steps.MailRequest(
            key=f"{workflow.info().workflow_id}.{number}",
            kind=kind,
            subject_id=self._progress.submission_id,
            facts={name: str(count) for name, count in counts.items()},
        )
        try:
            await workflow.execute_activity(
                steps.SEND_MAIL.name,
                request,
                result_type=steps.SEND_MAIL.answer,
                retry_policy=steps.UNTIL_DONE,
                start_to_close_timeout=steps.SEND_MAIL.timeout,
                summary=f"Mail: {kind}",
            )
        except ActivityError:
            # The roster stands though its sender could not be told.
            workflow.upsert_search_attributes(
                [search_attributes.ATTENTION.value_set(f"mail:{kind}")]
            )

    def _show(self, stage: str, counts: dict[str, int] | None = None) -> None:
        self._progress = self._progress.model_copy(update={"stage": stage, **(counts or {})})
        shown = "\n".join(
            f"| {name} | {value} |" for name, value in self._progress.model_dump().items()
        )
        workflow.set_current_details(f"| | |\n| --- | --- |\n{shown}")
