"""The native plugin's command line, which the engine writes, and the end of its process."""

from __future__ import annotations

import queue
import stat
import time
from types import SimpleNamespace
from typing import Any

import pytest

import stacks_pulumi
from stacks_pulumi.hosts.plugin.servicer import _wait_for_the_end, engine_address


@pytest.mark.parametrize(
    "options",
    [
        [],
        # `pulumi up --logflow --logtostderr -v=9`, and `--tracing`.
        ["--logtostderr", "-v=9"],
        ["--tracing", "file:./trace"],
        ["--logtostderr", "-v=9", "--tracing", "http://127.0.0.1:9411/api/v1/spans"],
        ["--an-option-of-a-newer-engine"],
    ],
)
def test_the_address_is_found_behind_the_engines_options(options: list[str]) -> None:
    assert engine_address([*options, "127.0.0.1:4711"]) == "127.0.0.1:4711"


def test_an_attached_plugin_gets_its_address_later() -> None:
    assert engine_address([]) == ""


def test_it_prints_its_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        engine_address(["--version"])

    assert end.value.code == 0
    assert capsys.readouterr().out.strip() == stacks_pulumi.__version__


def test_without_the_engines_pipe_it_ends_when_the_engine_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter([False, False, True])
    plugin: Any = SimpleNamespace(engine=SimpleNamespace(is_gone=lambda: next(answers)))
    ended = queue.SimpleQueue[None]()
    looks: list[bool] = []
    monkeypatch.setattr(stat, "S_ISFIFO", lambda _mode: False)
    monkeypatch.setattr(time, "sleep", lambda _seconds: looks.append(ended.empty()))

    _wait_for_the_end(plugin, ended)

    assert looks == [True, True]
    assert ended.get_nowait() is None
