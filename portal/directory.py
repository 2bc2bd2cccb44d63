"""What this system asks of the assister portal.

Every command carries a fence: a number that grows with each command of a case. A portal refuses a
command older than the newest it has seen, so that a straggling attempt to make an account cannot
undo a suspension that overtook it, and answers a repeated one with what it did the first time.
Repeated is the same command under the same fence. Another one under it comes from a case that was
restored to an earlier moment: it is refused like an older one, and the case gives it again under a
fence that is new.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Any, NamedTuple, Protocol

from records.database import Database
from records.people import approved_by


class AccountState(NamedTuple):
    """An account after a command.

    Attributes:
        reference_number: Seven digits, shared with consumers; None where no account was made.
        registration: Which registration number was issued last, counted from 1; 0 for none.
        activated: The assister has set up the account.
        status: ``none``, ``pending`` activation, ``active`` or ``suspended``.
    """

    reference_number: str | None
    registration: int
    activated: bool
    status: str


class Activated(NamedTuple):
    """A registration number that was used, by the portal's clock at ``at``."""

    training_id: str
    registration: int
    at: datetime


class StaleCommand(Exception):
    """A newer command, or another one under the same fence, was done; this one was not."""


class PortalRefused(Exception):
    """The portal says no for good; its text says what a person must clear there."""


class ActivationRefused(Exception):
    """A registration number does not work; the text tells the assister what to do."""


class Portal(Protocol):
    """The account directory. Times are absolute; nothing here is remembered by the caller."""

    async def fence(self, training_id: str) -> int:
        """The newest fence the portal has seen for the assister, 0 for none."""
        ...

    async def account(self, training_id: str) -> AccountState:
        """The assister's account as it stands."""
        ...

    async def enroll(
        self, training_id: str, fence: int, expires_at: datetime, grounds: dict[str, Any]
    ) -> AccountState:
        """Makes the account once, voids any registration number and issues a new one (clause 3).

        An account that was activated before has its access back, and no number is issued.

        Args:
            grounds: The evidence on which the account is made, for the audit trail.

        Raises:
            StaleCommand: If a newer command was seen.
            PortalRefused: If the portal says no.
        """
        ...

    async def void(self, training_id: str, fence: int) -> AccountState:
        """Makes the registration number useless, unless it was used before."""
        ...

    async def suspend(self, training_id: str, fence: int, reason: str) -> AccountState:
        """Ends access and voids the registration number; no account is made after it."""
        ...

    async def reinstate(
        self, training_id: str, fence: int, grounds: dict[str, Any]
    ) -> AccountState:
        """Gives an activated account its access back."""
        ...

    async def having_access(self, training_ids: Iterable[str]) -> set[str]:
        """Those of the assisters whose account is active now."""
        ...

    async def registration_number(self, training_id: str, registration: int) -> str:
        """The registration number in clear, for the mail that carries it.

        Raises:
            StaleCommand: If it is no longer the one that counts.
        """
        ...

    async def reference_number(self, training_id: str) -> str | None:
        """The assister's reference number (clause 3.3), None where there is no account."""
        ...

    async def activate(self, registration_number: str) -> Activated:
        """Uses a registration number, once.

        Raises:
            ActivationRefused: If it is unknown, void, used or expired.
        """
        ...

    async def was_activated(self, training_id: str, registration: int, at: datetime) -> bool:
        """Takes note of an activation elsewhere; False where it is known.

        Raises:
            ActivationRefused: If that number was not the one that counted at that time.
        """
        ...

    async def unreported(self) -> list[Activated]:
        """Activations that the case has not been told of."""
        ...

    async def reported(self, activated: Activated) -> None:
        """The case has been told."""
        ...


async def agency_access(database: Database, portal: Portal, agency_id: str) -> set[str]:
    """The agency's assisters who have access now."""
    async with database.snapshot() as session:
        training_ids = await approved_by(session, agency_id)
    return await portal.having_access(training_ids)
