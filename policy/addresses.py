"""Certification e-mail addresses: valid, unique, not generic (clauses 1.2a, 1.2b)."""

import re
import unicodedata
from contextlib import suppress
from functools import lru_cache

from email_validator import EmailNotValidError, validate_email

RFC_2142 = """
    abuse ftp hostmaster info list marketing news noc postmaster sales security support usenet uucp
    webmaster www
"""
OFFICE = """
    accounting accounts admin administration administrator agency apply assistance assister
    assisters billing cac cacs careers clinic compliance contact coordinator customerservice desk
    director enroll enrollment everyone feedback finance frontdesk general hello help helpdesk hr
    inbox inquiries intake intern interns it jobs mail mailbox main manager mnsure navigator
    navigators noreply office officemanager operations outreach payroll portal privacy programs
    questions reception receptionist recruiting registration scheduling secretary service services
    staff team temp test training trainee user volunteer volunteers welcome
"""
GENERIC = frozenset((RFC_2142 + OFFICE).split())

GMAIL = frozenset({"gmail.com", "googlemail.com"})
_INVISIBLE = dict.fromkeys(map(ord, "\u200b\u200c\u200d\u2060\ufeff\u00ad"))


class BadAddress(ValueError):
    """Not one usable e-mail address; the text says why and what to do."""


@lru_cache(maxsize=4096)
def clean_address(cell: str) -> str:
    """The address in a cell, normalized.

    Raises:
        BadAddress: If there is not exactly one plain, valid address.
    """
    plain = visible(cell)
    if "=?" in plain or has_controls(plain):
        raise BadAddress("holds control characters; type the address again")
    if "<" in plain or ">" in plain:
        raise BadAddress("give the address alone, without a name or angle brackets")
    if plain.count("@") > 1 or re.search(r"[;,]|\s", plain):
        raise BadAddress("give one address only, without spaces")
    try:
        valid = validate_email(plain, check_deliverability=False, strict=True)
    except EmailNotValidError:
        raise BadAddress("is not a valid e-mail address") from None
    if mixes_scripts(valid.normalized):
        raise BadAddress("mixes look-alike letters of different alphabets; type it again")
    return valid.normalized


def visible(cell: str) -> str:
    """A cell without the spaces and invisible characters that come along when it is copied."""
    if not cell.isascii():
        cell = cell.replace("\u00a0", " ").translate(_INVISIBLE)
    return cell.strip()


def mailbox_key(address: str) -> str:
    """The same for every spelling of one mailbox (clause 1.2a).

    Case, Unicode forms and a ``+tag`` are ignored, and the dots of a Gmail address.
    """
    local, _, domain = unicodedata.normalize("NFKC", address).casefold().rpartition("@")
    if not domain.isascii():
        with suppress(UnicodeError):
            domain = domain.encode("idna").decode()
    local = local.partition("+")[0] or local
    if domain in GMAIL:
        return f"{local.replace('.', '')}@gmail.com"
    return f"{local}@{domain}"


def is_generic(address: str) -> bool:
    """Whether an address names a desk rather than a person (clause 1.2b).

    Numbered and tagged variants are the same thing: ``intern2@``, ``info+portal@``.
    """
    local = address.casefold().rpartition("@")[0].partition("+")[0]
    word = re.sub(r"[\W_]+", "", re.sub(r"[\W_]*\d+$", "", local))
    return word in GENERIC


def has_controls(text: str) -> bool:
    """Whether a text holds control, format or bidirectional characters."""
    return (
        not text.isascii()
        and any(unicodedata.category(each) in ("Cc", "Cf", "Co", "Cs") for each in text)
    ) or any(each < " " or each == "\x7f" for each in text)


def mixes_scripts(text: str) -> bool:
    """Whether letters of several alphabets stand in one text, as in a look-alike."""
    if text.isascii():
        return False
    scripts = {unicodedata.name(each, "?").split()[0] for each in text if each.isalpha()}
    return len(scripts & {"LATIN", "CYRILLIC", "GREEK", "ARMENIAN", "CHEROKEE"}) > 1
