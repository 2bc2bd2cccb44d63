"""The embedded inbox keeps every message, and says so."""

from pathlib import Path

import aiosmtplib
import pytest

from embedded.inbox import mail_inbox


@pytest.mark.parametrize(
    "to", [b"=?bogus?q?=FF?=", b"<<<>>>,,;@", b"\xff\xfe", b"=?utf-8?b?!!!?=", b"plain@x.org"]
)
async def test_any_header_is_kept_and_acknowledged(tmp_path: Path, to: bytes) -> None:
    (tmp_path / "foreign.eml").write_text("somebody else's")
    async with mail_inbox(tmp_path) as inbox:
        client = aiosmtplib.SMTP(hostname="127.0.0.1", port=inbox.port)
        await client.connect()
        message = b"To: " + to + b"\r\nSubject: x\r\n\r\nhi\r\n"
        refused, answer = await client.sendmail("a@x.org", ["b@x.org"], message)
        assert (refused, answer) == ({}, "2.0.0 kept")
        assert (tmp_path / "00001.eml").exists()
    with pytest.raises(aiosmtplib.SMTPServerDisconnected):
        await client.noop()
