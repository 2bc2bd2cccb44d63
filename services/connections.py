"""What use cases work with."""

from dataclasses import dataclass

from temporalio.client import Client

from policy.terms import Terms
from portal.directory import Portal
from records.database import Database


@dataclass(frozen=True)
class Connections:
    """The records, Temporal and the portal, as a program has connected to them.

    Attributes:
        task_queue: The task queue of the cases and intakes that are started.
        terms: The terms of new cases.
    """

    database: Database
    client: Client
    portal: Portal
    task_queue: str
    terms: Terms
