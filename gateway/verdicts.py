"""Verdicts as programs read them."""

from collections.abc import Sequence
from typing import Annotated

from pydantic import BaseModel, Field

Notes = Annotated[
    Sequence[str], Field(description="What of the file was passed over, or deserves a look.")
]


class Reason(BaseModel):
    """Why a row is rejected; the clause is the policy's, empty where there is none."""

    field: str
    message: str
    clause: str
