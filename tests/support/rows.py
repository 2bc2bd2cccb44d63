"""Judges rows of a roster."""

from policy.requirements import AssisterType
from policy.roster import Collisions, Row, Verdict, judge

GOOD = {
    "first_name": "Ann",
    "last_name": "Lee",
    "email": "ann.lee@x.org",
    "training_id": "ABC1234",
    "employment": "Active",
    "access": "Yes",
    "public_phone": "651-555-0142",
    "public_email": "info@x.org",
    "business_address": "",
    "languages": "",
    "counties": "",
}


def row(line: int = 2, /, **cells: str) -> Row:
    return Row(line, GOOD | cells)


def verdicts(*rows: Row, roster_type: AssisterType = AssisterType.NAVIGATOR) -> list[Verdict]:
    collisions = Collisions()
    for judged in rows:
        collisions.add(judged)
    return [judge(judged, roster_type, collisions, {}) for judged in rows]
