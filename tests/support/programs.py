"""The product's programs as processes."""

import asyncio
import os
import re
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
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


def hears_sigterm(process_id: int) -> bool:
    """Whether the program has set its handler of SIGTERM, or has ended; Python itself sets none."""
    with suppress(OSError):
        about = Path(f"/proc/{process_id}/status").read_text()
        caught = re.search(r"SigCgt:\s+(\w+)", about)
        has_ended = "State:\tZ" in about
        return has_ended or bool(caught and int(caught[1], 16) & 1 << (signal.SIGTERM - 1))
    return True
