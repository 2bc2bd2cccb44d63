"""Signed events, as a learning center sends them."""

import json
from datetime import UTC, datetime
from typing import Any

from standardwebhooks.webhooks import Webhook

from bootstrap import system_secret
from records.keys import Kind, make_key, signing_secret
from tests.support.gateway import Gateway


async def made(gateway: Gateway, source: str = "lms", kind: Kind = Kind.EVENTS) -> tuple[str, str]:
    """Makes a key for events; returns its id and its secret."""
    async with gateway.database.transaction() as session:
        key, _ = await make_key(session, kind, source, None, datetime.now(UTC))
    return key.id, signing_secret(system_secret(gateway.settings), key.id)


def scored(training_id: str, score: str = "82.5", **changes: Any) -> str:
    event = {"type": "assessment.scored", "timestamp": "2026-01-05T10:00:00-06:00", **changes}
    data = json.dumps({"training_id": training_id, "score": "SCORE"}).replace('"SCORE"', score)
    return json.dumps(event)[:-1] + f', "data": {data}}}'


def signed(body: str, secret: str, identity: str, at: datetime | None = None) -> dict[str, str]:
    at = at or datetime.now(UTC)
    return {
        "content-type": "application/json",
        "webhook-id": identity,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": Webhook(secret).sign(identity, at, body),
    }
