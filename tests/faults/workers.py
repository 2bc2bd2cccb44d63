"""Worker processes to break, forked from one that has imported everything.

A *mischief* breaks something inside a worker. It is a function, named ``module:function``, that the
new process calls before the worker starts.
"""

import asyncio
import importlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import worker
from tests.support.forks import forked, gone
from tests.support.system import SECRET, System

Mischief = tuple[str, Sequence[Any]]


class WorkerProcess:
    """The program of ``worker.py`` in a process of its own.

    Args:
        mischief: The functions that break something, with their arguments.
    """

    def __init__(
        self,
        system: System,
        *mischief: Mischief,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        settings = system.settings
        variables = {
            "TEMPORAL_ADDRESS": system.client.service_client.config.target_host,
            "ASSISTER_DATABASE_URL": settings.database_url,
            "ASSISTER_DATA_DIR": str(settings.data_dir),
            "ASSISTER_TASK_QUEUE": settings.task_queue,
            "ASSISTER_PORTAL_SECRET": SECRET,
            "ASSISTER_SMTP_PORT": str(settings.smtp_port),
            "ASSISTER_SMTP_TIMEOUT": str(settings.smtp_timeout),
            "ASSISTER_SMTP_SECURITY": settings.smtp_security,
        }
        self.log = Path(settings.data_dir) / "worker.log"
        self._process = forked(self.log, {**variables, **(environment or {})}, _work, mischief)

    @property
    def pid(self) -> int:
        """The process id."""
        assert self._process.pid is not None
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """None while the process runs; a negative signal number if a signal killed it."""
        return self._process.exitcode

    def kill(self) -> None:
        """Ends the process as a power cut would."""
        self._process.kill()

    async def gone(self) -> None:
        """Waits until the process has ended."""
        await gone(self._process)


def _work(mischief: Sequence[Mischief]) -> None:
    for name, arguments in mischief:
        module, _, function = name.partition(":")
        getattr(importlib.import_module(module), function)(*arguments)
    asyncio.run(worker.main())
