"""Certification addresses: the spellings of one mailbox are one, and generic ones are refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy.addresses import BadAddress, clean_address, is_generic, mailbox_key


@pytest.mark.clause("1.2b")
@pytest.mark.parametrize(
    "address",
    [
        "info@x.org",
        "intern@x.org",
        "INFO@x.org",
        "intern2@x.org",
        "intern-02@x.org",
        "info+portal@x.org",
        "front.desk@x.org",
        "help_desk@x.org",
        "postmaster@x.org",
        "navigator12@x.org",
    ],
)
def test_a_desk_is_generic(address: str) -> None:
    assert is_generic(address)


@pytest.mark.parametrize("address", ["infante@x.org", "ann.lee@x.org", "helper.jo@x.org"])
def test_a_person_is_not(address: str) -> None:
    assert not is_generic(address)


@pytest.mark.clause("1.2a")
@pytest.mark.parametrize(
    "other",
    ["ANN.LEE@gmail.com", "annlee@gmail.com", "a.nn.lee+x@googlemail.com", "ａnnlee@gmail.com"],
)
def test_spellings_of_one_mailbox_are_one(other: str) -> None:
    assert mailbox_key(other) == mailbox_key("ann.lee@gmail.com")


def test_dots_matter_elsewhere_and_unicode_domains_have_one_form() -> None:
    assert mailbox_key("a.b@x.org") != mailbox_key("ab@x.org")
    assert mailbox_key("a@bücher.example") == mailbox_key("a@xn--bcher-kva.example")
    assert mailbox_key("a@" + "x" * 70 + ".org").endswith(".org")


def test_two_domains_are_never_one_mailbox() -> None:
    assert mailbox_key("ann@straße.example") != mailbox_key("ann@strasse.example")
    assert mailbox_key("ann@STRASSE.example") == mailbox_key("ann@strasse.example")


@pytest.mark.parametrize(
    "cell",
    [
        "",
        "ann",
        "ann@",
        "a@b@c.org",
        "a@x.org, b@x.org",
        "a@x.org b@x.org",
        "Ann Lee <ann@x.org>",
        "ann@x.org\x00",
        "=?utf-8?q?a?=@x.org",
        "аnn@x.org",
        "ann\u202e@x.org",
        "ann@-x.org",
    ],
)
def test_what_is_not_one_plain_address_is_refused(cell: str) -> None:
    with pytest.raises(BadAddress):
        clean_address(cell)


def test_invisible_characters_around_an_address_are_dropped() -> None:
    assert clean_address("\u00a0ann\u200b@x.org ") == "ann@x.org"


@given(st.text())
def test_any_text_is_an_address_or_is_not(cell: str) -> None:
    try:
        clean = clean_address(cell)
    except BadAddress:
        return
    assert clean_address(clean) == clean
    assert "@" in mailbox_key(clean)
