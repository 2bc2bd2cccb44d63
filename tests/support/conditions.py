"""Conditions of a case, for ``System.until``."""

from collections.abc import Callable

from workflows.contract import Status

Condition = Callable[[Status], bool]


def in_stage(stage: str) -> Condition:
    """The case has reached this stage."""
    return lambda status: status.stage == stage


def mailed(kind: str = "", times: int = 1) -> Condition:
    """At least ``times`` mails, of this kind if one is named, have been sent."""
    return lambda status: (
        sum(kind in ("", mail.kind) and mail.sent_at is not None for mail in status.mails) >= times
    )


def met(requirement: str) -> Condition:
    """The requirement is met."""
    return lambda status: status.requirements[requirement].met


def unmet(requirement: str) -> Condition:
    """The requirement is not met."""
    return lambda status: not status.requirements[requirement].met


def marked(status: Status) -> bool:
    """The case has an attention mark."""
    return bool(status.attention)
