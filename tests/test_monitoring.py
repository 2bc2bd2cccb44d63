"""The metrics, alerts, dashboard, traces and log lines of a real worker."""

import asyncio
import gzip
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import urllib.parse
import urllib.request
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import promql_parser
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from embedded.web_ui import free_port
from telemetry import version
from tests.conftest import PATIENT, MakeSystem
from tests.support.programs import worker_process
from tests.support.rosters import roster_row, roster_text
from tests.support.system import (
    AGENCY,
    CONTACT,
    SECRET,
    System,
    eventually,
    facts,
    new_training_id,
    record_people,
)

ROOT = Path(__file__).resolve().parent.parent
MONITORING = ROOT / "deploy/monitoring"
needs_prometheus = pytest.mark.skipif(
    shutil.which("promtool") is None, reason="no Prometheus on PATH (apt install prometheus)"
)
MAILED = "MAILED1"
EXPRESSIONS = {
    f"{panel['title']} {target['refId']}": str(target["expr"])
    for panel in json.loads((MONITORING / "dashboard.json").read_text())["panels"]
    for target in panel["targets"]
}


class Prometheus:
    """A Prometheus server that scrapes one worker every second."""

    def __init__(self, folder: Path, worker: str) -> None:
        self.url = f"http://127.0.0.1:{free_port()}"
        # The alerts fire at once here; the rule tests check how long a fault must last.
        hasty = re.sub(r"> (?:900|3 \* 86400)\b", "> 1", (MONITORING / "alerts.yml").read_text())
        (folder / "alerts.yml").write_text(re.sub(r"for: \w+", "for: 0s", hasty))
        (folder / "prometheus.yml").write_text(
            "global: {scrape_interval: 1s, evaluation_interval: 1s}\nrule_files: [alerts.yml]\n"
            f"scrape_configs: [{{job_name: worker, static_configs: [{{targets: ['{worker}']}}]}}]\n"
        )
        self._process = subprocess.Popen(
            [
                "prometheus",
                f"--config.file={folder}/prometheus.yml",
                f"--storage.tsdb.path={folder}/prometheus",
                f"--web.listen-address={self.url.removeprefix('http://')}",
            ],
            stdout=subprocess.DEVNULL,
            stderr=(folder / "prometheus.log").open("wb"),
        )

    def ask(self, path: str, **query: str) -> Any:
        """Asks the API; returns None while the server starts."""
        url = f"{self.url}/api/v1/{path}?{urllib.parse.urlencode(query)}"
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                return json.load(answer)["data"]
        except OSError:
            return None

    async def value(self, expression: str) -> list[Any]:
        """The present values of an expression."""
        data = await asyncio.to_thread(self.ask, "query", query=expression)
        return data["result"] if data else []

    async def firing(self) -> set[str]:
        """The names of the alerts that fire."""
        data = await asyncio.to_thread(self.ask, "alerts")
        firing = [
            alert for alert in (data or {"alerts": []})["alerts"] if alert["state"] == "firing"
        ]
        return {alert["labels"]["alertname"] for alert in firing}

    def stop(self) -> None:
        """Ends the server."""
        self._process.send_signal(signal.SIGTERM)
        self._process.wait()


@contextmanager
def collector() -> Iterator[tuple[str, list[ExportTraceServiceRequest]]]:
    """Runs an OpenTelemetry collector; gives its address and the list of its requests."""
    taken: list[ExportTraceServiceRequest] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            taken.append(ExportTraceServiceRequest.FromString(body))
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            del format, args

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", taken
    finally:
        server.shutdown()


@needs_prometheus
def test_each_alert_fires_when_it_should_and_not_before() -> None:
    for words in (["check", "config", "prometheus.yml"], ["test", "rules", "alerts_test.yml"]):
        done = subprocess.run(
            ["promtool", *words], cwd=MONITORING, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr


def test_each_alert_is_tried_and_explained() -> None:
    names = set(re.findall(r"alert: (\w+)", (MONITORING / "alerts.yml").read_text()))
    tried = (MONITORING / "alerts_test.yml").read_text()
    assert names == set(re.findall(r"alertname: (\w+)\n        exp_alerts", tried))
    explained = re.findall(r"^\| `([A-Z]\w+)` \|", (ROOT / "docs/monitoring.md").read_text(), re.M)
    assert names == set(explained)


@pytest.mark.parametrize("expression", EXPRESSIONS.values(), ids=EXPRESSIONS.keys())
def test_the_dashboard_can_be_parsed(expression: str) -> None:
    promql_parser.parse(expression)


def test_one_release_has_one_name() -> None:
    compose = (ROOT / "docker-compose.yml").read_text()
    assert f"image: assister-portal-access:{version()}\n" in compose
    assert f"\n## {version()}" in (ROOT / "CHANGELOG.md").read_text()


@needs_prometheus
async def test_a_run_is_seen(make_system: MakeSystem, sqlite_url: str, tmp_path: Path) -> None:
    system = await make_system(sqlite_url)
    # The worker of the system under test polls another queue; only the watched one polls this one.
    system.settings.task_queue = f"watched-{new_training_id()}"
    metrics = f"127.0.0.1:{free_port()}"
    with collector() as (traces, taken):
        environment = {
            "TEMPORAL_ADDRESS": system.client.service_client.config.target_host,
            "ASSISTER_DATABASE_URL": sqlite_url,
            "ASSISTER_TASK_QUEUE": system.settings.task_queue,
            "ASSISTER_SMTP_PORT": str(system.settings.smtp_port),
            "ASSISTER_METRICS_ADDRESS": metrics,
            "OTEL_EXPORTER_OTLP_ENDPOINT": traces,
            "OTEL_BSP_SCHEDULE_DELAY": "200",
        }
        prometheus = Prometheus(tmp_path, metrics)
        try:
            async with worker_process(tmp_path, **environment) as worker:
                # Prometheus must see 0 first: otherwise the first refusal is no increase.
                await eventually(partial(prometheus.value, "assister_mail_attempts_total"), bool)
                await _work(system, environment, tmp_path)
                for expression in EXPRESSIONS.values():
                    await eventually(partial(prometheus.value, expression), bool)
                alerts = {"MailIsRefused", "NobodyActs", "MailWaits"}
                gone = {"NoWorker", "TargetDown"}
                # One scrape that came too late is a target that is down, until the next.
                await eventually(
                    prometheus.firing,
                    lambda firing: alerts <= firing and not gone & firing,
                    seconds=60,
                )
                worker.send_signal(signal.SIGTERM)
                await worker.wait()
                await eventually(prometheus.firing, lambda firing: gone <= firing, seconds=60)
        finally:
            prometheus.stop()
    _check_traces(taken)
    _check_log((tmp_path / "worker.log").read_text())


async def _work(system: System, environment: dict[str, str], folder: Path) -> None:
    """Causes a mail that is sent, one that the relay refuses, and one that it does not take now."""
    for each, reply in (("REFUSED", "554 5.7.1 policy"), ("WAITING", "451 4.3.0 later")):
        system.inbox.refusals[f"{each.lower()}@assisters.example.org"] = reply
    await record_people(system.database)
    roster = folder / "roster.csv"
    rows = [roster_row(person) for person in (MAILED, "REFUSED", "WAITING", "REJECTED-1")]
    roster.write_text(roster_text(*rows))
    submit = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PATIENT, "rosters", "submit", str(roster),
        "--agency", AGENCY, "--type", "navigator", "--by", CONTACT, "--wait",
        cwd=ROOT, env=os.environ | environment | {"ASSISTER_PORTAL_SECRET": SECRET},
    )  # fmt: skip
    assert await submit.wait() == 0
    for training_id in (MAILED, "REFUSED", "WAITING"):
        for name, fact in facts().items():
            if name != "roster_recorded":
                await system.tell(training_id, name, fact)


def _check_traces(taken: list[ExportTraceServiceRequest]) -> None:
    """Checks that a row of the roster and its mail are in one trace."""
    traces: dict[bytes, set[tuple[str, str]]] = defaultdict(set)
    for span in (
        span
        for request in taken
        for resource in request.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ):
        ids = [
            attribute.value.string_value
            for attribute in span.attributes
            if attribute.key == "temporalWorkflowID"
        ]
        traces[span.trace_id].add((span.name, ids[0] if ids else ""))
    [of_roster] = [spans for spans in traces.values() if "RunActivity:judge_roster" in dict(spans)]
    assert ("RunActivity:send_mail", f"assister-{MAILED}") in of_roster


def _check_log(log: str) -> None:
    lines = [json.loads(line) for line in log.splitlines()]
    assert "@" not in log
    failed = [line for line in lines if line.get("activity") == "send_mail"]
    assert {"workflow_id", "run_id", "attempt", "trace_id", "timestamp", "level"} <= failed[
        0
    ].keys()
    assert {line["workflow_id"] for line in failed} == {"assister-REFUSED", "assister-WAITING"}
