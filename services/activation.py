"""Using a registration number."""

from activities.relay import relay_activation
from portal.directory import Activated
from services.connections import Connections


async def activate(to: Connections, registration_number: str) -> Activated:
    """Activates the account and tells its case (clause 3.2).

    If this process dies in between, a worker tells the case.

    Raises:
        ActivationRefused: If the number is unknown, void, used or expired.
    """
    activated = await to.portal.activate(registration_number)
    await relay_activation(activated, to.portal, to.client, to.task_queue, to.terms)
    return activated
