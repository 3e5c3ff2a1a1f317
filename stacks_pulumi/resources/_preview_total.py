"""
The last line of a preview: the total price, and its difference from the state.

A program could read its state by the engine's built-in functions, but they register a provider. An update plan
(`preview --save-plan`) then requires this provider in the update. So this module runs the `pulumi` command during the
preview instead.
"""

from __future__ import annotations

import asyncio
import functools
import threading
import weakref
from collections.abc import Awaitable, Collection, Iterable
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

import pulumi
from pulumi.runtime import get_root_resource
from pulumi.runtime.mocks import MockMonitor
from pulumi.runtime.settings import get_monitor

from stacks_pulumi.errors import StacksError
from stacks_pulumi.pricing.recognition import snake_case

if TYPE_CHECKING:
    from stacks_pulumi._pulumi_cli import StoredResource
    from stacks_pulumi.resources.container import Container

_SECONDS: Final = 0.3
"""The seconds that the line waits for the state. The read began during the preview, so it has usually ended by then."""
_LONGEST: Final = 5.0
"""The timeout of the command that reads the state."""

_State: TypeAlias = "Future[list[StoredResource] | None]"


class Declared(NamedTuple):
    """
    A container that the program declares, with the values that are known at preview.

    Attributes:
        urn: Its URN.
        id: Its id; unknown if it does not exist yet.
        price: Its monthly price; it may be unknown, or `None` if there is no price.
        adopts: The id of the existing container that it adopts; it may be unknown, or `None` if nothing is adopted.
        is_lookup: Whether the program only looks up the container.
    """

    urn: Any
    id: Any
    price: Any
    adopts: Any
    is_lookup: bool


def request_export() -> _State:
    """
    Start to read the state. Return a future for the resources in the state, or for `None` if the state cannot be read.
    """
    stack = f"{pulumi.get_organization()}/{pulumi.get_project()}/{pulumi.get_stack()}"
    state: _State = Future()
    # When the program ends, it does not wait for this thread.
    threading.Thread(
        target=lambda: state.set_result(_export(stack)), name="stacks-pulumi state", daemon=True
    ).start()
    return state


def _export(stack: str) -> list[StoredResource] | None:
    from stacks_pulumi._pulumi_cli import read_stack, run  # noqa: PLC0415  (an `up` reads no state)

    try:
        # The engine that runs this program is the `pulumi` on PATH.
        return read_stack(run(["stack", "export", "--stack", stack], seconds=_LONGEST)).resources
    except StacksError:
        return None


def past_price(state: Iterable[StoredResource], declared: Iterable[Declared]) -> float | None:
    """
    Return the monthly price of the containers that are billed already: those in the state, and those that will be
    adopted. The result is `None` if the price is not known.

    With the Automation API, the command may use a different backend. So the state is used only if it contains the ids
    that the preview knows.
    """
    declared, state = tuple(declared), tuple(state)
    ids = {row.urn: row.id for row in declared if not row.is_lookup and isinstance(row.id, str)}
    mine = [resource for resource in state if not resource.external and resource.kind == "Container"]
    # A resource that was renamed without an alias adopts the container under the old name in the state: count it once.
    counted = {resource.id for resource in mine}
    adopting = [row for row in declared if isinstance(row.adopts, str) and row.adopts not in counted]
    total = float(sum(row.price for row in adopting if row.urn not in ids))
    for resource in mine:
        price = snake_case(resource.outputs or {}).get("monthly_price_usd")
        if not isinstance(price, int | float):
            return None
        # In a replacement, the old resource has the URN of the new one.
        if not resource.delete and ids.pop(resource.urn, None) not in (None, resource.id):
            return None
        total += price
    return None if ids else total


class _Run:
    """
    The containers that one run of the program declares.

    Each value needs one callback. `Output.all` would create three outputs for each value, and a task for each output.
    """

    def __init__(self) -> None:
        self._rows: list[dict[str, Any]] = []
        self._left = 0
        self._state: _State | None = None

    def add(self, container: Container, adopts: pulumi.Output[Any] | None, *, is_lookup: bool) -> None:
        """Add a container to the total. The first call also starts to read the state."""
        if not self._rows:
            self._state = None if isinstance(get_monitor(), MockMonitor) else request_export()
        row: dict[str, Any] = {"adopts": None, "is_lookup": is_lookup}
        self._rows.append(row)
        outputs: dict[str, pulumi.Output[Any]] = {
            "urn": container.urn,
            "id": container.id,
            "price": container.monthly_price_usd,
            **({} if adopts is None else {"adopts": adopts}),
        }
        self._left += len(outputs)
        for name, output in outputs.items():
            # mypy cannot choose among the results that `apply` accepts.
            know: Any = functools.partial(self._know, row, name)
            output.apply(know, run_with_unknowns=True)

    def _know(self, row: dict[str, Any], name: str, value: Any) -> Awaitable[None] | None:
        row[name] = value
        self._left -= 1
        # The engine answers after the program has run, so no further container follows the last value.
        if self._left:
            return None
        rows, self._rows = [Declared(**it) for it in self._rows], []
        return _show(rows, self._state)


# There is one entry for each run, because with the Automation API one process runs several programs. A failed run
# shows no line.
_runs: Final[weakref.WeakKeyDictionary[pulumi.Resource, _Run]] = weakref.WeakKeyDictionary()


def show_in_preview(container: Container, adopts: pulumi.Output[Any] | None, *, is_lookup: bool) -> None:
    """
    Add a container to the total. The line is shown after the engine has responded for all declared containers.

    The program, and not the provider, shows the line: the engine removes the lines next to a resource when a preview
    ends, and a provider does not know which container is the last.
    """
    root = get_root_resource()
    if root is None or not pulumi.runtime.is_dry_run():
        return
    _runs.setdefault(root, _Run()).add(container, adopts, is_lookup=is_lookup)


async def _show(rows: list[Declared], state: _State | None) -> None:
    owned = [row.price for row in rows if not row.is_lookup]
    if not owned:
        return
    known = [price for price in owned if isinstance(price, int | float)]
    text = _total(owned, known)
    if len(known) == len(owned) and state is not None:
        text += await _change(sum(known), state, rows)
    # On a terminal, the lines next to the resources disappear when the preview ends.
    taken = sum(isinstance(row.adopts, str) and not isinstance(row.id, str) for row in rows)
    pulumi.log.info(f"{text}; {taken} adopted" if taken else text)


def _total(prices: Collection[Any], known: Collection[float], where: str = "") -> str:
    text = f"{len(prices)} container{'' if len(prices) == 1 else 's'}{where}: ${sum(known):.2f} a month"
    unknown = len(prices) - len(known)
    return f"{text}, plus {unknown} with an unknown price" if unknown else text


async def _change(planned: float, reading: _State, rows: list[Declared]) -> str:
    """Return the text to append: the difference from the state, or a note that it is unknown."""
    await asyncio.wait({asyncio.wrap_future(reading)}, timeout=_SECONDS)
    state = reading.result() if reading.done() else None
    past = None if state is None else past_price(state, rows)
    if past is None:
        why = "its containers are not all known" if state is not None else "the state could not be read"
        return f" (change not known: {why if reading.done() else 'the state was not read in time'})"
    change = round(planned - past, 2)
    return f" ({'+' if change > 0 else '-'}${abs(change):.2f})" if change else " (no change)"


class CheckedPrices:
    """
    The prices of the containers that one operation of the engine has checked, for a host that has no access to the
    program.

    The engine does not check resources that `--target` excludes, and does not report the containers that it would
    delete. So the line includes only the checked containers, and shows no difference.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._prices: dict[str, Any] = {}
        self._is_preview = self._has_failed = False

    def checked(self, urn: str, price: Any) -> None:
        with self._lock:
            self._prices[urn] = price

    def refused(self) -> None:
        """Record that a call failed; after that, the engine does not check the rest of the program."""
        self._has_failed = True

    def previewed(self) -> None:
        """Record that the operation is a preview; only a create or an update shows that."""
        self._is_preview = True

    def take(self) -> str | None:
        """Return the line for a preview that has ended, or `None` if there is no line. Then forget the operation."""
        with self._lock:
            prices, shown = list(self._prices.values()), self._is_preview and not self._has_failed
            self._prices, self._is_preview, self._has_failed = {}, False, False
        if not prices or not shown:
            return None
        return _total(prices, [it for it in prices if isinstance(it, int | float)], " in this preview")
