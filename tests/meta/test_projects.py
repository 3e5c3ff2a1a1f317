"""The project files that only the official engine reads, not the partial engine of the tests."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tools.engine import pins

ROOT = Path(__file__).parents[2]
TRACKED = subprocess.run(
    ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
).stdout.splitlines()


def files(*names: str) -> list[str]:
    """Return the tracked files with these names."""
    return [path for path in TRACKED if Path(path).name in names]


def read(path: str) -> dict[str, Any]:
    """Return a YAML file as a mapping."""
    loaded = yaml.safe_load((ROOT / path).read_text(encoding="utf-8"))
    assert isinstance(loaded, dict)
    return loaded


@pytest.mark.parametrize("path", files("Pulumi.yaml"))
def test_a_program_has_a_description_and_its_source(path: str) -> None:
    project = read(path)

    runtime = project["runtime"]
    sources = {"python": "*.py", "nodejs": "*.ts", "yaml": "Pulumi.yaml"}[
        runtime if isinstance(runtime, str) else runtime["name"]
    ]
    assert list((ROOT / path).parent.joinpath(project.get("main", "")).glob(sources))
    assert project["name"]
    assert project["description"]
    assert project["requiredPulumiVersion"] == f">={pins.OLDEST}"


@pytest.mark.parametrize("path", files("PulumiPolicy.yaml"))
def test_a_pack_has_a_runtime_a_description_and_a_version(path: str) -> None:
    pack = read(path)

    runtime = pack["runtime"]
    assert (runtime if isinstance(runtime, str) else runtime["name"]) == "python"
    assert pack["description"]
    assert isinstance(pack["version"], str)
    assert (ROOT / path).with_name("__main__.py").exists()
    assert (ROOT / path).with_name("requirements.txt").exists()


def test_there_are_packs_and_programs() -> None:
    assert len(files("PulumiPolicy.yaml")) >= 3
    assert "Pulumi.yaml" in TRACKED
