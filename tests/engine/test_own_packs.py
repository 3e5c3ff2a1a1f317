"""
A user's own pack on a real engine: each argument of `StacksGuard` blocks exactly its violations.

All packs run together in one operation. For each pack, `PackTester` must return the same result as the engine.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from stacks_pulumi.emulator import Emulator
from stacks_pulumi.policy.testing import PackTester, container
from tests.support.packs import with_packs
from tests.support.stack import Result, Stack


class Own(NamedTuple):
    """A user's own pack, and the policies that a premium container violates."""

    arguments: str
    file: Mapping[str, Any] = {}  # the file for --policy-pack-config
    mandatory: frozenset[str] = frozenset()
    advisory: frozenset[str] = frozenset()


def policies(*names: str) -> frozenset[str]:
    return frozenset(names)


CAP = "resource-price-cap"
TWO = f"only=['{CAP}', 'protect-paid'], max_container_usd=5"

PACKS = {
    "no-arguments": Own("only=['allowed-plans', 'clamp-plan', 'resource-price-cap']"),
    "max-monthly-usd": Own(
        "max_monthly_usd=5",
        mandatory=policies("monthly-budget", "spend-gate"),
        advisory=policies("protect-paid", "budget-warning"),
    ),
    "max-container-usd": Own(f"max_container_usd=5, only=['{CAP}']", mandatory=policies(CAP)),
    # clamp-plan also gets the plans, and is off by default.
    "allowed-plans": Own(
        "allowed_plans=['micro'], only=['allowed-plans', 'clamp-plan']", mandatory=policies("allowed-plans")
    ),
    "allowed-templates": Own(
        "allowed_templates=['ubuntu-micro'], only=['allowed-templates']",
        mandatory=policies("allowed-templates"),
    ),
    # The pack in the page's section "Your own pack".
    "two-arguments": Own(
        "max_monthly_usd=5, allowed_plans=['micro']",
        mandatory=policies("monthly-budget", "spend-gate", "allowed-plans"),
        advisory=policies("protect-paid", "budget-warning"),
    ),
    "options": Own(f"config={{'{CAP}': {{'max_usd': 5}}}}, only=['{CAP}']", mandatory=policies(CAP)),
    "options-of-an-advisory-policy": Own(
        "config={'protect-paid': {'min_usd': 9}}, only=['protect-paid']", advisory=policies("protect-paid")
    ),
    "options-and-level": Own(
        f"config={{'{CAP}': {{'max_usd': 5, 'enforcementLevel': 'advisory'}}}}, only=['{CAP}']",
        advisory=policies(CAP),
    ),
    "options-and-mandatory": Own(
        "config={'protect-paid': {'min_usd': 9, 'enforcementLevel': 'mandatory'}}, only=['protect-paid']",
        mandatory=policies("protect-paid"),
    ),
    "level-alone": Own(f"config={{'{CAP}': 'advisory'}}, {TWO}", advisory=policies(CAP, "protect-paid")),
    "all-mandatory": Own(f"all='mandatory', {TWO}", mandatory=policies(CAP, "protect-paid")),
    "all-advisory": Own(f"all='advisory', {TWO}", advisory=policies(CAP, "protect-paid")),
    "all-and-options": Own(
        "all='mandatory', config={'protect-paid': {'min_usd': 9}}, only=['protect-paid']",
        mandatory=policies("protect-paid"),
    ),
    "file": Own(f"only=['{CAP}']", {CAP: {"max_usd": 5}}, mandatory=policies(CAP)),
    "file-over-an-argument": Own(
        f"only=['{CAP}'], max_container_usd=50", {CAP: {"max_usd": 5}}, mandatory=policies(CAP)
    ),
    "file-over-all": Own(
        "only=['protect-paid'], all='mandatory'",
        {"protect-paid": {"min_usd": 9}},
        mandatory=policies("protect-paid"),
    ),
    "file-of-version-2": Own(
        f"only=['{CAP}'], max_container_usd=50",
        {"version": 2, "policies": {CAP: {"max_usd": 5}}},
        mandatory=policies(CAP),
    ),
    "file-with-a-level": Own(
        f"only=['{CAP}'], max_container_usd=50",
        {CAP: {"max_usd": 5, "enforcementLevel": "advisory"}},
        advisory=policies(CAP),
    ),
}

PREMIUM = container("web", "nodejs", plan="premium")
MICRO = container("web", "ubuntu-micro", plan="micro")


def written(folder: Path) -> dict[str | Path, Mapping[str, Any]]:
    """Write the packs; return the configuration of each by its folder."""
    for name, own in PACKS.items():
        (folder / name).mkdir(parents=True)
        (folder / name / "PulumiPolicy.yaml").write_text("runtime: python\n", encoding="utf-8")
        (folder / name / "__main__.py").write_text(
            f"from stacks_pulumi.policy import StacksGuard\n\nStacksGuard({name!r}, {own.arguments}).run()\n",
            encoding="utf-8",
        )
    return {folder / name: own.file for name, own in PACKS.items()}


def of_engine(result: Result, pack: str) -> set[tuple[str, str]]:
    """Return the policies of a pack that the engine reported, with their levels."""
    events = [event["policyEvent"] for event in result.events if "policyEvent" in event]
    return {
        (event["policyName"], event["enforcementLevel"])
        for event in events
        if event["policyPackName"] == pack
    }


def test_each_argument_of_an_own_pack_blocks_what_it_should_and_nothing_else(
    stack: Stack, emulator: Emulator, tmp_path: Path
) -> None:
    configs = written(tmp_path / "packs")
    arguments = with_packs(tmp_path, configs)

    stack.program('stacks.Container("web", template="nodejs", plan="premium")')
    refused = stack.preview_fails(*arguments)
    for folder, (name, own) in zip(configs, PACKS.items(), strict=True):
        expected = {
            *((policy, "mandatory") for policy in own.mandatory),
            *((policy, "advisory") for policy in own.advisory),
        }
        assert of_engine(refused, name) == expected, name
        modelled = PackTester(folder, own.file).preview(PREMIUM).findings
        assert {(finding.policy, finding.level) for finding in modelled} == expected, name
    stack.up_fails(*arguments)
    assert emulator.calls("containers.create") == 0

    stack.program('stacks.Container("web", template="ubuntu-micro", plan="micro")')
    made = stack.up(*arguments, quiet_afterwards=False)
    assert emulator.state.names() == ["web"]
    for folder, (name, own) in zip(configs, PACKS.items(), strict=True):
        assert of_engine(made, name) == set(), name
        PackTester(folder, own.file).preview(MICRO).assert_passes()
