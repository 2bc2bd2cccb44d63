"""Runs the journeys of some assisters at once, with one fault that disturbs them all."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from temporalio.client import Client

from tests.faults.matrix import Matrix
from tests.faults.trials import PATIENCE, Trial, access, doubts, evidence, without_worker
from tests.faults.workers import Mischief, WorkerProcess
from tests.support.system import System, eventually, new_training_id

ASSISTERS = 4


async def nothing(system: System) -> None:
    """Makes no fault."""
    del system


async def disturbed(
    client: Client,
    records_url: str,
    folder: Path,
    strike: Callable[[System], Awaitable[None]],
    *mischiefs: Mischief | None,
    environment: Mapping[str, str] | None = None,
    **changes: Any,
) -> Trial:
    """Runs the journeys of some assisters while a fault disturbs them.

    Args:
        strike: Makes the fault.
        mischiefs: What is broken in each worker; without mischiefs, one sound worker runs.
    """
    trial = Trial()
    ids = [new_training_id() for _ in range(ASSISTERS)]
    async with without_worker(client, records_url, folder, **changes) as system:
        running = [
            WorkerProcess(system, *((mischief,) if mischief else ()), environment=environment)
            for mischief in mischiefs or (None,)
        ]
        journeys = asyncio.create_task(access(system, ids))
        over = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout(PATIENCE):
                await strike(system)
                over = asyncio.get_running_loop().time()
                await journeys
                trial.evidence = await evidence(system, ids)
                trial.in_doubt = await doubts(system)
        except TimeoutError:
            trial.stuck = True
        finally:
            journeys.cancel()
            for worker in running:
                worker.kill()
        trial.seconds = asyncio.get_running_loop().time() - over
        ended = [
            worker.log.read_text()[-2000:] for worker in running if worker.exit_code is not None
        ]
        assert not ended, ended
        assert_impersonal(running[0].log.read_text(), ids)
    return trial


def assert_impersonal(log: str, ids: list[str]) -> None:
    """Checks that a log has no names and addresses from statements or mails."""
    for personal in ("Ann", "assisters.example.org", *(person.lower() for person in ids)):
        assert personal not in log


async def first_mail(system: System) -> None:
    """Waits for the first mail, when all journeys are under way."""

    async def mails() -> int:
        return len(list(system.inbox.folder.glob("*.eml")))

    await eventually(mails, bool)


def judged(matrix: Matrix, fault: str, where: str, trial: Trial, undisturbed: Counter[str]) -> None:
    """Counts a run; fails if something was lost, or was doubled without a mark as in doubt."""
    lost, doubled = trial.lost(undisturbed), trial.doubled(undisturbed)
    mails = [found for found in doubled if found.startswith("received: ")][: trial.in_doubt]
    doubled = [found for found in doubled if found not in mails]
    matrix.add(
        fault,
        where,
        lost=len(lost),
        doubled=len(doubled),
        allowed=len(mails),
        recovered=not trial.stuck,
        seconds=trial.seconds,
    )
    assert (lost, doubled) == ([], [])
