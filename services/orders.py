"""Orders of staff to a case or an intake."""

from pydantic import ValidationError
from sqlmodel.ext.asyncio.session import AsyncSession
from temporalio.client import Client

from records.database import Database
from records.people import staff_id
from services import Refused, mistakes
from workflows.client import act
from workflows.contract import ChangeAct, StaffAct


async def order(
    database: Database,
    client: Client,
    workflow_id: str,
    update: str,
    by: str,
    reason: str,
    agency_id: str = "",
) -> str:
    """Gives a case or an intake one of its updates, once, and returns its answer.

    Args:
        by: The e-mail address of the person who orders it.
        agency_id: The agency whose change it is, for an update that takes one.

    Raises:
        NotAuthorized: If ``by`` is not an e-mail address.
        Refused: If the reason names somebody, or the agency's id cannot be one.
        WorkflowUpdateFailedError: If the case refuses; the cause says why.
    """
    async with database.transaction() as session:
        ordered = await signed(session, by, reason)
    if agency_id:
        try:
            ordered = ChangeAct(**ordered.model_dump(), agency_id=agency_id)
        except ValidationError as error:
            raise Refused(mistakes(error)) from None
    return await act(client, workflow_id, update, ordered)


async def signed(session: AsyncSession, by: str, reason: str) -> StaffAct:
    """The order as histories keep it: with a staff id instead of an address.

    Raises:
        NotAuthorized: If ``by`` is not an e-mail address.
        Refused: If the reason names somebody.
    """
    try:
        return StaffAct(by=await staff_id(session, by), reason=reason)
    except ValidationError as error:
        raise Refused(mistakes(error)) from None
