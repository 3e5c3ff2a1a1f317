"""Type checkers check a program that uses the package, as a consumer runs them."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import typing
from pathlib import Path
from typing import Any

import msgspec
import pytest

from stacks_pulumi import catalog, config
from stacks_pulumi.functions import results
from stacks_pulumi.resources import _fields as _literals
from stacks_pulumi.resources._fields import Field
from stacks_pulumi.resources.handlers import HANDLERS

HERE = Path(__file__).parent
# `assert_type` is new in Python 3.11.
VERSION = "3.11"


def mypy(program: Path, scratch: Path) -> dict[int, str]:
    """Return the lines with an error of strict mypy."""
    settings = ["--strict", f"--python-version={VERSION}", "--config-file=", f"--cache-dir={scratch}"]
    done = subprocess.run(
        [sys.executable, "-m", "mypy", *settings, "--output=json", program.name],
        cwd=HERE,
        capture_output=True,
        text=True,
        check=False,
    )
    found = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert done.returncode == bool(found), done.stdout + done.stderr
    return {int(error["line"]): error["message"] for error in found if error["severity"] == "error"}


def pyright(program: Path, scratch: Path) -> dict[int, str]:
    """Return the lines with an error of pyright."""
    (scratch / "pyrightconfig.json").write_text('{"typeCheckingMode": "standard"}', encoding="utf-8")
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
    assert report["summary"]["filesAnalyzed"] == 1
    found = [it for it in report["generalDiagnostics"] if it["severity"] == "error"]
    return {it["range"]["start"]["line"] + 1: it["message"] for it in found}


CHECKERS = pytest.mark.parametrize("check", [mypy, pyright])


@CHECKERS
@pytest.mark.slow
def test_a_correct_program_has_no_error(check: Any, tmp_path: Path) -> None:
    assert check(HERE / "right.py", tmp_path) == {}


@CHECKERS
@pytest.mark.slow
def test_every_mistake_is_an_error(check: Any, tmp_path: Path) -> None:
    program = HERE / "wrong.py"
    lines = program.read_text(encoding="utf-8").splitlines()
    wrong = {number for number, line in enumerate(lines, 1) if line.endswith("# wrong")}

    assert len(wrong) == 12
    assert set(check(program, tmp_path)) == wrong


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

    assert set(kind.values) == fields | derived.get(kind, set())
