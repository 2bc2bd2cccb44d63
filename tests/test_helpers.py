"""Helpers that several tests need are in tests/support/."""

import re
from pathlib import Path

TESTS = Path(__file__).resolve().parent
OF_TESTS = re.compile(r"^\s*(?:from|import) (tests\.(?:\w+\.)*test_\w+)", re.MULTILINE)


def test_no_module_imports_a_module_of_tests() -> None:
    """If test modules imported each other, a change of one test would break another."""
    imported = {
        path.relative_to(TESTS).as_posix(): found
        for path in TESTS.rglob("*.py")
        if (found := OF_TESTS.findall(path.read_text()))
    }
    assert imported == {}
