"""
Turns rules into policies of Pulumi's SDK, and holds the data that the policies of one pack share.

By default, the SDK fails open: an unknown value turns a mandatory policy into a warning. If a policy crashes, the SDK's
report does not show the place in the code. So a rule receives only plain data and no SDK objects, and every error that
a rule raises is caught here.
"""

from __future__ import annotations

import datetime
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, Final, TypeAlias

import pulumi_policy

from stacks_pulumi.errors import clean_lines, with_code
from stacks_pulumi.policy._analyzer import TAG, UnknownValueError, write_properties
from stacks_pulumi.policy.options import Option, Schema, Settings
from stacks_pulumi.policy.rule import (
    EXEMPT,
    LONGEST_EXEMPTION,
    Deferred,
    Exemption,
    Finding,
    Notice,
    Remediation,
    ResourceRule,
    Rule,
    StackRule,
    Violation,
    ambiguous,
    covering,
    crashed,
    ended_note,
    limit_missing,
    misconfigured,
    not_enforced,
    show,
    tell_sdk,
    too_long,
)
from stacks_pulumi.pricing.money import price
from stacks_pulumi.pricing.recognition import STACK, UNKNOWN, UNRECOGNISED, kind_of, known
from stacks_pulumi.pricing.views import (
    AllowedIpView,
    ChildView,
    ConnectionView,
    ContainerView,
    PinnedBackupView,
    ResourceView,
    SshCertificateView,
    StackView,
    UnrecognisedView,
    VpnClientView,
)

Today = Callable[[], datetime.date]
Report: TypeAlias = pulumi_policy.ReportViolation


@dataclass
class Pack:
    """
    The data that the policies of one pack share during one operation.

    Attributes:
        today: Returns the current day in UTC, which is compared with the end dates of exemptions.
        longest_exemption: The maximum number of days from today for which an exemption may be valid.
    """

    today: Today
    longest_exemption: int = LONGEST_EXEMPTION
    _kinds: dict[str, str | None] = field(default_factory=dict)
    _limits: dict[str, dict[str, bool]] = field(default_factory=dict)
    _containers: dict[str, ContainerView] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def kind_of(
        self, resource: pulumi_policy.ResourceValidationArgs | pulumi_policy.PolicyResource
    ) -> str | None:
        """
        Return the kind of a resource, as it was recognised from its checked inputs when the engine first sent it.
        Later, a stack policy receives the outputs of an unchanged resource, and outputs that version 0.2 wrote do not
        contain the kind.
        """
        if resource.urn not in self._kinds:
            self._kinds[resource.urn] = kind_of(
                resource.resource_type, plain(resource.props), custom=resource.provider is not None
            )
        return self._kinds[resource.urn]

    def has_none_of(self, child: ChildView) -> bool:
        """
        Return whether the id of a child's container matches no container that the engine has sent.

        The engine sends a container before the resources that refer to it.
        """
        with self._lock:
            return not any(child.may_name(container) for container in self._containers.values())

    def see(self, args: pulumi_policy.ResourceValidationArgs) -> str | None:
        """Return the kind of a resource that the engine sends, and remember the resource if it is a container."""
        kind = self.kind_of(args)
        if kind == ContainerView.KIND and args.urn not in self._containers:
            view = ContainerView.of(args.urn, args.name, plain(args.props))
            with self._lock:
                self._containers[args.urn] = view
        return kind

    def limit_missing(self, rule: Rule, settings: Settings) -> str:
        """
        Return the error if a shared limit is set for another policy but not for this one; otherwise an empty string.

        The engine passes each policy only its own configuration, so each call also records the limits of this policy.
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
                # Reading a mapping or a list also raises the error if a part of it is unknown.
                result[name] = known(properties[name])
            except UnknownValueError:
                result[name] = UNKNOWN
    return result


def settings_of(
    rule: Rule, args: pulumi_policy.ResourceValidationArgs | pulumi_policy.StackValidationArgs, pack: Pack
) -> Settings:
    """Return the settings that a rule receives: its configuration and the stack's tags."""
    settings = Settings(rule.all_options, args.get_config(), args.stack_tags)
    if not settings.problems:
        settings.problems += too_long(settings["exempt"] or (), pack.today(), pack.longest_exemption)
    return settings


class PackConfiguration:
    """Reports the errors in a rule's configuration, once per operation and before any resource is created."""

    def __init__(self, rule: Rule, pack: Pack) -> None:
        self._rule, self._pack = rule, pack
        self._shares = any(option.shared for option in rule.options)
        self._reported: set[str] = set()

    def reports_problem(
        self, args: pulumi_policy.ResourceValidationArgs | pulumi_policy.StackValidationArgs, report: Report
    ) -> bool:
        """Return whether the configuration is invalid, and report each error once."""
        settings = settings_of(self._rule, args, self._pack)
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
        Return whether the configuration must be checked when the engine sends this resource.

        Most rules check it once, at the root resource, which the engine sends first. A rule with a shared limit checks
        it at every resource, because it may learn of another policy's limit later. The engine sends a container's
        provider before the container, so an error is always found before a container is created.
        """
        return self._shares or args.resource_type == STACK


_PRICE_INPUTS: Final = ("monthly_price_usd", "monthlyPriceUsd")


def policy_of(rule: Rule, pack: Pack) -> pulumi_policy.Policy:
    """Return the policy that enforces a rule."""
    common: dict[str, Any] = {
        "name": rule.name,
        "description": rule.description,
        "enforcement_level": pulumi_policy.EnforcementLevel(rule.level),
        "severity": pulumi_policy.Severity(rule.severity),
        "remediation_steps": rule.fix,
        "tags": [TAG],
        "config_schema": pulumi_policy.PolicyConfigSchema(
            {option.name: _described(option, pack) for option in rule.all_options}
        ),
    }
    if isinstance(rule, StackRule):
        return _StackPolicy(rule, pack, common)
    if isinstance(rule, Remediation):
        return pulumi_policy.ResourceValidationPolicy(
            validate=_resource_validation(_as_check(rule), pack),
            remediate=_remediation(rule, pack),
            **common,
        )
    assert isinstance(rule, ResourceRule)  # noqa: S101  (there are only these three kinds of rule)
    return pulumi_policy.ResourceValidationPolicy(validate=_resource_validation(rule, pack), **common)


_LONGEST: Final = "x-longest-days"


def _described(option: Option, pack: Pack) -> Schema:
    # `longest_exemption` reads the pack's limit from this schema.
    return {**option.schema, _LONGEST: pack.longest_exemption} if option is EXEMPT else option.schema


def longest_exemption(policies: Iterable[pulumi_policy.Policy]) -> int:
    """Return the maximum number of days for which an exemption may be valid in a pack with these policies."""
    schemas = (policy.config_schema.properties for policy in policies if policy.config_schema is not None)
    found = [schema[EXEMPT.name][_LONGEST] for schema in schemas if _LONGEST in schema.get(EXEMPT.name, {})]
    return min(found, default=LONGEST_EXEMPTION)


class _StackPolicy(pulumi_policy.StackValidationPolicy, pulumi_policy.ResourceValidationPolicy):
    """
    The SDK's policy for a rule that checks the entire stack.

    In an update, the engine runs stack policies after it has created all resources. So this class is also a policy for
    single resources, which runs earlier and refuses an invalid configuration.
    """

    def __init__(self, rule: StackRule, pack: Pack, common: Mapping[str, Any]) -> None:
        # Neither base class accepts the constructor arguments of the other.
        pulumi_policy.Policy.__init__(self, **common)
        self._configuration = PackConfiguration(rule, pack)
        elsewhere = _Elsewhere(rule, pack)
        self._check_one, self._check = elsewhere.check, _stack_check(rule, pack, elsewhere)
        self._pack = pack

    def has_validation(self) -> bool:
        return True

    def has_remediation(self) -> bool:
        return False

    def validate(
        self,
        args: pulumi_policy.ResourceValidationArgs | pulumi_policy.StackValidationArgs,
        report_violation: Report,
    ) -> None:
        report_violation = _cleaned(report_violation)
        if isinstance(args, pulumi_policy.ResourceValidationArgs):
            kind = self._pack.see(args)
            if not (
                self._configuration.concerns(args)
                and self._configuration.reports_problem(args, report_violation)
            ):
                self._check_one(kind, args, report_violation)
        elif not self._configuration.reports_problem(args, report_violation):
            self._check(args, report_violation)


def _cleaned(report: Report) -> Report:
    """Return a report function that escapes each message, because messages contain texts from the program."""

    def cleaned(message: str, urn: str | None = None) -> None:
        report(clean_lines(message), urn)

    return cleaned


def _resource_validation(rule: ResourceRule[Any], pack: Pack) -> pulumi_policy.ResourceValidation:
    exemptions: dict[Exemption, str] = {}
    lock = threading.Lock()
    configuration = PackConfiguration(rule, pack)

    def exempted_twice(exemption: Exemption, urn: str) -> bool:
        with lock:
            return exemptions.setdefault(exemption, urn) != urn

    def validate(args: pulumi_policy.ResourceValidationArgs, report: Report) -> None:
        report = _cleaned(report)
        if configuration.concerns(args) and configuration.reports_problem(args, report):
            return
        rest: list[Finding] = []
        try:
            kind = pack.kind_of(args)
            if kind != rule.view.KIND:
                return
            properties = plain(args.props)
            # A new resource that --target leaves out has no properties, and this operation does not create it.
            if not (properties or kind == UNRECOGNISED):
                return
            settings = settings_of(rule, args, pack)
            if settings.problems:
                report(misconfigured(rule, settings), None)
                return
            live, ended = covering(settings["exempt"] or (), args.urn, args.name, pack.today())
            if live is not None and exempted_twice(live, args.urn):
                report(ambiguous(rule, live), None)
            elif live is not None:
                # Skip an exempt resource before the check, so that spend-gate does not add its price to the total.
                not_enforced(rule, args.name, live)
                return
            view = rule.view.of(args.urn, args.name, properties, protect=args.opts.protect)
            for finding in rule.check(view, settings):
                if isinstance(finding, Violation):
                    report(finding.message + ended_note(ended), None)
                elif isinstance(finding, Notice):
                    show(rule, finding.message + ended_note(ended))
                else:
                    rest.append(finding)
        except Exception as error:  # noqa: BLE001  (a crash of a rule is a violation with its place)
            report(crashed(rule, repr(args.name), error), None)
            return
        tell_sdk(args, rest, args.name)

    return validate


_ACCESSES: Final[Mapping[str, type[ChildView]]] = {
    view.KIND: view for view in (AllowedIpView, VpnClientView, ConnectionView, SshCertificateView)
}


class _Elsewhere:
    """
    Checks resources that give access to a container that the stack does not contain.

    The complete stack is known only at the end of an update, when access is already possible. So if a container's id
    alone shows that the container is not in the stack, the resource is checked before it is created.
    """

    def __init__(self, rule: StackRule, pack: Pack) -> None:
        self._rule, self._pack = rule, pack
        self._reported: set[str] = set()

    def check(self, kind: str | None, args: pulumi_policy.ResourceValidationArgs, report: Report) -> None:
        """Check one resource before it is created."""
        rule, view, properties = self._rule, _ACCESSES.get(kind or ""), plain(args.props)
        if rule.elsewhere is None or view is None or not properties:
            return
        settings = settings_of(rule, args, self._pack)
        live, ended = covering(settings["exempt"] or (), args.urn, args.name, self._pack.today())
        if settings.problems or live is not None:
            return
        try:
            child = view.of(args.urn, args.name, properties, protect=args.opts.protect)
            if isinstance(child.container, str) and self._pack.has_none_of(child):
                for finding in rule.elsewhere(child, settings):
                    if isinstance(finding, Violation):
                        self._reported.add(args.urn)
                        report(finding.message + ended_note(ended), None)
        except Exception as error:  # noqa: BLE001  (a crash of a rule is a violation with its place)
            report(crashed(rule, repr(args.name), error), None)

    def findings(self, stack: StackView, settings: Settings) -> Iterator[Finding]:
        """Return the findings for those resources of a stack that were not reported before."""
        if self._rule.elsewhere is not None:
            for child in stack.accesses:
                if child.urn not in self._reported and not child.is_of(stack):
                    yield from self._rule.elsewhere(child, settings)


def _stack_check(
    rule: StackRule, pack: Pack, elsewhere: _Elsewhere
) -> Callable[[pulumi_policy.StackValidationArgs, Report], None]:
    def check(args: pulumi_policy.StackValidationArgs, report: Report) -> None:
        settings = settings_of(rule, args, pack)
        rest: list[Finding] = []
        try:
            ours = _ours(args.resources, pack)
            exempt, ended, unclear = _exempt(rule, ours, settings, pack.today())
            for exemption in unclear:
                report(ambiguous(rule, exemption), None)
            notes = "".join(ended_note(exemption) for exemption in ended.values())
            stack = _stack(ours, exempt)
            for finding in (*rule.check(stack, settings), *elsewhere.findings(stack, settings)):
                if isinstance(finding, Notice):
                    show(rule, finding.message + notes)
                elif not isinstance(finding, Violation):
                    rest.append(finding)
                elif finding.urn is None:
                    report(finding.message + notes, None)
                else:
                    report(finding.message + ended_note(ended.get(finding.urn)), finding.urn)
        except Exception as error:  # noqa: BLE001  (a crash of a rule is a violation with its place)
            report(crashed(rule, "the stack", error), None)
            return
        if not any(isinstance(finding, Deferred) for finding in rest):
            tell_sdk(args, rest, "the stack")
        else:
            text = f"{rule.name} deferred a value, but a rule for the entire stack must not do that; please report it."
            report(with_code(text, "policy-crashed"), None)

    return check


@dataclass(frozen=True)
class _Ours:
    """A resource of this package's types, with its kind and its plain properties."""

    resource: pulumi_policy.PolicyResource
    kind: str
    properties: Mapping[str, Any]


def _ours(resources: Iterable[pulumi_policy.PolicyResource], pack: Pack) -> list[_Ours]:
    kinds = ((resource, pack.kind_of(resource)) for resource in resources)
    return [_Ours(resource, kind, plain(resource.props)) for resource, kind in kinds if kind is not None]


def _exempt(
    rule: StackRule, ours: Sequence[_Ours], settings: Settings, today: datetime.date
) -> tuple[set[str], dict[str, Exemption], list[Exemption]]:
    """Return the exempt URNs, the exemptions that have ended, and the exemptions with an ambiguous name."""
    live: dict[Exemption, dict[str, str]] = {}
    ended: dict[str, Exemption] = {}
    for kind in rule.subjects:
        found: dict[Exemption, dict[str, str]] = {}
        for one in ours:
            if one.kind == kind:
                urn, name = one.resource.urn, one.resource.name
                holds, past = covering(settings["exempt"] or (), urn, name, today)
                if holds is not None:
                    found.setdefault(holds, {})[urn] = name
                elif past is not None:
                    ended[urn] = past
        # A child often has the same name as its container. Then the resource of the kind that the rule lists first is
        # exempt.
        live = {**found, **live}
    # An exemption is for one resource, so a sum must not leave out all resources with that name.
    unclear = [exemption for exemption, covered in live.items() if len(covered) > 1]
    exempt: set[str] = set()
    for exemption, covered in live.items():
        if len(covered) == 1:
            [(urn, name)] = covered.items()
            exempt.add(urn)
            not_enforced(rule, name, exemption)
    return exempt, ended, unclear


_IN_STACK: Final[Mapping[str, type[ResourceView]]] = {
    view.KIND: view
    for view in (
        ContainerView,
        PinnedBackupView,
        VpnClientView,
        AllowedIpView,
        UnrecognisedView,
        ConnectionView,
        SshCertificateView,
    )
}


def _stack(ours: list[_Ours], exempt: set[str]) -> StackView:
    views: dict[str, list[Any]] = {kind: [] for kind in _IN_STACK}
    left_out: list[Any] = []
    for one in ours:
        resource, view = one.resource, _IN_STACK.get(one.kind)
        if view is None or not (one.properties or one.kind == UNRECOGNISED):
            continue
        parent = view.PARENT if issubclass(view, ChildView) else ""
        sources = frozenset(source.urn for source in resource.property_dependencies.get(parent, []))
        seen = view.of(
            resource.urn, resource.name, one.properties, protect=resource.opts.protect, made_from=sources
        )
        if resource.urn not in exempt:
            views[one.kind].append(seen)
        elif one.kind == ContainerView.KIND:
            left_out.append(seen)
    return replace(StackView(*map(tuple, views.values())), exempt=tuple(left_out))


def _as_check(rule: Remediation[Any]) -> ResourceRule[Any]:
    """
    Return a rule that reports a remediation's changes as violations.

    At the level `remediate`, this rule runs after the change and finds nothing. At the other levels, the SDK changes
    nothing, so this rule must report the resource.
    """

    def check(view: Any, settings: Settings) -> Iterator[Finding]:
        changes = rule.changes(view, settings)
        if changes:
            yield Violation(
                f"{rule.name} would change the {' and the '.join(changes)} of {view.name!r}, but a policy changes "
                f"properties only at the level remediate. {rule.fix}"
            )

    common = {field.name: getattr(rule, field.name) for field in fields(Rule)}
    return ResourceRule(**common, view=rule.view, check=check)


def _remediation(rule: Remediation[Any], pack: Pack) -> pulumi_policy.ResourceRemediation:
    def remediate(args: pulumi_policy.ResourceValidationArgs) -> Any:
        try:
            settings = settings_of(rule, args, pack)
            if pack.kind_of(args) != rule.view.KIND or settings.problems:
                return None
            properties = plain(args.props)
            view = rule.view.of(args.urn, args.name, properties, protect=args.opts.protect)
            live, _ = covering(settings["exempt"] or (), args.urn, args.name, pack.today())
            changes = {} if live is not None else rule.changes(view, settings)
        except Exception as error:  # noqa: BLE001  (as above; a remediation can report only an error)
            raise RuntimeError(crashed(rule, repr(args.name), error)) from None
        if not changes:
            return None
        changes.update(_new_price({**properties, **changes}))
        write_properties(args.props, changes)
        return args.props

    return remediate


def _new_price(properties: Mapping[str, Any]) -> dict[str, Any]:
    """Return the price after a remediation. The provider computed the old price before the plan was changed."""
    [name] = [name for name in _PRICE_INPUTS if isinstance(properties.get(name), int | float)][:1] or [""]
    view = ContainerView.of("", "", properties)
    new = price(view.template, view.plan, view.tier)
    return {name: float(new.low)} if name and new.exact else {}
