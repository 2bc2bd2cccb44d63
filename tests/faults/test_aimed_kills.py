"""The worker is killed at every point that it passes, and a new worker continues."""

import asyncio
import re
import shutil
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from temporalio.client import Client
from temporalio.testing import WorkflowEnvironment

from tests.faults.conftest import FULL, NewRecords, full
from tests.faults.matrix import Matrix
from tests.faults.mischief import put
from tests.faults.trials import (
    PATIENCE,
    Journey,
    Trial,
    access,
    doubts,
    evidence,
    roster,
    without_worker,
)
from tests.faults.workers import Mischief, WorkerProcess
from tests.support.system import System, new_training_id

AT_ONCE = 20
"""On an overloaded machine the tests fail by themselves."""
EVERY = 1 if FULL else 8
TRIES = 6
"""A journey is tried again if it does not pass the point: the same two events are one workflow task
in one journey, and two in another."""
KEPT = "the relay has kept the message"
GROUPS = (
    ("workflow task", "a completed workflow task"),
    ("completion", "a completed activity"),
    ("commit", "a commit"),
    ("reply", "a reply of the relay"),
    ("portal", "a call of the portal"),
    ("telling", "a signal to a case"),
)
AIMED_AT = {
    "access": re.compile(""),
    # The journey "access" has the points of the cases that a roster opens.
    "roster": re.compile("judge_roster|open_cases|send_mail|complete_workflow"),
}
JOURNEYS = {"access": access, "roster": roster}


class Recorded(NamedTuple):
    """An undisturbed journey: its points and its evidence."""

    points: list[str]
    evidence: Counter[str]


class Aim:
    """Kills the worker of a system at one point.

    Args:
        mischief: What else is broken in that worker.
        fresh: What is broken in the next worker.
    """

    def __init__(
        self,
        system: System,
        point: str | None,
        mischief: Sequence[Mischief] = (),
        fresh: Sequence[Mischief] = (),
    ) -> None:
        self._system, self._point = system, point
        self._mischief, self._fresh = mischief, fresh
        self.log = system.settings.data_dir / "points"
        self._worker = self._doomed()
        self._kept = system.inbox.handle_DATA
        # The relay looks this handler up when an SMTP connection opens.
        put(system.inbox, "handle_DATA", self._keep)
        self.died_at: float | None = None

    def _doomed(self) -> WorkerProcess:
        points: Mischief = ("tests.faults.points:install", (str(self.log), self._point))
        return WorkerProcess(self._system, *self._mischief, points)

    async def replace(self) -> None:
        """Starts a new worker once the first is dead."""
        await self._worker.gone()
        self.died_at = asyncio.get_running_loop().time()
        self._worker = WorkerProcess(self._system, *self._fresh)

    def end(self) -> None:
        """Kills the present worker."""
        self._worker.kill()

    async def _keep(self, server: object, session: object, envelope: object) -> str:
        answer = await self._kept(server, session, envelope)  # type: ignore[arg-type]
        step = self.log.read_text().splitlines()[-1].partition(":")[0]
        if self.died_at is None and self._point == f"{step}: {KEPT}":
            self._worker.kill()
        return answer


async def tried(
    client: Client,
    records_url: str,
    folder: Path,
    journey: Journey,
    point: str | None,
    mischief: Sequence[Mischief] = (),
    fresh: Sequence[Mischief] = (),
    **changes: Any,
) -> tuple[Trial, Aim]:
    """Runs a journey whose worker dies at a point; with None it stays alive."""
    trial = Trial()
    ids = [new_training_id()]
    async with without_worker(client, records_url, folder, **changes) as system:
        aim = Aim(system, point, mischief, fresh)
        replacing = asyncio.create_task(aim.replace())
        try:
            async with asyncio.timeout(PATIENCE):
                await journey(system, ids)
                trial.evidence = await evidence(system, ids)
                trial.in_doubt = await doubts(system)
        except (TimeoutError, AssertionError):
            trial.stuck = True
        finally:
            replacing.cancel()
            aim.end()
        now = asyncio.get_running_loop().time()
        trial.seconds = now - (aim.died_at or now)
    return trial, aim


async def recorded(client: Client, records_url: str, folder: Path, journey: Journey) -> Recorded:
    """Runs the undisturbed journey, and finds the points at which the worker will be killed."""
    # As long as the settings allow: the evidence would have a mail in doubt twice.
    trial, aim = await tried(client, records_url, folder, journey, None, smtp_timeout=30.0)
    assert not trial.stuck
    points = aim.log.read_text().splitlines()
    handed_over = re.compile("(.*): before the reply to the message$")
    kept = [f"{found[1]}: {KEPT}" for point in points if (found := handed_over.match(point))]
    return Recorded(points + kept, trial.evidence)


def in_doubt(points: list[str]) -> set[str]:
    """The mails in doubt: the relay may have them, and the worker died before its commit.

    Args:
        points: The points that the dead worker passed; it may have sent two mails at once.
    """
    doubtful = set()
    for point in points:
        step = point.partition(":")[0]
        if "before the reply to the message" in point:
            doubtful.add(step)
        if "after commit" in point:
            doubtful.discard(step)
    return doubtful


def group(point: str) -> str:
    """The matrix's row for a point."""
    return next(words for mark, words in GROUPS if mark in point)


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", ["access", pytest.param("roster", marks=full)])
async def test_killed_at_every_point(
    temporal: WorkflowEnvironment,
    new_records: NewRecords,
    database_kind: str,
    tmp_path: Path,
    matrix: Matrix,
    name: str,
) -> None:
    journey = JOURNEYS[name]
    undisturbed = await recorded(temporal.client, new_records(), tmp_path / "recorded", journey)
    aimed_at = [point for point in undisturbed.points if AIMED_AT[name].search(point)]
    places = asyncio.Semaphore(AT_ONCE)
    failures, missed = [], []

    async def one(number: int, point: str) -> None:
        async with places:
            for attempt in range(TRIES):
                folder = tmp_path / f"{number}-{attempt}"
                trial, aim = await tried(temporal.client, new_records(), folder, journey, point)
                if aim.died_at is not None:
                    break
        lost, doubled = trial.lost(undisturbed.evidence), trial.doubled(undisturbed.evidence)
        mails = all(found.startswith("received: ") for found in doubled)
        doubtful = in_doubt(aim.log.read_text().splitlines())
        # A relay that was too slow leaves a doubt without a kill.
        allowed = min(len(doubled), max(len(doubtful), trial.in_doubt)) if mails and not lost else 0
        if lost or len(doubled) > allowed:
            failures.append((point, aim.died_at and "died", lost, doubled))
        if aim.died_at is None:
            missed.append(point)
            return
        matrix.add(
            "worker killed before or after " + group(point)
            if not doubtful
            else "worker killed in the one window: the relay has the mail, our commit is to come",
            f"{name} on {database_kind}",
            lost=len(lost),
            doubled=len(doubled) - allowed,
            allowed=allowed,
            recovered=not trial.stuck,
            seconds=trial.seconds,
        )

    await asyncio.gather(*(one(*point) for point in list(enumerate(aimed_at))[::EVERY]))
    assert failures == []
    # Which events are one workflow task depends on how fast each comes: such a point may not exist.
    assert [point for point in missed if "workflow task" not in point] == []


@full
async def test_a_claim_by_a_clock_that_is_ahead_holds_no_mail_up(
    temporal: WorkflowEnvironment, sqlite_url: str, tmp_path: Path, matrix: Matrix
) -> None:
    trial, _ = await tried(
        temporal.client,
        sqlite_url,
        tmp_path,
        access,
        "send_mail activation: before the reply to MAIL",
        [("tests.faults.mischief:clock_shifted", (72,))],
    )
    assert not trial.stuck
    assert trial.evidence["outbox: activation sent"] == 1
    matrix.add(
        "a worker whose clock is 3 days ahead killed while it sends",
        "access on SQLite",
        seconds=trial.seconds,
    )


PLANTED = {
    "new_key_for_each_attempt": "send_mail activation: (before|after) its completion",
    "commit_before_send": "send_mail activation: before the reply to (MAIL|RCPT|DATA)",
    "fence_not_checked": "enroll: (after commit 1|before its completion)",
    "reported_before_told": "relay: (after commit 1|before telling the case)",
}
"""The planted bugs; a kill at one of its points at least must show each bug."""


@full
@pytest.mark.timeout(600)
@pytest.mark.parametrize("bug", PLANTED)
async def test_a_planted_bug_is_found(
    temporal: WorkflowEnvironment,
    sqlite_template: Path,
    tmp_path: Path,
    bug: str,
) -> None:
    def new_records() -> str:
        path = tmp_path / f"{new_training_id()}.db"
        shutil.copy(sqlite_template, path)
        return f"sqlite:///{path}"

    undisturbed = await recorded(temporal.client, new_records(), tmp_path / "recorded", access)
    bug_in_both = [(f"tests.faults.mischief:{bug}", ())]
    # Otherwise the trials below could fail for another reason than the kill.
    harmless, _ = await tried(
        temporal.client, new_records(), tmp_path / "alive", access, None, bug_in_both, bug_in_both
    )
    assert harmless.evidence == undisturbed.evidence
    trials = await asyncio.gather(
        *(
            tried(
                temporal.client,
                new_records(),
                tmp_path / f"{n}",
                access,
                point,
                bug_in_both,
                bug_in_both,
            )
            for n, point in enumerate(undisturbed.points)
            if re.fullmatch(PLANTED[bug], point)
        )
    )
    found = [
        trial.lost(undisturbed.evidence) + trial.doubled(undisturbed.evidence)
        for trial, _ in trials
    ]
    assert any(found), f"{len(trials)} kills, and nobody noticed"
