"""
After an update that the gate allowed, the account costs what the gate allowed, for random programs and changes.

A round is a program and a change of the account. The gate is the `spend` pack and the limit of `stacks-pulumi cost`;
where it is open, the update has to leave the account with exactly what the preview said, if that was exact.
"""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from stacks_pulumi import catalog
from stacks_pulumi.cost.build import report_of
from stacks_pulumi.emulator import Emulator
from stacks_pulumi.pricing.recognition import MARKER
from tests.support.accounts import running
from tests.support.clock import fast_clock
from tests.support.packs import with_packs
from tests.support.stack import Stack

# What pages and examples show: a change is tested without it.
pytestmark = pytest.mark.extra

PRELUDE = """
class Bare(stacks.Container):
    pass


class Own(stacks.Container, module="acme", name="Own"):
    pass


class Sdk(pulumi.dynamic.Resource, module="acme", name="Sdk"):
    def __init__(self, resource_name, opts=None, **props):
        super().__init__(stacks.provider_for("Container"), resource_name, props, opts)


def later(value):
    return anchor.status.apply(lambda _: value)


"""
CLASSES = ("stacks.Container", "Bare", "Own", "Sdk")
PLANS = ("micro", "basic", "standard", "premium")
FOLDERS = itertools.count()


@dataclass(frozen=True)
class Declared:
    """
    A container of a program.

    Attributes:
        cls: Its class.
        slot: Its resource name ends with this.
        plan: Its plan.
        unknown: Whether the plan is an output of another resource.
        retain: Whether it is retained when it is deleted.
        renamed: Whether its name changes with its plan, so that a replacement creates first.
        adopted: Whether it exists in the account before.
    """

    cls: str
    slot: int
    plan: str
    unknown: bool
    retain: bool
    renamed: bool
    adopted: bool

    @property
    def name(self) -> str:
        # A retained container keeps its name, so its replacement needs another.
        suffix = f"-{self.plan}" if self.renamed or self.retain else ""
        return f"{self.cls.rpartition('.')[2].lower()}-{self.slot}{suffix}"

    def source(self) -> str:
        plan = f"later({self.plan!r})" if self.unknown else repr(self.plan)
        opts = "opts=pulumi.ResourceOptions(retain_on_delete=True)" if self.retain else "opts=None"
        return (
            f'{self.cls}("{self.cls}-{self.slot}", template="nodejs", name="{self.name}", plan={plan}, '
            f'replace_on_change=True, adopt="if_matching", {opts})\n'
        )


declared = st.builds(
    Declared,
    st.sampled_from(CLASSES),
    st.integers(0, 1),
    st.sampled_from(PLANS),
    st.integers(0, 4).map(lambda number: number == 0),
    *(st.integers(0, 2).map(lambda number: number == 0) for _ in range(3)),
)
SDK_BASIC = Declared("Sdk", 0, "basic", unknown=False, retain=False, renamed=False, adopted=False)
SDK_PREMIUM = Declared("Sdk", 0, "premium", unknown=False, retain=False, renamed=False, adopted=False)
KEPT = Declared("Own", 0, "premium", unknown=False, retain=True, renamed=True, adopted=False)
OTHER = Declared("Bare", 1, "premium", unknown=False, retain=False, renamed=False, adopted=True)
rounds = st.tuples(
    st.lists(declared, min_size=1, max_size=4, unique_by=lambda one: (one.cls, one.slot)),
    st.sampled_from([10, 25, 60]),
    st.booleans(),
)


def account(api: Emulator) -> dict[str, Decimal]:
    """Return the monthly price of each container in the account, by id."""
    found = {}
    for id_, container in api.state.containers.items():
        price = catalog.monthly_price(container.template, container.plan)
        assert price is not None
        found[id_] = price
    return found


def age(stack: Stack) -> None:
    """Change the state to that of a version without markers."""
    state = json.loads(stack.export())
    for resource in state["deployment"].get("resources") or []:
        for bag in ("inputs", "outputs"):
            resource.get(bag, {}).pop(MARKER, None)
    file = stack.folder / "aged.json"
    file.write_text(json.dumps(state), encoding="utf-8")
    stack.cli("stack", "import", "--file", str(file))


@pytest.mark.slow
@settings(
    max_examples=2,
    derandomize=True,
    database=None,
    # An example takes half a minute, so a failure is not shrunk.
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(story=st.lists(rounds, min_size=3, max_size=3))
# Only the marker shows the kind; then, in a state of an old version, only the provider.
@example(story=[([SDK_BASIC], 25, True), ([SDK_PREMIUM], 10, False)])
# One is kept, and another is created.
@example(story=[([KEPT], 25, True), ([OTHER], 25, False)])
def test_account_costs_what_the_gate_allowed(
    story: list[tuple[list[Declared], int, bool]], engine: Path, tmp_path: Path
) -> None:
    folder = tmp_path / f"story-{next(FOLDERS)}"
    with Emulator(strict=False, clock=fast_clock()) as api:
        stack = Stack(folder, engine, {"stacks:apiKey": api.key, "stacks:baseUrl": api.url})
        for program, limit, old in story:
            play(stack, api, program, limit, folder)
            check_export(stack, api)
            if old:
                age(stack)
                check_export(stack, api)


def check_export(stack: Stack, api: Emulator) -> None:
    """An export has the same price as its containers in the account, however their kind is recognised."""
    text = stack.export()
    resources = json.loads(text)["deployment"].get("resources") or []
    ids = {resource.get("id") for resource in resources}
    paid = sum((price for id_, price in account(api).items() if id_ in ids), Decimal(0))
    state = json.loads(text)
    for resource in state["deployment"].get("resources") or []:
        # Only the type shows the kind, if it is one of this package.
        if "/stacks:" in resource["type"]:
            resource["inputs"] = {
                name: value
                for name, value in resource["inputs"].items()
                if name not in {MARKER, "__provider"}
            }

    for written in (text, json.dumps(state)):
        report = report_of(written.encode())
        assert (report.planned.low, report.planned.high) == (paid, paid)


def play(stack: Stack, api: Emulator, program: list[Declared], limit: int, scratch: Path) -> None:
    names = set(api.state.names())
    for one in program:
        if one.adopted and one.name not in names:
            running(api, one.name, "nodejs", plan=one.plan)
    before = account(api)
    mine = {
        resource.get("id") for resource in json.loads(stack.export())["deployment"].get("resources") or []
    }
    anchor = 'anchor = stacks.Container("anchor", template="nodejs", plan="micro")\n'
    stack.program(PRELUDE + anchor + "".join(one.source() for one in program))
    spend = {name: {"max_monthly_usd": limit} for name in ("monthly-budget", "budget-warning", "spend-gate")}
    packs = with_packs(scratch, {"spend": spend})

    preview = stack.engine("preview", *packs)
    report = report_of((stack.folder / "events.json").read_bytes())
    # The packs also block on their own. They cannot see retained containers.
    declared = [line.planned.high for line in report.lines if line.action != "keep"]
    if None in declared or sum(filter(None, declared)) > limit:
        assert preview.code != 0, preview.text
    if preview.code != 0 or report.planned.high is None or report.planned.high > limit:
        # The gate blocked the update; no other error may be the cause.
        assert report.blocked or not report.incomplete, report.incomplete
        assert preview.code == 0 or "mandatory" in preview.text, preview.text
        return
    stack.up(*packs, quiet_afterwards=False)

    after = account(api)
    owned = {resource.get("id") for resource in json.loads(stack.export())["deployment"]["resources"]}
    elsewhere = before.keys() - mine
    adopted = sum((before[id_] for id_ in elsewhere & owned), Decimal(0))
    change = sum(after.values(), Decimal(0)) - sum(before.values(), Decimal(0))
    # In the stack, or retained by this update.
    billed = sum((price for id_, price in after.items() if id_ in owned or id_ not in elsewhere), Decimal(0))
    assert billed <= limit
    assert report.difference.low is not None
    assert report.difference.high is not None
    # What is taken over is billed already; if no check has seen it, it counts as new.
    assert report.difference.low <= change + adopted
    assert change <= report.difference.high
    if not report.unknown:
        assert report.planned.low == billed
