"""
Rules as policies of Pulumi's SDK.

The SDK's own manners fail open: a value that is not known turns a mandatory policy into a warning, and a crash says
nothing of where it was. So nothing of the SDK reaches a rule, and everything that a rule does is caught here.
"""

from __future__ import annotations

import datetime
import sys
import traceback
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, Final

import pulumi_policy
from pulumi_policy.proxy import UNKNOWN_STRING_VALUE, UnknownValueError

from stacks_pulumi.cost import tokens
from stacks_pulumi.cost.pricing import price
from stacks_pulumi.cost.values import UNKNOWN, is_unknown
from stacks_pulumi.policy.exemptions import Exemption, covering
from stacks_pulumi.policy.findings import Deferred, Finding, NotApplicable, Violation
from stacks_pulumi.policy.options import Settings
from stacks_pulumi.policy.rule import Remediation, ResourceRule, Rule, StackRule
from stacks_pulumi.policy.views import ContainerView, PinnedBackupView, StackView, VpnClientView

__all__ = ["Today", "policy_of"]

Today = Callable[[], datetime.date]

_PRICE_INPUT: Final = "monthly_price_usd"


class _DeferredError(UnknownValueError):
    """How the SDK is told to warn, in its own words for an unknown value, and in ours for what follows."""

    def __init__(self, name: str, value: str) -> None:
        super().__init__(UNKNOWN_STRING_VALUE, [value])
        self.message = (
            f"the {value} of {name!r} is not known yet; the update checks it before the resource is made"
        )


def policy_of(rule: Rule, today: Today) -> pulumi_policy.Policy:
    """The policy that enforces a rule."""
    common: dict[str, Any] = {
        "name": rule.name,
        "description": rule.description,
        "enforcement_level": pulumi_policy.EnforcementLevel(rule.level),
        "severity": pulumi_policy.Severity(rule.severity),
        "remediation_steps": rule.fix,
        "tags": ["stacks"],
        "config_schema": pulumi_policy.PolicyConfigSchema(
            {option.name: option.schema for option in rule.all_options}
        ),
    }
    if isinstance(rule, StackRule):
        return pulumi_policy.StackValidationPolicy(validate=_stack_validation(rule, today), **common)
    if isinstance(rule, Remediation):
        return pulumi_policy.ResourceValidationPolicy(
            validate=_settings_validation(rule), remediate=_remediation(rule, today), **common
        )
    assert isinstance(rule, ResourceRule)  # noqa: S101  (the three kinds of rule there are)
    return pulumi_policy.ResourceValidationPolicy(validate=_resource_validation(rule, today), **common)


def plain(properties: Mapping[str, Any]) -> dict[str, Any]:
    """The SDK's properties as a dictionary, with what is not known as `UNKNOWN`."""
    result: dict[str, Any] = {}
    for name in properties:
        # The pickled provider is large, and nobody's business.
        if name != "__provider":
            try:
                value = properties[name]
            except UnknownValueError:
                value = UNKNOWN
            result[name] = UNKNOWN if is_unknown(value) else value
    return result


def _settings(
    rule: Rule, args: pulumi_policy.ResourceValidationArgs | pulumi_policy.StackValidationArgs
) -> Settings:
    return Settings(rule.all_options, args.get_config(), args.stack_tags)


def _misconfigured(rule: Rule, settings: Settings) -> str:
    problems = "; ".join(settings.problems)
    return f"{rule.name} is misconfigured, so nothing passes it: {problems}."


def _crashed(rule: Rule, subject: str, error: Exception) -> str:
    # The error's own text may hold a property's value.
    place = traceback.extract_tb(error.__traceback__)[-1]
    where = f"{place.filename.rsplit('/', 1)[-1]}, line {place.lineno}"
    return (
        f"{rule.name} crashed on {subject} ({type(error).__name__} in {where}), so it is not known whether this is "
        f"allowed. Please report it; until then, set {rule.name} to disabled to go on without it."
    )


def _not_enforced(rule: Rule, name: str, exemption: Exemption) -> None:
    sys.stderr.write(f"{rule.name}: {name!r} is exempt until {exemption.expires}: {exemption.reason}\n")


def _ended(exemption: Exemption | None) -> str:
    if exemption is None:
        return ""
    return f" (Its exemption ended on {exemption.expires}: {exemption.reason}.)"


def _resource_validation(rule: ResourceRule[Any], today: Today) -> pulumi_policy.ResourceValidation:
    def validate(args: pulumi_policy.ResourceValidationArgs, report: pulumi_policy.ReportViolation) -> None:
        if args.resource_type not in (rule.view.TYPE, tokens.STACK):
            return
        settings = _settings(rule, args)
        if settings.problems:
            report(_misconfigured(rule, settings), None)
            return
        if args.resource_type == tokens.STACK:
            return
        rest: list[Finding] = []
        try:
            properties = plain(args.props)
            # A new resource outside of --target arrives with nothing at all: this operation does not make it.
            if not properties:
                return
            live, ended = covering(settings["exempt"] or (), args.urn, args.name, today())
            if live is not None:
                # Not even looked at, so that a rule which adds up leaves it out of its sum.
                _not_enforced(rule, args.name, live)
                return
            view = rule.view.of(args.urn, args.name, properties, protect=args.opts.protect)
            for finding in rule.check(view, settings):
                if isinstance(finding, Violation):
                    report(finding.message + _ended(ended), None)
                else:
                    rest.append(finding)
        except Exception as error:  # noqa: BLE001  (whatever a rule does, it fails closed and says where)
            report(_crashed(rule, repr(args.name), error), None)
            return
        _tell_sdk(args, rest, args.name)

    return validate


def _tell_sdk(
    args: pulumi_policy.ResourceValidationArgs | pulumi_policy.StackValidationArgs,
    findings: list[Finding],
    name: str,
) -> None:
    for finding in findings:
        if isinstance(finding, Deferred):
            raise _DeferredError(name, finding.property)
    for finding in findings:
        if isinstance(finding, NotApplicable):
            args.not_applicable(finding.reason)


def _stack_validation(rule: StackRule, today: Today) -> pulumi_policy.StackValidation:
    def validate(args: pulumi_policy.StackValidationArgs, report: pulumi_policy.ReportViolation) -> None:
        settings = _settings(rule, args)
        if settings.problems:
            report(_misconfigured(rule, settings), None)
            return
        rest: list[Finding] = []
        try:
            exempt: set[str] = set()
            ended: dict[str, Exemption] = {}
            for resource in args.resources:
                if resource.resource_type.startswith(tokens.PREFIX):
                    live, past = covering(settings["exempt"] or (), resource.urn, resource.name, today())
                    if live is not None:
                        exempt.add(resource.urn)
                        _not_enforced(rule, resource.name, live)
                    elif past is not None:
                        ended[resource.urn] = past
            notes = "".join(_ended(exemption) for exemption in ended.values())
            for finding in rule.check(_stack(args.resources, exempt), settings):
                if not isinstance(finding, Violation):
                    rest.append(finding)
                elif finding.urn is None:
                    report(finding.message + notes, None)
                else:
                    report(finding.message + _ended(ended.get(finding.urn)), finding.urn)
        except Exception as error:  # noqa: BLE001  (whatever a rule does, it fails closed and says where)
            report(_crashed(rule, "the stack", error), None)
            return
        if not any(isinstance(finding, Deferred) for finding in rest):
            _tell_sdk(args, rest, "the stack")
        else:
            report(f"{rule.name} left a value open that nothing looks at later; please report it.", None)

    return validate


def _stack(resources: Iterable[pulumi_policy.PolicyResource], exempt: set[str]) -> StackView:
    containers: list[ContainerView] = []
    backups: list[PinnedBackupView] = []
    clients: list[VpnClientView] = []
    for resource in resources:
        properties = plain(resource.props)
        if resource.urn in exempt or not properties:
            continue
        urn, name, protect = resource.urn, resource.name, resource.opts.protect
        if resource.resource_type == tokens.CONTAINER:
            containers.append(ContainerView.of(urn, name, properties, protect=protect))
        elif resource.resource_type == tokens.PINNED_BACKUP:
            sources = frozenset(source.urn for source in resource.property_dependencies.get("container", []))
            backups.append(
                replace(PinnedBackupView.of(urn, name, properties, protect=protect), made_from=sources)
            )
        elif resource.resource_type == tokens.VPN_CLIENT:
            clients.append(VpnClientView(urn, name, protect))
    return StackView(tuple(containers), tuple(backups), tuple(clients))


def _settings_validation(rule: Rule) -> pulumi_policy.ResourceValidation:
    """A remediation cannot report, so its configuration is judged when the stack itself is looked at."""

    def validate(args: pulumi_policy.ResourceValidationArgs, report: pulumi_policy.ReportViolation) -> None:
        if args.resource_type == tokens.STACK:
            settings = _settings(rule, args)
            if settings.problems:
                report(_misconfigured(rule, settings), None)

    return validate


def _remediation(rule: Remediation[Any], today: Today) -> pulumi_policy.ResourceRemediation:
    def remediate(args: pulumi_policy.ResourceValidationArgs) -> Any:
        if args.resource_type != rule.view.TYPE:
            return None
        settings = _settings(rule, args)
        if settings.problems:
            return None
        try:
            properties = plain(args.props)
            view = rule.view.of(args.urn, args.name, properties, protect=args.opts.protect)
            live, _ = covering(settings["exempt"] or (), args.urn, args.name, today())
            changes = {} if live is not None else rule.changes(view, settings)
        except Exception as error:  # noqa: BLE001  (as above; an error is all that a remediation can answer)
            raise RuntimeError(_crashed(rule, repr(args.name), error)) from None
        if not changes:
            return None
        changes.update(_new_price({**properties, **changes}))
        # In place: a copy would lose what marks its values as secrets, and they would be stored in clear text.
        for name, value in changes.items():
            args.props[name] = value  # type: ignore[index]  # (declared read-only, made to be written here)
        return args.props

    return remediate


def _new_price(properties: Mapping[str, Any]) -> dict[str, Any]:
    """The provider computed the price before the plan was changed, and is not asked again."""
    if not isinstance(properties.get(_PRICE_INPUT), int | float):
        return {}
    view = ContainerView.of("", "", properties)
    known = price(view.template, view.plan, view.tier)
    return {_PRICE_INPUT: float(known.low)} if known.exact else {}
