"""Targets for the gateway's input: configured exports, signed events, xAPI statements."""

import json
import tempfile
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from starlette.exceptions import HTTPException

from gateway import portal_events, training_events, xapi
from gateway.strict_json import BadJson, loads
from intake.files import UnreadableFile
from intake.sources import ExportFormat
from intake.webhooks import Unsigned, open_envelope
from intake.xapi import BadStatement, StatementFormat, read_statement
from policy.requirements import AssessmentScored

NOW = datetime(2026, 11, 2, 21, tzinfo=UTC)
SEPARATOR = "\x1f"
HOME = "https://x.org"
EXPORTS = [
    ExportFormat(),
    ExportFormat.model_validate({"event": "assessment", "scale": "fraction"}),
    ExportFormat.model_validate(
        {
            "columns": {"score": "Points", "maximum": "Of"},
            "scale": "points",
            "date_format": "%m/%d/%Y %I:%M %p",
            "zone": "America/New_York",
        }
    ),
]
STATEMENTS = StatementFormat.model_validate(
    {
        "home_page": HOME,
        "activities": {f"{HOME}/q": {"event": "assessment"}, f"{HOME}/c": {"event": "training"}},
    }
)


def exports(data: bytes) -> None:
    """Every row gets a verdict, and no score is rounded up."""
    form = EXPORTS[data[0] % len(EXPORTS)] if data else EXPORTS[0]
    with tempfile.TemporaryDirectory() as folder, suppress(UnreadableFile):
        path = Path(folder) / "export"
        path.write_bytes(data[1:])
        for verdict in form.judge(form.read(path), NOW):
            assert (verdict.fact is None) is bool(verdict.reasons)
            if isinstance(verdict.fact, AssessmentScored):
                assert 0 <= verdict.fact.score <= 100
                assert "E" not in str(verdict.fact.score)
            json.dumps(verdict.public()).encode()


def signed_events(data: bytes) -> None:
    """Headers are well formed or refused; an event is refused, or a case takes it."""
    head, _, body = data.partition(b"\n")
    words = [*head.decode("latin-1").split(SEPARATOR), "", "", ""]
    names = ("webhook-id", "webhook-timestamp", "webhook-signature")
    with suppress(Unsigned):
        envelope = open_envelope(dict(zip(names, words, strict=False)), NOW)
        envelope.signer(body, [("lms", b"x" * 32)])
    with suppress(HTTPException):
        event = training_events.read_event(body)
        if event is not None:
            fact = training_events.fact_of("lms", "msg_1", event, NOW)
            assert type(fact).model_validate(fact.model_dump(mode="json")) == fact


def portals_events(data: bytes) -> None:
    """An event is refused, or names an assister and a time that is not in the future."""
    with suppress(HTTPException):
        event = portal_events.read_event(data)
        if event is not None:
            assert len(event.data.training_id) == 7
            assert portal_events.happened(event.timestamp, NOW) <= NOW


def statements(data: bytes) -> None:
    """A statement is refused, or valid; the order of its fields does not change its digest."""
    with suppress(BadJson, BadStatement):
        value = loads(data)
        statement = read_statement(value, "2.0.0")
        assert xapi.digest_of(value) == xapi.digest_of(dict(reversed(value.items())))
        assert xapi.occurred_at(statement, NOW) <= NOW
        reading = STATEMENTS.read(statement)
        if reading is not None and reading.score is not None:
            AssessmentScored(event_id="e", occurred_at=NOW, score=reading.score)


SEEDS = {
    exports: [
        b"\x00Training ID,Event,Date,Score\nNAV1001,assessment,2026-11-02,69.99999999999999999\n",
        b"\x01Training ID;Date;Score\nNAV1001;2026-11-02T15:04:00-06:00;0.7\n",
        b"\x02Training ID\tEvent\tDate\tPoints\tOf\nA\tassessment\t11/02/2026 3:04 PM\t1e9\t0\n",
    ],
    signed_events: [
        b"msg_1\x1f1793653200\x1fv1,AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n"
        + json.dumps(training_events.EXAMPLE).encode(),
        b'm\x1f1e9\x1fv1,a\n{"type": "result.voided", "timestamp": "2026-11-02T15:04:00-06:00",'
        b' "data": {"training_id": "NAV1001", "voids": "msg_1"}}',
        b'\n{"type": "certification.recorded", "timestamp": "0001-01-01T00:00:00Z",'
        b' "data": {"training_id": "NAV1001", "certified": true, "valid_through": "9999-12-31"}}',
    ],
    portals_events: [
        json.dumps(portal_events.EXAMPLE).encode(),
        b'{"type": "account.closed", "timestamp": "0001-01-01T00:00:00Z",'
        b' "data": {"training_id": "NAV1001"}}',
    ],
    statements: [
        b'{"actor": {"account": {"homePage": "https://x.org", "name": "NAV1001"}}, "verb": {"id":'
        b' "http://adlnet.gov/expapi/verbs/passed"}, "object": {"id": "https://x.org/q"},'
        b' "result": {"score": {"raw": 7e1, "min": 0, "max": 100, "scaled": 0.7}},'
        b' "timestamp": "0001-01-01T00:00:00+14:00"}',
        b'{"actor": {"objectType": "Group", "member": [{"mbox": "mailto:a@x.org"}]}, "verb": {"id":'
        b' "http://adlnet.gov/expapi/verbs/voided"}, "object": {"objectType": "StatementRef",'
        b' "id": "6690e6c9-3ef0-4ed3-8b37-7f3964730bee"}}',
    ],
}
