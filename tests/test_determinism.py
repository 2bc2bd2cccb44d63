"""Code in a workflow depends on its events only, not on clocks, randomness, input or shared state.

Temporal's sandbox refuses such a call when it is made, but the worker runs without the sandbox. So
this test searches the source, and `tests/test_replay.py` replays the histories in the sandbox.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
OUTSIDE = {"client.py", "readiness.py", "lists.py"}
"""The modules of ``workflows/`` that programs call from outside."""
IN_WORKFLOWS = [
    *(file for file in sorted(ROOT.glob("workflows/*.py")) if file.name not in OUTSIDE),
    *sorted(ROOT.glob("policy/*.py")),
]
PURE = {
    "asyncio", "collections", "contextlib", "dataclasses", "datetime", "decimal", "email_validator",
    "enum", "functools", "itertools", "operator", "phonenumbers", "policy", "pydantic", "re",
    "temporalio", "typing", "unicodedata", "workflows", "zoneinfo",
}  # fmt: skip
CLOCKS = {"now", "today", "utcnow"}
UNORDERED = {"wait", "as_completed"}
"""Functions of asyncio that iterate over a set, whose order differs from run to run."""
BUILT_IN = {"open", "input", "id", "hash", "exec", "eval", "__import__"}


def impure(source: str) -> Iterator[str]:
    """Imports and calls that may have another result in a replay."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import(names):
                yield from (e.name for e in names if e.name.partition(".")[0] not in PURE)
            case ast.ImportFrom(module=module):
                if str(module).partition(".")[0] not in PURE or module == "workflows.client":
                    yield str(module)
            case ast.Attribute(value=ast.Name("workflow"), attr="now"):
                pass
            case ast.Attribute(attr=name) if name in CLOCKS:
                yield name
            case ast.Attribute(value=ast.Name("asyncio"), attr=name) if name in UNORDERED:
                yield name
            case ast.Call(func=ast.Name(name)) if name in BUILT_IN:
                yield name
            case ast.Global(names):
                yield f"global {names}"


@pytest.mark.parametrize("path", IN_WORKFLOWS, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_what_runs_in_a_workflow_is_pure(path: Path) -> None:
    assert [*impure(path.read_text())] == []


@pytest.mark.parametrize(
    "source",
    [
        "datetime.now(UTC)",
        "date.today()",
        "import random",
        "from os import environ",
        "await asyncio.wait(tasks)",
        "open('/etc/hostname')",
        "def count():\n    global total",
        "from workflows.client import tell_case",
    ],
)
def test_what_is_not_pure_is_found(source: str) -> None:
    assert [*impure(source)] != []
    assert [*impure("workflow.now(); asyncio.sleep(1); import re")] == []
