"""AssisterAccess: one assister's case, for as long as access is sought or held."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial
from typing import Any, TypeVar

from temporalio import workflow
from temporalio.common import RawValue
from temporalio.exceptions import ApplicationError

with workflow.unsafe.imports_passed_through():
    from pydantic import ValidationError

    from policy.case import Activation, Case, Due, Earlier, Outcome, Stage
    from policy.correspondence import Mail
    from policy.mails import Recipient
    from policy.requirements import (
        AccountActivated,
        AssessmentScored,
        CertificationRecorded,
        Evidence,
        Fact,
        Requirement,
        ResultVoided,
        RosterRecorded,
        TrainingCompleted,
    )
    from policy.terms import Terms
    from workflows import dialogs, presentation, search_attributes, steps
    from workflows.contract import ASSISTER_ACCESS, AccessInput, ChangeAct, StaffAct, Status
    from workflows.performing import LATE, Overtaken, perform
    from workflows.refusals import refused
    from workflows.staff import accepted, cancelled, checked
    from workflows.steps import AnswerT, ArgumentT, Step

UPDATES_KEPT = 100
CANNOT_WAIT = (Due.SUSPENSION, Due.CLOSING)
"""Steps that interrupt any other step."""
CLOCK_TOLERANCE = timedelta(days=1)
FRESH = timedelta(hours=1)
"""For so long it holds that the records have no earlier case, if Temporal has none either: it keeps
closed cases for longer."""

FactT = TypeVar("FactT", bound=Fact)


@workflow.defn(name=ASSISTER_ACCESS)
class AssisterAccess:
    """Brings one assister to a confirmed account, and ends the access when the policy says so."""

    @workflow.init
    def __init__(self, start: AccessInput) -> None:
        self.case = start.case or _new_case(start.training_id, start.terms)
        self._following = start.following
        """The case that follows: it takes what arrives while this one closes."""
        self._first = start.first
        self._orders = list(start.orders)
        self._updates_done = list(start.updates_done)
        self._published: dict[str, Any] = {}
        """The search attributes as they were set last; None for one that was unset."""
        self._changed = False
        """People have not been shown the newest change."""
        self._ignored: list[str] = []
        """Events that changed nothing and are not yet in the log."""
        self._beside: dict[str, asyncio.Task[None]] = {}
        """What is under way beside the step that is due. Each task is made when it has something to
        do: one that only waits takes memory in every case that a worker keeps."""

    @workflow.run
    async def run(self, start: AccessInput) -> Status:
        """Does what is due, until the case is closed and everybody has been told."""
        del start
        beside = asyncio.create_task(self._do_beside())
        while not self._finished():
            try:
                await self._do_what_is_due()
            except Overtaken:
                pass
            except asyncio.CancelledError:
                if not self._ends():
                    self.case.close(Outcome.CANCELLED, workflow.now())
                    self._orders = [*self._orders, cancelled("close_case")]
            if self._history_is_long():
                await workflow.wait_condition(workflow.all_handlers_finished)
                self._cancel(beside)
                workflow.continue_as_new(self._continued())
        self._cancel(beside)
        self._publish()
        if self._following is not None and self._following.evidence != Evidence():
            self._following.number_after(self.case.mails)
            workflow.continue_as_new(self._followed(self._following))
        return self.status()

    async def _do_what_is_due(self) -> None:
        now = workflow.now()
        match self.case.due(now):
            case Due.OPENING:
                await self._open()
            case Due.CERTIFICATION_DATES:
                await self._date_certification()
            case Due.REQUIREMENT_REMINDER:
                self.case.remind_of_requirements(now)
            case Due.ENROLLMENT:
                await self._enroll()
            case Due.ACTIVATION_REMINDER:
                self.case.remind_of_activation(now)
            case Due.EXPIRY:
                await self._expire()
            case Due.CONFIRMATION:
                self.case.confirm(now)
            case Due.CERTIFICATION_WARNING:
                self.case.warn_of_certification(now)
            case Due.SUSPENSION:
                await self._suspend()
            case Due.REINSTATEMENT:
                await self._reinstate()
            case Due.CLOSING:
                await self._close()
            case Due.NOTHING:
                self._publish()
                await self._wait_for_news()

    # Updates, from staff: a validator refuses what cannot be done, and says why

    @workflow.update(description=dialogs.RESEND)
    def resend_activation(self, act: Any = None) -> str:
        """Repeats the activation mail while its registration number is valid."""
        return self._acted(checked(StaffAct, act), self.case.resend)

    @resend_activation.validator
    def _check_resend(self, act: Any = None) -> None:
        self._check(act, self.case.refuse_resend)

    @workflow.update(description=dialogs.REISSUE)
    def reissue_activation(self, act: Any = None) -> str:
        """Voids the registration number and issues a new one."""
        return self._acted(checked(StaffAct, act), self.case.reissue)

    @reissue_activation.validator
    def _check_reissue(self, act: Any = None) -> None:
        self._check(act, self.case.refuse_reissue)

    @workflow.update(description=dialogs.CORRECTED)
    def email_corrected(self, act: Any = None) -> str:
        """Sends the mails that waited: the assister's address in the records was corrected."""
        return self._acted(checked(StaffAct, act), self.case.correct_email)

    @email_corrected.validator
    def _check_correction(self, act: Any = None) -> None:
        self._check(act, self.case.refuse_correction)

    @workflow.update(description=dialogs.SUSPEND)
    def suspend_access(self, act: Any = None) -> str:
        """Suspends access until staff reinstate it."""
        staff = checked(StaffAct, act)
        return self._acted(staff, lambda now: self.case.suspend(staff.order, now))

    @suspend_access.validator
    def _check_suspend(self, act: Any = None) -> None:
        self._check(act, self.case.refuse_suspend)

    @workflow.update(description=dialogs.REINSTATE)
    def reinstate_access(self, act: Any = None) -> str:
        """Lifts the suspension by staff; all four requirements are checked again."""
        return self._acted(checked(StaffAct, act), self.case.reinstate)

    @reinstate_access.validator
    def _check_reinstate(self, act: Any = None) -> None:
        self._check(act, self.case.refuse_reinstate)

    @workflow.update(description=dialogs.CONFIRM_CHANGE)
    def confirm_change(self, act: Any = None) -> str:
        """Lets another agency, or another mailbox, speak for the assister."""
        staff = checked(ChangeAct, act)
        return self._acted(staff, lambda now: self.case.confirm_change(staff.agency_id, now))

    @confirm_change.validator
    def _check_confirm_change(self, act: Any = None) -> None:
        self._check_change(act)

    @workflow.update(description=dialogs.REFUSE_CHANGE)
    def refuse_change(self, act: Any = None) -> str:
        """Refuses such a change: nothing changes."""
        staff = checked(ChangeAct, act)
        return self._acted(staff, lambda now: self.case.decline_change(staff.agency_id, now))

    @refuse_change.validator
    def _check_refuse_change(self, act: Any = None) -> None:
        self._check_change(act)

    @workflow.update(description=dialogs.CLOSE)
    def close_case(self, act: Any = None) -> str:
        """Ends the case by order of staff."""
        return self._acted(
            checked(StaffAct, act), lambda now: self.case.close(Outcome.CLOSED_BY_STAFF, now)
        )

    @close_case.validator
    def _check_close(self, act: Any = None) -> None:
        self._check(act, self.case.refuse_close)

    # Signals, from systems: an event that cannot be used changes nothing and stays visible

    @workflow.signal(description=dialogs.ROSTER_RECORDED)
    def roster_recorded(self, *event: Any) -> None:
        """Takes an accepted roster row (clauses 1, 1.1)."""
        self._record("roster_recorded", RosterRecorded, event, Case.record_roster)

    @workflow.signal(description=dialogs.CERTIFICATION_RECORDED)
    def certification_recorded(self, *event: Any) -> None:
        """Takes the certification's state (clause before.2)."""
        self._record(
            "certification_recorded", CertificationRecorded, event, Case.record_certification
        )

    @workflow.signal(description=dialogs.TRAINING_COMPLETED)
    def training_completed(self, *event: Any) -> None:
        """Takes a completed course (clause before.3)."""
        self._record("training_completed", TrainingCompleted, event, Case.record_training)

    @workflow.signal(description=dialogs.ASSESSMENT_SCORED)
    def assessment_scored(self, *event: Any) -> None:
        """Takes an attempt at the assessment (clauses before.4, 2.2)."""
        self._record("assessment_scored", AssessmentScored, event, Case.record_assessment)

    @workflow.signal(description=dialogs.RESULT_VOIDED)
    def result_voided(self, *event: Any) -> None:
        """Takes back a result."""
        self._record("result_voided", ResultVoided, event, Case.record_void)

    @workflow.signal(description=dialogs.ACCOUNT_ACTIVATED)
    def account_activated(self, *event: Any) -> None:
        """Takes the portal's report that the account was set up (clause 3.2)."""
        self._record("account_activated", AccountActivated, event, Case.record_activation)

    @workflow.signal(dynamic=True)
    def unknown_signal(self, name: str, args: Sequence[RawValue]) -> None:
        """Notes a signal whose name is not in the contract; it changes nothing."""
        del args
        # The name is shown as Markdown: only letters, digits and underscores are kept.
        plain = "".join(each if each.isalnum() or each == "_" else "·" for each in name[:60])
        self._ignore(f"signal {plain}", "no such signal; see the contract")

    @workflow.query(description=dialogs.STATUS)
    def status(self) -> Status:
        """What is met, what is missing, who must act, deadlines and mails."""
        return presentation.status(self.case, workflow.now())

    @workflow.query(description=dialogs.SNAPSHOT)
    def snapshot(self) -> Case:
        """The whole case, for forecasts."""
        return self.case

    # Beside the step that is due

    async def _do_beside(self) -> None:
        """Does what waits for no step: it sends mails, records orders and shows changes."""
        while True:
            await workflow.wait_condition(lambda: self._changed or bool(self._to_begin()))
            if self._to_begin():
                self._begin_beside()
            else:
                self._show_changes()

    def _begin_beside(self) -> None:
        """Begins what is to be done; handlers call it, so that it precedes the next step."""
        for name, do in self._to_begin().items():
            self._beside[name] = asyncio.create_task(self._do_one_beside(name, do))

    def _to_begin(self) -> dict[str, Callable[[], Awaitable[None]]]:
        """What is to be done beside and is not under way, by name."""
        wanted: dict[str, Callable[[], Awaitable[None]]] = {}
        if self._orders:
            wanted["audit trail"] = self._record_orders
        for recipient in (Recipient.ASSISTER, Recipient.AGENCY):
            if self._mail_due(recipient) is not None:
                wanted[recipient] = partial(self._send_mails, recipient)
        return {name: do for name, do in wanted.items() if name not in self._beside}

    async def _do_one_beside(self, name: str, do: Callable[[], Awaitable[None]]) -> None:
        await do()
        # One that failed by a fault of this code stays, or it would be begun without end.
        del self._beside[name]

    def _cancel(self, beside: asyncio.Task[None]) -> None:
        for each in (beside, *self._beside.values()):
            each.cancel()

    # The steps

    async def _open(self) -> None:
        first = self._first
        if first is not None and abs(self.case.opened_at - first.as_of) < FRESH:
            self.case.planned(first.reminders_at, Earlier(), workflow.now())
            return
        request = steps.OpeningRequest(
            training_id=self.case.training_id,
            opened_at=self.case.opened_at,
            terms=self.case.terms,
        )
        opening = await self._perform(Due.OPENING, steps.OPEN_CASE, request, "Open the case")
        self.case.planned(opening.reminders_at, opening.earlier, workflow.now())

    async def _date_certification(self) -> None:
        certification = self.case.evidence.certification
        assert certification is not None
        assert certification.valid_through is not None
        request = steps.CertificationDatesRequest(
            valid_through=certification.valid_through,
            now=workflow.now(),
            terms=self.case.terms,
        )
        dates = await self._perform(
            Due.CERTIFICATION_DATES,
            steps.DATE_CERTIFICATION,
            request,
            "Work out when the certification ends",
        )
        if self.case.evidence.certification == certification:
            self.case.certification_dated(dates.ends_at, dates.warnings_at)

    async def _enroll(self) -> None:
        now = workflow.now()
        request = steps.EnrollmentRequest(
            training_id=self.case.training_id,
            fence=self.case.enrolling(now),
            now=now,
            terms=self.case.terms,
            grounds=self._grounds(),
        )
        enrollment = await self._command(
            Due.ENROLLMENT, steps.ENROLL, request, "Enroll and issue a registration number"
        )
        if enrollment is None:
            return
        if not enrollment.registration:
            self.case.found_active(enrollment.reference_number, workflow.now())
            return
        if workflow.now() - now > LATE:
            # The dates were worked out when it began: retries must not shorten the assister's time.
            return
        activation = Activation(
            registration=enrollment.registration,
            issued_at=now,
            reminders_at=enrollment.reminders_at,
            expires_at=enrollment.expires_at,
            reissuable_until=enrollment.reissuable_until,
        )
        self.case.issued(enrollment.reference_number, activation, workflow.now())

    async def _expire(self) -> None:
        answer = await self._command(
            Due.EXPIRY, steps.EXPIRE, self._portal(self.case.expiring()), "Void the number"
        )
        if answer is not None and not self._activated(answer):
            self.case.expired(workflow.now())

    async def _suspend(self) -> None:
        command = self._portal(self.case.suspending(), self.case.bar(workflow.now()) or "")
        answer = await self._command(
            Due.SUSPENSION, steps.SUSPEND, command, "Suspend in the portal"
        )
        if answer is not None:
            self._activated(answer)
            self.case.suspended(workflow.now())

    async def _reinstate(self) -> None:
        if self.case.activated:
            command = self._portal(self.case.reinstating())
            answer = await self._command(
                Due.REINSTATEMENT, steps.REINSTATE, command, "Reinstate in the portal"
            )
            if answer is None:
                return
            # A portal that was restored to a moment before the activation needs to issue a new
            # number.
            self.case.activated = answer.activated
        self.case.reinstated(workflow.now())

    async def _close(self) -> None:
        reached_portal = self.case.reached_portal
        fence = self.case.closing()
        assert self.case.ending is not None
        request = steps.CloseRequest(
            training_id=self.case.training_id,
            fence=fence,
            outcome=self.case.ending,
            evidence=self.case.evidence,
            hold=self.case.hold,
            ends=not self.case.only_keeps,
            reference_number=self.case.reference_number,
            reached_portal=reached_portal,
        )
        answer = await self._command(Due.CLOSING, steps.CLOSE, request, "End the access")
        if answer is not None:
            self.case.closed(workflow.now())

    async def _send_mails(self, recipient: Recipient) -> None:
        """Sends the mails to one recipient: a full mailbox must not delay mails to the others."""
        while (mail := self._mail_due(recipient)) is not None:
            await self._send_mail(mail)
            self._changed = True

    def _mail_due(self, recipient: Recipient) -> Mail | None:
        if not self.case.opened:
            # An earlier case may know what makes a mail untrue, and who speaks.
            return None
        to = (each for each in self.case.mails_due if each.kind.recipient is recipient)
        return next(to, None)

    async def _send_mail(self, mail: Mail) -> None:
        info = workflow.info()
        to = mail.to or self.case.speaker
        request = steps.MailRequest(
            key=f"{info.workflow_id}.{info.first_execution_run_id}.{mail.key}",
            kind=mail.kind,
            subject_id=self.case.training_id,
            agency_id=to.agency_id if to is not None else "",
            mailbox=to.mailbox if to is not None else 0,
            registration=mail.registration,
            reference_number=self.case.reference_number,
            facts=mail.facts,
        )
        summary = presentation.mail(mail.kind)
        try:
            sent = await perform(
                steps.SEND_MAIL,
                request,
                summary,
                unless=lambda: mail not in self.case.mails_due,
                late=lambda: self._late(summary),
            )
        except Overtaken:
            pass
        except ApplicationError as error:
            self._mail_failed(mail, error)
        else:
            self.case.mail_sent(mail, workflow.now(), sent.copies)
        self.case.no_longer_late(summary)

    async def _record_orders(self) -> None:
        """Writes the orders of staff to the audit trail."""
        summary = "Record what staff decided"
        while self._orders:
            orders = self._orders
            await perform(
                steps.RECORD_ORDERS,
                steps.OrdersRequest(orders=orders),
                summary,
                unless=lambda: False,
                late=lambda: self._late(summary),
            )
            self._orders = self._orders[len(orders) :]
            self.case.no_longer_late(summary)

    async def _wait_for_news(self) -> None:
        deadline = self.case.next_deadline(workflow.now())

        def news() -> bool:
            now = workflow.now()
            return (
                self.case.due(now) is not Due.NOTHING
                or self.case.next_deadline(now) != deadline
                or self._history_is_long()
                or self._finished()
            )

        with suppress(asyncio.TimeoutError):
            await workflow.wait_condition(
                news,
                timeout=None if deadline is None else deadline - workflow.now(),
                timeout_summary=presentation.timer(self.case, workflow.now()),
            )

    # Private parts

    async def _command(
        self, due: Due, step: Step[ArgumentT, AnswerT], argument: ArgumentT, summary: str
    ) -> AnswerT | None:
        """Gives the portal a command; None if a newer one overtook it or it was parked."""
        try:
            answer = await self._perform(due, step, argument, summary)
        except ApplicationError as error:
            if error.type == steps.STALE:
                self.case.fence = max(self.case.fence, int(error.details[0]))
            else:
                self.case.failed(due, error.message, workflow.now())
            return None
        self.case.succeeded(due)
        return answer

    async def _perform(
        self, due: Due, step: Step[ArgumentT, AnswerT], argument: ArgumentT, summary: str
    ) -> AnswerT:
        """Performs the step that is due, until a suspension or a close overtakes it."""
        within, ends = LATE, self.case.evidence.certified_until
        if due not in CANNOT_WAIT and ends is not None and ends > workflow.now():
            # A step that is being retried when the certification ends must stop then.
            within = min(within, ends - workflow.now())
        try:
            return await perform(
                step,
                argument,
                summary,
                unless=lambda: self._overtakes(due) or self._history_is_long(),
                late=lambda: self._late(summary),
                within=within,
            )
        finally:
            self.case.no_longer_late(summary)

    def _overtakes(self, under_way: Due) -> bool:
        """Whether a suspension or a close has become due while another step is under way."""
        now_due = self.case.due(workflow.now())
        return now_due in CANNOT_WAIT and now_due is not under_way

    def _late(self, summary: str) -> None:
        self.case.late(summary, workflow.now())
        self._publish()

    def _check(self, act: Any, refuse: Callable[[datetime], str | None]) -> None:
        checked(StaffAct, act)
        self._answer(refuse(workflow.now()))

    def _check_change(self, act: Any) -> None:
        change = checked(ChangeAct, act, dialogs.CHANGE_EXAMPLE)
        self._answer(self.case.refuse_change(change.agency_id, workflow.now()))

    def _answer(self, refusal: str | None) -> None:
        if refusal is not None and not self._repeated():
            raise refused(refusal)

    def _acted(self, staff: StaffAct, do: Callable[[datetime], str]) -> str:
        if self._repeated():
            return "Done already."
        update = workflow.current_update_info()
        assert update is not None
        self._updates_done = [*self._updates_done, update.id][-UPDATES_KEPT:]
        answer = do(workflow.now())
        self._orders = [*self._orders, accepted(staff)]
        self._changed = True
        self._begin_beside()
        return answer

    def _repeated(self) -> bool:
        update = workflow.current_update_info()
        return update is not None and update.id in self._updates_done

    def _record(
        self,
        signal: str,
        fact_type: type[FactT],
        event: tuple[Any, ...],
        record: Callable[[Case, FactT, datetime], str | None],
    ) -> None:
        # If the handler took one argument, a signal with two would fail every workflow task.
        if len(event) != 1:
            self._ignore(signal, "an object is needed.")
            return
        try:
            fact = fact_type.model_validate(event[0])
        except ValidationError as error:
            self._ignore(signal, dialogs.mistake(error))
            return
        now = workflow.now()
        if fact.occurred_at > now + CLOCK_TOLERANCE:
            self._ignore(signal, "occurred_at lies in the future")
            return
        ignored = record(self._taking_facts(), fact, now)
        if ignored is not None:
            self._ignore(signal, ignored)
        self._changed = True
        self._begin_beside()

    def _taking_facts(self) -> Case:
        """The case that takes facts: this one, or the one that follows."""
        if not self._ends():
            return self.case
        # A case that ends may have saved its evidence already: a later fact would be lost.
        if self._following is None:
            self._following = _new_case(self.case.training_id, self.case.terms)
        return self._following

    def _ignore(self, what: str, why: str) -> None:
        self.case.ignored(what, why, workflow.now())
        self._ignored.append(f"{what}: {why}")
        self._changed = True

    def _mail_failed(self, mail: Mail, error: ApplicationError) -> None:
        now = workflow.now()
        match error.type:
            case steps.STALE:
                self.case.mail_dropped(mail)
            case steps.NO_ADDRESS:
                self.case.mail_waits(mail)
            case steps.IN_DOUBT:
                self.case.mail_in_doubt(mail, error.message, now)
            case steps.MESSAGE_REFUSED:
                self.case.message_refused(mail, error.message, now)
            case _:
                self.case.mail_refused(mail, error.message, now)

    def _activated(self, answer: steps.PortalAnswer) -> bool:
        self.case.activated = self.case.activated or answer.activated
        return answer.activated

    def _portal(self, fence: int, reason: str = "") -> steps.PortalCommand:
        return steps.PortalCommand(
            training_id=self.case.training_id,
            fence=fence,
            reason=reason,
            grounds=self._grounds(),
        )

    def _grounds(self) -> dict[str, str]:
        now, case = workflow.now(), self.case
        met = {each: case.evidence.met(each, now, case.terms) for each in Requirement}
        return {each.value: at.isoformat() for each, at in met.items() if at is not None}

    def _ends(self) -> bool:
        return self.case.ending is not None

    def _finished(self) -> bool:
        return (
            self.case.stage is Stage.CLOSED
            and not self.case.mails_due
            and not self._orders
            and workflow.all_handlers_finished()
        )

    def _history_is_long(self) -> bool:
        return workflow.info().is_continue_as_new_suggested()

    def _continued(self) -> AccessInput:
        return AccessInput(
            training_id=self.case.training_id,
            terms=self.case.terms,
            case=self.case,
            following=self._following,
            orders=self._orders,
            updates_done=self._updates_done,
        )

    def _followed(self, following: Case) -> AccessInput:
        return AccessInput(
            training_id=self.case.training_id,
            terms=self.case.terms,
            case=following.model_copy(update={"opened_at": workflow.now()}),
            updates_done=self._updates_done,
        )

    def _show_changes(self) -> None:
        """Shows people what changed, once for all that came together.

        Thousands of signals may come in one workflow task: the page and a log line for each would
        take longer than the two seconds after which the SDK takes a workflow for stuck.
        """
        self._changed = False
        if self._ignored:
            count, last = len(self._ignored), self._ignored[-1]
            workflow.logger.warning("Ignored %d events, the last %s", count, last)
            self._ignored.clear()
        # If a step is due, its end shows it.
        if self.case.due(workflow.now()) is Due.NOTHING:
            self._publish()

    def _publish(self) -> None:
        now = workflow.now()
        workflow.set_current_details(presentation.details(self.case, now))
        attributes = search_attributes.of(self.case, now)
        values = {name: update.value for name, update in attributes.items()}
        changed = [
            update
            for name, update in attributes.items()
            if name not in self._published or self._published[name] != update.value
        ]
        if changed:
            workflow.upsert_search_attributes(changed)
            self._published = values


def _new_case(training_id: str, terms: Terms) -> Case:
    return Case(training_id=training_id, opened_at=workflow.now(), terms=terms)
