"""The mails' texts. Each template is the subject, an empty line, and paragraphs."""

import re
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from policy.mails import MailKind, Recipient

_LOADER = FileSystemLoader(Path(__file__).parent / "templates")
# Plain text: escapes would be visible. The HTML part is made from it and escapes everything.
_TEXT = Environment(
    loader=_LOADER,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    autoescape=False,  # noqa: S701
)
_HTML = Environment(
    loader=_LOADER,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    autoescape=True,
)
_LINK = re.compile(r"https?://[^\s<>\"']+[^\s<>\"'.,;)]")


class Rendered(NamedTuple):
    """A mail's subject and text."""

    subject: str
    text: str

    @property
    def html(self) -> str:
        """The HTML part of a text that needs no further filling in."""
        return html_of(self.subject, self.text)


def render(kind: MailKind, **values: Any) -> Rendered:
    """Fills in a mail's template and adds how to reach the Assister Resource Center (clause 3.1b).

    Raises:
        jinja2.UndefinedError: If a value is missing.
    """
    written = _TEXT.get_template(f"{kind}.txt").render(values)
    subject, _, text = written.partition("\n\n")
    to_arc = kind.recipient is Recipient.ARC
    footer = _TEXT.get_template("footer_arc.txt" if to_arc else "footer.txt").render(values)
    return Rendered(subject.removeprefix("Subject: ").strip(), f"{text.strip()}\n\n{footer}\n")


def html_of(subject: str, text: str) -> str:
    """The HTML part of a text: paragraphs, lists and links, everything else escaped."""
    paragraphs = []
    for paragraph in text.strip().split("\n\n"):
        lines = paragraph.split("\n")
        is_list = all(line.startswith("- ") for line in lines)
        items = [_linked(line.removeprefix("- ") if is_list else line) for line in lines]
        paragraphs.append({"is_list": is_list, "lines": items})
    return _HTML.get_template("layout.html").render(subject=subject, paragraphs=paragraphs)


def _linked(line: str) -> Markup:
    parts, end = [], 0
    for found in _LINK.finditer(line):
        url = escape(found[0])
        parts += [escape(line[end : found.start()]), Markup('<a href="{0}">{0}</a>').format(url)]
        end = found.end()
    return Markup("").join([*parts, escape(line[end:])])
