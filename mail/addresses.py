"""E-mail addresses in the form that SMTP uses."""

import re

from email_validator import EmailNotValidError, validate_email

# No space, control character, bracket, comma or quotation mark: aiosmtplib and readers of the
# header would parse those away and send elsewhere.
_PART = r'[^\s<>@()\[\],;:\\"\x00-\x1f\x7f]+'
_PLAIN = re.compile(f"{_PART}@{_PART}")


def wire_form(address: str) -> str:
    """The address as SMTP uses it: the domain in ASCII (RFC 5891), the local part unchanged.

    A result that is not ASCII needs a relay that offers SMTPUTF8 (RFC 6531).

    Raises:
        ValueError: If this is not one plain address. The text does not repeat the address.
    """
    if not _PLAIN.fullmatch(address):
        raise ValueError("not one plain address")
    if address.isascii():
        return address
    try:
        # Python's own "idna" codec would turn straße into strasse, which is another domain.
        valid = validate_email(address, check_deliverability=False)
    except EmailNotValidError:
        raise ValueError("not a valid internationalized address") from None
    return f"{valid.local_part}@{valid.ascii_domain}"
