"""What a case asks of calendar, portal and records."""

from collections.abc import Awaitable, Container
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from temporalio import activity
from temporalio.exceptions import ApplicationError

from policy import calendar
from policy.requirements import Evidence
from portal.directory import AccountState, Portal, PortalRefused, StaleCommand
from records import audit
from records.database import Database
from records.tables import ClosedCase
from workflows import steps
from workflows.contract import assister_workflow_id


@dataclass(frozen=True)
class AccessActivities:
    """The steps of ``AssisterAccess``, mail excepted.

    Attributes:
        holidays: The days on which the Assister Resource Center is closed, weekends aside.
    """

    database: Database
    portal: Portal
    holidays: Container[date]

    @activity.defn(name=steps.OPEN_CASE.name)
    async def open_case(self, request: steps.OpeningRequest) -> steps.Opening:
        """Plans the requirement reminders and recalls what an earlier case had recorded."""
        async with self.database.transaction() as session:
            closed = await session.get(ClosedCase, request.training_id)
        days = request.terms.requirement_reminder_days
        return steps.Opening(
            reminders_at=calendar.reminders(request.opened_at, days, self.holidays),
            fence=await self.portal.fence(request.training_id),
            earlier=Evidence.model_validate(closed.evidence) if closed else Evidence(),
        )

    @activity.defn(name=steps.DATE_CERTIFICATION.name)
    async def date_certification(
        self, request: steps.CertificationDatesRequest
    ) -> steps.CertificationDates:
        """Works out when a certification ends and when to warn of it."""
        warnings = calendar.certification_warnings(
            request.valid_through, request.now, request.terms, self.holidays
        )
        return steps.CertificationDates(
            ends_at=calendar.end_of(request.valid_through), warnings_at=warnings
        )

    @activity.defn(name=steps.ENROLL.name)
    async def enroll(self, request: steps.EnrollmentRequest) -> steps.Enrollment:
        """Makes the account, once, and issues a registration number (clause 3)."""
        times = calendar.activation_times(request.now, request.terms, self.holidays)
        await self._record_order("activation_reissued", request)
        account = await self._commanded(
            self.portal.enroll(
                request.training_id, request.fence, times.expires_at, request.grounds
            ),
            request.training_id,
        )
        if account.reference_number is None:
            raise await self._stale(request.training_id)
        return steps.Enrollment(
            reference_number=account.reference_number,
            registration=0 if account.activated else account.registration,
            **times._asdict(),
        )

    @activity.defn(name=steps.EXPIRE.name)
    async def expire_activation(self, command: steps.PortalCommand) -> steps.PortalAnswer:
        """Voids an unused registration number, or finds that it was used after all."""
        return await self._answered(
            self.portal.void(command.training_id, command.fence), command.training_id
        )

    @activity.defn(name=steps.SUSPEND.name)
    async def suspend_access(self, command: steps.PortalCommand) -> steps.PortalAnswer:
        """Suspends the account, whatever state it is in."""
        await self._record_order("suspension_ordered", command)
        return await self._answered(
            self.portal.suspend(command.training_id, command.fence, command.reason),
            command.training_id,
        )

    @activity.defn(name=steps.REINSTATE.name)
    async def reinstate_access(self, command: steps.PortalCommand) -> steps.PortalAnswer:
        """Gives an activated account its access back."""
        await self._record_order("reinstatement_ordered", command)
        return await self._answered(
            self.portal.reinstate(command.training_id, command.fence, command.grounds),
            command.training_id,
        )

    @activity.defn(name=steps.CLOSE.name)
    async def close_case(self, request: steps.CloseRequest) -> steps.Nothing:
        """Ends the access and keeps what the case had learned for one that opens later."""
        await self._record_order("close_ordered", request)
        if request.reached_portal:
            await self._commanded(
                self.portal.suspend(request.training_id, request.fence, request.outcome),
                request.training_id,
            )
        now = datetime.now(UTC)
        async with self.database.transaction() as session:
            await session.merge(
                ClosedCase(
                    training_id=request.training_id,
                    outcome=request.outcome,
                    evidence=request.evidence.model_dump(mode="json"),
                    closed_at=now,
                )
            )
            case_id = assister_workflow_id(request.training_id)
            entries = await audit.entries_of(session, case_id)
            done: dict[str, Any] = {"fence": request.fence, "outcome": str(request.outcome)}
            if not any(each.act == "case_closed" and each.details == done for each in entries):
                await audit.append(
                    session, case_id, "case_closed", at=now, by="system", clause="", **done
                )
        return steps.Nothing()

    async def _answered(
        self, command: Awaitable[AccountState], training_id: str
    ) -> steps.PortalAnswer:
        account = await self._commanded(command, training_id)
        return steps.PortalAnswer(activated=account.activated)

    async def _commanded(self, command: Awaitable[AccountState], training_id: str) -> AccountState:
        try:
            return await command
        except StaleCommand:
            raise await self._stale(training_id) from None
        except PortalRefused as refusal:
            raise ApplicationError(
                str(refusal), type=steps.PORTAL_REFUSED, non_retryable=True
            ) from None

    async def _stale(self, training_id: str) -> ApplicationError:
        fence = await self.portal.fence(training_id)
        return ApplicationError(
            "a newer command overtook this one", fence, type=steps.STALE, non_retryable=True
        )

    async def _record_order(
        self,
        act: str,
        request: steps.EnrollmentRequest | steps.PortalCommand | steps.CloseRequest,
    ) -> None:
        """The audit trail's word of what staff decided; repeated attempts write it once."""
        order = request.order
        if order is None:
            return
        case_id = assister_workflow_id(request.training_id)
        async with self.database.transaction() as session:
            done: dict[str, Any] = {"reason": order.reason, "fence": request.fence}
            for entry in await audit.entries_of(session, case_id):
                if entry.act == act and entry.details == done:
                    return
            await audit.append(
                session, case_id, act, at=datetime.now(UTC), by=order.by, clause="", **done
            )
