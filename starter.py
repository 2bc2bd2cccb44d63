"""The command line: starts workflows, sends signals and updates, and asks for status.

Exit codes: 0 done, 1 refused or failed for a reason that is printed, 2 wrong usage.
"""

import os
import signal
import sys
from collections.abc import Iterable
from typing import NoReturn

import structlog
from cyclopts import App, CycloptsError
from pydantic import ValidationError
from sqlalchemy.exc import OperationalError, ProgrammingError
from temporalio.client import WorkflowQueryFailedError, WorkflowUpdateFailedError
from temporalio.service import RPCError, RPCStatusCode

from commands import agencies, console, keys, look, operate, results, rosters, staff
from embedded.stack import PortInUse
from intake.files import UnreadableFile
from policy.addresses import has_controls
from portal.directory import ActivationRefused
from records.database import UnsupportedDatabase
from records.keys import UnknownKey
from records.people import NotAuthorized
from services import Refused
from services.orders import mistakes

MAX_WORD = 4096
"""Characters of one value: whatever it is, it may be shown again."""

app = App(
    name="starter.py",
    version_flags=[],
    help="Runs MNsure's Assister Portal Access policy: rosters, results, activations, status."
    " Begin with `starter.py demo` to see it, or `starter.py up` to use it.",
)
for each in (look.app, staff.app, operate.app):
    app.command(each, name="*")
for each in (
    rosters.app,
    results.certification,
    results.training,
    results.assessment,
    results.results,
    look.trail,
    staff.assister,
    agencies.app,
    keys.app,
):
    app.command(each)


def _reason(error: Exception) -> str | None:
    """What to tell a person of an error that is theirs to mend; None for one that is ours."""
    match error:
        case WorkflowUpdateFailedError():
            return getattr(error.cause, "message", str(error))
        case RPCError(status=RPCStatusCode.NOT_FOUND):
            return "There is no such case. `starter.py list` shows those there are."
        case RPCError():
            return f"Temporal did not answer as expected: {error.message}"
        case WorkflowQueryFailedError():
            return str(error)
        case OperationalError() | ProgrammingError():
            return (
                "The records cannot be used. Is the database up, and was `starter.py migrate` run?"
            )
        case (
            Refused()
            | NotAuthorized()
            | UnknownKey()
            | UnreadableFile()
            | ActivationRefused()
            | UnsupportedDatabase()
            | PortInUse()
        ):
            return str(error)
        case ValidationError():
            return mistakes(error)
    return None


def main(arguments: Iterable[str] | None = None) -> int:
    """Runs one command and returns its exit code."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(30))
    words = list(sys.argv[1:] if arguments is None else arguments)
    if any(len(each) > MAX_WORD or has_controls(each) for each in words):
        console.err.print("A value holds control characters, or is far too long.", style="red")
        return 2
    try:
        app(words, exit_on_error=False, print_error=True, result_action="return_value")
    except CycloptsError:
        return 2
    except KeyboardInterrupt:
        return 130
    except Exception as error:
        reason = _reason(error)
        if reason is None:
            raise
        console.err.print(reason, style="red", markup=False)
        return 1
    return 0


def _leave(code: int) -> NoReturn:
    # The SDK may abort in the interpreter's own exit (sdk-python 300); all is closed by now.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    # Being told to end is like Ctrl-C: what was started is taken down.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    _leave(main())
