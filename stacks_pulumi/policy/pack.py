"""The data that the policies of one pack share, and the conversion of the SDK's arguments to plain data."""

from __future__ import annotations

import datetime
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import pulumi_policy

from stacks_pulumi.policy._sdk import UnknownValueError
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
    The data that the policies of one pack share during one operation.

    Attributes:
        today: Returns the day in UTC, on which exemptions may end.
    """

    today: Today
    _kinds: dict[str, str | None] = field(default_factory=dict)
    _limits: dict[str, dict[str, bool]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def kind_of(
        self, resource: pulumi_policy.ResourceValidationArgs | pulumi_policy.PolicyResource
    ) -> str | None:
        """
        Return the kind of a resource that was first recognised in this operation.

        It was recognised by the checked inputs. A policy for the stack gets the outputs of an unchanged resource, and
        outputs written by version 0.2 do not contain the kind.
        """
        if resource.urn not in self._kinds:
            self._kinds[resource.urn] = kind_of(resource.resource_type, plain(resource.props))
        return self._kinds[resource.urn]

    def limit_missing(self, rule: Rule, settings: Settings) -> str:
        """
        Return the error if another policy has a shared limit that this one lacks; else an empty text.

        The engine passes to a policy only its own configuration, so each call also records this policy's limits.
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
        # Policies do not need the pickled provider, which is large.
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
    """Return the input of a rule: its configuration and the stack's tags."""
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
        Return whether to check the configuration when the engine sends this resource.

        The engine sends the root resource first. A limit of another policy may become known only after that. So a rule
        with a shared limit checks at every resource: the last check before a container is at the container's provider.
        """
        return self._shares or args.resource_type == tokens.STACK
