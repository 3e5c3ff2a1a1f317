"""`tools/actionlint`, with and without an installed program."""

from __future__ import annotations

import io
import runpy
from collections.abc import Callable
from pathlib import Path

import pytest

TOOL = Path(__file__).parents[2] / "tools" / "actionlint" / "__main__.py"


@pytest.fixture
def main() -> Callable[[list[str]], int]:
    found: Callable[[list[str]], int] = runpy.run_path(str(TOOL))["main"]
    return found


def test_an_installed_actionlint_checks_the_files(
    main: Callable[[list[str]], int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "actionlint").write_text(
        f'#!/bin/sh\necho "$@" > {tmp_path}/given\nexit 3\n', encoding="utf-8"
    )
    (tmp_path / "actionlint").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))

    assert main([str(tmp_path / "ci.yml")]) == 3
    assert (tmp_path / "given").read_text(encoding="utf-8") == f"{tmp_path / 'ci.yml'}\n"


@pytest.mark.parametrize(("ci", "code"), [("true", 1), ("", 0)])
def test_without_actionlint_and_go_ci_fails_and_others_get_a_warning(
    main: Callable[[list[str]], int], ci: str, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setenv("CI", ci)
    said = io.StringIO()
    monkeypatch.setattr("sys.stderr", said)

    assert main(["ci.yml"]) == code
    assert "install it, or Go" in said.getvalue()
