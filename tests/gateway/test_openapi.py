"""The gateway keeps its OpenAPI document, tested with Schemathesis."""

import asyncio
import base64
import hashlib
import hmac
import time
from contextlib import suppress
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from requests import PreparedRequest
from requests.auth import AuthBase
from schemathesis import APIOperation, Case, GenerationMode
from schemathesis.core.result import Ok

from gateway.uploads import CSV, XLSX
from intake.webhooks import secret_bytes
from records.keys import Kind
from tests.support.events import made
from tests.support.gateway import Gateway

EXAMPLES = 15
EXCLUDED = {
    "positive_data_acceptance": "the schema of a file says no more than that it is text; a file"
    " without the right columns fits it and is refused with what to do",
    "missing_required_header": "where the key is missing nothing else is looked at",
}

EXCLUDED_OF_EVENTS = {
    "negative_data_rejection": "wrong headers are replaced by the test's own, which sign; and an"
    " event of a type that is not ours is no mistake: it is answered 202",
    "ignored_auth": "the signature is no scheme that OpenAPI knows",
}


@schemathesis.serializer(CSV, XLSX)
def _as_it_is(_context: object, value: Any) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode()


@pytest.mark.parametrize("mode", list(GenerationMode))
async def test_the_document_is_kept(gateway: Gateway, mode: GenerationMode) -> None:
    keys = {"/training/results": await gateway.key(), "/rosters": await gateway.agency_key()}
    signers = {
        "/training/events": Signer((await made(gateway))[1]),
        "/portal/events": Signer((await made(gateway, "portal", Kind.PORTAL))[1]),
    }
    await asyncio.to_thread(_check, gateway.url, mode, keys, signers)


class Signer(AuthBase):
    """Signs every request."""

    def __init__(self, secret: str) -> None:
        self._secret = secret_bytes(secret)

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        sent = request.body or b""
        body = sent.encode() if isinstance(sent, str) else sent
        assert isinstance(body, bytes)
        identity, now = f"m{hashlib.sha256(body).hexdigest()[:30]}", str(int(time.time()))
        digest = hmac.digest(self._secret, f"{identity}.{now}.".encode() + body, hashlib.sha256)
        request.headers["webhook-id"] = identity
        request.headers["webhook-timestamp"] = now
        request.headers["webhook-signature"] = f"v1,{base64.b64encode(digest).decode()}"
        return request


def _check(
    url: str, mode: GenerationMode, keys: dict[str, dict[str, str]], signers: dict[str, Signer]
) -> None:
    schema = schemathesis.openapi.from_url(f"{url}/openapi.json")
    for found in schema.get_all_operations():
        assert isinstance(found, Ok), found
        operation = found.ok()
        if signer := signers.get(operation.path):
            _holds(operation, mode, EXCLUDED | EXCLUDED_OF_EVENTS, auth=signer)
        else:
            headers = next((keys[e] for e in keys if operation.path.startswith(e)), {})
            _holds(operation, mode, EXCLUDED, headers=headers)


def _holds(
    operation: APIOperation[Any, Any, Any, Any],
    mode: GenerationMode,
    excluding: dict[str, str],
    **how: Any,
) -> None:
    excluded: list[Any] = schemathesis.checks.CHECKS.get_by_names(list(excluding))

    @settings(
        max_examples=EXAMPLES,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    @given(operation.as_strategy(mode))
    def holds(case: Case[Any]) -> None:
        case.call_and_validate(excluded_checks=excluded, **how)

    # Schemathesis finds no wrong call for an operation without parameters.
    with suppress(Unsatisfiable):
        holds()


def test_every_error_is_a_problem(gateway_document: dict[str, Any]) -> None:
    for path in gateway_document["paths"].values():
        for operation in path.values():
            for status, answer in operation["responses"].items():
                if not status.startswith("2"):
                    assert list(answer["content"]) == ["application/problem+json"]
