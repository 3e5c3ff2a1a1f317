"""A platform without HTTP and with a stopped clock, and an emulator that listens on the loopback interface."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import pytest
import requests

from stacks_pulumi.emulator import DrivenClock, Emulator, containers, keys
from stacks_pulumi.emulator.platform import Platform
from stacks_pulumi.emulator.state import Pace

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stacks_pulumi.emulator.state import ApiKey, Container

# The schemathesis releases with this API need Python 3.11 (see the marker in pyproject.toml).
collect_ignore = ["test_contract.py"] if sys.version_info < (3, 11) else []

MORNING = 1_779_000_000.0
"""2026-05-17T06:40:00Z: no midnight and no end of a month is near."""


class OneAccount(Platform):
    """A platform with one account and one key. Its clock moves only if a test advances it."""

    def __init__(self, **pace: Any) -> None:
        settings = {
            "boot_seconds": 20,
            "action_seconds": 5,
            "delete_seconds": 3,
            "backup_seconds": 10,
            **pace,
        }
        super().__init__(clock=DrivenClock(MORNING, running=False), pace=Pace(**settings))
        self.account = keys.open_account(self.state).id
        self.secret = keys.issue(self.state, self.account)
        self.own_key: ApiKey = self.state.keys[0]

    def create(self, name: str = "app", template: str = "nodejs", **fields: Any) -> Container:
        """Create a container, which is still pending."""
        return containers.create(self, self.own_key, {"name": name, "template": template, **fields})

    def running(self, name: str = "app", template: str = "nodejs", **fields: Any) -> Container:
        """Create a container and wait until it has booted."""
        made = self.create(name, template, **fields)
        self.pass_time(self.pace.boot_seconds)
        return made

    def pass_time(self, seconds: float) -> None:
        """Advance the clock and perform everything that is due."""
        self.clock.advance(seconds)
        self.settle()


class Caller:
    """A caller of the API, with a key."""

    def __init__(self, emulator: Emulator, key: str | None = None) -> None:
        self.emulator = emulator
        self.session = requests.Session()
        self.session.headers["Authorization"] = f"Bearer {key or emulator.key}"

    def __call__(self, method: str, path: str, body: Any = None, **options: Any) -> requests.Response:
        """Send a request for a path below the base URL."""
        options.setdefault("timeout", 10)
        return self.session.request(method, f"{self.emulator.url}{path}", json=body, **options)

    def create(self, name: str, template: str = "nodejs", **fields: Any) -> str:
        """Create a container, wait until it has booted, and return its id."""
        answer = self("POST", "/containers", {"name": name, "template": template, **fields})
        assert answer.status_code == 202, answer.text
        self.emulator.advance(self.emulator.platform.pace.boot_seconds)
        return str(answer.json()["data"]["id"])


class Control:
    """Calls the control endpoints."""

    def __init__(self, emulator: Emulator) -> None:
        self._root = emulator.page_url

    def __call__(self, method: str, name: str, body: Any = None, status: int = 200, **headers: str) -> Any:
        answer = requests.request(
            method, f"{self._root}_emulator/{name}", json=body, headers=headers, timeout=60
        )
        assert answer.status_code == status, answer.text
        return answer.json()


@pytest.fixture
def platform() -> OneAccount:
    return OneAccount()


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    """An emulator in which nothing happens until the test advances the clock."""
    clock = DrivenClock(MORNING, running=False)
    with Emulator(
        clock=clock, boot_seconds=20, action_seconds=5, delete_seconds=3, backup_seconds=10
    ) as running:
        yield running


@pytest.fixture
def call(emulator: Emulator) -> Iterator[Caller]:
    caller = Caller(emulator)
    yield caller
    caller.session.close()


@pytest.fixture
def control(emulator: Emulator) -> Control:
    return Control(emulator)
