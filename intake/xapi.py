"""xAPI statements (1.0.3 and 2.0): which are valid, and what they say of an assister.

A learning system sends statements about everybody and everything. Each valid one is kept. A
statement about a configured course by a person who is identified by their Training ID is also a
result.
"""

import re
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    StrictBool,
    StringConstraints,
    Tag,
    ValidationError,
    model_validator,
)

from intake.scores import percent
from policy.requirements import CourseId
from policy.roster import TRAINING_ID
from policy.terms import PORTAL_COURSE

VERBS = "http://adlnet.gov/expapi/verbs/"
VOIDED = f"{VERBS}voided"
COMPLETED = {f"{VERBS}completed", f"{VERBS}passed"}
SCORED = {f"{VERBS}{each}" for each in ("passed", "failed", "completed", "scored")}

N = r"\d+(\.\d+)?"
DURATION = re.compile(
    rf"P(?=.*\d[A-Z]$)({N}W|({N}Y)?({N}M)?({N}D)?(T(?=\d)({N}H)?({N}M)?({N}S)?)?)"
)


class BadStatement(ValueError):
    """Not a valid statement; the text says where and why."""


# What a valid statement is made of


def _moment(text: str) -> str:
    try:
        datetime.fromisoformat(text.upper())
    except ValueError:
        raise ValueError("is no moment") from None
    if text.endswith(("-00:00", "-0000", "-00")):
        raise ValueError("has the offset -00:00")
    return text


def _duration(text: str) -> str:
    if not DURATION.fullmatch(text):
        raise ValueError("is no duration such as PT1H30M")
    return text


def _number(value: object) -> object:
    if type(value) is int:
        return Decimal(value)
    if not isinstance(value, Decimal):
        raise ValueError("must be a number")
    return value


Iri = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9+.-]*:[^\s<>\"{}|\\^`]+$")]
Uuid = Annotated[
    str,
    StringConstraints(
        pattern=r"^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[1-5][0-9a-fA-F]{3}-[89abAB][0-9a-fA-F]{3}-[0-9a-fA-F]{12}$"
    ),
]
Moment = Annotated[
    str,
    StringConstraints(
        pattern=r"^\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d(:?\d\d)?)$"
    ),
    AfterValidator(_moment),
]
Duration = Annotated[str, AfterValidator(_duration)]
Language = Annotated[
    str,
    StringConstraints(pattern=r"^([A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*|[xXiI](-[A-Za-z0-9]{1,8})+)$"),
]
LanguageMap = dict[Language, str]
Extensions = dict[Iri, Any]
Number = Annotated[Decimal, BeforeValidator(_number)]
Version = Annotated[str, StringConstraints(pattern=r"^(1|2)\.0(\.\d+)?$")]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class Account(_Part):
    """An account in some system."""

    homePage: Iri  # noqa: N815
    name: Annotated[str, StringConstraints(min_length=1)]


class _Identified(_Part):
    name: str | None = None
    mbox: Annotated[str, StringConstraints(pattern=r"^mailto:[^\s@]+@[^\s@]+$")] | None = None
    mbox_sha1sum: Annotated[str, StringConstraints(pattern=r"^[0-9a-fA-F]{40}$")] | None = None
    openid: Iri | None = None
    account: Account | None = None

    @property
    def identifiers(self) -> int:
        """How many identifiers it has; exactly one identifies an agent."""
        each = (self.mbox, self.mbox_sha1sum, self.openid, self.account)
        return sum(value is not None for value in each)


class Agent(_Identified):
    """One person or system."""

    objectType: Literal["Agent"] = "Agent"  # noqa: N815

    @model_validator(mode="after")
    def _one_identifier(self) -> "Agent":
        if self.identifiers != 1:
            raise ValueError("an agent has exactly one identifier")
        return self


class Group(_Identified):
    """Several agents."""

    objectType: Literal["Group"]  # noqa: N815
    member: list[Agent] | None = None

    @model_validator(mode="after")
    def _named_or_listed(self) -> "Group":
        if self.identifiers > 1 or not (self.identifiers or self.member):
            raise ValueError("a group has one identifier, or members")
        return self


class Verb(_Part):
    """What was done."""

    id: Iri
    display: LanguageMap = {}


class Component(_Part):
    """A part of an interaction."""

    id: Annotated[str, StringConstraints(min_length=1)]
    description: LanguageMap = {}


class Definition(_Part):
    """The description of an activity."""

    name: LanguageMap = {}
    description: LanguageMap = {}
    type: Iri | None = None
    moreInfo: Iri | None = None  # noqa: N815
    interactionType: (  # noqa: N815
        Literal[
            "true-false",
            "choice",
            "fill-in",
            "long-fill-in",
            "matching",
            "performance",
            "sequencing",
            "likert",
            "numeric",
            "other",
        ]
        | None
    ) = None
    correctResponsesPattern: list[str] = []  # noqa: N815
    choices: list[Component] = []
    scale: list[Component] = []
    source: list[Component] = []
    target: list[Component] = []
    steps: list[Component] = []
    extensions: Extensions = {}

    @model_validator(mode="after")
    def _is_an_interaction(self) -> "Definition":
        components = (self.choices, self.scale, self.source, self.target, self.steps)
        if self.interactionType is None and (any(components) or self.correctResponsesPattern):
            raise ValueError("an interaction says its interactionType")
        return self


class Activity(_Part):
    """The activity that a statement is about."""

    objectType: Literal["Activity"] = "Activity"  # noqa: N815
    id: Iri
    definition: Definition | None = None


class StatementRef(_Part):
    """Another statement."""

    objectType: Literal["StatementRef"]  # noqa: N815
    id: Uuid


class Score(_Part):
    """The score of a result."""

    scaled: Annotated[Number, Field(ge=-1, le=1)] | None = None
    raw: Number | None = None
    min: Number | None = None
    max: Number | None = None

    @model_validator(mode="after")
    def _in_order(self) -> "Score":
        known = [each for each in (self.min, self.raw, self.max) if each is not None]
        if known != sorted(known) or (self.min is not None and self.min == self.max):
            raise ValueError("raw lies between min and max, and min below max")
        return self


class Result(_Part):
    """The outcome of a statement."""

    score: Score | None = None
    success: StrictBool | None = None
    completion: StrictBool | None = None
    response: str | None = None
    duration: Duration | None = None
    extensions: Extensions = {}


def _listed(value: Any) -> Any:
    return value if isinstance(value, list) else [value]


def _kind_or(otherwise: str) -> Discriminator:
    def kind(value: Any) -> Any:
        return value.get("objectType", otherwise) if isinstance(value, Mapping) else otherwise

    return Discriminator(kind)


Actor = Annotated[
    Annotated[Agent, Tag("Agent")] | Annotated[Group, Tag("Group")], _kind_or("Agent")
]
Activities = Annotated[list[Activity], BeforeValidator(_listed)]


class ContextActivities(_Part):
    """Activities around the one that a statement is about."""

    parent: Activities = []
    grouping: Activities = []
    category: Activities = []
    other: Activities = []


class ContextAgent(_Part):
    """An agent who took part (2.0)."""

    objectType: Literal["contextAgent"]  # noqa: N815
    agent: Agent
    relevantTypes: Annotated[list[Iri], Field(min_length=1)] | None = None  # noqa: N815


class ContextGroup(_Part):
    """A group that took part (2.0)."""

    objectType: Literal["contextGroup"]  # noqa: N815
    group: Group
    relevantTypes: Annotated[list[Iri], Field(min_length=1)] | None = None  # noqa: N815


class Context(_Part):
    """The context of a statement."""

    registration: Uuid | None = None
    instructor: Actor | None = None
    team: Group | None = None
    contextActivities: ContextActivities | None = None  # noqa: N815
    contextAgents: list[ContextAgent] = []  # noqa: N815
    contextGroups: list[ContextGroup] = []  # noqa: N815
    revision: str | None = None
    platform: str | None = None
    language: Language | None = None
    statement: StatementRef | None = None
    extensions: Extensions = {}


class Attachment(_Part):
    """A file that belongs to a statement."""

    usageType: Iri  # noqa: N815
    display: LanguageMap
    description: LanguageMap = {}
    contentType: Annotated[  # noqa: N815
        str, StringConstraints(pattern=r"^[\w.+-]+/[\w.+-]+(\s*;.*)?$")
    ]
    length: Annotated[int, Field(ge=0)]
    sha2: Annotated[str, StringConstraints(pattern=r"^[0-9a-fA-F]{64}$")]
    fileUrl: Iri | None = None  # noqa: N815


class _Said(_Part):
    actor: Actor
    verb: Verb
    result: Result | None = None
    context: Context | None = None
    timestamp: Moment | None = None
    attachments: list[Attachment] = []


_Simple = (
    Annotated[Activity, Tag("Activity")]
    | Annotated[Agent, Tag("Agent")]
    | Annotated[Group, Tag("Group")]
    | Annotated[StatementRef, Tag("StatementRef")]
)


class SubStatement(_Said):
    """A statement inside another one; it does not claim that it happened."""

    objectType: Literal["SubStatement"]  # noqa: N815
    object: Annotated[_Simple, _kind_or("Activity")]

    @model_validator(mode="after")
    def _fits(self) -> "SubStatement":
        _check_context(self.context, self.object)
        return self


class Statement(_Said):
    """A statement: somebody did something."""

    id: Uuid | None = None
    object: Annotated[_Simple | Annotated[SubStatement, Tag("SubStatement")], _kind_or("Activity")]
    stored: Moment | None = None
    authority: Actor | None = None
    version: Version | None = None

    @model_validator(mode="after")
    def _fits(self) -> "Statement":
        _check_context(self.context, self.object)
        if self.verb.id == VOIDED and not isinstance(self.object, StatementRef):
            raise ValueError("a voiding statement's object is a StatementRef")
        return self


def _check_context(context: Context | None, thing: object) -> None:
    if context is None or isinstance(thing, Activity):
        return
    if context.revision is not None or context.platform is not None:
        raise ValueError("revision and platform belong to an activity")


def read_statement(value: Any, version: str) -> Statement:
    """Reads and validates a statement.

    Args:
        value: As `gateway.strict_json` reads it: numbers are decimals.
        version: Of xAPI, as the request names it.

    Raises:
        BadStatement: If it is not valid.
    """
    _refuse_null(value)
    try:
        statement = Statement.model_validate(value)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise BadStatement(f"{where}: {first['msg']}") from None
    context = statement.context
    if context and (context.contextAgents or context.contextGroups) and version.startswith("1."):
        raise BadStatement("contextAgents and contextGroups belong to version 2.0")
    if statement.version and statement.version[:3] != version[:3]:
        raise BadStatement("version: is not that of the request")
    return statement


def _refuse_null(value: Any) -> None:
    match value:
        case None:
            raise BadStatement("null is no value of a statement, outside of extensions")
        case list():
            for each in value:
                _refuse_null(each)
        case dict():
            for name, each in value.items():
                if name != "extensions":
                    _refuse_null(each)


# What one says of an assister


class Meaning(BaseModel):
    """The meaning of one of a source's activities."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    event: Literal["training", "assessment"]
    course: CourseId = PORTAL_COURSE


class StatementFormat(BaseModel):
    """How one learning system writes its statements.

    Attributes:
        home_page: The account.homePage under which account.name is the Training ID.
        activities: The meaning of each activity's IRI; other activities are ignored.
        score: The field that counts. If none is named, it is raw between min and max if all three
            are there, otherwise scaled: some write 70 of 100 as scaled 0.7, others as 0.4.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    home_page: str
    activities: dict[str, Meaning] = {}
    score: Literal["raw", "scaled"] | None = None

    def read(self, statement: Statement) -> "Reading | None":
        """What a statement says of an assister; None if it says nothing of one."""
        training_id = self._training_id(statement.actor)
        meaning = self._meaning(statement)
        if training_id is None or meaning is None:
            return None
        if meaning.event == "training":
            said = statement.verb.id in COMPLETED
            return Reading(training_id, meaning.course) if said else None
        score = self._percent(statement.result.score) if statement.result else None
        # Completed, or even passed, without a score is not an assessment (cmi5: completed, waived).
        if statement.verb.id not in SCORED or score is None:
            return None
        return Reading(training_id, meaning.course, score)

    def _training_id(self, actor: Agent | Group) -> str | None:
        account = actor.account
        if not isinstance(actor, Agent) or account is None or account.homePage != self.home_page:
            return None
        training_id = account.name.strip().upper()
        return training_id if TRAINING_ID.fullmatch(training_id) else None

    def _meaning(self, statement: Statement) -> Meaning | None:
        if not isinstance(statement.object, Activity):
            return None
        around = statement.context.contextActivities if statement.context else None
        # Moodle names the attempt as the object and the quiz as its parent.
        parents = [each.id for each in around.parent] if around else []
        named = (self.activities.get(each) for each in (statement.object.id, *parents))
        return next((each for each in named if each), None)

    def _percent(self, score: Score | None) -> Decimal | None:
        if score is None:
            return None
        raw, low, high = score.raw, score.min, score.max
        if self.score != "scaled" and raw is not None and low is not None and high is not None:
            return percent(raw, high, low)
        if self.score == "raw" or score.scaled is None:
            return None
        return percent(max(score.scaled, Decimal(0)), Decimal(1))


class Reading(NamedTuple):
    """A result: without a score a completed training, with one an assessment."""

    training_id: str
    course: str
    score: Decimal | None = None
