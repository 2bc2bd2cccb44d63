"""Finding what needs a person, for the daily digest."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from temporalio import activity
from temporalio.client import Client

from records.database import Database
from records.inbox import untold
from workflows import lists, search_attributes, steps
from workflows.contract import assister_workflow_id

LATE = timedelta(hours=1)
LATE_RESULT = "late:result"
"""The digest's mark for a case that has not taken a result for so long."""

MOST = 200
"""The most cases and rosters that a digest names. When mails to everybody fail, each case is
marked: Temporal takes no answer of more than 2 MB, and few relays a mail of that size."""


@dataclass(frozen=True)
class DigestActivities:
    """The step of ``AttentionDigest``."""

    client: Client
    database: Database

    @activity.defn(name=steps.LIST_ATTENTION.name)
    async def list_attention(self) -> steps.Waiting:
        """Lists the open cases and rosters that have an attention mark or cannot take a result."""
        async with self.database.snapshot() as session:
            untaken = await untold(session, datetime.now(UTC) - LATE)
        late = {assister_workflow_id(each.training_id): LATE_RESULT for each in untaken}
        marked = {
            each.id: each.typed_search_attributes[search_attributes.ATTENTION]
            async for each in self.client.list_workflows(lists.ATTENTION)
        }
        needs = sorted((late | marked).items())
        return steps.Waiting(needs=dict(needs[:MOST]), more=len(needs[MOST:]))
