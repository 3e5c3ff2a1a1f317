"""Type checkers check a program that uses the package, as in a user's project."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import typing
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from stacks_pulumi import catalog, config
from stacks_pulumi.functions import results
from stacks_pulumi.resources import _literals
from stacks_pulumi.resources._fields import Field
from stacks_pulumi.resources.handlers import HANDLERS

HERE = Path(__file__).parent
# `assert_type` is new in Python 3.11.
VERSION = "3.11"


PROGRAMS = [HERE / "right.py", HERE / "wrong.py"]
Errors = dict[str, dict[int, str]]
"""The expected message by line, for each program."""


def mypy(scratch: Path) -> Errors:
    """Return the errors of strict mypy."""
    settings = ["--strict", f"--python-version={VERSION}", "--config-file=", f"--cache-dir={scratch}"]
    done = subprocess.run(
        [sys.executable, "-m", "mypy", *settings, "--output=json", *(it.name for it in PROGRAMS)],
        cwd=HERE,
        capture_output=True,
        text=True,
        check=False,
    )
    found = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert done.returncode == bool(found), done.stdout + done.stderr
    return by_program(
        (error["file"], int(error["line"]), error["message"])
        for error in found
        if error["severity"] == "error"
    )


def pyright(scratch: Path) -> Errors:
    """Return the errors of pyright."""
    (scratch / "pyrightconfig.json").write_text('{"typeCheckingMode": "standard"}', encoding="utf-8")
    for program in PROGRAMS:
        shutil.copy(program, scratch)
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pyright", "--outputjson"),
            *(f"--pythonpath={sys.executable}", f"--pythonversion={VERSION}"),
        ],
        cwd=scratch,
        capture_output=True,
        text=True,
        check=False,
    )
    report = json.loads(done.stdout)
    assert report["summary"]["filesAnalyzed"] == len(PROGRAMS)
    return by_program(
        (it["file"], it["range"]["start"]["line"] + 1, it["message"])
        for it in report["generalDiagnostics"]
        if it["severity"] == "error"
    )


def by_program(errors: Iterable[tuple[str, int, str]]) -> Errors:
    """Group errors by program; each error is a file, a line and a message."""
    found: Errors = {program.name: {} for program in PROGRAMS}
    for file, line, message in errors:
        found[Path(file).name][line] = message
    return found


@pytest.fixture(scope="module", params=[mypy, pyright], ids=["mypy", "pyright"])
def errors(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Errors:
    """The errors that a type checker finds in one run."""
    found: Errors = request.param(tmp_path_factory.mktemp("checker"))
    return found


@pytest.mark.slow
def test_a_correct_program_has_no_error(errors: Errors) -> None:
    assert errors["right.py"] == {}


@pytest.mark.slow
def test_every_mistake_is_an_error(errors: Errors) -> None:
    lines = (HERE / "wrong.py").read_text(encoding="utf-8").splitlines()
    wrong = {number for number, line in enumerate(lines, 1) if line.endswith("# wrong")}

    assert len(wrong) == 12
    assert set(errors["wrong.py"]) == wrong


def values(alias: Any) -> list[Any]:
    """The literals of a type."""
    literals = [it for it in typing.get_args(alias) if typing.get_origin(it) is typing.Literal]
    return [value for it in literals for value in typing.get_args(it)]


def test_the_literals_are_those_of_the_catalogue_and_of_the_settings() -> None:
    assert values(_literals.Template) == sorted(catalog.TEMPLATES)
    assert values(_literals.Plan) == list(catalog.PLANS)
    assert values(_literals.StorageTier) == list(catalog.STORAGE_TIERS)
    assert set(values(_literals.AdoptMode)) == set(config.ADOPT_MODES)


@pytest.mark.parametrize(
    ("kind", "argument", "alias"),
    [
        ("Container", "desired_status", _literals.DesiredStatus),
        ("AllowedIp", "service_type", _literals.ServiceType),
        ("PinnedBackup", "on_delete", _literals.OnDelete),
    ],
)
def test_check_accepts_every_literal_and_no_other_text(kind: str, argument: str, alias: Any) -> None:
    field: Field = next(it for it in HANDLERS[kind].fields if it.name == argument)

    for value in values(alias):
        assert field.parse(value) == value
    with pytest.raises(ValueError, match="|".join(map(re.escape, values(alias)))):
        field.parse("no such word")


@pytest.mark.parametrize("kind", results.Result.__subclasses__(), ids=lambda kind: kind.__name__)
def test_a_result_has_every_value_of_the_client_s_answer(kind: type[results.Result]) -> None:
    fields = {field.name for field in msgspec.structs.fields(kind.model)}

    derived = {results.Container: {"internal_host"}, results.VpnClient: {"id"}}

    # Names that the client uses only to read an answer.
    internal = {results.Container: {"category"}, results.Template: {"beside"}}

    assert set(kind.values) == (fields | derived.get(kind, set())) - internal.get(kind, set())
