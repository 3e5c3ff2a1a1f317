"""
A Python that has imported what the tests import, except this project, and forks a pytest for each line of its input.

    python tests/prove/forks.py FOLDER

It runs the tests of a checkout in FOLDER, whose code may change between two lines. A start of pytest takes 1.5 s of the
processor, a fork with the package and the tests of one file 0.5 s.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import signal
import sys
import threading
import time
from typing import Any

import pytest
from hypothesis import Phase, settings

IMPORTED = (
    "_hypothesis_pytestplugin",
    "_pytest.assertion.rewrite",
    "grpc",
    "hypothesis.strategies",
    "msgspec",
    "pulumi.dynamic",
    "pulumi.runtime.proto.analyzer_pb2_grpc",
    "pulumi.runtime.proto.engine_pb2_grpc",
    "pulumi.runtime.proto.provider_pb2_grpc",
    "pulumi_policy",
    "pytest_socket",
    "pytest_timeout",
    "requests",
    "responses",
    "rich.console",
    "rich.table",
    "werkzeug",
    "werkzeug.serving",
    "yaml",
)
OPTIONS = ("-q", "--tb=no", "-pno:cacheprovider", "-pno:xdist", "--assert=plain", "--timeout=20")
GRACE = 60
"""Seconds after which a fork is ended that did not end its run."""


class Judge:
    """
    A plugin of pytest that notes which test functions fail, and runs no further example of one that did.

    Args:
        most: The run ends after so many.
        seconds: No test starts later.

    Attributes:
        failed: The names of those that failed.
        complete: Whether no test was left out.
    """

    def __init__(self, most: int, seconds: float) -> None:
        self.failed: list[str] = []
        self.complete = True
        self._most, self._deadline = most, time.monotonic() + seconds

    @pytest.hookimpl(trylast=True)
    def pytest_configure(self) -> None:
        """Draw the same random examples each time, and reduce none."""
        phases = [Phase.explicit, Phase.generate]
        settings.register_profile("judged", settings.default, derandomize=True, phases=phases, database=None)
        settings.load_profile("judged")

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> bool | None:
        """Leave an item out, or end the run before it."""
        if len(self.failed) >= self._most or time.monotonic() > self._deadline:
            item.session.shouldstop = "enough tests failed, or no time is left"
            self.complete = False
        return True if item.session.shouldstop or function_of(item.nodeid) in self.failed else None

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note the function of a test that failed."""
        name = function_of(report.nodeid)
        if report.failed and name not in self.failed:
            self.failed.append(name)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Note a file that cannot be imported."""
        if report.failed:
            self.failed.append(report.nodeid)


def function_of(nodeid: str) -> str:
    """Return the name of a test without its parameters."""
    return nodeid.partition("[")[0]


def main() -> None:
    """Answer each line with the test functions that failed, and whether all were run."""
    os.chdir(sys.argv[1])
    # Python put the folder of this file first, whose modules could hide others.
    sys.path[0] = sys.argv[1]
    for name in IMPORTED:
        importlib.import_module(name)
    assert threading.active_count() == 1, "a process with threads must not fork"
    answers = os.dup(1)
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in (1, 2):
        os.dup2(nothing, stream)
    for line in sys.stdin:
        os.write(answers, _run(json.loads(line), nothing) + b"\n")


def _judge(request: dict[str, Any]) -> dict[str, Any]:
    judge = Judge(request["most"], request["seconds"])
    code = pytest.main([*OPTIONS, *request["options"], *request["tests"]], plugins=[judge])
    if code == pytest.ExitCode.USAGE_ERROR:
        # A test that is gone ends the run before it begins, which shows nothing about a change.
        return {"failed": judge.failed, "complete": False}
    told = {pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED, pytest.ExitCode.NO_TESTS_COLLECTED}
    stopped = code == pytest.ExitCode.INTERRUPTED
    broken = [] if code in told or stopped else [f"a run that ended with exit code {int(code)}"]
    return {"failed": judge.failed or broken, "complete": judge.complete}


def _run(request: dict[str, Any], nothing: int) -> bytes:
    reading, writing = os.pipe()
    fork = os.fork()
    if fork == 0:
        try:
            os.setsid()
            os.dup2(nothing, 0)
            os.write(writing, json.dumps(_judge(request)).encode())
        finally:
            os._exit(0)
    os.close(writing)
    timer = threading.Timer(request["seconds"] + GRACE, os.kill, (fork, signal.SIGKILL))
    timer.start()
    with os.fdopen(reading, "rb") as answer:
        # The processes of a test may hold the pipe open, but they do not outlive it.
        told = answer.read()
    timer.cancel()
    timer.join()
    os.waitpid(fork, 0)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(fork, signal.SIGKILL)
    return told or json.dumps({"failed": ["a run that did not end"], "complete": False}).encode()


if __name__ == "__main__":
    main()
