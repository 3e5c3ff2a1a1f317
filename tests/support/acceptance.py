"""Acceptance runs on emulated platforms: whole ones, ones that are killed, and what they have to find out."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from stacks_pulumi import platform_file
from stacks_pulumi.emulator import Emulator
from tools.acceptance import reading
from tools.acceptance.api import Answer, Api
from tools.acceptance.budget import Budget
from tools.acceptance.learned import GUIDE
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
_MARGIN: Final = 1.5

_BEHIND_A_LAG: Final = frozenset(
    {
        "containers.listed_seconds",
        "containers.listed_while_pending",
        "access.settle_seconds",
        "access.own_address_seconds",
        "connections.listed_seconds",
        "connections.removal_seconds",
        "backups.listed_seconds",
        "backups.pinned_seconds",
    }
)
"""Facts that look like a list that is behind."""
_DELAYS: Final = frozenset(
    {"containers.listed_seconds", "containers.found_seconds", "containers.visible_seconds"}
)


@contextmanager
def emulated(**settings: Any) -> Iterator[Emulator]:
    """An emulator whose clock only advances while the run waits, so that the run sees every status."""
    pace: dict[str, Any] = {"boot_seconds": 2, "action_seconds": 1, "delete_seconds": 2, "backup_seconds": 2}
    with Emulator(**{**pace, **settings}) as api:
        api.freeze()
        yield api


@contextmanager
def played(facts: platform_file.PlatformFacts) -> Iterator[Emulator]:
    """A platform with three containers of the account's owner; without capacity if an answer to that is described."""
    with emulated(**_PACE, platform=facts) as api:
        api.load([{"name": name, "template": "nodejs"} for name in OWN])
        if facts.errors.unavailable is not None:
            api.state.capacity = 0
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


def learned_of(run: Run) -> dict[str, Any]:
    """Return what the file of a run says; it has to be a valid one."""
    text = run.learned.text("A run.", str)
    platform_file.parse(text, "platform.yaml")
    return {name: run.learned.get(name) for name, _, _ in run.learned.lines()}


def unnamed(facts: platform_file.PlatformFacts, learned: dict[str, Any]) -> set[str]:
    """Return what a run has not found out although it was observable."""
    wanted = _differences(facts)
    listed = {"containers.listed_seconds", "containers.listed_while_pending"}
    excused = set[str]()
    if wanted.keys() & (listed | {"containers.visible_seconds"}) and listed & learned.keys():
        # One look decides between the two, and the later of two delays hides the other one.
        excused |= listed
    if learned.get("lists.lag_seconds"):
        excused |= _BEHIND_A_LAG
    if 0 < (facts.lists.lag_seconds or 0) <= (facts.containers.status_lag_seconds or 0):
        # A list is compared with the status, which is as late.
        excused |= {"lists.lag_seconds", *_BEHIND_A_LAG}
    if facts.lists.lag_in == "every_second" and facts.lists.page_size and _BEHIND_A_LAG & learned.keys():
        # The servers take turns for each page, so the same one may answer for the same page each time.
        excused |= {"lists.lag_seconds", "lists.lag_in"}
    if (facts.errors.outage_seconds or _INTERVAL) < _INTERVAL:
        # It is over before the second request.
        excused |= {"errors.unavailable", "errors.outage_seconds"}
    if facts.containers.create_id in {"request", "none"}:
        # The status of an unknown id cannot be asked for.
        excused |= {"containers.found_seconds"}
    if facts.answers.shapes:
        # The emulator has other prices in the guide's form of the list only.
        excused |= {name for name in wanted if name.startswith("prices.")}
    if facts.lists.rows == "":
        # A bare list has no place for a field.
        excused |= {"lists.next_form"}
    return wanted.keys() - learned.keys() - excused


def wrong(facts: platform_file.PlatformFacts, learned: dict[str, Any]) -> dict[str, Any]:
    """Return what a run has found out about a platform that is not so."""
    late = facts.containers.listed_seconds or facts.containers.visible_seconds
    # The wait for capacity ends when the container is seen.
    unclear = {"errors.waitlist_seconds"} if late else set()
    return {
        name: learned[name]
        for name, value in _differences(facts).items()
        if name in learned and name not in unclear and not _agrees(name, value, learned[name])
    }


def invented(facts: platform_file.PlatformFacts, learned: dict[str, Any]) -> dict[str, Any]:
    """Return what a run has found out that is as the guide says."""
    wanted = _differences(facts)
    excused = set[str]()
    if wanted.keys() & {*_DELAYS, "errors.waitlist_seconds"}:
        # One look shows several of them.
        excused |= _DELAYS
    if wanted.keys() & {"lists.lag_seconds", "lists.cache_seconds", "containers.status_lag_seconds"}:
        excused |= _BEHIND_A_LAG | _DELAYS
    if "lists.next" in wanted:
        # The client knows it without a file.
        excused.add("lists.next_form")
    # A word that only a boot has shown is in both.
    if learned.get("containers.statuses", {}).keys() <= set(facts.containers.boot_statuses or ()):
        excused.add("containers.statuses")
    if set(learned.get("containers.boot_statuses", ())) <= (facts.containers.statuses or {}).keys():
        excused.add("containers.boot_statuses")
    return {name: value for name, value in learned.items() if name not in wanted and name not in excused}


def _agrees(name: str, value: Any, found: Any) -> bool:
    if name.endswith("_seconds"):
        # A look every two seconds, and a margin for what is the most.
        least = abs(value) - _INTERVAL
        return bool(least <= abs(found) <= math.ceil((abs(value) + 2 * _INTERVAL) * _MARGIN))
    if name == "answers.shapes":
        return set(found.values()) == set(value.values())
    if isinstance(value, dict):
        return bool(found.items() <= value.items())
    if name in {"lists.rows", "prices.field"}:
        # The names of fields may be spelt otherwise on the same platform.
        return reading.plain(found) == reading.plain(value)
    if name in {"lists.next", "lists.parameter"}:
        return found is not None
    return set(found) == set(value) if isinstance(value, list) else bool(found == value)


def _differences(facts: platform_file.PlatformFacts) -> dict[str, Any]:
    sections = facts.as_json()
    sections.pop("version")
    return {
        f"{section}.{name}": value
        for section, known in sections.items()
        for name, value in known.items()
        if GUIDE.get(f"{section}.{name}") != value
    }


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
