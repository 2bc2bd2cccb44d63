"""A case's mails and its marks that a person must act."""

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
        registration: The registration number it carries or speaks of, 0 where none.
        facts: What it says beyond the records: no personal data.
        to: Whom it is for, where that is not who speaks for the assister when it goes out.
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
    """A mail that went out.

    Attributes:
        copies: How many may have arrived: more than one where the relay left it in doubt.
    """

    model_config = ConfigDict(frozen=True)

    kind: MailKind
    sent_at: datetime
    copies: int = 1


class Attention(BaseModel):
    """A mark that a person must act: what is wrong and what to do about it."""

    model_config = ConfigDict(frozen=True)

    since: datetime
    problem: str
    remedy: str


class Correspondence(BaseModel):
    """Whom a case must write to, and what it asks people to do."""

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
        """A mail is due."""
        self.mails += 1
        mail = Mail(
            number=self.mails,
            kind=kind,
            registration=registration,
            facts=facts or {},
            to=to,
        )
        self.mails_due = [*self.mails_due, mail]

    def number_after(self, mails: int) -> None:
        """Another case has sent so many mails under the same key: the numbers go on after them."""
        self.mails += mails
        self.mails_due = [
            each.model_copy(update={"number": mails + each.number}) for each in self.mails_due
        ]

    def mail_sent(self, mail: Mail, now: datetime, copies: int = 1) -> None:
        """The relay has taken a mail."""
        self.mail_dropped(mail)
        sent = SentMail(kind=mail.kind, sent_at=now, copies=copies)
        self.mails_sent = [*self.mails_sent, sent][-MAILS_KEPT:]

    def mail_dropped(self, mail: Mail) -> None:
        """A mail is no longer true: what it speaks of was overtaken."""
        self.mails_due = [each for each in self.mails_due if each != mail]

    def mail_waits(self, mail: Mail) -> None:
        """Nobody's address is known yet: the mail waits for a roster."""
        self.mail_dropped(mail)
        self.mails_undeliverable = [*self.mails_undeliverable, mail][-MAILS_KEPT:]

    def mail_refused(self, mail: Mail, problem: str, now: datetime) -> None:
        """A mail was refused for good: it waits until a person has mended the address."""
        self.mail_waits(mail)
        remedy = (
            "correct the contact: starter.py agencies correct-contact"
            if mail.kind.recipient == "agency"
            else "correct the address: starter.py assister correct-email"
        )
        self.mark(f"mail:{mail.kind}", f"{mail.kind} mail: {problem}", remedy, now)

    def mail_in_doubt(self, mail: Mail, problem: str, now: datetime) -> None:
        """Whether a mail arrived cannot be known: a person asks before it is sent once more."""
        self.mail_waits(mail)
        remedy = (
            "ask the assister whether it arrived; if not, use reissue_activation"
            if mail.registration
            else "if it did not arrive, use email_corrected to send it again"
        )
        self.mark(f"mail:{mail.kind}", f"{mail.kind} mail: {problem}", remedy, now)

    def drop_mails(self, dropped: Callable[[Mail], bool]) -> None:
        """Mails that are no longer true are not sent, and nobody has to act for them."""
        self.mails_due = [each for each in self.mails_due if not dropped(each)]
        self.mails_undeliverable = [e for e in self.mails_undeliverable if not dropped(e)]
        waiting = {f"mail:{each.kind}" for each in self.mails_undeliverable}
        self.unmark(lambda code: code.startswith("mail:") and code not in waiting)

    def late(self, what: str, now: datetime) -> None:
        """Something is retried for too long; it goes on by itself once the fault is gone."""
        self.mark(f"late:{what}", f"{what} is being retried", "see the worker's log", now)

    def no_longer_late(self, what: str) -> None:
        """What was retried went through, or is no longer wanted."""
        self.unmark(lambda code: code == f"late:{what}")

    def mark(self, code: str, problem: str, remedy: str, now: datetime) -> None:
        """A person must act; a mark that stands keeps the moment since when it does."""
        recorded = self.attention.get(code)
        since = recorded.since if recorded is not None else now
        mark = Attention(since=since, problem=problem, remedy=remedy)
        self.attention = {**self.attention, code: mark}

    def unmark(self, done: Callable[[str], bool]) -> None:
        """Takes away the marks whose code is done."""
        self.attention = {code: mark for code, mark in self.attention.items() if not done(code)}
