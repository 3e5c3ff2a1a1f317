"""The sources from which a repository installs this package: an address, or a local wheel with its checksum."""

from __future__ import annotations

import hashlib
import json
import re
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote

import pytest

import stacks_pulumi
from stacks_pulumi.commands import _package
from stacks_pulumi.commands._package import PLACE_UNKNOWN, required

NEEDS = {"requirements.txt": "[policy]"}
NAME = "stacks_pulumi-1-py3-none-any.whl"
CONTENT = b"a wheel"
DIGEST = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Return a repository."""
    folder = tmp_path / "repository"
    (folder / ".git").mkdir(parents=True)
    return folder


@pytest.fixture
def wheel(tmp_path: Path) -> Path:
    """Return a wheel outside the repository."""
    file = tmp_path / "downloads" / NAME
    file.parent.mkdir()
    file.write_bytes(CONTENT)
    return file


def installed_from(monkeypatch: pytest.MonkeyPatch, origin: Any) -> None:
    """Pretend that this package was installed from a place."""
    text = origin if origin is None or isinstance(origin, str) else json.dumps(origin)
    monkeypatch.setattr(metadata, "distribution", lambda _: SimpleNamespace(read_text=lambda _: text))


def from_wheel(monkeypatch: pytest.MonkeyPatch, file: Path, digest: str = DIGEST) -> None:
    """Pretend that this package was installed from a wheel."""
    origin = {"url": f"file://{quote(str(file))}", "archive_info": {"hashes": {"sha256": digest}}}
    installed_from(monkeypatch, origin)


def write(folder: Path, files: dict[str, str | bytes]) -> None:
    """Write the requirements."""
    for name, content in files.items():
        (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)


@pytest.mark.parametrize(
    ("origin", "line"),
    [
        (
            {"url": "https://example.com/it.git", "vcs_info": {"vcs": "git", "commit_id": "abc"}},
            "stacks-pulumi[policy] @ git+https://example.com/it.git@abc",
        ),
        (
            {"url": "https://me:token@example.com/it.git", "vcs_info": {"vcs": "git", "commit_id": "abc"}},
            "stacks-pulumi[policy] @ git+https://example.com/it.git@abc",
        ),
        (
            {"url": "ssh://git@example.com/it.git", "vcs_info": {"vcs": "git", "commit_id": "abc"}},
            "stacks-pulumi[policy] @ git+ssh://git@example.com/it.git@abc",
        ),
        (
            {"url": "https://example.com/it.whl", "archive_info": {"hashes": {"sha256": "ab"}}},
            "stacks-pulumi[policy] @ https://example.com/it.whl#sha256=ab",
        ),
    ],
)
def test_an_address_is_written_as_it_is(
    origin: Any, line: str, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed_from(monkeypatch, origin)

    found = required(repository, NEEDS)

    assert found.files.pop("requirements.lock")
    assert found == ({"requirements.txt": f"{line}\n"}, "requirements.lock", "")


def test_a_wheel_is_copied_with_its_checksum(
    repository: Path, wheel: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from_wheel(monkeypatch, wheel)

    found = required(repository / "shop", {"requirements.txt": "", "pack/requirements.txt": "[policy]"})

    comment = f"# {NAME}.sha256 contains its SHA-256.\n"
    lock = str(found.files.pop("requirements.lock"))
    assert f"\n./{NAME}[policy] --hash=sha256:{DIGEST}\n" in lock
    assert found.files == {
        "requirements.txt": f"{comment}./{NAME}\n",
        "pack/requirements.txt": f"{comment}../{NAME}[policy]\n",
        NAME: CONTENT,
        f"{NAME}.sha256": f"{DIGEST}  {NAME}\n",
    }
    assert found.lock == "requirements.lock"


@pytest.mark.parametrize(
    ("extras", "has"),
    [
        ("", {"pulumi", "requests"}),
        ("[policy,cli]", {"pulumi", "requests", "rich", "pulumi-policy"}),
        ("[agents]", {"pulumi", "requests", "mcp", "pulumi-policy"}),
    ],
)
def test_a_lock_has_each_package_that_the_extras_need_with_hashes(
    extras: str, has: set[str], repository: Path, wheel: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from_wheel(monkeypatch, wheel)

    lock = str(required(repository, {"requirements.txt": extras}).files["requirements.lock"])

    entries = re.split(r"\n(?=[\w.])", lock)[1:]
    assert all(re.search(r"--hash=sha256:[0-9a-f]{64}", entry) for entry in entries)
    names = {entry.partition("==")[0] for entry in entries}
    some = {"pulumi", "requests", "rich", "pulumi-policy", "mcp", "werkzeug", "hatchling"}
    assert names & some == has
    # The comments of the lock are for `make lock`.
    assert lock.count("#") == 3


def test_what_is_no_wheel_is_built_with_packages_of_the_lock(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed_from(
        monkeypatch, {"url": "https://example.com/it.git", "vcs_info": {"vcs": "git", "commit_id": "abc"}}
    )

    lock = str(required(repository, NEEDS).files["requirements.lock"])

    assert "\nhatchling==" in lock
    # Pip has no hash of a commit.
    assert "example.com" not in lock


def test_a_wheel_of_an_address_has_its_hash_in_the_lock(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    origin = {"url": "https://example.com/it.whl", "archive_info": {"hashes": {"sha256": DIGEST}}}
    installed_from(monkeypatch, origin)

    lock = str(required(repository, NEEDS).files["requirements.lock"])

    assert f"\nstacks-pulumi[policy] @ https://example.com/it.whl#sha256={DIGEST}\n" in lock


@pytest.mark.parametrize(("place", "path"), [(".", ".."), ("wheels", "../wheels"), ("shop", ".")])
def test_a_wheel_that_the_repository_has_is_not_copied(
    place: str, path: str, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = repository / "shop"
    for one in (folder, repository / place):
        one.mkdir(exist_ok=True)
    (repository / place / NAME).write_bytes(CONTENT)
    from_wheel(monkeypatch, repository / place / NAME)

    found = required(folder, NEEDS)

    line = f"# {NAME}.sha256 contains its SHA-256.\n{path}/{NAME}[policy]\n"
    checksum = f"{path}/{NAME}.sha256" if path != "." else f"{NAME}.sha256"
    assert f"\n{path}/{NAME}[policy] --hash=sha256:{DIGEST}\n" in str(found.files.pop("requirements.lock"))
    assert found.files == {"requirements.txt": line, checksum: f"{DIGEST}  {NAME}\n"}
    assert not found.problem
    write(folder, found.files)
    assert [*required(folder, {}).files] == ["requirements.lock"]


def test_another_wheel_of_this_name_would_be_overwritten(
    repository: Path, wheel: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (repository / NAME).write_bytes(b"an older one")
    from_wheel(monkeypatch, wheel)

    # So the writing command refuses.
    assert required(repository, NEEDS).files[NAME] == CONTENT


@pytest.mark.parametrize(
    "folder", ["a\nstacks-pulumi", "a -e b", "a #b", "a;b", "a${HOME}b", "a[b]", "a @ \nb"]
)
def test_a_path_that_pip_reads_as_something_else_is_not_written(
    folder: str, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (repository / folder).mkdir()
    (repository / folder / NAME).write_bytes(CONTENT)
    from_wheel(monkeypatch, repository / folder / NAME)

    found = required(repository, NEEDS).files

    assert found["requirements.txt"] == f"# {NAME}.sha256 contains its SHA-256.\n./{NAME}[policy]\n"
    assert found[NAME] == CONTENT


def test_a_folder_of_the_checkout_names_the_checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed_from(monkeypatch, {"url": f"file://{tmp_path}", "dir_info": {"editable": True}})

    assert required(tmp_path / "policies", {"spend/requirements.txt": "[policy]"}).files == {
        "spend/requirements.txt": "../..[policy]\n"
    }


@pytest.mark.parametrize("record", [None, "", "{}", "no JSON"])
def test_an_unknown_place_installs_nothing(
    record: str | None, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed_from(monkeypatch, record)

    found = required(repository, NEEDS)

    assert found.files == {"requirements.txt": PLACE_UNKNOWN}
    assert [line for line in PLACE_UNKNOWN.splitlines() if not line.startswith("#")] == []
    assert "by its name" in found.problem


def test_a_release_names_the_index(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed_from(monkeypatch, None)
    monkeypatch.setattr(_package, "INDEX", "an index")

    line = f"stacks-pulumi[policy]=={stacks_pulumi.__version__}\n"
    assert required(repository, NEEDS) == ({"requirements.txt": line}, "", "")


@pytest.mark.parametrize("reason", ["cannot be read any more", "has changed since it was installed"])
def test_a_wheel_that_is_gone_or_another_one_installs_nothing(
    reason: str, repository: Path, wheel: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from_wheel(monkeypatch, wheel)
    if "read" in reason:
        wheel.unlink()
    else:
        wheel.write_bytes(b"another one")

    found = required(repository, NEEDS)

    assert found.files == {"requirements.txt": PLACE_UNKNOWN}
    assert reason in found.problem


@pytest.mark.parametrize("editable", [True, False])
def test_a_checkout_that_cannot_be_built_installs_nothing(
    editable: bool, repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "checkout").mkdir()
    installed_from(
        monkeypatch, {"url": f"file://{tmp_path / 'checkout'}", "dir_info": {"editable": editable}}
    )

    found = required(repository, NEEDS)

    assert found.files == {"requirements.txt": PLACE_UNKNOWN}
    assert found.problem.startswith(f"no wheel can be built from {tmp_path / 'checkout'}: ")
