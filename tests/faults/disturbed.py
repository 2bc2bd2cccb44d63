"""Some assisters' journeys at once, and one blow to them all."""

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
    """No blow."""
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
    """The journeys of some assisters, and a blow.

    Args:
        mischiefs: A worker for each, with that broken in it; one sound worker where none is given.
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
            for each in running:
                each.kill()
        trial.seconds = asyncio.get_running_loop().time() - over
        ended = [each.log.read_text()[-2000:] for each in running if each.exit_code is not None]
        assert not ended, ended
        assert_impersonal(running[0].log.read_text(), ids)
    return trial


def assert_impersonal(log: str, ids: list[str]) -> None:
    """No log line holds what a statement or a mail said."""
    for personal in ("Ann", "assisters.example.org", *(each.lower() for each in ids)):
        assert personal not in log


async def first_mail(system: System) -> None:
    """Waits until work is under way."""

    async def mails() -> int:
        return len(list(system.inbox.folder.glob("*.eml")))

    await eventually(mails, bool)


def judged(matrix: Matrix, fault: str, where: str, trial: Trial, undisturbed: Counter[str]) -> None:
    """Counts a run; fails where something was lost, or doubled without being marked as in doubt."""
    lost, doubled = trial.lost(undisturbed), trial.doubled(undisturbed)
    mails = [each for each in doubled if each.startswith("received: ")][: trial.in_doubt]
    doubled = [each for each in doubled if each not in mails]
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
