"""The Temporal Web UI, without the buttons that staff must not use.

The development server has no option for the UI's settings. So a relay in front of the UI passes
everything on and adds the settings to the server's answer.
"""

import json
import re
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

BUTTONS_OFF = (
    "WorkflowTerminateDisabled",
    "WorkflowResetDisabled",
    "BatchActionsDisabled",
    "StartWorkflowDisabled",
    "WorkflowPauseDisabled",
    "ActivityCommandsDisabled",
)
"""Settings of the UI, by its own names. Cancellation stays on: it is a clean close."""

SETTINGS = "/api/v1/settings"
LONGEST_ANSWER = 120.0
"""Seconds. The UI polls for news, and the server answers late if there is none."""
MOST_SENT = 4 * 2**20
MOST_ANSWERED = 64 * 2**20
"""Bytes. The longest history that Temporal keeps has 50 MB."""
HERE = re.compile(r"(localhost|127\.0\.0\.1|\[::1\])(:\d+)?")
"""The names by which a browser on this machine calls. Any other name belongs to a web page whose
domain was pointed here (DNS rebinding), and that page could read and send everything."""
NOT_PASSED_ON = {"content-length", "transfer-encoding", "connection", "keep-alive"}


class _Relay(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def __init__(self, port: int, ui_port: int) -> None:
        super().__init__(("127.0.0.1", port), _Exchange)
        self.ui_port = ui_port

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Logs what went wrong, unless a browser has left in the middle of an answer."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _Exchange(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = LONGEST_ANSWER
    server: _Relay

    def _pass_on(self) -> None:
        if not HERE.fullmatch(self.headers.get("Host", "")):
            self._refuse(421, "Call the Temporal Web UI by the name localhost")
            return
        length = self.headers.get("Content-Length", "0")
        if "Transfer-Encoding" in self.headers or not length.isdecimal():
            self._refuse(411, "How long the request is must be said")
            return
        if int(length) > MOST_SENT:
            self._refuse(413, "The request is too long")
            return
        sent = self.rfile.read(int(length))
        # Compressed settings could not be changed.
        headers = {name: each for name, each in self.headers.items() if name != "Accept-Encoding"}
        ui = HTTPConnection("127.0.0.1", self.server.ui_port, timeout=LONGEST_ANSWER)
        try:
            ui.request(self.command, self.path, sent, headers)
            answer = ui.getresponse()
            body = answer.read(MOST_ANSWERED + 1)
        except (OSError, HTTPException):
            self.send_error(502, "The Temporal Web UI does not answer")
            return
        finally:
            ui.close()
        if len(body) > MOST_ANSWERED:
            self.send_error(502, "The Temporal Web UI answers without end")
            return
        if self.path.split("?")[0] == SETTINGS:
            body = json.dumps(json.loads(body) | dict.fromkeys(BUTTONS_OFF, True)).encode()
        self.send_response_only(answer.status, answer.reason)
        for name, value in answer.getheaders():
            if name.lower() not in NOT_PASSED_ON:
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _refuse(self, status: int, why: str) -> None:
        # The body stays unread, and would be taken for the next request.
        self.close_connection = True
        self.send_error(status, why)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _pass_on  # noqa: N815

    def log_message(self, format: str, *args: object) -> None:
        """Logs nothing: what staff do is in the audit trail."""


@contextmanager
def web_ui(port: int, ui_port: int) -> Iterator[None]:
    """Serves at ``port`` the UI that listens at ``ui_port``, for as long as the context is open."""
    with _Relay(port, ui_port) as relay:
        threading.Thread(target=relay.serve_forever, args=(0.05,), daemon=True).start()
        try:
            yield
        finally:
            relay.shutdown()


def free_port() -> int:
    """A port that no program listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
