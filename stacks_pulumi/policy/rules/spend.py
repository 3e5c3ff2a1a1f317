"""Rules about prices: of one container, of the whole stack, and of the containers declared so far."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal

from stacks_pulumi.policy.findings import Deferred, Finding, NotApplicable, Violation
from stacks_pulumi.policy.options import Settings, choice, money, percent, whole
from stacks_pulumi.policy.rule import ResourceRule, StackRule
from stacks_pulumi.pricing.money import FREE, Price, count, total, usd
from stacks_pulumi.pricing.views import UNPRICED, ContainerView, StackView

__all__ = ["rules"]

LIMIT = replace(
    money("max_monthly_usd", "the most that the whole stack may cost a month; unset for no limit"),
    shared=True,
)

_SHOWN = 5


def breakdown(containers: tuple[ContainerView, ...]) -> str:
    """Return the most expensive containers and their prices as text."""
    # A container without an upper bound comes first, because the user has to fix that one.
    by_price = sorted(containers, key=lambda container: _worst(container.price), reverse=True)
    lines = [f"{container.name!r} {container.price} ({container.kind})" for container in by_price[:_SHOWN]]
    more = len(by_price) - len(lines)
    return "; ".join(lines) + (f"; and {more} more" if more else "")


def _worst(price: Price) -> Decimal:
    return Decimal("Infinity") if price.high is None else price.high


def up_to(price: Price) -> str:
    """Return the upper bound of a price as text."""
    if price.high is None:
        return f"an unknown sum, at least {usd(price.low)}"
    return usd(price.high) if price.exact else f"up to {usd(price.high)}"


def resource_price_cap(container: ContainerView, settings: Settings) -> Iterator[Finding]:
    """One container does not cost more than a limit; unknown values count as the most expensive ones."""
    limit, price = settings.money("max_usd"), container.price
    if limit is None:
        yield NotApplicable("max_usd is not set")
    elif _worst(price) > limit:
        yield Violation(
            f"container {container.name!r} ({container.kind}) costs {up_to(price)} a month; the limit for one "
            f"container is {usd(limit)}. Choose a smaller plan or less storage{_write_it(price)}."
        )


def _write_it(price: Price) -> str:
    known_later = [name for name in price.unknown if name != "price"]
    return f", and write the {' and the '.join(known_later)} as a plain value" if known_later else ""


def monthly_budget(stack: StackView, settings: Settings) -> Iterator[Finding]:
    """The stack does not cost more than a limit; unknown values count as the most expensive ones."""
    limit, mode = settings.money("max_monthly_usd"), settings["unknown"]
    if limit is None:
        yield NotApplicable("max_monthly_usd is not set")
        return
    unknown = tuple(container for container in stack.containers if not container.price.exact)
    # In every mode, a resource of an unknown kind has no upper bound.
    unpriced = total(UNPRICED for _ in stack.unrecognised)
    if mode == "deny" and unknown:
        yield Violation(
            f"the price of {count(len(unknown), 'container')} is not known, and unknown prices are denied here: "
            f"{breakdown(unknown)}. Write their plan, template and storage as plain values."
        )
    if mode == "ignore":
        counted = tuple(container for container in stack.containers if container.price.exact)
    else:
        counted = stack.containers
    price = total(container.price for container in counted) + unpriced
    if _worst(price) > limit:
        yield Violation(
            f"the stack costs {up_to(price)} a month; the limit is {usd(limit)}: {breakdown(counted)}. "
            f"Remove a container, choose smaller plans{_write_it(price)}, or raise max_monthly_usd."
        )


def budget_warning(stack: StackView, settings: Settings) -> Iterator[Finding]:
    """Warn if the stack's price is near its limit, or if no limit is set."""
    limit, price = settings.money("max_monthly_usd"), stack.price
    if limit is None:
        yield Violation(
            f"no monthly limit is set, and the stack costs {up_to(price)} a month. "
            "Set max_monthly_usd of monthly-budget, budget-warning and spend-gate."
        )
        return
    if _worst(price) > limit * settings["pct"] / 100:
        share = (
            "more than all" if price.high is None else f"{price.high * 100 / limit:.0f} %" if limit else "all"
        )
        yield Violation(
            f"the stack costs {up_to(price)} a month, {share} of its limit of {usd(limit)} "
            f"(the warning begins at {settings['pct']} %): {breakdown(stack.containers)}."
        )


class SpendGate:
    """
    The running total of one operation, compared with the limit before each container is created.

    It supplements `monthly-budget` in an update without a preview, or with values that the preview did not know. It
    knows only the containers that the program has declared so far. So it may report a container that exists already, if
    a new one was declared before it. The engine runs one process of a pack in each operation and may call it from
    several threads.
    """

    def __init__(self) -> None:
        self._declared: dict[str, ContainerView] = {}
        self._lock = threading.Lock()

    def __call__(self, container: ContainerView, settings: Settings) -> Iterator[Finding]:
        """Report this container if, together with those declared before it, it exceeds the limit."""
        limit = settings.money("max_monthly_usd")
        if limit is None:
            yield NotApplicable("max_monthly_usd is not set")
            return
        price = container.price
        if not price.exact and price.high is not None:
            # Only a preview has such values, and there monthly-budget counts them as the most expensive ones.
            yield Deferred(price.unknown[0])
            return
        with self._lock:
            self._declared.pop(container.urn, None)
            before = total(other.price for other in self._declared.values())
            self._declared[container.urn] = container
        if _worst(before + price) > limit:
            so_far = (
                "nothing was declared before it"
                if before == FREE
                else f"with {usd(before.low)} declared before it"
            )
            yield Violation(
                f"container {container.name!r} ({container.kind}) costs {up_to(price)} a month; {so_far}, that exceeds "
                f"the limit of {usd(limit)} for the stack. Remove a container, choose a smaller plan, or "
                "raise max_monthly_usd."
            )


def max_resources(stack: StackView, settings: Settings) -> Iterator[Finding]:
    """The number of resources of a kind does not exceed its limit."""
    kinds = (
        ("containers", "container", stack.containers),
        ("vpn_clients", "VPN client", stack.vpn_clients),
        ("pinned_backups", "pinned backup", stack.pinned_backups),
    )
    for option, noun, resources in kinds:
        limit = settings[option]
        if limit is not None and len(resources) > limit:
            yield Violation(
                f"the stack has {count(len(resources), noun)}; the limit is {limit}. "
                f"Remove some, or raise {option}."
            )
    if all(settings[option] is None for option, *_ in kinds):
        yield NotApplicable("no limit is set")


def rules() -> tuple[ResourceRule[ContainerView] | StackRule, ...]:
    """Return the rules of this file, with a new running total."""
    return (
        ResourceRule(
            "resource-price-cap",
            "One container stays within its price limit.",
            "mandatory",
            "high",
            "Choose a smaller plan or less storage.",
            options=(money("max_usd", "the most that one container may cost a month; unset for any"),),
            view=ContainerView,
            check=resource_price_cap,
        ),
        StackRule(
            "monthly-budget",
            "The stack stays within its monthly budget.",
            "mandatory",
            "critical",
            "Remove a container, choose smaller plans, or raise the limit.",
            options=(
                LIMIT,
                choice(
                    "unknown",
                    "how an unknown price counts: as the highest possible price, as a violation, or (at your risk) not",
                    "worst-case",
                    "deny",
                    "ignore",
                ),
            ),
            check=monthly_budget,
        ),
        StackRule(
            "budget-warning",
            "The stack has a monthly budget and is well below it.",
            "advisory",
            "medium",
            "Reduce the price before the next change, or raise the limit.",
            options=(LIMIT, percent("pct", "percent of the limit from which to warn", 80)),
            check=budget_warning,
        ),
        ResourceRule(
            "spend-gate",
            "No container is created beyond the monthly budget.",
            "mandatory",
            "critical",
            "Remove a container, choose smaller plans, or raise the limit.",
            options=(LIMIT,),
            view=ContainerView,
            check=SpendGate(),
        ),
        StackRule(
            "max-resources",
            "The numbers of containers, VPN clients and pinned backups stay within their limits.",
            "advisory",
            "low",
            "Remove some of them, or raise the limit.",
            options=(
                whole("containers", "the most containers that the stack may have; unset for any"),
                whole("vpn_clients", "the most VPN clients that the stack may have; unset for any"),
                whole("pinned_backups", "the most pinned backups that the stack may have; unset for any"),
            ),
            check=max_resources,
        ),
    )
