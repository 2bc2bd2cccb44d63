"""Processes forked from one that has imported everything, so that they start at once."""

import asyncio
import ctypes
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Mapping
from functools import cache
from multiprocessing.context import ForkServerContext
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

PR_SET_PDEATHSIG = 1


@cache
def _forkserver() -> ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["pytest", "tests.support.preload"])
    return context


def forked(
    output: Path, environment: Mapping[str, str], target: Callable[..., Any], *given: Any
) -> BaseProcess:
    """Runs a function in a new process, whose output goes to a file."""
    process: BaseProcess = _forkserver().Process(
        target=_run, args=(output, {**os.environ, **environment}, target, given), daemon=True
    )
    process.start()
    return process


def _run(
    output: Path, environment: Mapping[str, str], target: Callable[..., Any], given: Any
) -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    os.environ.clear()
    os.environ.update(environment)
    descriptor = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(descriptor, sys.stdout.fileno())
    os.dup2(descriptor, sys.stderr.fileno())
    target(*given)


async def gone(process: BaseProcess) -> None:
    """Waits until a process has ended."""
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_reader(process.sentinel, ended.set)
    try:
        await ended.wait()
    finally:
        loop.remove_reader(process.sentinel)
