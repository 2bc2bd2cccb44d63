"""Schemathesis over the OpenAPI document: what it promises, the gateway does."""

import asyncio
from contextlib import suppress
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import APIOperation, Case, GenerationMode
from schemathesis.core.result import Ok

from gateway.uploads import CSV, XLSX
from tests.gateway.conftest import Gateway

EXAMPLES = 15
EXCLUDED = {
    "positive_data_acceptance": "the schema of a file says no more than that it is text; a file"
    " without the right columns fits it and is refused with what to do",
    "missing_required_header": "where the key is missing nothing else is looked at",
}


@schemathesis.serializer(CSV, XLSX)
def _as_it_is(_context: object, value: Any) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode()


@pytest.mark.parametrize("mode", list(GenerationMode))
async def test_the_document_is_kept(gateway: Gateway, mode: GenerationMode) -> None:
    training, agency = await gateway.key(), await gateway.agency_key()
    await asyncio.to_thread(_check, gateway.url, mode, training, agency)


def _check(
    url: str, mode: GenerationMode, training: dict[str, str], agency: dict[str, str]
) -> None:
    schema = schemathesis.openapi.from_url(f"{url}/openapi.json")
    for found in schema.get_all_operations():
        assert isinstance(found, Ok), found
        operation = found.ok()
        _holds(operation, mode, training if "training" in operation.path else agency)


def _holds(
    operation: APIOperation[Any, Any, Any, Any], mode: GenerationMode, key: dict[str, str]
) -> None:
    excluded: list[Any] = schemathesis.checks.CHECKS.get_by_names(list(EXCLUDED))

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    @given(operation.as_strategy(mode))
    def holds(case: Case[Any]) -> None:
        case.call_and_validate(headers=key, excluded_checks=excluded)

    # An operation that takes nothing cannot be called wrongly.
    with suppress(Unsatisfiable):
        holds()


def test_every_error_is_a_problem(gateway_document: dict[str, Any]) -> None:
    for path in gateway_document["paths"].values():
        for operation in path.values():
            for status, answer in operation["responses"].items():
                if not status.startswith("2"):
                    assert list(answer["content"]) == ["application/problem+json"]
