"""The second cloud: what is built, with which files, and when it is built again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.tools.fake_executables import executable
from tools.engine import kubernetes
from tools.engine.kubernetes import EMBEDDED, version


@pytest.fixture
def built(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Stand in for Go and pip; return what was compiled, in order."""
    module = tmp_path / "module" / "cmd" / "pulumi-resource-kubernetes"
    module.mkdir(parents=True)
    for name in EMBEDDED:
        (module / name).write_text('{ "name": "kubernetes" }', encoding="utf-8")
    compiled: list[str] = []

    def compile_(_go: str, source: str, package: str, target: Path, *, log: Path) -> None:
        assert package == "."
        compiled.append(target.name)
        inside = {name: json.loads((Path(source) / name).read_text("utf-8")) for name in EMBEDDED}
        assert inside["schema.json"] == {"name": "kubernetes", "version": version()}
        assert (Path(source) / "version.txt").read_text(encoding="utf-8") == version()
        executable(target)

    monkeypatch.setattr(kubernetes, "find_go", lambda: "go")
    monkeypatch.setattr(kubernetes, "compile_binary", compile_)
    monkeypatch.setattr(kubernetes, "run", lambda *_words, **_more: f"downloading\n{tmp_path / 'module'}\n")
    return compiled


def test_the_provider_is_built_once_and_again_after_a_change(
    built: list[str], cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    provider = kubernetes.kubernetes()
    assert kubernetes.kubernetes() == provider
    assert provider.root.parent == cache
    assert [it.name for it in provider.plugin.iterdir()] == ["pulumi-resource-kubernetes"]
    assert built == ["pulumi-resource-kubernetes"]

    lock = tmp_path / "kubernetes.txt"
    lock.write_text(kubernetes.SDK.read_text(encoding="utf-8") + "# another\n", encoding="utf-8")
    monkeypatch.setattr(kubernetes, "SDK", lock)
    assert kubernetes.kubernetes() != provider
    assert len(built) == 2
