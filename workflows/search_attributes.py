"""Search attributes: declared once, set in one place.

Temporal never encrypts them, so they hold no personal data.
"""

from datetime import datetime
from typing import Any

from temporalio.common import SearchAttributeKey, SearchAttributeUpdate

from policy.case import Case, waiting_on

STAGE = SearchAttributeKey.for_keyword("AssisterStage")
TYPE = SearchAttributeKey.for_keyword("AssisterType")
AGENCY = SearchAttributeKey.for_keyword("AgencyId")
WAITING_ON = SearchAttributeKey.for_keyword_list("WaitingOn")
ATTENTION = SearchAttributeKey.for_keyword("NeedsAttention")
NEXT_DEADLINE = SearchAttributeKey.for_datetime("NextDeadline")
CERTIFIED_THROUGH = SearchAttributeKey.for_datetime("CertifiedThrough")

ALL = (STAGE, TYPE, AGENCY, WAITING_ON, ATTENTION, NEXT_DEADLINE, CERTIFIED_THROUGH)


def of(case: Case, now: datetime) -> dict[str, SearchAttributeUpdate[Any]]:
    """A case's search attributes, by name."""
    approval = case.evidence.approval
    updates: list[SearchAttributeUpdate[Any]] = [
        STAGE.value_set(case.stage),
        WAITING_ON.value_set(waiting_on(case, now)),
    ]
    if approval is not None:
        updates += [
            TYPE.value_set(approval.assister_type),
            AGENCY.value_set(approval.agency_id),
        ]
    updates.append(
        ATTENTION.value_set(min(case.attention)) if case.attention else ATTENTION.value_unset()
    )
    deadline = case.next_deadline(now)
    updates.append(
        NEXT_DEADLINE.value_set(deadline) if deadline is not None else NEXT_DEADLINE.value_unset()
    )
    ends = case.evidence.certified_until
    updates.append(
        CERTIFIED_THROUGH.value_set(ends) if ends is not None else CERTIFIED_THROUGH.value_unset()
    )
    return {each.key.name: each for each in updates}
