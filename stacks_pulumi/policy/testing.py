"""
Tests policies without an engine: rules and entire packs run on plain properties, which may be unknown.

```python
from stacks_pulumi.policy import UNKNOWN, StacksGuard
from stacks_pulumi.policy.testing import PackTester, container

def test_an_unknown_plan_counts_as_the_most_expensive_one():
    pack = PackTester(StacksGuard(max_monthly_usd=19))

    outcome = pack.preview(container("a", plan="premium"), container("b", plan=UNKNOWN))

    outcome.assert_blocked_by("monthly-budget", "'b'")
```

The SDK's own analyzer runs in this process, with the same protobuf messages that the engine sends. So unknown values,
secrets, levels and configuration are treated as in a real operation.
"""

from __future__ import annotations

import datetime
import runpy
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, get_args

import pulumi_policy

from stacks_pulumi import catalog
from stacks_pulumi.errors import with_code
from stacks_pulumi.policy._analyzer import (
    TAG,
    Analyzer,
    AnalyzerServicer,
    Diagnostic,
    Resource,
    Secret,
    not_a_policy,
    options_of_all,
    policies_of,
    serve,
    served_by,
)
from stacks_pulumi.policy.adapter import longest_exemption
from stacks_pulumi.policy.guard import EXPOSURE, PLANS, SPEND, StacksGuard, rules, utc_today, wrong_level
from stacks_pulumi.policy.options import configuration_of, read_configuration
from stacks_pulumi.policy.rule import LONGEST_EXEMPTION, Level
from stacks_pulumi.pricing import recognition
from stacks_pulumi.pricing.recognition import UNKNOWN

__all__ = [
    "UNKNOWN",
    "Diagnostic",
    "Outcome",
    "PackTester",
    "Resource",
    "Secret",
    "allowed_ip",
    "configuration_problems",
    "container",
    "load_pack",
    "pinned_backup",
    "resource",
    "vpn_client",
]


def resource(type: str, name: str, /, *, protect: bool = False, **properties: Any) -> Resource:
    """
    Return a resource of any type that has exactly these properties.

    Args:
        type: Its type token, or the name of a class of this package: `Container`.
        name: The resource's name in the program.
        protect: Whether the engine refuses to delete it.
        properties: Its properties.
    """
    token = f"{recognition.DYNAMIC}{type}" if type in recognition.KINDS else type
    return Resource(token, name, properties, protect)


def container(
    name: str, /, template: Any = "nodejs", *, protect: bool = False, **properties: Any
) -> Resource:
    """
    Return a Container that includes the values that the provider's `check` adds: name, default plan and price.

    Args:
        name: The resource's name in the program.
        template: Template id, `UNKNOWN` or a `Secret`.
        protect: Whether the engine refuses to delete it.
        properties: More inputs: `plan`, `additional_storage_tier` ...
    """
    inputs = {"name": name, "template": template, **properties}
    if inputs.get("plan") is None:
        inputs.pop("plan", None)
        default = catalog.default_plan(template) if isinstance(template, str) else None
        if default is not None:
            inputs["plan"] = default
    tier = inputs.get("additional_storage_tier")
    if (
        isinstance(template, str)
        and not isinstance(inputs.get("plan"), Secret)
        and UNKNOWN not in inputs.values()
    ):
        price = catalog.monthly_price(template, inputs.get("plan"), tier if isinstance(tier, int) else None)
        inputs |= {} if price is None else {"monthly_price_usd": float(price)}
    return Resource(recognition.CONTAINER, name, inputs, protect)


def allowed_ip(
    name: str, /, ip_address: Any, service_type: Any = "both", *, of: str | None = None, **properties: Any
) -> Resource:
    """
    Return an AllowedIp.

    Args:
        name: The resource's name in the program.
        ip_address: An address or a network, `UNKNOWN` or a `Secret`.
        service_type: `http`, `tcp` or `both`.
        of: The name of the Container resource that it refers to; `None` for a container outside of the program.
        properties: More inputs.
    """
    inputs = {"container": _id_of(of), "ip_address": ip_address, "service_type": service_type, **properties}
    return Resource(recognition.ALLOWED_IP, name, inputs, sources={} if of is None else {"container": [of]})


def pinned_backup(name: str, /, of: str | None = None, container: Any = None, **properties: Any) -> Resource:
    """
    Return a PinnedBackup.

    Args:
        name: The resource's name in the program.
        of: The name of the Container resource that it refers to; `None` for a container outside of the program.
        container: The container's id; `UNKNOWN` for a container that the same operation creates.
        properties: More inputs.
    """
    id_ = _id_of(of) if container is None else container
    sources = {} if of is None else {"container": [of]}
    return Resource(recognition.PINNED_BACKUP, name, {"container": id_, **properties}, sources=sources)


def _id_of(container: str | None) -> str:
    """Return the id of the container that the Container resource with this name manages."""
    return f"usr-00000000-{container or 'app'}"


def vpn_client(name: str, /, **properties: Any) -> Resource:
    """Return a VpnClient of an existing container."""
    return Resource(recognition.VPN_CLIENT, name, {"container": _id_of(None), "name": name, **properties})


@dataclass(frozen=True)
class Outcome:
    """
    The result of an operation.

    Attributes:
        findings: All reported violations, in order.
        made: The names of the resources that an update created; empty for a preview.
        properties: Resource name -> its properties after remediation; secrets are `Secret`.
        not_applicable: Policy -> the reason why it checked nothing.
    """

    findings: tuple[Diagnostic, ...]
    made: tuple[str, ...]
    properties: Mapping[str, Mapping[str, Any]]
    not_applicable: Mapping[str, str]

    @property
    def blocked(self) -> bool:
        """Whether the operation fails: a mandatory policy was violated, and no exception allows it."""
        return any(finding.blocks for finding in self.findings)

    def of(self, policy: str) -> tuple[Diagnostic, ...]:
        """Return the violations that one policy reported."""
        return tuple(finding for finding in self.findings if finding.policy == policy)

    def assert_passes(self) -> None:
        """Assert that nothing was reported, not even a warning."""
        assert not self.findings, f"expected no finding, got:\n{self}"  # noqa: S101  (an assertion is its purpose)

    def assert_blocked_by(self, policy: str, *texts: str) -> None:
        """Assert that this policy reported mandatory violations, and that their messages contain these texts."""
        self._assert(policy, "mandatory", texts)

    def assert_warned_by(self, policy: str, *texts: str) -> None:
        """Assert that this policy reported advisory violations, and that their messages contain these texts."""
        self._assert(policy, "advisory", texts)

    def _assert(self, policy: str, level: str, texts: tuple[str, ...]) -> None:
        found = [finding for finding in self.of(policy) if finding.level == level and not finding.exceptions]
        messages = "\n".join(finding.message for finding in found)
        assert messages, f"expected a {level} violation of {policy}, got:\n{self}"  # noqa: S101  (its purpose)
        for text in texts:
            assert text in messages, f"expected {text!r} in:\n{messages}"  # noqa: S101  (its purpose)

    def __str__(self) -> str:
        return "\n".join(map(str, self.findings)) or "no finding"


def load_pack(directory: str | Path) -> AnalyzerServicer:
    """
    Run a pack's `__main__.py`, and return the analyzer that it would serve to the engine.

    Raises:
        ValueError: The program does not serve a pack.
    """
    main = Path(directory) / "__main__.py"
    try:
        return served_by(lambda: runpy.run_path(str(main), run_name="__main__"), main)
    except TypeError as error:
        raise ValueError(
            f"{main}: Pulumi's SDK refuses the policy pack that this program serves: {error}"
        ) from error


_READY: Final = {"stacks-plans": PLANS, "stacks-spend": SPEND, "stacks-exposure": EXPOSURE}


def configuration_problems(text: str, pack: str | Path | None = None) -> list[str]:
    """
    Return the problems of a file for `--policy-pack-config`, including those that the engine silently ignores.

    The engine ignores unknown policies, options for `all`, an empty file, and the end date of an exception. If a key
    occurs several times, the engine uses the last one. This function also requires a reason and an end date (`expires`,
    in UTC) for each exception. The date must be neither in the past nor later than the pack's longest exemption allows.
    If the pack itself refuses the file, the problem contains the pack's own message.

    Args:
        text: The file's content.
        pack: The pack's folder (default: the ready pack that contains all policies in the file).

    Raises:
        ValueError: The program in the folder serves no pack, or an invalid pack.
    """
    served = None if pack is None else load_pack(pack)
    longest = LONGEST_EXEMPTION if served is None else longest_exemption(policies_of(served))
    file = read_configuration(text, utc_today(), longest)
    problems = list(file.problems)
    named = [name for one in file.exceptions for policies, _ in one.matches for name in policies]
    served = served or _ready([*file.policies, *named], problems)
    policies = policies_of(served)
    by_name = {policy.name: policy for policy in policies}
    problems += [
        with_code(f"in an exception, {not_a_policy(one, by_name)}", "policy-settings")
        for one in dict.fromkeys(named)
        if one not in by_name
    ]
    sound: dict[str, Any] = {}
    for key, entry in file.policies.items():
        wrong = _entry_problem(key, entry, by_name)
        if wrong:
            problems.append(with_code(wrong, "policy-settings"))
        else:
            sound[key] = entry
    try:
        analyzer = Analyzer(served, sound, {})
    except ValueError as error:
        return [*problems, *str(error).splitlines()]
    # A rule with a shared limit knows the limits of the other rules only at the second resource.
    resources = (Resource(recognition.STACK, "test-dev", {}), Resource("pulumi:providers:none", "none", {}))
    found = [finding for one in resources for finding in analyzer.analyze(one)]
    own = {policy.name for policy in policies if TAG in (policy.tags or ())}
    problems += [finding.message.partition("\n")[2] for finding in found if finding.policy in own]
    return list(dict.fromkeys(problems))


def _ready(names: Iterable[str], problems: list[str]) -> AnalyzerServicer:
    """
    Return the ready pack that contains all policies of a file. If no pack does, return a pack with all policies, and
    add a problem.
    """
    named = [name for name in dict.fromkeys(names) if name != "all"]
    fitting = [pack for pack, policies in _READY.items() if set(named) <= set(policies)]
    guard = StacksGuard(fitting[0], _READY[fitting[0]]) if fitting else StacksGuard()
    if not fitting and set(named) <= set(rules()):
        text = f"no ready pack has all of {', '.join(named)}: write a file for each pack, or name your own (--pack DIR)"
        problems.append(with_code(text, "policy-settings"))
    return served_by(lambda: serve(**guard.pack()), guard.name)


def _entry_problem(name: str, entry: Any, policies: Mapping[str, pulumi_policy.Policy]) -> str:
    """Return the problem with an entry's name, form or level; empty if the entry is correct."""
    if name != "all" and name not in policies:
        return not_a_policy(name, policies)
    if not isinstance(entry, str | Mapping):
        return f"the entry of {name!r} is neither a level nor an object"
    level = entry if isinstance(entry, str) else entry.get("enforcementLevel", "mandatory")
    if level not in get_args(Level):
        return wrong_level(name, level)
    if name == "all":
        return "" if isinstance(entry, str) else options_of_all(entry)
    policy = policies[name]
    # The SDK's stack policies do not have the method `has_remediation`.
    remediates = isinstance(policy, pulumi_policy.ResourceValidationPolicy) and policy.has_remediation()
    if level == "remediate" and not remediates:
        return f"the level of {name!r} is 'remediate', but this policy changes nothing: write mandatory"
    return ""


class PackTester:
    """
    Runs a policy pack in previews and updates.

    Args:
        pack: A `StacksGuard`, a pack's folder, or policies made with Pulumi's SDK.
        config: The content of the file for `--policy-pack-config`: a level or an object for each policy (or `all`). If
            it has version 2, its exceptions apply as in the engine. The stack is `dev` of the project `test`.
        tags: The stack's tags.
        today: The current day in UTC, which is compared with the end dates of exceptions and, for a `StacksGuard`, of
            exemptions.

    Raises:
        ValueError: The form of `config`, or one of its exceptions, is invalid.
    """

    def __init__(
        self,
        pack: StacksGuard | str | Path | Iterable[pulumi_policy.Policy],
        config: Mapping[str, Any] | None = None,
        *,
        tags: Mapping[str, str] | None = None,
        today: datetime.date | None = None,
    ) -> None:
        self._pack = pack if isinstance(pack, StacksGuard | str | Path) else list(pack)
        read = configuration_of(config or {}, today or utc_today(), LONGEST_EXEMPTION)
        if read.problems:
            raise ValueError("\n".join(read.problems))
        self._config, self._exceptions = read.policies, read.exceptions
        self._tags, self._today = dict(tags or {}), today

    def preview(self, *resources: Resource) -> Outcome:
        """Return the result of `pulumi preview`: the policies check every resource, and then the stack."""
        return self._run(resources, preview=True)

    def update(self, *resources: Resource) -> Outcome:
        """
        Return the result of `pulumi up --skip-preview`: the policies check each resource until one is refused, and then
        the stack.

        Raises:
            ValueError: A value is `UNKNOWN`; an update has no unknown values.
        """
        unknown = [resource.name for resource in resources if UNKNOWN in resource.properties.values()]
        if unknown:
            msg = f"{unknown[0]!r} has an unknown value: in an update, all values are known when a policy checks them"
            raise ValueError(msg)
        return self._run(resources, preview=False)

    def _analyzer(self) -> Analyzer:
        """Return a new analyzer for each operation, because the engine starts a new process for each one."""
        pack, today = self._pack, self._today or utc_today()
        if isinstance(pack, StacksGuard):
            served = served_by(lambda: serve(**pack.pack(lambda: today)), pack.name)
        elif isinstance(pack, list):
            served = served_by(lambda: pulumi_policy.PolicyPack("pack", pack), "pack")
        else:
            served = load_pack(pack)
        return Analyzer(served, self._config, self._tags, exceptions=self._exceptions)

    def _run(self, resources: Sequence[Resource], *, preview: bool) -> Outcome:
        analyzer = self._analyzer()
        findings: list[Diagnostic] = []
        made: list[str] = []
        ready: list[Resource] = []
        refused = False
        for given in (Resource(recognition.STACK, "test-dev", {}), *resources):
            ready.append(analyzer.remediate(given))
            found = analyzer.analyze(ready[-1])
            findings += found
            refused = not preview and any(finding.blocks for finding in found)
            if refused:
                break
            if not preview and given.type != recognition.STACK:
                made.append(given.name)
        if not refused:
            findings += analyzer.analyze_stack(ready)
        properties = {
            resource.name: resource.properties for resource in ready if resource.type != recognition.STACK
        }
        return Outcome(tuple(findings), tuple(made), properties, analyzer.not_applicable)
