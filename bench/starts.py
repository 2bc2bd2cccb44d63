"""Measures how long a command takes from its start to its end."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from time import perf_counter

from bench.figures import Figures
from bench.flows import Ours, at_rest
from bench.site import new_persons, site
from embedded.stack import ROOT
from tests.support.system import facts

STARTER = str(ROOT / "starter.py")


async def measure(figures: Figures, *, rounds: int) -> None:
    """Measures wall and CPU time of `--help` and `status`, beside the import of the client."""
    async with site("sqlite") as made:
        worker, flow = made.worker(), Ours(made)
        await worker.start()
        try:
            [person] = new_persons(1)
            await flow.prepare([person])
            await flow.tell(person, "roster_recorded", facts()["roster_recorded"])
            await at_rest(made.system.client, [flow.workflow_id(person)])
            commands = {
                "import of temporalio.client": ["-c", "import temporalio.client"],
                "--help": [STARTER, "--help"],
                "status": [STARTER, "status", person],
            }
            for number in range(rounds + 1):
                for name, command in commands.items():
                    wall, cpu = await asyncio.to_thread(_run, command, made.environment())
                    if number:  # The first round only fills the caches.
                        figures.add(f"starts/{name}/wall s", wall)
                        figures.add(f"starts/{name}/CPU s", cpu)
        finally:
            await worker.end()


def _run(command: Sequence[str], environment: Mapping[str, str]) -> tuple[float, float]:
    begun = perf_counter()
    process = subprocess.Popen(
        [sys.executable, *command],
        env=os.environ | environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    _, status, used = os.wait4(process.pid, 0)
    took = perf_counter() - begun
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.stderr is not None
    with process.stderr as said:
        assert process.returncode == 0, said.read().decode()[-2000:]
    return took, used.ru_utime + used.ru_stime
