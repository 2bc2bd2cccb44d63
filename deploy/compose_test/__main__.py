"""Runs the unchanged docker-compose.yml, puts it to work, breaks it, and takes it down.

``make compose-test`` needs a Docker engine with compose, and the ports of the file must be free.
"""

import json
import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from deploy.compose_test.alerts import Alerts
from deploy.compose_test.stand_ins import ROOT, provide, run

COMPOSE = ("docker", "compose", "--progress", "quiet", "--project-name", "assister-compose-test")
LONG_RUNNING = ("postgres", "temporal", "temporal-ui", "worker", "gateway", "mailpit")
PATIENCE = 180.0
"""Seconds after which a wait counts as failed."""
CONTACT = "pat.contact@northstar.example.org"
ROSTER = (
    "First Name,Last Name,Email,Training ID,Current Employment Status,Assister Portal Access,"
    "Public-Facing Phone Number,Public-Facing Email,Languages Spoken\n"
)


def main() -> int:
    """Runs the whole test; returns the exit code."""
    missing = _missing()
    if missing:
        print(f"skipped: {missing}")
        return 0
    with tempfile.TemporaryDirectory(prefix="compose-test-") as folder:
        project = Path(folder)
        # The archive holds committed files only.
        archive = subprocess.run(["git", "archive", "HEAD"], cwd=ROOT, stdout=subprocess.PIPE)
        subprocess.run(["tar", "-x", "-C", project], input=archive.stdout, check=True)
        os.chdir(project)
        run("sh", "deploy/secrets.sh")
        shutil.copy(".env.example", ".env")
        images = set(run(*COMPOSE, "config", "--images").split()) | {_base()}
        ours = {image for image in images if image.startswith("assister-portal-access")}
        stand_ins = provide(images - ours)
        print("stand-ins:", ", ".join(sorted(stand_ins)) or "none")
        try:
            _test(Path(folder), next(iter(ours)))
        except BaseException:
            subprocess.run([*COMPOSE, "logs", "--tail", "40"], check=False)
            raise
        finally:
            _timed("down, with the volume", lambda: run(*COMPOSE, "down", "--volumes"))
    left = run("docker", "ps", "--all", "--quiet", "--filter", "name=assister-compose-test")
    assert not left, f"left behind: {left}"
    print("all of it passed")
    return 0


def _missing() -> str:
    for words in (["docker", "info"], ["docker", "compose", "version"]):
        try:
            done = subprocess.run(words, capture_output=True, text=True, check=False)
        except FileNotFoundError:
            return "there is no docker"
        if done.returncode:
            return f"`{' '.join(words)}` says: {(done.stderr or done.stdout).strip()[:200]}"
    return ""


def _base() -> str:
    [base] = set(re.findall(r"^FROM (\S+:\S+)", Path("Dockerfile").read_text(), re.M))
    return str(base)


def _test(folder: Path, image: str) -> None:
    _timed("build", lambda: run(*COMPOSE, "build", "--quiet"))
    layers = run("docker", "history", "--format", "{{.Size}} {{.CreatedBy}}", image).splitlines()
    print("layers of ours:", "; ".join(each[:60] for each in layers[:6]))
    _timed("up", lambda: run(*COMPOSE, "up", "--detach", "--wait", "--quiet-pull"))
    _timed("up again changes nothing", lambda: run(*COMPOSE, "up", "--detach", "--wait"))
    print(run(*COMPOSE, "exec", "-T", "worker", "python", "starter.py", "doctor"))
    agencies = folder / "agencies.csv"
    agencies.write_text(
        "Agency ID,Agency Name,Contact Name,Contact Email\n"
        f"AG-100,North Star Health Access,Pat Contact,{CONTACT}\n"
    )
    _command(agencies, "agencies", "import", "/in")
    _timed("a roster to a confirmed account", lambda: _journey(folder))
    _timed("three workers", lambda: run(
        *COMPOSE, "up", "--detach", "--wait", "--scale", "worker=3", "--no-recreate"
    ))  # fmt: skip
    _timed("a journey with three workers", lambda: _journey(folder))
    for service in LONG_RUNNING:
        _kill(service)
        _timed(f"a journey after {service} was killed", lambda: _journey(folder))
    _timed("both backups, and a restore from each", lambda: _backed_up(folder))
    _timed("a journey after the restore", lambda: _journey(folder))
    if shutil.which("prometheus"):
        alerts = Alerts(folder, COMPOSE, _until, lambda: _journey(folder), _results_of(folder))
        _timed("six alerts, each with its fault", alerts.all_fire)
    else:
        print("skipped: no Prometheus on PATH, so no alert was seen to fire")
    _timed("the workers stop when told", lambda: run(*COMPOSE, "stop", "worker"))
    for worker in run(*COMPOSE, "ps", "--all", "--quiet", "worker").split():
        state = run("docker", "inspect", "--format", "{{.State.ExitCode}}", worker).strip()
        assert state == "0", f"a worker ended with {state}"
    said = run(*COMPOSE, "run", "--rm", "--no-deps", "-T", "worker",
               "python", "starter.py", "audit", "verify")  # fmt: skip
    print("audit verify:", said.splitlines()[-1])


def _journey(folder: Path) -> None:
    """Takes one more assister from a roster row to the confirmation mail."""
    training_id = _new_id()
    address = f"{training_id.lower()}@northstar.example.org"
    roster, results = folder / "roster.csv", folder / "results.csv"
    roster.write_text(
        f"{ROSTER}Ann,Lindqvist-{training_id},{address},{training_id},Active,Yes,651-555-0142,"
        "help@northstar.example.org,English\n"
    )
    lately = date.today() - timedelta(days=2)
    results.write_text(
        "Training ID,Event,Date,Score,Status,Valid Through\n"
        f"{training_id},certification,{lately},,Certified,2099-10-15\n"
        f"{training_id},training,{lately},,,\n{training_id},assessment,{lately},80,,\n"
    )
    _command(
        roster, "rosters", "submit", "/in", "--agency", "AG-100", "--type", "navigator",
        "--by", CONTACT,
    )  # fmt: skip
    _command(results, "results", "import", "/in")
    text = _until(f"the activation mail to {address}", lambda: _mail(address, "REGISTRATION"))
    number = re.search(r"REGISTRATION NUMBER: (\S+)", text)
    assert number is not None
    _until("the gateway", lambda: _activated(number[1]))
    _until(f"the confirmation to {address}", lambda: _mail(address, "This confirms"))


def _backed_up(folder: Path) -> None:
    """Makes both backups, and restores from each, with the runbook's commands."""
    run(*COMPOSE, "exec", "-T", "postgres", "rm", "-rf", "/tmp/base")
    run(*COMPOSE, "exec", "-T", "postgres", "pg_basebackup", "--username=postgres",
        "--pgdata=/tmp/base", "--format=tar", "--gzip", "--wal-method=fetch",
        "--checkpoint=fast")  # fmt: skip
    run(*COMPOSE, "cp", "postgres:/tmp/base", folder / "base")
    assert (folder / "base" / "base.tar.gz").stat().st_size

    def postgres(program: str, *words: str) -> None:
        password = Path("secrets/assister_database_password").read_text().strip()
        run(*COMPOSE, "run", "--rm", "--no-deps", "-T", "--volume", f"{folder}:/files",
            "--workdir", "/files", "--user", "root", "--env", f"PGPASSWORD={password}",
            "--entrypoint", program, "databases", *words)  # fmt: skip

    records = "postgresql://assister@postgres/assister"
    run(*COMPOSE, "stop", "worker", "gateway")
    postgres("pg_dump", "--format=custom", "--file=records.dump", records)
    postgres("pg_restore", "--exit-on-error", "--no-owner", "--clean", "--if-exists",
             f"--dbname={records}", "records.dump")  # fmt: skip
    run(*COMPOSE, "up", "--detach", "--wait", "--scale", "worker=3", "--no-recreate")
    _journey(folder)
    run(*COMPOSE, "stop")
    into = "cd /var/lib/postgresql/data && find . -mindepth 1 -delete && tar -xzf /base/base.tar.gz"
    run(*COMPOSE, "run", "--rm", "--no-deps", "-T", "--volume", f"{folder}/base:/base:ro",
        "--entrypoint", "sh", "postgres", "-c", into)  # fmt: skip
    run(*COMPOSE, "up", "--detach", "--wait", "--scale", "worker=3", "--no-recreate")


def _results_of(folder: Path) -> Callable[[Sequence[str], int], None]:
    """A function that imports a training result, so many days old, for each of some people."""

    def told(ids: Sequence[str], days: int) -> None:
        results = folder / "results.csv"
        lines = [f"{person},training,{date.today() - timedelta(days)}\n" for person in ids]
        results.write_text("Training ID,Event,Date\n" + "".join(lines))
        # Without a worker the command returns 1, but the results are recorded.
        subprocess.run(_words(results, "results", "import", "/in"), check=False)

    return told


def _new_id() -> str:
    return "".join(secrets.choice("ABCDEFGHJKLMNPQRSTUVWXYZ23456789") for _ in range(7))


def _command(file: Path, *words: str) -> None:
    """Runs a command with a file, and repeats it while a service that it needs is away."""
    command = _words(file, *words)
    said: list[str] = []

    def done() -> bool:
        tried = subprocess.run(command, capture_output=True, text=True, check=False)
        said.append(tried.stdout + tried.stderr)
        assert tried.returncode in (0, 1), said[-1]
        return tried.returncode == 0 or "same roster" in said[-1]

    _until(f"{words[0]} {words[1]}", done, said)


def _words(file: Path, *words: str) -> list[str]:
    file.chmod(0o644)
    return [*COMPOSE, "run", "--rm", "--no-deps", "-T", "--volume", f"{file}:/in:ro", "worker",
            "python", "starter.py", *words]  # fmt: skip


def _mail(address: str, holding: str) -> str:
    query = urllib.parse.urlencode({"query": f'to:"{address}"'})
    for mail in _json(f"http://127.0.0.1:8025/api/v1/search?{query}")["messages"]:
        text: str = _json(f"http://127.0.0.1:8025/api/v1/message/{mail['ID']}")["Text"]
        if holding in text:
            return text
    return ""


def _activated(number: str) -> bool:
    form = urllib.parse.urlencode({"registration_number": number}).encode()
    ours = {"Origin": "http://127.0.0.1:8400"}
    request = urllib.request.Request("http://127.0.0.1:8400/activate", form, ours)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return bool(answer.status == 200)
    except urllib.error.HTTPError as refused:
        # The number worked, and the answer to an earlier request did not come in time.
        if b"set up already" in refused.read():
            return True
        raise


def _json(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=10) as answer:
        return json.load(answer)


def _kill(service: str) -> None:
    """Kills the first container of a service from outside Docker, as a crash would."""
    container = run(*COMPOSE, "ps", "--quiet", service).split()[0]
    os.kill(int(run("docker", "inspect", "--format", "{{.State.Pid}}", container)), signal.SIGKILL)


def _until(what: str, ask: Callable[[], Any], said: list[str] | None = None) -> Any:
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            if answer := ask():
                return answer
        except OSError as error:
            said = [str(error)]
        assert time.monotonic() < deadline, f"{what}: not within {PATIENCE:.0f} s: {said or ''}"
        time.sleep(0.5)


def _timed(what: str, act: Callable[[], object]) -> None:
    begun = time.monotonic()
    act()
    print(f"{what}: {time.monotonic() - begun:.0f} s", flush=True)


if __name__ == "__main__":
    sys.exit(main())
