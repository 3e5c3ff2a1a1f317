"""What containers may cost: one of them, all together, and all that were declared so far."""

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
    """The dearest containers and their prices, in words."""
    # Without an upper bound comes first: it is the one to look at.
    by_price = sorted(containers, key=lambda container: _worst(container.price), reverse=True)
    lines = [f"{container.name!r} {container.price} ({container.kind})" for container in by_price[:_SHOWN]]
    more = len(by_price) - len(lines)
    return "; ".join(lines) + (f"; and {more} more" if more else "")


def _worst(price: Price) -> Decimal:
    return Decimal("Infinity") if price.high is None else price.high


def up_to(price: Price) -> str:
    """The upper end of a price, in words."""
    if price.high is None:
        return f"an unknown sum, at least {usd(price.low)}"
    return usd(price.high) if price.exact else f"up to {usd(price.high)}"


def resource_price_cap(container: ContainerView, settings: Settings) -> Iterator[Finding]:
    """One container costs no more than a limit, at its worst."""
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
    """The stack costs no more than a limit, with what is not known counted at its worst."""
    limit, mode = settings.money("max_monthly_usd"), settings["unknown"]
    if limit is None:
        yield NotApplicable("max_monthly_usd is not set")
        return
    unknown = tuple(container for container in stack.containers if not container.price.exact)
    # A resource of an unknown kind has no upper bound in every mode.
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
            f"Take something out, choose smaller plans{_write_it(price)}, or have max_monthly_usd raised."
        )


def budget_warning(stack: StackView, settings: Settings) -> Iterator[Finding]:
    """The stack is near its limit, or has none."""
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
            f"(warned from {settings['pct']} % on): {breakdown(stack.containers)}."
        )


class SpendGate:
    """
    The running total of one operation, kept against the limit before each container is made.

    It is the second line behind `monthly-budget`, for an update without a preview or with values that the preview
    did not know. It only knows what the program has declared so far, so it may name a container that is there
    already because a new one was declared before it. The engine runs one process of a pack in each operation and may
    ask several threads.
    """

    def __init__(self) -> None:
        self._declared: dict[str, ContainerView] = {}
        self._lock = threading.Lock()

    def __call__(self, container: ContainerView, settings: Settings) -> Iterator[Finding]:
        """Say whether this container fits into the limit beside those that were declared before it."""
        limit = settings.money("max_monthly_usd")
        if limit is None:
            yield NotApplicable("max_monthly_usd is not set")
            return
        price = container.price
        if not price.exact and price.high is not None:
            # Only a preview has such values, where monthly-budget counts them at their worst.
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
                f"container {container.name!r} ({container.kind}) costs {up_to(price)} a month; {so_far}, that passes "
                f"the limit of {usd(limit)} for the stack. Take something out, choose a smaller plan, or have "
                "max_monthly_usd raised."
            )


def max_resources(stack: StackView, settings: Settings) -> Iterator[Finding]:
    """There are no more resources of a kind than a limit."""
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
                f"Take some out, or have {option} raised."
            )
    if all(settings[option] is None for option, *_ in kinds):
        yield NotApplicable("no limit is set")


def rules() -> tuple[ResourceRule[ContainerView] | StackRule, ...]:
    """The rules of this file, with a running total of their own."""
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
            "Take something out, choose smaller plans, or have the limit raised.",
            options=(
                LIMIT,
                choice(
                    "unknown",
                    "how an unknown price counts: as the highest possible one, as a violation, or (at your risk) not",
                    "worst-case",
                    "deny",
                    "ignore",
                ),
            ),
            check=monthly_budget,
        ),
        StackRule(
            "budget-warning",
            "The stack keeps a distance to its monthly budget, and has one.",
            "advisory",
            "medium",
            "Make room before the next change, or have the limit raised.",
            options=(LIMIT, percent("pct", "from how many percent of the limit on to warn", 80)),
            check=budget_warning,
        ),
        ResourceRule(
            "spend-gate",
            "No container is made beyond the monthly budget.",
            "mandatory",
            "critical",
            "Take something out, choose smaller plans, or have the limit raised.",
            options=(LIMIT,),
            view=ContainerView,
            check=SpendGate(),
        ),
        StackRule(
            "max-resources",
            "The stack stays within its limits in number.",
            "advisory",
            "low",
            "Take something out, or have the limit raised.",
            options=(
                whole("containers", "the most containers that the stack may have; unset for any"),
                whole("vpn_clients", "the most VPN clients that the stack may have; unset for any"),
                whole("pinned_backups", "the most pinned backups that the stack may have; unset for any"),
            ),
            check=max_resources,
        ),
    )
