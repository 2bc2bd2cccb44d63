"""Telling the cases of activations: whatever the portal has done reaches its case in the end."""

import asyncio

from temporalio.client import Client
from temporalio.service import RPCError

from activities.results import TELL_TIMEOUT
from policy.requirements import AccountActivated
from policy.terms import Terms
from portal.directory import Portal
from workflows.client import tell_case


async def relay_activations(portal: Portal, client: Client, task_queue: str, terms: Terms) -> None:
    """Signals every activation that the portal has not reported yet; repeating it is harmless.

    A case that cannot be told stays unreported, for a later attempt; the others are told first.

    Raises:
        RPCError: If a case could not be told, the last one's.
        TimeoutError: If a case took too long.
    """
    failure: RPCError | TimeoutError | None = None
    for activated in await portal.unreported():
        fact = AccountActivated(
            event_id=f"portal-{activated.training_id}-{activated.registration}",
            occurred_at=activated.at,
            registration=activated.registration,
        )
        training_id = activated.training_id
        try:
            async with asyncio.timeout(TELL_TIMEOUT):
                await tell_case(client, task_queue, training_id, "account_activated", fact, terms)
        except (RPCError, TimeoutError) as error:
            failure = error
        else:
            await portal.reported(activated)
    if failure is not None:
        raise failure
