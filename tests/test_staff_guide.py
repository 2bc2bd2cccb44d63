"""The staff guide and the README name all updates, marks, lists, commands and pictures."""

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cyclopts import App

from commands.line import command_line
from workflows.assister_access import AssisterAccess
from workflows.lists import ready_made
from workflows.roster_intake import RosterIntake

ROOT = Path(__file__).resolve().parent.parent
GUIDE = (ROOT / "docs/staff-guide.md").read_text()
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def updates_of(workflow: type) -> list[str]:
    return [name for name, each in vars(workflow).items() if hasattr(each, "_defn")]


def test_every_update_is_told() -> None:
    updates = updates_of(AssisterAccess) + updates_of(RosterIntake)
    assert {"resend_activation", "release"} <= set(updates)
    assert [each for each in updates if f"`{each}`" not in GUIDE] == []


def test_every_attention_mark_is_told() -> None:
    sources = "".join(
        (ROOT / file).read_text()
        for file in ("policy/case.py", "policy/correspondence.py", "workflows/roster_intake.py")
    )
    marks = set(re.findall(r'f?"((?:portal|late|mail|change|roster):(?:held)?)', sources))
    assert marks == {"portal:", "late:", "mail:", "change:", "roster:held"}
    assert [each for each in marks if f"| `{each}`" not in GUIDE] == []


def test_every_list_is_told() -> None:
    for text in (GUIDE, (ROOT / "README.md").read_text()):
        document = " ".join(text.split())
        lists = [entry.name for entry in ready_made(datetime.now(UTC))]
        assert [each for each in lists if f"**{each}**" not in document] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_picture_is_there(document: Path) -> None:
    pictures = re.findall(r"!\[[^]]+\]\(([^)]+)\)", document.read_text())
    assert [file for file in pictures if not (document.parent / file).is_file()] == []


def test_no_picture_is_left_over_or_large() -> None:
    told = "".join(file.read_text() for file in DOCUMENTS)
    for picture in (ROOT / "docs/pictures").iterdir():
        assert f"pictures/{picture.name}" in told
        assert picture.stat().st_size < 150_000, picture.name


def test_every_command_exists() -> None:
    app = command_line()
    for words in re.findall(r"`starter\.py ([^`]+)`", GUIDE):
        command: App = app
        for word in words.split():
            if word not in command:
                break
            command = command[word]
        assert command is not app, words
        for option in re.findall(r"--[\w-]+", words):
            found = command.assemble_argument_collection(parse_docstring=False)
            assert any(option in argument.names for argument in found), f"{words}: {option}"
