"""The embedded portal: accounts in the records' database.

A registration number carries 80 random-looking bits, derived with the portal's secret from a stored
salt. The database holds a keyed hash of it: without the secret nobody can read the number there,
and with the secret a resend can repeat it.
"""

import base64
import hashlib
import hmac
import secrets
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, bindparam
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from policy.requirements import case_id
from portal.directory import AccountState, Activated, ActivationRefused, StaleCommand
from portal.tables import PortalAccount, PortalRegistration
from records import audit
from records.database import Database

NUMBER_BYTES = 10
GROUP = 4
BY = "portal"
NO_ACCOUNT = AccountState(None, 0, activated=False, status="none")
ASKED_AT_ONCE = 1000
"""A statement takes no more than so many thousand values."""


_FENCE = select(PortalAccount.fence).where(
    col(PortalAccount.training_id) == bindparam("training_id")
)
_OPEN_SALT = select(PortalRegistration.salt).where(
    col(PortalRegistration.training_id) == bindparam("training_id"),
    col(PortalRegistration.registration) == bindparam("registration"),
    col(PortalRegistration.state) == "issued",
)


class EmbeddedPortal:
    """An account directory for one machine, and for tests.

    Args:
        secret: At least 32 characters; it is enough to derive registration numbers.
        now: The portal's clock.
    """

    def __init__(
        self,
        database: Database,
        secret: str,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        if len(secret) < 32:
            raise ValueError("the portal's secret must have at least 32 characters")
        self._database = database
        self._secret = secret.encode()
        self._now = now

    async def fence(self, training_id: str) -> int:
        """See :class:`portal.directory.Portal`, for this and every method below."""
        async with self._database.reading() as connection:
            found = await connection.execute(_FENCE, {"training_id": training_id})
            return int(found.scalar() or 0)

    async def account(self, training_id: str) -> AccountState:
        async with self._database.snapshot() as session:
            account = await session.get(PortalAccount, training_id)
            return _state(account) if account else NO_ACCOUNT

    async def enroll(
        self, training_id: str, fence: int, expires_at: datetime, grounds: dict[str, Any]
    ) -> AccountState:
        async with self._database.transaction() as session:
            command = f"enroll until {expires_at.astimezone(UTC).isoformat()}"
            account = await self._commanded(session, training_id, fence, command)
            if account is None:
                return await self._state(session, training_id)
            made = account.reference_number is None
            if made:
                # Nearly all are free. If this one is taken, the step fails and is tried again.
                account.reference_number = f"{secrets.randbelow(9_000_000) + 1_000_000}"
            if account.registration:
                await self._void(session, account)
            if account.activated_at is not None:
                account.status = "active"
                await self._record(session, training_id, "access_reinstated", "before", **grounds)
                return _state(account)
            account.registration += 1
            account.status = "pending"
            salt = secrets.token_hex(16)
            number = self._derive(training_id, account.registration, salt)
            session.add(
                PortalRegistration(
                    training_id=training_id,
                    registration=account.registration,
                    salt=salt,
                    check=self._check(number),
                    expires_at=expires_at,
                    state="issued",
                )
            )
            first = None
            if made:
                given = account.reference_number
                first = await self._record(
                    session, training_id, "account_made", "3", reference_number=given, **grounds
                )
            await self._record(
                session,
                training_id,
                "registration_issued",
                "3.1a",
                after=first,
                registration=account.registration,
                expires_at=expires_at.isoformat(),
            )
            return _state(account)

    async def void(self, training_id: str, fence: int) -> AccountState:
        async with self._database.transaction() as session:
            account = await self._commanded(session, training_id, fence, "void")
            if account is not None:
                await self._void(session, account)
            return await self._state(session, training_id)

    async def suspend(self, training_id: str, fence: int, reason: str) -> AccountState:
        async with self._database.transaction() as session:
            account = await self._commanded(session, training_id, fence, "suspend")
            if account is not None:
                await self._void(session, account)
                account.status = "suspended"
                await self._record(
                    session, training_id, "access_suspended", "before", reason=reason
                )
            return await self._state(session, training_id)

    async def reinstate(
        self, training_id: str, fence: int, grounds: dict[str, Any]
    ) -> AccountState:
        async with self._database.transaction() as session:
            account = await self._commanded(session, training_id, fence, "reinstate")
            if account is not None and account.activated_at is not None:
                account.status = "active"
                await self._record(session, training_id, "access_reinstated", "before", **grounds)
            return await self._state(session, training_id)

    async def having_access(self, training_ids: Iterable[str]) -> set[str]:
        return await self._among(training_ids, col(PortalAccount.status) == "active")

    async def commanded(self, training_ids: Iterable[str]) -> set[str]:
        return await self._among(training_ids, col(PortalAccount.fence) > 0)

    async def registration_number(self, training_id: str, registration: int) -> str:
        named = {"training_id": training_id, "registration": registration}
        async with self._database.reading() as connection:
            salt = (await connection.execute(_OPEN_SALT, named)).scalar()
        if salt is None:
            raise StaleCommand("the registration number is no longer valid")
        return self._derive(training_id, registration, str(salt))

    async def has_its_secret(self) -> bool:
        """Whether the open numbers were made with this secret; True if there are none."""
        open_ones = select(PortalRegistration).where(PortalRegistration.state == "issued")
        async with self._database.snapshot() as session:
            issued = (await session.exec(open_ones)).all()
        return all(
            hmac.compare_digest(
                each.check,
                self._check(self._derive(each.training_id, each.registration, each.salt)),
            )
            for each in issued
        )

    async def reference_number(self, training_id: str) -> str | None:
        async with self._database.snapshot() as session:
            account = await session.get(PortalAccount, training_id)
            return account.reference_number if account else None

    async def activate(self, registration_number: str) -> Activated:
        check = self._check(_normalized(registration_number))
        async with self._database.transaction() as session:
            found = select(PortalRegistration).where(PortalRegistration.check == check)
            issued = (await session.exec(found)).first()
            if issued is None or not hmac.compare_digest(issued.check, check):
                raise ActivationRefused(
                    "This registration number is not known. Compare it with the activation mail;"
                    " it is not the reference number."
                )
            # Like every command this locks the account first; then it reads the number again.
            account = await session.get_one(PortalAccount, issued.training_id, with_for_update=True)
            await session.refresh(issued)
            if issued.state == "used":
                raise ActivationRefused("This account is set up already. Sign in to the portal.")
            if issued.state != "issued" or issued.expires_at <= self._now():
                raise ActivationRefused(
                    "This registration number no longer works. Use the one in the newest mail, or"
                    " ask the Assister Resource Center for a new one."
                )
            return await self._used(session, account, issued, self._now())

    async def was_activated(self, training_id: str, registration: int, at: datetime) -> bool:
        async with self._database.transaction() as session:
            account = await session.get(PortalAccount, training_id, with_for_update=True)
            issued = await session.get(PortalRegistration, (training_id, registration))
            if account is None or issued is None:
                raise ActivationRefused("no such registration number was issued")
            if account.activated_at is not None:
                return False
            # A number that has been voided since, by expiry or a suspension, may have been used
            # before.
            if registration != account.registration or at >= issued.expires_at:
                raise ActivationRefused("this registration number did not count at that time")
            await self._used(session, account, issued, at)
            return True

    async def unreported(self) -> list[Activated]:
        async with self._database.snapshot() as session:
            found = select(PortalAccount).where(col(PortalAccount.reported).is_(False))
            return [
                Activated(each.training_id, each.activated_registration, each.activated_at)
                for each in await session.exec(found)
                if each.activated_at is not None
            ]

    async def reported(self, activated: Activated) -> None:
        async with self._database.transaction() as session:
            account = await session.get_one(PortalAccount, activated.training_id)
            account.reported = True
            session.add(account)

    async def _among(self, training_ids: Iterable[str], condition: ColumnElement[bool]) -> set[str]:
        asked = list(training_ids)
        found: set[str] = set()
        async with self._database.snapshot() as session:
            for at in range(0, len(asked), ASKED_AT_ONCE):
                some = col(PortalAccount.training_id).in_(asked[at : at + ASKED_AT_ONCE])
                accounts = select(PortalAccount.training_id).where(condition, some)
                found.update(await session.exec(accounts))
        return found

    async def _commanded(
        self, session: AsyncSession, training_id: str, fence: int, command: str
    ) -> PortalAccount | None:
        """The account to act on; None if this very command was carried out before."""
        account = await session.get(PortalAccount, training_id, with_for_update=True)
        if account is None:
            account = PortalAccount(training_id=training_id, fence=0)
        if (fence, command) == (account.fence, account.command):
            return None
        if fence <= account.fence:
            raise StaleCommand(
                f"command {account.fence} was carried out already: {account.command}"
            )
        account.fence, account.command = fence, command
        session.add(account)
        return account

    async def _state(self, session: AsyncSession, training_id: str) -> AccountState:
        return _state(await session.get_one(PortalAccount, training_id))

    async def _used(
        self,
        session: AsyncSession,
        account: PortalAccount,
        issued: PortalRegistration,
        at: datetime,
    ) -> Activated:
        issued.state = "used"
        if account.status != "suspended":
            account.status = "active"
        account.activated_at = at
        account.activated_registration = issued.registration
        account.reported = False
        session.add_all([issued, account])
        await self._record(
            session,
            issued.training_id,
            "account_activated",
            "3.2",
            registration=issued.registration,
        )
        return Activated(issued.training_id, issued.registration, at)

    async def _void(self, session: AsyncSession, account: PortalAccount) -> None:
        issued = select(PortalRegistration).where(
            PortalRegistration.training_id == account.training_id,
            PortalRegistration.state == "issued",
        )
        for each in await session.exec(issued):
            each.state = "void"
            session.add(each)
            await self._record(
                session,
                account.training_id,
                "registration_voided",
                "",
                registration=each.registration,
            )

    async def _record(
        self,
        session: AsyncSession,
        training_id: str,
        act: str,
        clause: str,
        after: audit.Link | None = None,
        **details: Any,
    ) -> audit.Link:
        case, now = case_id(training_id), self._now()
        return await audit.append(
            await session.connection(),
            case,
            act,
            at=now,
            by=BY,
            clause=clause,
            after=after,
            **details,
        )

    def _derive(self, training_id: str, registration: int, salt: str) -> str:
        message = f"registration number|{training_id}|{registration}|{salt}"
        digest = hmac.digest(self._secret, message.encode(), hashlib.sha256)
        number = base64.b32encode(digest[:NUMBER_BYTES]).decode()
        return "-".join(number[each : each + GROUP] for each in range(0, len(number), GROUP))

    def _check(self, number: str) -> str:
        return hmac.digest(self._secret, f"check|{number}".encode(), hashlib.sha256).hex()


def _state(account: PortalAccount) -> AccountState:
    return AccountState(
        account.reference_number,
        account.registration,
        account.activated_at is not None,
        account.status,
    )


def _normalized(number: str) -> str:
    """The number as it was issued: people type spaces, lower case, and 0 and 1 for O and I."""
    plain = "".join(each for each in number.upper() if each.isalnum())
    plain = plain.replace("0", "O").replace("1", "I")
    return "-".join(plain[each : each + GROUP] for each in range(0, len(plain), GROUP))
