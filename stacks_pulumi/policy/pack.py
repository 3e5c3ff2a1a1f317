"""What the policies of one pack know together, and how the SDK's arguments become plain data."""

from __future__ import annotations

import datetime
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import pulumi_policy
from pulumi_policy.proxy import UnknownValueError

from stacks_pulumi.policy.messages import limit_missing, misconfigured
from stacks_pulumi.policy.options import Settings
from stacks_pulumi.policy.rule import Rule
from stacks_pulumi.pricing import tokens
from stacks_pulumi.pricing.recognition import kind_of
from stacks_pulumi.pricing.values import UNKNOWN, is_unknown

__all__ = ["Pack", "PackConfiguration", "Report", "Today", "plain", "settings_of"]

Today = Callable[[], datetime.date]
Report: TypeAlias = pulumi_policy.ReportViolation


@dataclass
class Pack:
    """
    What the policies of one pack share during one operation.

    Attributes:
        today: The day in UTC, which ends exemptions.
    """

    today: Today
    _kinds: dict[str, str | None] = field(default_factory=dict)
    _limits: dict[str, dict[str, bool]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def kind_of(
        self, resource: pulumi_policy.ResourceValidationArgs | pulumi_policy.PolicyResource
    ) -> str | None:
        """
        Return the kind of a resource, as it was recognised first in this operation.

        That was by its checked inputs. A policy of the stack sees the outputs of an unchanged resource, and those that
        version 0.2 wrote have no marker.
        """
        if resource.urn not in self._kinds:
            self._kinds[resource.urn] = kind_of(resource.resource_type, plain(resource.props))
        return self._kinds[resource.urn]

    def limit_missing(self, rule: Rule, settings: Settings) -> str:
        """
        Return what is wrong if another policy has a shared limit that this one lacks; empty if nothing is.

        The engine tells a policy its own configuration only, so each call also notes what this policy was given.
        """
        for option in rule.options:
            if option.shared:
                with self._lock:
                    given = self._limits.setdefault(option.name, {})
                    given[rule.name] = settings[option.name] is not None
                    others = [name for name, is_set in given.items() if is_set]
                if others and not given[rule.name]:
                    return limit_missing(rule, option.name, others[0])
        return ""


def plain(properties: Mapping[str, Any]) -> dict[str, Any]:
    """Return the SDK's properties as a dictionary, with unknown values as `UNKNOWN`."""
    result: dict[str, Any] = {}
    for name in properties:
        # The pickled provider is large, and policies do not need it.
        if name != "__provider":
            try:
                value = properties[name]
            except UnknownValueError:
                value = UNKNOWN
            result[name] = UNKNOWN if is_unknown(value) else value
    return result


def settings_of(
    rule: Rule, args: pulumi_policy.ResourceValidationArgs | pulumi_policy.StackValidationArgs
) -> Settings:
    """Return what a rule was told."""
    return Settings(rule.all_options, args.get_config(), args.stack_tags)


class PackConfiguration:
    """Reports a wrong configuration of a rule: once per operation, before any resource is created."""

    def __init__(self, rule: Rule, pack: Pack) -> None:
        self._rule, self._pack = rule, pack
        self._shares = any(option.shared for option in rule.options)
        self._reported: set[str] = set()

    def refused(
        self, args: pulumi_policy.ResourceValidationArgs | pulumi_policy.StackValidationArgs, report: Report
    ) -> bool:
        """Return whether the configuration is wrong, and report it the first time."""
        settings = settings_of(self._rule, args)
        text = (
            misconfigured(self._rule, settings)
            if settings.problems
            else self._pack.limit_missing(self._rule, settings)
        )
        if text and text not in self._reported:
            self._reported.add(text)
            report(text, None)
        return bool(text)

    def concerns(self, args: pulumi_policy.ResourceValidationArgs) -> bool:
        """
        Return whether this resource is one to check the configuration at.

        The root comes first. A limit of another policy may be seen only after it, so such a rule looks at every
        resource: the provider of a container, at the latest, comes before the container.
        """
        return self._shares or args.resource_type == tokens.STACK
