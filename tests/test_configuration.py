"""A wrong configuration stops a program before it begins, with one line for each fault."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import settings
import starter
from policy.terms import Terms
from settings import Misconfigured, Settings, load, name_of
from tests.support.configuration import ROOT, page

WRONG = {
    "data_dir": None,
    "database_url": "mysql://u:canary@h/x",
    "database_password": None,
    "task_queue": "two words",
    "smtp_host": "",
    "smtp_port": "canary",
    "smtp_security": "canary",
    "smtp_username": None,
    "smtp_password": None,
    "smtp_connections": "0",
    "smtp_rate": "-1",
    "smtp_timeout": "canary",
    "mail_from": "canary",
    "arc_email": "canary, canary@example.org",
    "arc_phone": "canary",
    "summary_rows": "0",
    "portal_url": "canary",
    "ui_url": "ftp://canary",
    "gateway_host": "a canary",
    "gateway_port": "65536",
    "gateway_url": "canary",
    "gateway_proxies": "",
    "exports": "canary",
    "statements": '{"lms": "canary"}',
    "event_secrets": '{"lms": ["canary"]}',
    "staff": '["canary"]',
    "oidc_issuer": "canary",
    "oidc_client_id": None,
    "oidc_client_secret": None,
    "scim_url": "canary",
    "scim_token": None,
    "metrics_address": "canary:9464",
    "portal_secret": "canary",
    "terms__mastery": '{"assister-portal": "canary"}',
    "terms__activation_valid_days": "0",
    "terms__activation_reminder_days": "canary",
    "terms__resends_a_day": "-1",
    "terms__reissuable_days": "canary",
    "terms__requirement_reminder_days": "[0]",
    "terms__certification_warning_days": '["canary"]',
    "terms__fuse_count": "canary",
    "terms__fuse_percent": "101",
    "terms__training_courses": "not a list",
}
"""A wrong value for each setting; None if every text is allowed."""


@pytest.fixture(autouse=True)
def nothing_else(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith("ASSISTER_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def faults() -> list[str]:
    with pytest.raises(Misconfigured) as refused:
        load()
    return str(refused.value).splitlines()


def test_each_setting_has_a_wrong_value_here() -> None:
    terms = {f"terms__{each}" for each in Terms.model_fields}
    assert WRONG.keys() == (Settings.model_fields.keys() - {"terms"}) | terms


@pytest.mark.parametrize("name", [each for each, value in WRONG.items() if value is not None])
def test_a_wrong_value_is_one_line(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name_of(name), str(WRONG[name]))
    [line] = faults()
    assert line.startswith(name_of(name).partition("__")[0])
    assert len(line) > len(name_of(name)) + 2
    assert "canary" not in line.lower()


def test_all_faults_at_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ASSISTER_SMPT_HOST", "relay.example.org")
    monkeypatch.setenv("ASSISTER_SMTP_PORT__X", "1")
    monkeypatch.setenv("ASSISTER_TERMS__RESENDS_PER_DAY", "3")
    monkeypatch.setenv("ASSISTER_STAFF", "[")
    (tmp_path / ".env").write_text("ASSISTER_SMTP_TIMEOUT=long\nASSISTER_COLOUR=red\nOTHER=1\n")
    told = faults()
    assert [line.partition(":")[0] for line in told] == [
        "ASSISTER_COLOUR",
        "ASSISTER_SMPT_HOST",
        "ASSISTER_SMTP_PORT__X",
        "ASSISTER_SMTP_TIMEOUT",
        "ASSISTER_STAFF",
        "ASSISTER_TERMS",
    ]
    assert "is ASSISTER_SMTP_HOST meant?" in told[1]
    assert "RESENDS_PER_DAY" in told[5]


def test_what_may_be_set_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASSISTER_TERMS__MASTERY__ASSISTER-PORTAL", "80")
    monkeypatch.setenv("ASSISTER_TERMS__ACTIVATION_REMINDER_DAYS", "[1, 3]")
    monkeypatch.setenv("assister_exports__LMS", "{}")
    terms = load().terms
    assert terms.mastery == {"assister-portal": 80}
    assert terms.activation_reminder_days == (1, 3)


@pytest.mark.parametrize("name", ["ASSISTER_SCIM_URL", "ASSISTER_OIDC_ISSUER"])
def test_no_secret_crosses_the_network_in_clear(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "http://127.0.0.1:8080/x")
    load()
    monkeypatch.setenv(name, "http://directory.example.org")
    assert faults() == [f"{name}: must begin with https://"]


def test_secrets_come_from_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    folder.mkdir()
    monkeypatch.setattr(settings, "SECRETS", folder)
    monkeypatch.setitem(Settings.model_config, "secrets_dir", folder)
    (folder / "assister_database_password").write_text("p@ss/w:rd%\n")
    (folder / "assister_portal_secret").write_text("a" * 32 + "\n")
    (folder / "another-program's").write_text("x")
    monkeypatch.setenv("ASSISTER_DATABASE_URL", "postgresql://us@er@db:5433/records?sslmode=x")
    made = load()
    assert made.portal_secret.get_secret_value() == "a" * 32
    assert made.records_url == ("postgresql://us%40er:p%40ss%2Fw%3Ard%25@db:5433/records?sslmode=x")
    (folder / "assister_portal_key").write_text("x")
    assert [line.partition(":")[0] for line in faults()] == ["ASSISTER_PORTAL_KEY"]


@pytest.mark.parametrize(
    ("host", "security", "refused"),
    [
        ("relay.example.org", "none", True),
        ("10.0.0.1", "none", True),
        ("relay.example.org", "starttls", False),
        ("127.0.0.1", "none", False),
        ("localhost", "none", False),
        ("::1", "none", False),
    ],
)
def test_no_mail_password_crosses_the_network_in_clear(
    monkeypatch: pytest.MonkeyPatch, host: str, security: str, refused: bool
) -> None:
    monkeypatch.setenv("ASSISTER_SMTP_HOST", host)
    monkeypatch.setenv("ASSISTER_SMTP_SECURITY", security)
    monkeypatch.setenv("ASSISTER_SMTP_PASSWORD", "canary")
    if refused:
        assert faults()[0].startswith("ASSISTER_SMTP_PASSWORD: would cross the network in clear")
    else:
        load()


def test_hosts_that_share_records_share_the_secret(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("ASSISTER_DATABASE_URL", "postgresql://assister@db/records")
    assert faults()[0].startswith("ASSISTER_PORTAL_SECRET: must be set")
    assert not (tmp_path / ".data").exists()
    monkeypatch.setenv("ASSISTER_PORTAL_SECRET", "s" * 32)
    load()


@pytest.mark.parametrize("program", [["worker.py"], ["-m", "gateway"], ["starter.py", "migrate"]])
def test_every_program_says_so_and_ends_with_2(program: list[str], tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, *program],
        cwd=ROOT,
        env={
            "PATH": os.environ["PATH"],
            "ASSISTER_DATA_DIR": str(tmp_path),
            "ASSISTER_SMTP_PORT": "canary",
            "ASSISTER_COLOUR": "canary",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert [line.partition(":")[0] for line in done.stderr.splitlines()] == [
        "ASSISTER_COLOUR",
        "ASSISTER_SMTP_PORT",
    ]
    assert "canary" not in done.stderr


def test_commands_say_so_in_the_same_process(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ASSISTER_SMTP_PORT", "canary")
    assert starter.main(["migrate"]) == 2
    assert capsys.readouterr().err.startswith("ASSISTER_SMTP_PORT: ")


def test_the_table_is_up_to_date() -> None:
    assert (ROOT / "docs/configuration.md").read_text() == page(), "run: ./run configuration"
