"""The lists that staff work from, as queries of the Temporal UI.

A link carries its query, so it works in every browser. Its dates are those of the day it is made.
"""

from datetime import datetime, timedelta
from typing import NamedTuple
from urllib.parse import quote

from policy.case import Stage
from policy.requirements import AgencyId
from workflows.contract import ASSISTER_ACCESS, ROSTER_INTAKE

RUNNING = "ExecutionStatus = 'Running'"
CASES = f"WorkflowType = '{ASSISTER_ACCESS}' AND {RUNNING}"
ROSTERS = f"WorkflowType = '{ROSTER_INTAKE}' AND {RUNNING}"
WEEK = timedelta(days=7)
CERTIFICATION_ENDING = timedelta(days=60)
ATTENTION = f"NeedsAttention IS NOT NULL AND {RUNNING}"
"""Of cases and rosters."""


def waiting_for_contact(agency_id: AgencyId) -> str:
    """The agency's cases and rosters whose mails cannot reach its contact."""
    # NeedsAttention holds one of a case's marks, and that may be a different one.
    roster = f"WorkflowType = '{ROSTER_INTAKE}' AND NeedsAttention STARTS_WITH 'mail:'"
    return f"(WaitingOn = 'contact' OR ({roster})) AND AgencyId = '{agency_id}' AND {RUNNING}"


class List(NamedTuple):
    """A list and the query that makes it."""

    name: str
    query: str


def ready_made(now: datetime, agency_id: AgencyId | None = None) -> list[List]:
    """Every list; with ``agency``, only of that agency's assisters."""
    lists = {
        "All open cases": "",
        "Waiting for approval": "WaitingOn = 'approval'",
        "Waiting for certification": "WaitingOn = 'certification'",
        "Waiting for training": "WaitingOn = 'training'",
        "Waiting for the assessment": "WaitingOn = 'assessment'",
        "Waiting for activation": f"AssisterStage = '{Stage.AWAITING_ACTIVATION}'",
        "Activation ends or is reminded this week": (
            f"AssisterStage = '{Stage.AWAITING_ACTIVATION}'"
            f" AND {_within('NextDeadline', now, WEEK)}"
        ),
        "Activation expired": f"AssisterStage = '{Stage.ACTIVATION_EXPIRED}'",
        "Active": f"AssisterStage = '{Stage.ACTIVE}'",
        "Suspended": f"AssisterStage = '{Stage.SUSPENDED}'",
        "Certification ends within 60 days": _within("CertifiedThrough", now, CERTIFICATION_ENDING),
    }
    of_agency = f" AND AgencyId = '{agency_id}'" if agency_id else ""
    made = [
        List(name, f"{CASES}{f' AND {query}' if query else ''}{of_agency}")
        for name, query in lists.items()
    ]
    changes = "NeedsAttention STARTS_WITH 'change:'"
    return [
        List("Needs attention", ATTENTION + of_agency),
        List(
            "A change of agency or address that staff must confirm",
            f"{CASES} AND {changes}{of_agency}",
        ),
        *made,
    ]


def link(ui_url: str, namespace: str, query: str) -> str:
    """Where the Temporal UI shows a list."""
    return f"{ui_url}/namespaces/{namespace}/workflows?query={quote(query, safe='')}"


def case_link(ui_url: str, namespace: str, workflow_id: str) -> str:
    """Where the Temporal UI shows the latest run of a case or an intake."""
    return f"{ui_url}/namespaces/{namespace}/workflows/{workflow_id}"


def staff_page(gateway_url: str, training_id: str) -> str:
    """Where staff see who an assister is; only the gateway may show it."""
    return f"{gateway_url}/staff/assisters/{training_id}"


def _within(attribute: str, now: datetime, span: timedelta) -> str:
    first, last = (f"{each:%Y-%m-%dT%H:%M:%SZ}" for each in (now, now + span))
    return f"{attribute} BETWEEN '{first}' AND '{last}'"
