"""Logs, metrics and traces, of this code and of the libraries; none of them holds personal data.

Metrics and traces are off until they are asked for: by ``ASSISTER_METRICS_ADDRESS``, and by
OpenTelemetry's own ``OTEL_EXPORTER_OTLP_ENDPOINT``. docs/monitoring.md explains each.
"""

import logging
import os
import tomllib
from contextvars import ContextVar
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog
from temporalio import activity, workflow
from temporalio.common import MetricMeter
from temporalio.exceptions import ApplicationError
from temporalio.worker import (
    ActivityInboundInterceptor,
    ExecuteActivityInput,
    HandleSignalInput,
    HandleUpdateInput,
    Interceptor,
    StartActivityInput,
    WorkflowInboundInterceptor,
    WorkflowInterceptorClassInput,
    WorkflowOutboundInterceptor,
)

from policy.case import Stage
from policy.mails import MailKind
from workflows import steps

if TYPE_CHECKING:
    from temporalio.contrib.opentelemetry import TracingInterceptor
    from temporalio.runtime import Runtime

    from services.figures import Figures

TRACES_TO = "OTEL_EXPORTER_OTLP_ENDPOINT"
UNTIL_MAILED = "assister_requirement_to_activation_mail"
SHORT = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 3600.0)
"""Bucket limits in seconds: from a mail that goes out at once to one that waits for its relay."""
BUCKETS = {
    UNTIL_MAILED: SHORT,
    "temporal_workflow_task_schedule_to_start_latency": SHORT,
    "temporal_activity_schedule_to_start_latency": SHORT,
    "temporal_activity_execution_latency": SHORT,
}
OUTCOMES = {
    steps.ADDRESS_REFUSED: "address_refused",
    steps.MESSAGE_REFUSED: "message_refused",
    steps.NO_ADDRESS: "no_address",
    steps.IN_DOUBT: "in_doubt",
}
"""What became of a mail, by failure type. Any other type is a failed attempt that is retried."""
SENT, FAILED = "sent", "failed"
_step_trace: ContextVar[str] = ContextVar("_step_trace", default="")


@cache
def version() -> str:
    """The release that runs."""
    project = tomllib.loads((Path(__file__).parent / "pyproject.toml").read_text())["project"]
    return str(project["version"])


# Logs


def configure_logging() -> None:
    """One JSON line per event: what happened, where in which workflow, in which trace."""
    # Both would repeat ids and inputs in every message.
    workflow.logger.workflow_info_on_message = False
    activity.logger.activity_info_on_message = False
    shared: list[structlog.typing.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso"),
        structlog.stdlib.ExtraAdder(("temporal_workflow", "temporal_activity")),
        _place,
    ]
    if TRACES_TO in os.environ:
        shared.append(_trace)
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
    )
    handler = logging.StreamHandler()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                structlog.processors.JSONRenderer(),
            ],
            foreign_pre_chain=shared,
        )
    )
    logging.basicConfig(level=logging.INFO, handlers=[handler])


def _place(
    _logger: object, _method: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    """Adds the workflow, its run and the step: the SDK's lines carry them, ours look them up."""
    at = event.pop("temporal_workflow", {}) | event.pop("temporal_activity", {})
    if not at and activity.in_activity():
        info = activity.info()
        at = {
            "workflow_id": info.workflow_id,
            "workflow_run_id": info.workflow_run_id,
            "activity_type": info.activity_type,
            "attempt": info.attempt,
        }
    for name, given in (
        ("workflow_id", "workflow_id"),
        ("run_id", "workflow_run_id"),
        ("run_id", "run_id"),
        ("activity", "activity_type"),
        ("attempt", "attempt"),
    ):
        if given in at:
            event[name] = at[given]
    return event


def _trace(
    _logger: object, _method: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    if trace_id := _current_trace() or _step_trace.get():
        event["trace_id"] = trace_id
    return event


# Traces


@cache
def tracing() -> "TracingInterceptor":
    """Spans of every call to Temporal, every workflow and step, sent to ``TRACES_TO``."""
    from opentelemetry import trace
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    from temporalio.contrib.opentelemetry import TracingInterceptor

    provider = TracerProvider(resource=Resource.create({"service.version": version()}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
    return TracingInterceptor()


def _current_trace() -> str:
    from opentelemetry import trace

    span = trace.get_current_span().get_span_context()
    return f"{span.trace_id:032x}" if span.is_valid else ""


class Traced(Interceptor):
    """Remembers a step's trace: the SDK logs its failure when the step's span has ended."""

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:
        """Inside the span, which the client's interceptor begins."""
        return _TracedStep(next)


class _TracedStep(ActivityInboundInterceptor):
    async def execute_activity(self, input: ExecuteActivityInput) -> Any:
        _step_trace.set(_current_trace())
        return await super().execute_activity(input)


# Metrics


def make_runtime(metrics_address: str) -> "Runtime":
    """The SDK's runtime: its lines join the log, its metrics and ours are at ``/metrics``.

    Args:
        metrics_address: The address at which they are shown; empty: none.

    Raises:
        ValueError: If nothing can listen there.
    """
    from temporalio.runtime import (
        LogForwardingConfig,
        LoggingConfig,
        PrometheusConfig,
        Runtime,
        TelemetryConfig,
        TelemetryFilter,
    )

    metrics = PrometheusConfig(
        bind_address=metrics_address,
        counters_total_suffix=True,
        unit_suffix=True,
        durations_as_seconds=True,
        histogram_bucket_overrides=BUCKETS,
    )
    return Runtime(
        telemetry=TelemetryConfig(
            logging=LoggingConfig(
                filter=TelemetryFilter(core_level="WARN", other_level="ERROR"),
                # Otherwise they go to standard output, in another format.
                forwarding=LogForwardingConfig(logger=logging.getLogger("temporalio.core")),
            ),
            metrics=metrics if metrics_address else None,
        )
    )


class Gauges:
    """The figures as gauges: every worker shows the same."""

    def __init__(self, meter: MetricMeter) -> None:
        meter.create_gauge("assister_build_info", "Always 1; the label names the release.").set(
            1, {"version": version()}
        )
        self._gauges = {
            name: meter.create_gauge_float(f"assister_{name}", text)
            for name, text in {
                "cases": "Open cases, by stage.",
                "roster_rows": "Roster rows, by verdict.",
                "mails": "Mails in the outbox, by state.",
                "mail_oldest_seconds": "How long the oldest mail has waited that can still go out.",
                "attention": "Cases and rosters that need a person.",
                "attention_oldest_seconds": "How long the oldest of them has needed one.",
                "backlog": "Activations and results that their case has not been told of.",
                "backlog_oldest_seconds": "How long the oldest result has waited for its case.",
                "figures_at_seconds": "When these figures were taken, in seconds since 1970.",
            }.items()
        }

    def show(self, figures: "Figures", now: datetime) -> None:
        """Sets every gauge."""
        for stage in Stage:
            self._set("cases", figures.cases.get(stage, 0), stage=stage)
        for verdict, count in figures.rows.items():
            self._set("roster_rows", count, verdict=verdict)
        for state, count in figures.mails.items():
            self._set("mails", count, state=state)
        for what, count in figures.backlog.items():
            self._set("backlog", count, what=what)
        self._set("attention", figures.attention)
        for name, since in (
            ("mail_oldest_seconds", figures.mail_since),
            ("attention_oldest_seconds", figures.attention_since),
            ("backlog_oldest_seconds", figures.backlog_since),
        ):
            self._set(name, max(0.0, (now - since).total_seconds()) if since else 0)
        self._set("figures_at_seconds", now.timestamp())

    def _set(self, name: str, value: float, **labels: str) -> None:
        self._gauges[name].set(value, labels)


class Measured(Interceptor):
    """Counts mails by result, and measures the time from a case's last requirement to its mail."""

    def __init__(self, meter: MetricMeter) -> None:
        self._mails = meter.create_counter(
            "assister_mail_attempts", "Attempts to send a mail, by kind and outcome."
        )
        # A counter that first appears with a failure would not show that failure as an increase.
        for kind in MailKind:
            for outcome in (SENT, FAILED, *OUTCOMES.values()):
                self._mails.add(0, {"kind": kind, "outcome": outcome})

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:
        """Counts the result of the step that sends mail."""
        return _Mails(next, self._mails)

    def workflow_interceptor_class(
        self, input: WorkflowInterceptorClassInput
    ) -> type[WorkflowInboundInterceptor]:
        """The interceptor for each run of a workflow."""
        del input
        return _Timed


class _Mails(ActivityInboundInterceptor):
    def __init__(self, next: ActivityInboundInterceptor, mails: Any) -> None:
        super().__init__(next)
        self._mails = mails

    async def execute_activity(self, input: ExecuteActivityInput) -> Any:
        if activity.info().activity_type != steps.SEND_MAIL.name:
            return await super().execute_activity(input)
        outcome = FAILED
        try:
            answer = await super().execute_activity(input)
            outcome = SENT
            return answer
        except ApplicationError as error:
            # Without room, nothing was attempted.
            outcome = "" if error.type == steps.NO_ROOM else OUTCOMES.get(error.type or "", FAILED)
            raise
        finally:
            if outcome:
                self._mails.add(1, {"kind": input.args[0].kind, "outcome": outcome})


class _Timed(WorkflowInboundInterceptor):
    """Notes when a case was last told of something, until its activation mail is out.

    It reads only the workflow's clock, and the SDK counts nothing twice in a replay.
    """

    told_at: datetime | None = None

    def init(self, outbound: WorkflowOutboundInterceptor) -> None:
        super().init(_Mailing(outbound, self))

    async def handle_signal(self, input: HandleSignalInput) -> None:
        self.told_at = workflow.now()
        await super().handle_signal(input)

    async def handle_update_handler(self, input: HandleUpdateInput) -> Any:
        # An order of staff is not a requirement.
        self.told_at = None
        return await super().handle_update_handler(input)


class _Mailing(WorkflowOutboundInterceptor):
    def __init__(self, next: WorkflowOutboundInterceptor, timed: _Timed) -> None:
        super().__init__(next)
        self._timed = timed

    def start_activity(self, input: StartActivityInput) -> "workflow.ActivityHandle[Any]":
        handle = super().start_activity(input)
        told_at = self._timed.told_at
        if (
            told_at is not None
            and input.activity == steps.SEND_MAIL.name
            and input.args[0].kind == MailKind.ACTIVATION
        ):
            self._timed.told_at = None
            histogram = workflow.metric_meter().create_histogram_timedelta(
                UNTIL_MAILED, "From the last requirement met to the activation mail.", "duration"
            )

            def sent(done: "workflow.ActivityHandle[Any]") -> None:
                if not done.cancelled() and done.exception() is None:
                    histogram.record(workflow.now() - told_at)

            handle.add_done_callback(sent)
        return handle
