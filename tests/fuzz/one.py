"""Fuzzes one target until a find, or until libFuzzer reaches a limit."""

import sys

import atheris

INSTRUMENTED = ["policy", "intake", "gateway", "mail", "workflows", "email_validator"]

with atheris.instrument_imports(include=INSTRUMENTED):
    from tests.fuzz.targets import TARGETS

if __name__ == "__main__":
    name, *options = sys.argv[1:]
    atheris.Setup([sys.argv[0], *options], TARGETS[name])
    atheris.Fuzz()
