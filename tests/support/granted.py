"""
A stack of which every change has a grant of its own preview, as `gate plan` and `gate apply` make it.

The stack never has a key: its previews and refreshes have a grant that reads. So it shows that the table of permits is
complete: the broker refuses, by name, each request of a story that has no permit. A run ends with the lines of the
table that none of its stories needed.
"""

from __future__ import annotations

import ast
import contextlib
import inspect
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final
from unittest import mock

import msgspec
import pytest
from typing_extensions import Self

from stacks_pulumi.api import StacksClient
from stacks_pulumi.broker.change import SECRETS
from stacks_pulumi.config import AccountSettings
from stacks_pulumi.emulator import Emulator
from stacks_pulumi.emulator.app import OPERATIONS
from stacks_pulumi.emulator.faults import Faults
from stacks_pulumi.emulator.server import RequestLog
from stacks_pulumi.gate import permits, preview
from tests.broker.conftest import Bench
from tests.support.stack import Stack
from tests.support.terminal import Drawn

MARK: Final = "beyond_a_grant"
"""The marker of a story with the reason why a grant does not cover it."""
NEEDED: Final = "permits that it needs"
"""The property of a story's last report."""
_KEY: Final = "stacks:apiKey"
_PREVIEWS: Final = {"up": ("preview",), "destroy": ("destroy", "--preview-only")}
_OF_UP: Final = frozenset({"--yes", "--skip-preview", "--continue-on-error"})
"""Options that a preview does not have."""
_CEILING: Final = {"increase": "1000000.00"}


class _Table(permits._Table):
    """A table that knows which of its lines asked for each permit, and how often."""

    last: _Table

    def __post_init__(self) -> None:
        super().__post_init__()
        self.asked: dict[int, Counter[int]] = defaultdict(Counter)
        type(self).last = self

    def add(self, *arguments: Any, **more: Any) -> None:
        frame = sys._getframe(1)
        if frame.f_code.co_name == "status":
            frame = frame.f_back or frame
        before = [*self.permits]
        super().add(*arguments, **more)
        n = next(n for n, one in enumerate(self.permits, 1) if n > len(before) or one is not before[n - 1])
        times = (before[n - 1].times or 0) if n <= len(before) else 0
        self.asked[n][frame.f_lineno] += (self.permits[n - 1].times or 1_000) - times


def lines() -> frozenset[int]:
    """Return the lines of the table that ask for a permit."""
    source, first = inspect.getsourcelines(permits)
    assert first == 0
    calls = (node for node in ast.walk(ast.parse("".join(source))) if isinstance(node, ast.Call))
    return frozenset(
        call.lineno
        for call in calls
        if isinstance(call.func, ast.Attribute)
        and call.func.attr in {"add", "status"}
        and isinstance(call.func.value, ast.Name)
        and call.func.value.id == "table"
    )


class Brokers:
    """
    The brokers of a test: one for each key.

    Args:
        folder: The folder of their folders.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._benches: dict[str, Bench] = {}
        self._asked: dict[str, tuple[Bench, dict[int, Counter[int]]]] = {}

    def of(self, api: Emulator, key: str) -> Bench:
        """Return the broker of a key, which listens."""
        if key not in self._benches:
            folder = self._folder / f"broker{len(self._benches)}"
            self._benches[key] = Bench(folder, api, {}, key=key)
        return self._benches[key]

    def granted(self, bench: Bench, grant: str, asked: dict[int, Counter[int]]) -> None:
        """Record which lines of the table a grant is from."""
        self._asked[grant] = bench, asked

    def needed(self) -> frozenset[int]:
        """Return the lines of the table without which a request of this test would have been one too many."""
        found = set()
        for grant, (bench, asked) in self._asked.items():
            used = Counter(use.permit for use in bench.ledger.uses("state <> 'void' and grant_id = ?", grant))
            for n, times in asked.items():
                found |= {line for line in times if used[n] > times.total() - times[line]}
        return frozenset(found)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Stop them; none may have refused a request because no permit says it."""
        refused = [
            f"{row['method']} {row['path']} {row['body']}"
            for bench in self._benches.values()
            for row in bench.journal("grant-refused")
            # Whether a container is gone or hidden, its logs would say, which no grant reads.
            if not row["path"].endswith("/logs")
        ]
        for bench in self._benches.values():
            bench.stop()
        assert not refused, "no permit says:\n" + "\n".join(refused)


class GrantedStack(Stack):
    """
    A stack that has a grant which reads, and for each change a grant of what its preview says.

    Args:
        brokers: The brokers of the test.
        api: The account.
        key: The key.
        folder: As for each stack.
        engine: As for each stack.
        host: The host of programs that name none.
        options: As for each stack.
    """

    def __init__(
        self,
        brokers: Brokers,
        api: Emulator,
        key: str,
        folder: Path,
        engine: Path,
        *,
        host: str = "dynamic",
        **options: Any,
    ) -> None:
        self._api, self._brokers, self._host = api, brokers, host
        super().__init__(folder, engine, {}, **options)
        if host == "native":
            self.native()
        self.set(_KEY, key)

    def program(self, source: str, *, host: str | None = None) -> None:
        super().program(source, host=host or self._host)

    def set(self, key: str, value: str) -> None:
        if key == _KEY:
            # The configuration takes precedence over a grant.
            self.bench = self._brokers.of(self._api, value)
            self._reader = self.bench.reader(secrets=[*SECRETS.values()]).token
            self.env |= {"STACKS_API_KEY": self._reader, "STACKS_BASE_URL": self.bench.url}
        else:
            super().set(key, value)

    def start(self, verb: str, *arguments: str) -> subprocess.Popen[str]:
        with self._granted(verb, *arguments):
            return super().start(verb, *arguments)

    def draw(self, columns: int, *words: str) -> Drawn:
        with self._granted(*words):
            return super().draw(columns, *words)

    def _command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        with self._granted(*arguments):
            return super()._command(*arguments)

    @contextlib.contextmanager
    def _granted(self, verb: str, *arguments: str) -> Iterator[None]:
        """In this context the stack has the grant of a change, if the command makes one."""
        is_change = verb in _PREVIEWS and self.env.get("STACKS_API_KEY") == self._reader
        with self.granted(self.planned(verb, *arguments) if is_change else None):
            yield

    @contextlib.contextmanager
    def granted(self, needed: permits.Needed | None) -> Iterator[str]:
        """In this context the stack has the grant of what was planned last; it gives the token."""
        before = self.env.get("STACKS_API_KEY", "")
        if needed is not None:
            self.env["STACKS_API_KEY"] = self._hand_in(needed)
        try:
            yield self.env.get("STACKS_API_KEY", "")
        finally:
            self.env["STACKS_API_KEY"] = before

    def planned(self, verb: str = "up", *arguments: str) -> permits.Needed | None:
        """Return what the preview of a command needs; `None` if it fails, because then the command changes nothing."""
        with _unseen(self._api), mock.patch.dict(self.env):
            # A stream of events is no document.
            self.env.pop("PULUMI_ENABLE_STREAMING_JSON_PREVIEW", None)
            said = super()._command(*_PREVIEWS[verb], *preview.OPTIONS[1:], *_for_preview(arguments))
            if said.returncode != 0:
                return None
            account = AccountSettings(api_key=self.env["STACKS_API_KEY"], base_url=self.bench.url)
            with StacksClient.of(account) as client:
                rows = client.containers.list()
        with mock.patch.object(permits, "_Table", _Table):
            return permits.needed(preview.read(said.stdout.encode(), None).changes, rows)

    def _hand_in(self, needed: permits.Needed) -> str:
        change = {
            **self.bench.change(),
            **({"ceiling": _CEILING} if any(one.is_loose for one in needed.permits) else {}),
            **msgspec.to_builtins(needed._asdict()),
        }
        with _unseen(self._api):
            answer = self.bench.hand_in(change, "ann", "bob")
        assert answer.status_code == 201, f"{answer.text}\n{change}"
        said = answer.json()
        self._brokers.granted(self.bench, said["grant"], _Table.last.asked)
        return str(said["token"])


class Coverage:
    """A plugin of pytest, in the process that gets all reports: it says which permits no story needed."""

    def __init__(self) -> None:
        self._needed: set[int] = set()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Add the permits that a story needed."""
        if report.when == "teardown":
            for name, value in report.user_properties:
                if name == NEEDED:
                    self._needed.update(value)  # type: ignore[arg-type]  # pytest passes on what a fixture stored

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Name the lines of the table that no story needed."""
        source = inspect.getsource(permits).splitlines()
        for line in sorted(lines() - self._needed):
            terminalreporter.line(f"no story needed gate/permits.py:{line}: {source[line - 1].strip()}")


@contextlib.contextmanager
def _unseen(api: Emulator) -> Iterator[None]:
    """In this context requests meet no fault of the story, and are not in its log."""
    of = api.api
    before = of.faults, of.log
    of.faults, of.log = Faults(frozenset(OPERATIONS)), RequestLog()
    try:
        yield
    finally:
        of.faults, of.log = before


def _for_preview(arguments: tuple[str, ...]) -> Iterator[str]:
    """Yield the arguments of an `up` that its preview has too."""
    words = iter(arguments)
    for word in words:
        if word in {"--event-log", "--plan"}:
            next(words)
        elif word not in _OF_UP:
            yield word
    yield "--non-interactive"
