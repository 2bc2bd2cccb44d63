"""The slow part of a start, done once in the process from which workers and commands are forked.

This module must not make a Temporal runtime: its threads would not survive the fork.
"""

from importlib import import_module

from temporalio.worker._worker import load_default_build_id

import bootstrap
import tests.faults.points
import tests.faults.workers
from commands.line import COMMANDS

__all__ = ["bootstrap", "tests"]

load_default_build_id()
bootstrap.arc_holidays()
for group in COMMANDS.values():
    for where, _ in group.values():
        import_module(f"commands.{where.partition(':')[0]}")
