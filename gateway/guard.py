"""Guards every door: limits requests, adds headers to answers, logs a line for each.

It is a pure ASGI middleware and reads no body itself. It limits how much of a body a handler may
read, and how slowly it may come.
"""

import asyncio
import time
import traceback
from collections.abc import MutableMapping
from typing import Any

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.problems import answered

MOST_HEADERS = 16 * 2**10
"""Bytes."""
MOST_BODY = 20 * 2**20
"""Bytes of a file. The readers of forms have smaller limits."""
TOO_LARGE = f"The file has more than {MOST_BODY // 2**20} MB. Send it in parts."
PATIENCE = 20.0
"""Seconds for a small body. A larger one may take longer, but not slower than `SLOWEST`."""
DEPTH = 5
"""The most frames of a fault that the log names."""
SLOWEST = 50_000
"""Bytes a second."""

ALWAYS = {
    "cache-control": "no-store",
    "content-security-policy": (
        "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self';"
        " frame-ancestors 'none'; base-uri 'none'"
    ),
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    # Not no-referrer: our own forms would then say `Origin: null`.
    "referrer-policy": "same-origin",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}


class BrokenOff(Exception):
    """A request failed after its answer had begun: the connection must be closed."""


class Guard:
    """Wraps the whole app.

    Args:
        https: Whether people reach it by https, so that browsers are told to insist on it.
    """

    def __init__(self, app: ASGIApp, *, https: bool) -> None:
        self._app = app
        self._always = dict(ALWAYS)
        if https:
            self._always["strict-transport-security"] = "max-age=31536000"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.monotonic()
        status = 0
        body = _Body(receive)

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                for name, value in self._always.items():
                    headers.setdefault(name, value)
                if not body.whole and _has_body(scope):
                    # Otherwise the server would read and discard the rest for as long as it comes.
                    headers["connection"] = "close"
            await send(message)

        refusal = _refusal(scope)
        try:
            if refusal is not None:
                await answered(Request(scope), *refusal)(scope, receive, answer)
            else:
                await self._app(scope, body.receive, answer)
        except Exception as fault:
            # Without the error's text, which may repeat what was sent.
            where = "".join(traceback.format_tb(fault.__traceback__)[-DEPTH:])
            structlog.get_logger().error(
                "request failed", route=_route(scope), fault=type(fault).__name__, where=where
            )
            if status:
                raise BrokenOff from None
            said = answered(Request(scope), 500, "Something went wrong here. Try again later.")
            await said(scope, receive, answer)
        finally:
            structlog.get_logger().info(
                "request",
                method=scope["method"],
                # The template: a path may hold a token, a query a name.
                route=_route(scope),
                status=status,
                seconds=round(time.monotonic() - began, 3),
                caller=scope.get("caller", ""),
            )


class _Body:
    """A request's body, with limits on its size and its pace."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._began = 0.0
        self._size = 0
        self.whole = False

    async def receive(self) -> Message:
        """The next part of it."""
        if self.whole:
            # The next message can only be that the client has hung up.
            return await self._receive()
        self._began = self._began or asyncio.get_running_loop().time()
        deadline = self._began + PATIENCE + self._size / SLOWEST
        try:
            async with asyncio.timeout_at(deadline):
                message = await self._receive()
        except TimeoutError:
            raise HTTPException(408, "the body came too slowly") from None
        self._size += len(message.get("body", b""))
        if self._size > MOST_BODY:
            raise HTTPException(413, TOO_LARGE)
        self.whole = not message.get("more_body", False)
        return message


def _has_body(scope: Scope) -> bool:
    headers = Headers(scope=scope)
    return "transfer-encoding" in headers or headers.get("content-length", "0") != "0"


def _refusal(scope: Scope) -> tuple[int, str] | None:
    """The status and the reason if a request is refused for its head alone."""
    if "\0" in scope["path"]:
        # PostgreSQL takes it in no text: whoever looks something up by a path would fail.
        return 400, "the address holds NUL"
    headers = scope["headers"]
    if sum([len(name) + len(value) for name, value in headers]) > MOST_HEADERS:
        return 431, "the headers are too large"
    lengths = [value for name, value in headers if name == b"content-length"]
    # Two headers give its length: a proxy in front may believe the other one.
    chunked = b"transfer-encoding" in [name for name, _ in headers]
    if len(lengths) > 1 or (lengths and chunked):
        return 400, "the length of the body is stated twice"
    if lengths and not lengths[0].isdigit():
        return 400, "the Content-Length is no number"
    if lengths and int(lengths[0][:20]) > MOST_BODY:
        return 413, TOO_LARGE
    return None


def _route(scope: MutableMapping[str, Any]) -> str:
    return getattr(scope.get("route"), "path", "(none)")
