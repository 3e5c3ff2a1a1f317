"""The bundle of the native plugin: the name that the engine expects, and its content."""

from __future__ import annotations

import hashlib
import tarfile
from pathlib import Path

import pytest

import stacks_pulumi
from tools import plugin


@pytest.mark.parametrize(
    ("system", "machine", "platform"),
    [
        ("Linux", "x86_64", "linux-amd64"),
        ("Linux", "aarch64", "linux-arm64"),
        ("Darwin", "arm64", "darwin-arm64"),
        ("Darwin", "x86_64", "darwin-amd64"),
    ],
)
def test_the_name_has_the_platform_as_the_engine_calls_it(system: str, machine: str, platform: str) -> None:
    name = plugin.file_name("1.2.3", system, machine)

    assert name == f"pulumi-resource-stacks-v1.2.3-{platform}.tar.gz"


def test_the_version_is_that_of_the_package() -> None:
    assert plugin.version() == stacks_pulumi.__version__


def test_the_executable_is_at_the_top_and_the_checksum_is_that_of_the_file(tmp_path: Path) -> None:
    frozen = tmp_path / "frozen"
    (frozen / "_internal").mkdir(parents=True)
    (frozen / "_internal" / "library").write_text("code", encoding="utf-8")
    (frozen / plugin.NAME).write_text("start", encoding="utf-8")
    (frozen / plugin.NAME).chmod(0o755)
    target = tmp_path / "dist" / "bundle.tar.gz"

    digest = plugin.pack(frozen, target)

    assert digest == hashlib.sha256(target.read_bytes()).hexdigest()
    checksum = (tmp_path / "dist" / "bundle.tar.gz.sha256").read_text(encoding="utf-8")
    assert checksum == f"{digest}  bundle.tar.gz\n"
    with tarfile.open(target) as bundle:
        assert set(bundle.getnames()) == {plugin.NAME, "_internal", "_internal/library"}
        assert bundle.getmember(plugin.NAME).mode & 0o111


def test_licences_of_the_same_name_are_all_kept(tmp_path: Path) -> None:
    texts = [tmp_path / "a.dist-info/LICENSE", tmp_path / "a/_vendor/b.dist-info/LICENSE"]
    for text in texts:
        text.parent.mkdir(parents=True)
        text.write_text(text.parent.name, encoding="utf-8")

    plugin.copy_texts(texts, tmp_path / "licenses/a")

    copied = [file.read_text(encoding="utf-8") for file in (tmp_path / "licenses").rglob("LICENSE")]
    assert sorted(copied) == ["a.dist-info", "b.dist-info"]
