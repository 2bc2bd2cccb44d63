"""The steps of a case that need the calendar, the portal or the records."""

from collections.abc import Awaitable, Container
from dataclasses import dataclass
from datetime import UTC, date, datetime

from sqlalchemy import bindparam
from sqlmodel import col, select
from temporalio import activity
from temporalio.exceptions import ApplicationError

from policy import calendar
from policy.case import Outcome
from portal.directory import AccountState, Portal, PortalRefused, StaleCommand
from records import audit
from records.closed_cases import earlier_of
from records.database import Database
from records.submissions import newest_sequence
from records.tables import ClosedCase
from workflows import steps
from workflows.contract import assister_workflow_id

_CLOSED = select(ClosedCase).where(col(ClosedCase.training_id) == bindparam("training_id"))


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
        async with self.database.reading() as connection:
            found = await connection.execute(_CLOSED, {"training_id": request.training_id})
            closed = found.mappings().first()
        days = request.terms.requirement_reminder_days
        earlier = earlier_of(ClosedCase(**closed) if closed is not None else None)
        earlier.fence = max(earlier.fence, await self.portal.fence(request.training_id))
        return steps.Opening(
            reminders_at=calendar.reminders(request.opened_at, days, self.holidays),
            earlier=earlier,
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
        return await self._answered(
            self.portal.suspend(command.training_id, command.fence, command.reason),
            command.training_id,
        )

    @activity.defn(name=steps.REINSTATE.name)
    async def reinstate_access(self, command: steps.PortalCommand) -> steps.PortalAnswer:
        """Gives an activated account its access back."""
        return await self._answered(
            self.portal.reinstate(command.training_id, command.fence, command.grounds),
            command.training_id,
        )

    @activity.defn(name=steps.CLOSE.name)
    async def close_case(self, request: steps.CloseRequest) -> steps.Nothing:
        """Ends the access and keeps what the case had learned for one that opens later."""
        ended = await self._ended(request) if request.ends else request.evidence.ended
        if request.reached_portal:
            await self._commanded(
                self.portal.suspend(request.training_id, request.fence, request.outcome),
                request.training_id,
            )
        request.evidence.end(ended)
        now = datetime.now(UTC)
        async with self.database.transaction() as session:
            await session.merge(_closed(request, request.outcome, ended, now))
            await audit.append(
                await session.connection(),
                assister_workflow_id(request.training_id),
                "case_closed",
                key=f"closed-{request.fence}",
                at=now,
                by="system",
                fence=request.fence,
                outcome=str(request.outcome),
            )
        return steps.Nothing()

    async def _ended(self, request: steps.CloseRequest) -> int:
        """The newest submission when this close was first tried; later ones count again."""
        async with self.database.transaction() as session:
            closed = await session.get(ClosedCase, request.training_id)
            if closed is not None and closed.fence == request.fence:
                return closed.ended
            ended = await newest_sequence(session)
            await session.merge(_closed(request, None, ended, datetime.now(UTC)))
            return ended

    @activity.defn(name=steps.RECORD_ORDERS.name)
    async def record_orders(self, request: steps.OrdersRequest) -> steps.Nothing:
        """Enters what staff decided in the audit trail, each order once."""
        async with self.database.transaction() as session:
            for order in request.orders:
                await audit.append_order(
                    await session.connection(),
                    order.workflow_id,
                    order.act,
                    order.key,
                    at=order.at,
                    by=order.by,
                    reason=order.reason,
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


def _closed(
    request: steps.CloseRequest, outcome: Outcome | None, ended: int, at: datetime
) -> ClosedCase:
    return ClosedCase(
        training_id=request.training_id,
        outcome=outcome,
        evidence=request.evidence.model_dump(mode="json"),
        hold=request.hold.model_dump(mode="json") if request.hold else None,
        reference_number=request.reference_number,
        fence=request.fence,
        ended=ended,
        closed_at=at,
    )
