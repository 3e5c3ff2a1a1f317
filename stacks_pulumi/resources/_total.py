"""The price of the program's containers, as one line of a preview."""

from __future__ import annotations

from typing import Final, Protocol

import pulumi

__all__ = ["show_in_preview"]


class Priced(Protocol):
    """What has a price."""

    monthly_price_usd: pulumi.Output[float | None]


_prices: Final[list[pulumi.Output[float | None]]] = []
"""Of the containers that were declared since the last line."""


def show_in_preview(container: Priced) -> None:
    """
    Count a container in the line. It is shown when the engine has answered for all that the program declared.

    The program shows it because the engine drops lines beside a resource when a preview ends, and because a provider
    does not know which container is the last.

    Args:
        container: The container.
    """
    if not pulumi.runtime.is_dry_run():
        return
    _prices.append(container.monthly_price_usd)
    if len(_prices) == 1:
        # Answers arrive when the program has run, so the others are in the list by then.
        container.monthly_price_usd.apply(_collect, run_with_unknowns=True)


def _collect(_: float | None) -> None:
    prices = list(_prices)
    _prices.clear()
    pulumi.Output.all(*prices).apply(_show, run_with_unknowns=True)


def _show(prices: list[float | None]) -> None:
    known = [price for price in prices if isinstance(price, int | float)]
    count = f"{len(prices)} container{'' if len(prices) == 1 else 's'}"
    unknown = len(prices) - len(known)
    rest = f", plus {unknown} with an unknown price" if unknown else ""
    pulumi.log.info(f"{count}: ${sum(known):.2f} a month{rest}")
