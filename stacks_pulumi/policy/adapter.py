"""
Rules as policies of Pulumi's SDK.

The SDK's own manners fail open: a value that is not known turns a mandatory policy into a warning, and a crash says
nothing of where it was. So nothing of the SDK reaches a rule, and everything that a rule does is caught here.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import fields, replace
from typing import Any, Final

import pulumi_policy
from pulumi_policy.proxy import UnknownValueError

from stacks_pulumi.cost import tokens
from stacks_pulumi.cost.pricing import price
from stacks_pulumi.cost.values import UNKNOWN, is_unknown
from stacks_pulumi.policy.exemptions import Exemption, covering
from stacks_pulumi.policy.findings import Deferred, Finding, Notice, Violation
from stacks_pulumi.policy.options import Settings
from stacks_pulumi.policy.rule import Remediation, ResourceRule, Rule, StackRule
from stacks_pulumi.policy.telling import crashed, ended_note, misconfigured, not_enforced, show, tell_sdk
from stacks_pulumi.policy.views import ContainerView, PinnedBackupView, StackView, VpnClientView

__all__ = ["Today", "policy_of"]

Today = Callable[[], datetime.date]

_PRICE_INPUT: Final = "monthly_price_usd"
_STACK_VIEW: Final = (tokens.CONTAINER, tokens.PINNED_BACKUP, tokens.VPN_CLIENT)


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
            validate=_resource_validation(_as_check(rule), today),
            remediate=_remediation(rule, today),
            **common,
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


def _resource_validation(rule: ResourceRule[Any], today: Today) -> pulumi_policy.ResourceValidation:
    def validate(args: pulumi_policy.ResourceValidationArgs, report: pulumi_policy.ReportViolation) -> None:
        if args.resource_type not in (rule.view.TYPE, tokens.STACK):
            return
        settings = _settings(rule, args)
        if settings.problems:
            report(misconfigured(rule, settings), None)
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
                not_enforced(rule, args.name, live)
                return
            view = rule.view.of(args.urn, args.name, properties, protect=args.opts.protect)
            for finding in rule.check(view, settings):
                if isinstance(finding, Violation):
                    report(finding.message + ended_note(ended), None)
                elif isinstance(finding, Notice):
                    show(rule, finding.message + ended_note(ended), report)
                else:
                    rest.append(finding)
        except Exception as error:  # noqa: BLE001  (whatever a rule does, it fails closed and says where)
            report(crashed(rule, repr(args.name), error), None)
            return
        tell_sdk(args, rest, args.name)

    return validate


def _stack_validation(rule: StackRule, today: Today) -> pulumi_policy.StackValidation:
    def validate(args: pulumi_policy.StackValidationArgs, report: pulumi_policy.ReportViolation) -> None:
        settings = _settings(rule, args)
        if settings.problems:
            report(misconfigured(rule, settings), None)
            return
        rest: list[Finding] = []
        try:
            exempt, ended, unclear = _exempt(rule, args.resources, settings, today())
            for name in unclear:
                report(
                    f"{rule.name} has an exemption by the name {name!r}, which more than one resource has, "
                    "so it exempts none of them: give the urn of the one that is meant.",
                    None,
                )
            notes = "".join(ended_note(exemption) for exemption in ended.values())
            for finding in rule.check(_stack(args.resources, exempt), settings):
                if isinstance(finding, Notice):
                    show(rule, finding.message + notes, report)
                elif not isinstance(finding, Violation):
                    rest.append(finding)
                elif finding.urn is None:
                    report(finding.message + notes, None)
                else:
                    report(finding.message + ended_note(ended.get(finding.urn)), finding.urn)
        except Exception as error:  # noqa: BLE001  (whatever a rule does, it fails closed and says where)
            report(crashed(rule, "the stack", error), None)
            return
        if not any(isinstance(finding, Deferred) for finding in rest):
            tell_sdk(args, rest, "the stack")
        else:
            report(f"{rule.name} left a value open that nothing looks at later; please report it.", None)

    return validate


def _exempt(
    rule: Rule, resources: Iterable[pulumi_policy.PolicyResource], settings: Settings, today: datetime.date
) -> tuple[set[str], dict[str, Exemption], list[str]]:
    """The URNs that are exempt, the exemptions that have ended, and the names that say too little."""
    live: dict[Exemption, dict[str, str]] = {}
    ended: dict[str, Exemption] = {}
    for resource in resources:
        if resource.resource_type in _STACK_VIEW:
            holds, past = covering(settings["exempt"] or (), resource.urn, resource.name, today)
            if holds is not None:
                live.setdefault(holds, {})[resource.urn] = resource.name
            elif past is not None:
                ended[resource.urn] = past
    # A sum would leave all of them out, where one was agreed upon.
    unclear = [exemption.name or "" for exemption, covered in live.items() if len(covered) > 1]
    exempt: set[str] = set()
    for exemption, covered in live.items():
        if len(covered) == 1:
            [(urn, name)] = covered.items()
            exempt.add(urn)
            not_enforced(rule, name, exemption)
    return exempt, ended, unclear


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


def _as_check(rule: Remediation[Any]) -> ResourceRule[Any]:
    """
    What a remediation would change, as violations.

    At `remediate` it runs after the change, and finds nothing left. At the other levels the SDK changes nothing, and
    a rule that was made mandatory must not pass what it is about.
    """

    def check(view: Any, settings: Settings) -> Iterator[Finding]:
        changes = rule.changes(view, settings)
        if changes:
            yield Violation(
                f"{rule.name} would set the {' and the '.join(changes)} of {view.name!r}, which it does at the level "
                f"remediate only. {rule.fix}"
            )

    common = {field.name: getattr(rule, field.name) for field in fields(Rule)}
    return ResourceRule(**common, view=rule.view, check=check)


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
            raise RuntimeError(crashed(rule, repr(args.name), error)) from None
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
