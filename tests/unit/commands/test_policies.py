"""`stacks-pulumi policies`: the ready-made packs in a user's repository."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from stacks_pulumi.cli import main
from stacks_pulumi.commands import _package
from stacks_pulumi.commands._package import PLACE_UNKNOWN
from stacks_pulumi.policy.testing import PackTester, configuration_problems, container

ROOT = Path(__file__).parents[3]
PACKS = ("exposure", "plans", "spend")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return the folder of the packs."""
    assert main(["policies", "--out", str(tmp_path / "policies")]) == 0
    return tmp_path / "policies"


def test_every_file_is_written_and_none_points_back(folder: Path) -> None:
    files = [file for file in folder.rglob("*") if file.is_file()]

    of_packs = {"PulumiPolicy.yaml", "__main__.py", "requirements.txt", "start"}
    for name in PACKS:
        assert {file.name for file in (folder / name).iterdir()} == of_packs
        assert (folder / f"{name}.json").is_file()
    texts = [file.read_text(encoding="utf-8") for file in files if file.suffix != ".whl"]
    assert len(texts) == 17
    assert [text for text in texts if str(ROOT) in text or "../.." in text] == []


@pytest.mark.parametrize("name", PACKS)
def test_a_pack_takes_its_configuration(folder: Path, name: str) -> None:
    text = (folder / f"{name}.json").read_text(encoding="utf-8")

    assert configuration_problems(text, str(folder / name)) == []


def test_the_packs_refuse(folder: Path) -> None:
    def tester(name: str) -> PackTester:
        return PackTester(folder / name, json.loads((folder / f"{name}.json").read_text(encoding="utf-8")))

    tester("plans").preview(container("a", plan="premium")).assert_blocked_by("allowed-plans", "'a'")
    large = [container(f"c{number}", plan="premium") for number in range(6)]
    tester("spend").preview(*large).assert_blocked_by("monthly-budget")
    tester("spend").preview(*large[:3]).assert_passes()


def test_a_pack_starts_from_any_folder(folder: Path, tmp_path: Path) -> None:
    python = tmp_path / "bin" / "python3"
    python.parent.mkdir()
    python.write_text('#!/bin/sh\necho "$PWD: $@"\n', encoding="utf-8")
    python.chmod(0o755)

    said = subprocess.run(
        [folder / "spend" / "start", "127.0.0.1:4711"],
        env={"PATH": f"{python.parent}{os.pathsep}{os.defpath}"},
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
    ).stdout

    assert said == f"{folder / 'spend'}: -u -m pulumi.policy 127.0.0.1:4711 .\n"


def test_a_place_that_is_not_known_is_an_incomplete_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(_package, "place", lambda: None)

    assert main(["policies", "--out", str(tmp_path / "policies"), "--json"]) == 1

    said = capsys.readouterr()
    assert json.loads(said.out)["incomplete"] == "it was installed by its name"
    assert "write the source of stacks-pulumi into each requirements.txt" in said.err
    assert (tmp_path / "policies/spend/requirements.txt").read_text(encoding="utf-8") == PLACE_UNKNOWN


def test_no_file_is_overwritten(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (folder / "spend.json").read_text(encoding="utf-8")
    (folder / "plans.json").unlink()

    assert main(["policies", "--out", str(folder)]) == 1

    assert "already has" in capsys.readouterr().err
    assert not (folder / "plans.json").exists()
    assert (folder / "spend.json").read_text(encoding="utf-8") == before
