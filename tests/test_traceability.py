"""Every sentence of the policy that demands something has code and a test."""

import importlib
from pathlib import Path

import pytest

from policy.clauses import BY_ID, CLAUSES
from tests.support.traceability import clause_tests, table

ROOT = Path(__file__).resolve().parent.parent


@pytest.mark.parametrize(
    "clause", [clause for clause in CLAUSES if clause.rule], ids=lambda c: c.id
)
def test_a_demanding_sentence_has_a_rule_and_a_test(clause) -> None:  # type: ignore[no-untyped-def]
    parts = clause.rule.split(".")
    for cut in range(len(parts), 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:cut]))
            break
        except ModuleNotFoundError:
            continue
    for name in parts[cut:]:
        found = found.__dict__[name] if name in vars(found) else found.__annotations__[name]
    assert clause_tests().get(clause.id), f"no test names clause {clause.id}"


def test_tests_name_sentences_that_exist() -> None:
    assert clause_tests().keys() <= BY_ID.keys()


def test_the_table_is_up_to_date() -> None:
    kept = (ROOT / "docs/policy-traceability.md").read_text()
    assert kept == table(), "run: ./run traceability"
