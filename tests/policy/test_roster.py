"""The verdict on a row: good rows pass, and a bad cell has a reason and harms no other row."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy.requirements import AssisterType
from policy.roster import COLUMNS, Collisions, Row, as_typed, judge, read_access
from tests.support.rows import GOOD, row, verdicts

BAD_CELLS = [
    *(
        ("training_id", cell, "2b")
        for cell in [
            "",
            " ",
            "1.02E+05",
            '="0012345"',
            "12345",
            "123456",
            "12345678",
            "ABC 123",
            "ABC-123",
            "1234567.0",
            "АBC1234",
            "ABC123\u200b4x",
            "\x00",
            "ABC12345",
            "=A1",
            "#N/A",
            "N/A",
            "١٢٣٤٥٦٧",
        ]
    ),
    *(
        ("email", cell, "1.2a")
        for cell in [
            "",
            "n/a",
            "ann",
            "ann@",
            "@x.org",
            "a@b@c.org",
            "a@x.org;b@x.org",
            "a@x.org, b@x.org",
            "Ann Lee <ann@x.org>",
            "ann@x",
            "ann @x.org",
            "аnn@x.org",
            "ann@x.org\nBcc: b@x.org",
            "=?utf-8?q?Hi=0D=0AX: 1?=@x.org",
            "=HYPERLINK(1)",
            "ann@x..org",
            "a" * 80 + "@x.org",
            "ann\u202e@x.org",
            "\x01ann@x.org",
            "mailto:ann@x.org",
            '"ann lee"@x.org',
            "ann@localhost",
        ]
    ),
    *(
        ("email", cell, "1.2b")
        for cell in [
            "info@x.org",
            "intern@x.org",
            "Intern2@x.org",
            "info+portal@x.org",
            "office@x.org",
            "admin@x.org",
            "help-desk@x.org",
            "webmaster@x.org",
            "noreply@x.org",
            "navigator3@x.org",
        ]
    ),
    *(
        ("access", cell, "1.1")
        for cell in [
            "",
            "maybe",
            "yess",
            "Yes/No",
            "X",
            "2",
            "-1",
            "ja",
            "Approved",
            "=TRUE()",
            "\x00",
            "not yet",
            "Y?",
            "0.0",
            "yes no",
            "True!",
        ]
    ),
    *(
        ("employment", cell, "")
        for cell in [
            "",
            "Yes",
            "Retired",
            "on leave",
            "1",
            "Activ",
            "=A2",
            "\x00",
            "active/inactive",
        ]
    ),
    *(
        ("first_name", cell, "")
        for cell in [
            "",
            " ",
            '=HYPERLINK("x")',
            "@Ann",
            "+Ann",
            "-Ann",
            "A" * 101,
            "Ann\x00",
            "Ann\u202e",
            "=?utf-8?q?a?=",
            "http://x.org",
            "12345",
            "...",
            "Аnn",
            "Ann\r\nBcc: x",
            "\ufeff\u200b",
        ]
    ),
    *(
        ("public_phone", cell, "1.3a")
        for cell in [
            "",
            "6.51556E+09",
            "555",
            "call me",
            "000-000-0000",
            "651-555-014",
            "6515550142999999",
            "911",
            "=6515550142",
            "\x00",
            "1" * 400,
            "651 555 0142 or 0143",
        ]
    ),
    *(
        ("public_email", cell, "1.3a")
        for cell in [
            "",
            "none",
            "a@b",
            "a@x.org b@x.org",
            "<help@x.org>",
            "help@x.org\x00",
            "@",
        ]
    ),
    *(
        (name, cell, "")
        for name in ("business_address", "languages", "counties")
        for cell in [
            "x" * 301,
            "a\x00b",
            "a\u202eb",
        ]
    ),
]


def test_a_hundred_bad_cells_at_least() -> None:
    assert len(BAD_CELLS) > 100


@pytest.mark.clause("2b")
@pytest.mark.clause("1.3a")
@pytest.mark.parametrize(("name", "cell", "clause"), BAD_CELLS)
def test_a_bad_cell_is_rejected_with_its_clause_and_hurts_no_other_row(
    name: str, cell: str, clause: str
) -> None:
    good, bad = verdicts(row(2, email="bob@x.org", training_id="BOB1234"), row(3, **{name: cell}))
    assert good.verdict == "accepted"
    assert bad.verdict == "rejected"
    assert [(reason.field, reason.clause) for reason in bad.reasons] == [(COLUMNS[name], clause)]
    assert bad.entry is None
    public = bad.public()
    assert (public["line"], public["verdict"]) == (3, "rejected")
    assert public["reasons"][0].keys() == {"field", "message", "clause"}


def test_all_reasons_of_a_row_are_given() -> None:
    (verdict,) = verdicts(row(access="maybe", email="info@x.org", public_phone="1"))
    assert len(verdict.reasons) == 3


@pytest.mark.clause("1.1")
@pytest.mark.parametrize(
    ("cell", "means"),
    [
        ("Yes", True),
        (" yes ", True),
        ("Y", True),
        ("TRUE", True),
        ("1", True),
        ("yes\u00a0", True),
        ("No", False),
        ("n", False),
        ("False", False),
        ("0", False),
        ("", None),
        ("maybe", None),
    ],
)
def test_yes_approves_no_does_not_and_nothing_is_guessed(cell: str, means: bool | None) -> None:
    assert read_access(cell) is means


def test_an_accepted_row_says_what_it_says() -> None:
    (verdict,) = verdicts(
        row(
            training_id=" abc1234 ",
            public_phone="(651) 555-0142 x204",
            access="No",
            employment="inactive",
        )
    )
    assert verdict.entry is not None
    assert verdict.entry.training_id == "ABC1234"
    assert verdict.entry.public_phone == "+16515550142;ext=204"
    assert not verdict.entry.approved
    assert not verdict.entry.employed


@pytest.mark.clause("1.3a")
@pytest.mark.clause("scope")
def test_public_contact_is_asked_of_navigators_and_of_cacs_with_access() -> None:
    blank = {"public_phone": "", "public_email": ""}
    navigator = verdicts(row(**blank, access="No"))[0]
    cac_without = verdicts(row(**blank, access="No"), roster_type=AssisterType.CAC)[0]
    cac_with = verdicts(row(**blank), roster_type=AssisterType.CAC)[0]
    assert [verdict.verdict for verdict in (navigator, cac_without, cac_with)] == [
        "rejected",
        "accepted",
        "rejected",
    ]


@pytest.mark.clause("1.3b")
def test_public_contact_may_be_shared_and_central() -> None:
    found = verdicts(row(2), row(3, email="bob@x.org", training_id="BOB1234"))
    assert [verdict.verdict for verdict in found] == ["accepted", "accepted"]


@pytest.mark.clause("1.2a")
def test_rows_that_collide_are_all_rejected_and_name_each_other() -> None:
    found = verdicts(
        row(2, email="a.b@gmail.com", training_id="AAA0001"),
        row(3, email="ab+x@gmail.com", training_id="AAA0002"),
        row(4, email="c@x.org", training_id="aaa0003"),
        row(5, email="d@x.org", training_id="AAA0003"),
    )
    assert "line 3" in found[0].reasons[0].message
    assert "line 2" in found[1].reasons[0].message
    assert "line 5" in found[2].reasons[0].message
    assert "line 4" in found[3].reasons[0].message


def test_many_collisions_are_counted() -> None:
    found = verdicts(*(row(line, email=f"p{line}@x.org") for line in range(2, 12)))
    assert "and 4 more" in found[0].reasons[0].message


def test_a_mailbox_of_another_assister_is_rejected_without_naming_them() -> None:
    taken = {"ann.lee@x.org": "OTHER01"}
    mine = judge(row(), AssisterType.CAC, Collisions(), {"ann.lee@x.org": "ABC1234"})
    theirs = judge(row(), AssisterType.CAC, Collisions(), taken)
    assert mine.verdict == "accepted"
    assert [reason.clause for reason in theirs.reasons] == ["1.2a"]
    assert "OTHER01" not in theirs.reasons[0].message


def test_a_fault_of_the_whole_row_rejects_it() -> None:
    verdict = judge(Row(2, GOOD, "repeats the header"), AssisterType.CAC, Collisions(), {})
    assert verdict.reasons[0].field == "row"


def test_no_spreadsheet_runs_an_exported_cell() -> None:
    assert as_typed("=1+1") == "'=1+1"
    assert as_typed("Ann") == "Ann"
    (verdict,) = verdicts(row(training_id="=HYPERLINK(1)"))
    assert verdict.public()["training_id"] == "'=HYPERLINK(1)"


@given(st.dictionaries(st.sampled_from(sorted(GOOD)), st.text(), min_size=1))
def test_any_text_gets_a_verdict(cells: dict[str, str]) -> None:
    (verdict,) = verdicts(row(**cells))
    assert verdict.verdict in ("accepted", "rejected")
    assert (verdict.entry is None) is bool(verdict.reasons)
