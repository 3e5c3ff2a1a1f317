"""
A stack of which every change has a grant of its own preview, as `gate plan` and `gate apply` make it.

The stack never has a key: its previews and refreshes have a grant that reads. So it shows that the table of permits is
complete: the broker refuses, by name, each request of a story that has no permit. `tests/broker/test_table.py` shows
that each line of the table is needed.
"""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final
from unittest import mock

import msgspec
from typing_extensions import Self

from stacks_pulumi.api import StacksClient
from stacks_pulumi.broker.change import SECRETS
from stacks_pulumi.broker.ledger import Spec
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
_KEY: Final = "stacks:apiKey"
_PREVIEWS: Final = {"up": ("preview",), "destroy": ("destroy", "--preview-only")}
_OF_UP: Final = frozenset({"--yes", "--skip-preview", "--continue-on-error"})
"""Options that a preview does not have."""
_SECONDS: Final = 86_400
"""How long a grant lasts: the clock of a broker runs fast, and a slow machine compiles programs meanwhile."""
_CEILING: Final = {"increase": "1000000.00"}


class Brokers:
    """
    The brokers of a test: one for each key.

    Args:
        folder: The folder of their folders.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._benches: dict[str, Bench] = {}

    def of(self, api: Emulator, key: str) -> Bench:
        """Return the broker of a key, which listens."""
        if key not in self._benches:
            folder = self._folder / f"broker{len(self._benches)}"
            self._benches[key] = Bench(folder, api, {}, key=key)
        return self._benches[key]

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
        self._token: str | None = None
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
            spec = Spec(secrets=tuple(SECRETS.values()))
            self._reader = self.bench.ledger.issue("read", "reader", seconds=_SECONDS, spec=spec)[1]
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
        token = self.env.get("STACKS_API_KEY")
        assert verb not in _PREVIEWS or token in {self._reader, self._token}, "the story changes with a key"
        is_change = verb in _PREVIEWS and token == self._reader
        with self.granted(self.planned(verb, *arguments) if is_change else None):
            yield

    @contextlib.contextmanager
    def granted(self, needed: permits.Needed | None) -> Iterator[str]:
        """In this context the stack has the grant of what was planned last; it gives the token."""
        before = self.env.get("STACKS_API_KEY", "")
        if needed is not None:
            self.env["STACKS_API_KEY"] = self._token = self._hand_in(needed)
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
                changes = preview.read(said.stdout.encode(), None).changes
                return permits.needed(changes, client.containers.list(), (), client.vpn_clients.list)

    def _hand_in(self, needed: permits.Needed) -> str:
        change = {
            **self.bench.change(ttl=_SECONDS),
            **({"ceiling": _CEILING} if any(one.is_loose for one in needed.permits) else {}),
            **msgspec.to_builtins(needed._asdict()),
        }
        with _unseen(self._api):
            answer = self.bench.hand_in(change, "ann", "bob")
        assert answer.status_code == 201, f"{answer.text}\n{change}"
        return str(answer.json()["token"])


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
