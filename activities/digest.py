"""What needs a person, for the daily digest."""

from dataclasses import dataclass

from temporalio import activity
from temporalio.client import Client

from workflows import lists, search_attributes, steps


@dataclass(frozen=True)
class DigestActivities:
    """The step of ``AttentionDigest`` that looks."""

    client: Client

    @activity.defn(name=steps.LIST_ATTENTION.name)
    async def list_attention(self) -> steps.Waiting:
        """Every open case and roster that carries an attention mark."""
        return steps.Waiting(
            needs={
                each.id: each.typed_search_attributes[search_attributes.ATTENTION]
                async for each in self.client.list_workflows(lists.ATTENTION)
            }
        )
