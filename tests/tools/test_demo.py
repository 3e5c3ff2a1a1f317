"""The demo's emulator, if the demo ends before the emulator has started."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tools.demo import emulated


def test_an_emulator_without_its_demo_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[subprocess.Popen[str]] = []

    def interrupted(account: emulated.EmulatedAccount) -> dict[str, str]:
        started.append(account.process)
        raise KeyboardInterrupt

    monkeypatch.setattr(emulated.EmulatedAccount, "_greeting", interrupted)
    with pytest.raises(KeyboardInterrupt):
        emulated.EmulatedAccount(tmp_path)

    (process,) = started
    code = process.poll()
    if process.stdout is not None:
        process.stdout.close()
    process.kill()
    process.wait()
    assert code is not None
