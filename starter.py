"""The command line: starts workflows, sends signals and updates, and asks for status.

Exit codes: 0 done, 1 refused or failed for a reason that is printed, 2 wrong usage, 130 Ctrl-C.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import time

# Libraries are imported where they are used: until Ctrl-C is understood below, it would end the
# program with a traceback.
TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from collections.abc import Iterable
    from typing import NoReturn

GRACE = 1.5
"""Seconds after Ctrl-C for a command to close what it opened."""


def main(arguments: Iterable[str] | None = None) -> int:
    """Runs one command and returns its exit code."""
    # Imported here, so that Ctrl-C works while the libraries are loaded.
    from commands.line import run

    return run(list(sys.argv[1:] if arguments is None else arguments))


def _end_in_time(interrupts: socket.socket) -> None:
    """Ends the program if it does not end by itself, for example while a parser works."""
    _came(interrupts, within=None)
    time.sleep(GRACE)
    _leave(130)


def _came(interrupts: socket.socket, within: float | None = 0) -> bool:
    return bool(select.select([interrupts], [], [], within)[0])


def _end_now(lost: sys.UnraisableHookArgs) -> None:
    """Ends the program if Python has dropped a Ctrl-C, as it does in an import's callback."""
    if lost.exc_type is KeyboardInterrupt:
        _leave(130)
    sys.__unraisablehook__(lost)


def _leave(code: int) -> NoReturn:
    # The SDK may abort at the interpreter's own exit (sdk-python 300). All is closed by now.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, lambda *_: _leave(130))
    # Being told to end is like Ctrl-C: what was started is taken down.
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    import socket
    import threading

    interrupts, wakeup = socket.socketpair()
    wakeup.setblocking(False)
    sys.unraisablehook = _end_now
    threading.Thread(target=_end_in_time, args=(interrupts,), daemon=True).start()
    try:
        signal.set_wakeup_fd(wakeup.fileno())
        signal.signal(signal.SIGINT, signal.default_int_handler)
        code = main()
        # Ctrl-C from here on would end the program while it ends.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    except KeyboardInterrupt:
        code = 130
    except Exception:
        # A library may raise an error of its own in place of Ctrl-C, as Pydantic does while it
        # makes a schema.
        if not _came(interrupts):
            raise
        code = 130
    _leave(code)
