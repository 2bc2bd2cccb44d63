"""The xAPI endpoint against code of others: it refuses what npm's validator refuses, and npm's
client works with it.

The packages are looked for in NODE_PATH, after
``npm install @learninglocker/xapi-validation@3.0.0 @xapi/xapi@3.0.3``. Without them the tests are
skipped.
"""

import asyncio
import copy
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from gateway.strict_json import loads
from intake.xapi import BadStatement, read_statement
from tests.support.gateway import Gateway, Serving
from tests.support.statements import FORMAT, HOME, QUIZ, VERBS

MODULES = os.environ.get("NODE_PATH", "")
pytestmark = pytest.mark.skipif(
    shutil.which("node") is None or not os.path.isdir(f"{MODULES}/@learninglocker"),
    reason="no node, or no npm packages where NODE_PATH says (see the file's head)",
)

VALIDATE = """
const validate = require('@learninglocker/xapi-validation').default;
const lines = require('fs').readFileSync(0, 'utf8').trim().split('\\n');
for (const line of lines) {
  let faults; try { faults = validate(JSON.parse(line)).length } catch { faults = 1 }
  console.log(faults);
}
"""
CLIENT = """
const XAPI = require('@xapi/xapi').default || require('@xapi/xapi');
(async () => {
  const [url, user, password, home, version] = process.argv.slice(1);
  const lms = new XAPI({endpoint: `${url}/xapi/`, auth: XAPI.toBasicAuth(user, password), version});
  const actor = {objectType: 'Agent', account: {homePage: home, name: 'NAV1001'}};
  const verb = {id: 'http://adlnet.gov/expapi/verbs/passed'};
  const statement = {actor, verb, object: {id: `${home}/quiz/7`}, result: {score: {scaled: 0.9}}};
  const [id] = (await lms.sendStatement({statement})).data;
  await lms.getStatement({statementId: id});
  await lms.voidStatement({actor, statementId: id});
  await lms.getVoidedStatement({voidedStatementId: id});
  await lms.getAbout();
})().catch(error => { console.error(error.message); process.exit(1) });
"""

ID = "6690e6c9-3ef0-4ed3-8b37-7f3964730bee"
AGENT = {"objectType": "Agent", "name": "A", "mbox": "mailto:a@x.org"}
GROUP = {"objectType": "Group", "name": "T", "member": [AGENT]}
NOW = "2026-01-05T10:00:00Z"
WHOLE: dict[str, Any] = {
    "id": ID,
    "actor": {"objectType": "Agent", "account": {"homePage": HOME, "name": "NAV1001"}},
    "verb": {"id": VERBS + "passed", "display": {"en-US": "passed"}},
    "object": {
        "objectType": "Activity",
        "id": QUIZ,
        "definition": {
            "name": {"en": "q"},
            "description": {"en": "q"},
            "type": f"{HOME}/t",
            "moreInfo": f"{HOME}/m",
            "interactionType": "choice",
            "correctResponsesPattern": ["a"],
            "choices": [{"id": "a", "description": {"en": "A"}}],
            "extensions": {f"{HOME}/e": 1},
        },
    },
    "result": {
        "score": {"scaled": 0.5, "raw": 5, "min": 0, "max": 10},
        "success": True,
        "completion": True,
        "response": "r",
        "duration": "PT1H",
        "extensions": {f"{HOME}/e": {"a": 1}},
    },
    "context": {
        "registration": ID,
        "instructor": AGENT,
        "team": GROUP,
        "contextActivities": {"parent": [{"id": QUIZ}], "grouping": [{"id": QUIZ}]},
        "revision": "1",
        "platform": "p",
        "language": "en-US",
        "statement": {"objectType": "StatementRef", "id": ID},
        "extensions": {f"{HOME}/e": 1},
    },
    "timestamp": NOW,
    "stored": NOW,
    "authority": AGENT,
    "version": "1.0.3",
    "attachments": [
        {
            "usageType": f"{HOME}/u",
            "display": {"en": "d"},
            "contentType": "text/plain",
            "length": 3,
            "sha2": "a" * 64,
        }
    ],
}
SUBSTATEMENT = {
    "objectType": "SubStatement",
    "actor": AGENT,
    "verb": {"id": VERBS + "planned"},
    "object": {"id": QUIZ},
}
JUNK: list[Any] = [
    None, "", 0, 1, -1, 1.5, True, [], {}, [1], ["x"], {"x": 1}, "x", "x y", "http://", "//x.org",
    "mailto:a", ID, "2026-01-05", "2026-01-05T10:00:00-00:00", "2026-02-30T10:00:00Z", "P", "PT",
    "P1Y2M3DT4H5M6S", "P1W", "P1H", "en", "e", "x-klingon", "1.0", "2.0.0", "1.1.0", "Agent",
    "Group", "Activity", "StatementRef", "SubStatement", "é", "urn:x:y",
]  # fmt: skip


def mutants() -> Iterator[dict[str, Any]]:
    """Statements in which one part is replaced by junk, left out, or has one member too many."""
    bases = [WHOLE]
    for thing in (SUBSTATEMENT, GROUP):
        context = {k: v for k, v in WHOLE["context"].items() if k not in ("revision", "platform")}
        bases.append(WHOLE | {"object": thing, "context": context})
    for base in bases:
        for path in _paths(base):
            for junk in JUNK:
                yield _changed(base, path, lambda part, key, j=junk: part.__setitem__(key, j))
            yield _changed(base, path, lambda part, key: part.__delitem__(key))
            yield _changed(base, path, _one_too_many)


def _one_too_many(part: Any, key: Any) -> None:
    if isinstance(part[key], dict):
        part[key]["extra"] = "x"


def _changed(base: dict[str, Any], path: tuple[Any, ...], change: Any) -> dict[str, Any]:
    made = part = copy.deepcopy(base)
    for key in path[:-1]:
        part = part[key]
    change(part, path[-1])
    return made


def _paths(value: Any, before: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, part in items:
        yield (*before, key)
        if isinstance(part, dict | list):
            yield from _paths(part, (*before, key))


def test_what_the_validator_refuses_we_refuse() -> None:
    lines = [json.dumps(mutant) for mutant in mutants()]
    asked = subprocess.run(
        ["node", "-e", VALIDATE], input="\n".join(lines), text=True, capture_output=True, check=True
    )
    faults = asked.stdout.split()
    assert len(faults) == len(lines) > 5000
    lax = [line for line, count in zip(lines, faults, strict=True) if count != "0" and _taken(line)]
    assert not lax, lax[:3]


def _taken(line: str) -> bool:
    try:
        read_statement(loads(line.encode()), "1.0.0")
    except BadStatement:
        return False
    return True


@pytest.mark.parametrize("version", ["1.0.3", "2.0.0"])
async def test_the_npm_client_works(serve: Serving, version: str) -> None:
    async with serve(statements={"lms": FORMAT}) as gateway:
        await _use(gateway, version)


async def _use(gateway: Gateway, version: str) -> None:
    user, _, password = (await gateway.key("lms"))["Authorization"][7:].partition(".")
    words = ["-e", CLIENT, gateway.url, user, password, HOME, version]
    client = await asyncio.create_subprocess_exec("node", *words, stderr=subprocess.PIPE)
    _, said = await client.communicate()
    assert client.returncode == 0, said
