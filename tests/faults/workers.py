"""Worker processes to be broken: forked from one that has everything imported already.

What a test wants broken inside a worker is a *mischief*: a function of a module, named
``module:function``, that is called in the new process before the worker starts.
"""

import asyncio
import ctypes
import importlib
import multiprocessing
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from multiprocessing.context import ForkServerContext
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import worker
from tests.support.system import SECRET, System

Mischief = tuple[str, Sequence[Any]]
PR_SET_PDEATHSIG = 1
_context: ForkServerContext | None = None


class WorkerProcess:
    """The program of ``worker.py`` in a process of its own.

    Args:
        mischief: What to break in it: ``module:function`` and its arguments.
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
        self._process: BaseProcess = _forkserver().Process(
            target=_work,
            args=({**variables, **(environment or {})}, mischief, self.log),
            daemon=True,
        )
        self._process.start()

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self._process.pid is not None
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs; the negative signal that killed it."""
        return self._process.exitcode

    def kill(self) -> None:
        """Ends it as a power cut would."""
        self._process.kill()

    async def gone(self) -> None:
        """Waits for its end."""
        ended = asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.add_reader(self._process.sentinel, ended.set)
        try:
            await ended.wait()
        finally:
            loop.remove_reader(self._process.sentinel)


def _forkserver() -> ForkServerContext:
    global _context
    if _context is None:
        _context = multiprocessing.get_context("forkserver")
        _context.set_forkserver_preload(["pytest", "tests.faults.preload"])
    return _context


def _work(environment: Mapping[str, str], mischief: Sequence[Mischief], log: Path) -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    os.environ.update(environment)
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(output, sys.stdout.fileno())
    os.dup2(output, sys.stderr.fileno())
    for name, arguments in mischief:
        module, _, function = name.partition(":")
        getattr(importlib.import_module(module), function)(*arguments)
    asyncio.run(worker.main())
