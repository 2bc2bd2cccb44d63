"""Telling the cases of activations, until each case knows of its own."""

import asyncio

from temporalio.client import Client
from temporalio.service import RPCError

from activities.results import TELL_TIMEOUT
from policy.requirements import AccountActivated
from policy.terms import Terms
from portal.directory import Activated, Portal
from workflows.client import tell_case


async def relay_activations(portal: Portal, client: Client, task_queue: str, terms: Terms) -> None:
    """Signals every activation that the portal has not reported yet; a repetition is harmless.

    An activation whose case cannot be told stays unreported until a later attempt. It does not
    delay the others.

    Raises:
        RPCError: If a case could not be told: the error of the last such case.
        TimeoutError: If a case took too long.
    """
    failure: RPCError | TimeoutError | None = None
    for activated in await portal.unreported():
        try:
            await relay_activation(activated, portal, client, task_queue, terms)
        except (RPCError, TimeoutError) as error:
            failure = error
    if failure is not None:
        raise failure


async def relay_activation(
    activated: Activated, portal: Portal, client: Client, task_queue: str, terms: Terms
) -> None:
    """Signals one activation.

    Raises:
        RPCError: If its case could not be told.
        TimeoutError: If that took too long.
    """
    fact = AccountActivated(
        event_id=f"portal-{activated.training_id}-{activated.registration}",
        occurred_at=activated.at,
        registration=activated.registration,
    )
    async with asyncio.timeout(TELL_TIMEOUT):
        await tell_case(client, task_queue, activated.training_id, "account_activated", fact, terms)
    await portal.reported(activated)
