"""What the doctor reads from the real provider process, and what the process stores for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from stacks_pulumi.account.doctor import _host_probe
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
