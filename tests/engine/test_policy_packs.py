"""
The packs on a real engine. Each run has all policies; `tests/policy` tests the complete matrix.
"""

from __future__ import annotations

import os
import re
import textwrap
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from stacks_pulumi.cli import main
from stacks_pulumi.cost.build import report_of
from stacks_pulumi.emulator import Emulator
from stacks_pulumi.policy import EXPOSURE, PLANS, SPEND
from stacks_pulumi.policy.guard import rules
from stacks_pulumi.policy.rule import StackRule
from stacks_pulumi.pricing.money import Price
from tests.support import beyond_a_grant, policy_host
from tests.support.accounts import running
from tests.support.packs import violations, with_packs
from tests.support.stack import Stack

PACKS = {"plans": PLANS, "spend": SPEND, "exposure": EXPOSURE}
EVERY = [name for name in (*PLANS, *SPEND, *EXPOSURE) if name != "clamp-plan"]
# Only information; it cannot be violated. A test below covers the second policy, because this program has no resource
# of an unknown kind.
BLOCKING = set(EVERY) - {"cost-report", "known-resources"}

LIMITS: dict[str, dict[str, Any]] = {
    "allowed-plans": {"allowed": ["micro", "basic"]},
    "allowed-templates": {"denied": ["wordpress"]},
    "allowed-storage": {"max_usd": 3},
    "resource-price-cap": {"max_usd": 9},
    "max-resources": {"containers": 3},
    "naming": {"pattern": "[a-z]+-dev"},
    "monthly-budget": {"max_monthly_usd": 10},
    "budget-warning": {"max_monthly_usd": 10, "pct": 100},
    "spend-gate": {"max_monthly_usd": 10},
    "account-headroom": {"cap_usd": 10},
    "protect-paid": {"min_usd": 9},
}

BAD = """
    site = stacks.Container("site-dev", template="ubuntu-micro", plan="micro", external_access=True)
    big = stacks.Container("big", template="nodejs", plan="premium", additional_storage_tier=5)
    blog = stacks.Container("blog-dev", template="wordpress")
    data = stacks.Container("data-dev", template="mysql", external_access=True)
    stacks.AllowedIp("all", container=site, ip_address="0.0.0.0/0")
    stacks.AllowedIp("far", container="usr-00000000-far", ip_address="198.51.100.7")
    stacks.BackupRestore("back", backup_id=7)
"""


@pytest.fixture
def guarded(stack: Stack, emulator: Emulator, tmp_path: Path) -> Stack:
    """A stack whose packs may read the account."""
    stack.env = {"STACKS_API_KEY": emulator.key, "STACKS_BASE_URL": emulator.url, **stack.env}
    return stack


def packs(scratch: Path, *, report: str = "mandatory") -> list[str]:
    """Return all packs with every policy mandatory, and the report at another level."""
    config = {name: {**LIMITS.get(name, {}), "enforcementLevel": "mandatory"} for name in EVERY}
    config["cost-report"]["enforcementLevel"] = report
    return with_packs(
        scratch,
        {pack: {name: config[name] for name in names if name in config} for pack, names in PACKS.items()},
    )


IN_ORDER = """
earlier = []


def after_the_earlier_one(args):
    opts = pulumi.ResourceOptions.merge(args.opts, pulumi.ResourceOptions(depends_on=list(earlier)))
    earlier[:] = [args.resource]
    return pulumi.ResourceTransformationResult(args.props, opts)


pulumi.runtime.register_stack_transformation(after_the_earlier_one)
"""
"""Makes the engine register the resources in the program's order, on which a budget's count depends."""


@pytest.mark.slow
def test_policies_find_the_same_violations_in_both_types(
    make_stack: Callable[..., Stack], emulator: Emulator, tmp_path: Path
) -> None:
    found = {}
    for host in ("dynamic", "native"):
        stack = make_stack(emulator)
        stack.native()
        stack.env = {"STACKS_API_KEY": emulator.key, "STACKS_BASE_URL": emulator.url, **stack.env}
        stack.program(IN_ORDER + textwrap.dedent(BAD), host=host)
        reported = violations(stack.preview_fails(*packs(tmp_path)))
        # Resources with the same price are in the order in which the engine registered them.
        found[host] = {policy: sorted(re.findall(r"\w+", message)) for policy, message in reported.items()}

    assert found["native"] == found["dynamic"]
    assert found["native"].keys() == BLOCKING
    assert emulator.calls("containers.create") == 0


def test_an_allowed_program_passes_every_policy(guarded: Stack, tmp_path: Path) -> None:
    guarded.program("""
        site = stacks.Container("site-dev", template="ubuntu-micro", plan="micro", external_access=True)
        stacks.AllowedIp("office", container=site, ip_address="198.51.100.0/24", revoke_auto_added=True)
        data = stacks.Container("data-dev", template="redis-micro", opts=pulumi.ResourceOptions(protect=True))
        stacks.PinnedBackup("safe", container=data)
    """)

    preview = guarded.preview(*packs(tmp_path))
    assert violations(preview) == {}
    assert "data-dev  redis-micro, micro   $1.00" in preview.text
    update = guarded.up(*packs(tmp_path, report="advisory"), quiet_afterwards=False)
    assert violations(update) == {}
    assert re.search(r"total +\$2\.00", update.text)


@beyond_a_grant.PREVIEW
def test_the_gate_stops_an_update_before_the_budget_does(
    guarded: Stack, emulator: Emulator, tmp_path: Path
) -> None:
    guarded.program("""
        after = lambda one: pulumi.ResourceOptions(depends_on=one)
        first = stacks.Container("first", template="nodejs", plan="standard")
        second = stacks.Container("second", template="nodejs", plan="standard", opts=after(first))
        stacks.Container("third", template="nodejs", plan="standard", opts=after(second))
    """)
    limit = {"max_monthly_usd": 12}

    with_gate = guarded.up_fails(
        *with_packs(tmp_path, {"spend": {"monthly-budget": limit, "spend-gate": limit}})
    )
    assert "container 'third'" in violations(with_gate)["spend-gate"]
    assert len(emulator.state.names()) == 2

    alone = {"monthly-budget": limit, "budget-warning": "disabled", "spend-gate": "disabled"}
    too_late = guarded.up_fails(*with_packs(tmp_path, {"spend": alone}))
    assert "$15.00" in violations(too_late)["monthly-budget"]
    assert len(emulator.state.names()) == 3
    assert isinstance(rules()["monthly-budget"], StackRule)


def test_a_lowered_plan_keeps_secrets_encrypted(guarded: Stack, emulator: Emulator, tmp_path: Path) -> None:
    guarded.program("""
        from pulumi.dynamic import CreateResult, Resource, ResourceProvider

        class Plain(ResourceProvider):
            def create(self, props):
                return CreateResult("1", props)

        # Ours keeps no secret in __provider; with any other, this is where a copied bag would leave it readable.
        class Other(Resource, module="stacks", name="Container"):
            def __init__(self, name, **props):
                super().__init__(Plain(), name, props)

        code = pulumi.Output.secret("SAVE-TEN-NOW")
        stacks.Container("web", template="nodejs", plan="premium", discount_code=code)
        Other("other", template="nodejs", plan="premium", discount_code=code)
    """)
    clamp = {
        "allowed-plans": {"allowed": ["basic"]},
        "clamp-plan": {"allowed": ["basic"], "enforcementLevel": "remediate"},
    }

    # The provider compares the program with the state before a policy runs, so the program must change before the next
    # operation.
    guarded.up(*with_packs(tmp_path, {"plans": clamp}), quiet_afterwards=False)

    assert emulator.state.container("web").plan == "basic"
    web, other = guarded.resources()["web"], guarded.resources()["other"]
    assert (web["inputs"]["plan"], web["inputs"]["monthly_price_usd"]) == ("basic", 4)
    for bag in (web["inputs"], web["outputs"], other["inputs"], other["outputs"]):
        assert bag["plan"] == "basic"
        assert "ciphertext" in bag["discount_code"]
    assert "ciphertext" in other["inputs"]["__provider"]
    assert "ciphertext" in other["outputs"]["__provider"]
    assert "SAVE-TEN-NOW" not in guarded.export()
    assert emulator.key not in guarded.export()


def test_a_remediation_keeps_the_spelling_of_the_property(stack: Stack, tmp_path: Path) -> None:
    clamp = {"clamp-plan": {"allowed": ["basic"], "enforcementLevel": "remediate"}}
    stack.native()
    stack.program('stacks.Container("web", template="nodejs", plan="premium")', host="native")

    preview = stack.preview(*with_packs(tmp_path, {"plans": {"all": "disabled", **clamp}}))

    assert "monthlyPriceUsd" in preview.text
    (inputs,) = [
        event["resourcePreEvent"]["metadata"]["new"]["inputs"]
        for event in preview.events
        if event.get("resourcePreEvent", {}).get("metadata", {}).get("urn", "").endswith("::web")
    ]
    assert (inputs["plan"], inputs["monthlyPriceUsd"]) == ("basic", 4)
    assert "monthly_price_usd" not in inputs


DISGUISED = """
class Db(stacks.Container, module="acme", name="Db"): ...
Db("subclass-with-its-own-type", template="nodejs", plan="premium")

class Other(pulumi.dynamic.Resource, module="acme", name="Db"): ...
Other(stacks.provider_for("Container"), "other", dict(name="other", template="nodejs", plan="premium"))

site = pulumi.ComponentResource("shop:index:Site", "site")
opts = pulumi.ResourceOptions(parent=site, aliases=[pulumi.Alias(name="old")], ignore_changes=["stacks_kind"])
stacks.Container("in-a-component", template="nodejs", plan="premium", opts=opts)
"""


@pytest.mark.slow
def test_no_disguised_premium_container_passes_the_gates(
    stack: Stack, emulator: Emulator, tmp_path: Path
) -> None:
    limit = {"max_monthly_usd": 5}
    budget = dict.fromkeys(("monthly-budget", "budget-warning", "spend-gate"), limit)
    gates = with_packs(
        tmp_path, {"spend": budget, "plans": {"allowed-plans": {"allowed": ["micro", "basic"]}}}
    )
    stack.program(DISGUISED)

    refused = violations(stack.preview_fails(*gates))
    assert "$30.00" in refused["monthly-budget"]
    assert "allowed-plans" in refused
    assert {"spend-gate"} <= violations(stack.up_fails(*gates)).keys()
    assert emulator.state.names() == []

    previewed = report_of(stack.cli("preview", "--json", "--show-sames").encode())
    assert previewed.planned == Price(Decimal(30), Decimal(30))
    stack.up(quiet_afterwards=False)
    # An existing container is judged by its outputs.
    assert {"monthly-budget", "allowed-plans"} <= violations(stack.preview_fails(*gates)).keys()
    assert report_of(stack.export().encode()).planned == Price(Decimal(30), Decimal(30))


@beyond_a_grant.PREVIEW
def test_a_computed_id_is_not_the_id_of_a_container_of_the_stack(
    stack: Stack, emulator: Emulator, tmp_path: Path
) -> None:
    running(emulator, "data", "mysql")
    program = """
        web = stacks.Container("web", template="nginx", external_access=True)
        pulumi.export("door", stacks.AllowedIp(
            "door", container={container}, ip_address="198.51.0.0/16", service_type="http"
        ).id)
    """
    gates = with_packs(tmp_path, {"exposure": {}})
    others = "'door' is for a container that is not known to be in this stack"

    stack.program(program.format(container='web.id.apply(lambda id: id.replace("web", "data"))'))
    assert others in violations(stack.preview_fails(*gates))["no-public-database"]
    # Without a preview: the update stops before it opens the access.
    assert others in violations(stack.up_fails(*gates))["no-public-database"]
    assert emulator.state.names() == ["data", "web"]
    assert emulator.calls("allowed_ips.add") == 0

    for container in ("web", "web.id"):
        stack.program(program.format(container=container))
        assert violations(stack.preview(*gates)) == {}
    assert violations(stack.up(*gates, quiet_afterwards=False)) == {}
    # Only the address is updated, but the engine also sends the container.
    narrower = program.replace("198.51.0.0/16", "198.51.0.0/17").format(container="web")
    stack.program(narrower)
    assert violations(stack.preview("--target", stack.resources()["door"]["urn"], *gates)) == {}
    # The container changes, and a preview does not show the id of a changed container.
    changed = program.replace("external_access=True", 'external_access=True, restart_triggers=["2"]')
    stack.program(changed.format(container="web.id"))
    assert violations(stack.preview(*gates)) == {}
    stack.program(changed.format(container='web.id.apply(lambda id: id.replace("web", "data"))'))
    assert others in violations(stack.preview_fails(*gates))["no-public-database"]


def test_a_computed_id_in_yaml_is_refused_before_the_access_is_open(
    stack: Stack, emulator: Emulator, yaml_language_host: Path, tmp_path: Path
) -> None:
    """A preview of a native resource does not show whether an unknown id is computed."""
    running(emulator, "web-data", "mysql")
    gates = with_packs(tmp_path, {"exposure": {}})
    program = """
name: tests
runtime: yaml
resources:
  web: {type: "stacks:index:Container", properties: {template: nginx, externalAccess: true}}
  door:
    type: stacks:index:AllowedIp
    properties: {container: "${web.id}", ipAddress: 198.51.0.0/16, serviceType: http}
"""

    stack.yaml(program.replace("${web.id}", "${web.id}-data"), yaml_language_host)
    assert violations(stack.preview(*gates)) == {}
    refused = violations(stack.up_fails(*gates))
    assert "'door' is for a container that is not known to be in this stack" in refused["no-public-database"]
    assert emulator.calls("allowed_ips.add") == 0
    # Now the id is known in the preview.
    assert violations(stack.preview_fails(*gates)).keys() == {"no-public-database"}

    stack.yaml(program, yaml_language_host)
    assert violations(stack.up(*gates, quiet_afterwards=False)) == {}


SIX = """
name: tests
runtime: yaml
resources:
""" + "".join(
    f"  box-{number}: {{type: 'stacks:index:Container', properties: {{template: nodejs, plan: premium}}}}\n"
    for number in range(6)
)


@pytest.mark.parametrize("form", ["folder", "start"])
def test_a_pack_that_the_command_writes_runs_in_a_repository(
    form: str, stack: Stack, yaml_language_host: Path, tmp_path: Path
) -> None:
    assert main(["policies", "--out", str(stack.folder / "policies")]) == 0
    stack.yaml(SIX, yaml_language_host)
    pack = "policies/spend/start"
    if form == "folder":
        # As with the official engine: a host that starts folders is first on PATH.
        policy_host.write(tmp_path)
        stack.env["PATH"] = f"{tmp_path}{os.pathsep}{stack.env['PATH']}"
        pack = "policies/spend"

    result = stack.preview_fails("--policy-pack", pack, "--policy-pack-config", "policies/spend.json")

    found = violations(result)
    assert "the stack costs $60.00 a month; the limit is $50.00" in found.get("monthly-budget", ""), (
        result.text
    )
