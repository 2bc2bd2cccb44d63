"""Fuzzes one target until libFuzzer's limits or a find end it."""

import sys

import atheris

INSTRUMENTED = ["policy", "intake", "gateway", "mail", "workflows", "email_validator"]

with atheris.instrument_imports(include=INSTRUMENTED):
    from tests.fuzz.targets import TARGETS

if __name__ == "__main__":
    name, *options = sys.argv[1:]
    atheris.Setup([sys.argv[0], *options], TARGETS[name])
    atheris.Fuzz()
