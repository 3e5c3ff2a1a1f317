"""The rules of a pack, and the arguments that configure them. `StacksGuard` is a policy pack in three lines."""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any, Final, get_args

import pulumi_policy

from stacks_pulumi.errors import with_code
from stacks_pulumi.policy import exposure, plans, spend
from stacks_pulumi.policy._analyzer import ALL, options_of_all, serve, without_effect
from stacks_pulumi.policy.adapter import Pack, Today, policy_of
from stacks_pulumi.policy.options import configuration_of
from stacks_pulumi.policy.plans import KNOWN_RESOURCES
from stacks_pulumi.policy.rule import LONGEST_EXEMPTION, Level, Rule
from stacks_pulumi.policy.spend import Account

PLANS: Final = (
    "allowed-plans",
    "allowed-templates",
    "allowed-storage",
    "resource-price-cap",
    "max-resources",
    "naming",
    "clamp-plan",
    KNOWN_RESOURCES,
)
"""The policies about the plans, templates, storage, names and number of containers."""

SPEND: Final = (
    "monthly-budget",
    "budget-warning",
    "spend-gate",
    "cost-report",
    "account-headroom",
    KNOWN_RESOURCES,
)
"""The policies about prices and budgets."""

EXPOSURE: Final = (
    "open-allowed-ip",
    "protect-paid",
    "protect-data",
    "backup-required",
    "no-public-database",
    "no-unmanaged-access",
    "no-restore-over-data",
    "unmanaged-target",
    KNOWN_RESOURCES,
)
"""The policies about access to containers, and about the protection of containers and their data."""


def rules(account_reader: Account | None = None) -> dict[str, Rule]:
    """Return all rules by name. They are new objects, because `spend-gate` keeps a running total."""
    everything: tuple[Rule, ...] = (
        *plans.RULES,
        *spend.rules(account_reader),
        *exposure.RULES,
    )
    return {rule.name: rule for rule in everything}


# Argument -> the policies and options that it sets. Each policy has its own configuration, so a limit is set for all
# of them.
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


def utc_today() -> datetime.date:
    """Return the current day in UTC, which is compared with the end dates of exemptions."""
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
        only: Names of the policies that the pack contains (default: all policies in `PLANS`, `SPEND` and `EXPOSURE`).
            Every pack contains `known-resources`.
        all: The enforcement level of every policy for which `config` sets no level.
        max_monthly_usd: The maximum monthly price of the stack in US dollars, for `monthly-budget`, `budget-warning`
            and `spend-gate`.
        max_container_usd: The maximum monthly price of one container in US dollars, for `resource-price-cap`.
        allowed_plans: Plans that containers may have, for `allowed-plans` and `clamp-plan`.
        allowed_templates: Templates that containers may have, for `allowed-templates`.
        config: For each policy, a level or an object, as in a file for `--policy-pack-config` (version 2, or without a
            version); for `all`, a level. It overrides the arguments above, and the file overrides it. It cannot contain
            exceptions, because the engine reads exceptions only from the file.
        account: A function that lists the account's containers, for `account-headroom`
            (`stacks_pulumi.cost.live.containers`).
        longest_exemption_days: The maximum number of days from today for which an exemption may be valid. The file
            cannot increase this number.
        extra: Your own rules (`ResourceRule`, `StackRule`), or policies that were created with Pulumi's SDK.

    Raises:
        ValueError: A policy or a level is unknown, two policies have the same name, or a string is given instead of a
            list. Or a limit is set but its policy is not in the pack, `all` contains more than a level, or `config`
            contains exceptions.
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
        config: Mapping[str, Any] | None = None,
        account: Account | None = None,
        longest_exemption_days: int = LONGEST_EXEMPTION,
        extra: Iterable[Rule | pulumi_policy.Policy] = (),
    ) -> None:
        everything = rules(account)
        wanted = list(everything) if only is None else _list(only, "only")
        _known(wanted, everything, "only")
        _once(wanted)
        if KNOWN_RESOURCES not in wanted:
            wanted.append(KNOWN_RESOURCES)
        self.name = name
        self._only, self._account, self._extra = tuple(wanted), account, tuple(extra)
        self._longest = longest_exemption_days
        wanted += [part.name for part in self._extra]
        _once(wanted)
        self._defaults = {part.name: _default_level(part) for part in (*everything.values(), *self._extra)}
        prices = {"max_monthly_usd": max_monthly_usd, "max_container_usd": max_container_usd}
        lists = {"allowed_plans": allowed_plans, "allowed_templates": allowed_templates}
        given: dict[str, Any] = {name: float(price) for name, price in prices.items() if price is not None}
        given |= {name: _list(values, name) for name, values in lists.items() if values is not None}
        self._config: dict[str, dict[str, Any]] = {}
        if all is not None:
            self._config[ALL] = {"enforcementLevel": _level(all, ALL)}
        for argument, value in given.items():
            self._fan_out(argument, value, wanted)
        entries = self._entries(config or {})
        _known(entries, [*wanted, ALL], "config")
        for policy, setting in entries.items():
            if not isinstance(setting, str | Mapping):
                raise _wrong(wrong_level(policy, setting))
            properties = {"enforcementLevel": setting} if isinstance(setting, str) else dict(setting)
            if policy == ALL and options_of_all(properties):
                raise _wrong(options_of_all(properties))
            if "enforcementLevel" in properties:
                _level(properties["enforcementLevel"], policy)
            if properties:
                self._config.setdefault(policy, {}).update(properties)
            options = [option for option in properties if option != "enforcementLevel"]
            if options and len(options) == len(properties) and self._level_of(policy) == "disabled":
                raise _wrong(without_effect(policy, options))
        for argument in given:
            users = [policy for policy, _ in _FAN_OUT[argument] if policy in wanted]
            if {self._level_of(policy) for policy in users} == {"disabled"}:
                raise _wrong(
                    f"{argument} would have no effect, because these policies are disabled: {', '.join(users)}"
                )
        _check_can_be_sent(self._config)

    def _entries(self, config: Mapping[str, Any]) -> Mapping[str, Any]:
        read = configuration_of(config, utc_today(), self._longest)
        if read.policies is not config and config.get("exceptions"):
            msg = (
                "config has exceptions, which the engine applies only from the file for --policy-pack-config: write "
                "them there, or use the option exempt"
            )
            raise _wrong(msg)
        if read.problems:
            raise _wrong("; ".join(read.problems))
        return read.policies

    def _given_level(self, policy: str) -> str | None:
        """
        Return the level that the arguments set for a policy: the level in its own entry, or else the level of `all`.
        """
        levels = (self._config.get(name, {}).get("enforcementLevel") for name in (policy, ALL))
        return next((level for level in levels if level is not None), None)

    def _level_of(self, policy: str) -> str:
        return self._given_level(policy) or self._defaults[policy]

    def _fan_out(self, argument: str, value: Any, wanted: list[str]) -> None:
        targets = [(policy, option) for policy, option in _FAN_OUT[argument] if policy in wanted]
        if not targets:
            policies = ", ".join(policy for policy, _ in _FAN_OUT[argument])
            msg = f"{argument} is set, but no policy that uses it is in the pack: add one of {policies}"
            raise _wrong(msg)
        for policy, option in targets:
            self._config.setdefault(policy, {})[option] = value

    def policies(self, today: Today = utc_today) -> list[pulumi_policy.Policy]:
        """
        Return the pack's policies, for Pulumi's SDK.

        Args:
            today: Returns the current day in UTC, which is compared with the end dates of exemptions.
        """
        # New objects for each operation, because spend-gate keeps a running total.
        everything = rules(self._account)
        parts = (*(everything[name] for name in self._only), *self._extra)
        pack = Pack(today, self._longest)
        return [policy_of(part, pack) if isinstance(part, Rule) else part for part in parts]

    def initial_config(self) -> dict[str, Any]:
        """
        Return the pack's own configuration in the form of Pulumi's SDK.

        Each entry contains a level: for an entry without one, the SDK would send 0, which means advisory.
        """
        return {
            policy: {
                **properties,
                "enforcementLevel": pulumi_policy.EnforcementLevel(self._level_of(policy)),
            }
            for policy, properties in self._config.items()
        }

    def pack(self, today: Today = utc_today) -> dict[str, Any]:
        """
        Return the arguments of the SDK's `PolicyPack` that serves this pack.

        Args:
            today: Returns the current day in UTC, which is compared with the end dates of exemptions.
        """
        return {
            "name": self.name,
            "policies": self.policies(today),
            "enforcement_level": _OF_PACK,
            "initial_config": self.initial_config(),
        }

    def run(self) -> None:
        """
        Serve the pack to the engine that started this program. Never returns.

        Before this call, the program must not write to standard output, because the engine reads a port number there.
        """
        serve(**self.pack())


_OF_PACK: Final = pulumi_policy.EnforcementLevel.MANDATORY
"""The level of a policy that sets no level. Only policies that were created with Pulumi's SDK can omit the level."""


def _default_level(part: Rule | pulumi_policy.Policy) -> str:
    return part.level if isinstance(part, Rule) else (part.enforcement_level or _OF_PACK).value


def _wrong(message: str) -> ValueError:
    return ValueError(with_code(message, "policy-settings"))


def _list(values: Iterable[str], argument: str) -> list[str]:
    # Python treats a string as a list of its characters, so the pack would have wrong policies.
    if isinstance(values, str):
        msg = f"{argument} is the text {values!r}: it must be a list, such as [{values!r}]"
        raise _wrong(msg)
    return list(values)


def _check_can_be_sent(config: Mapping[str, Mapping[str, Any]]) -> None:
    for policy, setting in config.items():
        try:
            json.dumps(setting, allow_nan=False)
        except (TypeError, ValueError) as error:
            # Without this check, the engine would show only that the pack does not answer.
            raise _wrong(f"the options of {policy!r} cannot be sent to the engine: {error}") from None


def _once(names: list[str]) -> None:
    # The engine identifies policies by name, so it would confuse two policies with the same name.
    double = [name for number, name in enumerate(names) if name in names[:number]]
    if double:
        msg = f"two policies of this pack are called {double[0]!r}: give yours a different name"
        raise _wrong(msg)


def _known(names: Iterable[str], known: Iterable[str], argument: str) -> None:
    missing = [name for name in names if name not in known]
    if missing:
        msg = (
            f"{argument} contains {missing[0]!r}, which is not a policy of this pack: its policies are "
            f"{', '.join(known)}"
        )
        raise _wrong(msg)


def wrong_level(policy: str, level: Any) -> str:
    """Return the message about a level that does not exist."""
    return f"the level of {policy!r} is {level!r}: it must be one of {', '.join(get_args(Level))}"


def _level(level: str, policy: str) -> str:
    if level not in get_args(Level):
        raise _wrong(wrong_level(policy, level))
    return level
