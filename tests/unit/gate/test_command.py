"""The command: wrong options, options of earlier versions, and the exit codes of `check`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stacks_pulumi import cli
from stacks_pulumi.errors import StacksError
from stacks_pulumi.gate import client, workflow
from tests.support.gate import keys


@pytest.mark.parametrize(
    ("change", "code", "said"),
    [
        (lambda folder: None, 0, "correct"),
        (
            lambda folder: (folder / "gate.yaml").write_text("version: 1\nlimts: {}\n"),
            2,
            "did you mean limits?",
        ),
        (lambda folder: (folder / "gate.yaml").unlink(), 2, "has no gate.yaml"),
        (lambda folder: (folder / "allowed_signers").write_text("* x y\n"), 2, "not the name of one person"),
    ],
)
def test_check_ends_with_2_for_a_mistake(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    change: Callable[[Path], Any],
    code: int,
    said: str,
) -> None:
    gate = tmp_path / "new"
    approver = f"ann={keys() / 'ann.pub'}"
    assert cli.main(["gate", "init", str(gate), "--approver", approver, "--max-total", "12"]) == 0
    assert f"stacks-pulumi gate check --gate {gate}" in capsys.readouterr().out
    change(gate)

    assert cli.main(["gate", "check", "--gate", str(gate)]) == code
    assert said in capsys.readouterr().out


@pytest.mark.parametrize(
    "words", [[], ["approve", "x"], ["apply"], ["init"], ["sign"], ["check"], ["plan", "--expires", "soon"]]
)
def test_a_wrong_option_ends_with_1(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        cli.main(["gate", *words])

    assert end.value.code == 1
    assert "[invalid-argument]" in capsys.readouterr().err


def test_a_file_that_is_no_change_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "change.json"
    file.write_text("{}", encoding="utf-8")

    assert cli.main(["gate", "show", str(file), "--gate", "gate"]) == 1
    assert f"{file} is not a change: " in capsys.readouterr().err


def test_without_a_broker_the_message_says_how_one_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("STACKS_BASE_URL", "http://localhost:7822/api/v1")
    monkeypatch.setenv("STACKS_API_KEY", f"sk_stacks_{'0' * 64}")

    assert cli.main(["gate", "plan", "-C", str(tmp_path)]) == 1
    assert "no broker is given: pass its folder or its address with --gate" in capsys.readouterr().err


def test_a_folder_in_the_project_is_warned_about(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["gate", "plan", "--gate", str(tmp_path / "gate"), "-C", str(tmp_path)]) == 1

    said = capsys.readouterr().err
    assert "is in the project, whose author could edit the rules" in said
    assert "has no gate.yaml" in said


def test_the_comment_on_a_change_without_a_plan_has_no_reason(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A program's error may contain a secret; the job's log shows the reason."""
    (tmp_path / "Pulumi.yaml").write_text("name: shop\nruntime: python\n", encoding="utf-8")
    words = ("-s", "org/shop/dev", "--format", "markdown", "--gate", "http://127.0.0.1:1")

    assert cli.main(["gate", "plan", "-C", str(tmp_path), *words]) == 1

    said = capsys.readouterr()
    assert said.out.startswith("<!-- stacks-pulumi cost: gate%20shop/dev -->\n### shop/dev: not planned\n")
    assert "the log of the job shows the reason" in said.out
    assert "127.0.0.1" not in said.out
    assert "no broker answers at http://127.0.0.1:1" in said.err


def test_a_file_may_have_several_signatures_and_has_one(tmp_path: Path) -> None:
    begin, end = "-----BEGIN SSH SIGNATURE-----", "-----END SSH SIGNATURE-----"
    change = tmp_path / "change.json"
    given = tmp_path / "change.json.sig.d/given"
    given.parent.mkdir()
    # A one-line form field, and a form field that keeps line ends.
    given.write_text(f"{begin} AAAA BBBB {end} {begin}\nCCCC\n{end}\n", encoding="ascii")

    assert workflow.signatures_of(change) == [f"{begin}\nAAAA\nBBBB\n{end}\n", f"{begin}\nCCCC\n{end}\n"]

    given.write_text("AAAA", encoding="ascii")
    with pytest.raises(StacksError, match="given has no signature: `gate approve` writes one"):
        workflow.signatures_of(change)


@pytest.mark.parametrize(("host", "is_here"), [("127.0.0.1", True), ("192.0.2.1", False)])
def test_only_an_address_of_this_machine_is_here(host: str, is_here: bool) -> None:
    """No machine has an address of the range for documentation (RFC 5737)."""
    assert client._is_here(host) is is_here
