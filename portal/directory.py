"""What this system asks of the assister portal.

Every command carries a fence: a number that grows with each command of a case. The portal refuses a
command whose fence is older than the newest it has seen, so a late attempt to make an account
cannot undo a suspension that overtook it. A repetition is the same command under the same fence:
the portal answers it with what it did the first time. A different command under the same fence
comes from a case that was restored to an earlier moment: the portal refuses it like an older one,
and the case gives it again under a new fence.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Any, NamedTuple, Protocol

from records.database import Database
from records.people import approved_by


class AccountState(NamedTuple):
    """An account after a command.

    Attributes:
        reference_number: Seven digits, shared with consumers; None if no account was made.
        registration: Which registration number was issued last, counted from 1; 0 for none.
        activated: The assister has set up the account.
        status: ``none``, ``pending`` activation, ``active`` or ``suspended``.
    """

    reference_number: str | None
    registration: int
    activated: bool
    status: str


class Activated(NamedTuple):
    """A registration number that was used ``at`` a moment by the portal's clock."""

    training_id: str
    registration: int
    at: datetime


class StaleCommand(Exception):
    """Not done: the portal has carried out a newer command, or another under the same fence."""


class PortalRefused(Exception):
    """The portal refuses for good; the text says what a person must put right there."""


class ActivationRefused(Exception):
    """The registration number does not work; the text tells the assister what to do."""


class Portal(Protocol):
    """The account directory. All times are absolute."""

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

        An account that was activated before gets its access back, and no number is issued.

        Args:
            grounds: The evidence on which the account is made, for the audit trail.

        Raises:
            StaleCommand: If a newer command was seen.
            PortalRefused: If the portal refuses for good.
        """
        ...

    async def void(self, training_id: str, fence: int) -> AccountState:
        """Voids the registration number, unless it was used before."""
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

    async def commanded(self, training_ids: Iterable[str]) -> set[str]:
        """Those of the assisters about whom a case has given a command."""
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
        """Records an activation that happened elsewhere; returns False if it is known already.

        Raises:
            ActivationRefused: If that number was not the one that counted at that time.
        """
        ...

    async def unreported(self) -> list[Activated]:
        """Activations that no case has been told of."""
        ...

    async def reported(self, activated: Activated) -> None:
        """Records that the case has been told."""
        ...


async def agency_access(database: Database, portal: Portal, agency_id: str) -> set[str]:
    """The agency's assisters who have access now."""
    async with database.snapshot() as session:
        training_ids = await approved_by(session, agency_id)
    return await portal.having_access(training_ids)
