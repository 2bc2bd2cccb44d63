"""No decision of the policy changes unnoticed, because running cases would change with it."""

from tests.support.behaviour import FINGERPRINT, life, lives


def test_the_policy_decides_as_it_did() -> None:
    before, now = FINGERPRINT.read_text().splitlines(), lives()
    differ = [
        number for number, pair in enumerate(zip(before, now, strict=True)) if len({*pair}) > 1
    ]
    assert not differ, (
        f"The policy decides otherwise in {len(differ)} of {len(now)} lives of a case, the first of"
        f" them number {differ[0]}. `./run behaviour {differ[0]}` prints it; run it before the"
        " change too, and compare. Where the change is meant: cases that run must not change their"
        " way, docs/changing-a-workflow.md says how; then `./run behaviour` writes the fingerprint"
        f" anew. Its end now:\n{list(life(differ[0]))[-1]}"
    )
