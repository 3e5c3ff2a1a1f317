"""What began on a machine and did not end counts, and the state is compared inside the update."""

from __future__ import annotations

import dataclasses
import datetime
import json
import os
import shutil
import signal
import subprocess
from concurrent import futures
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from stacks_pulumi._pulumi_cli import InputError, PulumiError
from stacks_pulumi.account import backend
from stacks_pulumi.gate import digests, engine, flow, machine, record, settings, state_pack
from stacks_pulumi.gate.engine import Engine, PlannedPreview
from stacks_pulumi.gate.machine import Begun
from stacks_pulumi.gate.record import RefusedError
from stacks_pulumi.gate.state_pack import Expected
from tests.support.previews import events, step, web
from tests.support.waiting import until
from tests.tools.fake_executables import executable
from tests.unit.gate.test_record import EVENTS, PLAN, STATE, content

NOW = datetime.datetime(2026, 11, 27, 12, 0, tzinfo=datetime.timezone.utc)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the gate on this machine."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    with machine.lock():
        return tmp_path / "stacks-pulumi" / "gate"


def begin(
    folder: Path, digest: str, at: datetime.datetime = NOW, increase: Decimal | None = Decimal(4)
) -> Any:
    record: Any = SimpleNamespace(digest=digest, folder=folder)
    machine.begin(record, Begun(digest, "organization/shop/prod", at, increase, engine=4242))
    return record


def increases() -> list[Decimal | None]:
    return sorted((one.increase for one in machine.unfinished(NOW)), key=str)


def test_a_plan_in_an_environment_that_is_not_active_says_what_helps(tmp_path: Path) -> None:
    failed = PlannedPreview(None, b"", "ModuleNotFoundError: No module named 'pulumi'")

    with pytest.raises(PulumiError, match="'pulumi'; activate the environment that has stacks-pulumi"):
        flow._refused(tmp_path, failed, "shop/prod")


def test_an_apply_without_an_end_counts_in_full_for_a_day(home: Path, tmp_path: Path) -> None:
    ended = begin(tmp_path, "ended")
    begin(tmp_path, "killed")
    begin(tmp_path, "killed before", at=NOW - datetime.timedelta(hours=25))
    begin(tmp_path, "without a bound", increase=None)

    machine.end(ended, changed=True)

    assert increases() == [Decimal(4), None]
    begin(tmp_path, "the next")
    assert len(list(home.glob("begun-*"))) == 3
    machine.end(begin(tmp_path, "the next"))
    (home / "begun-damaged.json").write_text("{", encoding="utf-8")
    assert increases() == [Decimal(4), None, None]


def test_an_operation_without_a_known_result_is_seen_in_the_events(tmp_path: Path) -> None:
    file = tmp_path / "events.jsonl"
    assert not machine.is_unknown(file, None)
    for text, unknown in (
        ("it may exist [outcome-unknown]", True),
        ("it exists and is in no state [rollback-failed]", True),
        ("no money [payment-required]", False),
    ):
        file.write_bytes(events(step("create", "web", None, web()), errors=(text,)))
        assert machine.is_unknown(file, None) is unknown
        assert not machine.is_refused(file)
    # The disk was full in the middle of a line; without a line, nothing began.
    file.write_bytes(file.read_bytes()[:-20])
    assert machine.is_unknown(file, None)
    file.write_bytes(b"")
    assert not machine.is_unknown(file, None)


@pytest.mark.parametrize(
    ("message", "failed", "there", "unknown"),
    [
        ("rpc error: code = Unavailable desc = error reading from server: EOF", True, False, True),
        ("no money [payment-required]", True, False, False),
        ("it is not ready [timed-out]", True, True, False),
        # It replaces one that the state has.
        ("rpc error", True, True, True),
        # It was made, and the state could not be written.
        ("", False, False, True),
        ("", False, True, False),
    ],
)
def test_a_create_that_ends_without_a_code_may_have_made_something(
    tmp_path: Path, message: str, failed: bool, there: bool, unknown: bool
) -> None:
    """The provider was killed, for instance."""
    made = step("create", "web", None, web())
    metadata = {"op": "create", "urn": made["urn"], "new": made["newState"]}
    lines: list[dict[str, Any]] = [{"resourcePreEvent": {"metadata": metadata}}]
    lines += [{"diagnosticEvent": {"urn": made["urn"], "message": one}} for one in [message] if one]
    lines += [{"resOutputsEvent": {"metadata": metadata}}] * (not failed)
    file = tmp_path / "events.jsonl"
    file.write_text("\n".join(json.dumps({"sequence": 1, **line}) for line in lines), encoding="utf-8")
    resources = [made["newState"]] * there

    def export() -> bytes:
        return json.dumps({"version": 3, "deployment": {"resources": resources}}).encode()

    def fail() -> bytes:
        raise PulumiError("it cannot be read")

    assert machine.is_unknown(file, export) is unknown
    assert not machine.is_unknown(file, None)
    assert machine.is_unknown(file, fail) is (unknown or not message)
    # A policy refuses it in the preview of the update.
    file.write_bytes(events(made))
    assert not machine.is_unknown(file, fail)


@pytest.mark.parametrize(("changed", "used"), [(True, True), (False, False)])
def test_a_record_can_be_applied_again_only_if_nothing_was_changed(
    home: Path, tmp_path: Path, changed: bool, used: bool
) -> None:
    record = begin(tmp_path, "digest")

    machine.end(record, changed=changed)

    assert (tmp_path / "started.json").exists() is used
    assert list(home.glob("begun-*")) == []


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize("killed", [True, False])
def test_a_copy_of_a_record_whose_apply_was_killed_is_void_too(tmp_path: Path, killed: bool) -> None:
    """The state can be the old one again, and the history has no entry of a killed update."""
    written = record.write(tmp_path / "record", content(), PLAN, STATE, EVENTS)
    copy = shutil.copytree(written.folder, tmp_path / "copy")
    begun = begin(written.folder, written.digest)
    if not killed:
        machine.end(begun)
        assert flow._read(copy).digest == written.digest
        return
    with pytest.raises(RefusedError, match="or was killed"):
        flow._read(copy)


@pytest.mark.usefixtures("home")
def test_nothing_begins_while_the_engine_of_a_killed_apply_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin(tmp_path, "digest")
    monkeypatch.setattr(machine, "is_running", lambda pid: pid == 4242)

    with pytest.raises(
        RefusedError, match=r"still changes the stack organization/shop/prod \(process 4242\)"
    ):
        machine.check_idle()

    monkeypatch.setattr(machine, "is_running", lambda _pid: False)
    machine.check_idle()


def test_an_engine_runs_until_it_ends_and_another_process_is_none(tmp_path: Path) -> None:
    command = executable(tmp_path / "pulumi", "#!/bin/sh\nread -r line\n")
    with subprocess.Popen([command], stdin=subprocess.PIPE) as started:
        until(lambda: machine.is_running(started.pid))
        assert started.stdin is not None
        started.stdin.close()
        # It has ended, and its exit code is not collected yet.
        until(lambda: not machine.is_running(started.pid))
    assert not machine.is_running(os.getpid())
    assert not machine.is_running(2**22 + 1)


@pytest.mark.usefixtures("home")
def test_changes_on_one_machine_are_judged_one_after_the_other(capsys: pytest.CaptureFixture[str]) -> None:
    order = []
    with futures.ThreadPoolExecutor(1) as pool:

        def second() -> None:
            with machine.lock():
                order.append("second")

        with machine.lock():
            waiting = pool.submit(second)
            until(lambda: "waiting for another change on this machine" in capsys.readouterr().err)
            order.append("first")
        waiting.result()

    assert order == ["first", "second"]


def state(name: str) -> bytes:
    resource = {"urn": f"urn:pulumi:prod::shop::a:b:C::{name}", "type": "a:b:C"}
    return json.dumps({"deployment": {"resources": [resource]}}).encode()


@pytest.fixture
def pack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The files of the gate's own pack, and a `pulumi` that prints a state."""
    (tmp_path / "now.json").write_bytes(state("web"))
    executable(tmp_path / "bin" / "pulumi", f"#!/bin/sh\nexec cat {tmp_path / 'now.json'}\n")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    digest = digests.of_state(state("web"), b"key")
    expected = Expected(str(tmp_path), "organization/shop/prod", "key", digest, str(tmp_path / "said"))
    file = tmp_path / "expected.json"
    file.write_bytes(msgspec.json.encode(expected))
    monkeypatch.setattr("sys.argv", ["state_pack", str(file), "127.0.0.1:1"])
    return tmp_path


def test_the_pack_serves_only_if_the_state_is_the_expected_one(
    pack: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    served = []
    monkeypatch.setattr(state_pack, "_serve", lambda _engine: served.append(True))

    assert state_pack.main() == 0
    assert served == [True]
    assert not (pack / "said").exists()

    (pack / "now.json").write_bytes(state("other"))
    assert state_pack.main() != 0
    assert (pack / "said").read_text(encoding="utf-8") == state_pack.CHANGED
    assert state_pack.CHANGED in capsys.readouterr().err

    for text in ("#!/bin/sh\necho 'error: no passphrase' >&2\nexit 1\n", "#!/bin/sh\necho '{}'\n"):
        executable(pack / "bin" / "pulumi", text)
        assert state_pack.main() != 0
        assert "the state cannot be read inside the update" in (pack / "said").read_text(encoding="utf-8")
    assert served == [True]


def test_the_pack_ends_if_its_engine_was_killed_while_it_read_the_state(
    pack: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # It removes the file of the pack, so the engine is gone when the state was read.
    executable(
        pack / "bin" / "pulumi", f"#!/bin/sh\nrm {pack / 'expected.json'}; exec cat {pack / 'now.json'}\n"
    )
    monkeypatch.setattr(os, "getppid", lambda: 77 if (pack / "expected.json").exists() else 1)
    signals = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    assert state_pack.main() == 0

    for number, handler in signals.items():
        signal.signal(number, handler)
    assert capsys.readouterr().out.strip().isdigit()


def test_the_settings_of_a_copied_program_are_checked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They may have been changed after the stack was opened."""
    (tmp_path / "Pulumi.yaml").write_text("name: shop\nruntime: yaml\n", encoding="utf-8")
    (tmp_path / "Pulumi.prod.yaml").write_text("environment: [evil]\n", encoding="utf-8")
    pulumi = Engine(tmp_path, "yaml", "organization/shop/prod", "file:///state", {})
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RefusedError, match="can change after the approval"):
        flow._copied(settings.strict(tmp_path), pulumi, tmp_path.parent / f"{tmp_path.name}-copy")


def test_all_stacks_are_read_from_the_backend_of_the_stack(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Budgets are over all of them, and a project in the folder of this process may name another backend."""
    monkeypatch.setenv("PULUMI_BACKEND_URL", "")
    (tmp_path / "Pulumi.yaml").write_text("name: shop\nruntime: yaml\n", encoding="utf-8")
    pulumi = Engine(tmp_path, "yaml", "organization/shop/prod", "s3://ours", {})
    monkeypatch.setattr(engine, "opened", lambda *_: pulumi)
    monkeypatch.chdir(tmp_path)
    executable(tmp_path / "bin" / "pulumi", '#!/bin/sh\nprintf \'[{"name": "%s"}]\' "$PULUMI_BACKEND_URL"\n')
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=os.pathsep)

    flow._opened(settings.strict(tmp_path), tmp_path, None)

    assert backend.tagged("team", "web") == {"s3://ours"}


@pytest.mark.parametrize(
    "earlier", ["postgres://h/state", "postgres://reader:hunter2@h/state?sslmode=disable"]
)
def test_a_record_has_no_login_of_the_backend_and_is_applied_with_another_one(
    tmp_path: Path, earlier: str
) -> None:
    (tmp_path / "gate.yaml").write_text("version: 1\n", encoding="utf-8")

    def differences(backend: str) -> str:
        pulumi = Engine(tmp_path, "yaml", "organization/shop/prod", backend, {})
        named = msgspec.structs.replace(content(), backend=earlier)
        planned = record.Record(tmp_path, named, "", PLAN, STATE, EVENTS)
        gate = dataclasses.replace(settings.strict(tmp_path), folder=tmp_path)
        with pytest.raises(RefusedError) as refused:
            flow._compare_files(gate, pulumi, planned, NOW, "")
        return str(refused.value)

    assert flow._backend(Engine(tmp_path, "", "", earlier, {})) == "postgres://h/state"
    assert "backend" not in differences("postgres://writer:hunter3@h/state?connect_timeout=5")
    other = differences("postgres://writer:hunter3@other/state")
    assert "the record is of the backend postgres://h/state, and this is postgres://other/state" in other
    assert "hunter" not in other


def test_a_backend_that_cannot_be_read_is_not_compared(tmp_path: Path) -> None:
    """Two of them would look the same."""
    with pytest.raises(InputError, match="encode its login") as refused:
        flow._backend(Engine(tmp_path, "", "", "postgres://ann:hunter2/x@h/state", {}))
    assert "hunter2" not in str(refused.value)
