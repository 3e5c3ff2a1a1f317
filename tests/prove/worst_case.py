"""Random accounts and previews: what is added to one, or made unknown in it, never makes it cheaper or lets it pass."""

from __future__ import annotations

import copy
import functools
import json
import tempfile
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any, ClassVar, Final

from stacks_pulumi import catalog
from stacks_pulumi.account.backend import Stacks, Unread, read_export
from stacks_pulumi.account.budgets import Budget, after, judged
from stacks_pulumi.account.reconcile import Reconciliation, ThisAccount, reconcile
from stacks_pulumi.api.models import Container
from stacks_pulumi.cost import live
from stacks_pulumi.cost.build import Pricer, changes_of, report_of
from stacks_pulumi.cost.report import PriceTable, read_prices
from stacks_pulumi.cost.result import CostLimit, judge
from stacks_pulumi.errors import StacksError
from stacks_pulumi.pricing.money import Price
from tests.prove.proof import Case, Proof, Seen
from tests.support.exports import DYNAMIC, urn
from tests.support.previews import UNKNOWN

__all__ = ["WorstCaseProof"]

URL: Final = "https://api.example/v1"
MINE: Final = "usr-11111111"
NAMES: Final = ("web", "api", "data", "mail")
STACKS: Final = ("dev", "prod")
TEMPLATES: Final = ("nodejs", "postgresql", "stacks-vpn", "nginx-micro")
PLANS: Final = (*("micro", "basic", "standard", "premium") * 3, "colossal")
SIZES: Final = (None, 5 * 1024, 10 * 1024, 42 * 1024, 138 * 1024, 11_111, 300 * 1024)
TIERS: Final = (None, None, 1, 3, 5)
CREATED: Final = "2026-01-01T00:00:00Z"
LATER: Final = "2026-02-01T00:00:00Z"
OTHER: Final = "aws:ec2/instance:Instance"
PRICES: Final = """
prices:
  - {type: "aws:ec2/*", property: size, prices: {small: 5, large: 20-40}}
  - {type: "free:*", price: free}
"""
OPS: Final = ("create", "same", "same", "update", "replace", "delete")

Figures = dict[str, tuple[Decimal, bool]]
"""What is measured -> its upper bound, and whether it is refused."""


class WorstCaseProof(Proof):
    """A case is an account, its states, a preview and budgets, and one thing that is added or made unknown."""

    about = (
        "adding to an account or a preview, or not knowing a part of it, lowers no total and passes no limit"
    )
    cases = 2000
    least: ClassVar[Mapping[str, int]] = {"refused": 50, "passed": 50, "higher": 50}

    @classmethod
    def short(cls) -> list[list[str]]:
        return [["--seed=27", "--cases=300"]]

    def draw(self, chance: Random) -> Iterator[Case]:
        while True:
            yield {
                "containers": [_container(chance, name) for name in NAMES if chance.random() < 0.7],
                "resources": [_resource(chance, chance.choice(NAMES)) for _ in range(chance.randrange(5))],
                "steps": [_step(chance, name) for name in NAMES if chance.random() < 0.6],
                "limits": [
                    {"over": over, "most": chance.randrange(30)} for over in (None, "shop/dev", "shop/prod")
                ],
                "added": _addition(chance),
            }

    def run(self, case: Case, seen: Seen) -> None:
        before = _figures(case)
        case = copy.deepcopy(case)
        if not ADDITIONS[case["added"]["what"]](case, case["added"]):
            return
        now = _figures(case)
        seen.note = str(case["added"]["what"])
        for name, (high, refused) in before.items():
            assert now[name][0] >= high, f"{name} falls from {high} to {now[name][0]}"
            assert now[name][1] or not refused, f"{name} was refused, and passes now"
            seen.counts["refused" if refused else "passed"] += 1
            seen.counts["higher"] += now[name][0] > high


# --- what is drawn ---


def _container(chance: Random, name: str) -> Case:
    template, plan = chance.choice(TEMPLATES), chance.choice(PLANS)
    # The API takes additional storage for neither, so a list without sizes is no reason to expect any.
    without = catalog.is_database(template) or catalog.is_micro(template, plan)
    sizes = (None, 20 * 1024, 52 * 1024) if template == catalog.VPN_TEMPLATE else SIZES
    created = chance.choice((CREATED, CREATED, CREATED, LATER))
    return {
        "name": name,
        "template": template,
        "plan": plan,
        "storage_mb": catalog.PLANS[plan].storage_mb
        if without and template != catalog.VPN_TEMPLATE and plan in catalog.PLANS
        else chance.choice(sizes),
        "created_at": created,
    }


def _resource(chance: Random, name: str) -> Case:
    return {
        "stack": chance.choice(STACKS),
        "name": name,
        "account": chance.choice((MINE, MINE, MINE, "usr-22222222")),
        "url": chance.choice((None, None, URL, "https://API.example:443/v1/", "https://other.example/v1")),
        "created_at": chance.choice((CREATED, CREATED, LATER, None)),
        "inputs": _inputs(chance, name),
    }


def _inputs(chance: Random, name: str) -> Case:
    return {
        "name": name,
        "template": chance.choice(TEMPLATES),
        "plan": chance.choice(PLANS),
        "additional_storage_tier": chance.choice(TIERS),
        "stacks_kind": "Container",
    }


def _step(chance: Random, name: str) -> Case:
    old, new = _inputs(chance, name), _inputs(chance, name)
    op = chance.choice(OPS)
    return {
        "op": op,
        "name": name,
        "old": old,
        "new": old if op == "same" else new,
        "storage_mb": chance.choice(SIZES),
        "deleted_with": chance.random() < 0.2,
    }


def _addition(chance: Random) -> Case:
    return {
        "what": chance.choice([*ADDITIONS]),
        "at": chance.randrange(4),
        "container": _container(chance, "added"),
        "resource": _resource(chance, chance.choice((*NAMES, "added"))),
        "step": {**_step(chance, "added"), "op": chance.choice(("create", "same"))},
        # Another export of the stack of the preview would say more of what the preview deletes.
        "stack": chance.choice(("prod", "added")),
        "field": chance.choice(("template", "plan", "storage_mb", "created_at")),
    }


# --- what is added, or made unknown ---


def _pick(rows: list[Case], added: Case) -> Case | None:
    return rows[added["at"] % len(rows)] if rows else None


def _add_container(case: Case, added: Case) -> bool:
    # The first container tells which account this is, and so whose the resources of the states are.
    if not case["containers"]:
        return False
    case["containers"].append(added["container"])
    return True


def _add_resource(case: Case, added: Case) -> bool:
    case["resources"].append({**added["resource"], "stack": added["stack"]})
    return True


def _forget_of_container(case: Case, added: Case) -> bool:
    one = _pick(case["containers"], added)
    if one is not None:
        one[added["field"]] = None
    return one is not None


def _forget_time_of_resource(case: Case, added: Case) -> bool:
    one = _pick(case["resources"], added)
    if one is not None:
        one["created_at"] = None
    return one is not None


def _unread(case: Case, _added: Case) -> bool:
    case["unread"] = True
    return True


def _gap(case: Case, _added: Case) -> bool:
    case["gap"] = "a row cannot be read"
    return True


def _add_step(case: Case, added: Case) -> bool:
    case["steps"].append(added["step"])
    return True


def _hide_plan(case: Case, added: Case) -> bool:
    one = _pick([step for step in case["steps"] if step["op"] != "delete"], added)
    if one is not None:
        one["new"] = {**one["new"], "plan": UNKNOWN if added["at"] % 2 else "[secret]"}
        if one["op"] == "same":
            one["old"] = one["new"]
    return one is not None


def _hide_size(case: Case, added: Case) -> bool:
    one = _pick([step for step in case["steps"] if step["op"] in {"same", "update"}], added)
    if one is not None:
        one["storage_mb"] = "[secret]" if added["at"] % 2 else 300 * 1024
    return one is not None


def _add_other(case: Case, added: Case) -> bool:
    case["other"] = {"type": OTHER, "size": ("small", "large", "huge", UNKNOWN)[added["at"]]}
    return True


def _unknown_kind(case: Case, _added: Case) -> bool:
    case["other"] = {"type": f"{DYNAMIC}Mystery", "size": ""}
    return True


def _lack_steps(case: Case, added: Case) -> bool:
    case["lacking"] = added["at"] + 1
    return True


ADDITIONS: Final[dict[str, Callable[[Case, Case], bool]]] = {
    "a container": _add_container,
    "a resource or a stack": _add_resource,
    "an unknown value of a container": _forget_of_container,
    "an unknown creation time in a state": _forget_time_of_resource,
    "a stack that cannot be read": _unread,
    "a row that cannot be read": _gap,
    "a step": _add_step,
    "an unknown plan": _hide_plan,
    "an unknown size": _hide_size,
    "a resource of another provider": _add_other,
    "a resource of an unknown kind": _unknown_kind,
    "steps that are missing": _lack_steps,
}


# --- what is measured ---


def _figures(case: Case) -> Figures:
    now, preview = _account(case), _preview(case)
    result: Figures = {}
    most = Decimal(next((limit["most"] for limit in case["limits"]), 0))
    for form, data in (("preview", preview), ("events", _events(preview))):
        report = report_of(data, Pricer(others=_table()))
        passed = [
            judge(report, (CostLimit(measure, most, block=True),))[0].passed
            for measure in ("total", "increase")
        ]
        result[f"the {form}'s total"] = (_high(report.planned), bool(report.incomplete) or not passed[0])
        increase = Decimal("Infinity") if report.difference.high is None else report.difference.high
        result[f"the {form}'s increase"] = (increase, bool(report.incomplete) or not passed[1])
    incomplete = not now.complete
    result |= _of_account("the account", now, case, incomplete)
    report, changes = changes_of(preview)
    try:
        then = after(now, changes)
    except StacksError:
        return result
    return result | _of_account("the account afterwards", then, case, incomplete or bool(report.incomplete))


def _of_account(title: str, account: Reconciliation, case: Case, incomplete: bool) -> Figures:
    result: Figures = {f"{title}'s price": (_high(account.price), incomplete)}
    stacks = {stack.name: stack.price for stack in account.stacks}
    for limit in case["limits"]:
        over = limit["over"]
        if over is not None and over not in stacks:
            continue
        limits = (CostLimit("total", Decimal(limit["most"]), block=True),)
        [(_, verdict)] = judged(
            account,
            [Budget("b", limits, () if over is None else (over,))],
            None,
            lambda _name, _value: frozenset(),
        )
        high = account.price if over is None else stacks[over]
        result[f"{title}'s budget over {over}"] = (_high(high), incomplete or not verdict.passed)
    return result


def _high(price: Price) -> Decimal:
    return Decimal("Infinity") if price.high is None else price.high


@functools.cache
def _table() -> PriceTable:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "prices.yaml"
        path.write_text(PRICES, encoding="utf-8")
        return read_prices(path)


def _account(case: Case) -> Reconciliation:
    containers = [
        Container(id=f"{MINE}-{row['name']}", status="running", **row) for row in case["containers"]
    ]
    names = dict.fromkeys([*STACKS, *(row["stack"] for row in case["resources"])])
    of_stack = ([row for row in case["resources"] if row["stack"] == name] for name in names)
    read = tuple(read_export(_export(name, rows)) for name, rows in zip(names, of_stack, strict=True))
    stacks = Stacks(read, (Unread("shop/lost", "no passphrase"),) if case.get("unread") else ())
    return reconcile(
        [(one, live.item_of(one)) for one in containers],
        stacks,
        ThisAccount(containers, URL, "fingerprint"),
        taken_at=CREATED,
        gap=case.get("gap", ""),
    )


def _export(stack: str, rows: list[Case]) -> bytes:
    root = f"urn:pulumi:{stack}::shop::pulumi:pulumi:Stack::shop-{stack}"
    resources: list[Case] = [{"urn": root, "type": "pulumi:pulumi:Stack"}]
    for number, row in enumerate(rows):
        provider = f"urn:pulumi:{stack}::shop::pulumi:providers:stacks::p{number}"
        type_ = "pulumi:providers:stacks"
        inputs = {} if row["url"] is None else {"baseUrl": row["url"]}
        resources.append({"urn": provider, "type": type_, "id": "1", "custom": True, "inputs": inputs})
        resources.append(
            {
                "urn": urn(stack, "shop", "Container", row["name"]),
                "type": f"{DYNAMIC}Container",
                "custom": True,
                "id": f"{row['account']}-{row['name']}",
                "provider": f"{provider}::1",
                "inputs": row["inputs"],
                "outputs": {"created_at": row["created_at"]},
            }
        )
    return json.dumps({"version": 3, "deployment": {"resources": resources}}).encode()


def _preview(case: Case) -> bytes:
    root = "urn:pulumi:dev::shop::pulumi:pulumi:Stack::shop-dev"
    state: Case = {"urn": root, "type": "pulumi:pulumi:Stack"}
    steps: list[Case] = [{"op": "same", "urn": root, "oldState": state, "newState": state}]
    for step in case["steps"]:
        common = {
            "urn": urn("dev", "shop", "Container", step["name"]),
            "type": f"{DYNAMIC}Container",
            "custom": True,
        }
        one: Case = {"op": step["op"], "urn": common["urn"]}
        if step["op"] != "create":
            with_ = {"deletedWith": root} if step["deleted_with"] else {}
            outputs = {"storage_mb": step["storage_mb"]}
            id_ = f"{MINE}-{step['name']}"
            one["oldState"] = {**common, "id": id_, "inputs": step["old"], "outputs": outputs, **with_}
        if step["op"] != "delete":
            one["newState"] = {**common, "inputs": step["new"]}
        steps.append(one)
    if other := case.get("other"):
        made = urn("dev", "shop", "X", "other").replace(f"{DYNAMIC}X", other["type"])
        state = {"urn": made, "type": other["type"], "custom": True, "inputs": {"size": other["size"]}}
        steps.append({"op": "create", "urn": made, "newState": state})
    summary: dict[str, int] = {}
    for one in steps:
        summary[one["op"]] = summary.get(one["op"], 0) + 1
    if "lacking" in case:
        summary["create"] = summary.get("create", 0) + case["lacking"]
    return json.dumps({"steps": steps, "changeSummary": summary}).encode()


def _events(preview: bytes) -> bytes:
    document = json.loads(preview)
    lines: list[Any] = [
        {"resourcePreEvent": {"metadata": {**step, "old": step.get("oldState"), "new": step.get("newState")}}}
        for step in document["steps"]
    ]
    # The events have no `deletedWith`.
    for line in lines:
        (line["resourcePreEvent"]["metadata"]["old"] or {}).pop("deletedWith", None)
    lines.append({"summaryEvent": {"result": "succeeded", "resourceChanges": document["changeSummary"]}})
    return "".join(json.dumps({"sequence": at, **line}) + "\n" for at, line in enumerate(lines)).encode()
