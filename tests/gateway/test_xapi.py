"""/xapi/statements, with the client from PyPI as the sender, and with invalid statements."""

import asyncio
import json
import uuid
from typing import Any

import httpx2
import pytest
import tincan  # type: ignore[import-untyped]
from sqlmodel import select

from activities.results import relay_results
from gateway.strict_json import loads
from intake.xapi import BadStatement, read_statement
from records.tables import ResultEvent
from tests.support.conditions import met, unmet
from tests.support.gateway import Gateway, Serving
from tests.support.statements import COURSE, FORMAT, HOME, QUIZ, VERBS, statement
from tests.support.system import System, new_training_id

PATH = "/xapi/statements"
ONE, TWO = {"X-Experience-API-Version": "1.0.3"}, {"X-Experience-API-Version": "2.0.0"}


def void(target: str) -> dict[str, Any]:
    return statement(did="voided", object={"objectType": "StatementRef", "id": target})


def new_id() -> str:
    return str(uuid.uuid4())


class Lms:
    """A learning system with a key."""

    def __init__(self, gateway: Gateway, key: dict[str, str]) -> None:
        self._gateway, self._headers = gateway, ONE | key

    async def post(self, sent: Any, **headers: str) -> httpx2.Response:
        content = sent if isinstance(sent, bytes) else json.dumps(sent).encode()
        given = {k.replace("_", "-"): v for k, v in headers.items()}
        all_headers = {"Content-Type": "application/json"} | self._headers | given
        return await self._gateway.client.post(PATH, content=content, headers=all_headers)

    async def put(self, identity: str, sent: Any) -> httpx2.Response:
        return await self._gateway.client.put(
            PATH, params={"statementId": identity}, json=sent, headers=self._headers
        )

    async def get(self, **asked: str) -> httpx2.Response:
        return await self._gateway.client.get(PATH, params=asked, headers=self._headers)


@pytest.fixture
async def xapi(serve: Serving) -> Any:
    async with serve(statements={"lms": FORMAT, "other": FORMAT}) as gateway:
        yield gateway


@pytest.fixture
async def lms(xapi: Gateway) -> Lms:
    return Lms(xapi, await xapi.key("lms"))


async def relay(system: System) -> None:
    settings = system.settings
    await relay_results(system.database, system.client, settings.task_queue, settings.terms)


async def test_a_statement_reaches_its_case_once(system: System, lms: Lms) -> None:
    training_id, identity = new_training_id(), new_id()
    sent = statement(training_id, id=identity)
    answers = await asyncio.gather(*(lms.post(sent) for _ in range(4)))
    assert [answer.json() for answer in answers] == [[identity]] * 4
    done = statement(training_id, "completed", object={"id": COURSE}, result={"completion": True})
    assert (await lms.post([done, statement("somebody@x.org")])).status_code == 200
    await relay(system)
    await system.until(
        training_id,
        lambda s: s.requirements["assessment"].met and s.requirements["training"].met,
    )
    back = (await lms.get(statementId=identity)).json()
    assert back["authority"]["account"]["name"] == "lms"
    assert back["result"] == sent["result"]


async def test_only_its_source_voids_a_statement_whenever_the_void_comes(
    system: System, xapi: Gateway, lms: Lms
) -> None:
    stranger = Lms(xapi, await xapi.key("other"))
    training_id, first, second = new_training_id(), new_id(), new_id()
    await lms.post(statement(training_id, id=first))
    assert (await stranger.post(void(first))).status_code == 403
    await relay(system)
    await system.until(training_id, met("assessment"))
    assert (await stranger.get(statementId=first)).status_code == 404
    [voiding] = (await lms.post(void(first))).json()
    await relay(system)
    await system.until(training_id, unmet("assessment"))
    assert (await lms.get(statementId=first)).status_code == 404
    assert (await lms.get(voidedStatementId=first)).status_code == 200
    assert (await lms.post(void(voiding))).status_code == 400
    # The second statement's void comes before it. A void of another source has no effect.
    assert (await lms.post(void(second))).status_code == 200
    await lms.post(statement(training_id, id=second))
    await relay(system)
    assert (await lms.get(voidedStatementId=second)).status_code == 200
    assert not (await system.status(training_id)).requirements["assessment"].met


async def test_a_batch_is_all_or_nothing(lms: Lms) -> None:
    good, taken = new_id(), new_id()
    assert (await lms.put(taken, statement())).status_code == 204
    for bad in (statement(verb={}), statement("NAV1002", id=taken), statement(id=good), void("x")):
        answer = await lms.post([statement(id=good), bad])
        assert answer.status_code in (400, 409), answer.text
    assert (await lms.get(statementId=good)).status_code == 404


async def test_known_ids(lms: Lms) -> None:
    identity = new_id()
    first = statement(id=identity, verb={"id": VERBS + "passed", "display": {"en": "passed"}})
    assert (await lms.put(identity, first)).status_code == 204
    same = {
        **dict(reversed(first.items())),
        "verb": {"id": VERBS + "passed"},
        "object": {"id": QUIZ, "definition": {"name": {"en": "A quiz"}}},
        "timestamp": "2026-01-05T16:00:00Z",
        "result": {"score": {"raw": 80.0, "min": 0, "max": 100}},
    }
    assert (await lms.put(identity, same)).status_code == 204
    other = first | {"result": {"score": {"raw": 90, "min": 0, "max": 100}}}
    assert (await lms.put(identity, other)).status_code == 409
    assert (await lms.put(new_id(), first)).status_code == 400
    # Statements without an id are the same statement if they have the same content.
    ids = [(await lms.post(statement("NAV1009"))).json() for _ in range(2)]
    assert ids[0] == ids[1]


@pytest.mark.parametrize(
    ("score", "written", "percent"),
    [
        ({"raw": 85, "min": 0, "max": 100, "scaled": 0.70}, None, "85"),
        ({"scaled": 0.85}, None, "85"),
        ({"scaled": 0.69999999999999999999}, None, "70"),
        ({"raw": 85}, None, None),
        ({"raw": 85, "max": 100}, None, None),
        ({"raw": 85, "min": 0, "max": 100, "scaled": 0.70}, "scaled", "70"),
        ({"scaled": 0.85}, "raw", None),
        ({"scaled": -0.5}, None, "0"),
        ({"raw": 2, "min": 0, "max": 3}, None, "66.66666666"),
    ],
)
def test_which_score_counts(score: dict[str, float], written: Any, percent: str | None) -> None:
    form = FORMAT.model_copy(update={"score": written})
    read = form.read(valid(statement(result={"score": score})))
    assert (str(read.score) if read else None) == percent


def valid(sent: dict[str, Any]) -> Any:
    return read_statement(loads(json.dumps(sent).encode()), "1.0.0")


def test_a_score_is_never_a_float() -> None:
    text = json.dumps(statement(result={"score": {"scaled": 1}}))
    sent = loads(text.replace('"scaled": 1', '"scaled": 0.69999999999999999999').encode())
    read = FORMAT.read(read_statement(sent, "1.0.0"))
    assert read is not None
    assert str(read.score) == "69.99999999"
    raw = f'{{"raw": 69.{"9" * 35}, "min": 0, "max": 100}}'
    sent = loads(text.replace('{"scaled": 1}', raw).encode())
    read = FORMAT.read(read_statement(sent, "1.0.0"))
    assert read is not None
    assert str(read.score) == "69.99999999"


@pytest.mark.parametrize(
    "changes",
    [
        {"actor": {"account": {"homePage": "https://elsewhere.org", "name": "NAV1001"}}},
        {"actor": {"account": {"homePage": HOME, "name": "4711"}}},
        {"actor": {"mbox": "mailto:nav1001@x.org"}},
        {"actor": {"objectType": "Group", "member": [{"mbox": "mailto:nav1001@x.org"}]}},
        {"object": {"id": f"{HOME}/quiz/8"}},
        {"verb": {"id": VERBS + "attempted"}},
        {"verb": {"id": VERBS + "waived"}},
        {"result": {"success": True, "completion": True}},
        {"object": {"objectType": "Agent", "mbox": "mailto:a@x.org"}},
    ],
)
async def test_what_is_not_ours_is_kept_and_told_to_nobody(
    system: System, lms: Lms, changes: dict[str, Any]
) -> None:
    answer = await lms.post(statement(**changes))
    assert answer.status_code == 200
    async with system.database.snapshot() as session:
        assert not (await session.exec(select(ResultEvent))).all()


def test_moodle_names_the_quiz_as_a_parent() -> None:
    attempt = statement(
        did="completed",
        object={"id": f"{HOME}/mod/quiz/review.php?attempt=3"},
        context={"contextActivities": {"parent": {"id": QUIZ}}},
    )
    assert FORMAT.read(valid(attempt))


WRONG: list[dict[str, Any]] = [
    {"actor": {}},
    {"actor": {"name": "Ann"}},
    {"actor": {"mbox": "ann@x.org"}},
    {"actor": {"mbox": "mailto:a@x.org", "openid": "https://a.example"}},
    {"actor": {"account": {"homePage": "no-scheme", "name": "a"}}},
    {"actor": {"objectType": "Person", "mbox": "mailto:a@x.org"}},
    {"actor": {"objectType": "Group"}},
    {"actor": {"mbox": "mailto:a@x.org", "age": 3}},
    {"verb": {"id": "passed"}},
    {"verb": {}},
    {"verb": {"id": VERBS + "passed", "display": "passed"}},
    {"verb": {"id": VERBS + "passed", "display": {"not a language": "x"}}},
    {"object": {"id": "quiz"}},
    {"object": {"objectType": "StatementRef", "id": "x"}},
    {"object": {"objectType": "SubStatement", "actor": {}, "verb": {}, "object": {}}},
    {"object": {"objectType": "Thing", "id": QUIZ}},
    {"result": {"score": {"scaled": "0.8"}}},
    {"result": {"score": {"scaled": 1.1}}},
    {"result": {"score": {"raw": 101, "min": 0, "max": 100}}},
    {"result": {"score": {"min": 2, "max": 1}}},
    {"result": {"success": "true"}},
    {"result": {"completion": 1}},
    {"result": {"duration": "an hour"}},
    {"result": {"duration": "PT"}},
    {"result": None},
    {"context": {"registration": "x"}},
    {"context": {"platform": None}},
    {"context": {"team": {"mbox": "mailto:a@x.org"}}},
    {"context": {"contextActivities": {"child": []}}},
    {"context": {"contextAgents": []}, "timestamp": "2026-01-05"},
    {"timestamp": "2026-01-05T10:00:00-00:00"},
    {"timestamp": "2026-13-05T10:00:00Z"},
    {"timestamp": "2026-01-05T10:00:00"},
    {"timestamp": 1767628800},
    {"id": "not-a-uuid"},
    {"version": "0.9"},
    {"extra": 1},
    {"attachments": [{"usageType": "https://x.org/a"}]},
]


@pytest.mark.parametrize("changes", WRONG)
def test_a_statement_that_is_not_valid_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(BadStatement):
        valid(statement(**changes))


@pytest.mark.parametrize(
    "changes",
    [
        {"result": {"extensions": {"https://x.org/e": None, "https://x.org/f": [{"a": None}]}}},
        {"result": {"duration": "PT1H0.5S"}},
        {"context": {"contextActivities": {"parent": {"id": QUIZ}, "other": [{"id": QUIZ}]}}},
        {"actor": {"objectType": "Group", "member": [{"mbox": "mailto:a@x.org"}]}},
        {
            "object": {
                "objectType": "SubStatement",
                "actor": {"mbox": "mailto:a@x.org"},
                "verb": {"id": VERBS + "planned"},
                "object": {"id": QUIZ},
            }
        },
        {"timestamp": "2126-01-05T10:00:00.123456789+05:30"},
    ],
)
def test_a_statement_that_is_valid_is_taken(changes: dict[str, Any]) -> None:
    assert valid(statement(**changes))


REQUESTS: list[tuple[str, str, dict[str, str], bytes, int]] = [
    ("GET", "/xapi/about", {}, b"", 200),
    ("POST", PATH, {"X-Experience-API-Version": ""}, b"{}", 400),
    ("POST", PATH, {"X-Experience-API-Version": "0.95"}, b"{}", 400),
    ("POST", PATH, {"X-Experience-API-Version": "1.0.x"}, b"{}", 400),
    ("POST", PATH, {}, b"{", 400),
    ("POST", PATH, {}, b"[]", 200),
    ("POST", PATH, {}, b'["x"]', 400),
    ("POST", PATH, {}, b"null", 400),
    ("POST", PATH, {}, b'{"id":1,"id":2}', 400),
    ("POST", f"{PATH}?method=PUT", {}, b"{}", 400),
    ("POST", PATH, {"Content-Type": "multipart/mixed; boundary=x"}, b"--x", 400),
    ("POST", PATH, {}, b"[" + b"1," * 600_000 + b"1]", 413),
    ("PUT", PATH, {}, b"{}", 400),
    ("PUT", f"{PATH}?StatementId=x", {}, b"{}", 400),
    ("PUT", f"{PATH}?statementId=x", {}, b"{}", 400),
    ("GET", PATH, {}, b"", 400),
    ("GET", f"{PATH}?statementId=x", {}, b"", 400),
    ("GET", f"{PATH}?agent=x", {}, b"", 400),
    ("GET", f"{PATH}?statementId={new_id()}&voidedStatementId={new_id()}", {}, b"", 400),
    ("GET", f"{PATH}?statementId={new_id()}", TWO, b"", 404),
    ("DELETE", PATH, {}, b"", 405),
    ("GET", "/xapi/activities", {}, b"", 404),
    ("POST", PATH, {"Authorization": "Basic !"}, b"{}", 401),
    ("POST", PATH, {"Authorization": "Basic eDp5"}, b"{}", 401),
]


async def test_every_answer_says_its_version(xapi: Gateway) -> None:
    key = await xapi.key("lms")
    for method, path, headers, content, status in REQUESTS:
        given = ONE | key | {"Content-Type": "application/json"} | headers
        answer = await xapi.client.request(method, path, headers=given, content=content)
        assert answer.status_code == status, (method, path, headers, answer.text)
        newest = "2.0.0" if headers == TWO else "1.0.3"
        assert answer.headers["x-experience-api-version"] == newest
        assert answer.headers["x-experience-api-consistent-through"]


async def test_an_agencys_key_sends_no_statement(xapi: Gateway) -> None:
    stranger = Lms(xapi, await xapi.agency_key())
    assert (await stranger.post(statement())).status_code == 403


async def test_two_point_nought(lms: Lms) -> None:
    agents = [{"objectType": "contextAgent", "agent": {"mbox": "mailto:a@x.org"}}]
    sent = statement(context={"contextAgents": agents})
    assert (await lms.post(sent)).status_code == 400
    assert (await lms.post(sent, **TWO)).status_code == 200


async def test_the_clients_of_others(system: System, xapi: Gateway) -> None:
    key = (await xapi.key("lms"))["Authorization"].removeprefix("Bearer ")
    user, _, password = key.partition(".")
    training_id = new_training_id()

    def send() -> Any:
        lrs = tincan.RemoteLRS(
            endpoint=f"{xapi.url}/xapi/", version="1.0.3", username=user, password=password
        )

        def made(scaled: float) -> Any:
            return tincan.Statement(
                actor=tincan.Agent(account=tincan.AgentAccount(home_page=HOME, name=training_id)),
                verb=tincan.Verb(id=VERBS + "passed"),
                object=tincan.Activity(id=QUIZ),
                result=tincan.Result(score=tincan.Score(scaled=scaled)),
            )

        saved = lrs.save_statement(made(0.8))
        both = lrs.save_statements([made(0.8), made(0.5)])
        back = lrs.retrieve_statement(saved.content.id)
        return saved, both, back

    saved, both, back = await asyncio.to_thread(send)
    assert saved.success, saved.data
    assert both.success, both.data
    assert back.content.actor.account.name == training_id
    await relay(system)
    await system.until(training_id, met("assessment"))
