"""The price of the program's containers, as one line of a preview."""

from __future__ import annotations

import functools
import weakref
from typing import Any, Final, Protocol

import pulumi
from pulumi.runtime import get_root_resource

__all__ = ["show_in_preview"]


class Priced(Protocol):
    """A resource with a price."""

    monthly_price_usd: pulumi.Output[float | None]


_Prices = list[pulumi.Output[float | None]]

# One entry for each run: with the Automation API a process runs several programs, and a run that failed shows no line.
_runs: Final[weakref.WeakKeyDictionary[pulumi.Resource, _Prices]] = weakref.WeakKeyDictionary()


def show_in_preview(container: Priced) -> None:
    """
    Count a container in the line. It is shown when the engine has answered for all that the program declared.

    The program shows it because the engine drops lines beside a resource when a preview ends, and because a provider
    does not know which container is the last.

    Args:
        container: The container.
    """
    root = get_root_resource()
    if root is None or not pulumi.runtime.is_dry_run():
        return
    prices = _runs.setdefault(root, [])
    prices.append(container.monthly_price_usd)
    if len(prices) == 1:
        # Answers arrive when the program has run, so the others are in the list by then.
        collect = functools.partial(_collect, prices)
        container.monthly_price_usd.apply(collect, run_with_unknowns=True)


def _collect(declared: _Prices, _: Any) -> None:
    prices = list(declared)
    declared.clear()
    pulumi.Output.all(*prices).apply(_show, run_with_unknowns=True)


def _show(prices: list[float | None]) -> None:
    known = [price for price in prices if isinstance(price, int | float)]
    count = f"{len(prices)} container{'' if len(prices) == 1 else 's'}"
    unknown = len(prices) - len(known)
    rest = f", plus {unknown} with an unknown price" if unknown else ""
    pulumi.log.info(f"{count}: ${sum(known):.2f} a month{rest}")
