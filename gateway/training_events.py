"""POST /training/events: results one by one, as signed events (Standard Webhooks 1.0.0).

What is answered 202 is in the records, under the source and the event's id: a repetition changes
nothing. Only the source of an event can void it.
"""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Annotated, Literal

import structlog
from fastapi import APIRouter, Request
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    StringConstraints,
    TypeAdapter,
    WithJsonSchema,
)
from starlette.exceptions import HTTPException

from gateway.callers import connections
from gateway.problems import described
from gateway.signed import described_signed, read_signed, sent_event, signer
from intake.scores import percent
from policy.requirements import (
    AssessmentScored,
    CertificationRecorded,
    CourseId,
    Fact,
    LastDay,
    Moment,
    ResultVoided,
    TrainingCompleted,
    TrainingId,
)
from policy.terms import PORTAL_COURSE
from records.inbox import Incoming, Receipt, receive
from records.keys import Kind
from settings import Settings

router = APIRouter(tags=["training systems"])

CLOCKS = timedelta(minutes=5)
"""How far the sender's clock may be ahead."""


def _number(value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise ValueError("must be a number")
    return percent(Decimal(value), Decimal(100)) if 0 <= value <= 100 else value


def _text(value: object) -> object:
    if value is not None and not isinstance(value, str):
        raise ValueError("must be a text")
    return value


Score = Annotated[
    Decimal,
    Field(ge=0, le=100),
    BeforeValidator(_number),
    WithJsonSchema({"type": "number", "minimum": 0, "maximum": 100}),
]
"""In percent; a JSON number."""
When = Annotated[
    Moment,
    BeforeValidator(_text),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]
Day = Annotated[LastDay | None, BeforeValidator(_text)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Training(_Strict):
    """A course completed."""

    training_id: TrainingId
    course: CourseId = PORTAL_COURSE


class Assessment(_Strict):
    """An attempt at a course's assessment."""

    training_id: TrainingId
    score: Score
    course: CourseId = PORTAL_COURSE


class Certification(_Strict):
    """The state of a certification; the day is the last valid one."""

    training_id: TrainingId
    certified: StrictBool
    valid_through: Day = None


class Void(_Strict):
    """A result taken back: the id of the event that brought it."""

    training_id: TrainingId
    voids: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.:-]{1,59}$")]


class _Event(_Strict):
    timestamp: When
    """When it happened."""


class TrainingCompletedEvent(_Event):
    """`training.completed`"""

    type: Literal["training.completed"]
    data: Training


class AssessmentScoredEvent(_Event):
    """`assessment.scored`"""

    type: Literal["assessment.scored"]
    data: Assessment


class CertificationRecordedEvent(_Event):
    """`certification.recorded`"""

    type: Literal["certification.recorded"]
    data: Certification


class ResultVoidedEvent(_Event):
    """`result.voided`"""

    type: Literal["result.voided"]
    data: Void


Event = Annotated[
    TrainingCompletedEvent | AssessmentScoredEvent | CertificationRecordedEvent | ResultVoidedEvent,
    Field(discriminator="type"),
]
FACTS: dict[str, type[Fact]] = {
    "training.completed": TrainingCompleted,
    "assessment.scored": AssessmentScored,
    "certification.recorded": CertificationRecorded,
    "result.voided": ResultVoided,
}
_events: TypeAdapter[Event] = TypeAdapter(Event)

EXAMPLE = {
    "type": "assessment.scored",
    "timestamp": "2026-11-02T15:04:00-06:00",
    "data": {"training_id": "NAV1001", "score": 82.5},
}


class Received(BaseModel):
    """What became of an event; of a type that is not ours, nothing."""

    status: Literal["recorded", "repeated", "ignored"]


@router.post(
    "/training/events",
    status_code=202,
    summary="Send one result as a signed event",
    responses=described(400, 401, 408, 409, 413, 415, 422, 503),
    openapi_extra=described_signed(_events.json_schema(), EXAMPLE),
)
async def training_events(request: Request) -> Received:
    """Signed as Standard Webhooks 1.0.0 says. Send it again until it is answered: a repetition
    changes nothing. An event of a type that is not listed is answered 202 and ignored.
    """
    now = datetime.now(UTC)
    settings: Settings = request.app.state.settings
    given = [
        (source, each.get_secret_value())
        for source, secrets in settings.event_secrets.items()
        for each in secrets
    ]
    # The busiest door: FastAPI's way to a dependency takes as long as a statement.
    to = connections(request)
    sent = await sent_event(request, now)
    identity = sent.envelope.id
    async with to.database.statements() as connection:
        source = await signer(connection, request, sent, Kind.EVENTS, now, given)
        event = read_event(sent.body)
        if event is None:
            return Received(status="ignored")
        fact = fact_of(source, identity, event, now)
        incoming = Incoming(source, identity, event.data.training_id, fact)
        [receipt] = await receive(connection, [incoming], now)
    if receipt is Receipt.CONFLICT:
        structlog.get_logger().warning("event id used twice", source=source, event_id=identity)
        raise HTTPException(409, "this webhook-id came before, with other content")
    return Received(status="recorded" if receipt is Receipt.NEW else "repeated")


def read_event(body: bytes) -> Event | None:
    """The event; None if its type is not one of ours."""
    return read_signed(body, _events, FACTS)


def fact_of(source: str, identity: str, event: Event, now: datetime) -> Fact:
    if event.timestamp > now + CLOCKS:
        raise HTTPException(422, "timestamp: lies in the future")
    said = event.data.model_dump(exclude={"training_id"})
    if "voids" in said:
        # Its own events only: another source's begin with another name.
        said["voids"] = f"{source}:{said['voids']}"
    return FACTS[event.type](
        event_id=f"{source}:{identity}", occurred_at=min(event.timestamp, now), **said
    )
