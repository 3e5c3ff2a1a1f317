"""The rule that compares the whole account with a key's spending cap; the only rule that sends requests."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal
from typing import Protocol, TypeAlias

from stacks_pulumi.policy.findings import Finding, NotApplicable, Violation
from stacks_pulumi.policy.options import Settings, choice, money, whole
from stacks_pulumi.policy.rule import StackRule
from stacks_pulumi.policy.rules.spend import up_to
from stacks_pulumi.pricing.money import Price, count, total, usd
from stacks_pulumi.pricing.views import ContainerView, StackView

__all__ = ["Account", "Priced", "rules"]


class Priced(Protocol):
    """A container of the account."""

    @property
    def id(self) -> str | None:
        """Its id; `None` if it is not known. Then a container of the stack may be counted twice."""

    @property
    def name(self) -> str:
        """Its name; names are unique in an account."""

    @property
    def price(self) -> Price:
        """Its monthly price."""


Account: TypeAlias = Callable[[float], Iterable[Priced]]
"""
Lists the account's containers; the argument is the timeout in seconds. Any exception from it means that it failed.

It is a parameter and not an import: policies check plain data, and the author of the pack decides whether requests to
the API are allowed. `stacks_pulumi.cost.live.containers` is such a function.
"""


class _Headroom:
    def __init__(self, account: Account | None) -> None:
        self._account = account

    def __call__(self, stack: StackView, settings: Settings) -> Iterator[Finding]:
        """The account's other containers and this stack together do not exceed the cap."""
        cap: Decimal | None = settings.money("cap_usd")
        if cap is None or self._account is None:
            yield NotApplicable(
                "cap_usd is not set" if cap is None else "the pack was built without an account"
            )
            return
        try:
            others = _beside(stack.containers, self._account(float(settings["timeout_s"])))
        except Exception as error:  # noqa: BLE001  (a user's function may raise anything)
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
        both = elsewhere + stack.price
        if both.high is None or both.high > cap:
            beside = f"{count(len(others), 'other container')} {up_to(elsewhere)}"
            yield Violation(
                f"the account would cost {up_to(both)} a month: this stack {up_to(stack.price)}, {beside}; "
                f"the cap is {usd(cap)}. Remove a container, or raise the cap."
            )


def _beside(ours: Iterable[ContainerView], account: Iterable[Priced]) -> list[Priced]:
    """
    Return the containers of the account that are not in this stack.

    A stack may have containers in several accounts, so a name alone does not identify one. Containers are matched by id
    if it is known, else by name and price, one to one. An uncertain match is counted twice, so that the sum is never
    too low.
    """
    ours = list(ours)
    ids = {container.id for container in ours if isinstance(container.id, str)}
    known = Counter(
        (container.container_name, container.price.low, container.price.high)
        for container in ours
        if not isinstance(container.id, str)
    )
    others = []
    for container in account:
        alike = (container.name, container.price.low, container.price.high)
        if container.id is not None and container.id in ids:
            continue
        if known[alike] > 0:
            known[alike] -= 1
        else:
            others.append(container)
    return others


def rules(account: Account | None) -> tuple[StackRule, ...]:
    """Return the rules of this file, for an account."""
    return (
        StackRule(
            "account-headroom",
            "The whole account stays within the API key's spending cap.",
            "disabled",
            "high",
            "Remove a container, or raise the cap in the dashboard.",
            options=(
                money("cap_usd", "the spending cap of the key, in US dollars a month; unset for none"),
                choice("on_error", "what to do when the account cannot be read", "deny", "warn"),
                whole("timeout_s", "how long to wait for the account, in seconds", 10, 60),
            ),
            check=_Headroom(account),
        ),
    )
