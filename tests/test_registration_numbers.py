"""Registration numbers are as hard to guess as documented, and no guess locks anybody out."""

import re
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest
from pydantic import SecretStr
from sqlmodel import select
from temporalio.testing import WorkflowEnvironment

import bootstrap
from commands.console import table
from embedded.inbox import mail_inbox
from portal.directory import ActivationRefused
from portal.embedded import NUMBER_BYTES, EmbeddedPortal
from portal.tables import PortalRegistration
from records.database import Database
from tests.support.conditions import in_stage, mailed
from tests.support.system import (
    SECRET,
    meet_requirements,
    new_training_id,
    record_people,
    running,
)

LATER = datetime.now(UTC) + timedelta(days=7)


async def issue(portal: EmbeddedPortal, training_id: str, fence: int = 1) -> str:
    account = await portal.enroll(training_id, fence, LATER, {})
    return await portal.registration_number(training_id, account.registration)


async def test_a_number_has_eighty_bits_and_follows_from_the_secret_only(sqlite_url: str) -> None:
    database = Database(sqlite_url)
    portal, other = EmbeddedPortal(database, SECRET), EmbeddedPortal(database, SECRET[::-1])
    numbers = [await issue(portal, f"A{each:06}") for each in range(100)]
    numbers += [await issue(portal, "A000000", fence) for fence in range(2, 12)]
    assert NUMBER_BYTES * 8 == 80
    assert all(re.fullmatch(r"([A-Z2-7]{4}-){3}[A-Z2-7]{4}", number) for number in numbers)
    assert len(set(numbers)) == len(numbers)
    # Every place has every letter: no part of the number is constant or a counter.
    assert all(len({number[at] for number in numbers}) > 20 for at in range(19) if at % 5 != 4)
    assert await other.registration_number("A000001", 1) != numbers[1]
    async with database.transaction() as session:
        kept = "".join(
            f"{each.salt} {each.check}" for each in await session.exec(select(PortalRegistration))
        )
    assert not [number for number in numbers if number in kept or number.replace("-", "") in kept]
    await database.close()


async def test_guesses_change_nothing_for_the_assister(sqlite_url: str) -> None:
    database = Database(sqlite_url)
    portal = EmbeddedPortal(database, SECRET)
    number = await issue(portal, "A000001")
    guesses = ["", "A000001", "*", "%", "' OR 1=1 --", "\0", "\ud800", "ä" * 10_000, number[:-1]]
    for guess in (*guesses, *(f"{number[:-1]}{each}" for each in "ABCDEFGH" if each != number[-1])):
        with pytest.raises(ActivationRefused) as refused:
            await portal.activate(guess)
        assert not guess or guess not in str(refused.value)
    assert (await portal.activate(number.lower().replace("-", " "))).training_id == "A000001"
    await database.close()


@pytest.mark.parametrize("dash", ["-", "–", "\u2011", " ", "", "\u00a0"])
async def test_a_number_is_taken_as_people_type_it(sqlite_url: str, dash: str) -> None:
    """A number has no 0 and no 1, so these digits stand for the letters that look like them."""
    database = Database(sqlite_url)
    portal = EmbeddedPortal(database, SECRET)
    for each in range(100):
        number = await issue(portal, f"B{each:06}")
        if "O" in number and "I" in number:
            break
    typed = number.replace("O", "0").replace("I", "1").replace("-", dash)
    assert typed.replace(dash, "") != number.replace("-", "")
    assert (await portal.activate(f" {typed.lower()} ")).training_id == f"B{each:06}"
    await database.close()


def test_a_terminal_is_given_no_orders() -> None:
    shown = table("", ("",), [("\x1b[31m[red]x\x07\u202e",)])
    assert "".join(map(str, shown.columns[0].cells)) == r"·[31m\[red]x··"


async def test_the_secret_is_changed_as_the_runbook_says(
    temporal: WorkflowEnvironment, sqlite_url: str, tmp_path: Path
) -> None:
    training_id = new_training_id()
    async with mail_inbox(tmp_path / "inbox") as inbox:
        made = partial(running, temporal.client, sqlite_url, inbox, tmp_path, task_queue="secrets")
        async with made() as old:
            await record_people(old.database, training_id)
            await meet_requirements(old, training_id)
            number = await old.portal.registration_number(training_id, 1)
            await old.act(training_id, "suspend_access")
            await old.until(training_id, in_stage("suspended"))
        async with made(portal_secret=SecretStr(SECRET[::-1])) as new:
            await bootstrap.check_secret(new.portal)
            await new.act(training_id, "reinstate_access")
            await new.until(training_id, mailed("activation", times=2))
            with pytest.raises(ActivationRefused):
                await new.portal.activate(number)
            await new.activate(training_id, registration=2)
            await new.until(training_id, in_stage("active"))
