"""What a worker or a command takes seconds to start with: done once, in the process that all are
forked from.

No runtime of Temporal's may be made here: its threads would not survive the fork.
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
