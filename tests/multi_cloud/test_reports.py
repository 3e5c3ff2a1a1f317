"""`cost`, policies, `account`, the gate and the broker on a stack of two clouds: each judges its known resources."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any, Final

import pytest

from stacks_pulumi.emulator import Emulator
from tests.broker.conftest import Bench
from tests.broker.test_workflow import Machine, machines
from tests.engine.test_cost import written
from tests.multi_cloud.clusters import Cluster, Manifest
from tests.multi_cloud.conftest import Make, install
from tests.support.gate import keys
from tests.support.packs import violations, with_packs
from tests.support.stack import Stack
from tools.engine.kubernetes import Kubernetes

CLUSTER: Final = """
import pulumi_kubernetes as kubernetes

cluster = pulumi.ResourceOptions(
    provider=kubernetes.Provider(
        "cluster",
        {provider},
        # Updated, and not replaced.
        enable_config_map_mutable=True,
        enable_secret_mutable=True,
    )
)
"""
WEB: Final = """
web = stacks.Container("web", template="nodejs", plan="{plan}", replace_on_change=True)
kubernetes.core.v1.ConfigMap(
    "settings",
    metadata={{"name": "settings"}},
    data={{"HOST": web.internal_host, "plan": "premium"}},
    opts=cluster,
)
"""
# The input `template` of the first resource is not a container's template.
OTHERS: Final = """
kubernetes.core.v1.PodTemplate(
    "pods",
    metadata={{"name": "pods"}},
    template={{"spec": {{"containers": [{{"name": "pod", "image": "none"}}]}}}},
    opts=cluster,
)
kubernetes.core.v1.Secret(
    "login",
    metadata={{"name": "login"}},
    string_data={{"token": pulumi.Output.secret("{token}")}},
    opts=cluster,
)
"""
TYPES: Final = {f"kubernetes:core/v1:{kind}" for kind in ("ConfigMap", "PodTemplate", "Secret")}
TOKEN: Final = "hunter2-of-the-cluster"


@pytest.fixture
def change(tmp_path: Path) -> Path:
    return tmp_path / "change.json"


def program(cluster: Cluster, text: str = WEB + OTHERS, *, plan: str = "basic", token: str = TOKEN) -> str:
    return (CLUSTER + text).format(provider=cluster.provider, plan=plan, token=token)


def held(cluster: Cluster) -> dict[str, Manifest]:
    """Return the objects of the cluster, by name."""
    return {it["metadata"]["name"]: it for it in cluster.objects()}


def asked(stack: Stack, *words: str) -> dict[str, Any]:
    """Return the JSON of a command of this package."""
    done = stack.python("-m", "stacks_pulumi", *words, "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_resources_of_another_cloud_cost_nothing_and_break_no_policy(
    make: Make, cluster: Cluster, emulator: Emulator, tmp_path: Path
) -> None:
    stack = make(emulator.key, emulator.url)
    stack.program(program(cluster))
    limit = {name: {"max_monthly_usd": 4} for name in ("monthly-budget", "budget-warning", "spend-gate")}
    packs = with_packs(
        tmp_path, {"plans": {"max-resources": {"containers": 1}}, "spend": limit, "exposure": {}}
    )
    preview, export, prices = (tmp_path / name for name in ("preview.json", "state.json", "prices.yaml"))
    prices.write_text(
        "prices:\n- {type: 'kubernetes:*', price: free}\n- {type: 'kubernetes:core/v1:Secret', price: 2}\n",
        encoding="utf-8",
    )

    for action in ("create", "same"):
        preview.write_bytes(written(stack, "preview", "--json", "--show-sames"))
        cost = asked(stack, "cost", str(preview), "--max-total", "4", "--strict")
        assert cost["planned"] == {"low": "4.00", "high": "4.00"}
        assert [(one["name"], one["action"]) for one in cost["resources"]] == [("web", action)]
        assert {one["type"] for one in cost["not_priced"] if one["reason"] == "elsewhere"} == TYPES
        priced = asked(stack, "cost", str(preview), "--prices", str(prices))
        assert priced["planned"] == {"low": "6.00", "high": "6.00"}
        judged = stack.engine("up", "--yes", *packs)
        assert judged.code == 0, judged.text
        assert violations(judged) == {}
        assert set(violations(judged, "advisory")) <= {"budget-warning"}
    assert emulator.state.names() == ["web"]

    export.write_text(stack.export(), encoding="utf-8")
    assert asked(stack, "cost", str(export))["planned"] == {"low": "4.00", "high": "4.00"}
    # Resources of another cloud are neither missing nor orphans.
    account = asked(stack, "account", "--fail-on", "orphans,double,missing", "--children")
    assert [(one["name"], one["ownership"]) for one in account["containers"]] == [("web", "owned")]
    assert (account["missing"], account["unread"], account["complete"]) == ([], [], True)

    before = held(cluster)
    stack.program(program(cluster, plan="premium"))
    refused = violations(stack.preview_fails(*packs))
    assert "the stack costs $10.00 a month; the limit is $4.00: 'web'" in refused["monthly-budget"]
    assert not any(name in str(refused) for name in ("settings", "pods", "login", TOKEN))
    assert held(cluster) == before


def equipped(bench: Bench, stack: Stack, built: Kubernetes) -> tuple[Machine, Machine, Machine]:
    """Return the planner, the approver and the job that applies; machines with an engine have the provider."""
    planner, approver, job = machines(bench, stack)
    for machine in (planner, job):
        install(built, Path(machine.env["PULUMI_HOME"]))
    return planner, approver, job


def planned(planner: Machine, text: str, change: Path, bench: Bench, code: int = 3) -> str:
    """Plan a program; return the output of the gate."""
    planner.stack.program(text)
    planner.checkout()
    return planner.gate("plan", "--gate", bench.url, "--out", str(change), "-s", "dev", code=code)


def test_the_gate_reports_the_other_cloud_and_enforces_its_own(
    *, make: Make, built: Kubernetes, cluster: Cluster, change: Path, emulator: Emulator, benches: Any
) -> None:
    bench = benches()
    planner, approver, job = equipped(bench, make(), built)

    def applied() -> None:
        approver.gate("approve", str(change), "--gate", bench.url, "--key", str(keys() / "ann"))
        job.checkout()
        job.gate("apply", str(change), "--gate", bench.url)

    said = planned(planner, program(cluster), change, bench)
    assert "+$4.00 a month" in said
    assert "Reported by the planner, not enforced by the broker" in said
    for type_ in TYPES:
        assert f"may open access: if the type {type_} never does" in said
        assert f"({type_}) has no known upper bound" in said
    assert TOKEN not in said + change.read_text(encoding="utf-8")
    assert (held(cluster), emulator.state.names()) == ({}, [])
    applied()
    assert (set(held(cluster)), bench.names) == ({"settings", "pods", "login"}, ["web"])

    # A hidden input changes, and no request is sent to STACKS.
    planned(planner, program(cluster, token="another"), change, bench)
    document = json.loads(change.read_text(encoding="utf-8"))
    assert [(it["operation"], it["name"], it["changed"]) for it in document["preview"]["steps"]] == [
        ("update", "login", ["data"])
    ]
    assert document["permits"] == []
    applied()
    assert held(cluster)["login"]["data"] == {"token": base64.b64encode(b"another").decode()}

    # The deletion of a container is a request; that of a ConfigMap is a report.
    said = planned(planner, program(cluster, OTHERS, token="another"), change, bench)
    assert (
        "'settings' is deleted, and may contain data: if the type kubernetes:core/v1:ConfigMap never does"
        in said
    )
    assert "DELETE /containers/" in said
    applied()
    assert (set(held(cluster)), bench.names) == ({"pods", "login"}, [])


def test_what_the_gate_lists_as_harmless_is_free(
    make: Make, built: Kubernetes, cluster: Cluster, change: Path, benches: Any
) -> None:
    bench = benches()
    (bench.path / "prices.yaml").write_text(
        "prices:\n- {type: 'kubernetes:*', price: free}\n", encoding="utf-8"
    )
    bench.stop()
    bench.configure(
        {"harmless": ["kubernetes:core/v1:*"], "prices": "prices.yaml", "free": {"increase_per_day": 5}}
    )
    bench.start()
    planner = Machine("planner", make(), bench.url, bench.reader(may_apply_free=True).token)
    install(built, Path(planner.env["PULUMI_HOME"]))

    said = planned(planner, program(cluster, OTHERS), change, bench, code=0)

    assert "may be applied without an approval" in said
    planner.gate("apply", str(change), "--gate", bench.url)
    assert set(held(cluster)) == {"pods", "login"}


@pytest.mark.parametrize("host", ["dynamic", "native"])
def test_a_broker_refuses_a_container_and_touches_nothing_of_the_other_cloud(
    host: str, make: Make, cluster: Cluster, benches: Any
) -> None:
    policy = {
        "increase_per_day": 5,
        "max_total": 5,
        "templates": ["nodejs"],
        "plans": ["basic"],
        "free": ["undo"],
    }
    bench = benches(policies={"agents": policy})
    stack = make(bench.agent(stack="tests/dev").token, bench.url)
    if host == "native":
        stack.native()
    stack.program(program(cluster), host=host)
    stack.up()
    assert bench.names == ["web"]

    more = """
big = stacks.Container("big", template="nodejs", plan="premium")
for name, data in (("more", big.internal_host), ("other", "a value")):
    kubernetes.core.v1.ConfigMap(name, metadata={"name": name}, data={"HOST": data}, opts=cluster)
"""
    stack.program(program(cluster) + more, host=host)
    refused = stack.up_fails("--continue-on-error")

    (error,) = (it for it in refused.errors if "big" in it or "approv" in it)
    assert "approves the access request" in error
    assert bench.names == ["web"]
    # Resources that do not depend on it are created.
    assert set(held(cluster)) == {"settings", "pods", "login", "other"}
    assert TOKEN not in refused.text
