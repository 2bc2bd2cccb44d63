"""Rows as agencies write them: addresses, phones and names get the verdict that a person gives."""

import pytest

from policy.addresses import BadAddress, clean_address, is_generic
from policy.requirements import AssisterType
from policy.roster import COLUMNS, read_phone
from tests.support.rows import row, verdicts

DESKS = """
    contactus contact-us information inquiry enquiries supportteam support-team humanresources
    theoffice headoffice officeadmin customercare clientservices memberservices groups group all
    allstaff everybody do-not-reply donotreply no.reply board director executive insurance health
    clinic1 community frontoffice referrals casemanager caseworker employees student internship
    summer.intern interns2026 intern.north navigatorteam navigator.north mnsure.help
    mnsurenavigators shared scan fax voicemail root webadmin sysadmin postbox notifications
    newsletter events grants legal ceo hello infos info.north info_desk helpline outreach-team
    info.mn info-mn contact_us all-staff office.north reception2 helpdesk-north enrollment.team
    intake-team navigators.mn cac.team ourteam frontdesk1 no_reply ayuda informacion mailroom
    programmanager volunteer.coordinator info.desk
    booking custserv devnull dns inoc ispfeedback ispsupport mailer-daemon maildaemon media none
    null orders phishing press registrar remarks reservations spam tech undisclosed-recipients
    unsubscribe voip web itsupport hr-dept techsupport callcenter dispatch appointments appt
    nursing medical.records claims eligibility medicaid social.services interpreters espanol
    oficina recepcion equipo department2 branch.north supervisor leadnavigator enrollmentspecialist
    certifiedassister email exec.assistant library school accountspayable purchasing facilities
    frontlobby kiosk tablet3 phone copier printers application getcovered needhelp ask-us connect
    marketplace donations development
"""
PEOPLE = {
    "t.eam": "Thida Eam",
    "s.ales": "Sofia Ales",
    "s.taff": "Sue Taff",
    "in.fo": "Ines Fo",
    "a.dmin": "Ana Dmin",
    "h.r": "Hana Ruiz",
    "i.t": "Ida Tran",
    "m.ain": "Mary Ain",
    "n.ews": "Ned Ews",
    "u.ser": "Ulla Ser",
    "jo.bs": "Jo Bs",
    "mark.eting": "Mark Eting",
    "will.info": "Will Info",
    "sales.steve": "Steve Sales",
    "h.intern": "Hope Intern",
    "li.st": "Li St",
    "t.emp": "Tom Emp",
    "no.c": "No C",
    "d-esk": "Dana Esk",
    "in_fo2": "Inga Fo",
    "ann.navigator": "Ann Lee",
    "lee.outreach": "Ann Lee",
    "maria.office": "María Ruiz",
    "h.elp": "Héctor Elp",
    "s.taff-jones": "Sue Taff-Jones",
    "mary.board": "Mary Ann Board",
    "infante": "Rosa Infante",
    "helper.jo": "Jo Helper",
    "allen": "Tim Allen",
    "dono": "Ima Dono",
    "casey": "Casey Head",
    "newsome": "Al Newsome",
    "navigator.ann.lee": "Ann Lee",
    "annlee.navigator": "Ann Lee",
    "alee.cac": "Ann Lee",
    "annl.outreach": "Ann Lee",
    "annmarie.help": "Ann Marie Lee",
    "lee-ann.mnsure": "Ann Lee",
    "m.branch": "Mary Branch",
    "j.school": "Jo School",
    "nurse.mary": "Mary Nurse",
    "webster": "Al Webster",
    "mailey": "Joe Mailey",
    "123": "Ann Lee",
    "a": "Ann Lee",
}


@pytest.mark.clause("1.2b")
@pytest.mark.parametrize("local", DESKS.split())
def test_a_desk_is_no_persons_address(local: str) -> None:
    (verdict,) = verdicts(row(email=f"{local}@lakeside.example.org"))
    assert [reason.clause for reason in verdict.reasons] == ["1.2b"]


@pytest.mark.clause("1.2b")
@pytest.mark.parametrize(("local", "name"), PEOPLE.items())
def test_initial_and_surname_are_a_person(local: str, name: str) -> None:
    first, _, last = name.partition(" ")
    (verdict,) = verdicts(
        row(email=f"{local}@lakeside.example.org", first_name=first, last_name=last)
    )
    assert verdict.reasons == []


@pytest.mark.clause("1.2b")
@pytest.mark.parametrize(
    ("local", "name"),
    [
        ("front.desk", "Front Desk"),
        ("frontdesk.info", "Front Desk"),
        ("helpdesk", "Help Desk"),
        ("info.north", "Info North"),
        ("info", "Info Desk"),
        ("team", "Thida Eam"),
        ("welcome", "Welcome Dube"),
        ("main", "Art Main"),
        ("a.info", "Ann Lee"),
        ("summer.intern", "Summer Intern"),
    ],
)
def test_a_desk_stays_one_whatever_the_row_calls_it(local: str, name: str) -> None:
    assert is_generic(f"{local}@x.org", *name.split())


@pytest.mark.clause("1.2a")
@pytest.mark.parametrize(
    ("address", "named"),
    [
        ("siobhan.o’brien@x.org", "’"),
        ("ann–marie@x.org", "–"),
        ("ada…berg@x.org", "…"),
        ("ada·berg@x.org", "·"),
        ("ada‑lee@x.org", "‑"),
        ("ａda8@x.org", "ａ"),
        ("ⓐda9@x.org", "ⓐ"),
        ("ada€@x.org", "€"),
        ("ſue@x.org", "ſ"),
        ("oﬃce.ann@x.org", "ﬃ"),
        ("ann™@x.org", "™"),
        ("“ann”@x.org", "“"),
        ("ann²@x.org", "²"),
        ("ann❤@x.org", "❤"),
    ],
)
def test_what_a_word_processor_put_into_an_address_is_named(address: str, named: str) -> None:
    with pytest.raises(BadAddress, match=named):
        clean_address(address)


@pytest.mark.parametrize(
    "address",
    ["o'hara@x.org", "jörg@x.org", "用户@例子.example.org", "ada5@bücher.example.org",
     "josé.ñandú@x.org", "ann_lee+x@x.org", "ada7@x。example。org",
     "s!#$%&*/=^`{|}~@x.org", "นิดา@x.org"],
)  # fmt: skip
def test_letters_of_any_language_stay_allowed(address: str) -> None:
    clean_address(address)


@pytest.mark.parametrize(
    ("cell", "says"),
    [
        ("=?utf-8?q?a?=@x.org", "encoded"),
        ("ann\u202e@x.org", "U\\+202E"),
        ("ann\n@x.org", "a line break"),
        ("ann\u2028@x.org", "a line break"),
        ("#N/A", "error"),
        ("=B2&C2", "formula"),
    ],
)
def test_the_reason_against_an_address_is_true(cell: str, says: str) -> None:
    with pytest.raises(BadAddress, match=says):
        clean_address(cell)


NUMBER = "+16515550142"


@pytest.mark.clause("1.3a")
@pytest.mark.parametrize(
    ("cell", "read"),
    [
        ("651-555-0142", NUMBER),
        ("(651) 555-0142", NUMBER),
        ("+1 651 555 0142", NUMBER),
        ("651–555–0142", NUMBER),
        ("651‑555‑0142", NUMBER),
        ("651/555-0142", NUMBER),
        ("'651-555-0142", NUMBER),
        ("tel:+1-651-555-0142", NUMBER),
        ("Ada 651-555-0142", NUMBER),
        ("Office: 651-555-0142", NUMBER),
        ("６５１-555-0142", NUMBER),
        ("651-555-0142\u00a0", NUMBER),
        ("\u202a651-555-0142\u202c", NUMBER),
        ("\u202d651-555-0142\u202c", NUMBER),
        ("651 - 555 - 0142", NUMBER),
        ("6515550142.0", NUMBER),
        ("16515550142.0", NUMBER),
        ("6515550142.00", NUMBER),
        ("+1-507-284-0142", "+15072840142"),
        ("507-284-0142", "+15072840142"),
        ("TTY: 651-555-0142", NUMBER),
        ("Phone #: 651-555-0142", NUMBER),
        ("+507 6123-4567", "+50761234567"),
        ("800-555-0142", "+18005550142"),
        ("1-800-FLOWERS", "+18003569377"),
        ("1-855-3MNSURE", "+18553667873"),
        ("1-800-GO-FEDEX", "+18004633339"),
        *(
            (f"651-555-0142{each}", f"{NUMBER};ext=204")
            for each in [" x204", "x204", " ext. 204", " Ext 204", " extension 204", " #204",
                         ", ext 204", ",,204#", " EXT:204", " X204", ";ext=204"]
        ),
        ("1 (651) 555 0142 ext: 204", f"{NUMBER};ext=204"),
        ("+44 20 7946 0018", "+442079460018"),
        *(
            (cell, None)
            for cell in [
                "651-555-0142 opt 2", "651-555-0142 option 2", "651-555-0142, press 2",
                "651-555-0142 / 651-555-0143", "651-555-0142/0143", "651-555-0142, 651-555-0143",
                "651-555-0142; 651-555-0143", "651-555-0142 or 651-555-0143", "651-555-0142 (Ada)",
                "651-555-0142 cell", "651-555-0142 (TTY 711)", "651-555-O142", "555-0142",
                "(000) 555-0142", "651-555-0142x", "651-555-0142 x204 x205",
                "651-555-0142 x204/x205", "651-555-0142 x204/205", "651-555-0142 x204, 205",
                "651-555-0142 ext 204 or 205", "651-555-0142 ext", "651-555-0142 #",
                "6,515,550,142", "(651)555-0142 after 5pm", "651-555-01422", "a651b555c0142",
                "651a5550142", "651-555-0142b", "x651-555-0142", "65i-555-0142",
                "call 6515550142 or 6125550143 for help", "2026-11-20 651-555-0142", "211",
                "+507-284-0142", "+952 555 0142", "+(952) 555-0142", "+5072840142",
                "fax: 651-555-0142", "Fax 651-555-0142", "651-555-0142 fax",
                "651-555-0142\n651-555-0143", "651-555-0142 (ext. 204)", "651-555-0142-204",
                "6515550142.5", "651-555-0142 x204 ext 205", "#N/A", "=G2",
            ]
        ),
    ],
)  # fmt: skip
def test_a_phone_number_is_one_number(cell: str, read: str | None) -> None:
    assert read_phone(cell.strip()) == read


@pytest.mark.parametrize(
    "cells",
    [
        {"training_id": "ABC1234\u200b"},
        {"access": "Yes\u200b"},
        {"employment": "\ufeffActive"},
        {"first_name": "\u200bEli"},
        {"last_name": "Holt\u00ad"},
        {"public_phone": "\u202a651-555-0142\u202c"},
        {"email": "\u2066ann@x.org\u2069"},
        {"access": "Ｙｅｓ"},
        {"access": "\u3000Yes"},
        {"business_address": "12 Shore Road\nSaint Paul, MN 55101"},
        {"languages": "English\r\nHmong"},
        {"counties": "Ramsey\tHennepin"},
        {"business_address": "Suite\u20284"},
        {"business_address": "#4, 12 Shore Road"},
        {"last_name": "Null"},
        {"last_name": "NULL"},
        {"first_name": "Nan"},
        {"first_name": "Na"},
        {"last_name": "O’Brien"},
        {"last_name": "O'"},
        {"first_name": 'Robert "Bob"'},
        {"last_name": "X"},
        {"last_name": "PAVLÍŠEK"},
        {"last_name": "MATÌJÍŠ"},
        {"first_name": "JOÃO", "last_name": "CONCEIÇÃO"},
        {"first_name": "Åsa", "last_name": "Ångström-Šimić"},
        {"first_name": "Na`ilah", "last_name": "Kealohaʻulu"},
        {"first_name": "Gal·la", "last_name": "d’Arc, Jr."},
        {"first_name": "Ann (Annie)", "last_name": "Smith/Jones"},
        {"first_name": "นิดา", "last_name": "أحمد"},
        {"last_name": "Xiong & Vang"},
        {"business_address": "100 % Street? Suite #4 & Co; 50+"},
    ],
)
def test_a_row_that_a_person_can_read_is_accepted(cells: dict[str, str]) -> None:
    (verdict,) = verdicts(row(**cells))
    assert verdict.reasons == []
    assert verdict.entry is not None
    for each in (verdict.entry.first_name, verdict.entry.last_name, verdict.entry.business_address):
        assert each.isprintable()


def test_line_breaks_of_an_optional_cell_become_spaces() -> None:
    (verdict,) = verdicts(row(business_address="12 Shore Road\r\n Saint Paul"))
    assert verdict.entry is not None
    assert verdict.entry.business_address == "12 Shore Road Saint Paul"


@pytest.mark.parametrize(
    ("name", "cell", "says"),
    [
        *(
            (name, cell, "error")
            for name in COLUMNS
            for cell in ("#N/A", "#REF!", "#NAME?", "#VALUE!", "Err:502")
        ),
        *((name, "=VLOOKUP(D2,x,2)", "formula") for name in COLUMNS),
        ("first_name", "“Ada”", "quotation"),
        ("last_name", "‘Berg’", "quotation"),
        ("first_name", '"Ben"', "quotation"),
        ("last_name", "'Cole'", "quotation"),
        ("last_name", "«Cole»", "quotation"),
        *(
            ("first_name", cell, "stands for no name")
            for cell in ["N/A", "n/a", "[blank]", "(none)", "<null>", "First Name", "TBD", "tba",
                         "undefined", "nan", "NaN", "None", "unknown"]
        ),
        ("last_name", "Last Name", "stands for no name"),
        *(
            ("first_name", cell, "stands for no name")
            for cell in ["vacant", "Not Applicable", "To be hired", "Open Position", "n\\a", "\\N",
                         "FALSE", "DELETED", "See above"]
        ),
        *(
            ("first_name", cell, "which no name has")
            for cell in ["ann@x.org", "#NULL", "#Name", "%FIRST_NAME%", "{{first_name}} x", "$name",
                         "Ann*", "Ann;", "Ann_Lee", "Zo‰", "Zo+AOs-", "Ann = Lee"]
        ),
        *(
            (name, cell, "lost a letter")
            for name in ("first_name", "last_name")
            for cell in ["ZoÃ«", "NuÃ±ez", "Oâ€™Brien", "JosÃ© MarÃ\u00ada", "BjÃ¶rk", "LukÃ¡Å¡",
                         "Zo&euml;", "O&#39;Brien", "Ann%20Marie", "Zoë?"]
        ),
        ("business_address", "12 RenÃ© Street", "lost a letter"),
        ("languages", "EspaÃ±ol", "lost a letter"),
        ("last_name", "O?Brien", "lost a letter"),
        ("first_name", "Zo\ufffd", "lost a letter"),
        ("last_name", "-", "not a name"),
        ("training_id", "abcſ123", "not seven"),
        ("training_id", "ＡＢＣ１２３４", "not seven"),
        ("training_id", "ABC\u202e1234", "not seven"),
        ("business_address", "a\u202eb", "U+202E"),
        ("business_address", "x" * 301, "longer than 300"),
        ("languages", "a\x00b", "cannot be seen"),
        ("first_name", "Ann\nLee", "a line break"),
        ("first_name", "Ann\u2029Lee", "a line break"),
        ("last_name", "Lee\u202e", "U+202E"),
    ],
)  # fmt: skip
def test_what_is_no_value_is_called_what_it_is(name: str, cell: str, says: str) -> None:
    (verdict,) = verdicts(row(**{name: cell}), roster_type=AssisterType.NAVIGATOR)
    assert [reason.field for reason in verdict.reasons] == [COLUMNS[name]]
    assert says in verdict.reasons[0].message
