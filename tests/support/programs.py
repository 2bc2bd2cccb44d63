"""The product's programs as processes."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.support.system import SECRET

ROOT = Path(__file__).resolve().parents[2]


@asynccontextmanager
async def worker_process(
    folder: Path, **environment: str
) -> AsyncIterator[asyncio.subprocess.Process]:
    with (folder / "worker.log").open("ab") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            str(ROOT / "worker.py"),
            env=os.environ
            | {"ASSISTER_DATA_DIR": str(folder), "ASSISTER_PORTAL_SECRET": SECRET}
            | environment,
            stdout=log,
            stderr=log,
        )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
