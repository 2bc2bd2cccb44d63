"""The packages of a deployment, their licences, and a bill of materials.

`./run licences` writes docs/dependencies.md, and `./run sbom` prints CycloneDX. Both need no
network.
"""

import json
import re
import sys
import tomllib
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "dependencies.md"
LOCKED = re.compile(r"^([a-z0-9-]+)(?:\[[^]]*\])?==(\S+)(.*?)(?=^\S|\Z)", re.MULTILINE | re.DOTALL)
HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")
ALLOWED = re.compile(
    r"MIT|BSD|Apache|PSF|Python Software Foundation|ISC|MPL|Mozilla|LGPL-3\.0-only|Unlicense"
)
HEAD = """\
# Dependencies

A deployment installs these packages besides Python; `requirements.lock` locks each by its hash.
`./run licences` writes this page. A test fails if a package is missing, or if a licence is not one
of those that were checked. `./run sbom` prints the packages as a bill of materials (CycloneDX 1.5).
`./run audit` asks OSV for known vulnerabilities, and fails if it gets no answer. psycopg is under
the LGPL and certifi under the MPL: both are used as they are published.

| package | version | licence |
| --- | --- | --- |
"""


def locked() -> dict[tuple[str, str], list[str]]:
    """The hashes in the lock, by name and version; some packages have one for each Python."""
    lock = (ROOT / "requirements.lock").read_text()
    return {(name, version): HASH.findall(rest) for name, version, rest in LOCKED.findall(lock)}


def deployed() -> dict[str, metadata.Distribution]:
    """The installed packages that ``pyproject.toml`` requires, and those that they require."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    waiting = [Requirement(each) for each in project["dependencies"]]
    found: dict[str, metadata.Distribution] = {}
    done = set()
    while waiting:
        asked = waiting.pop()
        if (asked.name, key := frozenset(asked.extras)) in done:
            continue
        done.add((asked.name, key))
        package = found[canonicalize_name(asked.name)] = metadata.distribution(asked.name)
        for each in map(Requirement, package.requires or ()):
            extras = [{"extra": extra} for extra in ("", *asked.extras)]
            if each.marker is None or any(map(each.marker.evaluate, extras)):
                waiting.append(each)
    return dict(sorted(found.items()))


def licence(package: metadata.Distribution) -> str:
    """The licence as the package's metadata names it."""
    about = package.metadata
    classified = [
        each.rpartition(" :: ")[2]
        for each in about.get_all("Classifier", [])
        if each.startswith("License ::") and not each.endswith("OSI Approved")
    ]
    said = [*about.get_all("License-Expression", []), "; ".join(classified)]
    return next(filter(None, [*said, *about.get_all("License", [])]), "")


def page() -> str:
    """The text of docs/dependencies.md."""
    rows = [f"| {e} | {p.version} | {licence(p)} |\n" for e, p in deployed().items()]
    return HEAD + "".join(rows)


def bill_of_materials() -> str:
    """The bill in CycloneDX 1.5; the same lock gives the same bill."""
    lock = locked()
    components = [
        {
            "type": "library",
            "name": name,
            "version": package.version,
            "purl": f"pkg:pypi/{name}@{package.version}",
            "licenses": [{"license": {"name": licence(package)}}],
            "hashes": [{"alg": "SHA-256", "content": each} for each in lock[name, package.version]],
        }
        for name, package in deployed().items()
    ]
    document = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "components": components,
    }
    return json.dumps(document, indent=1)


if __name__ == "__main__":
    if sys.argv[1:] == ["sbom"]:
        print(bill_of_materials())  # noqa: T201
    else:
        PAGE.write_text(page())
