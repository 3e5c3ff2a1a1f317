"""
Rules about the price of one container, of the stack, of the containers declared so far, and of the entire account.

`account-headroom`, which compares the account with a key's spending cap, is the only rule that sends requests.
"""

from __future__ import annotations

import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from decimal import Decimal
from typing import Protocol, TypeAlias

from stacks_pulumi.errors import clean
from stacks_pulumi.policy.options import Settings, choice, money, percent, whole
from stacks_pulumi.policy.rule import (
    Deferred,
    Finding,
    NotApplicable,
    Notice,
    ResourceRule,
    StackRule,
    Violation,
)
from stacks_pulumi.pricing.money import FREE, Price, count, total, usd
from stacks_pulumi.pricing.recognition import Unknown
from stacks_pulumi.pricing.views import UNPRICED, ContainerView, StackView

LIMIT = replace(
    money("max_monthly_usd", "the maximum monthly price of the entire stack; unset: no limit"),
    shared=True,
)

_SHOWN = 5


def breakdown(containers: tuple[ContainerView, ...]) -> str:
    """Return a text that lists the most expensive containers with their prices."""
    # Containers without an upper bound come first, because the user must fix these.
    by_price = sorted(containers, key=lambda container: _worst(container.price), reverse=True)
    lines = [f"{container.name!r} {container.price} ({container.kind})" for container in by_price[:_SHOWN]]
    more = len(by_price) - len(lines)
    return "; ".join(lines) + (f"; and {more} more" if more else "")


def _worst(price: Price) -> Decimal:
    return Decimal("Infinity") if price.high is None else price.high


def up_to(price: Price) -> str:
    """Return the upper bound of a price as a string."""
    if price.high is None:
        return f"an unknown sum, at least {usd(price.low)}" if price.low else "an unknown sum"
    return usd(price.high) if price.exact else f"up to {usd(price.high)}"


def resource_price_cap(container: ContainerView, settings: Settings) -> Iterator[Finding]:
    """Report a container that costs more than the limit. If a value is unknown, the price has no upper bound."""
    limit, price = settings.money("max_usd"), container.price
    if limit is None:
        yield NotApplicable("max_usd is not set")
    elif _worst(price) > limit:
        yield Violation(
            f"container {container.name!r} ({container.kind}) costs {up_to(price)} a month; the limit for one "
            f"container is {usd(limit)}. {_fix(price, 'Choose a smaller plan or less storage')}."
        )


def _fix(price: Price, otherwise: str) -> str:
    """
    Return how to stay within a limit. A price without an upper bound exceeds every limit, so a higher limit does not
    help.
    """
    later = [name for name in price.unknown if name not in {"price", "kind"}]
    fixes = [f"write the {' and the '.join(later)} as a plain value"] if later else []
    if "price" in price.unknown:
        fixes.append("choose a template, a plan and storage from the catalogue")
    if "kind" in price.unknown:
        fixes.append("upgrade stacks-pulumi where the policies run")
    text = ", and ".join(fixes) if price.high is None else otherwise
    return text[:1].upper() + text[1:]


def monthly_budget(stack: StackView, settings: Settings) -> Iterator[Finding]:
    """Report a stack that costs more than the limit. If a value is unknown, the price has no upper bound."""
    limit, mode = settings.money("max_monthly_usd"), settings["unknown"]
    if limit is None:
        yield NotApplicable("max_monthly_usd is not set")
        return
    unknown = tuple(container for container in stack.containers if not container.price.exact)
    # The price of a resource of an unknown kind has no upper bound, in every mode.
    unpriced = total(UNPRICED for _ in stack.unrecognised)
    if mode == "deny" and unknown:
        yield Violation(
            f"the price of {count(len(unknown), 'container')} is not known, and this policy denies unknown prices: "
            f"{breakdown(unknown)}. Write their plan, template and storage as plain values."
        )
    if mode == "ignore":
        counted = tuple(container for container in stack.containers if container.price.exact)
    else:
        counted = stack.containers
    price = total(container.price for container in counted) + unpriced
    if _worst(price) > limit:
        parts = [f"{one.name!r} has no known price (its kind is not known)" for one in stack.unrecognised]
        shown = "; ".join([*parts[:_SHOWN], *([breakdown(counted)] if counted else [])])
        yield Violation(
            f"the stack costs {up_to(price)} a month; the limit is {usd(limit)}: {shown}. "
            f"{_fix(price, 'Remove a container, choose smaller plans, or raise max_monthly_usd')}."
        )


def budget_warning(stack: StackView, settings: Settings) -> Iterator[Finding]:
    """Report a stack whose price is near its limit, or for which no limit is set."""
    limit, price = settings.money("max_monthly_usd"), stack.price
    if limit is None:
        yield Violation(
            f"no monthly limit is set, and the stack costs {up_to(price)} a month. "
            "Set max_monthly_usd for monthly-budget, budget-warning and spend-gate."
        )
        return
    if _worst(price) > limit * settings["pct"] / 100:
        share = "all"
        if price.high is None:
            share = "which is treated as more than 100 %"
        elif limit:
            share = f"{price.high * 100 / limit:.0f} %"
        yield Violation(
            f"the stack costs {up_to(price)} a month, {share} of its limit of {usd(limit)} "
            f"(the warning begins at {settings['pct']} %): {breakdown(stack.containers)}."
        )


class SpendGate:
    """
    Compares the running total of one operation with the limit before each container is created.

    It supplements `monthly-budget` in an update without a preview, or with values that were unknown at preview. It
    counts only the containers that the program has declared so far. So it may report an existing container if a new
    container was declared earlier. In each operation, the engine runs one process of a pack, and may call it from
    several threads.
    """

    def __init__(self) -> None:
        self._declared: dict[str, ContainerView] = {}
        self._lock = threading.Lock()

    def __call__(self, container: ContainerView, settings: Settings) -> Iterator[Finding]:
        """
        Report this container if its price, together with the prices of the containers declared before it, exceeds the
        limit.
        """
        limit = settings.money("max_monthly_usd")
        if limit is None:
            yield NotApplicable("max_monthly_usd is not set")
            return
        price = container.price
        if price.unknown and "price" not in price.unknown:
            # Only a preview has such values, and in a preview monthly-budget refuses them.
            yield Deferred(price.unknown[0])
            return
        with self._lock:
            self._declared.pop(container.urn, None)
            earlier = tuple(self._declared.values())
            self._declared[container.urn] = container
        before = total(other.price for other in earlier)
        if _worst(before + price) > limit:
            so_far = (
                "this alone"
                if before == FREE
                else f"together with {up_to(before)} declared before it (perhaps already created), this"
            )
            unbounded = [repr(one.name) for one in (*earlier, container) if one.price.high is None]
            because = (
                f" has no upper bound, because of {', '.join(unbounded[:_SHOWN])}, and" if unbounded else ""
            )
            yield Violation(
                f"container {container.name!r} ({container.kind}) costs {up_to(price)} a month; {so_far}{because} "
                f"exceeds the limit of {usd(limit)} for the stack. "
                f"{_fix(before + price, 'Remove a container, choose a smaller plan, or raise max_monthly_usd')}."
            )


def max_resources(stack: StackView, settings: Settings) -> Iterator[Finding]:
    """Report each kind of resource that exceeds its limit."""
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
                f"Remove some, or increase the value of the option {option}."
            )
    if all(settings[option] is None for option, *_ in kinds):
        yield NotApplicable("no limit is set")


def cost_report(stack: StackView, settings: Settings) -> Iterator[Finding]:
    """Report the price of every container, and the total."""
    if not stack.containers:
        yield NotApplicable("the stack has no container")
        return
    rows = [(clean(container.name), container.kind, str(container.price)) for container in stack.containers]
    rows.append(("total", "", str(stack.price)))
    from stacks_pulumi.reports.writers import aligned, escape  # noqa: PLC0415  (only this policy needs it)

    if settings["format"] == "markdown":
        rows = [(escape(name), kind, price) for name, kind, price in rows]
        lines = [
            "| Container | Kind | A month |",
            "|---|---|---:|",
            *(f"| {' | '.join(row)} |" for row in rows),
        ]
    else:
        lines = aligned(rows, right={2})
    yield Notice("\n".join(lines))


class Priced(Protocol):
    """A container in the account."""

    @property
    def id(self) -> str | None:
        """Its id; `None` if it is not known. A container of the stack may then be counted twice."""

    @property
    def name(self) -> str:
        """Its name; names are unique in an account."""

    @property
    def price(self) -> Price:
        """Its monthly price."""


Account: TypeAlias = Callable[[float], Iterable[Priced]]
"""
A function that lists the account's containers. Its argument is the timeout in seconds. Any exception means that the
list is not available.

It is a parameter and not an import, because policies check plain data. The author of the pack decides whether requests
to the API are allowed. `stacks_pulumi.cost.live.containers` is such a function.
"""


class _Headroom:
    def __init__(self, account: Account | None) -> None:
        self._account = account

    def __call__(self, stack: StackView, settings: Settings) -> Iterator[Finding]:
        """Report if this stack and the account's other containers together cost more than the spending cap."""
        cap: Decimal | None = settings.money("cap_usd")
        if cap is None or self._account is None:
            yield NotApplicable(
                "cap_usd is not set" if cap is None else "the pack was built without an account"
            )
            return
        try:
            others, listed = _beside(stack.containers, self._account(float(settings["timeout_s"])))
        except Exception as error:  # noqa: BLE001  (a user's function may raise any exception)
            text = (
                f"the account could not be read ({type(error).__name__}), so it is not known whether the stack stays "
                f"within the cap of {usd(cap)}. Set STACKS_API_KEY where the policies run, or set on_error to warn."
            )
            if settings["on_error"] == "deny":
                yield Violation(text)
            else:
                sys.stderr.write(f"account-headroom: {text}\n")
            return
        elsewhere = total(container.price for container in others)
        # If a container was enlarged in the dashboard, the price in the account's list is the real one.
        ours = total(
            container.price.or_higher(listed.get(container.id, FREE)) for container in stack.containers
        ) + total(UNPRICED for _ in stack.unrecognised)
        both = elsewhere + ours
        if both.high is None or both.high > cap:
            beside = f"{count(len(others), 'other container')} {up_to(elsewhere)}"
            more = (
                ""
                if ours == stack.price
                else f" (the program declares {up_to(stack.price)}, but the account lists more)"
            )
            yield Violation(
                f"the account would cost {up_to(both)} a month: this stack {up_to(ours)}{more}, {beside}; "
                f"the cap is {usd(cap)}. {_fix(both, 'Remove a container, or raise the cap')}."
            )


def _beside(
    ours: Iterable[ContainerView], account: Iterable[Priced]
) -> tuple[list[Priced], dict[str | Unknown | None, Price]]:
    """
    Return the account's containers that are not in this stack, and the account's prices for this stack's containers by
    id.

    A stack may have containers in several accounts, so a name alone does not identify a container. Containers are
    matched one to one: by id if it is known, otherwise by name and price. If a match is uncertain, both containers are
    counted, so that the sum is never too low.
    """
    ours = list(ours)
    ids = {container.id for container in ours if isinstance(container.id, str)}
    known = Counter(
        (container.container_name, container.price.low, container.price.high)
        for container in ours
        if not isinstance(container.id, str)
    )
    others: list[Priced] = []
    listed: dict[str | Unknown | None, Price] = {}
    for container in account:
        alike = (container.name, container.price.low, container.price.high)
        if container.id is not None and container.id in ids:
            listed[container.id] = container.price.or_higher(listed.get(container.id, FREE))
        elif known[alike] > 0:
            known[alike] -= 1
        else:
            others.append(container)
    return others, listed


def rules(account: Account | None) -> tuple[ResourceRule[ContainerView] | StackRule, ...]:
    """Return the rules in this module, with a new running total."""
    return (
        ResourceRule(
            "resource-price-cap",
            "Each container must stay within the price limit.",
            "mandatory",
            "high",
            "Choose a smaller plan or less storage.",
            options=(money("max_usd", "the maximum monthly price of one container; unset: no limit"),),
            view=ContainerView,
            check=resource_price_cap,
        ),
        StackRule(
            "monthly-budget",
            "The stack must stay within its monthly budget.",
            "mandatory",
            "critical",
            "Remove a container, choose smaller plans, or raise the limit.",
            options=(
                LIMIT,
                choice(
                    "unknown",
                    "how to treat an unknown price: worst-case (no upper bound), deny (a violation), or ignore "
                    "(not counted, at your risk)",
                    "worst-case",
                    "deny",
                    "ignore",
                ),
            ),
            check=monthly_budget,
        ),
        StackRule(
            "budget-warning",
            "The stack should have a monthly budget, and stay well below it.",
            "advisory",
            "medium",
            "Reduce the price before the next change, or raise the limit.",
            options=(LIMIT, percent("pct", "warn if the price exceeds this percentage of the limit", 80)),
            check=budget_warning,
        ),
        ResourceRule(
            "spend-gate",
            "Containers must not be created beyond the monthly budget.",
            "mandatory",
            "critical",
            "Remove a container, choose smaller plans, or raise the limit.",
            options=(LIMIT,),
            view=ContainerView,
            check=SpendGate(),
        ),
        StackRule(
            "max-resources",
            "The numbers of containers, VPN clients and pinned backups must stay within their limits.",
            "advisory",
            "low",
            "Remove some of them, or raise the limit.",
            options=(
                whole("containers", "the maximum number of containers in the stack; unset: no limit"),
                whole("vpn_clients", "the maximum number of VPN clients in the stack; unset: no limit"),
                whole("pinned_backups", "the maximum number of pinned backups in the stack; unset: no limit"),
            ),
            check=max_resources,
            subjects=("Container", "VpnClient", "PinnedBackup"),
        ),
        StackRule(
            "cost-report",
            "The monthly price of the stack.",
            "disabled",
            "low",
            "Nothing to fix: this is information and does not block at any level.",
            options=(choice("format", "the format of the table", "table", "markdown"),),
            check=cost_report,
        ),
        StackRule(
            "account-headroom",
            "The whole account must stay within the API key's spending cap.",
            "disabled",
            "high",
            "Remove a container, or raise the cap in the dashboard.",
            options=(
                money("cap_usd", "the spending cap of the key, in US dollars a month; unset: no cap"),
                choice("on_error", "the action if the account cannot be read", "deny", "warn"),
                whole("timeout_s", "the timeout for reading the account, in seconds", 10, 60),
            ),
            check=_Headroom(account),
        ),
    )
