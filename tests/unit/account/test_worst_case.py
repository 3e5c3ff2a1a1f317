"""For unknown facts, the account command assumes the worst case, including facts on which two sources differ."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from stacks_pulumi.api import StacksClient
from stacks_pulumi.cli import main
from tests.unit.account.conftest import Account
from tests.unit.account.test_account import OF_PROVIDER, OTHER_ORIGIN, provider
from tools.docs.exports import DYNAMIC, urn

pytestmark = pytest.mark.usefixtures("key_in_environment")

OLD = "2026-01-01T00:00:00Z"


def limits(data: dict[str, Any]) -> dict[str, bool]:
    return {one["budget"]: one["passed"] for one in data["limits"]}


@pytest.mark.parametrize("command", ["account", "cost"])
def test_a_snapshot_is_not_replaced_by_what_a_limit_refuses(command: str, accounts: Account) -> None:
    accounts.emulator.load([{"name": "web", "template": "nodejs"}])
    then = accounts.folder / "then"
    options = ["--state", accounts.export("dev.json")] if command == "account" else ["--account"]
    assert main([command, *options, "--save", str(then)]) == 0
    saved = then.read_bytes()
    accounts.emulator.load([{"name": "big", "template": "nodejs", "plan": "premium"}])
    refused = [command, *options, "--compare-to", str(then), "--save", str(then), "--max-increase", "5"]

    assert [main(refused), main(refused)] == [2, 2]

    assert then.read_bytes() == saved
    assert "was not written: a limit is exceeded" in accounts.capsys.readouterr().err
    # To accept an unknown value, leave the limit out.
    assert main([command, *options, "--save", str(then)]) == 0
    assert main(refused) == 0


def test_a_budget_over_what_was_left_out_has_no_upper_bound(accounts: Account, tmp_path: Path) -> None:
    accounts.emulator.load([{"name": "web", "template": "nodejs"}])
    mine = accounts.export("mine.json", accounts.container("web"))
    foreign = accounts.container("far", "prod", created_at=OLD, id="usr-99999999-far", **OTHER_ORIGIN)
    other = accounts.export("other.json", foreign)
    file = accounts.budgets(
        "budgets: [{stacks: shop/prod, max_total: 100}, {stacks: shop/dev, max_total: 4}, {name: all, max_total: 4}]",
    )

    data = accounts.report(mine, other, "--budgets", file, code=2)

    assert limits(data) == {"shop/prod": False, "shop/dev": True, "all": True}
    assert "shop/prod are in a different account" in data["limits"][0]["text"]
    assert data["other_accounts"][0]["certain"] is True
    # It is certainly a different account, so `--fail-on` does not apply to it.
    accounts.report(mine, other, "--fail-on", "orphans,double,missing")


def test_a_container_that_may_be_a_stacks_counts_in_its_budget(accounts: Account, tmp_path: Path) -> None:
    accounts.emulator.load([{"name": name, "template": "nodejs"} for name in ("resized", "made", "alone")])
    creating = {"type": "creating", "resource": accounts.container("made", id="")}
    resized = accounts.container("resized", created_at=OLD)
    dev = accounts.export("dev.json", resized, pending=(creating,))

    for limit, code in (("8", 0), ("7.99", 2)):
        file = accounts.budgets(f"budgets: [{{stacks: shop/dev, max_total: {limit}}}]")
        accounts.report(dev, "--budgets", file, code=code)


@pytest.mark.parametrize("listed", [True, False])
def test_fail_on_fails_where_the_account_of_a_resource_is_not_known(listed: bool, accounts: Account) -> None:
    if listed:
        accounts.emulator.load([{"name": "web", "template": "nodejs"}])
    # This may be a different spelling of the address.
    gone = accounts.container("gone", created_at=OLD, **OF_PROVIDER)
    state = accounts.export("dev.json", provider("https://api.other.example/api/v1"), gone)

    data = accounts.report(state, "--fail-on", "missing", code=2)

    assert "1 stack with resources that may be in this account" in data["failed"][0]
    file = accounts.budgets("budgets: [{stacks: shop/dev, max_total: 100}]")
    assert limits(accounts.report(state, "--budgets", file, code=2)) == {"shop/dev": False}


def test_what_no_budget_covers_is_named_and_fails_where_all_has_to_be_covered(accounts: Account) -> None:
    accounts.emulator.load([{"name": name, "template": "nodejs"} for name in ("web", "blog", "alone")])
    files = [
        accounts.export("dev.json", accounts.container("web")),
        accounts.export("blog.json", accounts.container("blog", "prod2", "blog")),
        accounts.export("empty.json"),
    ]
    entries = "budgets: [{stacks: 'shop/*', max_total: 4, owner: team web}, {name: all, max_total: 100}]"

    data = accounts.report(*files, "--budgets", accounts.budgets(entries))
    assert data["uncovered"] == ["blog/prod2 ($4.00)"]
    assert [one["owner"] for one in data["limits"]] == ["team web", None]
    data = accounts.report(*files, "--budgets", accounts.budgets(f"covers: all\n{entries}"), code=2)
    assert data["uncovered"] == ["blog/prod2 ($4.00)"]
    only = accounts.budgets("covers: all\nbudgets: [{stacks: '*/*', max_total: 100}]")
    assert accounts.report(*files, "--budgets", only, code=2)["uncovered"] == [
        "1 container without a stack ($4.00)"
    ]

    assert main(["account", *[w for f in files for w in ("--state", f)], "--budgets", only]) == 2
    out = accounts.capsys.readouterr().out
    assert "error: no budget with max_total or max_increase covers 1 container without a stack ($4.00)" in out
    assert out.endswith("Exit code 2: no budget covers 1 container without a stack ($4.00) (covers: all).\n")
    covered = accounts.budgets(f"covers: all\n{entries.replace('shop/*', '[a-z]*')}")
    assert main(["account", *[w for f in files for w in ("--state", f)], "--budgets", covered]) == 2
    assert "error: [a-z]* (owner: team web): the total is $8.00" in accounts.capsys.readouterr().out


@pytest.mark.parametrize(
    ("limit", "covered"),
    [
        ("max_total: 100", True),
        ("max_increase: 100", True),
        ("warn_total: 100", False),
        # A new stack has no increase in percent.
        ("max_increase_pct: 100", False),
        ("warn_total: 100, max_increase: 100", True),
    ],
)
def test_a_stack_is_covered_only_by_a_budget_that_can_refuse_it(
    limit: str, covered: bool, accounts: Account
) -> None:
    accounts.emulator.load([{"name": "web", "template": "nodejs"}])
    state, then = accounts.export("dev.json", accounts.container("web")), str(accounts.folder / "then")
    accounts.report(state, "--save", then)
    given = [state, "--compare-to", then, "--budgets"]

    stack = accounts.budgets(
        f"covers: all\nbudgets: [{{stacks: shop/dev, {limit}}}, {{name: x, max_total: 99}}]"
    )
    data = accounts.report(*given, stack, code=0 if covered else 2)

    assert data["uncovered"] == ([] if covered else ["shop/dev ($4.00)"])


def test_what_is_in_no_stack_is_covered_only_by_a_budget_that_can_refuse_it(accounts: Account) -> None:
    accounts.emulator.load([{"name": "web", "template": "nodejs"}])

    for word, code in (("warn", 2), ("max", 0)):
        file = accounts.budgets(f"covers: all\nbudgets: [{{name: all, {word}_total: 99}}]")
        accounts.report(accounts.export("empty.json"), "--budgets", file, code=code)


def test_the_higher_of_the_listed_and_the_declared_price_counts(accounts: Account) -> None:
    accounts.emulator.load(
        [
            {"name": "listed", "template": "nodejs", "plan": "premium"},
            {"name": "declared", "template": "nodejs"},
            {"name": "unsized", "template": "nodejs"},
        ]
    )
    declared = accounts.container("declared")
    declared["inputs"]["plan"] = "premium"
    state = accounts.export("dev.json", accounts.container("listed"), declared, accounts.container("unsized"))
    with StacksClient(accounts.emulator.key, base_url=accounts.emulator.url) as client:
        rows = [msgspec.to_builtins(one) for one in client.containers.list()]
    next(row for row in rows if row["name"] == "unsized")["storage_mb"] = 11_111
    accounts.emulator.faults.add("containers.list", "answer", body={"success": True, "data": rows})

    data = accounts.report(state)

    assert {one["name"]: (one["price"]["low"], one["price"]["high"]) for one in data["containers"]} == {
        "listed": ("10.00", "10.00"),
        "declared": ("10.00", "10.00"),
        # The state implies $4, but the platform lists a size that fits no tier.
        "unsized": ("4.00", "9.00"),
    }


# --- after a preview ---


def step(
    op: str, name: str, old: Any = None, new: Any = None, *, id_: str = "", **more: Any
) -> dict[str, Any]:
    one: dict[str, Any] = {"op": op, "urn": urn("dev", "shop", "Container", name)}
    common = {"urn": one["urn"], "type": f"{DYNAMIC}Container", "custom": True, **more}
    for key, plan in (("oldState", old), ("newState", new)):
        if plan is not None:
            inputs = {"name": name, "template": "nodejs", "plan": plan, "stacks_kind": "Container"}
            one[key] = {**common, "inputs": inputs, "id": id_ if key == "oldState" or op != "create" else ""}
    return one


def preview(folder: Path, *steps: dict[str, Any], **more: Any) -> str:
    path = folder / "preview"
    summary: dict[str, int] = {}
    for one in steps:
        summary[one["op"]] = summary.get(one["op"], 0) + 1
    path.write_text(json.dumps({"steps": steps, "changeSummary": summary, **more}), encoding="utf-8")
    return str(path)


@pytest.fixture
def three(accounts: Account) -> Account:
    """An account with three containers for $12: one of shop/dev, one of blog/prod, and one of no stack."""
    accounts.emulator.load([{"name": name, "template": "nodejs"} for name in ("web", "blog", "alone")])
    accounts.export("blog.json", accounts.container("blog", "prod", "blog"))
    accounts.export("dev.json", accounts.container("web"))
    return accounts


def planned(data: dict[str, Any]) -> tuple[str, str]:
    """Return the prices of the account and of the stack after the change."""
    after = data["after"]
    return after["account"]["price"]["high"], after["stacks"]["shop/dev"]["price"]["high"]


@pytest.mark.parametrize(
    ("steps", "account_price", "stack_price"),
    [
        ([("same", "web", "basic", "basic")], "12.00", "4.00"),
        ([("create", "new", None, "premium")], "22.00", "14.00"),
        ([("delete", "web", "basic", None)], "8.00", "0.00"),
        ([("replace", "web", "basic", "premium")], "18.00", "10.00"),
        ([("replace", "web", "basic", "micro")], "9.00", "1.00"),
        # The state assigns it to this stack, but the account shows another owner or no owner.
        ([("delete", "blog", "basic", None)], "12.00", "4.00"),
        ([("delete", "alone", "basic", None)], "12.00", "4.00"),
        # Names are unique in an account: this container is adopted, or the create fails.
        ([("create", "alone", None, "basic")], "12.00", "8.00"),
        ([("create", "alone", None, "premium")], "18.00", "14.00"),
        # Another resource has this name: the new container may be in a different account, or names may be
        # case-sensitive. Or the existing container is adopted, so it also counts for this stack.
        ([("create", "blog", None, "basic")], "16.00", "12.00"),
        ([("create", "ALONE", None, "basic")], "16.00", "12.00"),
        ([("update", "web", "basic", "micro")], "12.00", "4.00"),
    ],
)
def test_the_account_after_a_preview(
    steps: list[Any], account_price: str, stack_price: str, *, three: Account
) -> None:
    accounts, dev = three, str(three.folder / "dev.json")
    made = [step(op, name, old, new, id_=accounts.id(name)) for op, name, old, new in steps]

    data = three.report(
        dev,
        str(three.folder / "blog.json"),
        "--after",
        preview(three.folder, *made),
        "--max-total",
        account_price,
    )

    assert planned(data) == (account_price, stack_price)
    assert data["totals"]["account"]["price"]["high"] == "12.00"


def test_a_container_that_may_be_another_one_is_not_deleted_by_a_preview(three: Account) -> None:
    accounts = three
    untimed = accounts.container("web")
    del untimed["outputs"]["created_at"]
    made = preview(three.folder, step("delete", "web", "basic", None, id_=accounts.id("web")))

    data = three.report(accounts.export("dev.json", untimed), "--after", made)

    assert planned(data) == ("12.00", "4.00")
    assert any(note.startswith("the price after the change still includes web") for note in data["notes"])


def test_two_new_containers_with_one_name_count_twice(three: Account) -> None:
    # They may be in two accounts: a preview of new containers shows no ids.
    one = step("create", "new", None, "standard")
    other = {**one, "urn": urn("dev", "shop", "Container", "other")}

    data = three.report(
        str(three.folder / "dev.json"),
        str(three.folder / "blog.json"),
        "--after",
        preview(three.folder, one, other),
    )

    assert planned(data) == ("22.00", "14.00")


def test_all_budgets_are_judged_as_they_will_be_after_the_preview(three: Account, tmp_path: Path) -> None:
    accounts, dev = three, str(three.folder / "dev.json")
    steps = [
        step("create", "new", None, "standard"),
        step("same", "web", "basic", "basic", id_=accounts.id("web")),
    ]
    file = three.budgets(
        "budgets: [{projects: shop, max_total: 8.99}, {projects: blog, max_total: 4}, {name: all, max_increase: 4.99}]",
    )
    given = [dev, str(tmp_path / "blog.json"), "--budgets", file, "--after", preview(tmp_path, *steps)]

    data = three.report(*given, code=2)

    assert limits(data) == {"shop": False, "blog": True, "all": False}
    assert [(one["name"], one["action"]) for one in data["changes"]] == [("new", "create")]
    words = [word for file in given[:2] for word in ("--state", file)]
    assert main(["account", *words, *given[2:]]) == 2
    out = three.capsys.readouterr().out
    assert "After the change: $17.00." in out.splitlines()[0]
    assert "preview: +$5.00" in out


def test_what_a_stack_takes_over_is_no_increase_of_its_budget(three: Account, tmp_path: Path) -> None:
    dev = str(three.folder / "dev.json")
    file = three.budgets(
        "budgets: [{projects: shop, max_increase: 0}, {projects: blog, max_total: 4, max_increase: 0}]",
    )
    given = [dev, str(tmp_path / "blog.json"), "--budgets", file, "--after"]

    # The container of no stack. A container of another stack is new for this stack.
    for name, passed in (("alone", True), ("blog", False)):
        made = preview(tmp_path, step("create", name, None, "basic"))
        data = three.report(*given, made, code=0 if passed else 2)
        found = [one["passed"] for one in data["limits"] if one["measure"] == "increase"]
        assert found == [passed, True], data["limits"]


def test_a_preview_of_a_stack_that_is_not_known_adds_to_the_account(three: Account, tmp_path: Path) -> None:
    file = three.budgets(
        "covers: all\nbudgets: [{projects: blog, max_total: 4}, {name: all, max_total: 100}]"
    )
    made = preview(tmp_path, step("create", "new", None, "basic"))

    data = three.report(str(tmp_path / "blog.json"), "--after", made, "--budgets", file, code=2)

    assert data["uncovered"] == ["shop/dev ($4.00)"]


@pytest.mark.parametrize(
    ("steps", "more", "code"),
    [
        ([("create", "new", None, "basic")], {"changeSummary": {"create": 2}}, 1),
        ([("create", "new", None, "basic")], {"changeSummary": {"create": 1, "same": 3}}, 1),
        (
            [("create", "new", None, "basic")],
            {"diagnostics": [{"message": "error: preview failed", "severity": "error"}]},
            2,
        ),
        # A container of another account is neither counted here nor free.
        ([("same", "far", "basic", "basic")], {}, 2),
    ],
)
def test_a_preview_that_is_not_whole_passes_no_budget(
    steps: list[Any], more: dict[str, Any], code: int, *, three: Account
) -> None:
    dev = str(three.folder / "dev.json")
    made = preview(three.folder, *(step(*one, id_="usr-99999999-far") for one in steps), **more)
    file = three.budgets("budgets: [{stacks: shop/dev, max_total: 100}]")

    three.report(dev, "--after", made, "--budgets", file, code=code)


@pytest.mark.parametrize("name", ["", "web", "urn:pulumi:dev"])
def test_a_preview_whose_urns_have_no_stack_is_an_error(name: str, three: Account, tmp_path: Path) -> None:
    made = step("create", "web", None, "basic")
    made["urn"] = made["newState"]["urn"] = name

    assert (
        main(["account", "--state", str(three.folder / "dev.json"), "--after", preview(tmp_path, made)]) == 1
    )

    assert f"a resource without a stack in its URN ({name!r})" in three.capsys.readouterr().err


def test_an_export_is_no_preview(three: Account) -> None:
    assert (
        main(
            ["account", "--state", str(three.folder / "dev.json"), "--after", str(three.folder / "dev.json")]
        )
        == 1
    )

    assert "this is the export of a stack, not a preview" in three.capsys.readouterr().err
