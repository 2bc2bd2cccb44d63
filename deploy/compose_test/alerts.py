"""Makes the fault of each alert that only fires in a whole installation, and mends it.

Prometheus has the rules of `deploy/monitoring`, with shorter times.
"""

import json
import re
import shutil
import signal
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from deploy.compose_test.stand_ins import run

PROMETHEUS = "http://127.0.0.1:19090"
WORKFLOW = Path("workflows/assister_access.py")
RELEASE = Path("pyproject.toml")
CONFIG = Path("deploy/dynamicconfig.yaml")
UNREADABLE = (
    "INSERT INTO resultevent (source, event_id, training_id, signal, payload, received_at,"
    " attempts, last_error, next_attempt_at) VALUES ('test', 'test', 'NOBODY1',"
    " 'assessment_scored', '{}', now(), 0, '', now())"
)
"""Inserts a result that no case can be told."""

Until = Callable[[str, Callable[[], Any]], Any]


class Alerts:
    """Makes each fault in a running stack.

    Args:
        compose: The `docker compose` command line for the stack.
        until: Waits until a function returns something true.
        journey: Takes one more assister to a confirmed account.
        results: Imports a training result, so many days old, for each of some people.
    """

    def __init__(
        self,
        folder: Path,
        compose: Sequence[str],
        until: Until,
        journey: Callable[[], None],
        results: Callable[[Sequence[str], int], None],
    ) -> None:
        self._folder, self._compose = folder, compose
        self._until, self._journey, self._results = until, journey, results

    def all_fire(self) -> list[str]:
        """Makes every fault, and waits for its alert; returns the alerts."""
        with self._prometheus():
            # These two have a window of five minutes and come first: other faults fire them too.
            faults = {
                "WorkIsLate": self._worker_stands_still,
                "TemporalIsExhausted": self._low_limit,
                "FiguresAreOld": self._records_stand_still,
                "CasesAreNotTold": self._unreadable_result,
                "TwoReleases": self._half_an_upgrade,
                "CaseCannotGoOn": self._bad_release,
            }
            for alert, fault in faults.items():
                self._until(f"{alert} before its fault", partial(self._is_quiet, alert))
                fault(alert)
                print(f"{alert} has fired", flush=True)
                self._journey()
        return list(faults)

    def _records_stand_still(self, alert: str) -> None:
        with self._paused("postgres"):
            self._fires(alert)

    def _worker_stands_still(self, alert: str) -> None:
        with self._paused("worker"):
            self._results([f"LATE{number:03}" for number in range(20)], 2)
            time.sleep(8)  # The alert fires for work that waits longer than 5 seconds.
        self._fires(alert)

    def _unreadable_result(self, alert: str) -> None:
        self._sql(UNREADABLE)
        self._fires(alert)
        self._sql("DELETE FROM resultevent WHERE source = 'test'")

    def _half_an_upgrade(self, alert: str) -> None:
        other = re.sub(r'(?m)^version = ".*"', 'version = "9.9.9"', RELEASE.read_text())
        with self._another_worker(RELEASE, other):
            self._fires(alert)

    def _bad_release(self, alert: str) -> None:
        first = '"""Does what is due, until'
        assert first in WORKFLOW.read_text()
        bad = WORKFLOW.read_text().replace(first, f"await workflow.sleep(1)\n        {first}", 1)
        # The case needs a history of the old code, and a task for the new code.
        self._results(["RELEAS1"], 3)
        self._docker("stop", "worker")
        self._results(["RELEAS1"], 2)
        with self._another_worker(WORKFLOW, bad):
            self._fires(alert)
        self._docker("start", "worker")
        self._look()

    def _low_limit(self, alert: str) -> None:
        before = CONFIG.read_text()
        # The container mounts this file, not its folder: a replaced file would not be seen.
        CONFIG.write_text(before + "frontend.namespaceRPS:\n  - value: 2\n    constraints: {}\n")
        self._docker("restart", "temporal")
        self._look()
        try:
            self._results([f"LOAD{number:03}" for number in range(100)], 2)
            self._fires(alert)
        finally:
            CONFIG.write_text(before)
            self._docker("restart", "temporal")
            self._docker("up", "--detach", "--wait")
            self._look()

    # Private parts

    @contextmanager
    def _prometheus(self) -> Iterator[None]:
        monitoring = Path("deploy/monitoring/alerts.yml").read_text()
        # The worker takes the figures every 15 seconds, so no limit is shorter than 40.
        hasty = re.sub(r"> (?:300|900)\b", "> 40", monitoring)
        (self._folder / "alerts.yml").write_text(re.sub(r"for: \w+", "for: 0s", hasty))
        (self._folder / "prometheus.yml").write_text(
            "global: {scrape_interval: 1s, evaluation_interval: 1s}\nrule_files: [alerts.yml]\n"
            "scrape_configs: [{job_name: worker, file_sd_configs: [{files: [targets.json],"
            " refresh_interval: 1s}]}]\n"
        )
        self._look()
        process = subprocess.Popen(
            [
                "prometheus",
                f"--config.file={self._folder}/prometheus.yml",
                f"--storage.tsdb.path={self._folder}/prometheus",
                f"--web.listen-address={PROMETHEUS.removeprefix('http://')}",
            ],
            stdout=subprocess.DEVNULL,
            stderr=(self._folder / "prometheus.log").open("wb"),
        )
        try:
            self._until("Prometheus", lambda: self._ask("query", query="max(up) == 1")["result"])
            yield
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait()
            shutil.rmtree(self._folder / "prometheus", ignore_errors=True)

    def _look(self) -> None:
        """Gives Prometheus the current addresses of every running worker and of Temporal."""
        project = self._compose[-1]
        targets = []
        for service, port in {"worker": 9464, "temporal": 8000}.items():
            running = run(
                "docker", "ps", "--quiet",
                "--filter", f"label=com.docker.compose.project={project}",
                "--filter", f"label=com.docker.compose.service={service}",
            ).split()  # fmt: skip
            address = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"
            hosts = [run("docker", "inspect", "--format", address, it).strip() for it in running]
            targets += [f"{host}:{port}" for host in hosts]
        (self._folder / "targets.json").write_text(json.dumps([{"targets": targets}]))

    @contextmanager
    def _another_worker(self, file: Path, content: str) -> Iterator[None]:
        """Runs one more worker, with one file of its image replaced."""
        changed = self._folder / file.name
        changed.write_text(content)
        changed.chmod(0o644)
        name = run(
            *self._compose, "run", "--detach", "--no-deps",
            "--volume", f"{changed}:/app/{file}:ro", "worker",
        ).strip()  # fmt: skip
        try:
            self._look()
            yield
        finally:
            run("docker", "rm", "--force", name)
            self._look()

    @contextmanager
    def _paused(self, service: str) -> Iterator[None]:
        self._docker("pause", service)
        try:
            yield
        finally:
            self._docker("unpause", service)

    def _sql(self, statement: str) -> None:
        self._docker(
            "exec", "-T", "postgres", "psql", "--username=postgres", "--dbname=assister",
            "--command", statement,
        )  # fmt: skip

    def _docker(self, *words: str) -> None:
        run(*self._compose, *words)

    def _fires(self, alert: str) -> None:
        self._until(f"the alert {alert}", lambda: alert in self._firing())

    def _is_quiet(self, alert: str) -> bool:
        return alert not in self._firing()

    def _firing(self) -> set[str]:
        alerts = self._ask("alerts")["alerts"]
        return {alert["labels"]["alertname"] for alert in alerts if alert["state"] == "firing"}

    def _ask(self, path: str, **query: str) -> Any:
        url = f"{PROMETHEUS}/api/v1/{path}?{urllib.parse.urlencode(query)}"
        with urllib.request.urlopen(url, timeout=5) as answer:
            return json.load(answer)["data"]
