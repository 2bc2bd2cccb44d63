"""The portal with its accounts in a SCIM 2.0 directory (RFC 7643, 7644).

Fences, registration numbers and reference numbers stay in our records: SCIM has nothing like them.
Each command is carried out in the records first. Then the directory gets what the records say by
now, not what the command asked for: so a late command brings the newest state, too. If the
directory cannot be reached the command fails, and its retry goes on from there.
"""

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any

import httpx2

from portal.directory import AccountState, Activated, PortalRefused, StaleCommand
from portal.embedded import EmbeddedPortal
from portal.tables import PortalAccount
from records.database import Database

USER = "urn:ietf:params:scim:schemas:core:2.0:User"
PATCH = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
MEDIA_TYPE = "application/scim+json"
TIMEOUT = 5.0
"""Seconds for one request."""
ROUNDS = 5
"""How often an update starts over because somebody else changed the account meanwhile."""
MENDED_ELSEWHERE = {401, 403, 408, 425, 429, 500, 502, 503, 504}
"""HTTP statuses that pass with time or that the directory's operators must mend."""


class DirectoryUnavailable(Exception):
    """The directory does not answer now; a retry may succeed."""


class _Changed(Exception):
    """Somebody changed the account since it was read."""


class ScimDirectory:
    """A directory's users, of whom we know the Training ID and whether they are active."""

    def __init__(self, url: str, token: str) -> None:
        self._url = url.rstrip("/") + "/"
        self._headers = {
            "Accept": MEDIA_TYPE,
            "Content-Type": MEDIA_TYPE,
            "Authorization": f"Bearer {token}",
        }

    async def bring(self, training_id: str, wanted: Callable[[], Awaitable[bool]]) -> None:
        """Creates the account if there is none, and makes it active or not as wanted.

        Args:
            wanted: Asked after the account was looked at. Where somebody changed it in between,
                the directory's If-Match refuses ours, and both are asked again.

        Raises:
            PortalRefused: If the directory refuses for good.
            DirectoryUnavailable: If it does not answer now.
        """
        for _ in range(ROUNDS):
            try:
                user = await self._find(training_id) or await self._create(training_id)
                if user.get("active", True) != (active := await wanted()):
                    await self._activate(user, active)
                # Some directories ignore If-Match: there only a second look shows who wrote last.
                if await wanted() == active:
                    return
            except _Changed:
                continue
        raise DirectoryUnavailable("the account is being changed by somebody else")

    async def is_active(self, training_id: str) -> bool:
        """Whether the directory has an active account."""
        user = await self._find(training_id)
        return user is not None and bool(user.get("active", True))

    async def _find(self, training_id: str) -> dict[str, Any] | None:
        asked = {"filter": f'userName eq "{training_id}"'}
        found = (await self._ask("GET", "Users", params=asked)).get("Resources") or []
        # userName ignores case and externalId does not, so another's account is never taken for
        # ours.
        ours: list[dict[str, Any]] = [e for e in found if e.get("externalId") == training_id]
        if found and not ours:
            raise PortalRefused(f"the directory has another account under the name {training_id}")
        return ours[0] if ours else None

    async def _create(self, training_id: str) -> dict[str, Any]:
        """Creates an inactive account; if somebody created it meanwhile, reads that one."""
        content = {
            "schemas": [USER],
            "userName": training_id,
            "externalId": training_id,
            "active": False,
        }
        made = await self._ask("POST", "Users", json=content)
        if "id" not in made:
            raise _Changed
        return made

    async def _activate(self, user: dict[str, Any], active: bool) -> None:
        change = {"op": "replace", "path": "active", "value": active}
        version = user.get("meta", {}).get("version")
        await self._ask(
            "PATCH",
            f"Users/{user['id']}",
            json={"schemas": [PATCH], "Operations": [change]},
            headers={"If-Match": version} if version else {},
        )

    async def _ask(
        self, method: str, path: str, headers: dict[str, str] | None = None, **how: Any
    ) -> dict[str, Any]:
        given = self._headers | (headers or {})
        try:
            async with httpx2.AsyncClient(base_url=self._url, timeout=TIMEOUT) as http:
                answer = await http.request(method, path, headers=given, **how)
        except httpx2.TransportError as error:
            raise DirectoryUnavailable(f"the directory: {type(error).__name__}") from None
        status = answer.status_code
        if status in (404, 409, 412):
            raise _Changed
        if status in MENDED_ELSEWHERE:
            raise DirectoryUnavailable(f"the directory answered {status}")
        if not answer.is_success:
            raise PortalRefused(f"the directory answered {status} to {method} {path.split('/')[0]}")
        try:
            said = answer.json() if answer.content else {}
        except ValueError:
            raise DirectoryUnavailable("the directory's answer is no JSON") from None
        return said if isinstance(said, dict) else {}


class ScimPortal(EmbeddedPortal):
    """The embedded portal, which keeps its accounts in a directory as well."""

    def __init__(self, database: Database, secret: str, directory: ScimDirectory) -> None:
        super().__init__(database, secret)
        self._directory = directory

    async def account(self, training_id: str) -> AccountState:
        """See :class:`portal.directory.Portal`, for this and every method below.

        The directory says whether there is access: somebody may have changed it there.
        """
        state = await super().account(training_id)
        if state.reference_number is None:
            return state
        active = await self._directory.is_active(training_id)
        if active == (state.status == "active"):
            return state
        return state._replace(status="active" if active else "suspended")

    async def enroll(
        self, training_id: str, fence: int, expires_at: datetime, grounds: dict[str, Any]
    ) -> AccountState:
        return await self._brought(
            training_id, super().enroll(training_id, fence, expires_at, grounds)
        )

    async def suspend(self, training_id: str, fence: int, reason: str) -> AccountState:
        return await self._brought(training_id, super().suspend(training_id, fence, reason))

    async def reinstate(
        self, training_id: str, fence: int, grounds: dict[str, Any]
    ) -> AccountState:
        return await self._brought(training_id, super().reinstate(training_id, fence, grounds))

    async def unreported(self) -> list[Activated]:
        """Activations whose account is active in the directory: only these may be confirmed."""
        brought = []
        for each in await super().unreported():
            try:
                await self._bring(each.training_id)
            except (DirectoryUnavailable, PortalRefused):
                continue
            brought.append(each)
        return brought

    async def _brought(self, training_id: str, command: Awaitable[AccountState]) -> AccountState:
        """Carries out a command; even a repeated or overtaken one updates the directory."""
        try:
            state = await command
        except StaleCommand:
            await self._bring(training_id)
            raise
        await self._bring(training_id)
        return state

    async def _bring(self, training_id: str) -> None:
        async with self._database.snapshot() as session:
            account = await session.get(PortalAccount, training_id)
        # Suspended before an account was made: there is nothing to suspend, and none is created.
        if account is not None and account.reference_number is not None:
            await self._directory.bring(training_id, lambda: self._active(training_id))

    async def _active(self, training_id: str) -> bool:
        async with self._database.snapshot() as session:
            return (await session.get_one(PortalAccount, training_id)).status == "active"
