"""Errors: problem details (RFC 9457) for programs, a page for people."""

from http import HTTPStatus
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, Field
from sqlalchemy.exc import OperationalError, TimeoutError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from gateway.pages import error_page

MEDIA_TYPE = "application/problem+json"


class Problem(BaseModel):
    """Why a request failed."""

    type: str = "about:blank"
    title: str = Field(examples=["Unprocessable Content"])
    status: int = Field(examples=[422])
    detail: str = Field(examples=["roster.csv lacks these columns: Training ID"])


def described(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """An operation's possible problems, for the OpenAPI document."""
    schema = {"schema": {"$ref": "#/components/schemas/Problem"}}
    return {
        each: {"description": HTTPStatus(each).phrase, "content": {MEDIA_TYPE: schema}}
        for each in statuses
    }


def problem(status: int, detail: str = "", headers: dict[str, str] | None = None) -> Response:
    """A problem as programs read it."""
    phrase = HTTPStatus(status).phrase
    said = Problem(title=phrase, status=status, detail=detail or HTTPStatus(status).description)
    return JSONResponse(said.model_dump(), status, headers=headers, media_type=MEDIA_TYPE)


def handle_problems(app: FastAPI) -> None:
    """Answers every error of the app as a problem or, if a person asks, as a page."""

    async def refused(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        detail = "" if error.detail == HTTPStatus(error.status_code).phrase else error.detail
        return answered(request, error.status_code, detail, dict(error.headers or {}))

    async def invalid(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        # Where the mistake is and what is wrong, never the value that was sent.
        mistakes = (f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        return answered(request, 422, "; ".join(mistakes))

    async def away(request: Request, error: Exception) -> Response:
        # The first line only: a database adds its statement.
        reason = str(error).partition("\n")[0]
        structlog.get_logger().warning("the records cannot be reached", reason=reason)
        return answered(request, 503, "The records cannot be reached now. Try again later.")

    async def gone(_request: Request, _error: Exception) -> Response:
        # The client has gone. Without a handler this would be logged as a fault of ours.
        return problem(400, "the request broke off")

    app.add_exception_handler(HTTPException, refused)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(OperationalError, away)
    app.add_exception_handler(TimeoutError, away)
    app.add_exception_handler(ClientDisconnect, gone)


def answered(
    request: Request, status: int, detail: str, headers: dict[str, str] | None = None
) -> Response:
    """An error as a problem for programs or as a page for people."""
    if "text/html" in request.headers.get("accept", ""):
        return error_page(request, status, detail or HTTPStatus(status).description, headers or {})
    return problem(status, detail, headers)
