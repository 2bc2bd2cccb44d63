"""The portal's commands: repeated, overtaken, or given by a case from an older backup."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy.exc import IntegrityError

from portal.directory import AccountState, StaleCommand
from portal.embedded import ASKED_AT_ONCE, EmbeddedPortal
from portal.tables import PortalAccount
from records import audit
from records.database import Database
from tests.support.system import SECRET

ID = "NAV1001"
LATER = datetime.now(UTC) + timedelta(days=7)


@pytest.fixture
async def portal(records_url: str) -> AsyncIterator[EmbeddedPortal]:
    database = Database(records_url)
    yield EmbeddedPortal(database, SECRET)
    await database.close()


async def acts(portal: EmbeddedPortal) -> list[str]:
    async with portal._database.snapshot() as session:
        return [entry.act for entry in await audit.entries_of(session, f"assister-{ID}")]


async def activate(portal: EmbeddedPortal) -> None:
    await portal.activate(await portal.registration_number(ID, 1))


async def test_a_command_repeated_under_its_fence_is_done_once(portal: EmbeddedPortal) -> None:
    first = await portal.enroll(ID, 1, LATER, {})
    assert await portal.enroll(ID, 1, LATER, {}) == first
    await portal.suspend(ID, 2, "a test")
    done = await acts(portal)
    await portal.suspend(ID, 2, "a test")
    assert await acts(portal) == done


@pytest.mark.parametrize("command", ["enroll", "void", "suspend", "reinstate"])
async def test_another_command_under_the_same_fence_is_refused_and_then_done(
    portal: EmbeddedPortal, command: str
) -> None:
    """Temporal was restored to before the portal's newest command, so its fence comes again."""
    await portal.enroll(ID, 1, LATER, {})
    await activate(portal)
    if command == "suspend":
        await portal.void(ID, 2)
    else:
        await portal.suspend(ID, 2, "a test")

    async def give(fence: int) -> None:
        match command:
            case "enroll":
                await portal.enroll(ID, fence, LATER, {})
            case "void":
                await portal.void(ID, fence)
            case "suspend":
                await portal.suspend(ID, fence, "a test")
            case "reinstate":
                await portal.reinstate(ID, fence, {})

    done = await acts(portal)
    with pytest.raises(StaleCommand, match="command 2 was carried out already"):
        await give(2)
    assert (await acts(portal), await portal.fence(ID)) == (done, 2)
    await give(3)
    has_access = {"enroll": True, "reinstate": True, "void": False, "suspend": False}[command]
    assert await portal.having_access([ID]) == ({ID} if has_access else set())


async def test_of_two_first_commands_at_once_the_newer_one_counts(portal: EmbeddedPortal) -> None:
    """Where there is no account yet, a command finds no row that it could lock."""
    for person in (f"NAV2{number:03}" for number in range(10)):
        suspended, enrolled = await asyncio.gather(
            portal.suspend(person, 2, "a test"),
            portal.enroll(person, 1, LATER, {}),
            return_exceptions=True,
        )
        assert isinstance(suspended, AccountState), suspended
        assert isinstance(enrolled, AccountState | StaleCommand), enrolled
        account = await portal.account(person)
        assert (account.status, await portal.fence(person)) == ("suspended", 2)
        with pytest.raises(StaleCommand):
            await portal.registration_number(person, 1)


async def test_a_reference_number_that_is_taken_is_not_given_again(
    portal: EmbeddedPortal, monkeypatch: pytest.MonkeyPatch
) -> None:
    def drawn(numbers: Iterator[int]) -> None:
        monkeypatch.setattr("portal.embedded.secrets.randbelow", lambda _: next(numbers))

    drawn(iter([7]))
    other = await portal.enroll("NAV1002", 1, LATER, {})
    drawn(iter([7]))
    with pytest.raises(IntegrityError):
        await portal.enroll(ID, 1, LATER, {})
    assert (await acts(portal), await portal.fence(ID)) == ([], 0)
    drawn(iter([8]))
    made = await portal.enroll(ID, 1, LATER, {})
    assert (other.reference_number, made.reference_number) == ("1000007", "1000008")


async def test_an_enrollment_until_another_day_is_another_command(portal: EmbeddedPortal) -> None:
    await portal.enroll(ID, 1, LATER, {})
    with pytest.raises(StaleCommand):
        await portal.enroll(ID, 1, LATER + timedelta(days=1), {})
    assert (await portal.enroll(ID, 2, LATER + timedelta(days=1), {})).registration == 2


async def test_what_an_earlier_release_commanded_is_given_again(portal: EmbeddedPortal) -> None:
    await portal.enroll(ID, 1, LATER, {})
    async with portal._database.transaction() as session:
        (await session.get_one(PortalAccount, ID)).command = ""
    with pytest.raises(StaleCommand):
        await portal.enroll(ID, 1, LATER, {})
    assert (await portal.enroll(ID, 2, LATER, {})).registration == 2


async def test_who_has_set_up_the_account_gets_no_other_number(portal: EmbeddedPortal) -> None:
    await portal.enroll(ID, 1, LATER, {})
    await activate(portal)
    await portal.suspend(ID, 2, "a test")
    assert not await portal.having_access([ID])
    account = await portal.enroll(ID, 3, LATER, {})
    assert (account.activated, account.registration) == (True, 1)
    assert (await acts(portal)).count("registration_issued") == 1
    assert await portal.having_access([ID]) == {ID}


async def test_access_is_had_from_the_activation_to_the_suspension(portal: EmbeddedPortal) -> None:
    asked = [*(f"A{each:06}" for each in range(ASKED_AT_ONCE)), ID]
    assert await portal.having_access(asked) == set()
    await portal.enroll(ID, 1, LATER, {})
    assert await portal.having_access(asked) == set()
    await activate(portal)
    assert await portal.having_access(asked) == {ID}
    assert await portal.having_access([]) == set()
