"""The licences and the bill of materials of the dependencies; no secret is in the repository."""

import json
import re
import subprocess

from tests.support.supply import ALLOWED, PAGE, ROOT, bill_of_materials, deployed, licence, locked

SECRETS = re.compile(
    rb"-----BEGIN [A-Z ]*PRIVATE KEY|AKIA[0-9A-Z]{16}|gh[pousr]_[A-Za-z0-9]{36}|xox[abp]-[0-9]{8}"
    rb"|whsec_[A-Za-z0-9+/]{32}|://[a-z]+:[^@/\s'\"{}$]{16,}@"
)


def test_the_page_of_dependencies_is_current() -> None:
    # Only the names are compared: another Python may have other versions installed.
    told = {line.split("|")[1].strip() for line in PAGE.read_text().splitlines() if "|" in line}
    assert deployed().keys() <= told, "run ./run licences"


def test_every_licence_was_looked_at() -> None:
    unknown = {name: licence(e) for name, e in deployed().items() if not ALLOWED.search(licence(e))}
    assert unknown == {}


def test_the_bill_of_materials_names_what_is_locked() -> None:
    components = json.loads(bill_of_materials())["components"]
    assert len(components) > 40
    assert {(part["name"], part["version"]) for part in components} <= locked().keys()
    assert all(part["hashes"] for part in components)


def test_no_secret_is_in_what_is_committed() -> None:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False)
    files = [ROOT / path.decode() for path in listed.stdout.split(b"\0") if path]
    found = [
        str(file.relative_to(ROOT))
        for file in files
        if file.is_file() and SECRETS.search(file.read_bytes())
    ]
    assert found == []
    assert SECRETS.search(b"whsec_" + b"a" * 32)
    assert files or not (ROOT / ".git").exists()


def test_an_audit_that_cannot_ask_fails() -> None:
    done = subprocess.run(
        ["bash", ROOT / "run", "audit"],
        env={"PATH": "/usr/bin:/bin", "UV_OFFLINE": "1", "HOME": "/nonexistent"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0, done.stdout + done.stderr
