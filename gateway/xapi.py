"""/xapi: statements of learning systems (xAPI 1.0.3 and 2.0).

A receiver, not a whole record store: statements are sent (POST, PUT) and got back by their id.
Every valid one is kept; what it says of an assister is in the records before the answer, and told
to the case afterwards. Only the source of a statement can void it; a void may come before its
target.
"""

import hashlib
import json
import re
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from sqlmodel.ext.asyncio.session import AsyncSession
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.bodies import media_type, small_body
from gateway.callers import SourceOrBasic, To
from gateway.strict_json import BadJson, loads
from intake.xapi import (
    VOIDED,
    BadStatement,
    Statement,
    StatementFormat,
    StatementRef,
    read_statement,
)
from policy.requirements import AssessmentScored, Fact, ResultVoided, TrainingCompleted
from records.inbox import Incoming, receive
from records.statements import Kept, XapiStatement, keep, kept, of_others, take_turn, voids_of
from services.connections import Connections

PREFIX = "/xapi"
router = APIRouter(prefix=PREFIX, include_in_schema=False)

NEWEST = {"1.0": "1.0.3", "2.0": "2.0.0"}
VERSION = re.compile(r"([12]\.0)(\.\d+)?")
UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
MOST = 2**20
"""Bytes of a request."""
MOST_STATEMENTS = 500
OURS = uuid.UUID("2f0d5f51-6a3c-4a0e-9a52-6f3f1e0f8b1d")
"""The namespace of ids that are made for statements without one."""
SET_BY_STORE = ("id", "authority", "stored", "timestamp", "version")
CENTURY = timedelta(days=36525)


class XapiHeaders:
    """Puts the version on every answer of the xAPI door, errors too, as the standard demands."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] != "http" or not scope["path"].startswith(f"{PREFIX}/"):
            await self._app(scope, receive, send)
            return

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                asked = Headers(scope=scope).get("x-experience-api-version", "")
                headers["X-Experience-API-Version"] = NEWEST.get(asked[:3], NEWEST["1.0"])
                headers["X-Experience-API-Consistent-Through"] = datetime.now(UTC).isoformat()
            await send(message)

        await self._app(scope, receive, answer)


@router.get("/about")
async def about() -> dict[str, list[str]]:
    """Which versions are spoken."""
    return {"version": list(NEWEST.values())}


@router.post("/statements")
async def post(request: Request, source: SourceOrBasic, to: To) -> Response:
    """Takes one statement or many, all or none; answers their ids."""
    version = _version(request)
    _parameters(request, set())
    sent = await _body(request)
    values = sent if isinstance(sent, list) else [sent]
    if len(values) > MOST_STATEMENTS:
        raise HTTPException(413, f"at most {MOST_STATEMENTS} statements at once")
    ids = await _take(request, to, source, version, values)
    return JSONResponse(ids)


@router.put("/statements")
async def put(request: Request, source: SourceOrBasic, to: To) -> Response:
    """Takes one statement under the id that is asked for."""
    version = _version(request)
    wanted = _parameters(request, {"statementId"}).get("statementId", "")
    if not UUID.fullmatch(wanted):
        raise HTTPException(400, "statementId is missing or no UUID")
    sent = await _body(request)
    if not isinstance(sent, dict) or sent.setdefault("id", wanted) != wanted:
        raise HTTPException(400, "the statement's id is not statementId")
    await _take(request, to, source, version, [sent])
    return Response(status_code=204)


@router.get("/statements")
async def get(request: Request, source: SourceOrBasic, to: To) -> Response:
    """Gives back one of the caller's own statements."""
    _version(request)
    asked = _parameters(request, {"statementId", "voidedStatementId", "format", "attachments"})
    wanted = {"statementId", "voidedStatementId"} & asked.keys()
    if len(wanted) != 1:
        raise HTTPException(400, "ask by statementId or voidedStatementId; this is no record store")
    [name] = wanted
    if not UUID.fullmatch(asked[name]):
        raise HTTPException(400, f"{name} is no UUID")
    async with to.database.snapshot() as session:
        found = await kept(session, source, asked[name].lower())
    if found is None or found.voided != (name == "voidedStatementId"):
        raise HTTPException(404, "there is no such statement of yours")
    modified = found.stored_at.strftime("%a, %d %b %Y %H:%M:%S GMT")
    return JSONResponse(found.content, headers={"Last-Modified": modified})


async def _take(
    request: Request, to: Connections, source: str, version: str, values: Sequence[Any]
) -> list[str]:
    formats: dict[str, StatementFormat] = request.app.state.settings.statements
    now = datetime.now(UTC)
    try:
        statements = [read_statement(each, version) for each in values]
    except BadStatement as bad:
        raise HTTPException(400, str(bad)) from None
    ids = [_id(source, each, value) for each, value in zip(statements, values, strict=True)]
    named = [each.id for each in statements if each.id is not None]
    if len(set(named)) != len(named):
        raise HTTPException(400, "one id stands twice in the batch")
    async with to.database.transaction() as session:
        await take_turn(session, source)
        facts = []
        for identity, statement, value in zip(ids, statements, values, strict=True):
            row = XapiStatement(
                source=source,
                id=identity,
                digest=digest_of(value),
                content=_content(request, source, version, identity, value, now),
                stored_at=now,
            )
            facts += await _keep(session, row, statement, formats.get(source), now)
        await receive(await session.connection(), facts, now)
    return ids


async def _keep(
    session: AsyncSession,
    row: XapiStatement,
    statement: Statement,
    written: StatementFormat | None,
    now: datetime,
) -> list[Incoming]:
    """Keeps a statement; returns what its case has to be told."""
    source = row.source
    moment = occurred_at(statement, now)
    told = []
    if statement.verb.id == VOIDED and isinstance(statement.object, StatementRef):
        row.voids = statement.object.id.lower()
        target = await kept(session, source, row.voids)
        if target is None and await of_others(session, source, row.voids):
            raise HTTPException(403, "only the source of a statement can void it")
        if target is not None and target.voids:
            raise HTTPException(400, "a void cannot be voided")
        if target is not None:
            row.training_id = target.training_id
            target.voided = True
            session.add(target)
        if target is not None and target.training_id:
            void = ResultVoided(
                event_id=f"{source}:{row.id}",
                occurred_at=moment,
                voids=f"{source}:{target.id}",
            )
            told.append(Incoming(source, row.id, target.training_id, void))
    elif reading := written and written.read(statement):
        row.training_id = reading.training_id
        kind: type[Fact] = TrainingCompleted if reading.score is None else AssessmentScored
        facts: dict[str, Any] = {"course": reading.course}
        if reading.score is not None:
            facts["score"] = reading.score
        fact = kind(event_id=f"{source}:{row.id}", occurred_at=moment, **facts)
        told.append(Incoming(source, row.id, reading.training_id, fact))
    # Its void came first: it is kept, and its case hears nothing of it.
    if await voids_of(session, source, row.id):
        row.voided, told = True, []
    match await keep(session, row):
        case Kept.CONFLICT:
            raise HTTPException(409, f"statement {row.id} came before, with other content")
        case Kept.KNOWN:
            return []
    return told


def occurred_at(statement: Statement, now: datetime) -> datetime:
    """By the statement's clock; now, where it has none or runs ahead."""
    if statement.timestamp is None:
        return now
    moment = datetime.fromisoformat(statement.timestamp.upper())
    return moment if now - CENTURY < moment < now else now


def _id(source: str, statement: Statement, value: Any) -> str:
    """Its own, or one that follows from its content: sent again, it is the same statement."""
    if statement.id is not None:
        return statement.id.lower()
    content = f"{source}|{statement.timestamp or ''}|{digest_of(value)}"
    return str(uuid.uuid5(OURS, content))


def digest_of(value: dict[str, Any]) -> str:
    """Of what makes two statements the same: not of what a store sets or a sender may reword."""
    plain = {name: each for name, each in value.items() if name not in SET_BY_STORE}
    plain["verb"] = {"id": plain["verb"]["id"]}
    content = json.dumps(_compared(plain), sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()


def _compared(value: Any) -> Any:
    """Without definitions of activities, and 80 as 80.0."""
    match value:
        case list():
            return [_compared(each) for each in value]
        case dict():
            return {name: _compared(e) for name, e in value.items() if name != "definition"}
        case bool():
            return value
        case int() | Decimal():
            return {"number": str(Decimal(value).normalize())}
    return value


def _content(
    request: Request, source: str, version: str, identity: str, value: Any, now: datetime
) -> dict[str, Any]:
    """The statement as it is given back, with what a store sets."""
    plain: dict[str, Any] = json.loads(json.dumps(value, default=float))
    account = {"homePage": request.app.state.settings.gateway_url, "name": source}
    return {"timestamp": now.isoformat(), "version": version, **plain} | {
        "id": identity,
        "stored": now.isoformat(),
        "authority": {"objectType": "Agent", "account": account},
    }


def _version(request: Request) -> str:
    asked = VERSION.fullmatch(request.headers.get("x-experience-api-version", ""))
    if asked is None:
        raise HTTPException(400, "X-Experience-API-Version is missing, or neither 1.0 nor 2.0")
    return "1.0.0" if asked[1] == "1.0" else "2.0.0"


def _parameters(request: Request, known: set[str]) -> dict[str, str]:
    sent = request.query_params.multi_items()
    if {name for name, _ in sent} - known or len({name for name, _ in sent}) != len(sent):
        raise HTTPException(400, "a parameter is unknown or repeated")
    return dict(sent)


async def _body(request: Request) -> Any:
    if media_type(request) != "application/json":
        raise HTTPException(400, "send application/json; attachments and forms are not taken")
    body = await small_body(request, MOST, "at most 1 MB at once")
    try:
        return loads(body)
    except BadJson as bad:
        raise HTTPException(400, str(bad)) from None
