"""Which characters a text may hold, and which texts name somebody."""

from datetime import date

import pytest
from pydantic import TypeAdapter, ValidationError

from policy.requirements import LastDay, Moment
from policy.text import compared, identified, names_somebody, on_one_line, unprintable, visible
from workflows.contract import StaffAct


@pytest.mark.parametrize(
    "reason",
    [
        "call 651-555-0142",
        "call 651\u00a0555\u00a00142",
        "call 651\u2011555\u20110142",
        "call 651–555–0142",
        "call 651/555/0142",
        "call (651) 555-0142",
        "call 651 . 555 . 0142",
        "call 6515550142",
        "call ６５１-５５５-０１４２",
        "call 651\u200b555\u200b0142",
        "call 651•555•0142",
        "call 651_555_0142",
        "call 651\\555\\0142",
        "call +1.651.555.0142",
        "ann@x.org said so",
        "ann＠x.org said so",
        "ann﹫x.org said so",
        "ann (at) x.org said so",
        "ann [AT] x.org said so",
        "ann\u00ad@\u00adx.org",
    ],
)
def test_a_reason_with_an_address_or_a_number_is_refused(reason: str) -> None:
    assert names_somebody(reason)
    with pytest.raises(ValidationError, match="leave out"):
        StaffAct(by="staff-abc", reason=reason)


@pytest.mark.parametrize(
    "reason",
    [
        "The agency called on 2026-11-20, at 9:15",
        "from 2026-11-20 to 2026-11-21",
        "case NAV1001, roster 3f2a9c81d0e4",
        "scored 72.33333333 of 100",
        "room 651, line 555",
        "$1,250.00 at the desk (at noon)",
        "rows 100 to 200, 300 in all",
    ],
)
def test_other_reasons_are_taken(reason: str) -> None:
    assert not names_somebody(reason)
    assert StaffAct(by="staff-abc", reason=reason).reason == reason


def test_a_reason_keeps_to_one_line_of_printable_text() -> None:
    for each in ("a\nb", "a\r\n b\n", "a\u2028b", "a\tb"):
        assert StaffAct(by="staff-abc", reason=each).reason == "a b"
    for each in ("a\u202eb", "a\0b", "a\x07b"):
        with pytest.raises(ValidationError, match="leave out"):
            StaffAct(by="staff-abc", reason=each)


def test_what_is_unseen_is_dropped_and_what_is_left_is_named() -> None:
    assert visible("\ufeff\u202a Ann\u00a0Lee\u200b \u202c") == "Ann Lee"
    assert on_one_line("a\r\n b\u2029c\td") == "a b c d"
    assert unprintable("Ann Lee, Ünal, 用户") is None
    named = {"a\nb": "a line break", "a\u2028b": "a line break", "a\tb": "a tab",
             "a\u202eb": "U+202E", "a\x07b": "U+0007", "a\ue000b": "U+E000"}  # fmt: skip
    for text, name in named.items():
        assert name in str(unprintable(text))


def test_forms_do_not_matter_where_words_are_compared_and_do_where_ids_are() -> None:
    assert compared("ＹＥＳ\u00a0") == compared("yes") == "yes"
    assert identified(" abc1234 ") == "ABC1234"
    assert identified("abcſ123") != "ABCS123"
    assert identified("ａbc1234") != "ABC1234"


@pytest.mark.parametrize(
    "value", ["20261102", "1795187700", 1795187700, 1795187700.5, "1795187700.0", "-1", "+1", 0]
)
def test_a_number_is_not_taken_for_seconds_since_1970(value: object) -> None:
    with pytest.raises(ValidationError, match="2026-11-02"):
        TypeAdapter(Moment).validate_python(value)


def test_a_day_without_hyphens_is_that_day() -> None:
    day = TypeAdapter(LastDay)
    assert (
        day.validate_python("20271015") == day.validate_python("2027-10-15") == date(2027, 10, 15)
    )
    for bad in ("1823558400", 1823558400, "20271315", 20271015):
        with pytest.raises(ValidationError):
            day.validate_python(bad)
