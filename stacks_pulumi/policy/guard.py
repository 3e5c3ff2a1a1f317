"""A policy pack in three lines."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any, Final, get_args

import pulumi_policy

from stacks_pulumi.policy import registry
from stacks_pulumi.policy.adapter import policy_of
from stacks_pulumi.policy.pack import Pack, Today
from stacks_pulumi.policy.rule import Level, Rule
from stacks_pulumi.policy.rules.known_resources import KNOWN_RESOURCES
from stacks_pulumi.policy.rules.spending_cap import Account

__all__ = ["StacksGuard"]

# Where one limit goes: configuration belongs to single policies, and a limit that one of them missed would be a hole.
_FAN_OUT: Final = {
    "max_monthly_usd": (
        ("monthly-budget", "max_monthly_usd"),
        ("budget-warning", "max_monthly_usd"),
        ("spend-gate", "max_monthly_usd"),
    ),
    "max_container_usd": (("resource-price-cap", "max_usd"),),
    "allowed_plans": (("allowed-plans", "allowed"), ("clamp-plan", "allowed")),
    "allowed_templates": (("allowed-templates", "allowed"),),
}


def _utc_today() -> datetime.date:
    return datetime.datetime.now(datetime.timezone.utc).date()


class StacksGuard:
    """
    A pack of this package's policies.

    ```python
    from stacks_pulumi.policy import StacksGuard

    StacksGuard("our-rules", max_monthly_usd=50, allowed_plans=["micro", "basic"]).run()
    ```

    Args:
        name: The pack's name.
        only: Names of the policies that are in it; all of them unless given (`PLANS`, `SPEND`, `EXPOSURE`).
            `known-resources` is in every pack.
        all: Enforcement level of every policy that `config` gives none.
        max_monthly_usd: What the stack may cost a month, in US dollars: for `monthly-budget`, `budget-warning` and
            `spend-gate`.
        max_container_usd: What one container may cost a month, in US dollars: for `resource-price-cap`.
        allowed_plans: Plans that containers may have: for `allowed-plans` and `clamp-plan`.
        allowed_templates: Templates that containers may have: for `allowed-templates`.
        config: By policy, a level or an object, as in the file that `--policy-pack-config` takes; for `all`, a level.
            It goes before the arguments above, and that file goes before it.
        account: Lists the account's containers, for `account-headroom` (`stacks_pulumi.cost.live.containers`).
        extra: Rules of your own (`ResourceRule`, `StackRule`), or policies made with Pulumi's SDK.

    Raises:
        ValueError: There is no policy of such a name or more than one, no such level, a list is a single text, a limit
            goes to a policy that is not in the pack, or `all` is given more than a level.
    """

    def __init__(
        self,
        name: str = "stacks",
        only: Iterable[str] | None = None,
        *,
        all: Level | None = None,
        max_monthly_usd: Decimal | float | None = None,
        max_container_usd: Decimal | float | None = None,
        allowed_plans: Iterable[str] | None = None,
        allowed_templates: Iterable[str] | None = None,
        config: Mapping[str, Level | Mapping[str, Any]] | None = None,
        account: Account | None = None,
        extra: Iterable[Rule | pulumi_policy.Policy] = (),
    ) -> None:
        everything = registry.rules(account)
        wanted = list(everything) if only is None else _list(only, "only")
        _known(wanted, everything, "only")
        _once(wanted)
        if KNOWN_RESOURCES not in wanted:
            wanted.append(KNOWN_RESOURCES)
        self.name = name
        self._only, self._account, self._extra = tuple(wanted), account, tuple(extra)
        wanted += [part.name for part in self._extra]
        _once(wanted)
        given = {
            "max_monthly_usd": None if max_monthly_usd is None else float(max_monthly_usd),
            "max_container_usd": None if max_container_usd is None else float(max_container_usd),
            "allowed_plans": None if allowed_plans is None else _list(allowed_plans, "allowed_plans"),
            "allowed_templates": (
                None if allowed_templates is None else _list(allowed_templates, "allowed_templates")
            ),
        }
        self._config: dict[str, dict[str, Any]] = {}
        if all is not None:
            self._config["all"] = {"enforcementLevel": _level(all, "all")}
        for argument, value in given.items():
            if value is not None:
                self._fan_out(argument, value, wanted)
        _known(config or {}, [*wanted, "all"], "config")
        for policy, setting in (config or {}).items():
            properties = {"enforcementLevel": setting} if isinstance(setting, str) else dict(setting)
            if policy == "all":
                _level_alone(properties)
            if "enforcementLevel" in properties:
                _level(properties["enforcementLevel"], policy)
            self._config.setdefault(policy, {}).update(properties)

    def _fan_out(self, argument: str, value: Any, wanted: list[str]) -> None:
        targets = [(policy, option) for policy, option in _FAN_OUT[argument] if policy in wanted]
        if not targets:
            policies = ", ".join(policy for policy, _ in _FAN_OUT[argument])
            msg = f"{argument} is set, but none of the policies that keep it is in the pack: add one of {policies}"
            raise ValueError(msg)
        for policy, option in targets:
            self._config.setdefault(policy, {})[option] = value

    def policies(self, today: Today = _utc_today) -> list[pulumi_policy.Policy]:
        """
        The pack's policies, for Pulumi's SDK.

        Args:
            today: The day in UTC, which ends exemptions; tests give one.
        """
        # Made anew: the running total of spend-gate belongs to one operation.
        everything = registry.rules(self._account)
        parts = (*(everything[name] for name in self._only), *self._extra)
        pack = Pack(today)
        return [policy_of(part, pack) if isinstance(part, Rule) else part for part in parts]

    def initial_config(self) -> dict[str, Any]:
        """The pack's own configuration, as Pulumi's SDK takes it."""
        levels = {level.value: level for level in pulumi_policy.EnforcementLevel}
        return {
            policy: {
                key: levels[value] if key == "enforcementLevel" else value
                for key, value in properties.items()
            }
            for policy, properties in self._config.items()
        }

    def run(self) -> None:
        """
        Serve the pack to the engine that started this program. Never returns.

        Nothing may have been written to standard output before: the engine reads a port number from it.
        """
        pulumi_policy.PolicyPack(
            name=self.name,
            policies=self.policies(),
            enforcement_level=pulumi_policy.EnforcementLevel.MANDATORY,
            initial_config=self.initial_config(),
        )


def _list(values: Iterable[str], argument: str) -> list[str]:
    # A text is a list of its letters, which would make a pack that nobody meant.
    if isinstance(values, str):
        msg = f"{argument} is the text {values!r}: it takes a list, such as [{values!r}]"
        raise ValueError(msg)  # noqa: TRY004  (a setting that is wrong is a ValueError here, whatever is wrong with it)
    return list(values)


def _once(names: list[str]) -> None:
    # The engine knows policies by name: what belongs to one of two, it would take from the other.
    double = [name for number, name in enumerate(names) if name in names[:number]]
    if double:
        msg = f"two policies of this pack are called {double[0]!r}: give yours a name of its own"
        raise ValueError(msg)


def _known(names: Iterable[str], known: Iterable[str], argument: str) -> None:
    missing = [name for name in names if name not in known]
    if missing:
        msg = (
            f"{argument} names {missing[0]!r}, which is no policy of this pack: there are {', '.join(known)}"
        )
        raise ValueError(msg)


def _level_alone(properties: Mapping[str, Any]) -> None:
    # The engine passes over whatever else stands there: a limit that nothing keeps.
    options = [option for option in properties if option != "enforcementLevel"]
    if options:
        msg = f"config sets {options[0]!r} for 'all', which takes a level and nothing else: set it for each policy"
        raise ValueError(msg)


def _level(level: str, policy: str) -> str:
    if level not in get_args(Level):
        msg = f"the level of {policy!r} is {level!r}: it is one of {', '.join(get_args(Level))}"
        raise ValueError(msg)
    return level
