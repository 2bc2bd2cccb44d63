"""One target for each family of parsers; a target takes bytes and raises documented errors only.

Each target asserts what holds for any input: every row has a verdict, a bad row does not harm its
neighbours, a mail has no additional header, and a stored error has no text of the input. The test
suite runs the same functions on random input and on every earlier find.
"""

import io
import json
import re
import tempfile
import unicodedata
import zipfile
from collections.abc import Callable, Iterable, Sequence
from contextlib import redirect_stderr, redirect_stdout, suppress
from datetime import UTC, datetime, timedelta
from email.parser import BytesParser
from email.utils import getaddresses
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import aiosmtplib
from cyclopts import CycloptsError
from jinja2 import UndefinedError
from pydantic import TypeAdapter, ValidationError

from commands.line import command_line
from intake.files import UnreadableFile, read_roster, read_table
from intake.results import COLUMNS as RESULT_COLUMNS
from intake.results import judge_result, judge_results, read_results
from mail.addresses import wire_form
from mail.failures import classify
from mail.message import UnsafeHeader, build, message_id
from mail.templates import html_of, render
from policy import calendar
from policy.addresses import BadAddress, clean_address, is_generic, mailbox_key
from policy.case import Case, Due, Earlier
from policy.forecast import foresee
from policy.mails import MailKind
from policy.requirements import (
    AccountActivated,
    AgencyId,
    AssessmentScored,
    AssisterType,
    CertificationRecorded,
    Fact,
    ResultVoided,
    RosterRecorded,
    TrainingCompleted,
    TrainingId,
)
from policy.roster import COLUMNS, REQUIRED, Collisions, Row, Verdict, judge, read_phone
from policy.text import unprintable, visible
from tests.fuzz import requests
from workflows import dialogs, presentation
from workflows.contract import StaffAct
from workflows.lists import link, ready_made

Target = Callable[[bytes], None]

NOW = datetime(2026, 11, 20, 16, tzinfo=UTC)
SEPARATOR = "\x1f"
"""Separates the texts in the input of a target."""
GOOD = ["Ann", "Lee", "ann@x.org", "ABC1234", "Active", "Yes", "651-555-0142", "help@x.org"]
ROSTER = f"{','.join(REQUIRED.values())}\n{','.join(GOOD)}\n"
RESULTS = "Training ID,Event,Date,Score,Status,Valid Through\n"
AGENCIES = {"agency_id": "Agency ID", "contact_email": "Contact Email"}
ENCODINGS = ("utf-8-sig", "cp1252", "utf-16", "utf-7", "unicode_escape", "idna", "undefined")
SAID_AT_MOST = 400
"""The most characters of a reason, for any cell."""

_folder = Path(tempfile.mkdtemp(prefix="fuzz-"))


def texts(data: bytes, count: int) -> list[str]:
    """Splits the input into texts, which may have lone surrogates; missing texts are empty."""
    split = data.decode("utf-8", "surrogateescape").split(SEPARATOR)
    return [*split, *[""] * count][:count]


def delimited_files(data: bytes) -> None:
    """Reads rosters, results and agencies as CSV; the first byte selects one and its encoding."""
    which = data[0] if data else 0
    readers = (read_roster, read_results, lambda *a: read_table(a[0], AGENCIES, AGENCIES, a[1]))
    head = ("", ROSTER, RESULTS, "Agency ID,Contact Email\n")[which // 8 % 4]
    encoding = ENCODINGS[which // 32 % 7] if which >= 128 else ENCODINGS[0]
    path = _folder / "file.csv"
    path.write_bytes(head.encode() + data[1:])
    _read(path, encoding, readers[which % 3], good_first=head == ROSTER)


def workbooks(data: bytes) -> None:
    """Reads a roster as XLSX; the input is the archive's parts, or sometimes the whole archive."""
    path = _folder / "file.xlsx"
    if data[:1] == b"P":
        path.write_bytes(b"PK\x03\x04" + data[1:])
    else:
        write_workbook(path, texts(data, 4))
    _read(path, "utf-8-sig", read_roster, good_first=False)


def rows(data: bytes) -> None:
    """Judges a roster's row between two good rows, and a result's row."""
    cells = texts(data, len(COLUMNS))
    row = Row(3, dict(zip(COLUMNS, cells, strict=True)))
    before = Row(2, dict.fromkeys(COLUMNS, "") | dict(zip(REQUIRED, GOOD, strict=True)))
    after = before._replace(line=4, cells={**before.cells, "training_id": "XYZ9876",
                                           "email": "bo@x.org"})  # fmt: skip
    collisions = Collisions()
    for added in (before, row, after):
        collisions.add(added)
    for kind in AssisterType:
        alone = judge(row, kind, Collisions(), {})
        _check_verdict(alone)
        _check_verdict(judge(row, kind, collisions, {"bo@x.org": "OTHER01"}))
        for neighbour in (before, after):
            problems = judge(neighbour, kind, collisions, {}).reasons
            assert all(" stands in line " in reason.message for reason in problems), problems
    result = Row(2, dict(zip(RESULT_COLUMNS, islice(cycle(cells), 7), strict=True)))
    found = judge_result(result, NOW)
    assert (found.fact is None) == bool(found.reasons)
    assert all(len(reason.message) <= SAID_AT_MOST for reason in found.reasons)
    _printable(found.training_id)


def addresses_and_phones(data: bytes) -> None:
    """Reads and normalizes an address and a phone number."""
    text = texts(data, 1)[0]
    with suppress(BadAddress):
        assert clean_address("ann.lee@x.org") == "ann.lee@x.org"
        try:
            clean = clean_address(text)
        except BadAddress as bad:
            _silent(bad, text)
            raise
        assert clean_address(clean) == clean, "cleaning twice is cleaning once"
        assert mailbox_key(clean) == mailbox_key(text.strip()) or text.strip() != visible(text)
        assert mailbox_key(mailbox_key(clean)) == mailbox_key(clean)
        is_generic(clean)
        wire_form(clean)
    try:
        assert not re.search(r"[\s<>\x00-\x1f]", wire_form(text))
    except ValueError as error:
        _silent(error, text)
    mailbox_key(visible(text))
    phone = read_phone(text)
    assert phone is None or re.fullmatch(r"\+\d{4,16}(;ext=\d{1,20})?", phone), phone
    assert phone is None or read_phone(phone) == phone


EVENTS: dict[str, tuple[type[Fact], str]] = {
    "roster": (RosterRecorded, "record_roster"),
    "certification": (CertificationRecorded, "record_certification"),
    "training": (TrainingCompleted, "record_training"),
    "assessment": (AssessmentScored, "record_assessment"),
    "void": (ResultVoided, "record_void"),
    "activation": (AccountActivated, "record_activation"),
}


def events_and_orders(data: bytes) -> None:
    """Tells a case a list of signals and updates in JSON, as its workflow does."""
    try:
        told = json.loads(data)
    except (ValueError, RecursionError):
        return
    case = Case(training_id="ABC1234", opened_at=NOW)
    case.planned([], Earlier(), NOW)
    for each in told if isinstance(told, list) else [told]:
        name, payload = each if isinstance(each, list) and len(each) == 2 else ("roster", each)
        kind, record = EVENTS.get(str(name), (None, ""))
        try:
            if kind is None:
                order = StaffAct.model_validate(payload).order
                assert "\0" not in order.by + order.reason, "PostgreSQL takes no NUL"
                assert case.suspend(order, NOW)
                assert case.reinstate(NOW)
                assert case.correct_email(NOW)
            else:
                fact = kind.model_validate(payload)
                if fact.occurred_at <= NOW + timedelta(days=1):
                    getattr(case, record)(fact, NOW)
                if isinstance(fact, RosterRecorded):
                    foresee(case, fact, Earlier(), NOW, ())
        except ValidationError as error:
            _silent(error, payload, said=dialogs.mistake(error))
    _check_case(case)


def letters(data: bytes) -> None:
    """Builds messages and templates with hostile names; no header may be added."""
    name, address, subject, text = texts(data, 4)
    kind = list(MailKind)[len(text) % len(MailKind)]
    hostile = {"first_name": name, "assister_name": name, "contact_name": subject}
    with suppress(UndefinedError):
        mail = render(kind, **(VALUES | hostile))
        assert "{{" not in mail.text or "{{" in name + subject, "a template was not filled in"
        assert len(mail.text) <= 4000 + 10 * len(name + subject), "a value was evaluated"
        _check_html(mail.html)
        _check_message(name, address, mail.subject, mail.text)
    _check_html(html_of(subject, text))
    _check_message(name, address, subject, text)


VALUES: dict[str, Any] = {
    **dict.fromkeys(
        ("activation_url", "ends", "reissuable_until", "reference_number", "registration_number",
         "training_id", "portal_url", "arc_phone", "arc_email", "outcome", "score", "mastery",
         "reason", "filename", "submission_id", "received", "accepted", "rejected", "rows",
         "suspensions", "with_access", "agency_id", "roster_type", "ui_link"), "value"),
    "missing": ["training"],
    "items": [],
    "rejected_rows": [],
}  # fmt: skip


def replies_and_words(data: bytes) -> None:
    """Classifies a relay's replies, and parses words of the command line."""
    said, first, *words = texts(data, 6)
    code = int(first) if first.isascii() and first.isdigit() and len(first) < 5 else 550
    for error in (
        aiosmtplib.SMTPRecipientRefused(code, said, "ann@x.org"),
        aiosmtplib.SMTPDataError(code, said),
        aiosmtplib.SMTPSenderRefused(code, said, "ann@x.org"),
        aiosmtplib.SMTPAuthenticationError(code, said),
        aiosmtplib.SMTPHeloError(code, said),
        aiosmtplib.SMTPConnectError(said),
        OSError(code, said),
        RuntimeError(said),
    ):
        failure = classify(error, data_begun=bool(words[0]))
        rest = re.sub(r"\b[245]\.\d{1,3}\.\d{1,3}\b|\d+", "", said)
        _silent(failure, rest, said=failure.summary)
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()), suppress(CycloptsError):
        command_line().parse_args(
            [each for each in words if each and not unprintable(each)], exit_on_error=False
        )
    for kind in (TrainingId, AgencyId):
        try:
            value = TypeAdapter(kind).validate_python(words[0])
        except ValidationError:
            continue
        assert value.isascii()
        assert not set("'\"\\ \n") & set(value), "it goes into a list query"
        for each in ready_made(NOW, value):
            assert each.query.count("'") % 2 == 0
            assert " " not in link("http://ui", "default", each.query)


TARGETS: dict[str, Target] = {
    each.__name__: each
    for each in (
        delimited_files,
        workbooks,
        rows,
        addresses_and_phones,
        events_and_orders,
        letters,
        replies_and_words,
        *requests.SEEDS,
    )
}

_CELL = '<c t="inlineStr"><is><t>{}</t></is></c>'
SHEET = "<sheetData><row>{}</row><row>{}</row></sheetData>".format(
    "".join(_CELL.format(each) for each in REQUIRED.values()),
    "".join(_CELL.format(each) for each in GOOD),
)
_EVENT = {"event_id": "e-1", "occurred_at": "2026-11-02T15:04:00Z"}

SEEDS: dict[str, list[bytes]] = {
    "delimited_files": [
        b"\x08Bo,Ray,bo@x.org,XYZ9876,Active,No,,\n",
        b"\x11ABC1234,training,2026-08-20,,,\nABC1234,assessment,2026-08-20T10:00:00Z,70,,\n",
        b"\x1aAG-100,pat@x.org\n",
        b"\x00" + ROSTER.encode(),
        b'\x08"Bo\nB",Ray;x\ty\x00"\n',
    ],
    "workbooks": [
        SHEET.encode(),
        f"{SHEET}{SEPARATOR}<si><t>x</t></si>{SEPARATOR}".encode(),
        b'<dimension ref="A1:XFD1048576"/><sheetData><row r="9"><c r="B9" t="s"><v>0</v></c></row>',
    ],
    "rows": [
        SEPARATOR.join([*GOOD, "1 Main St", "en", "Cook", ""]).encode(),
        SEPARATOR.join(["ABC1234", "assessment", "2026-08-20", "", "70 %", "", ""]).encode(),
        SEPARATOR.join(
            ["ABC1234", "certification", "2026-08-20", "", "", "Certified", "2027-10-15"]
        ).encode(),
        SEPARATOR.join(["=1+1", "{{7*7}}", "info@x.org", "\u202e", "?", "?", "1E+9"]).encode(),
    ],
    "addresses_and_phones": [
        b"ann.lee+tag@gmail.com",
        "jörg@straße.example".encode(),
        "аnn@x.org".encode(),
        b"651-555-0142 ext. 12",
        b"+44 20 7946 0958;ext=7",
    ],
    "events_and_orders": [
        json.dumps(
            [
                [
                    "roster",
                    {
                        **_EVENT,
                        "agency_id": "AG-100",
                        "assister_type": "cac",
                        "approved": True,
                        "employed": True,
                    },
                ],
                ["certification", {**_EVENT, "certified": True, "valid_through": "2027-10-15"}],
                ["training", _EVENT],
                ["assessment", {**_EVENT, "score": "82.5", "course": "assister-portal"}],
                ["void", {**_EVENT, "voids": "e-1"}],
                ["activation", {**_EVENT, "registration": 1}],
                ["suspend", {"by": "arc-7", "reason": "a call"}],
            ]
        ).encode(),
        b'["assessment", {"event_id": "e", "occurred_at": 1e9, "score": 1e400}]',
        b'[["certification", {"event_id": "e", "occurred_at": "0001-01-01T00:00:00Z",'
        b' "certified": true, "valid_through": "9999-12-31"}]]',
    ],
    "letters": [
        SEPARATOR.join(["Ann", "ann@x.org", "Hello", "- one\n- two\n\nhttps://x.org/a."]).encode(),
        SEPARATOR.join(["{{7*7}}", "jörg@x.org", "a\r\nBcc: x@y.org", "=?utf-8?q?a?="]).encode(),
    ],
    "replies_and_words": [
        SEPARATOR.join(["5.1.1 no such user ann@x.org", "550", "status", "ABC1234"]).encode(),
        SEPARATOR.join(["4.2.2 full", "452", "rosters", "check", "--type", "cac"]).encode(),
        SEPARATOR.join(["", "535", "assessment", "record", "A", "--score=1e9"]).encode(),
    ],
}
SEEDS |= {target.__name__: seeds for target, seeds in requests.SEEDS.items()}


# Private parts


def _read(path: Path, encoding: str, reader: Callable[..., Any], *, good_first: bool) -> None:
    try:
        table = reader(path, encoding)
        if "event" in table.fields:
            for found in judge_results(table, NOW):
                assert (found.fact is None) == bool(found.reasons)
                _printable(found.training_id)
        elif "access" in table.fields:
            lines = list(table)
            collisions = Collisions()
            for row in lines:
                collisions.add(row)
            verdicts = [judge(row, AssisterType.NAVIGATOR, collisions, {}) for row in lines]
            for verdict in verdicts:
                _check_verdict(verdict)
            if good_first and encoding == ENCODINGS[0]:
                problems = verdicts[0].reasons
                assert all(" stands in line" in each.message for each in problems), problems
        else:
            for row in table:
                assert row.cells.keys() == set(table.fields)
    except UnreadableFile as error:
        said = str(error)
    else:
        return
    _printable(said)
    assert len(said) <= SAID_AT_MOST


def write_workbook(path: Path, parts: Sequence[str]) -> None:
    """Writes an XLSX of its parts: the sheet, its strings, and the text before book and sheet."""
    sheet, shared, book, extra = (part.encode("utf-8", "surrogateescape") for part in parts)
    main = b"http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    related = b"http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    package = b"http://schemas.openxmlformats.org/package/2006"
    kind = b"application/vnd.openxmlformats-officedocument.spreadsheetml."
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr(
            "[Content_Types].xml",
            b'<Types xmlns="%s/content-types">'
            b'<Override PartName="/xl/workbook.xml" ContentType="%ssheet.main+xml"/>'
            b'<Override PartName="/xl/sharedStrings.xml" ContentType="%ssharedStrings+xml"/>'
            b'<Override PartName="/xl/worksheets/sheet1.xml" ContentType="%sworksheet+xml"/>'
            b"</Types>" % (package, kind, kind, kind),
        )
        archive.writestr(
            "xl/_rels/workbook.xml.rels",
            b'<Relationships xmlns="%s/relationships"><Relationship Id="r1" Type="%s/worksheet"'
            b' Target="worksheets/sheet1.xml"/><Relationship Id="r2" Type="%s/sharedStrings"'
            b' Target="sharedStrings.xml"/></Relationships>' % (package, related, related),
        )
        archive.writestr(
            "xl/workbook.xml",
            b'%s<workbook xmlns="%s" xmlns:r="%s"><sheets>'
            b'<sheet name="a" sheetId="1" r:id="r1"/></sheets></workbook>' % (book, main, related),
        )
        archive.writestr("xl/sharedStrings.xml", b'<sst xmlns="%s">%s</sst>' % (main, shared))
        archive.writestr(
            "xl/worksheets/sheet1.xml",
            b'%s<worksheet xmlns="%s">%s</worksheet>' % (extra, main, sheet),
        )


def _check_verdict(verdict: Verdict) -> None:
    assert (verdict.entry is None) == bool(verdict.reasons)
    assert verdict.verdict in ("accepted", "rejected")
    json.dumps(verdict.public()).encode()
    _printable(verdict.training_id)
    assert not verdict.training_id.startswith(("=", "+", "-", "@"))
    for reason in verdict.reasons:
        _printable(reason.message)
        assert len(reason.message) <= SAID_AT_MOST
    if verdict.entry is not None:
        assert "\n" not in verdict.entry.first_name + verdict.entry.last_name
        for value in vars(verdict.entry).values():
            if isinstance(value, str):
                value.encode()


def _check_case(case: Case) -> None:
    """Checks that a case survives serialization, and that it can tell what is due and be shown."""
    again = Case.model_validate_json(case.model_dump_json())
    assert again == case
    assert case.due(NOW) in Due
    certification = case.evidence.certification
    if certification is not None and certification.valid_through is not None:
        calendar.end_of(certification.valid_through)
        calendar.certification_warnings(certification.valid_through, NOW, case.terms, ())
    shown = presentation.status(case, NOW).model_dump_json() + presentation.details(case, NOW)
    shown.encode()
    case.next_deadline(date_far := NOW + timedelta(days=3650))
    case.missing(date_far)


def _check_message(name: str, address: str, subject: str, text: str) -> None:
    try:
        built = build(
            sender="no-reply@x.org",
            sender_name="MNsure",
            reply_to="arc@x.org",
            recipient=address,
            recipient_name=name,
            subject=subject,
            text=text,
            html=html_of(subject, text),
            message_id=message_id("key", "x.org"),
            date=NOW,
        )
    except UnsafeHeader as unsafe:
        _silent(unsafe, name, address, subject)
        return
    message = BytesParser().parsebytes(built)
    assert sorted(message.keys()) == sorted(
        ["Message-ID", "Date", "From", "To", "Reply-To", "Subject", "Auto-Submitted",
         "X-Auto-Response-Suppress", "MIME-Version", "Content-Type"]
    )  # fmt: skip
    with suppress(BadAddress):
        if address.isascii() and clean_address(address) == address:
            ((_, to),) = getaddresses([str(message["To"])])
            assert to == address


def _check_html(html: str) -> None:
    tags = {tag.lower() for tag in re.findall(r"</?([a-zA-Z][^\s/>]*)", html)}
    allowed = {"html", "head", "meta", "title", "body", "div", "ul", "li", "p", "br", "a"}
    assert tags <= allowed, tags - allowed
    links = re.findall(r"""<a ([^>]*)>""", html)
    assert all(re.fullmatch(r'href="https?://[^"<>\s]+"', link) for link in links), links


def _printable(text: str) -> None:
    """Checks that a text has no control characters and no lone surrogates."""
    assert not [char for char in text if unicodedata.category(char) in ("Cc", "Cs")], repr(text)


def _silent(error: Exception, *told: object, said: str = "") -> None:
    """Checks that an error repeats no address of the input."""
    spoken = said or str(error)
    for word in _words(told):
        assert word not in spoken, (word, spoken)


def _words(told: object) -> Iterable[str]:
    match told:
        case str():
            # Only addresses: other words may be in our message by chance.
            yield from re.findall(r"\S*[\w.+-]{3}@[\w.-]{3,}\S*", told)
        case dict():
            yield from _words([*told, *told.values()])
        case list() | tuple():
            for part in told:
                yield from _words(part)
