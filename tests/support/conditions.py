"""What a case comes to, for ``until``."""

from collections.abc import Callable

from workflows.contract import Status

Condition = Callable[[Status], bool]


def in_stage(stage: str) -> Condition:
    """The case has reached this stage."""
    return lambda status: status.stage == stage


def mailed(kind: str = "", times: int = 1) -> Condition:
    """So many mails have gone out; of this kind, where one is named."""
    return lambda status: (
        sum(kind in ("", each.kind) and each.sent_at is not None for each in status.mails) >= times
    )


def met(requirement: str) -> Condition:
    """The requirement is met."""
    return lambda status: status.requirements[requirement].met


def unmet(requirement: str) -> Condition:
    """The requirement is not met, or no longer."""
    return lambda status: not status.requirements[requirement].met


def marked(status: Status) -> bool:
    """Somebody must look at the case."""
    return bool(status.attention)
