"""The price of the program's containers and its change, as one line of a preview."""

from __future__ import annotations

import functools
import weakref
from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple, Protocol

import pulumi
from pulumi.runtime import get_root_resource
from pulumi.runtime.invoke import invoke_async
from pulumi.runtime.mocks import MockMonitor
from pulumi.runtime.settings import get_monitor

from stacks_pulumi.pricing import recognition, tokens

__all__ = ["show_in_preview"]

_STACK_OUTPUTS: Final = "pulumi:pulumi:readStackOutputs"
_STACK_RESOURCES: Final = "pulumi:pulumi:readStackResourceOutputs"

_OWNED: Final = (tokens.MARKER, "origin")
"""Outputs that a container of the stack has and a looked-up one has not. Version 0.1 wrote neither."""


class Priced(Protocol):
    """A resource with a price."""

    monthly_price_usd: pulumi.Output[float | None]

    @property
    def urn(self) -> pulumi.Output[str]:
        """Its URN."""

    @property
    def id(self) -> pulumi.Output[str]:
        """Its id, which a preview knows if the state has it."""


class _Row(NamedTuple):
    """What a preview knows of a container; `Unknown` objects included."""

    urn: Any
    id: Any
    price: Any
    is_lookup: bool


_Declared = list[tuple[Priced, bool]]

# One entry for each run: with the Automation API a process runs several programs, and a run that failed shows no line.
_runs: Final[weakref.WeakKeyDictionary[pulumi.Resource, _Declared]] = weakref.WeakKeyDictionary()


def show_in_preview(container: Priced, *, is_lookup: bool) -> None:
    """
    Count a container in the line. It is shown when the engine has answered for all that the program declared.

    The program shows it because the engine drops lines beside a resource when a preview ends, and because a provider
    does not know which container is the last.

    Args:
        container: The container.
        is_lookup: It is only looked up: it has no part in the price, and must not be taken for one that was removed.
    """
    root = get_root_resource()
    if root is None or not pulumi.runtime.is_dry_run():
        return
    declared = _runs.setdefault(root, [])
    declared.append((container, is_lookup))
    if len(declared) == 1:
        # Answers arrive when the program has run, so the others are in the list by then.
        collect = functools.partial(_collect, declared)
        container.monthly_price_usd.apply(collect, run_with_unknowns=True)


def _collect(declared: _Declared, _: Any) -> None:
    parts = [(item.urn, item.id, item.monthly_price_usd) for item, _ in declared]
    lookups = [is_lookup for _, is_lookup in declared]
    declared.clear()
    # mypy cannot choose among the results that `apply` accepts.
    show: Any = functools.partial(_show, lookups)
    pulumi.Output.all(*(part for row in parts for part in row)).apply(show, run_with_unknowns=True)


async def _show(lookups: list[bool], values: list[Any]) -> None:
    urns, ids, prices = values[::3], values[1::3], values[2::3]
    rows = [_Row(*parts) for parts in zip(urns, ids, prices, lookups, strict=True)]
    owned = [row for row in rows if not row.is_lookup]
    if not owned:
        return
    known = [row.price for row in owned if isinstance(row.price, int | float)]
    unknown = len(owned) - len(known)
    text = f"{len(owned)} container{'' if len(owned) == 1 else 's'}: ${sum(known):.2f} a month"
    if unknown:
        text += f", plus {unknown} with an unknown price"
    elif not isinstance(get_monitor(), MockMonitor):
        text += await _change(sum(known), rows)
    pulumi.log.info(text)


async def _change(planned: float, rows: list[_Row]) -> str:
    """The difference to the state, ready to be appended; empty if it cannot be told."""
    name = f"{pulumi.get_organization()}/{pulumi.get_project()}/{pulumi.get_stack()}"
    try:
        # A state file of an older engine may have no deployment. Asked for its resources, the engine crashes; a known
        # id or an output shows that there is one.
        if not (
            any(isinstance(row.id, str) for row in rows if not row.is_lookup)
            or await _ask(_STACK_OUTPUTS, name=name)
        ):
            return ", all to be created"
        past = _past(await _ask(_STACK_RESOURCES, stackName=name), rows)
    # The SDK raises a bare Exception. A price is told with or without its change.
    except Exception as error:  # noqa: BLE001  (as above)
        pulumi.log.debug(f"the change of the monthly price is not known: {error}")
        return ""
    if past is None:
        return ""
    change = round(planned - past, 2)
    return f" ({'+' if change > 0 else '-'}${abs(change):.2f})" if change else " (no change)"


async def _ask(token: str, **arguments: str) -> Mapping[str, Any]:
    answer = await invoke_async(token, arguments)
    found: Mapping[str, Any] = answer["outputs"]
    return found


def _past(state: Mapping[str, Mapping[str, Any]], rows: Iterable[_Row]) -> float | None:
    """The price of the containers in the state; `None` if one has none, or may be a look-up."""
    declared = {row.urn: row.is_lookup for row in rows}
    total = 0.0
    for urn, resource in state.items():
        outputs = resource["outputs"]
        if recognition.kind_of(resource["type"], outputs) != "Container" or declared.get(urn, False):
            continue
        price = outputs.get("monthly_price_usd")
        if not isinstance(price, int | float) or not (
            urn in declared or any(key in outputs for key in _OWNED)
        ):
            return None
        total += price
    return total
