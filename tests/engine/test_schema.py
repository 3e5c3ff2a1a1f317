"""The engine accepts the schema, and the examples in its descriptions are programs."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

import tools.schema
from stacks_pulumi.emulator import Emulator
from stacks_pulumi.hosts import plugin
from stacks_pulumi.pricing.recognition import KINDS
from tests.support.languages import examples, project_file
from tests.support.stack import Stack
from tools.schema import written_samples
from tools.sdk.samples import LANGUAGES, samples

SCHEMA = Path(plugin.__file__).with_name("schema.json")


def check(engine: Path, schema: Path) -> subprocess.CompletedProcess[str]:
    """Check a schema with the engine."""
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


def test_the_address_of_the_repository_is_written_once(
    engine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tools.schema, "repository", lambda: "github.com/someone/pulumi-stacks")

    schema = tools.schema.schema()

    assert schema["repository"] == "https://github.com/someone/pulumi-stacks"
    assert schema["pluginDownloadURL"] == "github://api.github.com/someone/pulumi-stacks"
    assert schema["logoUrl"].endswith(
        "/someone/pulumi-stacks/v" + schema["version"] + "/docs/images/logo.png"
    )
    assert schema["language"]["go"]["importBasePath"] == "github.com/someone/pulumi-stacks/sdk/go/stacks"
    (tmp_path / "schema.json").write_text(json.dumps(schema), encoding="utf-8")
    assert check(engine, tmp_path / "schema.json").returncode == 0


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_kind_has_a_sample_in_each_language(language: str) -> None:
    assert sorted(kind for kind, _text in examples(language)) == sorted([*KINDS, "Provider"])


@pytest.mark.usefixtures("language_hosts")
def test_the_samples_are_what_the_engine_makes_of_their_sources() -> None:
    assert samples() == written_samples(), "run `python tools/schema.py --samples`"


def test_every_yaml_example_passes_the_schema_and_the_checks(
    stack: Stack, emulator: Emulator, yaml_language_host: Path
) -> None:
    stack.set("backupNumber", "42")
    stack.set("customerKey", emulator.key)
    for kind, text in examples("yaml"):
        stack.yaml(project_file("yaml") + text, yaml_language_host)
        preview = stack.preview()
        kinds = re.findall(r"type: (?:pulumi:providers|stacks):(\w+)", text)
        assert kind.replace("Provider", "stacks") in kinds
        assert preview.changes == {"create": len(kinds) + 1}, preview.text
    assert emulator.calls() == 0
