"""Whatever changes between the approval and `apply`, or is no approval of this change: nothing is created."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from concurrent import futures
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from stacks_pulumi.emulator import Emulator
from stacks_pulumi.gate import flow, machine, record
from stacks_pulumi.gate.engine import Engine
from stacks_pulumi.gate.flow import RefusedError
from tests.support.gate import Gated
from tests.support.stack import Stack

WEB = 'stacks.Container("web", template="nodejs")\n'


@pytest.fixture
def approved(stack: Stack, tmp_path: Path) -> Gated:
    """A stack with a change that is approved."""
    gated = Gated(stack, tmp_path / "gated", packs={"plans": {"allowed-plans": {"allowed": ["basic"]}}})
    stack.program(WEB)
    assert gated.plan().verdict.result == "needs_approval"
    gated.approve()
    return gated


def flipped(file: Path) -> Callable[[], object]:
    """Change one byte of a file; return what changes it back."""
    before = file.read_bytes()
    place = len(before) // 2
    file.write_bytes(before[:place] + bytes([before[place] ^ 1]) + before[place + 1 :])
    return lambda: file.write_bytes(before)


def test_nothing_but_the_approved_change_is_applied(
    approved: Gated, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The three stories have one record, so that each but the last shows that nothing was changed."""
    _whatever_changes_makes_it_void(approved)
    _only_an_approval_of_this_change_by_a_person_who_may_counts(approved)
    _a_state_that_changes_after_the_plan_or_inside_of_apply_refuses(approved, monkeypatch)
    assert emulator.calls("containers.create") == 0
    assert emulator.state.names() == []

    # It was only these: the record that was approved is applied.
    assert approved.apply() == 0
    assert emulator.state.names() == ["web"]


def _whatever_changes_makes_it_void(gated: Gated) -> None:
    stack = gated.stack
    files = {
        stack.folder / "__main__.py": "the program's files are not those",
        stack.folder / "Pulumi.dev.yaml": "",
        gated.folder / "plans" / "__main__.py": "the gate's folder is not the one",
        gated.folder / "plans.json": "",
        gated.folder / "gate.yaml": "",
        gated.folder / "allowed_signers": "",
        gated.record / record.PLAN: "plan.json is not the file that the record names",
        gated.record / record.STATE: "state.json is not the file that the record names",
        gated.record / record.EVENTS: "events.jsonl is not the file that the record names",
        gated.record / record.RECORD: "",
    }
    for file, reason in files.items():
        back = flipped(file)
        with pytest.raises(Exception) as refused:
            gated.apply()
        assert reason in str(refused.value), file
        back()

    # A file that is new, in a place where Python would look first.
    for new in ("os_.py", "lib/pyvenv.py"):
        file = stack.folder / new
        file.parent.mkdir(exist_ok=True)
        file.write_text("x = 1\n", encoding="utf-8")
        assert "the program's files are not those" in gated.refused()
        file.unlink()
        if file.parent != stack.folder:
            file.parent.rmdir()

    # The configuration as the engine reads it, and the state.
    before = (stack.folder / "Pulumi.dev.yaml").read_text(encoding="utf-8")
    stack.set("size", "2")
    assert "the program's files are not those" in gated.refused()
    (stack.folder / "Pulumi.dev.yaml").write_text(before, encoding="utf-8")


def _only_an_approval_of_this_change_by_a_person_who_may_counts(gated: Gated) -> None:
    (right,) = (gated.record / record.APPROVALS).iterdir()
    text = right.read_bytes()
    right.unlink()

    def wrong(file: Path, reason: str) -> None:
        assert reason in gated.refused()
        file.unlink()

    # What Python has compiled is no part of the program, and would be run in its place.
    planted = gated.stack.folder / "__pycache__" / "helper.cpython-311.pyc"
    planted.parent.mkdir(exist_ok=True)
    planted.write_bytes(b"")
    wrong(gated.approve("eve"), "no valid key in allowed_signers made this signature")
    assert not planted.exists()
    wrong(gated.approve(hours=-1), "the approval of ann ended at")
    wrong(
        gated.approve(ceiling=Decimal("3.99")),
        "approved an increase of $3.99 a month at most, and it is $4.00",
    )
    wrong(gated.approve(stack="organization/tests/prod"), "approved a change of another stack")

    forged = right.with_name("forged.txt")
    forged.write_bytes(text.replace(b"ceiling: any", b"ceiling: 99.00"))
    wrong(forged, "the signature does not verify")
    # The signature of another text with the same key.
    forged.write_bytes(text.replace(b"ceiling: any", b"ceiling: any "))
    wrong(forged, "forged.txt")

    # The approval of another record, and of this one after it was planned again.
    other = gated.folder.parent / "other"
    gated.plan(to=other)
    gated.approve(to=other)
    (taken,) = (other / record.APPROVALS).iterdir()
    right.write_bytes(taken.read_bytes())
    wrong(right, "approved another record")

    # A record that says that it holds longer than the gate lets it.
    right.write_bytes(text)
    file = gated.record / record.RECORD
    before = file.read_bytes()
    content = json.loads(before)
    for name, value, reason in (
        ("expires_at", "2999-01-01T00:00:00Z", "it needs an approval"),
        ("made_at", "2020-01-01T00:00:00Z", "the record expired"),
        ("made_at", "2999-01-01T00:00:00Z", "the record's time is in the future"),
        ("stack", "organization/tests/prod", "the record is of the stack organization/tests/prod"),
        ("backend", "s3://elsewhere", "the record is of the backend s3://elsewhere"),
        ("versions", {"pulumi": "v3.1.0"}, "pulumi is v3.2"),
    ):
        file.write_bytes(msgspec.json.encode({**content, name: value}))
        assert reason in gated.refused(), name
    file.write_bytes(before)


def _a_state_that_changes_after_the_plan_or_inside_of_apply_refuses(
    gated: Gated, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = gated.stack.folder / "state" / ".pulumi" / "stacks" / "tests" / "dev.json"
    before = file.read_bytes()
    stored = json.loads(before)
    root = {"urn": "urn:pulumi:dev::tests::pulumi:pulumi:Stack::tests-dev", "custom": False}
    stored["checkpoint"]["latest"]["resources"] = [{**root, "type": "pulumi:pulumi:Stack"}]
    changed = json.dumps(stored).encode()

    file.write_bytes(changed)
    assert "the state was changed after the plan was made" in gated.refused()
    file.write_bytes(before)

    real = Engine.up

    def up(*arguments: Any, **named: Any) -> int:
        # Another update ends between the comparison and the engine's lock.
        file.write_bytes(changed)
        return real(*arguments, **named)

    monkeypatch.setattr(Engine, "up", up)
    assert "the state was changed after the plan was made: plan again" in gated.refused()
    monkeypatch.setattr(Engine, "up", real)
    file.write_bytes(before)


def test_two_at_once_apply_once(
    approved: Gated, emulator: Emulator, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    gated = approved
    other = gated.copy("other")

    def both() -> list[int | str]:
        with gated.environment(), futures.ThreadPoolExecutor(2) as pool:
            return list(pool.map(_outcome, [(gated, gated.record), (gated, other)]))

    # On two machines: neither waits for the other.
    with monkeypatch.context() as patch:
        patch.setattr(machine, "home", lambda: gated.folder.parent / f"machine-{threading.get_ident()}")
        outcomes = both()
        for _ in range(9):
            if 0 in outcomes:
                break
            # Each has seen the engine's lock of the other, and both went back.
            assert "the stack is currently locked" in capfd.readouterr().err
            assert emulator.calls("containers.create") == 0
            outcomes = both()

    assert outcomes.count(0) == 1, outcomes
    (reason,) = [one for one in outcomes if one != 0]
    assert reason in {1, 255} or "the state was changed" in str(reason), capfd.readouterr().out
    assert emulator.calls("containers.create") == 1


def _outcome(given: tuple[Gated, Path]) -> int | str:
    gated, folder = given
    try:
        return flow.apply(gated.gate, folder, gated.stack.folder, None)
    except RefusedError as error:
        return str(error)
