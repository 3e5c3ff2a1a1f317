"""
Runs a pack without an engine. This module contains all uses of private parts of Pulumi's policy SDK.

`Analyzer` runs the SDK's analyzer in this process, with the steps that the engine takes before and after it. The SDK
has no public function for this.

| Part | Used to |
|---|---|
| `pulumi_policy.policy._PolicyAnalyzerServicer` | run a pack without an engine; check a whole configuration |
| its `__policies`; the call of `add_AnalyzerServicer_to_server` in `PolicyPack` | get the policies of a program |
| `pulumi_policy.proxy.UNKNOWN_STRING_VALUE` | send an unknown value to a policy, and show it in an error |
| `pulumi_policy.proxy.UnknownValueError` | recognise an unknown value, and report that a check must wait |
| writable properties | change a property in a remediation, and keep secrets marked |

Other modules import these parts from here. If the SDK changes one, `tests/policy/test_sdk_canary.py` fails and shows
the SDK's version.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType
from typing import Any, Final, TypeAlias, cast

import grpc
import pulumi_policy
from google.protobuf import empty_pb2, json_format
from pulumi.runtime import proto
from pulumi.runtime.proto import analyzer_pb2_grpc
from pulumi_policy import policy as sdk
from pulumi_policy.policy import _PolicyAnalyzerServicer as AnalyzerServicer
from pulumi_policy.proxy import UNKNOWN_STRING_VALUE, UnknownValueError

from stacks_pulumi._identifiers import did_you_mean
from stacks_pulumi.errors import with_code
from stacks_pulumi.policy.options import PolicyException
from stacks_pulumi.pricing import recognition
from stacks_pulumi.pricing.recognition import SIGNATURE, UNKNOWN, known

__all__ = [
    "UNKNOWN_STRING_VALUE",
    "Analyzer",
    "AnalyzerServicer",
    "CheckedServicer",
    "Diagnostic",
    "Resource",
    "Secret",
    "UnknownValueError",
    "serve",
    "write_properties",
]

ALL: Final = "all"
"""The configuration's key that sets the level of every policy."""

TAG: Final = "stacks"
"""The tag of this package's policies; a pack may also contain other policies."""


class CheckedServicer(AnalyzerServicer):
    """
    The SDK's analyzer, extended: it also refuses entries and options that would have no effect.

    The engine applies the level of `all` to every policy whose entry has no level. So `{"all": "disabled",
    "monthly-budget": {"max_monthly_usd": 5}}` sets a limit that no policy enforces, and a disabled policy cannot report
    this. The engine also accepts entries for unknown policies, and options for `all`.
    """

    def __init__(
        self,
        name: str,
        version: str,
        policies: list[pulumi_policy.Policy],
        enforcement_level: pulumi_policy.EnforcementLevel,
        initial_config: Mapping[str, Any] | None = None,
        *more: Any,
    ) -> None:
        super().__init__(name, version, policies, enforcement_level, dict(initial_config or {}), *more)
        self._names = [policy.name for policy in policies]
        self._own = {policy.name: policy for policy in policies if TAG in (policy.tags or ())}
        self._initial = initial_config or {}

    def Configure(self, request: Any, _context: Any) -> Any:  # noqa: N802  (the name in the protocol)
        """Store the configuration; fail if an entry or an option would have no effect."""
        texts = [
            with_code(text, "policy-settings")
            for name, given in sorted(request.policyConfig.items())
            for text in self._problems(name, given)
        ]
        if texts:
            if _context is not None:
                _context.abort(grpc.StatusCode.INVALID_ARGUMENT, "\n".join(texts))
            raise ValueError("\n".join(texts))
        return super().Configure(request, _context)  # type: ignore[no-untyped-call]  # (the SDK has no types here)

    def _problems(self, name: str, given: Any) -> Iterator[str]:
        properties = json_format.MessageToDict(given.properties)
        if name == ALL:
            yield from filter(None, [options_of_all(properties)])
        elif name not in self._names:
            yield not_a_policy(name, self._names)
        elif name in self._own and given.enforcementLevel == proto.DISABLED:
            yield from self._without_effect(name, properties)

    def _without_effect(self, name: str, given: Mapping[str, Any]) -> Iterator[str]:
        schema = self._own[name].config_schema
        known = {
            option: described.get("default")
            for option, described in (schema.properties if schema else {}).items()
        }
        initial = self._initial.get(name)
        known |= initial if isinstance(initial, Mapping) else {}
        options = [option for option, value in given.items() if value != known.get(option)]
        if options:
            yield without_effect(name, options)


def without_effect(policy: str, options: Sequence[str]) -> str:
    """Return the message about the options of a disabled policy."""
    return (
        f"{policy} is disabled, so its {' and its '.join(options)} would have no effect. A policy without an "
        f"enforcementLevel has the level of 'all', or else its default. Set the enforcementLevel of {policy}, or "
        "remove its options."
    )


def options_of_all(properties: Mapping[str, Any]) -> str:
    """Return an error if an entry for `all` has options, which the engine would ignore; otherwise an empty string."""
    options = [option for option in properties if option != "enforcementLevel"]
    if options:
        return f"{options[0]!r} is set for 'all', which accepts only a level: set it for each policy"
    return ""


def serve(**pack: Any) -> None:
    """Serve a pack to the engine; the arguments are those of the SDK's `PolicyPack`. Never returns."""
    # The SDK has no other way to see the configuration of a disabled policy.
    with _replaced(sdk, "_PolicyAnalyzerServicer", CheckedServicer):
        pulumi_policy.PolicyPack(**pack)


@contextlib.contextmanager
def _replaced(module: ModuleType, name: str, ours: object) -> Iterator[None]:
    """Replace a name in a module during a `with` block; `PolicyPack` has no parameters for this."""
    original = getattr(module, name)
    setattr(module, name, ours)
    try:
        yield
    finally:
        setattr(module, name, original)


class _ServedError(BaseException):
    """Raised to end a pack's program before its server starts."""


_serving = threading.Lock()


def served_by(program: Callable[[], object], name: str | Path) -> AnalyzerServicer:
    """
    Return the analyzer that a program would serve to the engine: the SDK's or ours.

    Args:
        program: A function that runs the program in this process. The program ends before its server starts.
        name: The program's name, for the error message.

    Raises:
        ValueError: The program serves no pack.
    """
    served: list[AnalyzerServicer] = []

    def listen(servicer: AnalyzerServicer, _server: object) -> None:
        served.append(servicer)
        raise _ServedError

    # Only one call may run at once: its end would undo the replacement that another call still needs.
    with (
        _serving,
        _replaced(analyzer_pb2_grpc, "add_AnalyzerServicer_to_server", listen),
        contextlib.suppress(_ServedError),
    ):
        program()
    if not served:
        raise ValueError(f"{name} serves no policy pack: it must call StacksGuard(...).run()")
    return served[0]


def policies_of(servicer: AnalyzerServicer) -> list[pulumi_policy.Policy]:
    """Return the policies that an analyzer runs."""
    return list(servicer._PolicyAnalyzerServicer__policies)  # type: ignore[attr-defined]  # noqa: SLF001  (see the table above)


def write_properties(properties: Mapping[str, Any], changes: Mapping[str, Any]) -> None:
    """
    Change properties of a resource in place.

    In a copy, secrets would no longer be marked as secret, and the engine would store them in plain text. The mapping
    is writable, although the SDK declares it as read-only.
    """
    writable = cast("MutableMapping[str, Any]", properties)
    for name, value in changes.items():
        writable[name] = value


# The mark of a secret in Pulumi's resource protocol.
_SECRET: Final = "1b47061264138c4ac30d75fd1eb44270"  # noqa: S105  (the protocol's signature of a secret, not a secret)

_TO_WIRE: Final = {
    "advisory": proto.ADVISORY,
    "mandatory": proto.MANDATORY,
    "remediate": proto.REMEDIATE,
    "disabled": proto.DISABLED,
}
_FROM_WIRE: Final = {number: level for level, number in _TO_WIRE.items()}


@dataclass(frozen=True)
class Secret:
    """A secret value of a property."""

    value: Any


@dataclass(frozen=True)
class Resource:
    """
    A resource of a program.

    Attributes:
        type: Its type token.
        name: Its name in the program.
        properties: Its checked inputs; `UNKNOWN` and `Secret` are allowed at any depth.
        protect: Whether the engine refuses to delete it.
        sources: Property -> the names of the resources that its value depends on.
        parent: The type of its parent component; empty if it has no parent.
        component: Whether it is a component, which has no provider.
    """

    type: str
    name: str
    properties: Mapping[str, Any]
    protect: bool = False
    sources: Mapping[str, Sequence[str]] = field(default_factory=dict)
    parent: str = ""
    component: bool = False

    def __post_init__(self) -> None:
        """Refuse a malformed type, because no policy would check the resource, and every test would pass."""
        if self.type.count(":") < 2:
            msg = f"{self.type!r} is not a type token such as {recognition.CONTAINER!r}"
            raise ValueError(msg)

    @property
    def urn(self) -> str:
        """The URN in the stack `dev` of the project `test`."""
        kind = f"{self.parent}${self.type}" if self.parent else self.type
        return f"urn:pulumi:dev::test::{kind}::{self.name}"


_ROOT: Final = Resource(recognition.STACK, "test-dev", {})
"""The stack's root resource, on which the engine reports violations that concern the entire stack."""


@dataclass(frozen=True)
class Diagnostic:
    """
    A violation that a policy has reported.

    Attributes:
        policy: The policy's name.
        level: `advisory` or `mandatory`.
        message: The text, with the policy's description above it.
        resource: The name of the resource with the violation; `None` for the whole stack.
        exceptions: The ids of the configured exceptions that allow the violation.
    """

    policy: str
    level: str
    message: str
    resource: str | None
    exceptions: tuple[str, ...] = ()

    @property
    def blocks(self) -> bool:
        """Whether the violation makes an operation fail."""
        return self.level == "mandatory" and not self.exceptions

    def __str__(self) -> str:
        level = f"{self.level}, exempted by {', '.join(self.exceptions)}" if self.exceptions else self.level
        return f"[{level}] {self.policy} on {self.resource or 'the stack'}: {self.message}"


class Analyzer:
    """
    Runs a pack with the configuration that the engine would pass to it.

    Args:
        servicer: The analyzer that the pack's program serves to the engine.
        config: The user's configuration; it overrides the pack's own configuration.
        tags: The stack's tags.
        exceptions: The exceptions in the configuration; the engine allows the violations that they cover.

    Attributes:
        not_applicable: Policy -> the reason why it checked nothing.
    """

    def __init__(
        self,
        servicer: AnalyzerServicer,
        config: Mapping[str, str | Mapping[str, Any]],
        tags: Mapping[str, str],
        *,
        exceptions: Sequence[PolicyException] = (),
    ) -> None:
        self._exceptions = exceptions
        self.not_applicable: dict[str, str] = {}
        self._servicer: Any = servicer
        request = proto.ConfigureAnalyzerRequest()
        info = self._servicer.GetAnalyzerInfo(empty_pb2.Empty(), None)
        for policy, (level, properties) in _reconciled(info, config).items():
            request.policyConfig[policy].enforcementLevel = _TO_WIRE[level]
            request.policyConfig[policy].properties.update(properties)
        self._servicer.Configure(request, None)
        self._servicer.ConfigureStack(
            proto.AnalyzerStackConfigureRequest(stack="dev", project="test", tags=tags), None
        )

    def remediate(self, resource: Resource) -> Resource:
        """Return the resource after the policies of level `remediate` have corrected it."""
        # The engine marks secrets only in this call.
        request = _filled(proto.AnalyzeRequest(), resource, secrets=True)
        response = self._servicer.Remediate(request, None)
        for remediation in response.remediations:
            properties = json_format.MessageToDict(remediation.properties)
            resource = replace(
                resource, properties={name: _from_wire(value) for name, value in properties.items()}
            )
        return resource

    def analyze(self, resource: Resource) -> list[Diagnostic]:
        """Return the violations that the policies for single resources report."""
        request = _filled(proto.AnalyzeRequest(), resource)
        return self._findings(self._servicer.Analyze(request, None), {}, resource)

    def analyze_stack(self, resources: Sequence[Resource]) -> list[Diagnostic]:
        """Return the violations that the policies for the entire stack report."""
        names = {resource.urn: resource.name for resource in resources}
        request = proto.AnalyzeStackRequest()
        for resource in resources:
            message = _filled(request.resources.add(), resource)
            for property_name, sources in resource.sources.items():
                urns = [urn for urn, name in names.items() if name in sources and urn != resource.urn]
                message.propertyDependencies[property_name].urns.extend(urns)
                message.dependencies.extend(urns)
        return self._findings(self._servicer.AnalyzeStack(request, None), names, None)

    def _findings(
        self, response: Any, names: Mapping[str, str], resource: Resource | None
    ) -> list[Diagnostic]:
        for skipped in response.not_applicable:
            self.not_applicable[skipped.policy_name] = skipped.reason
        one = resource or _ROOT
        return [
            Diagnostic(
                found.policyName,
                _FROM_WIRE[found.enforcementLevel],
                found.message,
                names.get(found.urn, None if resource is None else resource.name),
                tuple(
                    exception.id
                    for exception in self._exceptions
                    if exception.covers(found.policyName, found.urn if found.urn in names else one.urn)
                ),
            )
            for found in response.diagnostics
        ]


def _filled(message: Any, resource: Resource, *, secrets: bool = False) -> Any:
    """Fill a message of the protocol with a resource, and return it. If `secrets` is set, secret values are marked."""
    message.type, message.urn, message.name = resource.type, resource.urn, resource.name
    message.options.protect = resource.protect
    message.properties.update(_to_wire(resource.properties, secrets=secrets))
    if not (resource.component or resource.type == recognition.STACK):
        message.provider.type = f"pulumi:providers:{resource.type.partition(':')[0]}"
    return message


def not_a_policy(name: str, known: Iterable[str]) -> str:
    """Return the message about an entry whose name is not a policy of the pack."""
    return (
        f"the configuration has an entry {name!r}, which is not a policy of this pack{did_you_mean(name, known)}: its "
        f"policies are {', '.join(known)}"
    )


_Entry: TypeAlias = tuple[str | None, dict[str, Any]]
"""The level and the options of a policy in a configuration; the level is `None` if the entry has none."""


def _reconciled(
    info: Any, config: Mapping[str, str | Mapping[str, Any]]
) -> dict[str, tuple[str, dict[str, Any]]]:
    """
    Return the level and the options of each policy, as the engine's `ReconcilePolicyPackConfig` does.

    The pack's own configuration overrides the defaults of its policies, and the user's configuration overrides both. In
    each configuration, the level of a policy's own entry overrides the level of `all`.

    Raises:
        ValueError: The user's configuration names a policy that is not in the pack, or its entry for `all` has no
            level.
    """
    result: dict[str, tuple[str, dict[str, Any]]] = {}
    for policy in info.policies:
        options = json_format.MessageToDict(policy.configSchema).get("properties", {})
        defaults = {name: option["default"] for name, option in options.items() if "default" in option}
        result[policy.name] = _FROM_WIRE[policy.enforcementLevel], defaults
    for name in config:
        if name != ALL and name not in result:
            raise ValueError(not_a_policy(name, result))
    initial: dict[str, _Entry] = {
        name: (_FROM_WIRE[given.enforcementLevel], json_format.MessageToDict(given.properties))
        for name, given in info.initialConfig.items()
    }
    for entries in (initial, {name: _entry(given) for name, given in config.items()}):
        common, _ = entries.get(ALL, (None, {}))
        if common is not None:
            result = {name: (common, options) for name, (_, options) in result.items()}
        for name, (level, options) in entries.items():
            former, known = result.get(name, (level, {}))
            given = level or former
            if given is None:
                # The engine refuses this too, but its message does not name `all`.
                raise ValueError(options_of_all(options) or "'all' has no level")
            result[name] = given, {**known, **options}
    return result


def _entry(entry: Any) -> _Entry:
    if not isinstance(entry, Mapping):
        return _level(entry), {}
    level = entry.get("enforcementLevel")
    rest = {name: value for name, value in entry.items() if name != "enforcementLevel"}
    return None if level is None else _level(level), rest


def _level(level: Any) -> str:
    value = level.value if isinstance(level, pulumi_policy.EnforcementLevel) else level
    if value not in _TO_WIRE:
        msg = f"{value!r} is not an enforcement level: it must be one of {', '.join(_TO_WIRE)}"
        raise ValueError(msg)
    return str(value)


def _to_wire(value: Any, *, secrets: bool = False) -> Any:
    if value is UNKNOWN:
        return UNKNOWN_STRING_VALUE
    if isinstance(value, Secret):
        return {SIGNATURE: _SECRET, "value": value.value} if secrets else value.value
    if isinstance(value, Mapping):
        return {name: _to_wire(item, secrets=secrets) for name, item in value.items()}
    if isinstance(value, list):
        return [_to_wire(item, secrets=secrets) for item in value]
    return value


def _from_wire(value: Any) -> Any:
    if isinstance(value, dict) and value.get(SIGNATURE) == _SECRET:
        return Secret(value["value"])
    return known(value)
