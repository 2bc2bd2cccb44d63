"""What takes a worker seconds to start with: done once, in the process that all are forked from.

No runtime of Temporal's may be made here: its threads would not survive the fork.
"""

from temporalio.worker._worker import load_default_build_id

import bootstrap
import tests.faults.points
import tests.faults.workers

__all__ = ["bootstrap", "tests"]

load_default_build_id()
bootstrap.arc_holidays()
