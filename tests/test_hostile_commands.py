"""Commands with hostile values answer with a message and an exit code, never with a traceback."""

import os
from pathlib import Path
from typing import Any

import pytest

from tests.support.rosters import roster_of
from tests.support.system import AGENCY, CONTACT

VALUES = [
    "",
    "x" * 100_000,
    "\x1b[31mred\x1b[0m",
    "[red]x[/red]",
    "[/]",
    "../../../etc/passwd",
    "/dev/zero",
    "-1",
    "１２３４５６７",
    "1e999999",
    "9" * 5000,
    "9999-12-31T23:59:59+00:00",
    "' OR AgencyId != '",
    "%s%n{0.__class__}",
    "=cmd|'/C calc'!A0",
    "a@x.org, b@x.org",
    "half \udcff a character",
]
HARMLESS = {"", "-1", "1e999999"}
"""Values that some commands may accept: no value, or a valid agency id."""
ALL = "HOSTILE_VALUES" in os.environ
"""Whether each command gets all values; by default each gets a few, because a command needs a
connection to the server."""
STAFF = ("--by", "staff@x.org", "--reason", "a test")
COMMANDS: list[tuple[str, ...]] = [
    ("{}",),
    ("rosters", "{}"),
    ("rosters", "check", "{}", "--type", "cac"),
    ("rosters", "check", "FILE", "--type", "{}"),
    ("rosters", "check", "FILE", "--type", "cac", "--agency", "{}"),
    ("rosters", "check", "FILE", "--type", "cac", "--encoding", "{}"),
    ("rosters", "submit", "{}", "--agency", AGENCY, "--type", "cac", "--by", CONTACT),
    ("rosters", "submit", "FILE", "--agency", "{}", "--type", "cac", "--by", CONTACT),
    ("rosters", "submit", "FILE", "--agency", AGENCY, "--type", "cac", "--by", "{}"),
    ("rosters", "show", "{}"),
    ("rosters", "release", "{}", *STAFF),
    ("rosters", "discard", "abcdef123456", "--by", "{}", "--reason", "a test"),
    ("certification", "record", "{}", "--status", "certified"),
    ("certification", "record", "NOSUCH1", "--status", "{}"),
    ("certification", "record", "NOSUCH1", "--status", "certified", "--valid-through", "{}"),
    ("training", "record", "NOSUCH1", "--course", "{}", "--at", "2026-01-01"),
    ("training", "record", "NOSUCH1", "--at", "{}"),
    ("assessment", "record", "NOSUCH1", "--score", "{}"),
    ("results", "import", "{}"),
    ("results", "void", "NOSUCH1", "--event", "{}", "--at", "2026-01-01"),
    ("activate", "--registration-number", "{}"),
    ("resend", "{}", *STAFF),
    ("suspend", "NOSUCH1", "--by", "{}", "--reason", "a test"),
    ("suspend", "NOSUCH1", "--by", "staff@x.org", "--reason", "{}"),
    ("assister", "correct-email", "NOSUCH1", "--email", "{}", *STAFF),
    ("assister", "correct-email", "NOSUCH1", "--email", "a.b@x.org", "--by", "{}", "--reason", "x"),
    ("status", "{}"),
    ("watch", "{}"),
    ("list", "--stage", "{}"),
    ("list", "--agency", "{}"),
    ("links", "--agency", "{}"),
    ("lookup", "{}", "--agency", AGENCY, "--by", CONTACT),
    ("lookup", "NOSUCH1", "--agency", "{}", "--by", CONTACT),
    ("lookup", "NOSUCH1", "--agency", AGENCY, "--by", "{}"),
    ("audit", "show", "{}"),
    ("audit", "verify", "--heads", "{}"),
    ("agencies", "import", "{}"),
    ("reconcile", "--since", "{}"),
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
async def test_no_value_ends_in_a_traceback(
    cli: Any,
    tmp_path: Path,
    command: tuple[str, ...],
) -> None:
    (tmp_path / "FILE").write_text(roster_of("ABC1234"))
    wrong = []
    at = COMMANDS.index(command)
    for value in VALUES if ALL else [*VALUES[at % 8 :: 8], "[red]x[/red]"]:
        words = [
            str(tmp_path / "FILE") if each == "FILE" else each.replace("{}", value)
            for each in command
        ]
        code, out = await cli(*words)
        unsaid = any(text in out for text in ("Traceback", "\x1b", "root:x:"))
        if code not in ((0, 1, 2) if value in HARMLESS else (1, 2)) or unsaid or len(out) > 20_000:
            wrong.append((value[:50], code, out[:500]))
    assert wrong == []
