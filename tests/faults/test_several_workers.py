"""Ten workers of one roster, killed and replaced at random, have the same result as one worker."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from temporalio.testing import WorkflowEnvironment

from tests.faults.conftest import NewRecords, full
from tests.faults.disturbed import judged
from tests.faults.matrix import Matrix
from tests.faults.trials import PATIENCE, Trial, doubts, evidence, onboarding, without_worker
from tests.faults.workers import WorkerProcess
from tests.support.system import System, new_training_id

ROWS = 50
WORKERS = 10
KILLS = 30
LIFE = (0.5, 4.0)
"""The shortest and the longest life of a worker, in seconds."""


@asynccontextmanager
async def crowd(system: System, workers: int, kills: int) -> AsyncIterator[None]:
    """Runs workers, and kills and replaces them at random until the number of kills is reached."""
    chance = random.Random(ROWS)
    running = [WorkerProcess(system) for _ in range(workers)]

    async def kill() -> None:
        for _ in range(kills):
            await asyncio.sleep(chance.uniform(*LIFE) / workers)
            number = chance.randrange(workers)
            running[number].kill()
            running[number] = WorkerProcess(system)

    killing = asyncio.create_task(kill())
    try:
        yield
        await killing
    finally:
        killing.cancel()
        for worker in running:
            worker.kill()


async def worked(
    temporal: WorkflowEnvironment, records_url: str, folder: Path, workers: int, kills: int
) -> Trial:
    """Runs workers that bring all assisters of one roster to an active account."""
    trial = Trial()
    ids = [new_training_id() for _ in range(ROWS)]
    begun = asyncio.get_running_loop().time()
    async with (
        without_worker(temporal.client, records_url, folder) as system,
        asyncio.timeout(PATIENCE * 2),
        crowd(system, workers, kills),
    ):
        await onboarding(system, ids)
        trial.evidence = await evidence(system, ids)
        trial.in_doubt = await doubts(system)
    trial.seconds = asyncio.get_running_loop().time() - begun
    return trial


@full
@pytest.mark.timeout(900)
async def test_many_workers_do_what_one_does(
    temporal: WorkflowEnvironment,
    new_records: NewRecords,
    database_kind: str,
    tmp_path: Path,
    matrix: Matrix,
) -> None:
    alone = await worked(temporal, new_records(), tmp_path / "alone", 1, 0)
    assert alone.evidence["case: active, attention 0"] == ROWS
    many = await worked(temporal, new_records(), tmp_path / "many", WORKERS, KILLS)
    fault = f"{WORKERS} workers over a roster of {ROWS}, {KILLS} of them killed at random"
    judged(matrix, fault, database_kind, many, alone.evidence)
