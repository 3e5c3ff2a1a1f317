"""The command: what is signed, what is refused before it is signed, and exit codes."""

from __future__ import annotations

import datetime
import json
import os
import subprocess
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from stacks_pulumi import cli
from stacks_pulumi.gate import digests, record, signatures
from stacks_pulumi.gate.record import Content, Digests
from tests.support.gate import keys, signer
from tests.support.previews import UNKNOWN, events, step
from tests.support.saved_plans import Saved, web

NOW = datetime.datetime.now(datetime.timezone.utc)
Run = Callable[..., int]


@pytest.fixture
def gate(tmp_path: Path) -> Path:
    """Return a gate's folder in which ann and bob may approve."""
    folder = tmp_path / "gate"
    folder.mkdir()
    (folder / "gate.yaml").write_text("version: 1\n", encoding="utf-8")
    (folder / "allowed_signers").write_text(signer("ann") + signer("bob"), encoding="utf-8")
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return the folder of a record."""
    return tmp_path / "record"


@pytest.fixture
def written(gate: Path, folder: Path) -> Callable[..., record.Record]:
    """Return a function that writes the record of a change."""

    def write(saved: Saved, told: bytes, hours: float = 24) -> record.Record:
        plan, state = saved.files
        content = Content(
            stack="organization/shop/dev",
            made_at=NOW,
            expires_at=NOW + datetime.timedelta(hours=hours),
            backend="file://",
            gate_source="gate",
            runtime="yaml",
            code="",
            author="Ann <ann@example.com>",
            digests=Digests(
                record.digest_of(plan),
                record.digest_of(state),
                record.digest_of(told),
                "",
                "",
                digests.of_folder(gate),
                "",
            ),
            versions={},
            sealed_key="",
        )
        return record.write(folder, content, plan, state, told)

    return write


@pytest.fixture
def created(written: Callable[..., record.Record]) -> record.Record:
    """Return the record of a new container."""
    saved = Saved()
    saved.plan("web", web("basic"), "create")
    return written(saved, events(step("create", "web", None, web("basic"))))


@pytest.fixture
def approve(gate: Path, folder: Path) -> Run:
    """Return a function that approves the record, and returns the exit code."""

    def run(*words: str, key: str = "ann") -> int:
        key_file = str(keys() / key)
        return cli.main(["gate", "approve", str(folder), "--gate", str(gate), "--key", key_file, *words])

    return run


@pytest.fixture
def record_files(folder: Path, approve: Run) -> tuple[Path, Run]:
    """Return the folder of a record, and a function that approves it."""
    return folder, approve


def statements(folder: Path) -> list[signatures.Statement]:
    """Return what is signed."""
    found = []
    for file in sorted((folder / "approvals").iterdir()) if (folder / "approvals").exists() else ():
        text, begin, rest = file.read_bytes().partition(b"-----BEGIN")
        signers = folder.parent / "gate" / "allowed_signers"
        found.append(
            signatures.verify(text, begin + rest, signers, NOW + datetime.timedelta(minutes=1)).statement
        )
    return found


def left(statement: signatures.Statement) -> datetime.timedelta:
    """Return for how long an approval still holds."""
    return statement.until - datetime.datetime.now(datetime.timezone.utc)


def test_what_is_shown_is_signed(
    created: record.Record, folder: Path, approve: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    assert approve() == 0

    (signed,) = statements(folder)
    assert (signed.digest, signed.stack) == (created.digest, "organization/shop/dev")
    assert (signed.ceiling, signed.accepts) == (Decimal(4), ())
    assert datetime.timedelta(hours=3) < left(signed) <= datetime.timedelta(hours=4)
    out = capsys.readouterr().out
    assert "The change of shop/dev: needs an approval; the monthly cost changes by +$4.00" in out
    assert signed.text.decode() in out
    assert f"ann signed this text, and approves the change of shop/dev (record {created.digest[:12]})" in out
    (file,) = (folder / "approvals").iterdir()
    assert f"The approval is the file {file}\n" in out
    assert (
        f"`stacks-pulumi gate apply {folder} --gate {folder.parent / 'gate'}` in the project, until 2" in out
    )

    # The project does not have the program of an agent.
    (folder.parent / "program.json").touch()
    assert approve() == 0
    assert "Next: with this file in the record, the agent applies it, until 2" in capsys.readouterr().out


@pytest.mark.usefixtures("created")
def test_the_first_of_two_approvals_says_that_another_person_is_next(
    gate: Path, folder: Path, written: Any, approve: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    (gate / "gate.yaml").write_text("version: 1\ntwo_approvals: [opens-access]\n", encoding="utf-8")
    given = {**web("basic"), "external_access": True}
    saved = Saved()
    saved.plan("web", given, "create")
    written(saved, events(step("create", "web", None, given)))

    assert approve() == 0
    assert (
        "it needs the approvals of two people, and has 1. Next: another person runs `stacks-pulumi gate approve"
        in capsys.readouterr().out
    )
    assert approve(key="bob") == 0
    assert "stacks-pulumi gate apply" in capsys.readouterr().out


@pytest.mark.usefixtures("created")
def test_the_options_say_how_much_and_how_long(folder: Path, approve: Run) -> None:
    assert approve("--ceiling", "7.50", "--expires", "30m", "--as", "ann") == 0

    (signed,) = statements(folder)
    assert signed.ceiling == Decimal("7.50")
    assert left(signed) <= datetime.timedelta(minutes=30)


def test_an_approval_ends_with_its_record(written: Any, folder: Path, approve: Run) -> None:
    saved = Saved()
    saved.plan("web", web("basic"), "create")
    read = written(saved, events(step("create", "web", None, web("basic"))), hours=1)

    assert approve("--expires", "2d") == 0
    (signed,) = statements(folder)
    assert signed.until == read.content.expires_at.replace(microsecond=0)


@pytest.mark.usefixtures("created")
@pytest.mark.parametrize(
    ("key", "words", "expected"),
    [
        ("eve", (), (2, "is not one of allowed_signers that holds now, which has ann, bob")),
        ("ann", ("--as", "bob"), (2, "the key is that of ann, and not of bob")),
        ("zoe", (), (1, "there is no key")),
        ("ann", ("--ceiling", "lots"), (1, "is not a number")),
        ("ann", ("--ceiling", "3.99"), (1, "so an approval with --ceiling 3.99 would be void")),
        ("ann", ("--expires", "soon"), (1, "is not a time such as 30m")),
    ],
)
def test_what_cannot_be_signed_leaves_no_approval(
    record_files: tuple[Path, Run], capsys: pytest.CaptureFixture[str], key: str, words: Any, expected: Any
) -> None:
    folder, approve = record_files
    try:
        found = approve(*words, key=key)
    except SystemExit as end:
        found = int(end.code or 0)

    assert found == expected[0]
    assert expected[1] in capsys.readouterr().err
    assert statements(folder) == []


def test_unknown_values_have_to_be_accepted(
    written: Any, folder: Path, approve: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    saved = Saved()
    saved.plan("web", {**web("basic"), "name": UNKNOWN}, "create")
    written(saved, events(step("create", "web", None, {**web("basic"), "name": UNKNOWN})))

    assert approve() == 1
    assert "to approve it whatever the values will be, add --accept-unknown" in capsys.readouterr().err
    assert statements(folder) == []
    assert approve("--accept-unknown") == 0
    (signed,) = statements(folder)
    assert "unknown" in signed.accepts
    assert signed.ceiling == Decimal(4)


def test_an_increase_without_a_bound_needs_a_ceiling(
    gate: Path, written: Any, folder: Path, approve: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    (gate / "gate.yaml").write_text("version: 1\nrules: {unpriced: approve}\n", encoding="utf-8")
    saved = Saved()
    saved.plan("web", web("new-plan"), "create")
    written(saved, events(step("create", "web", None, web("new-plan"))))

    assert approve("--accept-unknown") == 1
    assert "the increase has no known upper bound, so that no ceiling holds it" in capsys.readouterr().err
    assert approve("--accept-unknown", "--ceiling", "50") == 1
    assert statements(folder) == []
    assert approve("--accept-unknown", "--ceiling", "any") == 0
    (signed,) = statements(folder)
    assert signed.ceiling is None


def test_a_change_that_the_gate_refuses_cannot_be_approved(
    gate: Path, written: Any, folder: Path, approve: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    (gate / "gate.yaml").write_text("version: 1\nlimits: {max_increase: 1}\n", encoding="utf-8")
    saved = Saved()
    saved.plan("web", web("basic"), "create")
    written(saved, events(step("create", "web", None, web("basic"))))

    assert approve() == 2
    assert "the gate refuses this change, so no approval helps" in capsys.readouterr().err
    assert statements(folder) == []


def test_nothing_is_signed_for_a_change_without_a_step(
    written: Any, folder: Path, approve: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    saved = Saved()
    saved.same("web", web("basic"))
    written(saved, events(step("same", "web", web("basic"), web("basic"))))

    assert approve() == 0
    assert "nothing changes, so there is nothing to approve" in capsys.readouterr().err
    assert statements(folder) == []


@pytest.mark.usefixtures("created")
def test_another_gate_than_that_of_the_plan_is_refused(
    gate: Path, folder: Path, approve: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    (gate / "rules.py").write_text("RULES = []\n", encoding="utf-8")

    assert approve() == 1
    assert "the record was planned with another gate than" in capsys.readouterr().err
    assert statements(folder) == []


@pytest.mark.usefixtures("created")
def test_an_approver_beyond_their_limits_signs_nothing(
    gate: Path, folder: Path, written: Any, approve: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    (gate / "gate.yaml").write_text("version: 1\napprover_limits: {ann: {ceiling: 3}}\n", encoding="utf-8")
    saved = Saved()
    saved.plan("web", web("basic"), "create")
    written(saved, events(step("create", "web", None, web("basic"))))

    assert approve() == 2
    assert (
        "not approved: ann may approve an increase of $3.00 a month at most, not $4.00"
        in capsys.readouterr().err
    )
    assert statements(folder) == []
    assert approve(key="bob") == 0


def test_a_record_of_another_change_is_shown_as_what_it_is(
    created: record.Record, gate: Path, folder: Path, approve: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    """`show` prints what the plan and the state say, whatever the comment says."""
    assert approve() == 0
    (folder / "comment.md").write_text("Nothing changes.\n", encoding="utf-8")
    capsys.readouterr()

    assert cli.main(["gate", "show", str(folder), "--gate", str(gate)]) == 0
    shown = capsys.readouterr().out
    assert "changes by +$4.00" in shown
    assert "approved by ann until" in shown
    assert cli.main(["gate", "show", str(folder), "--gate", str(gate), "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["record"] == created.digest
    assert cli.main(["gate", "show", str(folder), "--format", "markdown"]) == 0
    printed = capsys.readouterr()
    assert "judged by the strict rules, without limits" in printed.err
    assert "**web**" in printed.out


def test_a_record_that_was_edited_is_no_record(
    created: record.Record, gate: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "plan.json").write_bytes(created.plan.replace(b"basic", b"micro"))

    assert cli.main(["gate", "show", str(folder), "--gate", str(gate)]) == 1
    assert "plan.json" in capsys.readouterr().err


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


@pytest.mark.parametrize("words", [[], ["plan"], ["apply"], ["init"], ["sign"], ["plan", "--gate", "x"]])
def test_a_wrong_option_ends_with_1(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        cli.main(["gate", *words])

    assert end.value.code == 1
    assert "[invalid-argument]" in capsys.readouterr().err


def test_the_gate_in_the_project_is_warned_about(
    gate: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "Pulumi.yaml").write_text("name: shop\nruntime: yaml\nmain: .\n", encoding="utf-8")

    code = cli.main(
        ["gate", "plan", "--gate", str(gate), "--record", str(tmp_path / "r"), "-C", str(tmp_path)]
    )

    assert code == 2
    said = capsys.readouterr().err
    assert "it is in the project, whose author can edit it" in said
    assert "sets `main`, which can run other code or move the stack" in said


def test_the_gate_of_a_ref_is_named(gate: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    identity = ["-c", "user.name=Ann", "-c", "user.email=ann@example.com"]
    for words in (["init", "-q", "-b", "main"], ["add", "."], [*identity, "commit", "-qm", "The gate"]):
        subprocess.run(["git", *words], cwd=tmp_path, check=True, env={**os.environ})
    project = tmp_path / "project"
    project.mkdir()
    words = ["--gate", str(gate), "--gate-ref", "main", "--record", str(tmp_path / "r"), "-C", str(project)]

    assert cli.main(["gate", "plan", *words]) == 1

    assert f"the gate is {gate} of main, commit " in capsys.readouterr().err
