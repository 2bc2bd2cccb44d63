"""Verdicts as programs read them."""

from pydantic import BaseModel


class Reason(BaseModel):
    """Why a row is rejected; the clause is the policy's, empty where there is none."""

    field: str
    message: str
    clause: str
