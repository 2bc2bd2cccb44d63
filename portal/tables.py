"""The embedded portal's tables, beside the records in one database."""

from datetime import datetime

from sqlalchemy import UniqueConstraint
from sqlmodel import Field, SQLModel

from records.tables import instant


class PortalAccount(SQLModel, table=True):
    """An account of the embedded portal.

    Attributes:
        fence: The newest command's fence; an older command is refused.
        command: The newest command; a different one under its fence is refused, too.
        reference_number: Seven digits, shared with consumers; None until the account is made.
        status: ``none``, ``pending`` activation, ``active`` or ``suspended``.
        registration: Counts the registration numbers issued.
        reported: The case has been told of the activation.
    """

    training_id: str = Field(primary_key=True)
    fence: int
    command: str = ""
    reference_number: str | None = Field(default=None, unique=True)
    status: str = "none"
    registration: int = 0
    activated_at: datetime | None = instant(nullable=True)
    activated_registration: int = 0
    reported: bool = Field(default=True, index=True)


class PortalRegistration(SQLModel, table=True):
    """A one-time registration number, never in clear.

    Attributes:
        check: Keyed hash of the number.
        state: ``issued``, ``used`` or ``void``.
    """

    __table_args__ = (UniqueConstraint("check"),)

    training_id: str = Field(foreign_key="portalaccount.training_id", primary_key=True)
    registration: int = Field(primary_key=True)
    salt: str
    check: str
    expires_at: datetime = instant()
    state: str
