"""The documentation is correct: generated parts are up to date, links are valid, examples run."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import get_args

import pytest

import stacks_pulumi
from stacks_pulumi.config import KEYS
from stacks_pulumi.errors import ErrorCode
from stacks_pulumi.resources.handlers import HANDLERS
from tools.docs import marks, samples
from tools.docs.install import written
from tools.docs.parts import generate
from tools.docs.platform_file import gate_schema_text, schema_text

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    [
        ROOT / "README.md",
        *(ROOT / "docs").rglob("*.md"),
        *(ROOT / "examples").rglob("*.md"),
        *(ROOT / ".github").glob("*.md"),
    ]
)
GENERATED = marks.pages(ROOT)
SCHEMAS = {
    "stacks_pulumi/platform.schema.json": schema_text,
    "stacks_pulumi/gate/gate.schema.json": gate_schema_text,
}
EXTRA = {"account.md": pytest.mark.extra}
"""Pages whose generation takes seconds: this page runs the commands on an account with all possible problems."""
RESOURCES = sorted((ROOT / "docs/resources").glob("*.md"))
LINK = re.compile(r"\]\(([^)\s]+)\)")
BLOCK = re.compile(r"^( *)```python\n(.*?)^ *```$", re.DOTALL | re.MULTILINE)
KEY_FILE = re.compile(r"> *\S+\.(conf|pem|key)\b")


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize(
    "page", [pytest.param(page, marks=EXTRA.get(page.name, ())) for page in GENERATED], ids=name
)
def test_generated_parts_are_up_to_date(page: Path) -> None:
    text = page.read_text(encoding="utf-8")

    assert text == marks.filled(text, generate), "run `make docs`"


@pytest.mark.parametrize("file", SCHEMAS)
def test_a_schema_is_up_to_date_and_describes_each_setting(file: str) -> None:
    text = (ROOT / file).read_text(encoding="utf-8")

    assert text == SCHEMAS[file](), "run `make docs`"
    parts = json.loads(text)["$defs"].values()
    assert [name for part in parts for name, it in part["properties"].items() if not it["description"]] == []


def test_the_packs_and_pipelines_are_those_that_a_repository_gets() -> None:
    texts = written()

    assert len(texts) == 20
    for file, text in texts.items():
        assert file.read_text(encoding="utf-8") == text, "run `make docs`"
    starts = [file for file in texts if file.name == "start"]
    assert [file for file in starts if not os.access(file, os.X_OK)] == []
    packs = {
        file for file in (ROOT / "policies").rglob("*") if file.is_file() and "__pycache__" not in file.parts
    }
    assert {file.name for file in packs - texts.keys()} == {"README.md"}


def test_an_unknown_part_is_an_error() -> None:
    with pytest.raises(LookupError, match="no generated part"):
        generate("inputz Container")


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_link_to_a_file_or_a_heading_is_valid(page: Path) -> None:
    broken = []
    for link in LINK.findall(re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)):
        if link.startswith(("https://", "http://", "mailto:")):
            continue
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        if not target.exists() or (anchor and anchor not in _anchors(target)):
            broken.append(link)

    assert broken == []


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_python_example_compiles(page: Path) -> None:
    for source in _blocks(page):
        compile(source, name(page), "exec")


def test_every_private_key_in_the_pages_goes_into_a_file_that_only_its_owner_reads() -> None:
    writing = [
        line.strip()
        for page in PAGES
        for line in page.read_text(encoding="utf-8").splitlines()
        if KEY_FILE.search(line)
    ]

    assert len(writing) >= 1
    assert [line for line in writing if not line.startswith("(umask 077; ")] == []


def test_no_command_in_the_pages_has_a_key_as_an_argument_of_a_process() -> None:
    # All users of the machine can read the arguments of a process; `printf` is built into the shell.
    found = re.compile(r'(?:-H|--header)[ =]"Authorization: Bearer')

    assert [name(page) for page in PAGES if found.search(page.read_text(encoding="utf-8"))] == []


def test_every_program_in_the_pages_runs_on_mocks() -> None:
    programs = {
        f"{name(page)} {number}": source
        for page in PAGES
        for number, source in enumerate(_blocks(page))
        if re.search(r"^import stacks_pulumi as stacks$", source, re.MULTILINE)
        and "set_mocks" not in source
        # Another test runs this snippet: it is a function that a test file calls.
        and page.name != "own-repository.md"
    }
    assert len(programs) > len(HANDLERS)

    command = [sys.executable, "-c", ON_MOCKS]
    done = subprocess.run(
        command, input=json.dumps(programs), text=True, capture_output=True, check=True, env={}
    )

    assert json.loads(done.stdout) == [], done.stderr


def test_the_unit_test_on_the_page_about_tests_passes(tmp_path: Path) -> None:
    (source,) = (it for it in _blocks(ROOT / "docs/testing.md") if "set_mocks" in it)
    (tmp_path / "test_page.py").write_text(source, encoding="utf-8")

    command = [sys.executable, "-m", "pytest", "--rootdir", str(tmp_path), "-c", "/dev/null", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)

    assert "1 passed" in done.stdout, done.stdout + done.stderr


def test_every_public_resource_has_a_complete_page() -> None:
    classes = {it for it in stacks_pulumi.__all__ if it[0].isupper()}
    index = (ROOT / "docs/index.md").read_text(encoding="utf-8")

    assert classes == {
        page.read_text(encoding="utf-8").splitlines()[0].removeprefix("# ") for page in RESOURCES
    }
    for page in RESOURCES:
        assert f"({page.relative_to(ROOT / 'docs')})" in index
    for kind in HANDLERS:
        text = _page(kind).read_text(encoding="utf-8")
        headings = re.findall(r"^## (.*)$", text, re.MULTILINE)
        assert {"Inputs", "Drift", "Adoption", "Errors", "Calls to the API"} <= set(headings), kind
        assert {f"inputs {kind}", f"calls {kind}"} <= set(marks.names(text)), kind


def test_every_page_is_in_the_index_and_every_example_in_its_table() -> None:
    index = (ROOT / "docs/index.md").read_text(encoding="utf-8")
    table = (ROOT / "examples/README.md").read_text(encoding="utf-8")
    # The last two are for Pulumi's registry.
    others = {"index.md", "_index.md", "installation-configuration.md"}
    pages = [page.name for page in (ROOT / "docs").glob("*.md") if page.name not in others]

    assert [page for page in pages if f"({page})" not in index] == []
    folders = [path.parent.name for path in (ROOT / "examples").glob("*/__main__.py")]
    assert [folder for folder in folders if f"({folder})" not in table] == []


def test_every_setting_is_on_the_page_about_configuration() -> None:
    page = (ROOT / "docs/configuration.md").read_text(encoding="utf-8")

    assert [key for key in KEYS if f"`stacks:{key}`" not in page] == ["account"]


def test_every_code_of_an_error_has_one_section() -> None:
    page = (ROOT / "docs/errors.md").read_text(encoding="utf-8")
    sections = re.findall(r"^### `(.*)`\n\n(?:[^#\n].*\n|\n)*?\*\*Do this:\*\*", page, re.MULTILINE)

    assert Counter(sections) == Counter(get_args(ErrorCode))


def test_every_test_that_a_page_names_exists() -> None:
    named = {
        it
        for page in PAGES
        for it in re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", page.read_text(encoding="utf-8"))
    }

    assert len(named) >= 10
    assert [it for it in named if f"\ndef {it[1]}(" not in (ROOT / it[0]).read_text(encoding="utf-8")] == []


def test_a_command_installs_an_sdk_by_its_name_only_after_its_publication(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    commands = ["npm install stacks-pulumi", "pip install pulumi-stacks", "dotnet add package", "go get"]
    assert [it for it in commands if it in generate("packages")] == []

    monkeypatch.setattr(samples, "INDEX", "PyPI")

    assert [it for it in commands if it not in generate("packages")] == []


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 75


def test_every_make_target_in_the_pages_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    named = {
        target
        for page in PAGES
        for target in re.findall(
            r"(?:^|[`(])make (?:-s )?([a-z-]+)", page.read_text(encoding="utf-8"), re.MULTILINE
        )
    }

    assert named <= targets


def _page(kind: str) -> Path:
    return ROOT / "docs/resources" / f"{re.sub(r'(?<!^)(?=[A-Z])', '_', kind).lower()}.md"


def _blocks(page: Path) -> list[str]:
    found = BLOCK.findall(page.read_text(encoding="utf-8"))
    return [re.sub(f"^{indent}", "", source, flags=re.MULTILINE) for indent, source in found]


def _anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


ON_MOCKS = """
import json
import os
import sys
import traceback

import pulumi
import stacks_pulumi

made = []
answers = {
    "stacks:index:list_backups": [{"id": 1, "created_at": "2026-01-01T00:00:00Z"}],
    "stacks:index:get_credentials": {"username": "postgres", "password": "secret"},
    "stacks:index:list_templates": [{"id": "nodejs", "monthly_usd": 4}],
}

class Mocks(pulumi.runtime.Mocks):
    def new_resource(self, args):
        made.append(args.typ)
        return f"usr-1-{args.name}", args.inputs

    def call(self, args):
        return answers.get(args.token, [])

def run(source):
    pulumi.runtime.set_mocks(Mocks(), preview=True)
    pulumi.runtime.set_all_config({"project:customerKey": "sk_stacks_" + 64 * "0"})
    pulumi.runtime.test(lambda: exec(compile(source, "page", "exec"), {"__name__": "page"}))()
    assert made, "no resource was made"

failed = []
for label, source in json.load(sys.stdin).items():
    # A copy of this process, which has imported the SDK, runs each program, so that none sees another's resources.
    if child := os.fork():
        if os.waitpid(child, 0)[1]:
            failed.append(label)
        continue
    status = 1
    try:
        os.dup2(2, 1)  # what a program prints is no part of the result
        run(source)
        status = 0
    except BaseException:
        traceback.print_exc()
    os._exit(status)
print(json.dumps(failed))
"""
