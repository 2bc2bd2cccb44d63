"""The doctor finds each fault of an installation, and prints it in a line of its own."""

import asyncio
import json
import uuid
from collections.abc import Awaitable, Callable
from datetime import timedelta

import psycopg
import pytest
from alembic import command
from google.protobuf.duration_pb2 import Duration
from sqlmodel import text
from temporalio.api.namespace.v1 import NamespaceConfig
from temporalio.api.workflowservice.v1 import UpdateNamespaceRequest
from temporalio.client import Client

import starter
from embedded.web_ui import free_port
from records.schema import config
from tests.conftest import MakeSystem
from tests.support.conditions import in_stage
from tests.support.databases import beside, new_database
from tests.support.system import CONTACT, SECRET, System, facts, new_training_id, record_people
from workflows.client import schedule_digest
from workflows.contract import DIGEST_SCHEDULE

Doctor = Callable[..., Awaitable[dict[str, tuple[bool | None, str]]]]


@pytest.fixture
async def sound(make_system: MakeSystem, records_url: str) -> System:
    """An installation without a fault."""
    system = await make_system(records_url)
    await schedule_digest(system.client, system.settings.task_queue)
    await _keep(system.client, days=90)
    return system


@pytest.fixture
def doctor(
    sound: System, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Doctor:
    for name, value in {
        "TEMPORAL_ADDRESS": sound.client.service_client.config.target_host,
        "ASSISTER_DATABASE_URL": sound.settings.database_url,
        "ASSISTER_DATA_DIR": str(sound.settings.data_dir),
        "ASSISTER_TASK_QUEUE": sound.settings.task_queue,
        "ASSISTER_PORTAL_SECRET": SECRET,
        "ASSISTER_SMTP_PORT": str(sound.settings.smtp_port),
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("commands.doctor.PATIENCE", 60.0)

    async def run(*words: str, **environment: str) -> dict[str, tuple[bool | None, str]]:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        code = await asyncio.to_thread(starter.main, ["doctor", "--json", *words])
        checks = json.loads(capsys.readouterr().out)["checks"]
        found = {check["check"]: (check["ok"], check["says"]) for check in checks}
        assert code == (0 if all(ok for ok, _ in found.values()) else 1)
        return found

    return run


def wrong(found: dict[str, tuple[bool | None, str]]) -> dict[str, str]:
    return {name: says for name, (ok, says) in found.items() if ok is False}


async def test_a_sound_installation(sound: System, doctor: Doctor) -> None:
    found = await doctor("--mail", CONTACT)
    assert wrong(found) == {}
    assert [subject for subject, _ in sound.mails(to=CONTACT)] == [
        "Test mail of the assister portal access system"
    ]


async def test_for_people(
    doctor: Doctor, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await asyncio.to_thread(starter.main, ["doctor"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 11
    assert all(line.startswith("ok ") for line in lines)
    monkeypatch.setenv("ASSISTER_SMTP_PORT", str(free_port()))
    assert await asyncio.to_thread(starter.main, ["doctor"]) == 1
    assert "WRONG relay: the relay cannot be reached" in capsys.readouterr().out


async def test_temporal_is_away(doctor: Doctor) -> None:
    found = await doctor(TEMPORAL_ADDRESS="127.0.0.1:1")
    assert list(wrong(found)) == ["Temporal"]
    assert found["workers"] == (None, "not checked: Temporal is away")


async def test_what_temporal_lacks(sound: System, doctor: Doctor) -> None:
    await _keep(sound.client, days=1)
    await sound.client.get_schedule_handle(DIGEST_SCHEDULE).delete()
    told = wrong(await doctor(ASSISTER_TASK_QUEUE="nobody-waits-here"))
    assert list(told) == ["namespace", "digest", "workers"]
    assert "--retention 90d" in told["namespace"]
    assert "python worker.py" in told["workers"]
    await schedule_digest(sound.client, sound.settings.task_queue)
    await sound.client.get_schedule_handle(DIGEST_SCHEDULE).pause()
    assert "is paused" in wrong(await doctor())["digest"]
    await sound.client.get_schedule_handle(DIGEST_SCHEDULE).delete()


async def test_a_namespace_that_is_not_there(doctor: Doctor) -> None:
    told = wrong(await doctor(TEMPORAL_NAMESPACE="elsewhere"))
    assert "temporal operator namespace create --namespace elsewhere" in told["namespace"]


async def test_another_secret(sound: System, doctor: Doctor) -> None:
    training_id = new_training_id()
    await record_people(sound.database, training_id)
    for name, fact in facts().items():
        await sound.tell(training_id, name, fact)
    await sound.until(training_id, in_stage("awaiting_activation"))
    told = wrong(await doctor(ASSISTER_PORTAL_SECRET="another secret of at least 32 characters"))
    assert list(told) == ["portal secret"]
    await sound.act(training_id, "close_case")


async def test_an_old_schema(sound: System, doctor: Doctor) -> None:
    await asyncio.to_thread(command.stamp, config(sound.settings.records_url), "0001")
    assert "starter.py migrate" in wrong(await doctor())["schema"]


async def test_the_schema_of_a_later_release(sound: System, doctor: Doctor) -> None:
    async with sound.database.transaction() as session:
        later = text("UPDATE alembic_version SET version_num = '9999'")
        await (await session.connection()).execute(later)
    ok, says = (await doctor())["schema"]
    assert (ok, "9999, of a later release" in says) == (True, True)


async def test_the_database_is_away(doctor: Doctor) -> None:
    found = await doctor(ASSISTER_DATABASE_URL="postgresql://nobody@127.0.0.1:1/none")
    assert list(wrong(found)) == ["database"]
    assert found["schema"] == (None, "not checked: the database is away")


async def test_an_encoding_that_holds_no_names(postgres_template: str, doctor: Doctor) -> None:
    server, name = beside(postgres_template, "postgres"), f"ascii_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(
            f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'SQL_ASCII' LOCALE 'C'"
        )
        try:
            told = wrong(await doctor(ASSISTER_DATABASE_URL=beside(server, name)))
            assert "UTF8" in told["database"]
        finally:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


async def test_a_clock_that_is_wrong_and_an_answer_that_is_only_slow(
    postgres_template: str, doctor: Doctor, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = new_database(postgres_template)
    monkeypatch.setattr("commands.doctor.LONGEST_SKEW", timedelta(seconds=0.2))
    for asked, fine in {
        "clock_timestamp(), pg_sleep(0.5)": True,
        "clock_timestamp() FROM pg_sleep(0.5)": True,
        "clock_timestamp() + interval '2 hours'": False,
        "clock_timestamp() - interval '2 hours'": False,
    }.items():
        monkeypatch.setattr("commands.doctor.text", lambda _, asked=asked: text(f"SELECT {asked}"))
        ok, says = (await doctor(ASSISTER_DATABASE_URL=url))["clock"]
        assert (ok, "NTP" in says) == (fine, not fine), (asked, says)


# Private parts


async def _keep(client: Client, days: int) -> None:
    """Sets for how many days the server keeps closed cases."""
    retention = Duration()
    retention.FromTimedelta(timedelta(days=days))
    await client.workflow_service.update_namespace(
        UpdateNamespaceRequest(
            namespace=client.namespace,
            config=NamespaceConfig(workflow_execution_retention_ttl=retention),
        )
    )
