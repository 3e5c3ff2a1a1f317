"""
Commands of the environment that fork a process instead of starting a Python.

A Python that imports Pulumi's SDK and gRPC takes 0.3 s of processor time, and most tests start several. A fork of a
Python with these imports takes a tenth. `tests/host/test_forked.py` proves that a fork behaves like a started process.

Tests that interrupt or kill processes start real processes: `pytest.mark.real_processes`. `pytest --real-processes`
starts real processes for all tests. So does every system except Linux: on macOS, a process that uses gRPC cannot be a
fork.
"""

from __future__ import annotations

import atexit
import functools
import os
import platform
import shlex
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from pathlib import Path

from tests.support.forked.direct import Forked
from tests.support.hurried import hurry

REAL = Path(sys.prefix) / "bin"
HERE = Path(__file__).parent

_PYTHON = """\
#!/bin/sh
# Another module path can have another SDK, so it gets a new Python.
if [ -z "$PYTHONPATH" ] || [ "$PYTHONPATH" = {hurried} ]; then
    case "$* " in
    "--version ")
        echo "Python {version}"
        exit ;;
    "-m pip list -v --format json ")
        # The engine looks for plugins with it in every operation.
        [ -f {list} ] || {{ {python} "$@" >{list}.$$ && mv {list}.$$ {list}; }}
        exec cat {list} ;;
    "-m stacks_pulumi "* | "-c "*"; from stacks_pulumi.cli import main; "* | \\
        "-u -m pulumi.dynamic "* | "-u -m pulumi.policy "* | "-u -m stacks_pulumi.hosts.plugin "* | \\
        /*"/pulumi-language-python-exec "* | "-u "/*"/pulumi-language-python-exec "* | \\
        /*"/pulumi-resource-stacks "* | /*"/stacks-pulumi "*)
        exec {python} -I -S {client} {socket} "$@" ;;
    esac
fi
exec {python} "$@"
"""
_SCRIPT = """\
#!/bin/sh
exec {folder}/python3 {script} "$@"
"""
_SCRIPTS = ("pulumi-resource-stacks", "stacks-pulumi")


_SOCKET = "socket"
_starting = threading.Lock()
_servers: list[int] = []
"""The process of the server after its start."""


class Mode:
    """Whether the current test needs real processes."""

    real = False


def folder() -> Path:
    """Return the folder of `python3` and of this package's commands, for the current test."""
    if Mode.real or sys.platform != "linux":
        return REAL
    # Two threads of a test may start a host at the same time.
    with _starting:
        return _serve()


def start(arguments: list[str], environment: Mapping[str, str]) -> Forked | subprocess.Popen[str]:
    """
    Start a host for the current test; its streams are pipes.

    Args:
        arguments: The arguments of Python, for a process that may be forked.
        environment: All environment variables.
    """
    where = folder()
    # With a different module path, it may have a different SDK.
    if where != REAL and environment.get("PYTHONPATH", hurry.FOLDER) == hurry.FOLDER:
        return Forked(where / _SOCKET, arguments, environment)
    return subprocess.Popen(
        [where / "python3", *arguments],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def used() -> float:
    """Return the processor seconds of the ended forks, for which the server waits instead of this process."""
    ticks = 0
    for server in _servers:
        stat = Path(f"/proc/{server}/stat").read_text(encoding="utf-8")
        ticks += sum(map(int, stat.rpartition(")")[2].split()[13:15]))
    return ticks / os.sysconf("SC_CLK_TCK")


@functools.cache
def _serve() -> Path:
    """Start the server, and return the folder of its commands."""
    made = Path(tempfile.mkdtemp(prefix="forked-"))
    address = made / _SOCKET
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(address))
        listener.listen(100)
        server = subprocess.Popen(
            [sys.executable, HERE / "server.py", str(listener.fileno()), made],
            env={
                **{
                    name: value
                    for name, value in os.environ.items()
                    if not name.startswith(("COVERAGE", "PYTHON"))
                },
                # Python reads this variable only at its start. Hosts and stacks set it.
                "PYTHONFAULTHANDLER": "1",
            },
            pass_fds=[listener.fileno()],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
        )
    _servers.append(server.pid)
    # The server would also end without this, but processor time counts only for processes that were waited for.
    atexit.register(server.communicate)
    words = {
        "client": HERE / "client.py",
        "folder": made,
        "hurried": hurry.FOLDER,
        "list": made / "pip-list.json",
        "python": REAL / "python3",
        "socket": address,
        "version": platform.python_version(),
    }
    quoted = {name: shlex.quote(str(word)) for name, word in words.items()}
    texts = {name: _SCRIPT.format(script=shlex.quote(str(REAL / name)), **quoted) for name in _SCRIPTS}
    for name, text in {"python3": _PYTHON.format(**quoted), **texts}.items():
        script = made / name
        script.write_text(text, encoding="utf-8")
        script.chmod(0o755)
    return made
