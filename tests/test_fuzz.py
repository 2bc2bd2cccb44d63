"""The fuzzer's targets on random input, and on every earlier find."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz.targets import ROSTER, SEEDS, SEPARATOR, TARGETS


def _event(at: str, last: str | None) -> bytes:
    fact = {"event_id": "e", "occurred_at": at, "certified": True, "valid_through": last}
    return json.dumps([["certification", fact]]).encode()


FINDS = {
    "a control character in a Training ID": ("rows", b"A\x1b[31mB"),
    "half a character in a Training ID": ("rows", b"22-0608\xad20"),
    "a formula in a Training ID": ("rows", SEPARATOR.join(["", "", "", "＝1+1"]).encode()),
    "an encoding that is none": ("delimited_files", bytes([224]) + ROSTER.encode()),
    "half a character in a text": ("letters", b"Ann\x1fann@x.org\x1fHello\x1f\x8e"),
    "a bracket in an address": ("letters", b"Ann\x1fann@x[.org\x1fHello\x1f"),
    "a moment before all moments": (
        "events_and_orders",
        _event("0001-01-01T00:00:00Z", None),
    ),
    "a last day after all days": (
        "events_and_orders",
        _event("2026-01-01T00:00:00Z", "9999-12-31"),
    ),
    "a last day before all days": (
        "events_and_orders",
        _event("2026-01-01T00:00:00Z", "0001-01-01"),
    ),
    "a NUL in a staff id": (
        "events_and_orders",
        json.dumps([["suspend", {"by": "arc\0", "reason": "a call"}]]).encode(),
    ),
    "an unknown field that names a person": (
        "events_and_orders",
        b'[["suspend", {"ann.lee@x.org": 1}]]',
    ),
}
"""The inputs of earlier finds, by fault."""


def altered(seed: bytes, at: int, put: bytes) -> bytes:
    """A seed in which some bytes are overwritten."""
    return seed[: at % (len(seed) + 1)] + put + seed[at % (len(seed) + 1) + len(put) :]


@pytest.mark.parametrize("find", FINDS)
def test_what_was_found_stays_mended(find: str) -> None:
    name, data = FINDS[find]
    TARGETS[name](data)


@pytest.mark.parametrize("name", TARGETS)
def test_random_input(name: str) -> None:
    @settings(max_examples=60)
    @given(
        st.binary(max_size=300)
        | st.builds(altered, st.sampled_from(SEEDS[name]), st.integers(0, 999), st.binary())
    )
    def check(data: bytes) -> None:
        TARGETS[name](data)

    for seed in SEEDS[name]:
        TARGETS[name](seed)
    check()
