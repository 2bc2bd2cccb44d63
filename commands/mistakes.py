"""Explaining an error that the user can mend."""

from pydantic import ValidationError
from sqlalchemy.exc import OperationalError, ProgrammingError
from temporalio.client import WorkflowQueryFailedError, WorkflowUpdateFailedError
from temporalio.service import RPCError, RPCStatusCode

from embedded.stack import PortInUse
from intake.files import UnreadableFile
from portal.directory import ActivationRefused, PortalRefused
from portal.scim import DirectoryUnavailable
from records.database import UnsupportedDatabase
from records.keys import UnknownKey
from records.people import NotAuthorized
from services import Refused, mistakes
from settings import Misconfigured


def explain(error: Exception) -> str | None:
    """What is wrong and what to do; None if the error is a fault of this program."""
    match error:
        case WorkflowUpdateFailedError():
            return getattr(error.cause, "message", str(error))
        case RPCError(status=RPCStatusCode.NOT_FOUND):
            return (
                "No open case and no roster has this id. `starter.py status ID` shows a closed one."
            )
        case RPCError():
            return f"Temporal did not answer as expected: {error.message}"
        case WorkflowQueryFailedError():
            return str(error)
        case OperationalError() | ProgrammingError():
            return (
                "The records cannot be used. Is the database up, and was `starter.py migrate` run?"
            )
        case (
            Refused()
            | NotAuthorized()
            | UnknownKey()
            | UnreadableFile()
            | ActivationRefused()
            | PortalRefused()
            | DirectoryUnavailable()
            | UnsupportedDatabase()
            | PortInUse()
            | Misconfigured()
        ):
            return str(error)
        case ValidationError():
            return mistakes(error)
    return None
