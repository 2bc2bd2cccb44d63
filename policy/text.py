"""Which characters a cell may hold: one rule for every text that people send.

Invisible characters that come along when a cell is copied are dropped. Every kind of space counts
as a plain one. Any other control or format character makes the reader of the cell refuse it.
"""

import re
import unicodedata

_UNSEEN = "\u00ad\u200b\u200c\u200d\u2060\ufeff"
"""Soft hyphen, zero-width characters, byte order mark: they are invisible."""
_DIRECTIONS = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u2066\u2067\u2068\u2069"
"""Marks of a text's direction. Around a cell they come from address books; within one they can make
it look like another, as the right-to-left override U+202E does everywhere."""
_SPACES = "\u00a0\u1680\u202f\u205f\u3000" + "".join(map(chr, range(0x2000, 0x200B)))
_SEEN = str.maketrans(dict.fromkeys(_UNSEEN) | dict.fromkeys(_SPACES, " "))
_BREAKS = re.compile("[\t\n\v\f\r\x85\u2028\u2029]+ *")
_ERROR = re.compile(
    r"#(N/A|REF!|NAME\?|VALUE!|DIV/0!|NUM!|NULL!|SPILL!|CALC!|FIELD!|BLOCKED!|GETTING_DATA"
    r"|UNKNOWN!|CONNECT!|BUSY!|EXTERNAL!|PYTHON!)|Err:\d{3}"
)
_ADDRESS = re.compile(r"@|\w\s*[\[(]\s*at\s*[\])]\s*\w+\.", re.IGNORECASE)
_BETWEEN = r"[\s./\\()_•·\-\u2010-\u2015\u2212]*"
_PHONE = re.compile(rf"\d{{3}}{_BETWEEN}\d{{3}}{_BETWEEN}\d{{4}}")
_FOLLOWING = "".join(bytes([each]).decode("cp1252", "ignore") for each in range(0x80, 0xC0))
_MISREAD = re.compile(f"[ÂÃÄÅ][{re.escape(_FOLLOWING)}]|â€")
"""What letters of UTF-8 look like when a program has taken them for Windows-1252."""
_ESCAPED = re.compile("&(#\\d+|#x[0-9a-f]+|[a-z]+\\d*);|%[0-9A-F]{2}", re.IGNORECASE)
"""What letters look like as a web page or a web address writes them."""
_QUOTES = "\"'“”„‟‘’‚‛«»‹›`´"


def visible(cell: str) -> str:
    """A cell as a reader sees it, without its invisible characters."""
    if not cell.isascii():
        cell = cell.translate(_SEEN).strip().strip(_DIRECTIONS)
    return cell.strip()


def on_one_line(cell: str) -> str:
    """A cell as a reader sees it, with its line breaks and tabs as spaces."""
    return _BREAKS.sub(" ", visible(cell))


def unprintable(text: str) -> str | None:
    """A text's first control, format or private character, in words; None if there is none."""
    if text.isascii() and text.isprintable():
        return None
    for each in text:
        if each in "\n\r\v\f\x85\u2028\u2029":
            return "a line break"
        if each == "\t":
            return "a tab"
        if unicodedata.category(each) in ("Cc", "Cf", "Co", "Cs"):
            return f"a character that cannot be seen (U+{ord(each):04X})"
    return None


def spreadsheet_fault(text: str) -> str | None:
    """The error or formula that a spreadsheet left in a cell instead of a value, or None."""
    if text[:1] not in "=＝#E":
        return None
    if text.startswith(("=", "＝")):
        return (
            "holds a formula without a value; open the file in a spreadsheet program, save it and"
            " send it again"
        )
    if _ERROR.fullmatch(text):
        return f"holds a spreadsheet's error, {text}; mend the formula or type the value"
    return None


def quoted(text: str) -> bool:
    """Whether quotation marks stand around a text."""
    return len(text) > 1 and text[0] in _QUOTES and text[-1] in _QUOTES


def misread(text: str) -> bool:
    """Whether a letter was lost or became others when a program saved the text."""
    if text.isascii():
        return ("?" in text and "=?" not in text) or _ESCAPED.search(text) is not None
    return "?" in text or "\ufffd" in text or _MISREAD.search(text) is not None


def mixes_scripts(text: str) -> bool:
    """Whether a text mixes letters of several alphabets, as look-alikes do."""
    if text.isascii():
        return False
    scripts = {unicodedata.name(each, "?").split()[0] for each in text if each.isalpha()}
    return len(scripts & {"LATIN", "CYRILLIC", "GREEK", "ARMENIAN", "CHEROKEE"}) > 1


def names_somebody(text: str) -> bool:
    """Whether a text holds an e-mail address or a phone number, in any way of typing it."""
    plain = unicodedata.normalize("NFKC", visible(text))
    return _ADDRESS.search(plain) is not None or _PHONE.search(plain) is not None


def compared(text: str) -> str:
    """A word as the policy compares it, without compatibility forms (NFKC) and case."""
    if text.isascii():
        return text.strip().lower()
    return unicodedata.normalize("NFKC", visible(text)).casefold()


def identified(text: str) -> str:
    """An id in capitals. Only ASCII letters change: ``ſ`` must not become an S."""
    plain = visible(text)
    return plain.upper() if plain.isascii() else plain


def counted(count: int, noun: str) -> str:
    """A number of things, as in "1 row" and "12,000 rows"."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
