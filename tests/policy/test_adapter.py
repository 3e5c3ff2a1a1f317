"""The adapter between the SDK and the rules: every failure blocks, and no message contains a possible secret."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stacks_pulumi.policy import (
    ContainerView,
    Deferred,
    Notice,
    ResourceRule,
    Settings,
    StackRule,
    StacksGuard,
    StackView,
    Violation,
)
from stacks_pulumi.policy.adapter import Pack
from stacks_pulumi.policy.rule import Finding, Remediation
from stacks_pulumi.policy.testing import UNKNOWN, PackTester, Secret, allowed_ip, container, resource
from tests.support.policy_cases import SOON

PASSWORD = "hunter2-hunter2"


def crash(view: Any, _settings: Settings) -> list[Finding]:
    raise ZeroDivisionError(f"{PASSWORD} {view}")


def resource_rule(check: Any) -> ResourceRule[ContainerView]:
    return ResourceRule("own", "Our own.", "mandatory", "high", "Fix it.", view=ContainerView, check=check)


def pack(rule: Any) -> PackTester:
    return PackTester(StacksGuard("test", [], extra=[rule]))


def test_a_rule_that_crashes_names_itself_and_the_resource_and_blocks() -> None:
    outcome = pack(resource_rule(crash)).update(container("web", discount_code=Secret(PASSWORD)))

    outcome.assert_blocked_by(
        "own", "own crashed on 'web' (ZeroDivisionError in test_adapter.py, line", "[policy-crashed]"
    )
    assert outcome.made == ()
    assert PASSWORD not in str(outcome)


def test_a_stack_rule_that_crashes_names_itself_and_blocks() -> None:
    rule = StackRule("own", "Our own.", "mandatory", "high", "Fix it.", check=crash)

    outcome = pack(rule).preview(container("web"))

    outcome.assert_blocked_by("own", "own crashed on the stack (ZeroDivisionError", "[policy-crashed]")
    assert PASSWORD not in str(outcome)


def test_a_remediation_that_crashes_ends_the_operation_with_its_name() -> None:
    def changes(_view: ContainerView, _settings: Settings) -> dict[str, Any]:
        raise ZeroDivisionError(PASSWORD)

    rule = Remediation("own", "Our own.", "remediate", "high", "Fix it.", view=ContainerView, changes=changes)

    with pytest.raises(RuntimeError, match="own crashed on 'web'") as caught:
        pack(rule).preview(container("web"))
    assert PASSWORD not in str(caught.value)


def test_a_value_that_a_rule_left_open_is_a_warning_that_names_it() -> None:
    def check(_view: ContainerView, _settings: Settings) -> Iterator[Finding]:
        yield Violation("first")
        yield Deferred("plan")

    outcome = pack(resource_rule(check)).preview(container("web"))

    outcome.assert_blocked_by("own", "first")
    outcome.assert_warned_by("own", "the plan of 'web' is not known yet")


def test_a_stack_rule_cannot_defer_a_decision() -> None:
    def check(_stack: StackView, _settings: Settings) -> Iterator[Finding]:
        yield Deferred("plan")

    pack(StackRule("own", "Our own.", "mandatory", "high", "Fix it.", check=check)).preview(
        container("web")
    ).assert_blocked_by("own", "deferred a value")


def test_a_report_never_blocks(capfd: pytest.CaptureFixture[str]) -> None:
    def check(_view: ContainerView, _settings: Settings) -> Iterator[Finding]:
        yield Notice("a line\nanother")

    for level in ("mandatory", "advisory"):
        shown = PackTester(StacksGuard("test", [], all=level, extra=[resource_rule(check)]))

        shown.preview(container("web")).assert_passes()
        assert "own:\na line\nanother\n" in capfd.readouterr().err


class TestExemptionByName:
    """Two components may each have a container of one name; the engine tells them apart by their URNs."""

    ONE, TWO = container("web", plan="premium"), container("web", plan="premium")

    def budget(self, **exemption: str) -> Any:
        component = replace(self.TWO, parent="shop:index:Site")
        exempt = [{"reason": "agreed", "expires": SOON, **exemption}]
        config = {"monthly-budget": {"max_monthly_usd": 5, "exempt": exempt}}
        return PackTester(StacksGuard("test", ["monthly-budget"]), config).preview(self.ONE, component)

    def test_an_ambiguous_name_exempts_no_container(self) -> None:
        outcome = self.budget(name="web")

        outcome.assert_blocked_by(
            "monthly-budget", "for the name 'web', but several resources have this name", "$20.00"
        )

    def test_the_urn_exempts_one_container(self) -> None:
        self.budget(urn=self.ONE.urn).assert_blocked_by("monthly-budget", "$10.00")


def test_resources_of_other_packages_are_ignored() -> None:
    pack(resource_rule(crash)).preview(
        resource("aws:s3/bucket:Bucket", "files", acl=UNKNOWN),
        resource("pulumi:providers:pulumi-python", "default"),
    ).assert_passes()


def test_a_wrong_configuration_is_reported_without_a_resource() -> None:
    guard = StacksGuard("test", ["allowed-plans"])

    outcome = PackTester(guard, {"allowed-plans": {"alowed": []}}).preview()

    outcome.assert_blocked_by(
        "allowed-plans",
        "allowed-plans is misconfigured, so it blocks every resource: 'alowed' is not an option",
    )


# From letters that do not form a word in the messages.
word = st.text("jqxz", min_size=9, max_size=12)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], max_examples=60)
@given(st.tuples(word, word, word, word), st.booleans())
def test_no_message_contains_a_value_of_a_property(
    capfd: pytest.CaptureFixture[str], values: tuple[str, str, str, str], preview: bool
) -> None:
    """A policy receives secrets as unmarked plain text, so any value may be a secret."""
    plan, template, name, address = values
    guard = StacksGuard(
        "test",
        all="mandatory",
        max_monthly_usd=1,
        max_container_usd=1,
        allowed_plans=["micro"],
        allowed_templates=["nodejs"],
        config={
            "naming": {"pattern": "x"},
            "allowed-storage": {"max_usd": 0},
            "max-resources": {"containers": 0},
        },
    )
    resources = (
        container(
            "one", template, plan=plan, name=name, additional_storage_tier=4711, discount_code=Secret(address)
        ),
        container("two", "mysql", plan=plan, name=name, additional_storage_tier=template),
        allowed_ip("three", address, name, description=plan),
    )
    pack = PackTester(guard)

    outcome = pack.preview(*resources) if preview else pack.update(*resources)

    said = str(outcome) + capfd.readouterr().err
    assert outcome.blocked
    for value in (*values, "4711"):
        assert value not in said


def test_the_kind_comes_from_the_checked_inputs() -> None:
    shared = Pack(datetime.date.today)
    own = "pulumi-python:dynamic/acme:Db"
    inputs: Any = SimpleNamespace(
        urn="urn:a", resource_type=own, props={"stacks_kind": "Container"}, provider=object()
    )
    outputs: Any = SimpleNamespace(
        urn="urn:a", resource_type=own, props={"plan": "premium"}, provider=object()
    )

    assert shared.kind_of(inputs) == shared.kind_of(outputs) == "Container"
    assert Pack(datetime.date.today).kind_of(outputs) is None


@pytest.mark.parametrize("config", [{}, {"all": "disabled", "clamp-plan": "remediate"}])
def test_an_unknown_part_of_another_providers_resource_concerns_no_policy(config: dict[str, str]) -> None:
    everything = PackTester(StacksGuard("test", max_monthly_usd=10), config)
    instance = resource("aws:ec2/instance:Instance", "web", tags={"Name": UNKNOWN}, ports=[80, UNKNOWN])

    everything.preview(instance, container("db")).assert_passes()
    everything.update(instance, container("db")).assert_passes()


def test_an_unknown_part_of_a_containers_property_is_no_crash() -> None:
    web = container("web", labels={"owner": UNKNOWN})

    PackTester(StacksGuard("test", max_monthly_usd=10)).preview(web).assert_passes()
