"""A closed case stays closed, even if systems send all their results again every night."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from intake.results import judge_results, read_results
from services.results import import_results
from tests.support.rosters import forecast_of, roster_row, take_in
from tests.support.system import System, new_training_id, record_people
from workflows.client import open_case
from workflows.contract import Status


def awaiting(status: Status) -> bool:
    return status.stage == "awaiting_activation" and any(
        mail.kind == "activation" and mail.sent_at for mail in status.mails
    )


@pytest.mark.parametrize("ended_by", ["staff", "time"])
async def test_the_same_export_and_the_same_roster_after_the_end(
    system: System, tmp_path: Path, ended_by: str
) -> None:
    training_id = new_training_id()
    await record_people(system.database, training_id)
    row, export = roster_row(training_id), tmp_path / "results.csv"
    export.write_text(
        "Training ID,Event,Date,Score,Status,Valid Through\n"
        f"{training_id},certification,2026-01-05,,Certified,2199-12-31\n"
        f"{training_id},training,2026-01-06,,,\n"
        f"{training_id},assessment,2026-01-07,88,,\n"
    )

    async def import_all() -> None:
        verdicts = list(judge_results(read_results(export), datetime.now(UTC)))
        assert not any(verdict.reasons for verdict in verdicts)
        await import_results(system.connections, verdicts)

    first = await take_in(system, row)
    await import_all()
    await system.until(training_id, awaiting)
    if ended_by == "staff":
        await system.act(training_id, "close_case")
    else:
        await system.skip(training_id, days=60)
    await system.case(training_id).result()
    mails = len(system.mails(to=training_id.lower()))

    with export.open("a") as file:
        # Known results are not told again; a repeated course is a new result, and it is told.
        file.write(f"{training_id},training,2026-01-08,,,\n")
    await import_all()
    await system.case(training_id).result()
    assert await open_case(system.client, training_id) is None
    assert (await system.portal.account(training_id)).registration <= 1
    assert len(system.mails(to=training_id.lower())) == mails, "nobody is told anything"

    [foreseen] = (await forecast_of(system, tmp_path, row)).cases
    assert foreseen.opens
    assert await take_in(system, row) != first, "an approval sent again is a new one"
    again = await system.until(training_id, awaiting)
    assert again.missing == []
