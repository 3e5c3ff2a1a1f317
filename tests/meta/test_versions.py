"""The versions in the README are the installed, required and tested versions."""

from __future__ import annotations

import json
import re
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
import yaml

import stacks_pulumi
from stacks_pulumi.config import OLDEST_ENGINE
from tools import plugin
from tools.engine import pins

ROOT = Path(__file__).parents[2]


WORKFLOWS = (*ROOT.glob(".github/workflows/*.yml"), ROOT / "examples/gated_deployment/workflow.yml")


@pytest.fixture
def stated() -> list[str]:
    """Return the oldest and the newest Python, SDK and engine in the README."""
    text = (ROOT / "README.md").read_text(encoding="utf-8").partition("## Versions\n")[2]
    found = re.search(
        r"Python ([\d.]+) to ([\d.]+), .* SDK ([\d.]+) to ([\d.]+) and its engine ([\d.]+) to ([\d.]+),", text
    )
    assert found is not None
    return list(found.groups())


def test_the_readme_states_what_is_required_and_tested(stated: list[str]) -> None:
    oldest, newest, oldest_sdk, newest_sdk, oldest_engine, newest_engine = stated
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    workflow: dict[str, Any] = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text(encoding="utf-8"))
    matrix = list(
        dict.fromkeys(it["python"] for it in workflow["jobs"]["test"]["strategy"]["matrix"]["include"])
    )

    assert f'requires-python = ">={oldest}"' in project
    assert re.findall(r'Programming Language :: Python :: (3\.\d+)"', project) == matrix
    assert (matrix[0], matrix[-1]) == (oldest, newest)
    assert f'"pulumi>={oldest_sdk},<4"' in project
    lines = [pins.line(version) for version in (pins.OLDEST, pins.NEWEST_SDK, pins.OLDEST, pins.VERSION)]
    assert [oldest_sdk, newest_sdk, oldest_engine, newest_engine] == lines
    assert OLDEST_ENGINE == pins.OLDEST
    # The newest version that was tested for the README; pip installs newer versions when they are released.
    assert numbers(metadata.version("pulumi")) >= numbers(newest_sdk)
    lock = (ROOT / "tools/locks/dev.txt").read_text(encoding="utf-8")
    assert re.findall(r"^pulumi==(\S+)", lock, re.MULTILINE) == [pins.NEWEST_SDK]


def test_the_workflows_take_the_engine_that_is_tested() -> None:
    named = [
        version
        for workflow in WORKFLOWS
        for version in re.findall(r"pulumi-version: (\S+)", workflow.read_text(encoding="utf-8"))
    ]

    assert len(WORKFLOWS) >= 4
    assert len(named) >= 3
    assert set(named) == {pins.VERSION}


def test_there_is_one_version() -> None:
    version = stacks_pulumi.__version__
    packs = [
        yaml.safe_load(file.read_text(encoding="utf-8")) for file in ROOT.glob("policies/*/PulumiPolicy.yaml")
    ]
    schema: dict[str, Any] = json.loads(
        (ROOT / "stacks_pulumi/hosts/plugin/schema.json").read_text(encoding="utf-8")
    )
    pages = "".join(page.read_text(encoding="utf-8") for page in (ROOT / "docs").rglob("*.md"))

    assert {pack["version"] for pack in packs} == {version}
    # Generated SDKs take their version from the schema.
    assert schema["version"] == version
    assert plugin.version() == version
    assert set(re.findall(r"install resource stacks (\S+)", pages)) == {version}


def numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def test_the_page_about_installing_states_the_versions_of_the_readme(stated: list[str]) -> None:
    text = (ROOT / "docs/install.md").read_text(encoding="utf-8")
    oldest, newest, oldest_sdk, newest_sdk, oldest_engine, newest_engine = stated

    for words in (
        f"| {oldest} to {newest} |",
        f"its Python SDK, {oldest_sdk} to {newest_sdk}",
        f"engine {oldest_engine} to {newest_engine}",
    ):
        assert words in text
