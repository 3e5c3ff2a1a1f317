"""The check before a release: the tag, the version, the changelog, the locks, the SBOM and the attestations agree."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import subprocess
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tools import lock
from tools.release import PAGES, ROOT, ReleaseError, built, locked, missing, notes

PIN = f"requests==2.34.2 \\\n    --hash=sha256:{'a' * 64}\n"


def checkout(folder: Path, version: str, changelog: str, schema: str | None = None) -> Path:
    (folder / "stacks_pulumi").mkdir()
    (folder / "tools/sdk").mkdir(parents=True)
    (folder / lock.FOLDER).mkdir()
    kept = json.dumps({"version": schema or version})
    (folder / "tools/sdk/released.json").write_text(kept, encoding="utf-8")
    (folder / "stacks_pulumi/__init__.py").write_text(f'__version__ = "{version}"\n', encoding="utf-8")
    (folder / "CHANGELOG.md").write_text(changelog, encoding="utf-8")
    (folder / "pyproject.toml").write_text('dependencies = [\n    "requests"\n]\n', encoding="utf-8")
    for name in lock.LOCKS:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(lock.heading(folder) + PIN, encoding="utf-8")
    (folder / lock.SBOM).write_text(lock.sbom(folder), encoding="utf-8")
    return folder


def test_the_notes_are_the_part_of_the_version(tmp_path: Path) -> None:
    root = checkout(
        tmp_path,
        "1.2.0",
        "# Changelog\n\n## [1.2.0] - 2026-01-02\n\n- New.\n\n### Fixed\n\n- A bug.\n\n"
        "## [1.1.0] - 2026-01-01\n\n- Old.\n",
    )

    assert notes("v1.2.0", root) == "- New.\n\n### Fixed\n\n- A bug.\n"


@pytest.mark.parametrize(
    ("tag", "changelog", "words"),
    [
        ("v1.3.0", "## [1.2.0] - 2026-01-02\n\n- New.\n", "is not the version of the package"),
        ("1.2.0", "## [1.2.0] - 2026-01-02\n\n- New.\n", "is not the version of the package"),
        ("v1.2.0", "## [1.2.0]\n\n- New.\n", "has no section"),
        ("v1.2.0", "## [1.2.0] - 2026-01-02\n\n## [1.1.0] - 2026-01-01\n\n- Old.\n", "has no section"),
        ("v1.2.0", "## [1.2x0] - 2026-01-02\n\n- New.\n", "has no section"),
    ],
)
def test_a_tag_that_does_not_fit_is_refused(tag: str, changelog: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(ReleaseError, match=words):
        notes(tag, checkout(tmp_path, "1.2.0", changelog))


def test_a_release_keeps_its_schema(tmp_path: Path) -> None:
    root = checkout(tmp_path, "1.2.0", "## [1.2.0] - 2026-01-02\n\n- New.\n", schema="1.1.0")

    with pytest.raises(ReleaseError, match=r"is the schema of 1\.1\.0: run python tools/sdk/breaking\.py"):
        notes("v1.2.0", root)


def test_a_check_names_all_that_is_missing(tmp_path: Path) -> None:
    root = checkout(tmp_path, "1.2.0", "## [1.2.0]\n\n- New.\n", schema="1.1.0")
    (root / "stacks_pulumi/commands/_package.py").write_text('INDEX: Final = ""\n', encoding="utf-8")

    said = [line.partition(":")[0] for line in missing(root)]

    assert said == [
        "tools/sdk/released.json is the schema of 1.1.0",
        "CHANGELOG.md has no section '## [1.2.0] - YYYY-MM-DD' with text",
        "pyproject.toml has no Repository, so the schema has no repository, logo and plugin address",
        "docs/_index.md is missing",
        "docs/installation-configuration.md is missing",
        "there is no tag v1.2.0",
        "no version is on a package index",
    ]


@pytest.mark.parametrize(("name", "wrong"), [("pulumi-stacks", 0), ("stacks-pulumi", 1)])
def test_a_check_of_a_checkout_that_can_be_released(name: str, wrong: int, tmp_path: Path) -> None:
    root = checkout(tmp_path, "1.2.0", "## [1.2.0] - 2026-01-02\n\n- New.\n")
    with (root / "pyproject.toml").open("a", encoding="utf-8") as project:
        project.write(f'Repository = "https://github.com/someone/{name}"\n')
    for page in PAGES:
        (root / page).parent.mkdir(exist_ok=True)
        (root / page).touch()
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@example.com", "-C", str(root)]
    for command in (
        ["init", "--quiet"],
        ["commit", "--quiet", "--allow-empty", "-m", "x"],
        ["tag", "v1.2.0"],
    ):
        subprocess.run([*git, *command], check=True)

    said = list(missing(root))

    assert ["rename github.com" in line for line in said] == [True] * wrong


@pytest.mark.parametrize("page", PAGES)
def test_a_page_for_the_registry_has_a_head_and_no_link_that_breaks_there(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")

    assert re.match(r"---\ntitle: .+\nmeta_desc: .+\nlayout: package\n---\n", text)
    assert re.findall(r"\]\((?!https://)[^)]*\)", text) == []


def test_every_released_version_has_a_date() -> None:
    changelog = (Path(__file__).parents[2] / "CHANGELOG.md").read_text(encoding="utf-8")
    headings = [
        line for line in changelog.splitlines() if line.startswith("## [") and "Unreleased" not in line
    ]

    assert headings
    assert [line for line in headings if " - 20" not in line] == []


@pytest.mark.parametrize("name", lock.LOCKS)
def test_a_lock_of_other_requirements_is_refused(name: str, tmp_path: Path) -> None:
    root = checkout(tmp_path, "1.2.0", "## [1.2.0] - 2026-01-02\n\n- New.\n")
    assert notes("v1.2.0", root)
    (root / name).write_text("# of another day\n" + PIN, encoding="utf-8")

    with pytest.raises(
        ReleaseError, match=rf"{re.escape(name)} does not belong to this pyproject\.toml: run make lock"
    ):
        notes("v1.2.0", root)


@pytest.mark.parametrize(
    "pins",
    ["requests==2.34.2\n", PIN + "idna>=3 \\\n    --hash=sha256:" + "a" * 64 + "\n", PIN + "idna==3\n", ""],
)
def test_a_lock_without_versions_and_hashes_is_refused(pins: str, tmp_path: Path) -> None:
    root = checkout(tmp_path, "1.2.0", "## [1.2.0] - 2026-01-02\n\n- New.\n")
    (root / lock.FOLDER / "bundle.txt").write_text(lock.heading(root) + (pins or "idna\n"), encoding="utf-8")

    with pytest.raises(ReleaseError, match=r"bundle\.txt has no version and hash for (requests|idna)"):
        notes("v1.2.0", root)


def test_an_sbom_of_another_version_is_refused(tmp_path: Path) -> None:
    root = checkout(tmp_path, "1.2.0", "## [1.2.0] - 2026-01-02\n\n- New.\n")
    sbom = (root / lock.SBOM).read_text(encoding="utf-8")
    (root / lock.SBOM).write_text(sbom.replace("1.2.0", "1.1.0"), encoding="utf-8")

    with pytest.raises(ReleaseError, match=r"is not for the version 1\.2\.0: run make lock"):
        notes("v1.2.0", root)


WHEEL = "stacks_pulumi-1.2.0-py3-none-any.whl"
BUNDLE = "pulumi-resource-stacks-v1.2.0-linux-amd64.tar.gz"


@pytest.fixture
def release(tmp_path: Path) -> Path:
    """A checkout with the attested files of its release."""
    root = checkout(tmp_path, "1.2.0", "## [1.2.0] - 2026-01-02\n\n- New.\n")
    (root / "dist").mkdir()
    with zipfile.ZipFile(root / "dist" / WHEEL, "w") as wheel:
        wheel.writestr("stacks_pulumi-1.2.0.dist-info/sboms/stacks-pulumi.cdx.json", lock.sbom(root))
    (root / "dist" / BUNDLE).write_bytes(b"frozen")
    digest = hashlib.sha256(b"frozen").hexdigest()
    (root / "dist" / f"{BUNDLE}.sha256").write_text(f"{digest}  {BUNDLE}\n", encoding="utf-8")
    attest(root, WHEEL, BUNDLE)
    return root


def attest(root: Path, *names: str) -> None:
    subjects = [
        {"name": name, "digest": {"sha256": hashlib.sha256((root / "dist" / name).read_bytes()).hexdigest()}}
        for name in names
    ]
    payload = base64.b64encode(json.dumps({"subject": subjects}).encode()).decode()
    line = json.dumps({"dsseEnvelope": {"payload": payload}})
    (root / "attestation.json").write_text(f"{line}\n", encoding="utf-8")


def check(root: Path) -> None:
    built([root / "dist"], root / "attestation.json", root)


def test_a_release_has_an_sbom_checksums_and_attestations(release: Path) -> None:
    check(release)


@pytest.mark.parametrize("missing", [WHEEL, BUNDLE])
def test_a_file_without_an_attestation_is_refused(release: Path, missing: str) -> None:
    attest(release, *{WHEEL, BUNDLE} - {missing})

    with pytest.raises(ReleaseError, match=f"{re.escape(missing)} has no attestation"):
        check(release)


def test_a_bundle_that_changed_after_its_attestation_is_refused(release: Path) -> None:
    (release / "dist" / BUNDLE).write_bytes(b"changed")
    with pytest.raises(ReleaseError, match="has no checksum next to it, or a different one"):
        check(release)

    digest = hashlib.sha256(b"changed").hexdigest()
    (release / "dist" / f"{BUNDLE}.sha256").write_text(f"{digest}  {BUNDLE}\n", encoding="utf-8")
    with pytest.raises(ReleaseError, match="has no attestation"):
        check(release)


def test_a_wheel_without_its_sbom_is_refused(release: Path) -> None:
    with zipfile.ZipFile(release / "dist" / WHEEL, "w") as wheel:
        wheel.writestr("stacks_pulumi-1.2.0.dist-info/METADATA", "")

    with pytest.raises(ReleaseError, match=r"has no SBOM of this version in \.dist-info/sboms"):
        check(release)


@pytest.mark.parametrize("missing", [WHEEL, BUNDLE])
def test_a_release_without_a_file_is_refused(release: Path, missing: str) -> None:
    (release / "dist" / missing).unlink()

    with pytest.raises(ReleaseError, match="one wheel and at least one bundle are needed"):
        check(release)


def test_a_release_without_its_attestation_is_refused(release: Path) -> None:
    (release / "attestation.json").unlink()

    with pytest.raises(ReleaseError, match="has no attestation"):
        check(release)


@pytest.mark.parametrize("name", lock.LOCKS)
def test_the_locks_of_this_checkout_are_up_to_date(name: str) -> None:
    locked(ROOT, name)

    text = (ROOT / name).read_text(encoding="utf-8")
    # The lock contains versions and hashes, but no data of the machine or the index with which it was written.
    assert re.search(r"://|--(?:index|extra|find|trusted)|@ |(?<=\s)\.?/", text) is None


def test_a_pin_says_for_which_extras_it_is() -> None:
    pins = {pin.name: pin.extras for pin in lock.pins_of((ROOT / lock.PACKAGES).read_text(encoding="utf-8"))}

    assert {
        name: pins[name] for name in ("requests", "werkzeug", "rich", "pulumi-policy", "mcp", "hatchling")
    } == {
        "requests": (),
        "werkzeug": ("emulator",),
        "rich": ("cli",),
        "pulumi-policy": ("policy", "agents"),
        "mcp": ("agents",),
        "hatchling": ("build",),
    }


def test_the_lock_has_what_the_project_asks_for() -> None:
    text = (ROOT / lock.FOLDER / "dev.txt").read_text(encoding="utf-8")
    pins: dict[str, list[str]] = {}
    for name, version in re.findall(r"^([\w.-]+)==(\S+)", text, re.MULTILINE):
        pins.setdefault(name, []).append(version)
    stated = re.findall(
        r'^(?:requires = \[| {4})?"?([A-Za-z][\w.-]*(?:\[\w+\])?[<>=~][^"]+)"', project(), re.MULTILINE
    )

    assert len(stated) > 30
    for requirement in map(Requirement, stated):
        if requirement.name != "pyinstaller":
            found = pins[requirement.name.lower()]
            assert any(requirement.specifier.contains(version) for version in found), requirement


def project() -> str:
    return (ROOT / "pyproject.toml").read_text(encoding="utf-8").partition("[tool.")[0]


def test_the_sbom_is_of_this_checkout() -> None:
    document = json.loads((ROOT / lock.SBOM).read_text(encoding="utf-8"))

    assert (ROOT / lock.SBOM).read_text(encoding="utf-8") == lock.sbom()
    components = [document["metadata"]["component"], *document["components"]]
    names = {component["name"] for component in components}
    assert {"pulumi", "requests", "werkzeug", "pulumi-policy", "rich"} <= names
    assert not names & {"pytest", "hatchling"}


def test_the_sbom_has_a_licence_and_the_hashes_of_each_package() -> None:
    document = json.loads((ROOT / lock.SBOM).read_text(encoding="utf-8"))

    for component in document["components"]:
        (licence,) = component["licenses"]
        assert re.fullmatch(
            r"[A-Za-z0-9.-]+( OR [A-Za-z0-9.-]+)*", licence.get("expression") or licence["license"]["id"]
        )
        (files,) = component["externalReferences"]
        assert files["type"] == "distribution"
        assert len(files["hashes"]) >= 1
        assert all(re.fullmatch("[0-9a-f]{64}", one["content"]) for one in files["hashes"])
    requests = next(one for one in document["components"] if one["name"] == "requests")
    assert requests["licenses"] == [{"license": {"id": "Apache-2.0"}}]
    text = (ROOT / lock.PACKAGES).read_text(encoding="utf-8")
    pinned = re.search(r"^requests==(?:.*\n    )*.*\n", text, re.MULTILINE)
    assert pinned is not None
    hashes = [one["content"] for one in requests["externalReferences"][0]["hashes"]]
    assert hashes == re.findall("sha256:([0-9a-f]{64})", pinned[0])


@pytest.mark.parametrize(
    "requirement", ["requests>=2.32", "werkzeug>=3.1", "ruff>=0.15", "pyinstaller==", "mkdocs>=1.6"]
)
def test_a_lock_is_out_of_date_after_a_change_of_a_requirement(requirement: str, tmp_path: Path) -> None:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert text.count(f'"{requirement}') == 1
    (tmp_path / "pyproject.toml").write_text(text.replace(f'"{requirement}', '"other>'), encoding="utf-8")

    assert lock.heading(tmp_path) != lock.heading()
