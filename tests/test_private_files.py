"""On one machine, only the owner can read files with people's data, with any umask."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from embedded.inbox import mail_inbox
from mail.transport import Transport
from portal.secret import portal_secret
from records.database import Database
from records.schema import migrate
from tests.support.system import record_people


@pytest.fixture(autouse=True)
def careless() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


async def test_nobody_else_reads_records_mails_or_secret(tmp_path: Path) -> None:
    data = tmp_path / "data"
    portal_secret(data)
    url = f"sqlite:///{data / 'records.db'}"
    await migrate(url)
    database = Database(url)
    await record_people(database, "ABC1234")
    async with mail_inbox(data / "inbox") as inbox:
        sending = Transport(host="127.0.0.1", port=inbox.port)
        await sending.send(
            sender="a@x.org", recipient="b@x.org", message=b"Subject: x\r\n\r\nx\r\n"
        )
        await sending.close()
    made = {str(file.relative_to(tmp_path)): file.stat().st_mode & 0o777 for file in
            [data, *data.rglob("*")]}  # fmt: skip
    await database.close()
    folders = {"data", "data/inbox"}
    assert {"data/records.db-wal", "data/inbox/00001.eml", "data/inbox/index.html"} <= made.keys()
    assert made == {each: 0o700 if each in folders else 0o600 for each in made}
