"""A test runs every snippet in the pages, or checks its commands, settings, data and types."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from stacks_pulumi import cli
from stacks_pulumi.account.budgets import read_budgets
from stacks_pulumi.account.doctor_checks import Diagnosis
from stacks_pulumi.broker.settings import read_file
from stacks_pulumi.commands._shared import enveloped
from stacks_pulumi.config import KEYS
from stacks_pulumi.cost.report import read_prices
from stacks_pulumi.emulator import Emulator
from stacks_pulumi.gate.rules import own_rules
from stacks_pulumi.gate.settings import read_gate
from stacks_pulumi.platform_file import PlatformFacts, parse
from tests.support.snippets import ROOT, commands, snippets

LANGUAGES: Final = {
    "console",
    "csharp",
    "go",
    "javascript",
    "json",
    "python",
    "sh",
    "text",
    "typescript",
    "yaml",
}
"""`text` is the output of a program, and `console` is a command with its output: other tests compare them."""
HARMLESS: Final = {
    ".",
    "cd",
    "cp",
    "echo",
    "eval",
    "export",
    "mkdir",
    "printf",
    "rm",
    "scp",
    "set",
    "source",
    "ssh",
    "umask",
}
SCRIPTS: Final = {
    "curl",
    "docker",
    "dotnet",
    "git",
    "make",
    "node",
    "npm",
    "pip",
    "pulumi",
    "python",
    "python3",
    "sha256sum",
    "ssh-keygen",
    "stacks-pulumi",
}
GATE: Final = "docs/gate.md"
BROKER: Final = "docs/broker.md"
AGENTS: Final = "docs/agents.md"
REGISTRY: Final = "docs/_index.md"
"""Its programs use the generated SDKs; other tests compile the samples of each kind."""
REPOSITORY: Final = "docs/own-repository.md"
FRAGMENTS: Final = {"examples/component/README.md", REPOSITORY}
"""Pages with parts of programs that `test_examples.py` and `test_own_repository.py` run."""


def test_every_snippet_has_a_language() -> None:
    assert {(it.name, it.language) for it in snippets() if it.language not in LANGUAGES} == set()


def test_programs_in_other_languages_are_on_pages_whose_tests_run_them() -> None:
    generated = {it.name for it in snippets("python") if it.name.startswith("docs/resources/")}
    programs = list(snippets("csharp", "go", "typescript"))

    assert {it.name for it in programs} == {REGISTRY, REPOSITORY, "docs/native.md", *generated}
    # The test of the repository's page runs this program.
    native = {it.text for it in programs if it.name == "docs/native.md"}
    assert native <= {it.text for it in programs if it.name == REPOSITORY}


def test_every_command_is_known_to_a_test() -> None:
    programs = {(page, words[0]) for page, words in commands() if not re.match(r"\w+=", words[0])}

    assert {it for it in programs if it[1] not in HARMLESS | SCRIPTS} == set()
    assert {program for _page, program in programs} >= SCRIPTS


def test_the_commands_in_the_pages_have_valid_options() -> None:
    parser, _modules = cli.build_parser()
    wrong = []
    for page, words in commands("stacks-pulumi"):
        try:
            parser.parse_args([word for word in words[1:] if word != ">"])
        except SystemExit as end:
            if end.code:
                wrong.append((page, words))

    assert wrong == []


def test_every_extra_that_the_pages_install_exists() -> None:
    extras = set(re.findall(r"^(\w+) = \[", _table("project.optional-dependencies"), re.MULTILINE))
    asked = [
        extra for _, words in commands("pip") for it in words for extra in re.findall(r"\[([\w,]+)\]", it)
    ]

    assert len(asked) > 3
    assert {it for extra in asked for it in extra.split(",")} <= extras


def test_every_file_that_a_page_runs_with_python_exists() -> None:
    for page, words in commands("python"):
        if not words[1].startswith("-"):
            assert (ROOT / words[1]).exists() or (ROOT / page).parent.joinpath(words[1]).exists(), (
                page,
                words,
            )


def test_every_call_of_the_control_api_in_the_pages_is_accepted() -> None:
    called = 0
    with Emulator(port=0) as emulator:
        base = emulator.page_url.rstrip("/")
        for page, words in commands("curl"):
            url = next((word for word in words if "/_emulator/" in word), None)
            if url is None:
                continue
            here = [base + url.partition("7822")[2] if word == url else word for word in words[1:]]
            done = subprocess.run(["curl", "-fsS", *here], capture_output=True, text=True, check=False)
            assert done.returncode == 0, (page, words, done.stderr)
            called += 1

    assert called >= 4


def test_the_gates_settings_in_the_pages_are_valid(tmp_path: Path) -> None:
    (sample,) = (it for it in snippets("yaml") if it.name == GATE)
    (rules,) = (it for it in snippets("python") if it.name == GATE)
    (tmp_path / "packs" / "guard").mkdir(parents=True)
    budgets, prices = "budgets: [{max_total: 5}]", "prices: [{type: a, price: free}]"
    for name, text in {
        "gate.yaml": sample.text,
        "rules.py": rules.text,
        "guard.json": "{}",
        "allowed_signers": "",
        "prices.yaml": prices,
        "budgets.yaml": budgets,
    }.items():
        (tmp_path / name).write_text(text, encoding="utf-8")

    gate = read_gate(tmp_path)

    assert [rule.name for rule in own_rules(gate.own_rules[0])] == ["no-premium-on-friday"]
    # The sample shows every group of settings.
    assert gate.file.free is not None
    assert gate.file.approver_limits["ann"].covers("shop/dev")


def test_the_settings_of_a_broker_in_the_pages_can_be_read(tmp_path: Path) -> None:
    for sample in (it for it in snippets("yaml") if it.name == BROKER or "policies:" in it.text):
        (tmp_path / "gate.yaml").write_text(sample.text, encoding="utf-8")

        assert read_file(tmp_path, "DIR")[0].policies["agents"].free


def test_every_setting_in_a_project_file_exists() -> None:
    others = re.compile("budgets:|version: 1|^prices:|^free:", re.MULTILINE)
    found_in = [it for it in snippets("yaml") if it.name != REPOSITORY or it.text.startswith("name: shop")]
    projects = [snippet for snippet in found_in if not others.search(snippet.text)]

    assert len(projects) >= 4
    for snippet in projects:
        found: Any = yaml.safe_load(snippet.text)
        assert set(found) <= {
            "name",
            "description",
            "runtime",
            "config",
            "configuration",
            "plugins",
            "resources",
            "outputs",
        }, snippet.name
        assert {key for key in found.get("config", {}) if key.startswith("stacks:")} <= {
            f"stacks:{it}" for it in KEYS
        }


def test_the_prices_in_the_pages_can_be_read(tmp_path: Path) -> None:
    (sample,) = (snippet for snippet in snippets("yaml") if snippet.text.startswith("prices:"))
    (tmp_path / "prices.yaml").write_text(sample.text, encoding="utf-8")

    assert len(read_prices(tmp_path / "prices.yaml").entries) == 3


def test_the_budgets_in_the_pages_can_be_read(tmp_path: Path) -> None:
    (sample,) = (it for it in snippets("yaml") if "budgets:" in it.text and it.name != GATE)
    (tmp_path / "budgets.yaml").write_text(sample.text, encoding="utf-8")

    assert len(read_budgets(tmp_path / "budgets.yaml").budgets) == 3


def test_the_platform_files_in_the_pages_can_be_read() -> None:
    samples = [
        it for it in snippets("yaml") if "version: 1\n" in it.text and it.name not in {GATE, BROKER, AGENTS}
    ]

    assert samples
    for sample in samples:
        assert parse(sample.text, sample.name) != PlatformFacts()


def test_the_doctors_document_has_the_fields_that_its_page_shows() -> None:
    (sample,) = (json.loads(it.text) for it in snippets("json") if it.name == "docs/doctor.md")

    assert set(sample) == {*enveloped(), "ok", "checks"}
    assert all(Diagnosis(**check) for check in sample["checks"])


@pytest.mark.extra
def test_every_python_snippet_passes_the_type_checker(tmp_path: Path) -> None:
    for number, snippet in enumerate(snippets("python")):
        if snippet.name not in FRAGMENTS | {REGISTRY}:
            file = re.sub(r"\W", "_", f"{snippet.name} {number}")
            (tmp_path / f"{file}.py").write_text(snippet.text, encoding="utf-8")
    assert len(list(tmp_path.glob("*.py"))) > 20

    settings = ["--config-file=", f"--cache-dir={ROOT / '.mypy_cache/snippets'}", "--check-untyped-defs"]
    done = subprocess.run(
        [sys.executable, "-m", "mypy", *settings, "."],
        cwd=tmp_path,
        env={**os.environ, "MYPYPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr


def _table(name: str) -> str:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    return text.partition(f"[{name}]\n")[2].partition("\n[")[0]
