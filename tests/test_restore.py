"""A backup of the records, restored into an empty database, has the same records."""

from pathlib import Path

from sqlmodel import SQLModel, func, select

import bootstrap
from records.database import Database
from tests.conftest import MakeSystem
from tests.support.conditions import in_stage, mailed
from tests.support.databases import new_database, run_program, verified
from tests.support.system import facts, new_training_id, record_people


async def test_a_restored_backup(
    make_system: MakeSystem, postgres_template: str, tmp_path: Path
) -> None:
    backed_up, restored = (new_database(postgres_template, empty=empty) for empty in (False, True))
    system = await make_system(backed_up)
    active, waiting = new_training_id(), new_training_id()
    await record_people(system.database, active, waiting)
    for training_id in (active, waiting):
        for name, fact in facts().items():
            await system.tell(training_id, name, fact)
        await system.until(training_id, mailed("activation"))
    await system.activate(active)
    await system.until(active, in_stage("active"))
    await system.until(active, mailed(times=2))

    backup = tmp_path / "records.dump"
    run_program("pg_dump", "--format=custom", f"--file={backup}", backed_up)
    # The second restore is into a filled database, as in a running installation.
    for _ in range(2):
        run_program(
            "pg_restore", "--exit-on-error", "--no-owner", "--clean", "--if-exists",
            f"--dbname={restored}", str(backup),
        )  # fmt: skip

    copy = Database(restored)
    assert await _counts(copy) == await _counts(system.database)
    heads = (await verified(system.database)).heads
    assert not (await verified(copy, heads)).breaks
    portal = bootstrap.make_portal(system.settings, copy)
    assert await portal.has_its_secret()
    number = await system.portal.registration_number(waiting, 1)
    assert await portal.registration_number(waiting, 1) == number

    # Entries from after the backup are missing, and heads that were kept elsewhere show it.
    await system.act(active, "suspend_access")
    await system.until(active, in_stage("suspended"))
    heads = (await verified(system.database)).heads
    [gone] = (await verified(copy, heads)).breaks
    assert gone.case_id == f"assister-{active}"
    await copy.close()


async def _counts(database: Database) -> dict[str, int]:
    async with database.snapshot() as session:
        return {
            table.name: (await session.exec(select(func.count()).select_from(table))).one()
            for table in SQLModel.metadata.sorted_tables
        }
