"""The mails that the policy and its operator send, and to whom."""

from enum import StrEnum


class Recipient(StrEnum):
    """Whose mailbox a mail goes to; the address itself is in the records."""

    ASSISTER = "assister"
    AGENCY = "agency"
    ARC = "arc"


class MailKind(StrEnum):
    """A kind of mail; its value names the template."""

    ACTIVATION = "activation"
    ACTIVATION_REMINDER = "activation_reminder"
    ACTIVATION_EXPIRED = "activation_expired"
    ACTIVATION_EXPIRED_AGENCY = "activation_expired_agency"
    CONFIRMATION = "confirmation"
    ASSESSMENT_FAILED = "assessment_failed"
    REQUIREMENT_REMINDER = "requirement_reminder"
    REQUIREMENT_REMINDER_AGENCY = "requirement_reminder_agency"
    SUSPENDED = "suspended"
    SUSPENDED_AGENCY = "suspended_agency"
    REINSTATED = "reinstated"
    REINSTATED_AGENCY = "reinstated_agency"
    CERTIFICATION_ENDING = "certification_ending"
    CERTIFICATION_ENDING_AGENCY = "certification_ending_agency"
    CHANGE_CLAIMED = "change_claimed"
    CHANGE_CLAIMED_AGENCY = "change_claimed_agency"
    CASE_CLOSED = "case_closed"
    CASE_CLOSED_AGENCY = "case_closed_agency"
    ROSTER_SUMMARY = "roster_summary"
    ROSTER_HELD = "roster_held"
    ROSTER_HELD_ARC = "roster_held_arc"
    ROSTER_DISCARDED = "roster_discarded"
    ATTENTION_DIGEST = "attention_digest"

    @property
    def recipient(self) -> Recipient:
        """Who receives this kind of mail."""
        if self in (MailKind.ATTENTION_DIGEST, MailKind.ROSTER_HELD_ARC):
            return Recipient.ARC
        if self.endswith("_agency") or self.about_roster:
            return Recipient.AGENCY
        return Recipient.ASSISTER

    @property
    def about_roster(self) -> bool:
        """Whether it speaks of a submission rather than of one assister."""
        return self.startswith("roster_")
