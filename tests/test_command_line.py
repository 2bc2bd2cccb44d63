"""The commands as scripts see them: output and exit codes, and no traceback after a mistake."""

import json
import os
import re
import socket
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import commands.demo
import starter
from commands.line import COMMANDS
from embedded.stack import Stack
from intake.files import read_roster
from policy.requirements import AssisterType
from records import audit
from services.rosters import record_roster
from tests.support.conditions import in_stage, mailed, marked
from tests.support.rosters import HEADER, roster_of, roster_row, roster_text, take_in
from tests.support.system import (
    AGENCY,
    CONTACT,
    System,
    eventually,
    facts,
    new_training_id,
    record_people,
)
from workflows.contract import IntakeProgress, roster_workflow_id
from workflows.lists import waiting_for_contact

ROOT = Path(__file__).resolve().parent.parent


@pytest.mark.clause("3.3")
async def test_a_case_through_the_commands(cli: Any, system: System, tmp_path: Path) -> None:
    mine, other = new_training_id(), new_training_id()
    agencies = tmp_path / "agencies.csv"
    agencies.write_text(
        "Agency ID,Agency Name,Contact Name,Contact Email\n"
        f"AG-100,North Star,Pat,{CONTACT}\nAG-200,South,Sam,sam@south.example.org\n"
    )
    assert (await cli("agencies", "import", agencies))[0] == 0
    unseen = tmp_path / "unseen.csv"
    unseen.write_text(agencies.read_text().replace("Sam", "S\u202eam"))
    code, said = await cli("agencies", "import", unseen, "--json")
    assert [row["verdict"] for row in json.loads(said)["rows"]] == ["accepted", "rejected"]
    staff = ("--by", "staff@arc.example.org", "--reason", "left")
    sam = ("AG-200", "--email", "sam@south.example.org", *staff)
    code, said = await cli("agencies", "revoke-contact", *sam)
    assert (code, "contacts left: 0" in said, "restore-contact" in said) == (0, True, True)
    code, said = await cli("agencies", "import", agencies)
    assert (code, "was revoked on" in " ".join(said.split())) == (0, True), said
    assert (await cli("agencies", "restore-contact", *sam))[0] == 0
    desk = ("--email", "welcome@x.org", *staff)
    assert (await cli("assister", "accept-address", mine, *desk))[0] == 0
    roster = tmp_path / "roster.csv"
    roster.write_text(roster_text(roster_row(mine), roster_row(other, "maybe")))
    code, out = await cli("rosters", "check", roster, "--type", "navigator", "--json")
    assert (code, [e["verdict"] for e in json.loads(out)["rows"]]) == (0, ["accepted", "rejected"])
    check = ("rosters", "check", roster, "--type", "navigator", "--agency")
    code, out = await cli(*check, "AG-100", "--json")
    [case] = json.loads(out)["forecast"]["cases"]
    assert (case["training_id"], case["opens"]) == (mine, True)
    assert mine in (await cli(*check, "AG-100"))[1]
    code, out = await cli(*check, "AG-404", "--json")
    assert (code, "AG-404 is not on record" in out, "{" in out) == (1, True, False)
    code, out = await cli("links", "--agency", "AG-100", "--json")
    assert "AG-100" in json.loads(out)["Needs attention"]
    assert "Suspended" in (await cli("links"))[1]
    submit = ("rosters", "submit", roster, "--agency", "AG-100", "--type", "navigator", "--by")
    code, out = await cli(*submit, CONTACT, "--wait", "--json")
    submission = json.loads(out)["submission_id"]
    assert code == 0
    assert "same roster" in (await cli(*submit, CONTACT, "--wait"))[1]
    code, out = await cli("rosters", "show", submission, "--json")
    assert json.loads(out)["rows"][1]["reasons"][0]["clause"] == "1.1"
    assert (await cli("rosters", "show", submission))[0] == 0
    assert (await cli(*submit, "stranger@x.org"))[0] == 1

    at = ("--at", "2026-02-02T10:00:00-06:00")
    assert (await cli("certification", "record", mine, "--status", "certified",
                      "--valid-through", "2099-10-15", *at))[0] == 0  # fmt: skip
    code, out = await cli("training", "record", mine, *at, "--json")
    assert (code, json.loads(out)["training_id"]) == (0, mine)
    assert (await cli("assessment", "record", mine, "--score", "69.95", *at))[0] == 0
    code, out = await cli("status", mine, "--json")
    status = json.loads(out)
    assert status["requirements"]["assessment"] == {
        "met": False, "at": None, "who": "the assister",
    }  # fmt: skip
    assert (status["stage"], status["waiting_on"]) == ("collecting_requirements", ["assessment"])
    assert {"next_deadline", "mails", "training_id"} <= status.keys()
    results = tmp_path / "results.csv"
    results.write_text(f"Training ID,Event,Date,Score\n{mine},assessment,2026-02-03,70\n,x,,\n")
    code, out = await cli("results", "import", results, "--json")
    assert (code, [e["verdict"] for e in json.loads(out)["rows"]]) == (0, ["accepted", "rejected"])
    await system.until(mine, mailed("activation"))

    staff = ("--by", "staff@arc.example.org", "--reason", "a caller")
    assert (await cli("resend", mine, *staff))[0] == 0
    code, said = await cli("reinstate", mine, *staff)
    assert (code, "not suspended" in said) == (1, True), said
    number = await system.portal.registration_number(mine, 1)
    assert (await cli("activate", "--registration-number", number))[0] == 0
    assert (await cli("activate", "--registration-number", number))[0] == 1
    await system.until(mine, in_stage("active"))
    look = ("lookup", mine, "--agency")
    code, out = await cli(*look, "AG-100", "--by", CONTACT, "--json")
    assert len(json.loads(out)["reference_number"]) == 7
    for agency, by in (("AG-200", "sam@south.example.org"), ("AG-100", "sam@south.example.org"),
                       ("AG-200", CONTACT)):  # fmt: skip
        code, out = await cli(*look, agency, "--by", by)
        assert code == 1
        assert "policy" in out

    async def listed() -> list[tuple[str, str]]:
        cases = json.loads((await cli("list", "--agency", "AG-100", "--json"))[1])
        return [(case["training_id"], case["agency_id"]) for case in cases]

    # The server updates its list a moment later.
    found = await eventually(listed, lambda cases: (mine, "AG-100") in cases)
    assert {agency for _, agency in found} == {"AG-100"}
    for stage in ("active", "collecting_requirements"):
        assert (await cli("list", "--stage", stage))[0] == 0
    assert (await cli("status", mine))[0] == 0
    code, out = await cli("audit", "show", mine, "--json")
    assert [e["act"] for e in json.loads(out)].count("account_made") == 1
    assert "staff@" not in out
    assert (await cli("audit", "show", mine))[0] == (await cli("audit", "verify"))[0] == 0
    heads = tmp_path / "heads.json"
    code, out = await cli("audit", "verify", "--json")
    heads.write_text(out)
    assert (code, (await cli("audit", "verify", "--heads", heads))[0]) == (0, 0)
    kept = await audit.head(system.database)
    assert (await cli("audit", "verify", "--head", kept))[0] == 0
    code, said = await cli("audit", "verify", "--head", kept[:-1] + "x")
    assert (code, "no head of the trail" in " ".join(said.split())) == (1, True)
    code, said = await cli("audit", "verify", "--head", "1-" + "0" * 64)
    assert (code, "not all of what the head names" in " ".join(said.split())) == (1, True)
    heads.write_text(out.replace(json.loads(out)["heads"][f"assister-{mine}"], "0" * 64))
    code, out = await cli("audit", "verify", "--heads", heads)
    assert (code, "not in the chain" in " ".join(out.split())) == (1, True)
    for words in (("suspend", mine), ("reinstate", mine), ("close", mine)):
        code, out = await cli(*words, *staff, "--json")
        assert code == 0, out


async def test_keys_are_made_listed_rotated_and_revoked(cli: Any) -> None:
    code, shown = await cli("keys", "create", "--source", "learning-center", "--json")
    assert code == 0
    made = json.loads(shown)
    code, shown = await cli("keys", "create", "--agency", AGENCY, "--contact", "no@x.org")
    assert (code, "not an authorized contact" in shown) == (1, True)
    assert (await cli("keys", "create"))[0] == 1
    code, shown = await cli("keys", "create", "--source", "lms", "--events", "--json")
    assert (code, json.loads(shown)["key"][:6]) == (0, "whsec_")
    code, shown = await cli("keys", "rotate", made["id"])
    assert (code, "shown this once" in shown) == (0, True)
    assert (await cli("keys", "revoke", made["id"]))[0] == 0
    code, shown = await cli("keys", "rotate", made["id"])
    assert (code, "has ended" in shown) == (1, True)
    code, shown = await cli("keys", "list", "--json")
    assert len(json.loads(shown)) == 3
    assert made["key"].partition(".")[2] not in shown


async def test_a_corrected_address(cli: Any, system: System) -> None:
    mine, other = new_training_id(), new_training_id()
    await record_people(system.database, mine, other)
    system.inbox.refusals[f"{mine.lower()}@assisters.example.org"] = "550 5.1.1 no"
    for name, fact in facts().items():
        await system.tell(mine, name, fact)
    await system.until(mine, marked)
    staff = ("--by", "staff@arc.example.org", "--reason", "a caller")
    correct = ("assister", "correct-email", mine, "--email")
    for bad in ("nonsense", "info@x.org", f"{other.lower()}@assisters.example.org"):
        assert (await cli(*correct, bad, *staff))[0] == 1
    code, out = await cli("assister", "correct-email", other, "--email", "new@x.org", *staff)
    assert (code, "No case is open" in out) == (0, True)
    assert (await cli(*correct, "right@x.org", *staff))[0] == 0
    await system.until(mine, mailed())
    assert system.mails(to="right@x.org")


async def test_a_corrected_contact_hears_of_the_roster(cli: Any, system: System) -> None:
    system.inbox.refusals[CONTACT] = "550 5.1.1 no"
    submission_id = await take_in(system, roster_row(new_training_id()), wait=False)
    handle = system.client.get_workflow_handle(roster_workflow_id(submission_id))
    waits = partial(handle.query, "progress", result_type=IntakeProgress)
    await eventually(waits, lambda it: it.stage == "wants_contact")

    async def listed() -> list[str]:
        query = waiting_for_contact(AGENCY)
        return [workflow.id async for workflow in system.client.list_workflows(query)]

    await eventually(listed, [roster_workflow_id(submission_id)].__eq__)
    staff = ("--by", "staff@arc.example.org", "--reason", "a caller")
    correct = ("agencies", "correct-contact", AGENCY, "--email")
    assert (await cli(*correct, "nobody@x.org", "--to", "right@x.org", *staff))[0] == 1
    assert (await cli(*correct, CONTACT, "--to", "nonsense", *staff))[0] == 1
    code, out = await cli(*correct, CONTACT, "--to", "right@x.org", *staff, "--json")
    assert (code, json.loads(out)["told"]) == (0, [roster_workflow_id(submission_id)])
    assert (await handle.result())["stage"] == "done"
    assert system.mails(to="right@x.org")
    await eventually(listed, [].__eq__)
    code, out = await cli(*correct, CONTACT, "--to", "right@x.org", *staff, "--json")
    assert (code, json.loads(out)["told"]) == (0, []), "once more is harmless"
    async with system.database.snapshot() as session:
        trail = await audit.entries_of(session, f"agency-{AGENCY}")
    assert [entry.act for entry in trail] == ["contact_corrected"]


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("status", "short"), 1, "seven letters"),
        (("status", "NOSUCH1"), 1, "No open case and no roster has this id"),
        (("rosters", "check", "none.csv", "--type", "cac"), 1, "No such file"),
        (("rosters", "show", "none"), 1, "no submission"),
        (("certification", "record", "ABC1234", "--status", "maybe"), 2, "not-certified"),
        (("assessment", "record", "ABC1234", "--score", "101"), 1, "score"),
        (("training", "record", "ABC1234", "--at", "2026-01-01"), 1, "offset"),
        (("resend", "ABC1234", "--by", "a@x.org", "--reason", "call 651-555-0142"), 1, "phone"),
        (("lookup", "ABC1234", "--agency", "AG-100", "--by", CONTACT), 1, "no assister"),
        (("assister", "correct-email", "NOSUCH1", "--email", "a.b@x.org", "--by", "a@x.org",
          "--reason", "x"), 1, "no roster"),
        (("rosters", "check"), 2, ""),
        (("no-such-command",), 2, ""),
        (("migrate",), 0, "up to date"),
        (("--help",), 0, "starter.py demo"),
    ],
)  # fmt: skip
async def test_mistakes_are_told_without_a_traceback(
    cli: Any, words: tuple[str, ...], code: int, says: str
) -> None:
    got, out = await cli(*words)
    assert got == code, out
    assert says.lower() in " ".join(out.split()).lower()
    assert "Traceback" not in out


async def test_a_file_that_breaks_off_leaves_no_half_of_an_answer(cli: Any, tmp_path: Path) -> None:
    path = tmp_path / "roster.csv"
    for rest in (b"Gr\xfcn", b'"Bob" Robert'):
        path.write_bytes(roster_text(roster_row("ABC1234") * 600).encode() + rest)
        code, said = await cli("rosters", "check", path, "--type", "cac", "--json")
        assert (code, "line 602" in said, "{" in said) == (1, True, False), said
    path.write_text(HEADER + "\n")
    code, said = await cli("rosters", "check", path, "--type", "cac", "--json")
    assert json.loads(said)["rows"] == []


async def test_an_unreachable_server_and_bad_settings(
    cli: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TEMPORAL_ADDRESS", "127.0.0.1:1")
    code, out = await cli("status", "ABC1234")
    assert (code, "starter.py up" in " ".join(out.split())) == (1, True)
    monkeypatch.setenv("ASSISTER_SMTP_PORT", "many")
    assert (await cli("status", "ABC1234"))[0] == 2
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        monkeypatch.setenv("ASSISTER_SMTP_PORT", str(taken.getsockname()[1]))
        code, out = await cli("up")
        assert (code, "in use" in out) == (1, True)
    monkeypatch.setenv("ASSISTER_SMTP_PORT", "25")
    monkeypatch.setenv("ASSISTER_DATABASE_URL", "mysql://x")
    assert (await cli("audit", "verify"))[0] == 2
    monkeypatch.setenv("ASSISTER_DATABASE_URL", f"sqlite:///{tmp_path}/none.db")
    code, out = await cli("audit", "verify")
    assert (code, "migrate" in out) == (1, True)


async def test_the_demo_survives_its_worker_and_tells_nobodys_name(
    capsys: pytest.CaptureFixture[str],
) -> None:
    histories: list[str] = []

    async def export(stack: Stack) -> None:
        async for each in stack.client.list_workflows(""):
            handle = stack.client.get_workflow_handle(each.id)
            histories.append((await handle.fetch_history()).to_json())
        histories.append((stack.settings.data_dir / "worker.log").read_text())

    await commands.demo.run_demo(keep=False, visit=export)
    out = capsys.readouterr().out
    told = " ".join(out.split())
    assert re.search(r"dead \(SIGKILL\): [1-5] of 5 accounts made, 0 activation mails out", told)
    assert "5 accounts, 4 activation mails" in told
    assert max(map(len, out.splitlines())) <= 100
    for stage in ("active", "activation expired", "awaiting activation"):
        assert stage in out.rsplit("Every assister with an accepted row", 1)[1]
    people = (commands.demo.DATA / "navigators.csv").read_text().splitlines()[1:]
    personal = {cell for line in people for cell in line.split(",")[:3] if len(cell) > 3}
    personal |= {"651-555-0142", "6515550142", "northstar.example.org", "Pat Contact"}
    assert len(histories) > 10
    for history in histories:
        assert not [value for value in personal if value.lower() in history.lower()]


def test_the_worker_stops_cleanly_when_told(temporal: Any, sqlite_url: str, tmp_path: Path) -> None:
    environment = os.environ | {
        "TEMPORAL_ADDRESS": temporal.client.service_client.config.target_host,
        "ASSISTER_DATABASE_URL": sqlite_url,
        "ASSISTER_DATA_DIR": str(tmp_path),
    }
    worker = subprocess.Popen(
        [sys.executable, "worker.py"], cwd=ROOT, env=environment,
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert worker.stderr is not None
    line = ""
    while "worker running" not in line:
        line = worker.stderr.readline()
        assert line, "the worker ended before it ran"
    worker.terminate()
    assert worker.wait(30) in (0, 134), worker.stderr.read()


async def test_a_caller_is_found(cli: Any, system: System) -> None:
    one, other = new_training_id(), new_training_id()
    await record_people(system.database, one, other)
    code, out = await cli("find", one.lower(), "--json")
    [found] = json.loads(out)
    assert (code, found["training_id"], found["agency_id"]) == (0, one, AGENCY)
    assert found["case"].endswith(f"/workflows/assister-{one}")
    assert found["page"].endswith(f"/staff/assisters/{one}")
    code, out = await cli("find", "Lee")
    for each in (one, other):
        assert f"/workflows/assister-{each}\n" in out, "a link stands on one line"
    code, out = await cli("find", "nobody")
    assert (code, "Nobody on record" in out) == (1, True)


def test_every_command_teaches_how_to_use_it(capsys: pytest.CaptureFixture[str]) -> None:
    overview = " ".join(_help(capsys).split())
    for commands_ in COMMANDS.values():
        for name, (_, summary) in commands_.items():
            assert summary.partition("(")[0].strip() in overview.replace(" │ │ ", " ")
            said = _help(capsys, name)
            assert " ".join(summary.split()[:3]) in " ".join(said.split()), name
            assert "Commands ─" in said or "Parameters ─" in said or name in ("up", "migrate")


def _help(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert starter.main([*words, "--help"]) == 0
    return capsys.readouterr().out


def test_help_and_status_import_no_more_than_they_need() -> None:
    code = (
        "import sys, starter; starter.main([{words}]);"
        " print(*sorted({{each.partition('.')[0] for each in sys.modules}}))"
    )
    heavy = {"sqlalchemy", "sqlmodel", "alembic", "holidays"}
    for words, unwanted in (
        ("'--help'", heavy | {"temporalio", "pydantic"}),
        ("'status', '--help'", heavy),
    ):
        ran = subprocess.run(
            [sys.executable, "-c", code.format(words=words)],
            cwd=ROOT, capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert not set(ran.stdout.splitlines()[-1].split()) & unwanted


async def test_a_roster_whose_intake_never_began_says_so(
    cli: Any, system: System, tmp_path: Path
) -> None:
    path = tmp_path / "roster.csv"
    path.write_text(roster_of(new_training_id()))
    done = await record_roster(
        system.database,
        read_roster(path),
        agency_id=AGENCY,
        roster_type=AssisterType.NAVIGATOR,
        by=CONTACT,
        filename=path.name,
    )
    code, out = await cli("rosters", "show", done.submission_id)
    assert (code, "Submit the same file again" in " ".join(out.split())) == (1, True)
    submit = ("rosters", "submit", path, "--agency", AGENCY, "--type", "navigator", "--wait")
    code, out = await cli(*submit, "--by", CONTACT, "--json")
    assert (code, json.loads(out)["stage"]) == (0, "done"), out
