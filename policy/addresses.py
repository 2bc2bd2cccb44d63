"""Certification e-mail addresses: valid, unique, not generic (clauses 1.2a, 1.2b)."""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from contextlib import suppress
from functools import lru_cache
from itertools import groupby, permutations
from operator import itemgetter

from email_validator import EmailNotValidError, validate_email

from policy.text import compared, mixes_scripts, spreadsheet_fault, unprintable, visible

RFC_2142 = """
    abuse ftp hostmaster info list marketing news noc postmaster sales security support usenet uucp
    webmaster www
"""
OFFICE = """
    account accounting admin administration administrator agency all apoyo applicant application
    apply appointment appointments appt ask askus assistance assistant assister ayuda benefits
    bienvenidos billing board booking branch cac callcenter career caseworker ceo certified claims
    clinic community compliance connect contact contactenos contacto contactus coordinator copier
    coverage covered crisis customer customercare customerservice custserv daemon department dept
    desk development devnull director dispatch distribution division dns donate donation donations
    donotreply eligibility email employee enquiries enquiry enroll enrollment equipo espanol events
    everybody everyone exchange exec executive facilities fax feedback finance frontdesk general
    giving grants group health healthcare hello help helpdesk helpline hotline hr humanresources
    inbox info informacion information inoc inquiries inquiry insurance intake intern internship
    interpreter invoice ispfeedback ispsupport it jobs kiosk laptop legal library lobby mail
    mailbox maildaemon mailer mailerdaemon main maintenance manager marketplace media medicaid
    medical medicare mnsure navigator navs newsletter none noreply notification null nurse nursing
    office oficina operations orders outreach payment payments payroll personnel phish phishing
    phone portal postbox press printer privacy procurement program programs publicity purchasing
    question recepcion reception receptionist record records recruiting referral registrar
    registration remarks reminder reservation reservations root scan scanner schedule scheduler
    scheduling school secretary seniors service shared signup socialservices spam specialist staff
    student supervisor sysadmin tablet team tech temp test trainee training translation
    undisclosedrecipients unsubscribe user vacancy voicemail voip volunteer volunteering web
    webmail welcome worker youth
"""
GENERIC = frozenset((RFC_2142 + OFFICE).split())
FILLER = """
    all back call care case center central city client county customer do downtown east fall family
    front get getting head hr human it lead line me member metro minnesota mn my need new north not
    now office our payable post public receivable resource room social south spring state summer
    sys the us web west winter
"""
FILLERS = frozenset(FILLER.split())
"""Words that stand before or after such a word and do not identify a person."""
SHORT = 4
"""The shortest desk word that is searched for inside a longer word: shorter ones occur in many
names."""
_WORDS = sorted(each for each in GENERIC if len(each) >= SHORT)
# By their first letter: most letters begin few words or none.
_LONG = "|".join(
    f"{first}(?:{'|'.join(each[1:] for each in words)})"
    for first, words in groupby(_WORDS, key=itemgetter(0))
)
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
    if not address.isascii():
        address = unicodedata.normalize("NFKC", address)
    # Neither casefold nor Python's own codec: both take two domains for one, ß for ss.
    local, _, domain = address.lower().rpartition("@")
    if not domain.isascii():
        with suppress(EmailNotValidError):
            domain = validate_email(f"a@{domain}", check_deliverability=False).ascii_domain
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
    own = {*words, *(put for a, b in permutations(words, 2) for put in (a + b, a[0] + b, a + b[0]))}
    if any(part in own and not _says_nobody(part) for part in parts):
        return True
    unsaid = list(words)
    for part in parts:
        if (match := next((each for each in unsaid if each.startswith(part)), None)) is None:
            return False
        unsaid.remove(match)
    return len(parts) > 1 and not all(_says_nobody(each) for each in parts)


def _says_nobody(word: str) -> bool:
    return _is_desk(word) or word in FILLERS or COMPOUND.fullmatch(word) is not None


def _name_words(name: str) -> list[str]:
    plain = unicodedata.normalize("NFKD", name).casefold()
    return re.findall(r"[^\W\d_]+", "".join(e for e in plain if not unicodedata.combining(e)))


def _is_odd(each: str) -> bool:
    """Whether a character came from a word processor: no letter, or one that stands for others."""
    if each.isascii():
        return False
    return unicodedata.category(each)[0] not in "LMN" or unicodedata.normalize("NFKC", each) != each
