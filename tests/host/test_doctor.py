"""What the doctor reads from the real provider process, and what the process stores for it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from stacks_pulumi import _cap_record
from stacks_pulumi.account.doctor import _host_probe
from stacks_pulumi.emulator import Emulator
from tests.support.host import CallFailedError, Host
from tests.support.sdk import oldest_sdk

LESS = """
import concurrent.futures.thread as pool

code = pool._worker.__code__
names = tuple("moved" if name == "executor_reference" else name for name in code.co_varnames)
pool._worker.__code__ = code.replace(co_varnames=names)
"""
"""An SDK whose thread pool has another name."""


def test_a_supported_sdk_has_all_features(monkeypatch: pytest.MonkeyPatch) -> None:
    assert _host_probe.warnings() == []

    monkeypatch.setenv("PYTHONPATH", str(oldest_sdk()))
    assert _host_probe.warnings() == []


def test_a_feature_that_the_sdk_does_not_allow_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sitecustomize.py").write_text(LESS, encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    (line,) = _host_probe.warnings()

    assert line.endswith("only 4 operations run concurrently")


def test_a_process_that_does_not_start_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sitecustomize.py").write_text("raise SystemExit(3)", encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    with pytest.raises(_host_probe.ProbeError, match="does not start"):
        _host_probe.warnings()


def test_a_refused_create_is_kept_beside_an_accepted_one(
    emulator: Emulator, make_host: Callable[..., Host], monkeypatch: pytest.MonkeyPatch
) -> None:
    emulator.set_spending_cap(5)
    host = make_host({"stacks:apiKey": emulator.key, "stacks:baseUrl": emulator.url})
    monkeypatch.setenv("PULUMI_HOME", host.home)
    key = _cap_record.fingerprint(emulator.url, emulator.key)

    host.resource("Container", "web").up(name="web", template="nodejs")
    with pytest.raises(CallFailedError, match="402 spending cap"):
        host.resource("Container", "data").up(name="data", template="postgresql")

    seen = _cap_record.recall(key, emulator.clock.now())
    assert seen is not None
    assert (seen.cap, seen.spent) == (5, 4)

    host.resource("Container", "tiny").up(name="tiny", template="nginx-micro", plan="micro")
    assert _cap_record.recall(key, emulator.clock.now()) == seen
