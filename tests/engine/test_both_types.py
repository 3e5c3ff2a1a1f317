"""Policies, prices and the account tools give the same results for the dynamic and the native types."""

from __future__ import annotations

import re
import subprocess
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from stacks_pulumi.account.backend import read_export
from stacks_pulumi.cost.build import report_of
from stacks_pulumi.emulator import Emulator
from tests.engine.test_policy_packs import BAD, BLOCKING, packs
from tests.support.packs import violations, with_packs
from tests.support.stack import Stack

pytestmark = pytest.mark.slow

HOSTS = ("dynamic", "native")
IN_ORDER = """
earlier = []


def after_the_earlier_one(args):
    opts = pulumi.ResourceOptions.merge(args.opts, pulumi.ResourceOptions(depends_on=list(earlier)))
    earlier[:] = [args.resource]
    return pulumi.ResourceTransformationResult(args.props, opts)


pulumi.runtime.register_stack_transformation(after_the_earlier_one)
"""
"""Makes the engine register the resources in the program's order, on which a budget's count depends."""
SOUND = """
data = stacks.Container("data", template="postgresql")
site = stacks.Container("site", template="nodejs", additional_storage_tier=3, external_access=True)
stacks.AllowedIp("office", container=site, ip_address="198.51.100.0/24")
stacks.Connection("link", source=site, target=data)
"""


@pytest.fixture
def stacks(make_stack: Callable[..., Stack], emulator: Emulator) -> dict[str, Stack]:
    """Create a stack for each host."""
    made = {host: make_stack(emulator) for host in HOSTS}
    for stack in made.values():
        stack.native()
        stack.env = {"STACKS_API_KEY": emulator.key, "STACKS_BASE_URL": emulator.url, **stack.env}
    return made


def written(stack: Stack, *arguments: str) -> bytes:
    """Return the JSON output of an engine command."""
    command = ["pulumi", *arguments, "--non-interactive"]
    return subprocess.run(command, cwd=stack.folder, env=stack.env, capture_output=True, check=True).stdout


def test_policies_find_the_same_violations(
    stacks: dict[str, Stack], emulator: Emulator, tmp_path: Path
) -> None:
    found = {}
    for host, stack in stacks.items():
        stack.program(IN_ORDER + textwrap.dedent(BAD), host=host)
        reported = violations(stack.preview_fails(*packs(tmp_path)))
        # Resources with the same price are in the order in which the engine registered them.
        found[host] = {policy: sorted(re.findall(r"\w+", message)) for policy, message in reported.items()}

    assert found["native"] == found["dynamic"]
    assert found["native"].keys() == BLOCKING
    assert emulator.calls("containers.create") == 0


def test_a_remediation_keeps_the_spelling_of_the_property(stacks: dict[str, Stack], tmp_path: Path) -> None:
    clamp = {"clamp-plan": {"allowed": ["basic"], "enforcementLevel": "remediate"}}
    for host, stack in stacks.items():
        stack.program('stacks.Container("web", template="nodejs", plan="premium")', host=host)

        preview = stack.preview(*with_packs(tmp_path, {"plans": {"all": "disabled", **clamp}}))

        assert "monthlyPriceUsd" in preview.text if host == "native" else "monthly_price_usd" in preview.text
        (inputs,) = [
            event["resourcePreEvent"]["metadata"]["new"]["inputs"]
            for event in preview.events
            if event.get("resourcePreEvent", {}).get("metadata", {}).get("urn", "").endswith("::web")
        ]
        price = inputs["monthlyPriceUsd" if host == "native" else "monthly_price_usd"]
        assert (inputs["plan"], price) == ("basic", 4)
        assert ("monthlyPriceUsd" in inputs) != ("monthly_price_usd" in inputs)


def test_previews_states_and_accounts_are_the_same(stacks: dict[str, Stack], emulator: Emulator) -> None:
    planned, spent, managed = {}, {}, {}
    for host, stack in stacks.items():
        stack.program(SOUND, host=host)
        planned[host] = report_of(written(stack, "preview", "--json"))
        stack.up(quiet_afterwards=False)
        exported = written(stack, "stack", "export")
        spent[host] = report_of(exported)
        managed[host] = [
            (one.kind, one.id.partition("/")[0], one.item)
            for one in sorted(read_export(exported).managed, key=lambda it: (it.kind, it.id))
        ]
        stack.destroy()

    for found in (planned, spent):
        lines = {
            host: [(it.name, it.action, it.planned) for it in report.lines] for host, report in found.items()
        }
        assert lines["native"] == lines["dynamic"]
        assert str(found["native"].planned) == "$11.00"
    assert managed["native"] == managed["dynamic"]
    assert len(managed["native"]) == 4
