"""A forked process behaves like a started one, so tests may fork hosts and programs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest

from stacks_pulumi.emulator import Emulator
from tests.support.clock import SPEED, fast_wall
from tests.support.forked import commands
from tests.support.host import HOSTS
from tests.support.hurried import hurry
from tests.support.waiting import until

# A change of the package does not affect this test.
pytestmark = pytest.mark.extra

PROBE: Final = """
import atexit, gc, json, os, random, signal, subprocess, sys, threading

WHERE = "import os, sys; print(os.path.realpath(sys.executable))"

def of(stream):
    return [
        stream.name, stream.encoding, stream.errors, stream.line_buffering, stream.write_through,
        type(stream.buffer).__name__,
    ]

print(json.dumps({
    "arguments": sys.argv,
    "collector": gc.isenabled(),
    "environment": dict(os.environ),
    "executable": subprocess.check_output([sys.executable, "-c", WHERE], text=True),
    "files": os.listdir("/proc/self/fd"),
    "flags": [sys.flags.isolated, sys.flags.no_site, sys.flags.optimize, sys.flags.dev_mode],
    "folder": os.getcwd(),
    "input": sys.stdin.read(),
    "module": [__name__, __file__, sorted(name for name in globals() if not name.startswith("__"))],
    "parent": os.getppid(),
    "path": sys.path,
    "prefix": sys.prefix,
    "signals": {number: str(signal.getsignal(number)) for number in sorted(signal.valid_signals())},
    "streams": [of(stream) for stream in (sys.stdout, sys.stderr)],
    "threads": threading.active_count(),
    "warnings": sys.warnoptions,
}))
print("an error", file=sys.stderr)
atexit.register(print, "at the end")
threading.Timer(0.1, print, ["in a thread"]).start()
"""
ENDS: Final = {
    "end": "",
    "code": "sys.exit(3)",
    "reason": "sys.exit('a reason')",
    "error": "def fail():\n    raise ValueError('why')\nfail()",
    "syntax": "compile('(', 'a file', 'exec')",
    "no such module": "import no_such_module",
    "interrupt": "raise KeyboardInterrupt",
    "kill": "sys.stdout.flush(); os.kill(os.getpid(), signal.SIGKILL)",
    "terminate": "sys.stdout.flush(); os.kill(os.getpid(), signal.SIGTERM)",
}


@pytest.fixture(params=[True, False], ids=["started", "forked"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The way in which this test gets its processes."""
    monkeypatch.setattr(commands.Mode, "real", request.param)
    return "started" if request.param else "forked"


@pytest.fixture
def in_both_ways(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], Any]], list[Any]]:
    """Return the results of a function with started and with forked processes."""

    def both(get: Callable[[], Any]) -> list[Any]:
        found = []
        for real in (True, False):
            monkeypatch.setattr(commands.Mode, "real", real)
            found.append(get())
        return found

    return both


HURRIED: Final = """
import json, sys
from stacks_pulumi._clock import SYSTEM_CLOCK
from stacks_pulumi.gate import packs
from stacks_pulumi.resources import _restarts

SYSTEM_CLOCK.sleep(HOURS)
print(json.dumps([_restarts.GRACE, packs.PYTHON, SYSTEM_CLOCK.wall() - WALL > HOURS, sys.path]))
"""


def test_a_fork_has_the_fast_clock_of_a_started_process(
    tmp_path: Path, in_both_ways: Callable[..., list[Any]]
) -> None:
    wall, hours = 1_900_000_000.0, 36_000.0
    script = tmp_path / "pulumi-language-python-exec"
    script.write_text(HURRIED.replace("WALL", str(wall)).replace("HOURS", str(hours)), encoding="utf-8")
    constants: hurry.Constants = {
        "stacks_pulumi.gate.packs": {"PYTHON": "/a/python"},
        "stacks_pulumi.resources._restarts": {"GRACE": 1.5},
    }

    def run() -> Any:
        # The hours pass in less than a second.
        environment = hurry.environment(1e6, wall=wall, constants=constants)
        command = [commands.folder() / "python3", script]
        return json.loads(subprocess.check_output(command, env={**os.environ, **environment}))

    started, forked = in_both_ways(run)

    assert started == forked
    assert forked[:3] == [1.5, "/a/python", True]


@pytest.mark.parametrize(("end", "options"), [*((end, []) for end in ENDS), ("kill", ["-u"])])
def test_a_fork_sees_and_shows_what_a_started_process_does(
    tmp_path: Path,
    in_both_ways: Callable[..., list[Any]],
    end: str,
    options: list[str],
) -> None:
    environment = {
        "PATH": os.environ["PATH"],
        # A shell adds this variable.
        "PWD": str(tmp_path),
        "PYTHONFAULTHANDLER": "1",
        "WORDS": "with 'quotes' and\nlines",
    }
    script = tmp_path / "pulumi-language-python-exec"
    script.write_text(f"{PROBE}{ENDS[end]}\n", encoding="utf-8")

    def run() -> dict[str, Any]:
        done = subprocess.run(
            [commands.folder() / "python3", *options, script, "one", "two words", "--", ""],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            input="the input",
            check=False,
        )
        first, *others = done.stdout.splitlines()
        return {**json.loads(first), "code": done.returncode, "others": others, "errors": done.stderr}

    started, forked = in_both_ways(run)

    assert forked == started
    assert started["environment"].items() >= environment.items()


STUBBORN: Final = """
import signal, sys
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("an error", file=sys.stderr)
print("ready")
signal.pause()
"""


def test_a_process_that_a_test_starts_itself_is_seen_and_killed(tmp_path: Path, way: str) -> None:
    script = tmp_path / "stubborn.py"
    script.write_text(STUBBORN, encoding="utf-8")
    process = commands.start(["-u", str(script)], dict(os.environ))
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    assert process.poll() is None

    process.terminate()

    with pytest.raises(subprocess.TimeoutExpired):
        process.communicate(timeout=0.1)
    process.kill()
    assert process.communicate() == ("", "an error\n")
    assert (process.returncode, process.poll(), process.wait()) == (-signal.SIGKILL,) * 3
    process.terminate()


@pytest.mark.parametrize("kind", HOSTS)
def test_a_forked_host_answers_as_a_started_one(
    emulator: Emulator, in_both_ways: Callable[..., list[Any]], kind: str
) -> None:
    def run() -> Any:
        host = HOSTS[kind](
            {"stacks:apiKey": emulator.key, "stacks:baseUrl": emulator.url}, None, SPEED, fast_wall()
        )
        web = host.resource("Container", "web")
        failures = web.check(name="-", template="nodejs")
        web.up(name="web", template="nodejs")
        outs = web.outs
        web.delete()
        assert host.process.stdin is not None
        host.process.stdin.close()
        if kind == "native":
            # The plugin ends with its engine.
            assert host.process.wait(timeout=60) == 0
        errors = host.stop()
        # The price is shown first. A wait may follow, depending on the speed of the machine.
        return failures, sorted(outs), web.lines()[:2], host.process.returncode, errors

    started, forked = in_both_ways(run)

    assert forked == started


@pytest.mark.skipif(sys.platform != "linux", reason="processes are forked on Linux only")
def test_forks_end_with_the_process_of_the_tests(tmp_path: Path) -> None:
    script = tmp_path / "pulumi-language-python-exec"
    script.write_text("import os, time\nprint(os.getpid(), flush=True)\ntime.sleep(100)\n", encoding="utf-8")
    worker = (
        "import subprocess\n"
        "from tests.support.forked import commands\n"
        "print(commands.folder(), flush=True)\n"
        f"subprocess.run([commands.folder() / 'python3', {str(script)!r}])\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", worker], stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]
    ) as process:
        assert process.stdout is not None
        folder, pid = process.stdout.readline().strip(), int(process.stdout.readline())
        assert Path(folder, "socket").exists()

        process.kill()

    until(lambda: not Path(f"/proc/{pid}").exists())
    until(lambda: not Path(folder).exists())
