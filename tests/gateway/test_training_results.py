"""POST /training/results: what is accepted and what is refused; no accepted result is lost."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx2
import openpyxl
import pytest

from activities.results import relay_results
from gateway.uploads import CSV, XLSX
from intake.sources import ExportFormat
from tests.support.conditions import met
from tests.support.gateway import Gateway, Serving
from tests.support.system import System, facts, new_training_id

PATH = "/training/results"
HEADER = "Training ID,Event,Date,Score\n"


async def send(
    gateway: Gateway, body: bytes | str, key: dict[str, str], kind: str = CSV
) -> httpx2.Response:
    return await gateway.client.post(PATH, content=body, headers={"Content-Type": kind, **key})


async def relay(system: System) -> None:
    """Tells the cases, as the worker does every two seconds."""
    settings = system.settings
    await relay_results(system.database, system.client, settings.task_queue, settings.terms)


async def test_an_export_reaches_its_cases_with_a_verdict_per_row(
    system: System, gateway: Gateway
) -> None:
    passed, failed = new_training_id(), new_training_id()
    body = (
        HEADER
        + f"{passed},training,2026-01-05,\n{passed},assessment,2026-01-05,70\n"
        + f"{failed},assessment,2026-01-05,69.99999999\nshort,assessment,2026-01-05,70\n"
    )
    key = await gateway.key()
    answer = await send(gateway, body, key)
    assert answer.status_code == 200
    assert [row["verdict"] for row in answer.json()["rows"]] == ["accepted"] * 3 + ["rejected"]
    assert answer.json()["rows"][3]["reasons"][0]["field"] == "Training ID"
    again = (await send(gateway, body, key)).json()
    assert (again["accepted"], again["repeated"], again["rejected"]) == (0, 3, 1)
    await relay(system)
    status = await system.until(passed, met("assessment"))
    assert status.requirements["training"].met
    assert not (await system.status(failed)).requirements["assessment"].met


async def test_a_workbook_is_taken_as_well(gateway: Gateway, tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    for row in (["Training ID", "Event", "Date", "Score"], ["NAV1001", "training", "2026-01-05"]):
        book.worksheets[0].append(row)
    book.create_sheet("Help")["A1"] = "how to fill this in"
    book.save(tmp_path / "results.xlsx")
    body = (tmp_path / "results.xlsx").read_bytes()
    answer = await send(gateway, body, await gateway.key(), XLSX)
    assert answer.json()["accepted"] == 1
    assert answer.json()["notes"] == ["The sheet “Help” was not read"]


async def test_a_source_is_read_as_it_is_configured(system: System, serve: Serving) -> None:
    form = ExportFormat.model_validate(
        {
            "columns": {
                "training_id": "Employee Number",
                "date": "Completed On",
                "score": "Points",
                "maximum": "Out Of",
                "course": "Activity",
            },
            "event": "assessment",
            "courses": {"Portal Test 2026": "assister-portal"},
            "scale": "points",
            "date_format": "%m/%d/%Y %I:%M %p",
            "zone": "America/New_York",
        }
    )
    one, other = new_training_id(), new_training_id()
    body = (
        "Employee Number;Activity;Completed On;Points;Out Of;Manager\n"
        f"{one};Portal Test 2026;01/05/2026 10:30 AM;28;40;somebody\n"
        f"{other};Portal Test 2026;01/05/2026 10:30 AM;27.999999999999999;40;\n"
        f"{one};Another Test;01/05/2026 10:30 AM;40;40;\n"
        f"{one};Portal Test 2026;2026-01-05;40;40;\n"
        f"{one};Portal Test 2026;01/05/2026 10:30 AM;40;;\n"
    )
    async with serve(exports={"lms": form}) as gateway:
        answer = (await send(gateway, body, await gateway.key("lms"))).json()
    assert [row["verdict"] for row in answer["rows"]] == ["accepted"] * 2 + ["rejected"] * 3
    await relay(system)
    passed = await system.until(one, met("assessment"))
    assert passed.requirements["assessment"].at == datetime(2026, 1, 5, 15, 30, tzinfo=UTC)
    assert not (await system.status(other)).requirements["assessment"].met


async def test_what_is_answered_is_kept_while_temporal_is_away(
    system: System, serve: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    training_id = new_training_id()
    monkeypatch.setenv("TEMPORAL_ADDRESS", "127.0.0.1:1")
    async with serve() as gateway:
        body = HEADER + f"{training_id},assessment,2026-01-05,80\n"
        assert (await send(gateway, body, await gateway.key())).status_code == 200
        assert (await gateway.client.get("/readyz")).status_code == 503
    await system.tell(training_id, "training_completed", facts()["training_completed"])
    await relay(system)
    await system.until(training_id, met("assessment"))


@pytest.mark.parametrize(
    ("body", "kind", "status", "said"),
    [
        ("", CSV, 422, "empty"),
        ("Name,Score\nAnn,70\n", CSV, 422, "lacks these columns: Training ID"),
        ("Training ID,Event,Date\nNAV1001,\xe4,x\n".encode("latin-1"), CSV, 422, "UTF-8"),
        (b"PK\x03\x04 no workbook at all", XLSX, 422, "the export"),
        ("{}", "application/json", 415, "text/csv"),
        ("x", "", 415, "text/csv"),
    ],
)
async def test_what_cannot_be_read_is_a_problem_that_says_so(
    gateway: Gateway, body: bytes | str, kind: str, status: int, said: str
) -> None:
    answer = await send(gateway, body, await gateway.key(), kind)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert said in answer.json()["detail"]


async def test_the_encoding_is_the_one_that_the_content_type_names(gateway: Gateway) -> None:
    body = (HEADER + "NAV1001,training,2026-01-05,\n").encode("utf-16")
    answer = await send(gateway, body, await gateway.key(), f"{CSV}; charset=utf-16")
    assert answer.json()["accepted"] == 1
    answer = await send(gateway, body, await gateway.key(), f"{CSV}; charset=no-such")
    assert answer.status_code == 415


def test_the_openapi_document_has_an_example_that_works(gateway_document: dict[str, Any]) -> None:
    content = gateway_document["paths"][PATH]["post"]["requestBody"]["content"]
    assert "Training ID" in json.dumps(content[CSV]["example"])
