"""What every command works with: settings, connections, and the words it takes and prints."""

import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Annotated

from cyclopts import Parameter
from pydantic import TypeAdapter, ValidationError
from pydantic_settings import SettingsError
from temporalio.client import Client

from bootstrap import connect, make_portal
from policy.requirements import TrainingId
from records.database import Database
from services import Refused
from services.connections import Connections
from services.orders import mistakes
from settings import Settings

INPUT, LOOK, STAFF, OPERATE = "Rosters and results", "Looking", "Staff", "Operation"
"""The groups of commands in the help."""

Json = Annotated[bool, Parameter(name="--json", negative="", help="Print one JSON object.")]
By = Annotated[str, Parameter(name="--by", help="Your e-mail address.")]
Why = Annotated[str, Parameter(name="--reason", help="Why; no names or addresses in it.")]
At = Annotated[
    datetime | None, Parameter(name="--at", help="When it happened; default now. Needs an offset.")
]
Encoding = Annotated[str, Parameter(help="The file's encoding, where it is not UTF-8.")]


@dataclass
class Session:
    """What a command works with; nothing is opened before it is needed."""

    settings: Settings

    async def connections(self) -> Connections:
        """What use cases work with.

        Raises:
            Refused: If Temporal cannot be reached.
        """
        return Connections(
            self.database,
            await self.client(),
            make_portal(self.settings, self.database),
            self.settings.task_queue,
            self.settings.terms,
        )

    @cached_property
    def database(self) -> Database:
        """The records."""
        return Database(self.settings.records_url)

    async def client(self) -> Client:
        """Temporal.

        Raises:
            Refused: If it cannot be reached.
        """
        try:
            return await connect()
        except RuntimeError:
            raise Refused(
                "Temporal cannot be reached. Start the embedded stack with `starter.py up`, or name"
                " a server in TEMPORAL_ADDRESS."
            ) from None


@asynccontextmanager
async def session() -> AsyncIterator[Session]:
    """Settings and connections for one command."""
    try:
        opened = Session(Settings())
    except ValidationError as error:
        raise Refused(f"The configuration cannot be used: {mistakes(error)}") from None
    except SettingsError as error:
        raise Refused(f"The configuration cannot be used: {error}") from None
    try:
        yield opened
    finally:
        if "database" in vars(opened):
            await opened.database.close()


def training_id_of(text: str) -> str:
    """A Training ID as people type it.

    Raises:
        Refused: If it is none.
    """
    try:
        return TypeAdapter(TrainingId).validate_python(text.strip().upper())
    except ValidationError:
        raise Refused(f"{text!r} is not a Training ID: seven letters or digits") from None


def as_json(value: object, indent: int | None = None) -> str:
    """For machines; times in ISO 8601."""
    return json.dumps(value, indent=indent, default=str)


def print_json(value: object) -> None:
    """Prints one JSON object, and nothing else."""
    sys.stdout.write(as_json(value, indent=2) + "\n")
