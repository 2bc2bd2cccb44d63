"""Telling the cases of activations: whatever the portal has done reaches its case in the end."""

from temporalio.client import Client

from policy.requirements import AccountActivated
from policy.terms import Terms
from portal.directory import Portal
from workflows.client import tell_case


async def relay_activations(portal: Portal, client: Client, task_queue: str, terms: Terms) -> None:
    """Signals every activation that the portal has not reported yet; repeating it is harmless."""
    for activated in await portal.unreported():
        fact = AccountActivated(
            event_id=f"portal-{activated.training_id}-{activated.registration}",
            occurred_at=activated.at,
            registration=activated.registration,
        )
        await tell_case(client, task_queue, activated.training_id, "account_activated", fact, terms)
        await portal.reported(activated)
