"""xAPI statements."""

from typing import Any

from intake.xapi import StatementFormat

HOME = "https://learning.example.org"


QUIZ, COURSE = f"{HOME}/quiz/7", f"{HOME}/course/7"


VERBS = "http://adlnet.gov/expapi/verbs/"
FORMAT = StatementFormat.model_validate(
    {
        "home_page": HOME,
        "activities": {QUIZ: {"event": "assessment"}, COURSE: {"event": "training"}},
    }
)


def statement(training_id: str = "NAV1001", did: str = "passed", **changes: Any) -> dict[str, Any]:
    return {
        "actor": {"account": {"homePage": HOME, "name": training_id}},
        "verb": {"id": VERBS + did},
        "object": {"id": QUIZ},
        "result": {"score": {"raw": 80, "min": 0, "max": 100}},
        "timestamp": "2026-01-05T10:00:00-06:00",
    } | changes
