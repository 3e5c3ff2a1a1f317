"""Following a log of which the API returns only the last lines."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stacks_pulumi._clock import SystemClock
from stacks_pulumi.api.containers import ContainersApi
from stacks_pulumi.cli import main
from stacks_pulumi.commands import container
from stacks_pulumi.emulator import Emulator, contents
from stacks_pulumi.errors import ConnectionFailedError, ServerError, StacksError


@given(st.lists(st.integers(), unique=True, max_size=30), st.integers(1, 12), st.integers(0, 30))
def test_a_log_that_grows_is_shown_whole_and_once(log: list[int], window: int, at: int) -> None:
    lines = [str(number) for number in log]
    at = min(at, len(lines))
    before, now = lines[:at][-window:], lines[-window:]

    added = container.new_lines(before, now)

    if len(lines) - at >= window and before:
        # The log grew by at least the displayed number of lines, so lines may be missing.
        assert added is None
    else:
        assert added == lines[at:][-window:]


@pytest.mark.parametrize(
    ("before", "now", "added"),
    [
        (["a", "b"], ["a", "b"], []),
        (["a", "b"], ["b", "c"], ["c"]),
        (["a", "a"], ["a", "a", "a"], ["a"]),
        (["a", "b"], ["c"], None),
        (["a", "b"], [], []),
        ([], ["a"], ["a"]),
    ],
)
def test_the_longest_overlap_is_the_same_lines(
    before: list[str], now: list[str], added: list[str] | None
) -> None:
    assert container.new_lines(before, now) == added


class Interrupted:
    """A clock whose sleeps run the test's actions and end with a Ctrl-C."""

    def __init__(self, *deeds: Any) -> None:
        self.deeds = list(deeds)

    def __call__(self, seconds: float) -> None:
        if not self.deeds:
            raise KeyboardInterrupt
        self.deeds.pop(0)()


@pytest.fixture
def log(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The lines of every log, which the test writes."""
    lines = ["one", "two"]
    monkeypatch.setattr(contents, "_log_lines", lambda container: lines)
    return lines


def follow(monkeypatch: pytest.MonkeyPatch, *deeds: Any) -> int:
    monkeypatch.setattr(SystemClock, "sleep", Interrupted(*deeds))
    return main(["logs", "app", "-f", "-n", "1"])


def test_new_lines_are_printed_until_ctrl_c(
    log: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code = follow(
        monkeypatch, lambda: log.append("three"), lambda: None, lambda: log.extend(["four", "five"])
    )

    printed = capsys.readouterr()
    assert code == 130
    assert printed.out.splitlines() == ["two", "three", "four", "five"]
    assert printed.err == "\nInterrupted.\n"


def test_a_log_that_starts_again_is_reported(
    log: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def restart() -> None:
        log[:] = ["again"]

    follow(monkeypatch, restart)

    printed = capsys.readouterr()
    assert printed.out.splitlines() == ["two", "again"]
    assert "the log was restarted, or lines were missed" in printed.err


def test_an_empty_answer_repeats_no_line(
    log: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    follow(monkeypatch, log.clear, lambda: log.extend(["one", "two", "three"]))

    printed = capsys.readouterr()
    assert printed.out.splitlines() == ["two", "three"]
    assert printed.err == "\nInterrupted.\n"


@pytest.mark.usefixtures("log")
def test_of_an_answer_with_more_lines_than_were_asked_for_only_the_last_are_compared(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answers = iter(["\n".join(f"{turn}-{number}" for number in range(60_000)) for turn in range(2)])
    monkeypatch.setattr(ContainersApi, "logs", lambda *_: next(answers))
    compared: list[int] = []
    new_lines = container.new_lines

    def counted(before: list[str], now: list[str]) -> list[str] | None:
        compared.append(len(before) + len(now))
        return new_lines(before, now)

    monkeypatch.setattr(container, "new_lines", counted)

    follow(monkeypatch, lambda: None)

    assert compared == [1000]


@pytest.mark.usefixtures("log")
def test_a_log_is_followed_through_an_outage(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    answers: Iterator[str | StacksError] = iter(
        ["one\ntwo", ConnectionFailedError("no connection"), ServerError("503"), "two\nthree"]
    )

    def read(self: ContainersApi, container_id: str, lines: int) -> str:
        answer = next(answers)
        if isinstance(answer, StacksError):
            raise answer
        return answer

    monkeypatch.setattr(ContainersApi, "logs", read)

    code = follow(monkeypatch, lambda: None, lambda: None, lambda: None)

    printed = capsys.readouterr()
    assert code == 130
    assert printed.out.splitlines() == ["two", "three"]
    assert printed.err == "stacks-pulumi logs: no connection; still trying\n\nInterrupted.\n"


def test_a_container_that_is_deleted_ends_it_with_one_line(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code = follow(monkeypatch, lambda: emulator.drift.delete("app"))

    printed = capsys.readouterr()
    assert code == 1
    assert "not found (404" in printed.err
    assert printed.err.count("\n") == 1


LINE = "\x1b[31mred\x1b[0m \x1b]0;title\x07 \x1b[2J a\tb \x9b ##vso[x] \u202e"
SAFE = "\\x1b]0;title\\x07 \\x1b[2J a  b \\x9b #\\x23vso[x] \\u202e"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("out", "shown"),
    [
        (Terminal(), f"\x1b[31mred\x1b[0m {SAFE}\x1b[0m\n"),
        (io.StringIO(), f"red {SAFE}\n"),
    ],
    ids=["terminal", "pipe"],
)
def test_nothing_in_a_line_is_carried_out(
    out: io.StringIO, shown: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdout", out)

    container._write([LINE])

    assert out.getvalue() == shown


@pytest.mark.parametrize("line", ["::set-output name=a::b", "  ::add-mask::x", "::error file=a.py::x"])
def test_a_line_is_no_command_to_a_ci_system(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", out := io.StringIO())

    container._write([line])

    assert not out.getvalue().lstrip().startswith("::")


def test_raw_lines_are_printed_unchanged(
    log: list[str], emulator: Emulator, capsys: pytest.CaptureFixture[str]
) -> None:
    log[:] = [LINE, "::error::x"]

    assert main(["logs", "app", "--raw"]) == 0

    assert capsys.readouterr().out == f"{LINE}\n::error::x\n"
