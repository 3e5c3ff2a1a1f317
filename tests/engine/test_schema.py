"""The engine accepts the schema, and the examples in its descriptions are programs."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from stacks_pulumi.emulator import Emulator
from stacks_pulumi.hosts import plugin
from stacks_pulumi.pricing.recognition import KINDS
from tests.support.languages import examples, project_file
from tests.support.stack import Stack

SCHEMA = Path(plugin.__file__).with_name("schema.json")
LANGUAGES = ("typescript", "python", "go", "yaml")


def check(engine: Path, schema: Path) -> subprocess.CompletedProcess[str]:
    """Let the engine check a schema."""
    command = [str(engine / "pulumi"), "schema", "check", str(schema)]
    return subprocess.run(command, cwd=schema.parent, capture_output=True, text=True, check=False)


def test_the_engine_accepts_the_schema(engine: Path) -> None:
    done = check(engine, SCHEMA)

    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_the_engine_refuses_an_invalid_schema(engine: Path, tmp_path: Path) -> None:
    text = SCHEMA.read_text(encoding="utf-8").replace(
        "#/types/stacks:index:Plan", "#/types/stacks:index:Plans"
    )
    (tmp_path / "schema.json").write_text(text, encoding="utf-8")

    done = check(engine, tmp_path / "schema.json")

    assert done.returncode != 0
    assert "stacks:index:Plans" in done.stdout + done.stderr


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_kind_has_an_example_in_each_language(language: str) -> None:
    assert [kind for kind, _text in examples(language)] == sorted(KINDS)


def test_every_yaml_example_passes_the_schema_and_the_checks(
    stack: Stack, emulator: Emulator, yaml_language_host: Path
) -> None:
    for kind, text in examples("yaml"):
        stack.yaml(project_file("yaml") + text, yaml_language_host)
        preview = stack.preview()
        kinds = re.findall(r"type: stacks:index:(\w+)", text)
        assert kind in kinds
        assert preview.changes == {"create": len(kinds) + 1}, preview.text
    assert emulator.calls() == 0
