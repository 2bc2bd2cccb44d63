"""The container files: valid, and without a reference that leads nowhere. No engine runs here."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from embedded.web_ui import BUTTONS_OFF
from workflows import search_attributes

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    loaded: dict[str, Any] = YAML(typ="safe").load(ROOT / "docker-compose.yml")
    return loaded


def test_compose_follows_its_specification() -> None:
    program = BIN / "check-jsonschema"
    done = subprocess.run(
        [program, "--builtin-schema", "vendor.compose-spec", ROOT / "docker-compose.yml"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_dockerfile_passes_hadolint() -> None:
    done = subprocess.run(
        [BIN / "hadolint", ROOT / "Dockerfile"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_reference_leads_somewhere(compose: dict[str, Any]) -> None:
    services = compose["services"]
    documented = set(re.findall(r"^(\w+)=", (ROOT / ".env.example").read_text(), re.M))
    text = (ROOT / "docker-compose.yml").read_text()
    assert set(re.findall(r"\$\{(\w+)", text)) == documented
    for name, service in services.items():
        assert set(service.get("depends_on", {})) <= services.keys(), name
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            known = (
                (ROOT / source).exists() if source.startswith(".") else source in compose["volumes"]
            )
            assert known, f"{name}: {source}"
        for word in service.get("command", []):
            assert not word.endswith(".py") or (ROOT / word).exists(), f"{name}: {word}"
        for port in service.get("ports", []):
            assert port.startswith("127.0.0.1:"), f"{name} publishes {port} to the world"


def test_the_same_buttons_are_off_as_in_the_one_machine_stack(compose: dict[str, Any]) -> None:
    off = {
        f"TEMPORAL_{re.sub(r'(?<!^)(?=[A-Z])', '_', name).upper()}": "true" for name in BUTTONS_OFF
    }
    environment = compose["services"]["temporal-ui"]["environment"]
    assert {name: each for name, each in environment.items() if "_DISABLED" in name} == off


def test_the_namespace_job_makes_the_search_attributes_of_the_code() -> None:
    script = (ROOT / "deploy/create-namespace.sh").read_text()
    made = dict(re.findall(r"\b([A-Z]\w+)=([A-Z]\w+)", script))
    expected = {
        key.name: "".join(word.capitalize() for word in key.indexed_value_type.name.split("_"))
        for key in search_attributes.ALL
    }
    assert made == expected
