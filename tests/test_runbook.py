"""Each command of the runbook exists or is marked as not run; data are exported and destroyed."""

import re
import shlex
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import text

from commands.line import command_line
from records.database import Database
from records.drafts import keep_draft
from tests.conftest import MakeSystem
from tests.support.databases import records
from tests.support.rosters import roster_row, submit_roster, take_in
from tests.support.system import (
    AGENCY,
    meet_requirements,
    new_training_id,
    record_people,
)
from workflows.client import start_intake
from workflows.contract import roster_workflow_id

ROOT = Path(__file__).resolve().parent.parent
PAGES = ("docs/runbook.md", "SECURITY.md", "docs/monitoring.md")
BLOCK = re.compile(r"^```console\n(.*?)^```$", re.DOTALL | re.MULTILINE)
INLINE = re.compile(r"`(starter\.py [^`…]+)`")
NOT_RUN = "# not run"
RUN_BY = {
    "sh deploy/secrets.sh": "tests/test_deployment.py",
    "cp .env.example .env": "deploy/compose_test/__main__.py",
    "docker compose up": "deploy/compose_test/__main__.py",
    "docker compose build": "deploy/compose_test/__main__.py",
    "docker compose run --rm --no-deps": "deploy/compose_test/__main__.py",
    "docker compose exec postgres rm": "deploy/compose_test/__main__.py",
    "docker compose exec postgres pg_basebackup": "deploy/compose_test/__main__.py",
    "docker compose cp postgres:": "deploy/compose_test/__main__.py",
    "docker compose stop": "deploy/compose_test/__main__.py",
    "pg_dump --format=custom": "tests/test_restore.py",
    "pg_restore --exit-on-error --no-owner --clean --if-exists": "tests/test_restore.py",
    "psql": "tests/test_runbook.py",
}
"""The file that runs each command, by the start of the command."""


def lines_of(page: str) -> list[str]:
    blocks = BLOCK.findall((ROOT / page).read_text())
    return [line for block in blocks for line in block.splitlines() if line]


@pytest.mark.parametrize("page", PAGES)
def test_every_command_is_there(page: str) -> None:
    asked = [line for line in lines_of(page) if not line.startswith("starter.py ")]
    unknown = [
        line
        for line in asked
        if not line.endswith(NOT_RUN) and not any(map(line.startswith, RUN_BY))
    ]
    assert unknown == []
    assert all((ROOT / file).exists() for file in RUN_BY.values())


@pytest.mark.parametrize("page", PAGES)
def test_the_command_line_takes_every_line(page: str) -> None:
    app = command_line()
    for line in lines_of(page):
        words = shlex.split(line.partition(" > ")[0], comments=True)
        if words[:1] == ["starter.py"]:
            app.parse_args(words[1:], exit_on_error=False, print_error=False)
    # A command inside a sentence has no arguments.
    for line in INLINE.findall((ROOT / page).read_text()):
        assert app.parse_commands(line.split()[1:])[0], line


async def test_a_persons_data_is_shown_and_destroyed(
    make_system: MakeSystem, records_url: str
) -> None:
    system = await make_system(records_url)
    database, training_id = system.database, new_training_id()
    await record_people(database)
    file = roster_row(training_id)
    rejected = roster_row(training_id, email=f"info@{training_id.lower()}.example.org")
    await take_in(system, rejected)
    submission_id = await submit_roster(system, file)
    settings = system.settings
    await start_intake(system.client, settings.task_queue, submission_id, settings.terms)
    await system.client.get_workflow_handle(roster_workflow_id(submission_id)).result()
    await meet_requirements(system, training_id)
    await system.act(training_id, "close_case")
    await system.case(training_id).result()

    await take_in(system, rejected)
    async with database.transaction() as session:
        now = datetime.now(UTC)
        await keep_draft(session, AGENCY, "cac", "utf-8", "r.csv", b"Ann,Lee", now)
    email = f"{training_id.lower()}@assisters.example.org"
    shown = await statements(database, "deploy/person-export.sql", training_id)
    assert email in shown
    assert "account_made" in shown
    await statements(database, "deploy/person-destroy.sql", training_id)
    left = b" ".join((await records(database)).values()).decode()
    assert training_id in left
    assert email not in left
    assert "info@" not in left
    assert "Lee" not in left
    assert email not in await statements(database, "deploy/person-export.sql", training_id)
    # The agency may send its last file again.
    await take_in(system, rejected)


# Private parts


async def statements(database: Database, file: str, training_id: str) -> str:
    """Runs a file as psql does; returns every row that it shows."""
    lines = [e for e in (ROOT / file).read_text().splitlines() if not e.startswith("--")]
    shown = []
    async with database.engine.begin() as connection:
        for each in "\n".join(lines).split(";"):
            if each.strip():
                asked = text(each.replace(":'id'", ":id"))
                done = await connection.execute(asked, {"id": training_id})
                shown += list(done) if done.returns_rows else []
    return repr(shown)
