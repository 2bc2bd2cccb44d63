"""The container files are valid, and everything that they name exists.

`make compose-test` runs them.
"""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

import settings
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
    for name, service in services.items():
        assert set(service.get("depends_on", {})) <= services.keys(), name
        assert set(service.get("secrets", [])) <= compose["secrets"].keys(), name
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


def test_the_secrets_are_those_that_the_script_makes(
    compose: dict[str, Any], tmp_path: Path
) -> None:
    def make() -> dict[str, str]:
        subprocess.run(["sh", ROOT / "deploy/secrets.sh"], cwd=tmp_path, check=True)
        return {file.name: file.read_text() for file in (tmp_path / "secrets").iterdir()}

    made = make()
    assert {f"./secrets/{each}" for each in made} == {
        secret["file"] for secret in compose["secrets"].values()
    }
    assert make() == made
    lengths = {len(each) for name, each in made.items() if name != "assister_smtp_password"}
    assert lengths == {64}
    assert (tmp_path / "secrets").stat().st_mode & 0o077 == 0


def test_the_example_can_be_used_as_it_is(
    compose: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text((ROOT / ".env.example").read_text())
    for name, value in compose["services"]["worker"]["environment"].items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("ASSISTER_PORTAL_SECRET", "s" * 32)
    loaded = settings.load()
    assert loaded.smtp_host == "mailpit"
    assert loaded.database_url.startswith("postgresql://assister@postgres")


def test_only_programs_get_into_the_image() -> None:
    kept = (ROOT / ".dockerignore").read_text().splitlines()
    assert kept[1] == "*"
    programs = {line.removeprefix("!") for line in kept if line.startswith("!")}
    assert all((ROOT / program).exists() for program in programs)
    tracked = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    code = {path.partition("/")[0] for path in tracked.stdout.split() if path.endswith(".py")}
    assert code - programs <= {"bench", "deploy", "tests"}


def test_the_same_buttons_are_off_as_in_the_one_machine_stack(compose: dict[str, Any]) -> None:
    off = {
        f"TEMPORAL_{re.sub(r'(?<!^)(?=[A-Z])', '_', name).upper()}": "true" for name in BUTTONS_OFF
    }
    environment = compose["services"]["temporal-ui"]["environment"]
    assert {name: each for name, each in environment.items() if "_DISABLED" in name} == off


def test_the_namespace_job_makes_the_search_attributes_of_the_code() -> None:
    script = (ROOT / "deploy/temporal-namespace.sh").read_text()
    made = dict(re.findall(r"\b([A-Z]\w+)=([A-Z]\w+)", script))
    expected = {
        key.name: "".join(word.capitalize() for word in key.indexed_value_type.name.split("_"))
        for key in search_attributes.ALL
    }
    assert made == expected


def test_the_kubernetes_manifests_name_what_is_there() -> None:
    manifests = list(YAML(typ="safe").load_all(ROOT / "deploy/kubernetes/assister.yaml"))
    [config] = [manifest for manifest in manifests if manifest["kind"] == "ConfigMap"]
    pods = [
        manifest["spec"]["template"]
        for manifest in manifests
        if "template" in manifest.get("spec", {})
    ]
    containers = [container for pod in pods for container in pod["spec"]["containers"]]
    fields = {f"ASSISTER_{each}".upper() for each in settings.Settings.model_fields}
    env = [variable["name"] for container in containers for variable in container.get("env", ())]
    named = {name for name in [*config["data"], *env] if name.startswith("ASSISTER_")}
    assert named <= fields
    for container in containers:
        assert container["securityContext"]["readOnlyRootFilesystem"]
        assert [source["configMapRef"] for source in container["envFrom"]] == [{"name": "assister"}]
        script = container["command"][1]
        assert script == "-m" or (ROOT / script).exists()
    compose = (ROOT / "docker-compose.yml").read_text()
    assert {f"image: {each['image']}" in compose for each in containers} == {True}
    assert all(not pod["spec"]["automountServiceAccountToken"] for pod in pods)


def test_the_kubernetes_manifests_follow_their_schemas() -> None:
    validate = pytest.importorskip("kubernetes_validate", reason="kubernetes-validate is not here")
    for each in YAML(typ="safe").load_all(ROOT / "deploy/kubernetes/assister.yaml"):
        validate.validate(each, validate.latest_version(), strict=True)
