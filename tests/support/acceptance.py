"""Acceptance runs on emulated platforms: complete runs and killed runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from stacks_pulumi._clock import SYSTEM_CLOCK
from stacks_pulumi.api._call import Answer, Call
from stacks_pulumi.api._transport import Transport
from stacks_pulumi.emulator import Emulator
from tests.support.platforms import Reading, play
from tools.acceptance.record import Record
from tools.acceptance.sweep import Sweep
from tools.acceptance.walk import Walk
from tools.acceptance.wire import Wire

PREFIX: Final = "acc-0123abcd"
EVERYTHING: Final = 100
OWN: Final = ("orders", "shop", "mail")
"""Containers of the account's owner."""


@contextmanager
def emulated(*readings: Reading, **settings: Any) -> Iterator[Emulator]:
    """Run a platform with three containers of the account's owner. Its clock advances only while a run waits."""
    pace: dict[str, Any] = {"boot_seconds": 8, "action_seconds": 2, "delete_seconds": 4, "backup_seconds": 4}
    with Emulator(**{**pace, **settings}) as api:
        api.freeze()
        api.load([{"name": name, "template": "nodejs"} for name in OWN])
        play(api, *readings)
        yield api


def wire_to(api: Emulator, transport: Any = None) -> Wire:
    """Return a `Wire` to an emulator, on the emulator's clock."""
    return Wire(api.url, api.key, api.advance, api.clock.now, transport)


def walk_on(api: Emulator, max_usd: float = EVERYTHING, wire: Wire | None = None, **options: Any) -> Walk:
    """Return an acceptance run on the emulator's clock."""
    return Walk(wire or wire_to(api), Record(PREFIX), max_usd=Decimal(str(max_usd)), **options)


def left_on(api: Emulator) -> list[str]:
    """Return the platform's containers except for the owner's."""
    api.advance(60)
    return [it.name for it in api.state.containers.values() if not it.name.lower().endswith(OWN)]


class _KilledError(BaseException):
    """Raised if the process was killed."""


class _Mortal:
    """Sends requests until the process is killed, before a request is sent or before its answer is read."""

    def __init__(self, api: Emulator, at: int, *, sent: bool) -> None:
        self._send = Transport(api.url, api.key, SYSTEM_CLOCK)
        self._left = at
        self._sent = sent

    def __call__(self, call: Call[Any]) -> Answer:
        self._left -= 1
        if self._left == 0 and self._sent:
            self._send(call)
        if self._left <= 0:
            raise _KilledError
        return self._send(call)


def killed_and_swept(api: Emulator, file: Path, at: int, *, sent: bool) -> list[str]:
    """Kill a run at a request number, sweep only from its record, and return the reported remaining containers."""
    record = Record(PREFIX, file, api.url)
    record.create()
    walk = Walk(wire_to(api, _Mortal(api, at, sent=sent)), record, max_usd=Decimal(EVERYTHING))
    with suppress(_KilledError):
        walk.run(lambda _: None)
    return Sweep(wire_to(api), [Record.read(file)]).clean()
