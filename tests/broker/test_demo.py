"""The demo: one command, without an account and without a set-up."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from tests.support.forked import commands


def demo(home: Path) -> str:
    """Return the output of the demo for a user who has only the program."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(home), "TMPDIR": str(home)}
    words = [str(commands.folder() / "python3"), "-m", "stacks_pulumi", "broker", "demo"]
    done = subprocess.run(words, check=False, capture_output=True, text=True, cwd=home, env=environment)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_the_demo_shows_a_budget_a_signature_and_the_log_and_leaves_nothing(tmp_path: Path) -> None:
    shown = demo(tmp_path)

    assert list(tmp_path.iterdir()) == []
    assert demo(tmp_path) == shown
    assert "approves the access request REQUEST" in " ".join(shown.split())
    assert shown.count("   created: ") == 2
    log = [line.split()[0] for line in shown.partition("6. ")[2].splitlines()[2:6]]
    assert log == ["202", "403", "201", "202"]
