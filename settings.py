"""The one place that reads configuration.

Every value comes from an environment variable ``ASSISTER_…`` (nested with a double underscore, such
as ``ASSISTER_TERMS__RESENDS_A_DAY``), from a ``.env`` file or from a file of that name in
``/run/secrets``, and defaults to the embedded one-machine stack. The Temporal connection is not
part of it: ``temporalio.envconfig`` reads that under Temporal's own names (``TEMPORAL_ADDRESS``,
``TEMPORAL_NAMESPACE``, ``TEMPORAL_API_KEY``, …).
"""

import argparse
import json
import os
from difflib import get_close_matches
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, NoReturn, get_origin
from urllib.parse import quote, urlsplit, urlunsplit

from dotenv import dotenv_values
from pydantic import AfterValidator, Field, SecretStr, ValidationError, field_validator
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    DotEnvSettingsSource,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SecretsSettingsSource,
    SettingsConfigDict,
)

from intake.sources import ExportFormat
from intake.webhooks import secret_bytes
from intake.xapi import StatementFormat
from mail.addresses import wire_form
from mail.transport import Security
from policy.requirements import AgencyId
from policy.terms import Terms

PREFIX = "ASSISTER_"
ENV_FILE = ".env"
SECRETS = Path("/run/secrets")
"""Where container engines put secrets, one file for each, such as ``assister_portal_secret``."""
MIN_SECRET = 32


class Misconfigured(Exception):
    """The configuration cannot be used; a line for each fault, without the values."""


def _signing(secret: SecretStr) -> SecretStr:
    secret_bytes(secret.get_secret_value())
    return secret


SigningSecret = Annotated[SecretStr, AfterValidator(_signing)]


def _mailbox(address: str) -> str:
    wire_form(address)
    return address


def _web_address(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0:
        raise ValueError("must be an address such as https://portal.example.org")
    return url.rstrip("/")


def _private(url: str) -> str:
    # What comes over this connection counts as signed, and secrets are sent over it.
    parts = urlsplit(url)
    if parts.scheme == "http" and parts.hostname not in ("localhost", "127.0.0.1"):
        raise ValueError("must begin with https://")
    return url


def _records(url: str) -> str:
    parts = urlsplit(url)
    if url and (parts.scheme not in ("sqlite", "postgresql") or parts.port == 0):
        raise ValueError("must begin with sqlite:/// or postgresql://")
    return url


Word = Annotated[str, Field(pattern=r"^[!-~]+$", max_length=253)]
"""Visible ASCII without spaces, such as a host's name."""
Mailbox = Annotated[str, AfterValidator(_mailbox)]
WebAddress = Annotated[str, AfterValidator(_web_address)]
OptionalAddress = Annotated[str, AfterValidator(lambda url: url and _web_address(url))]


class Settings(BaseSettings):
    """Configuration of every process of the system."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_nested_delimiter="__",
        env_file=ENV_FILE,
        secrets_dir=SECRETS if SECRETS.is_dir() else None,
        # Other programs have variables, too. `load` finds unknown names that begin like ours.
        extra="ignore",
        # A value in the wrong place may be a secret.
        hide_input_in_errors=True,
        use_attribute_docstrings=True,
    )

    data_dir: Path = Path(".data")
    """Where the embedded stack keeps its databases, mails and secret."""
    database_url: Annotated[str, AfterValidator(_records)] = ""
    """The records: ``sqlite:///…`` or ``postgresql://user@host/database``. Empty: SQLite in
    ``data_dir``."""
    database_password: SecretStr = SecretStr("")
    """PostgreSQL's password, as it is: in the URL it would have to be escaped."""
    task_queue: Word = "assister-portal-access"
    """Temporal's task queue; the same for every process."""

    smtp_host: Word = "127.0.0.1"
    """The mail relay."""
    smtp_port: Annotated[int, Field(ge=1, le=65535)] = 8025
    """The relay's port: usually 587 with starttls, 465 with implicit."""
    smtp_security: Security = Security.NONE
    """``none``, ``starttls`` or ``implicit`` (TLS from the first byte)."""
    smtp_username: str = ""
    """Empty: the relay wants no sign-in."""
    smtp_password: SecretStr = SecretStr("")
    """Never sent in clear to another machine."""
    smtp_connections: Annotated[int, Field(ge=1, le=50)] = 4
    """The most deliveries at once, for each worker."""
    smtp_rate: Annotated[float, Field(ge=0, le=1000)] = 0
    """The most mails per second that all workers together give the relay; set the same for each of
    them. 0: no limit."""
    smtp_timeout: Annotated[float, Field(gt=0, le=30)] = 20.0
    """Seconds for one delivery."""

    mail_from: Mailbox = "no-reply@portal.example.org"
    """The sender of every mail. Relays return to it what they could not deliver, and such a mail
    counts as sent: use a mailbox that somebody reads."""
    arc_email: Mailbox = "arc@portal.example.org"
    """The Assister Resource Center's staffed mailbox: the Reply-To of every mail; it gets the daily
    digest."""
    summary_rows: Annotated[int, Field(ge=1, le=1000)] = 100
    """The most rejected rows that a roster's summary lists; the gateway shows them all."""
    arc_phone: Annotated[str, Field(pattern=r"^[0-9+()./ x-]{3,40}$")] = "651-555-0100"
    """The Assister Resource Center's number, in mails."""
    portal_url: WebAddress = "https://portal.example.org"
    """Where assisters use the portal: links in mails lead there."""
    ui_url: WebAddress = "http://127.0.0.1:8233"
    """The Temporal Web UI, for links to a case."""

    gateway_host: Word = "127.0.0.1"
    """The address at which the gateway listens; in a container 0.0.0.0."""
    gateway_port: Annotated[int, Field(ge=0, le=65535)] = 8400
    """Its port; 0 takes a free one."""
    gateway_url: WebAddress = "http://127.0.0.1:8400"
    """The address at which people and programs reach the gateway: links in mails lead there."""
    gateway_proxies: Word = "127.0.0.1"
    """Addresses of the proxies in front of it, whose X-Forwarded-For is trusted."""
    exports: dict[AgencyId, ExportFormat] = {}
    """How each training system writes its exports, by the name that its key carries."""

    statements: dict[AgencyId, StatementFormat] = {}
    """How each learning system writes its xAPI statements."""
    event_secrets: dict[AgencyId, tuple[SigningSecret, ...]] = {}
    """By training system, the secrets (``whsec_…``) with which it signs events, if it makes them
    itself. Those that `starter.py keys create --events` makes need no configuration."""
    staff: tuple[Mailbox, ...] = ()
    """E-mail addresses of the Assister Resource Center's staff, who may sign in to its page."""

    oidc_issuer: Annotated[OptionalAddress, AfterValidator(_private)] = ""
    """The OpenID Connect provider by which contacts and staff may sign in, besides mailed links."""
    oidc_client_id: str = ""
    """The gateway's client id at the provider."""
    oidc_client_secret: SecretStr = SecretStr("")
    """The gateway's client secret at the provider."""

    scim_url: Annotated[OptionalAddress, AfterValidator(_private)] = ""
    """The SCIM 2.0 directory that holds the portal's accounts. Empty: they are in the records."""
    scim_token: SecretStr = SecretStr("")
    """The bearer token for requests to the directory."""

    metrics_address: Annotated[
        str, Field(pattern=r"^([0-9.]+:[0-9]{1,5}|\[[0-9a-f:]+\]:[0-9]{1,5}|)$")
    ] = ""
    """The address at which a worker shows its metrics, such as ``127.0.0.1:9464``. Empty: none."""

    portal_secret: SecretStr = SecretStr("")
    """At least 32 characters. Registration numbers are derived from it, so it must stay secret.
    Empty: the embedded stack makes one and keeps it in ``data_dir``."""

    terms: Terms = Terms()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The usual sources, which report unreadable JSON together with all other faults."""
        sources = (env_settings, dotenv_settings, file_secret_settings)
        for each in sources:
            assert isinstance(
                each, EnvSettingsSource | DotEnvSettingsSource | SecretsSettingsSource
            )
            each.decode_complex_value = _decoded  # type: ignore[method-assign]
        return (init_settings, *sources)

    @field_validator("terms", mode="before")
    @classmethod
    def _known(cls, terms: Any) -> Any:
        # `Terms` ignores unknown names, because cases keep older terms.
        unknown = (
            sorted(terms.keys() - Terms.model_fields.keys()) if isinstance(terms, dict) else []
        )
        if unknown:
            raise ValueError(f"has no {', '.join(each.upper() for each in unknown)}")
        return terms

    @field_validator("portal_secret")
    @classmethod
    def _long_enough(cls, secret: SecretStr) -> SecretStr:
        if 0 < len(secret) < MIN_SECRET:
            raise ValueError(f"must have at least {MIN_SECRET} characters")
        return secret

    @property
    def records_url(self) -> str:
        """The database URL with the embedded default, or the password, filled in."""
        password = self.database_password.get_secret_value()
        if not self.database_url:
            return f"sqlite:///{self.data_dir / 'records.db'}"
        if not password:
            return self.database_url
        parts = urlsplit(self.database_url)
        user = quote(parts.username or "", safe="%")
        host = parts.netloc.rpartition("@")[2]
        return urlunsplit(parts._replace(netloc=f"{user}:{quote(password, safe='')}@{host}"))

    def unsafe(self) -> list[str]:
        """Settings that can be read but are unsafe to run with: a line for each."""
        found = []
        if (
            self.smtp_password.get_secret_value()
            and self.smtp_security is Security.NONE
            and not _is_here(self.smtp_host)
        ):
            found.append(
                "ASSISTER_SMTP_PASSWORD: would cross the network in clear;"
                " set ASSISTER_SMTP_SECURITY to starttls or implicit"
            )
        # Hosts that share a PostgreSQL would each make their own secret, and a registration number
        # mailed by one would be unknown to the others.
        if (
            self.database_url.startswith("postgresql")
            and not self.portal_secret.get_secret_value()
            and not (self.data_dir / "portal.secret").exists()
        ):
            found.append(
                "ASSISTER_PORTAL_SECRET: must be set, the same for every process, where the records"
                " are in PostgreSQL; make one with `openssl rand -hex 32`"
            )
        return found


def load() -> Settings:
    """The configuration of this process.

    Raises:
        Misconfigured: With a line for every fault.
    """
    faults = _unknown_names()
    try:
        settings = Settings()
    except ValidationError as error:
        faults += [_line(each["loc"], each["msg"]) for each in error.errors()]
    else:
        faults += settings.unsafe()
        if not faults:
            return settings
    raise Misconfigured("\n".join(faults))


def name_of(*path: object) -> str:
    """The variable that sets a value, such as ``ASSISTER_TERMS__FUSE_COUNT``."""
    return PREFIX + "__".join(str(each) for each in path).upper()


def is_nested(field: FieldInfo) -> bool:
    """Whether it has nested values, each with its own variable."""
    return field.annotation is Terms or get_origin(field.annotation) is dict


def _unknown_names() -> list[str]:
    fields = Settings.model_fields
    given = {*os.environ, *dotenv_values(ENV_FILE)}
    if SECRETS.is_dir():
        given |= {each.name for each in SECRETS.iterdir()}
    faults = []
    for name in sorted({each.upper() for each in given}):
        head, _, rest = name.removeprefix(PREFIX).lower().partition("__")
        if not name.startswith(PREFIX) or (
            head in fields and (not rest or is_nested(fields[head]))
        ):
            continue
        near = get_close_matches(head, fields, 1)
        meant = f"; is {name_of(near[0])} meant?" if near else ""
        faults.append(f"{name}: there is no such setting{meant}")
    return faults


def _line(path: tuple[int | str, ...], message: str) -> str:
    # Below a list's name come positions in it, and no variable names those.
    names = [each for each in path if isinstance(each, str) and each != "[key]"]
    return f"{name_of(*names)}: {message.removeprefix('Value error, ')}"


def _decoded(field_name: str, field: FieldInfo, value: Any) -> Any:
    del field_name, field
    try:
        return json.loads(value)
    except ValueError:
        return value


def _is_here(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class _Program(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}; --help says what it does\n")


def take_no_arguments(program: str, does: str) -> None:
    """Ends a program that was asked for its help, or was given an argument that it does not have.

    Args:
        does: What the program does, in a sentence or two.
    """
    settings = "Its settings are environment variables: docs/configuration.md."
    _Program(prog=program, description=f"{does} {settings}", allow_abbrev=False).parse_args()
