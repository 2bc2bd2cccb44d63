"""A case's mails, and its attention marks: what a person must do."""

from collections.abc import Callable
from datetime import datetime

from pydantic import BaseModel, ConfigDict

from policy.mails import MailKind
from policy.requirements import Speaker

MAILS_KEPT = 40


class Mail(BaseModel):
    """A mail that is due.

    Attributes:
        number: Counts the case's mails, so that each has a key of its own.
        registration: Which registration number it carries or mentions; 0 for none.
        facts: What it says beyond the records. No personal data.
        to: Whom it is for, if that is not the speaker at the time when it goes out.
    """

    model_config = ConfigDict(frozen=True)

    number: int
    kind: MailKind
    registration: int = 0
    facts: dict[str, str] = {}
    to: Speaker | None = None

    @property
    def key(self) -> str:
        """Its name in the outbox: in a case restored to an earlier moment a number comes again."""
        return f"{self.number}.{self.kind}.{self.registration}"


class SentMail(BaseModel):
    """A mail that was sent.

    Attributes:
        copies: How many copies may have arrived: more than one if the relay left it in doubt.
    """

    model_config = ConfigDict(frozen=True)

    kind: MailKind
    sent_at: datetime
    copies: int = 1


class Attention(BaseModel):
    """An attention mark: what is wrong, since when, and what a person must do."""

    model_config = ConfigDict(frozen=True)

    since: datetime
    problem: str
    remedy: str


class Correspondence(BaseModel):
    """The mails of a case, due, waiting and sent, and its attention marks."""

    attention: dict[str, Attention] = {}
    mails: int = 0
    mails_due: list[Mail] = []
    mails_undeliverable: list[Mail] = []
    mails_sent: list[SentMail] = []

    def send(
        self,
        kind: MailKind,
        facts: dict[str, str] | None = None,
        *,
        registration: int = 0,
        to: Speaker | None = None,
    ) -> None:
        """Adds a mail to those that are due."""
        self.mails += 1
        mail = Mail(
            number=self.mails,
            kind=kind,
            registration=registration,
            facts=facts or {},
            to=to,
        )
        self.mails_due = [*self.mails_due, mail]

    def waits(self, kind: MailKind) -> bool:
        """Whether a mail of this kind has not gone out yet: it is due, or was set aside."""
        return kind in [each.kind for each in (*self.mails_due, *self.mails_undeliverable)]

    def number_after(self, mails: int) -> None:
        """Numbers the mails after those of the case before, whose keys would otherwise recur."""
        self.mails += mails
        self.mails_due = [
            each.model_copy(update={"number": mails + each.number}) for each in self.mails_due
        ]

    def mail_sent(self, mail: Mail, now: datetime, copies: int = 1) -> None:
        """Records that the relay has taken a mail."""
        self.mail_dropped(mail)
        sent = SentMail(kind=mail.kind, sent_at=now, copies=copies)
        self.mails_sent = [*self.mails_sent, sent][-MAILS_KEPT:]

    def mail_dropped(self, mail: Mail) -> None:
        """Removes a mail from those that are due."""
        self.mails_due = [each for each in self.mails_due if each != mail]

    def mail_waits(self, mail: Mail) -> None:
        """Sets a mail aside until a roster or a correction brings an address."""
        self.mail_dropped(mail)
        self.mails_undeliverable = [*self.mails_undeliverable, mail][-MAILS_KEPT:]

    def mail_refused(self, mail: Mail, problem: str, now: datetime) -> None:
        """Sets aside a mail that was refused for good, and marks the case for a person."""
        self.mail_waits(mail)
        remedy = (
            "correct the contact (starter.py agencies correct-contact), or authorize another one"
            " (staff guide, call 14)"
            if mail.kind.recipient == "agency"
            else "correct the address: starter.py assister correct-email"
        )
        self.mark(f"mail:{mail.kind}", f"{mail.kind} mail: {problem}", remedy, now)

    def message_refused(self, mail: Mail, problem: str, now: datetime) -> None:
        """Sets aside a mail that the relay does not take from us, whatever the address is."""
        self.mail_waits(mail)
        remedy = "once the relay's operator has mended it, use email_corrected: it sends the mail"
        self.mark(f"mail:{mail.kind}", f"{mail.kind} mail: {problem}", remedy, now)

    def mail_in_doubt(self, mail: Mail, problem: str, now: datetime) -> None:
        """Sets aside a mail that may have arrived: a person asks before it is sent again."""
        self.mail_waits(mail)
        remedy = (
            "ask the assister whether it arrived; if not, use reissue_activation"
            if mail.registration
            else "use email_corrected: it sends the mail again, which does no harm if it arrived"
        )
        self.mark(f"mail:{mail.kind}", f"{mail.kind} mail: {problem}", remedy, now)

    def drop_mails(self, dropped: Callable[[Mail], bool]) -> None:
        """Drops mails that are no longer true, and the marks that belong to them."""
        self.mails_due = [each for each in self.mails_due if not dropped(each)]
        self.mails_undeliverable = [e for e in self.mails_undeliverable if not dropped(e)]
        waiting = {f"mail:{each.kind}" for each in self.mails_undeliverable}
        self.unmark(lambda code: code.startswith("mail:") and code not in waiting)

    def late(self, what: str, now: datetime) -> None:
        """Marks a step that has been retried for too long; it goes on once the fault is gone."""
        remedy = "tell the operators: the worker's log says why"
        self.mark(f"late:{what}", f"{what} is being retried", remedy, now)

    def no_longer_late(self, what: str) -> None:
        """Clears that mark: the step succeeded, or is no longer wanted."""
        self.unmark(lambda code: code == f"late:{what}")

    def mark(self, code: str, problem: str, remedy: str, now: datetime) -> None:
        """Sets an attention mark; one that is set already keeps its first moment."""
        recorded = self.attention.get(code)
        since = recorded.since if recorded is not None else now
        mark = Attention(since=since, problem=problem, remedy=remedy)
        self.attention = {**self.attention, code: mark}

    def unmark(self, done: Callable[[str], bool]) -> None:
        """Clears the marks for whose code ``done`` is true."""
        self.attention = {code: mark for code, mark in self.attention.items() if not done(code)}
