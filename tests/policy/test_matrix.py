"""Every policy: passes, violates at preview and in an update, unknown, misconfigured, exempt, exemption ended."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeAlias

import pytest

from stacks_pulumi.policy import StacksGuard
from stacks_pulumi.policy.guard import rules
from stacks_pulumi.policy.testing import UNKNOWN, PackTester, Resource, Secret
from stacks_pulumi.pricing import recognition as tokens
from tests.support.policy_cases import CASES, Case, account

TODAY = datetime.date(2026, 6, 1)

each_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.policy)


def _marked(type_: str) -> Callable[[Resource], Resource]:
    """A resource with a different type, and the marker that `check` writes."""

    def disguise(one: Resource) -> Resource:
        kind = one.type.removeprefix(tokens.DYNAMIC)
        return replace(one, type=type_, properties={**one.properties, tokens.MARKER: kind})

    return disguise


def _native(one: Resource) -> Resource:
    properties = {
        "".join(word.title() if number else word for number, word in enumerate(name.split("_"))): value
        for name, value in one.properties.items()
    }
    return replace(one, type=one.type.replace(tokens.DYNAMIC, tokens.NATIVE), properties=properties)


DISGUISES: dict[str, Callable[[Resource], Resource]] = {
    # A plain subclass, and one with an explicit provider, have the type of the class.
    "plain class": lambda one: one,
    "subclass with its own type": _marked("pulumi-python:dynamic/acme:Db"),
    "type under our prefix": _marked("pulumi-python:dynamic/stacks:Db"),
    "SDK's dynamic resource": _marked("pulumi-python:dynamic:Resource"),
    "in a component": lambda one: replace(one, parent="shop:index:Site"),
    "native type": _native,
    "secret values": lambda one: replace(
        one,
        properties={
            name: value if value is UNKNOWN else Secret(value) for name, value in one.properties.items()
        },
    ),
}


@pytest.fixture(params=DISGUISES, ids=str)
def disguised(request: pytest.FixtureRequest) -> Callable[[tuple[Resource, ...]], tuple[Resource, ...]]:
    """Return the same resources, declared with different types."""
    disguise = DISGUISES[request.param]
    return lambda resources: tuple(map(disguise, resources))


Disguise: TypeAlias = Callable[[tuple[Resource, ...]], tuple[Resource, ...]]


def pack_of(case: Case, **config: Any) -> PackTester:
    guard = StacksGuard("test", [case.policy], account=account)
    settings = {**case.config, **config, "enforcementLevel": "mandatory"}
    return PackTester(guard, {case.policy: settings}, today=TODAY)


def known(resources: tuple[Resource, ...]) -> tuple[Resource, ...]:
    """Return the resources as in an update, where every value is known."""
    return tuple(
        replace(
            one,
            properties={key: "usr-1" if value is UNKNOWN else value for key, value in one.properties.items()},
        )
        for one in resources
    )


def exemption(case: Case, expires: str) -> dict[str, Any]:
    return {"exempt": [{"name": case.culprit, "reason": "agreed with finance", "expires": expires}]}


def test_every_policy_is_in_the_matrix() -> None:
    # These two never refuse a resource; other tests cover them.
    assert {case.policy for case in CASES} | {"clamp-plan", "cost-report"} == set(rules())


@each_case
def test_allowed_resources_pass(case: Case, disguised: Disguise) -> None:
    pack_of(case).preview(*disguised(case.passes)).assert_passes()

    outcome = pack_of(case).update(*disguised(known(case.passes)))
    assert not outcome.blocked, outcome
    assert outcome.made == tuple(resource.name for resource in known(case.passes))


@each_case
def test_a_violation_blocks_the_preview_with_price_limit_and_fix(case: Case, disguised: Disguise) -> None:
    outcome = pack_of(case).preview(*disguised(case.violates))

    outcome.assert_blocked_by(case.policy, *case.says)
    assert len(outcome.of(case.policy)) == 1


@each_case
def test_unknown_values_at_preview_never_pass_silently(case: Case, disguised: Disguise) -> None:
    outcome = pack_of(case).preview(*disguised(case.unknown))

    if case.then == "violates":
        outcome.assert_blocked_by(case.policy)
    else:
        outcome.assert_warned_by(
            case.policy, "is not known yet; the update checks it before the resource is created"
        )
        assert not outcome.blocked


@each_case
def test_an_update_creates_no_violation(case: Case, disguised: Disguise) -> None:
    outcome = pack_of(case).update(*disguised(case.violates))

    outcome.assert_blocked_by(case.policy)
    if case.stack and case.policy != "unmanaged-target":
        # The engine checks the stack after all resources were created, so these must judge at preview. The id of
        # another stack's container shows that before.
        assert outcome.made == tuple(resource.name for resource in case.violates)
    else:
        assert outcome.made == tuple(resource.name for resource in case.violates[:-1])


@each_case
def test_a_wrong_configuration_blocks_everything(case: Case) -> None:
    guard = StacksGuard("test", [case.policy], account=account)
    outcome = PackTester(guard, {case.policy: {**case.misspelt, "enforcementLevel": "mandatory"}}).preview(
        *case.passes
    )

    [wrong] = case.misspelt
    outcome.assert_blocked_by(case.policy, f"{case.policy} is misconfigured", f"'{wrong}'")


@each_case
def test_a_valid_exemption_passes_its_resource_and_is_reported(
    case: Case, disguised: Disguise, capfd: pytest.CaptureFixture[str]
) -> None:
    pack_of(case, **exemption(case, "2026-06-01")).preview(*disguised(case.violates)).assert_passes()

    assert (
        f"{case.policy}: '{case.culprit}' is exempt until 2026-06-01: agreed with finance"
        in capfd.readouterr().err
    )


@each_case
def test_an_expired_exemption_is_ignored_and_reported(case: Case, disguised: Disguise) -> None:
    outcome = pack_of(case, **exemption(case, "2026-05-31")).preview(*disguised(case.violates))

    outcome.assert_blocked_by(
        case.policy, *case.says, "Its exemption ended on 2026-05-31: agreed with finance."
    )


@each_case
def test_a_resource_outside_the_target_is_ignored(case: Case) -> None:
    """For a new resource outside --target, policies get no properties."""
    untargeted = [replace(resource, properties={}) for resource in case.violates]

    outcome = pack_of(case).preview(*untargeted)

    # For an unknown kind, it is open whether a resource without properties is created.
    assert outcome.blocked == (case.policy == "known-resources"), outcome
