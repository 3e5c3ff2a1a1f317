"""`make demo` with its output in a pipe."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from tests.support.forked import commands
from tests.support.stack import THRIFTY
from tests.support.terminal import UNDER_NOHUP

# Tests of pages and examples: a change of the package is tested without them.
pytestmark = pytest.mark.extra

DEMO = Path(__file__).resolve().parents[2] / "tools/demo"


class Demo:
    """Run `make demo` without make, with a separate folder for its files."""

    def __init__(self, engine: Path, scratch: Path) -> None:
        self._scratch = scratch
        folders = [commands.folder(), Path(sys.executable).parent, engine]
        path = os.pathsep.join([*map(str, folders), os.environ["PATH"]])
        self._env = {
            **os.environ,
            **THRIFTY,
            "PATH": path,
            "VIRTUAL_ENV": sys.prefix,
            "TMPDIR": str(scratch),
            "KEEP": "",
        }

    def __call__(self) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, str(DEMO)],
            env=self._env,
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )

    def left(self) -> list[str]:
        """Return the files and processes of the demo that still exist."""
        return [path.name for path in self._scratch.glob("stacks-demo-*")]


@pytest.fixture
def demo(engine: Path, tmp_path: Path) -> Demo:
    return Demo(engine, tmp_path)


@pytest.mark.slow
def test_the_demo_shows_its_steps_and_leaves_nothing_behind(demo: Demo) -> None:
    with demo() as tour:
        text, _ = tour.communicate()

    assert tour.returncode == 0, text
    for said in (
        "monthly_price_usd: 8",
        "the limit is $5.00",
        "4 unchanged",
        "- 1 deleted",
        "0 of them refused",
        # Each command has its own line, to be copied.
        "\n   pulumi stack init dev\n",
        "\n   pulumi up\n",
    ):
        assert said in text
    assert text.count("and no calls to the API") == len(("preview", "policy", "second up"))
    assert text.count("the account holds no containers") == len(("before", "after"))
    assert "sk_stacks_" not in text
    assert demo.left() == []


@pytest.mark.slow
@pytest.mark.real_processes
@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGHUP, marks=UNDER_NOHUP)])
def test_an_interrupted_demo_leaves_nothing_behind(demo: Demo, number: int) -> None:
    with demo() as tour:
        assert tour.stdout is not None
        page = next(line for line in tour.stdout if "a page to watch" in line).split()[1]
        next(line for line in tour.stdout if "pending" in line)
        tour.send_signal(number)
        if number == signal.SIGHUP:
            # For a closed terminal, the signal arrives twice: from the kernel, and from the shell when it ends.
            time.sleep(0.2)
            tour.send_signal(number)
        text, _ = tour.communicate()

    assert tour.returncode == 130, text
    assert "Interrupted" in text
    assert demo.left() == []
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(page, timeout=5)
