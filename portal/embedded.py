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

from sqlalchemy import ColumnElement, bindparam, insert
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.sql.dml import ReturningInsert
from sqlmodel import col, select, update

from policy.requirements import case_id
from portal.directory import AccountState, Activated, ActivationRefused, StaleCommand
from portal.tables import PortalAccount, PortalRegistration
from records import audit
from records.database import DRIVERS, Database, insert_into

NUMBER_BYTES = 10
GROUP = 4
BY = "portal"
NO_ACCOUNT = AccountState(None, 0, activated=False, status="none")
ASKED_AT_ONCE = 1000
"""A statement takes no more than so many thousand values."""


_NAMED = col(PortalAccount.training_id) == bindparam("named")
_ISSUED = col(PortalRegistration.state) == "issued"
_FENCE = select(PortalAccount.fence).where(_NAMED)
_ACCOUNT = select(PortalAccount).where(_NAMED)
_CHANGE = update(PortalAccount).where(_NAMED).returning(*audit.newest_of(bindparam("case")))
_REPORTED = update(PortalAccount).where(_NAMED).values(reported=True)
_NUMBER = select(PortalRegistration).where(col(PortalRegistration.check) == bindparam("check"))
_ITS_ACCOUNT = (
    select(PortalAccount)
    .where(
        col(PortalAccount.training_id)
        == _NUMBER.with_only_columns(col(PortalRegistration.training_id)).scalar_subquery()
    )
    .with_for_update()
)
_VOID = (
    update(PortalRegistration)
    .where(col(PortalRegistration.training_id) == bindparam("named"), _ISSUED)
    .values(state="void")
    .returning(col(PortalRegistration.registration))
)
_USE = (
    update(PortalRegistration)
    .where(
        col(PortalRegistration.training_id) == bindparam("named"),
        col(PortalRegistration.registration) == bindparam("number"),
    )
    .values(state="used")
)
_OPEN_SALT = select(PortalRegistration.salt).where(
    col(PortalRegistration.training_id) == bindparam("training_id"),
    col(PortalRegistration.registration) == bindparam("registration"),
    _ISSUED,
)


def _newer_command(dialect: str) -> ReturningInsert[Any]:
    """Locks the account and notes the command; gives no row if the fence is not a newer one."""
    given = insert_into(PortalAccount, dialect)
    noted = {"fence": given.excluded.fence, "command": given.excluded.command}
    newer = col(PortalAccount.fence) < given.excluded.fence
    noting = given.on_conflict_do_update(index_elements=["training_id"], set_=noted, where=newer)
    return noting.returning(PortalAccount)


_COMMAND = {dialect: _newer_command(dialect) for dialect in DRIVERS}


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
            found = await connection.execute(_FENCE, {"named": training_id})
            return int(found.scalar() or 0)

    async def account(self, training_id: str) -> AccountState:
        async with self._database.snapshot() as session:
            account = await session.get(PortalAccount, training_id)
            return _state(account) if account else NO_ACCOUNT

    async def enroll(
        self, training_id: str, fence: int, expires_at: datetime, grounds: dict[str, Any]
    ) -> AccountState:
        async with self._database.begin() as connection:
            command = f"enroll until {expires_at.astimezone(UTC).isoformat()}"
            account = await self._commanded(connection, training_id, fence, command)
            if account is None:
                return await self._state(connection, training_id)
            made = account.reference_number is None
            if made:
                # Nearly all are free. If this one is taken, the step fails and is tried again.
                account.reference_number = f"{secrets.randbelow(9_000_000) + 1_000_000}"
            if account.registration:
                await self._void(connection, account)
            if account.activated_at is not None:
                account.status = "active"
                await self._change(connection, account)
                await self._record(
                    connection, training_id, "access_reinstated", "before", **grounds
                )
                return _state(account)
            account.registration += 1
            account.status = "pending"
            newest = await self._change(connection, account)
            salt = secrets.token_hex(16)
            number = self._derive(training_id, account.registration, salt)
            issued = PortalRegistration(
                training_id=training_id,
                registration=account.registration,
                salt=salt,
                check=self._check(number),
                expires_at=expires_at,
                state="issued",
            )
            await connection.execute(insert(PortalRegistration), issued.model_dump())
            if made:
                given = account.reference_number
                newest = await self._record(
                    connection,
                    training_id,
                    "account_made",
                    "3",
                    after=newest,
                    reference_number=given,
                    **grounds,
                )
            await self._record(
                connection,
                training_id,
                "registration_issued",
                "3.1a",
                after=newest,
                registration=account.registration,
                expires_at=expires_at.isoformat(),
            )
            return _state(account)

    async def void(self, training_id: str, fence: int) -> AccountState:
        async with self._database.begin() as connection:
            account = await self._commanded(connection, training_id, fence, "void")
            if account is not None:
                await self._void(connection, account)
            return await self._state(connection, training_id)

    async def suspend(self, training_id: str, fence: int, reason: str) -> AccountState:
        async with self._database.begin() as connection:
            account = await self._commanded(connection, training_id, fence, "suspend")
            if account is not None:
                await self._void(connection, account)
                account.status = "suspended"
                await self._change(connection, account)
                await self._record(
                    connection, training_id, "access_suspended", "before", reason=reason
                )
            return await self._state(connection, training_id)

    async def reinstate(
        self, training_id: str, fence: int, grounds: dict[str, Any]
    ) -> AccountState:
        async with self._database.begin() as connection:
            account = await self._commanded(connection, training_id, fence, "reinstate")
            if account is not None and account.activated_at is not None:
                account.status = "active"
                await self._change(connection, account)
                await self._record(
                    connection, training_id, "access_reinstated", "before", **grounds
                )
            return await self._state(connection, training_id)

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
        async with self._database.begin() as connection:
            # Like every command this locks the account first; then it reads the number.
            known = (await connection.execute(_ITS_ACCOUNT, {"check": check})).mappings().first()
            if known is None:
                raise ActivationRefused(
                    "This registration number is not known. Compare it with the activation mail;"
                    " it is not the reference number."
                )
            issued = (await connection.execute(_NUMBER, {"check": check})).mappings().one()
            if issued["state"] == "used":
                raise ActivationRefused("This account is set up already. Sign in to the portal.")
            if issued["state"] != "issued" or issued["expires_at"] <= self._now():
                raise ActivationRefused(
                    "This registration number no longer works. Use the one in the newest mail, or"
                    " ask the Assister Resource Center for a new one."
                )
            account = PortalAccount(**known)
            return await self._used(connection, account, issued["registration"], self._now())

    async def was_activated(self, training_id: str, registration: int, at: datetime) -> bool:
        async with self._database.begin() as connection:
            locking = _ACCOUNT.with_for_update()
            known = (await connection.execute(locking, {"named": training_id})).mappings().first()
            numbers = select(PortalRegistration.expires_at).where(
                PortalRegistration.training_id == training_id,
                PortalRegistration.registration == registration,
            )
            expires_at = (await connection.execute(numbers)).scalar()
            if known is None or expires_at is None:
                raise ActivationRefused("no such registration number was issued")
            account = PortalAccount(**known)
            if account.activated_at is not None:
                return False
            # A number that has been voided since, by expiry or a suspension, may have been used
            # before.
            if registration != account.registration or at >= expires_at:
                raise ActivationRefused("this registration number did not count at that time")
            await self._used(connection, account, registration, at)
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
        async with self._database.statements() as connection:
            await connection.execute(_REPORTED, {"named": activated.training_id})

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
        self, connection: AsyncConnection, training_id: str, fence: int, command: str
    ) -> PortalAccount | None:
        """The account to act on; None if this very command was carried out before."""
        given = PortalAccount(training_id=training_id, fence=fence, command=command)
        noting = _COMMAND[connection.dialect.name]
        noted = (await connection.execute(noting, given.model_dump())).mappings().first()
        if noted is not None:
            return PortalAccount(**noted)
        known = (await connection.execute(_ACCOUNT, {"named": training_id})).mappings().one()
        if (fence, command) == (known["fence"], known["command"]):
            return None
        raise StaleCommand(f"command {known['fence']} was carried out already: {known['command']}")

    async def _change(self, connection: AsyncConnection, account: PortalAccount) -> audit.Link:
        """Writes the account; returns the newest entry of its case."""
        named = {"named": account.training_id, "case": case_id(account.training_id)}
        changed = account.model_dump(exclude={"training_id"})
        return audit.link(*(await connection.execute(_CHANGE, named | changed)).one())

    async def _state(self, connection: AsyncConnection, training_id: str) -> AccountState:
        found = await connection.execute(_ACCOUNT, {"named": training_id})
        return _state(PortalAccount(**found.mappings().one()))

    async def _used(
        self, connection: AsyncConnection, account: PortalAccount, registration: int, at: datetime
    ) -> Activated:
        if account.status != "suspended":
            account.status = "active"
        account.activated_at = at
        account.activated_registration = registration
        account.reported = False
        newest = await self._change(connection, account)
        used = {"named": account.training_id, "number": registration}
        await connection.execute(_USE, used)
        await self._record(
            connection,
            account.training_id,
            "account_activated",
            "3.2",
            after=newest,
            registration=registration,
        )
        return Activated(account.training_id, registration, at)

    async def _void(self, connection: AsyncConnection, account: PortalAccount) -> None:
        voided = await connection.execute(_VOID, {"named": account.training_id})
        for (registration,) in voided:
            await self._record(
                connection,
                account.training_id,
                "registration_voided",
                "",
                registration=registration,
            )

    async def _record(
        self,
        connection: AsyncConnection,
        training_id: str,
        act: str,
        clause: str,
        after: audit.Link | None = None,
        **details: Any,
    ) -> audit.Link:
        case, now = case_id(training_id), self._now()
        return await audit.append(
            connection,
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
