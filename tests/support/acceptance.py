"""Acceptance runs on emulated platforms: whole ones, ones that are killed, and what they have to find out."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from stacks_pulumi.emulator import Emulator
from tests.support.platforms import Reading, play
from tools.acceptance.api import Answer, Api
from tools.acceptance.budget import Budget
from tools.acceptance.perform import perform
from tools.acceptance.record import Record
from tools.acceptance.run import Run
from tools.acceptance.sweep import Pace, Sweep

PREFIX: Final = "acc-0123abcd"
EVERYTHING: Final = 100
OWN: Final = ("orders", "shop", "mail")
"""Containers of the account's owner, which make pages."""

_PACE: Final[dict[str, Any]] = {
    "boot_seconds": 8,
    "action_seconds": 2,
    "delete_seconds": 4,
    "backup_seconds": 4,
}
_INTERVAL: Final = 2.0


@contextmanager
def emulated(**settings: Any) -> Iterator[Emulator]:
    """An emulator whose clock only advances while the run waits, so that the run sees every status."""
    pace: dict[str, Any] = {"boot_seconds": 2, "action_seconds": 1, "delete_seconds": 2, "backup_seconds": 2}
    with Emulator(**{**pace, **settings}) as api:
        api.freeze()
        yield api


@contextmanager
def played(*readings: Reading) -> Iterator[Emulator]:
    """A platform with three containers of the account's owner."""
    with emulated(**_PACE) as api:
        api.load([{"name": name, "template": "nodejs"} for name in OWN])
        play(api, *readings)
        yield api


def run_on(
    api: Emulator, max_usd: float = EVERYTHING, *, client: Api | None = None, record: Record | None = None
) -> Run:
    """Return a run on the emulator's clock, which, as every other one, goes on between two looks at it."""
    ticks = itertools.count()
    return Run(
        client or Api(api.url, api.key, sleep=api.advance),
        PREFIX,
        Budget(Decimal(str(max_usd))),
        record or Record(PREFIX),
        sleep=api.advance,
        now=lambda: api.platform.clock.now() + next(ticks) / 10_000,
    )


def left_on(api: Emulator) -> list[str]:
    """Return the containers of the run that are on the platform."""
    return [it.name for it in api.state.containers.values() if not it.name.lower().endswith(OWN)]


class _KilledError(BaseException):
    """The process is gone."""


class _Mortal(Api):
    """An API whose process is killed at one request: before it is sent, or before its answer is read."""

    def __init__(self, emulator: Emulator, at: int, *, sent: bool) -> None:
        super().__init__(emulator.url, emulator.key, sleep=emulator.advance)
        self._left = at
        self._sent = sent

    def _send(self, *values: Any, **named: Any) -> Answer:
        self._left -= 1
        if self._left == 0 and self._sent:
            super()._send(*values, **named)
        if self._left <= 0:
            raise _KilledError
        return super()._send(*values, **named)


def killed_and_swept(api: Emulator, file: Path, at: int, *, sent: bool) -> tuple[list[str], Sweep]:
    """Kill a run at its request of that number, sweep from its record alone, and return what the sweep says is left."""
    record = Record(PREFIX, file, api.url)
    record.create()
    run = run_on(api, client=_Mortal(api, at, sent=sent), record=record)
    with suppress(_KilledError):
        perform(run, lambda _: None)
    client = Api(api.url, api.key, sleep=api.advance)
    sweep = Sweep(client, [Record.read(file)], api.advance, api.platform.clock.now, Pace(_INTERVAL))
    return sweep.clean(), sweep
