"""The one place that reads configuration.

Every value comes from an environment variable ``ASSISTER_…`` (nested with a double underscore,
such as ``ASSISTER_TERMS__RESENDS_A_DAY``) or from a ``.env`` file, and defaults to the embedded
one-machine stack. The Temporal connection is not in here: it is read by ``temporalio.envconfig``
under Temporal's own names (``TEMPORAL_ADDRESS``, ``TEMPORAL_NAMESPACE``, ``TEMPORAL_API_KEY``, …).
"""

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from intake.sources import ExportFormat
from intake.webhooks import secret_bytes
from intake.xapi import StatementFormat
from mail.transport import Security
from policy.requirements import AgencyId
from policy.terms import Terms

MIN_SECRET = 32


def _signing(secret: SecretStr) -> SecretStr:
    secret_bytes(secret.get_secret_value())
    return secret


SigningSecret = Annotated[SecretStr, AfterValidator(_signing)]


class Settings(BaseSettings):
    """Configuration of every process of the system."""

    model_config = SettingsConfigDict(
        env_prefix="ASSISTER_",
        env_nested_delimiter="__",
        env_file=".env",
        extra="ignore",
        # A value in the wrong place may be a secret.
        hide_input_in_errors=True,
    )

    data_dir: Path = Path(".data")
    """Where the embedded stack keeps its databases, mails and secret."""
    database_url: str = ""
    """SQLAlchemy URL, ``sqlite:///…`` or ``postgresql://…``. Empty: SQLite in ``data_dir``."""
    task_queue: str = "assister-portal-access"

    smtp_host: str = "127.0.0.1"
    smtp_port: Annotated[int, Field(ge=1, le=65535)] = 8025
    smtp_security: Security = Security.NONE
    smtp_username: str = ""
    smtp_password: SecretStr = SecretStr("")
    smtp_connections: Annotated[int, Field(ge=1, le=50)] = 4
    smtp_timeout: Annotated[float, Field(gt=0, le=30)] = 20.0
    """Seconds for one delivery."""

    mail_from: str = "no-reply@portal.example.org"
    arc_email: str = "arc@portal.example.org"
    """The Assister Resource Center's staffed mailbox: Reply-To of every mail, and who is told."""
    arc_phone: str = "651-555-0100"
    portal_url: str = "https://portal.example.org"
    ui_url: str = "http://127.0.0.1:8233"
    """The Temporal Web UI, for links to a case."""

    gateway_host: str = "127.0.0.1"
    gateway_port: Annotated[int, Field(ge=0, le=65535)] = 8400
    gateway_url: str = "http://127.0.0.1:8400"
    """Where people and programs reach the gateway: links in mails lead there."""
    gateway_proxies: str = "127.0.0.1"
    """Addresses of the proxies before it, whose word on who calls counts."""
    exports: dict[AgencyId, ExportFormat] = {}
    """How each training system writes its exports, by the name that its key carries."""

    statements: dict[AgencyId, StatementFormat] = {}
    """How each learning system writes its xAPI statements."""
    event_secrets: dict[AgencyId, tuple[SigningSecret, ...]] = {}
    """By training system the secrets, ``whsec_…``, with which it signs events, where it makes them
    itself; those that `starter.py keys create --events` makes need no configuration."""
    staff: tuple[str, ...] = ()
    """E-mail addresses of the Assister Resource Center's staff, who may sign in to its page."""

    portal_secret: SecretStr = SecretStr("")
    """At least 32 characters. Derives registration numbers; whoever has it can make them.
    Empty: the embedded stack makes one and keeps it in ``data_dir``."""

    terms: Terms = Terms()

    @field_validator("portal_secret")
    @classmethod
    def _long_enough(cls, secret: SecretStr) -> SecretStr:
        if 0 < len(secret) < MIN_SECRET:
            raise ValueError(f"must have at least {MIN_SECRET} characters")
        return secret

    @property
    def records_url(self) -> str:
        """The database URL with the embedded default filled in."""
        return self.database_url or f"sqlite:///{self.data_dir / 'records.db'}"
