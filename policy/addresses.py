"""Certification e-mail addresses: valid, unique, not generic (clauses 1.2a, 1.2b)."""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from contextlib import suppress
from functools import lru_cache

from email_validator import EmailNotValidError, validate_email

from policy.text import compared, mixes_scripts, spreadsheet_fault, unprintable, visible

RFC_2142 = """
    abuse ftp hostmaster info list marketing news noc postmaster sales security support usenet uucp
    webmaster www
"""
OFFICE = """
    account accounting admin administration administrator agency all apply assistance assister
    ayuda billing board cac career caseworker ceo clinic community compliance contact contacto
    contactus coordinator customercare customerservice desk director donotreply employee
    enquiries enquiry enroll enrollment events everybody everyone executive fax feedback finance
    frontdesk general grants group health hello help helpdesk helpline hotline hr humanresources
    inbox informacion information inquiries inquiry insurance intake intern internship it jobs
    legal mail mailbox main manager mnsure navigator newsletter noreply notification office
    operations outreach payroll personnel portal postbox privacy program programs question
    reception receptionist recruiting referral registration root scan scheduling secretary
    service shared staff student sysadmin team temp test trainee training user voicemail
    volunteer welcome
"""
GENERIC = frozenset((RFC_2142 + OFFICE).split())
FILLER = """
    all back care case central city client county customer downtown east fall front head human
    line member metro minnesota mn new north not office our post public resource room south
    spring state summer sys the web west winter
"""
FILLERS = frozenset(FILLER.split())
"""Words that stand before or after such a word and do not identify a person."""
SHORT = 4
"""The shortest desk word that is searched for inside a longer word: shorter ones occur in many
names."""
_LONG = "|".join(sorted(each for each in GENERIC if len(each) >= SHORT))
_ANY = f"(?:(?:{_LONG})s?|{'|'.join(sorted(FILLERS))})*"
COMPOUND = re.compile(f"{_ANY}(?:{_LONG})s?{_ANY}")
"""A compound of desk words and fillers that has at least one desk word."""

WORDS = re.compile(r"[^\W_]+")
GMAIL = frozenset({"gmail.com", "googlemail.com"})


class BadAddress(ValueError):
    """The text is not one usable e-mail address; the message says why and what to do."""


@lru_cache(maxsize=4096)
def clean_address(cell: str) -> str:
    """The address in a cell, normalized.

    Raises:
        BadAddress: If there is not exactly one plain, valid address.
    """
    plain = visible(cell)
    if "=?" in plain:
        raise BadAddress("holds “=?” as an encoded mail header does; type the address again")
    if fault := spreadsheet_fault(plain):
        raise BadAddress(fault)
    if unseen := unprintable(plain):
        raise BadAddress(f"holds {unseen}; type the address again")
    if "<" in plain or ">" in plain:
        raise BadAddress("give the address alone, without a name or angle brackets")
    if plain.count("@") > 1 or re.search(r"[;,]|\s", plain):
        raise BadAddress("give one address only, without spaces")
    try:
        valid = validate_email(plain, check_deliverability=False, strict=True)
    except EmailNotValidError:
        raise BadAddress("is not a valid e-mail address") from None
    local = valid.local_part
    if not local.isascii() and (odd := next(filter(_is_odd, local), None)):
        raise BadAddress(f"holds “{odd}”, which no mailbox has; type the address again")
    if mixes_scripts(valid.normalized):
        raise BadAddress("mixes look-alike letters of different alphabets; type it again")
    return valid.normalized


def mailbox_key(address: str) -> str:
    """The key that all spellings of one mailbox share (clause 1.2a).

    It ignores case, Unicode forms, a ``+tag``, and the dots of a Gmail address.
    """
    local, _, domain = unicodedata.normalize("NFKC", address).casefold().rpartition("@")
    if not domain.isascii():
        with suppress(UnicodeError):
            domain = domain.encode("idna").decode()
    local = local.partition("+")[0] or local
    if domain in GMAIL:
        return f"{local.replace('.', '')}@gmail.com"
    return f"{local}@{domain}"


def is_generic(address: str, *names: str) -> bool:
    """Whether an address names a desk rather than a person (clause 1.2b).

    Numbered and tagged variants are the same thing (``intern2@``, ``info+portal@``), and so are
    words put together (``allstaff@``, ``info.north@``). Where its parts are the person's own names
    or initials it is a person's: ``t.eam@`` of Thida Eam.

    Args:
        names: The person's names, where they are known.
    """
    local = compared(address).rpartition("@")[0].partition("+")[0]
    parts = [word for each in WORDS.findall(local) if (word := each.strip("0123456789"))]
    whole = "".join(parts)
    desk = any(map(_is_desk, parts)) or _is_desk(whole) or COMPOUND.fullmatch(whole) is not None
    return desk and not _is_person(parts, names)


def _is_desk(word: str) -> bool:
    return word in GENERIC or word.removesuffix("s") in GENERIC


def _is_person(parts: Sequence[str], names: Iterable[str]) -> bool:
    words = [word for each in names for word in _name_words(each)]
    unsaid = list(words)
    for part in parts:
        if part in words and not _says_nobody(part):
            return True
        if (match := next((each for each in unsaid if each.startswith(part)), None)) is None:
            return False
        unsaid.remove(match)
    return len(parts) > 1 and not all(_says_nobody(each) for each in parts)


def _says_nobody(word: str) -> bool:
    return _is_desk(word) or word in FILLERS


def _name_words(name: str) -> list[str]:
    plain = unicodedata.normalize("NFKD", name).casefold()
    return re.findall(r"[^\W\d_]+", "".join(e for e in plain if not unicodedata.combining(e)))


def _is_odd(each: str) -> bool:
    """Whether a character came from a word processor: no letter, or one that stands for others."""
    if each.isascii():
        return False
    return unicodedata.category(each)[0] not in "LMN" or unicodedata.normalize("NFKC", each) != each
