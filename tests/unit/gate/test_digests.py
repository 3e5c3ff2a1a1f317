"""Each change of what is approved changes its digest, and what runs by itself changes none."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stacks_pulumi._pulumi_cli import InputError
from stacks_pulumi.broker import git
from stacks_pulumi.gate import digests
from stacks_pulumi.pricing.recognition import SIGNATURE

KEY = b"a key"
SECRET = (SIGNATURE, "1b47061264138c4ac30d75fd1eb44270")
"""The name and the value that mark a secret in a state."""
URN = "urn:pulumi:dev::tests::pulumi-python:dynamic/stacks:Container::web"
HIDDEN = {SECRET[0]: SECRET[1], "plaintext": '"hush"'}
RESOURCE: dict[str, Any] = {
    "urn": URN,
    "id": "usr-1-web",
    "type": "pulumi-python:dynamic/stacks:Container",
    "custom": True,
    "inputs": {"name": "web", "password": HIDDEN},
    "outputs": {"status": "running"},
}


@pytest.fixture
def program(tmp_path: Path) -> Path:
    folder = tmp_path / "program"
    (folder / "lib").mkdir(parents=True)
    (folder / "Pulumi.yaml").write_text("name: shop\nruntime: python\n", encoding="utf-8")
    (folder / "lib" / "helper.py").write_text("x = 1\n", encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    "change",
    [
        lambda root: (root / "lib" / "helper.py").write_text("x = 2\n"),
        lambda root: (root / "lib" / "helper.py").rename(root / "helper.py"),
        lambda root: (root / "lib" / "helper.py").chmod(0o755),
        lambda root: (root / "lib" / "helper.py").unlink(),
        lambda root: (root / "new.py").write_text(""),
        lambda root: (root / ".env").write_text("PLAN=premium\n"),
        lambda root: (root / "pyvenv.cfg").write_text(""),
        lambda root: (root / "link").symlink_to("lib"),
    ],
)
def test_a_change_of_a_program_changes_its_digest(program: Path, change: Callable[[Path], object]) -> None:
    before = digests.of_folder(program)

    change(program)

    assert digests.of_folder(program) != before


def test_a_program_has_one_digest_wherever_it_is(program: Path) -> None:
    before = digests.of_folder(program)
    record = program / "record"
    for folder in (
        "node_modules/x",
        ".git",
        "__pycache__",
        "lib/__pycache__",
        ".pulumi/y",
        "venv/lib",
        "record",
    ):
        (program / folder).mkdir(parents=True)
        (program / folder / "file.py").write_text("x", encoding="utf-8")
    (program / "venv" / "pyvenv.cfg").write_text("home = /usr/bin\n", encoding="utf-8")

    assert digests.of_folder(program, [record]) == before
    assert digests.of_folder(program) != before
    assert (
        digests.of_folder(program.rename(program.parent / "elsewhere"), [program.parent / "elsewhere/record"])
        == before
    )


@pytest.mark.parametrize("folder", ["node_modules", "__pycache__", "lib"])
def test_what_git_has_is_a_part_of_the_program_everywhere(program: Path, folder: str) -> None:
    # What comes with the change is its author's, whatever the folder looks like.
    if folder == "lib":
        (program / folder / "pyvenv.cfg").write_text("", encoding="utf-8")
    (program / folder).mkdir(exist_ok=True)
    file = program / folder / "evil.py"
    file.write_text("x = 1\n", encoding="utf-8")
    for words in (["init", "-q"], ["add", "-f", "."]):
        subprocess.run(["git", "-C", str(program), *words], check=True)
    before = digests.of_folder(program)

    file.write_text("x = 2\n", encoding="utf-8")

    assert digests.of_folder(program) != before


def test_a_repository_that_an_author_has_committed_is_not_used(program: Path) -> None:
    # Its settings can name programs, and its commits can have any author.
    folder = program / "lib"
    subprocess.run(["git", "init", "-q", "--bare", str(folder)], check=True)
    named = ["-c", "user.name=Mallory", "-c", "user.email=m@example.com", "-C", str(folder)]
    tree = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
    made = subprocess.run(
        ["git", *named, "commit-tree", "-m", "x", tree], check=True, capture_output=True, text=True
    ).stdout.strip()
    for reference in ("refs/heads/master", "refs/heads/main"):
        subprocess.run(["git", *named, "update-ref", reference, made], check=True)
    words = ["log", "-1", "--format=%an"]
    found = subprocess.run(["git", "-C", str(folder), *words], check=True, capture_output=True, text=True)
    assert found.stdout.strip() == "Mallory"

    assert git.said(folder, *words) == ""


def test_a_submodule_is_a_part_of_the_program_everywhere(program: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    identity = ("-c", "user.name=Ann", "-c", "user.email=ann@example.com", "-c", "protocol.file.allow=always")

    def run(folder: Path, *words: str) -> None:
        subprocess.run(["git", "-C", str(folder), *identity, *words], check=True, capture_output=True)

    (other / "evil.py").write_text("x = 1\n", encoding="utf-8")
    for folder, words in (
        (other, ["init", "-q"]),
        (other, ["add", "."]),
        (other, ["commit", "-qm", "One"]),
        (program, ["init", "-q"]),
        (program, ["submodule", "add", "-q", str(other), "node_modules"]),
    ):
        run(folder, *words)
    before = digests.of_folder(program)

    (program / "node_modules" / "evil.py").write_text("x = 2\n", encoding="utf-8")

    assert digests.of_folder(program) != before


def test_a_copy_is_read_in_the_place_of_its_file(program: Path, tmp_path: Path) -> None:
    file, copy = program / "Pulumi.yaml", tmp_path / "copy.yaml"
    file.write_text("name: one\n", encoding="utf-8")
    copy.write_text("name: one\n", encoding="utf-8")
    before = digests.of_folder(program)
    file.write_text("name: two\n", encoding="utf-8")
    assert digests.of_folder(program, copies={file: copy}) == before

    copy.write_text("name: two\n", encoding="utf-8")
    assert digests.of_folder(program, copies={file: copy}) != before
    file.unlink()
    with pytest.raises(InputError, match="is no part of the program"):
        digests.of_folder(program, copies={file: copy})


def test_a_link_out_of_the_program_and_a_pipe_are_refused(program: Path, tmp_path: Path) -> None:
    (tmp_path / "outside.py").write_text("x = 1\n", encoding="utf-8")
    (program / "link.py").symlink_to("../outside.py")
    with pytest.raises(InputError, match="is a link out of"):
        digests.of_folder(program)
    (program / "link.py").unlink()

    os.mkfifo(program / "pipe")
    with pytest.raises(InputError, match="is neither a file nor a folder"):
        digests.of_folder(program)


def test_the_compiled_files_are_found(program: Path) -> None:
    for folder in (".", "lib", "venv", "venv/lib", "node_modules"):
        (program / folder / "__pycache__").mkdir(parents=True)
        (program / folder / "__pycache__" / "x.pyc").write_bytes(b"")
    (program / "venv" / "pyvenv.cfg").write_text("", encoding="utf-8")

    def found() -> set[str]:
        return {path.relative_to(program).as_posix() for path in digests.compiled_files(program)}

    # Those of an environment are not the program's; no file in them hides one of the program.
    assert found() == {"__pycache__/x.pyc", "lib/__pycache__/x.pyc", "venv/__pycache__/x.pyc"}

    # A committed one is compared, as every file of the program.
    for words in (["init", "-q"], ["add", "-f", "lib"]):
        subprocess.run(["git", "-C", str(program), *words], check=True)
    assert found() == {"__pycache__/x.pyc", "venv/__pycache__/x.pyc"}
    before = digests.of_folder(program)
    (program / "lib" / "__pycache__" / "x.pyc").write_bytes(b"other")
    assert digests.of_folder(program) != before


def test_a_link_leads_to_no_compiled_files(program: Path, tmp_path: Path) -> None:
    """`apply` deletes them, before it compares anything."""
    other = tmp_path / "other"
    other.mkdir()
    (other / "begun.json").write_text("{}", encoding="utf-8")
    (program / "__pycache__").symlink_to(other)
    (program / "lib" / "__pycache__").mkdir(parents=True)
    (program / "lib" / "__pycache__" / "x").symlink_to(other)
    assert digests.compiled_files(program) == []


def export(*resources: dict[str, Any], pending: object = None, **manifest: str) -> bytes:
    deployment = {"manifest": manifest, "resources": list(resources), "pending_operations": pending}
    return json.dumps({"version": 3, "deployment": deployment}).encode()


@pytest.mark.parametrize(
    "change",
    [
        {"id": "usr-1-other"},
        {"inputs": {"name": "web", "password": {**HIDDEN, "plaintext": '"other"'}}},
        {"outputs": {"status": "stopped"}},
        {"protect": True},
        {"delete": True},
        {"retainOnDelete": True},
        {"deletedWith": URN},
        {"provider": "another"},
        {"a field of a later engine": 1},
    ],
)
def test_a_change_of_the_state_changes_its_digest(change: dict[str, Any]) -> None:
    before = digests.of_state(export(RESOURCE), KEY)

    assert digests.of_state(export({**RESOURCE, **change}), KEY) != before


def test_a_pending_operation_and_another_key_change_the_digest_of_a_state() -> None:
    operation = {"resource": RESOURCE, "type": "creating"}
    states = [export(RESOURCE), export(), export(RESOURCE, pending=[operation]), export(pending=[operation])]

    assert len({digests.of_state(state, key) for state in states for key in (KEY, b"other")}) == 2 * len(
        states
    )


@pytest.mark.parametrize("name", ["snippets", "extensions", "a field of a later engine"])
def test_a_program_in_the_state_changes_its_digest(name: str) -> None:
    """The engine runs the snippets of a state beside the program."""
    whole = json.loads(export(RESOURCE))
    before = digests.of_state(json.dumps(whole).encode(), KEY)

    whole["deployment"][name] = []
    assert digests.of_state(json.dumps(whole).encode(), KEY) == before
    whole["deployment"][name] = [{"code": "1"}]
    assert digests.of_state(json.dumps(whole).encode(), KEY) != before


def test_what_an_update_without_changes_writes_changes_no_digest() -> None:
    other = {**RESOURCE, "urn": f"{URN}2"}
    moved = {
        **RESOURCE,
        "dependencies": [URN],
        "propertyDependencies": {"name": []},
        "created": "2026-11-27T10:00:00Z",
        "modified": "2026-11-28T10:00:00Z",
        "sourcePosition": "project:///__main__.py#3",
        "stackTrace": [],
    }

    before = digests.of_state(export(RESOURCE, other, time="2026-11-27T10:00:00Z"), KEY)

    assert digests.of_state(export(other, moved, time="2026-11-28T10:00:00Z"), KEY) == before


@pytest.mark.parametrize("text", [b"", b"{}", b"[]", b'{"deployment": 1}', b"[" * 100_000])
def test_what_is_no_export_is_an_error(text: bytes) -> None:
    with pytest.raises(InputError, match=r"not an export of a stack|levels deep"):
        digests.of_state(text, KEY)


def test_an_export_is_kept_without_its_secrets() -> None:
    whole = json.loads(export(RESOURCE))
    whole["deployment"]["secrets_providers"] = {"type": "passphrase", "state": {"salt": "v1:salt"}}

    kept = digests.without_secrets(json.dumps(whole).encode())

    assert b"hush" not in kept
    assert b"salt" not in kept
    (resource,) = json.loads(kept)["deployment"]["resources"]
    assert resource == {
        **RESOURCE,
        "inputs": {"name": "web", "password": {SECRET[0]: SECRET[1], "ciphertext": ""}},
    }


def test_a_stack_without_an_update_has_a_state() -> None:
    text = b'{"version": 3, "deployment": null}'

    assert digests.of_state(text, KEY) == digests.of_state(export(), KEY)
    assert json.loads(digests.without_secrets(text)) == json.loads(text)


@pytest.mark.parametrize(
    ("deployment", "expected"),
    [
        (None, None),
        ({"resources": []}, None),
        # Without it, the author's own provider would fit.
        ({"resources": [{"urn": "urn:pulumi:dev::shop::pulumi:pulumi:Stack::shop-dev"}]}, {}),
        (
            {"resources": [{}], "secrets_providers": {"type": "passphrase", "state": {"salt": "v1:a"}}},
            {"encryptionsalt": "v1:a"},
        ),
    ],
)
def test_a_state_with_resources_says_how_it_is_encrypted(deployment: Any, expected: Any) -> None:
    assert digests.encryption_of(json.dumps({"deployment": deployment}).encode()) == expected
