"""What changes: each operation of the engine, read from a saved plan and the state alone."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from stacks_pulumi import provider_for
from stacks_pulumi._pulumi_cli import InputError
from stacks_pulumi.cost.build import Pricer
from stacks_pulumi.cost.report import PriceTable, read_prices
from stacks_pulumi.gate import saved as plans
from stacks_pulumi.gate.change import Change, changes_of, contradictions
from stacks_pulumi.gate.plan_file import check_plugins, code_in, other_setting
from stacks_pulumi.gate.rules import Rule
from stacks_pulumi.pricing.money import FREE
from tests.support.previews import Inputs, events, step
from tests.support.saved_plans import (
    ADDRESS,
    COMPONENT,
    CONTAINER,
    HIDDEN,
    PROVIDER,
    RANDOM,
    ROOT,
    UNKNOWN,
    Saved,
    inputs,
    pickled,
    urn,
    web,
)

FIRST_DELETED = ("delete-replaced", "replace", "create-replacement")
PRICER = Pricer(others=PriceTable(()))
DYNAMIC = "urn:pulumi:dev::shop::pulumi:providers:pulumi-python::default::id-1"


def changes(saved: Saved) -> dict[str, Change]:
    found = changes_of(*saved.files, PRICER)
    assert len({f"{one.name}{one.note}" for one in found}) == len(found)
    return {f"{one.name}{one.note}": one for one in found}


def prices(one: Change) -> tuple[int, int | None]:
    high = one.price_after.high
    return int(one.price_before.low), None if high is None else int(high)


def test_a_new_container_has_the_inputs_of_the_plan_and_no_values_before() -> None:
    saved = Saved()
    saved.plan("web", web(), "create")
    one = changes(saved)["web"]
    assert (one.operation, one.kind, dict(one.before), one.after["plan"]) == (
        "create",
        "Container",
        {},
        "basic",
    )
    assert prices(one) == (0, 4)
    assert one.steps == ("create",)


def test_an_update_has_the_values_before_and_after() -> None:
    saved = Saved()
    saved.old("web", web(desired_status="running", restart_triggers=["1"]))
    saved.plan("web", web(desired_status="stopped"), "update")
    one = changes(saved)["web"]
    assert one.operation == "update"
    assert (one.before["desired_status"], one.after["desired_status"]) == ("running", "stopped")
    assert "restart_triggers" not in one.after
    assert set(one.changed) == {"desired_status", "restart_triggers"}
    assert prices(one) == (4, 4)


@pytest.mark.parametrize(
    ("steps", "deleted_first"),
    [
        (("delete-replaced", "replace", "create-replacement"), True),
        (("create-replacement", "replace", "delete-replaced"), False),
    ],
)
def test_a_replacement_is_one_change_in_both_orders(steps: tuple[str, ...], deleted_first: bool) -> None:
    saved = Saved()
    saved.old("web", web())
    saved.plan("web", web("premium"), *steps)
    one = changes(saved)["web"]
    assert (one.operation, one.deleted_first) == ("replace", deleted_first)
    assert (one.before["plan"], one.after["plan"]) == ("basic", "premium")
    assert prices(one) == (4, 10)


def test_after_its_deletion_a_resource_is_compared_with_nothing() -> None:
    """The engine deletes what depends on a replaced resource first, and then plans it as if it were new."""
    saved = Saved()
    saved.old("web", web(restart_triggers=["1"]))
    saved.plan("web", web("premium"), "delete-replaced", "replace", "create-replacement", base={})
    one = changes(saved)["web"]
    assert "restart_triggers" not in one.after
    assert one.after["plan"] == "premium"
    assert prices(one) == (4, 10)


def test_what_may_be_compared_with_two_objects_is_unknown() -> None:
    saved = Saved()
    saved.old("it", {"size": "1"}, RANDOM)
    saved.plan("it", {"length": 3}, "delete-replaced", "replace", "create-replacement", kind=RANDOM, base={})
    assert changes(saved)["it"].unknown == ("size",)


def test_a_deletion_and_a_retained_object() -> None:
    saved = Saved()
    saved.old("web", web())
    saved.old("kept", web(), retainOnDelete=True)
    saved.plan("web", None, "delete")
    saved.plan("kept", None, "delete")
    found = changes(saved)
    assert found["web"].operation == "delete"
    assert prices(found["web"]) == (4, 0)
    kept = found["kept (leaves the stack, still billed)"]
    assert (kept.operation, prices(kept)) == ("keep", (4, 4))


@pytest.mark.parametrize("ending", ["delete", "discard", "replace"])
def test_what_is_deleted_with_a_resource_that_ends_stays_billed(ending: str) -> None:
    saved = Saved()
    # The engine deletes nothing of one that was only looked up, and what is deleted with it neither.
    other = saved.old("other", web(), external=ending == "discard")
    saved.old("web", web(), deletedWith=other)
    saved.plan("web", None, "delete")
    if ending != "replace":
        saved.plan("other", None, ending)
    else:
        saved.plan("other", web("premium"), "delete-replaced", "replace", "create-replacement")
    one = changes(saved)["web (leaves the stack, still billed)"]
    assert (one.operation, prices(one)) == ("keep", (4, 4))


def test_a_leftover_of_a_replacement_is_a_deletion_of_its_own() -> None:
    saved = Saved()
    saved.old("web", web("premium"))
    saved.old("web", web(), delete=True, id="usr-1-old")
    saved.plan("web", web("premium"), "same", "delete-replaced")
    found = changes(saved)
    assert found["web"].operation == "same"
    left = found["web (left over from a replacement)"]
    assert (left.operation, left.id, prices(left)) == ("delete", "usr-1-old", (4, 0))


def test_a_replacement_beside_a_leftover_deletes_both() -> None:
    saved = Saved()
    saved.old("web", web("premium"))
    saved.old("web", web(), delete=True, id="usr-1-old")
    saved.plan("web", web(), "create-replacement", "replace", "delete-replaced", "delete-replaced")
    found = changes(saved)
    assert prices(found["web"]) == (10, 4)
    assert prices(found["web (left over from a replacement)"]) == (4, 0)


def test_a_replacement_that_was_interrupted_has_no_old_object() -> None:
    saved = Saved()
    saved.old("web", web(), pendingReplacement=True)
    saved.plan("web", web("premium"), "replace", "create-replacement")
    assert prices(changes(saved)["web"]) == (0, 10)
    saved.plan("web", None, "remove-pending-replace")
    assert changes(saved) == {}


@pytest.mark.parametrize("steps", [("same",), ("update",), ("import", "update")])
def test_an_import_is_of_unknown_inputs(steps: tuple[str, ...]) -> None:
    """
    The engine does not note that it imports. What the preview has read is in neither of the two files, and the plan has
    only the differences to that.
    """
    saved = Saved()
    saved.plan("web", {}, *steps, base={}, id="usr-1-web")
    one = changes(saved)["web"]
    assert (one.operation, one.unknown, one.price_before) == ("import", ("all inputs",), FREE)
    assert one.steps[0] == "import"
    assert one.price_after.high is None


def test_what_was_imported_before_is_not_imported_again() -> None:
    saved = Saved()
    saved.old("web", web())
    saved.plan("web", web(), "same", id="usr-1-web")
    saved.old("it", web(), id="another", importID="its-own")
    saved.plan("it", web(), "same", id="its-own")
    assert {one.operation for one in changes(saved).values()} == {"same"}


@pytest.mark.parametrize("steps", [FIRST_DELETED, ("create-replacement", "replace", "delete-replaced")])
def test_what_is_imported_and_replaced_at_once_is_a_replacement(steps: tuple[str, ...]) -> None:
    saved = Saved()
    saved.plan("web", web("premium"), *steps, base={}, id="usr-1-web")
    one = changes(saved)["web"]
    assert (one.operation, one.id, one.unknown) == ("replace", "usr-1-web", ("all inputs",))
    assert one.price_after.high is None


@pytest.mark.parametrize("step", ["same", "update"])
def test_an_import_in_the_place_of_an_object_replaces_it(step: str) -> None:
    saved = Saved()
    saved.old("web", web())
    saved.plan("web", web(), step, "delete-replaced", id="usr-1-other")
    one = changes(saved)["web"]
    assert (one.operation, one.id, one.unknown) == ("replace", "usr-1-web", ("all inputs",))
    assert prices(one)[0] == 4


def test_an_import_in_the_place_of_an_object_that_is_replaced_at_once_is_refused_for_what_it_is() -> None:
    saved = Saved()
    saved.old("web", web())
    saved.plan("web", web("premium"), *FIRST_DELETED, "delete-replaced", id="usr-1-other")
    with pytest.raises(
        InputError, match="imported and replaced in one change: import it with the inputs that it has"
    ):
        changes(saved)


def test_an_interrupted_create_may_exist_and_counts() -> None:
    saved = Saved()
    saved.pending.append(
        {
            "type": "creating",
            "resource": {"urn": urn("web"), "custom": True, "type": CONTAINER, "inputs": web()},
        }
    )
    one = changes(saved)["web (creation interrupted, may exist)"]
    assert (one.operation, one.unknown, prices(one)) == ("same", (WHETHER,), (4, 4))


def interrupted(saved: Saved, name: str, given: Inputs) -> None:
    saved.pending.append(
        {
            "type": "creating",
            "resource": {"urn": urn(name), "custom": True, "type": CONTAINER, "inputs": given},
        }
    )


WHETHER = "whether it exists (look into the account, then run `pulumi refresh --clear-pending-creates`)"
MAY_EXIST = " (creation interrupted, may exist)"


@pytest.mark.parametrize(
    ("before", "planned", "bounds"),
    [
        # It is made again: it may exist, and then it is not a second one.
        ("basic", "basic", ((0, 4), (4, 4))),
        ("basic", "premium", ((0, 4), (10, 10))),
        # The platform may have the more expensive one.
        ("premium", "basic", ((0, 10), (4, 10))),
    ],
)
def test_an_interrupted_create_and_what_is_made_of_its_name_are_one_container(
    before: str, planned: str, bounds: Any
) -> None:
    saved = Saved()
    interrupted(saved, "web", web(before, name="shop-web"))
    saved.plan("web", web(planned, name="shop-web"), "create")
    found = changes(saved)
    one, pending = found["web"], found[f"web{MAY_EXIST}"]
    assert (
        (one.price_before.low, one.price_before.high),
        (one.price_after.low, one.price_after.high),
    ) == bounds
    assert one.line is not None
    assert (one.line.past, one.line.planned) == (one.price_before, one.price_after)
    assert (pending.price_before, pending.price_after, pending.unknown) == (
        FREE,
        FREE,
        (WHETHER,),
    )


def test_an_interrupted_create_of_what_the_state_has_or_twice_is_one_container() -> None:
    saved = Saved()
    saved.same("web", web())
    interrupted(saved, "web", web())
    interrupted(saved, "db", web("premium", name="db"))
    interrupted(saved, "db2", web("basic", name="db"))
    total_of = sum(one.price_after.high or 0 for one in changes(saved).values())
    assert total_of == 4 + 10


@pytest.mark.parametrize("name", ["other", UNKNOWN, HIDDEN, None])
def test_an_interrupted_create_of_another_or_an_unknown_name_counts_beside_it(name: Any) -> None:
    saved = Saved()
    interrupted(saved, "web", web(name=name))
    saved.plan("web", web(name="web"), "create")
    found = changes(saved)
    assert (prices(found["web"]), prices(found[f"web{MAY_EXIST}"])) == ((0, 4), (4, 4))


def test_an_interrupted_create_does_not_end_with_what_is_deleted() -> None:
    saved = Saved()
    saved.old("web", web())
    saved.plan("web", None, "delete")
    interrupted(saved, "web", web())
    assert prices(changes(saved)[f"web{MAY_EXIST}"]) == (4, 4)


def test_an_alias_names_the_object_before() -> None:
    saved = Saved()
    old = saved.old("old", web())
    saved.old("kept", web("premium"))
    saved.plan("new", web(restart_triggers=["2"]), "update", base=web(), structuredAliases=[{"URN": old}])
    saved.plan("kept", web("premium"), "same")
    found = changes(saved)
    assert set(found) == {"new", "kept"}
    assert (found["new"].operation, found["new"].id) == ("update", "usr-1-old")


@pytest.mark.parametrize("alias", [{"Name": "old"}, {"Name": "old", "NoParent": True}])
def test_an_alias_without_a_urn_is_completed_as_the_engine_does(alias: dict[str, Any]) -> None:
    saved = Saved()
    saved.old("old", web())
    saved.plan("new", web(), "same", base=web(), structuredAliases=[alias])
    assert changes(saved)["new"].id == "usr-1-old"


def test_a_child_of_an_aliased_component_is_the_old_child() -> None:
    saved = Saved()
    component = saved.old("shop", {}, COMPONENT)
    child = f"urn:pulumi:dev::shop::{COMPONENT}${CONTAINER}::shop-web"
    saved.old("x", web(), parent=component)
    saved.resources[-1]["urn"] = child
    new = saved.plan("store", {}, "same", kind=COMPONENT, structuredAliases=[{"Name": "shop"}])
    saved.plan("store-web", web(), "same", base=web(), parent=new)
    found = changes(saved)
    assert {name: one.operation for name, one in found.items()} == {"store": "same", "store-web": "same"}
    assert found["store-web"].id == "usr-1-x"


def test_the_old_object_of_an_aliased_replacement_is_under_its_old_urn() -> None:
    saved = Saved()
    old = saved.old("old", web())
    saved.plan(
        "new", web("premium"), "create-replacement", "replace", base=web(), structuredAliases=[{"URN": old}]
    )
    saved.plan("old", None, "delete-replaced")
    found = changes(saved)
    assert prices(found["new"]) == (4, 10)
    assert set(found) == {"new"}


def test_what_the_plan_does_not_tell_of_is_unclear_and_still_billed() -> None:
    saved = Saved()
    saved.old("web", web())
    one = changes(saved)["web (leaves the stack, still billed)"]
    assert (one.operation, prices(one)) == ("unclear", (4, 4))


def test_what_the_plan_does_not_tell_of_is_unclear_also_beside_a_leftover_that_ends() -> None:
    """The program only looks it up from now on, and the engine deletes what an earlier replacement left."""
    saved = Saved()
    saved.old("web", web("premium"))
    saved.old("web", web(), delete=True, id="usr-1-old")
    saved.plan("web", None, "delete-replaced")
    found = changes(saved)
    one, left = found["web (leaves the stack, still billed)"], found["web (left over from a replacement)"]
    assert (one.operation, prices(one), left.operation, prices(left)) == (
        "unclear",
        (10, 10),
        "delete",
        (4, 0),
    )


def test_what_was_only_looked_up_is_not_told_of() -> None:
    saved = Saved()
    saved.old("web", web(), external=True)
    assert changes(saved) == {}


def test_what_is_looked_up_no_longer_is_a_step_that_changes_nothing_in_the_account() -> None:
    saved = Saved()
    saved.old("web", web(), external=True)
    saved.plan("web", None, "discard")
    one = changes(saved)["web"]
    assert (one.operation, one.steps, one.acts, prices(one), one.line) == (
        "discard",
        ("discard",),
        True,
        (0, 0),
        None,
    )
    assert (one.before["plan"], dict(one.after)) == ("basic", {})


def test_a_step_of_which_nothing_was_said_does_not_fit() -> None:
    saved = Saved()
    saved.same("db", web())
    its = saved.plan("web", web(), "create")
    read = plans.Saved(*saved.files)
    read.check_told({its})
    with pytest.raises(InputError, match="'create' for nothing that is known"):
        read.check_told(set())


def test_outside_of_the_targets_nothing_changes() -> None:
    saved = Saved()
    saved.old("web", web())
    saved.old("web", web(), delete=True, id="usr-1-old")
    saved.plan("web", None, "same", "same")
    saved.plan("new", web(), "same")
    found = changes(saved)
    left = "web (left over from a replacement)"
    assert {name: one.operation for name, one in found.items()} == {"web": "same", left: "same"}
    assert prices(found[left]) == (4, 4)


def test_what_is_replaced_under_another_name_may_be_outside_of_the_targets_and_stays() -> None:
    saved = Saved()
    old = saved.old("old", web())
    replaced = ("create-replacement", "replace")
    saved.plan("new", web(name="new"), *replaced, base=web(), structuredAliases=[{"URN": old}])
    found = changes(saved)
    new, left = found["new"], found["old (left over from a replacement)"]
    assert (new.operation, prices(new), left.operation, prices(left)) == ("replace", (0, 4), "same", (4, 4))
    # Without another name the plan has its deletion, or it does not fit to the state.
    saved = Saved()
    saved.old("web", web())
    saved.plan("web", web("premium"), *replaced)
    with pytest.raises(InputError, match="0 deletions of it, and the state 1 objects"):
        changes(saved)


@pytest.mark.parametrize("where", ["plan", "state"])
@pytest.mark.parametrize(
    ("kind", "provider", "problem"),
    [
        (f"{CONTAINER}$pulumi:pulumi:Stack", "", "which its URN does not show"),
        ("dynamic/x::Container", "", "which its URN does not show"),
        ("pulumi:pulumi:Stack", "", "only the stack itself has its type"),
        ("pulumi:pulumi:Stack", DYNAMIC, "only the stack itself has its type"),
        (RANDOM, DYNAMIC, "is of another package than its type"),
        ("stacks:index:Container", DYNAMIC, "is of another package than its type"),
        (CONTAINER, DYNAMIC.replace("pulumi-python", "stacks"), "is of another package than its type"),
        (CONTAINER, DYNAMIC.replace("pulumi:providers:", ""), "is of another package than its type"),
        (CONTAINER, "pulumi-python", "is of another package than its type"),
    ],
)
def test_a_resource_that_does_not_show_what_it_is_does_not_fit(
    where: str, kind: str, provider: str, problem: str
) -> None:
    """A program that is code chooses the type, and could give a container that of the stack."""
    saved = Saved()
    if where == "plan":
        saved.plan("big", web("premium"), "create", kind=kind, provider=provider)
    else:
        saved.old("big", web("premium"), kind, provider=provider)
        saved.plan("big", None, "delete", kind=kind)
    with pytest.raises(InputError, match=problem):
        changes(saved)


def test_a_component_may_name_any_provider_because_none_makes_it() -> None:
    saved = Saved()
    saved.plan("shop", {}, "create", kind=COMPONENT, provider=DYNAMIC)
    assert changes(saved)["shop"].operation == "create"


@pytest.mark.parametrize("value", [UNKNOWN, HIDDEN, {"deep": [UNKNOWN]}, [{"more": HIDDEN}]])
def test_a_value_that_the_plan_does_not_have_is_unknown(value: Any) -> None:
    saved = Saved()
    saved.plan("web", web(discount_code=value), "create")
    assert changes(saved)["web"].unknown == ("discount_code",)


class Evil:
    """Runs a command when it is unpickled."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("true",)


def test_the_code_of_a_dynamic_provider_is_no_input_that_a_person_can_judge() -> None:
    saved = Saved()
    saved.plan("web", {**web(), "__defaults": [UNKNOWN]}, "create")
    saved.plan("it", {"__provider": HIDDEN}, "create", kind="pulumi-python:dynamic/acme:Thing")
    found = changes(saved)
    assert (found["web"].unknown, found["it"].unknown) == ((), ())
    assert prices(found["web"]) == (0, 4)


URL = {"pluginDownloadURL": "https://example.com"}


@pytest.mark.parametrize("where", ["state", "plan", "pending"])
@pytest.mark.parametrize(
    ("given", "names"),
    [
        ({"version": "0.3.0", "__internal": {}}, False),
        ({"stacks:apiKey": HIDDEN, "version": "0.3.0"}, False),
        ({"__internal": {}, "name": "a setting of the provider"}, False),
        ({"__internal": URL}, True),
        (URL, True),
        ({"name": "evil"}, True),
        ({"__internal": {"name": "evil"}}, True),
        ({"__internal": {"parameterization": "e30=", "version": "1.0.0"}}, True),
        ({"__internal": {"envVarMappings": {"PWD": "PYTHONPATH"}}}, True),
        ({"envVarMappings": {"PWD": "PYTHONPATH"}}, True),
        ({"__internal": HIDDEN}, True),
        ({"__internal": "evil"}, True),
    ],
)
def test_a_provider_that_names_a_plugin_is_refused_unless_the_gate_allows_plugins(
    where: str, given: Inputs, names: bool
) -> None:
    """The engine would download and run it with the key, also one that is only in the state."""
    saved = Saved()
    if where == "plan":
        saved.plan("default_0_3_0", given, "create", kind=PROVIDER)
    else:
        saved.old("default_0_3_0", given, PROVIDER)
    if where == "pending":
        saved.pending.append({"resource": saved.resources.pop(), "type": "creating"})
    plan, state = saved.files
    check_plugins({"plugins"}, state, plan)
    if names:
        with pytest.raises(
            InputError, match=r"name another plugin.*'default_0_3_0' \(pulumi:providers:stacks\)"
        ):
            check_plugins({"main"}, state, plan)
    else:
        check_plugins((), state, plan)


@pytest.mark.parametrize("kind", [CONTAINER, COMPONENT, f"{CONTAINER}$pulumi:providers:evil"])
def test_a_provider_of_the_state_has_the_type_that_its_urn_shows(kind: str) -> None:
    """The engine goes by the URN, and installs the plugin before a plan is compared with the state."""
    saved = Saved()
    saved.old("default_1_0_0", URL, "pulumi:providers:evil")
    saved.resources[-1]["type"] = kind
    for allowed in ((), ("plugins",)):
        with pytest.raises(InputError, match="which its URN does not show"):
            check_plugins(allowed, saved.files[1])


def test_what_the_engine_refreshes_before_an_update_is_not_compared_with_the_state() -> None:
    """The plan has the differences to what the refresh finds: access that was closed outside would be opened."""
    saved = Saved()
    saved.old("web", web(external_access=True), refreshBeforeUpdate=True)
    saved.plan("web", web(external_access=True), "same")
    with pytest.raises(InputError, match="its state has `refreshBeforeUpdate`"):
        changes(saved)

    saved = Saved()
    saved.old("it", {"size": "1"}, RANDOM, refreshBeforeUpdate=True)
    saved.plan("it", {"size": "2"}, "update", kind=RANDOM)
    assert changes(saved)["it"].unknown == ("all inputs",)
    saved.plan("it", {"size": "1"}, "same", kind=RANDOM)
    assert changes(saved)["it"].unknown == ()


@pytest.mark.parametrize(
    ("kind", "more", "other"),
    [
        (CONTAINER, {}, False),
        (PROVIDER, {}, False),
        ("pulumi:providers:pulumi-python", {}, False),
        ("pulumi-python:dynamic/stacks:Container", {"inputs": web()}, False),
        (RANDOM, {}, True),
        # What is only forgotten has no step, and its provider is started all the same.
        (RANDOM, {"external": True}, True),
        (RANDOM, {"pendingReplacement": True}, True),
        (RANDOM, {"custom": False, "provider": DYNAMIC.replace("pulumi-python", "random")}, True),
        ("pulumi:providers:kubernetes", {"pendingReplacement": True}, True),
        # The engine reads it before an update that only forgets it.
        (
            "pulumi-python:dynamic:Resource",
            {"external": True, "refreshBeforeUpdate": True, "inputs": {}, "outputs": {}},
            True,
        ),
        ("pulumi-python:dynamic/stacks:Container", {"inputs": {"__provider": pickled(RANDOM)}}, True),
        (
            "pulumi-python:dynamic/stacks:Container",
            {"inputs": web(), "outputs": {"__provider": pickled(RANDOM)}},
            True,
        ),
        (CONTAINER, {"provider": DYNAMIC.replace("pulumi-python", "random")}, True),
    ],
)
@pytest.mark.parametrize("pending", [False, True])
def test_what_a_state_has_may_run_code_that_is_not_ours(
    kind: str, more: Inputs, other: bool, pending: bool
) -> None:
    """Its provider is started with the key and the settings of the state, also if the program is only data."""
    saved = Saved()
    saved.old("it", web(), kind)
    saved.resources[-1] |= more
    if pending:
        saved.pending.append({"resource": saved.resources.pop(), "type": "deleting"})
    why = f"the state has 'it' ({kind}), whose provider the engine may run" if other else ""
    assert code_in(saved.files[1]) == why


@pytest.mark.parametrize(
    ("planned", "value", "other"),
    [
        ("a", {"value": "a"}, False),
        (True, {"value": "true"}, False),
        (1.5, {"value": "1.50"}, False),
        (False, {"value": "no"}, True),
        ({"secure": "v1:x"}, {"value": "a", "secret": True}, False),
        ("b", {"value": "a"}, True),
        ("b", None, True),
        ({"secure": "v1:x"}, {"value": "a"}, True),
        ("b", {"value": "a", "secret": True}, True),
    ],
)
def test_a_plan_says_the_configuration_that_the_stack_has(planned: Any, value: Any, other: bool) -> None:
    """By it, the provider of a state is one of the engine, which no one is shown."""
    plan, _ = Saved().files
    whole = json.loads(plan)
    whole["config"] = {"stacks:platform": planned, "shop:sizes": [1]}
    values = {} if value is None else {"stacks:platform": value}
    assert other_setting(json.dumps(whole).encode(), values) == ("stacks:platform" if other else "")
    whole["config"] = {"platform": planned}
    assert other_setting(json.dumps(whole).encode(), values) == "platform"
    del whole["config"]
    assert other_setting(json.dumps(whole).encode(), {"shop:sizes": {"value": "1"}}) == ""
    assert other_setting(json.dumps(whole).encode(), {"stacks:adopt": {"value": "x"}}) == "stacks:adopt"


@pytest.mark.parametrize("name", ["snippets", "extensions"])
def test_a_state_with_programs_is_refused_unless_the_gate_allows_plugins(name: str) -> None:
    """The engine runs them beside the program, and downloads the plugins that they name."""
    plan, state = Saved().files
    whole = json.loads(state)
    whole["deployment"][name] = [{"descriptor": {"name": "evil", "downloadURL": "https://example.com"}}]
    check_plugins((), state, plan)
    state = json.dumps(whole).encode()
    check_plugins({"packages"}, state, plan)
    with pytest.raises(InputError, match=f"the state has {name}, with which the engine runs"):
        check_plugins({"main"}, state, plan)


@pytest.mark.parametrize("where", ["create", "update", "inputs", "outputs", "same"])
@pytest.mark.parametrize(
    "code",
    [
        pickled(Evil()),
        pickled([provider_for("Container"), Evil()]),
        pickled(provider_for("VpnClient")),
        HIDDEN,
    ],
)
def test_what_looks_like_a_resource_of_ours_has_no_other_code(where: str, code: Any) -> None:
    """A program chooses it, and in the state alone no one reads it: it would run with the key."""
    saved, before, other = Saved(), web(), {**web(), "__provider": code}
    if where == "create":
        saved.plan("web", other, "create")
    elif where == "update":
        saved.old("web", before)
        saved.plan("web", other, "update")
    else:
        bags = {"inputs": (other, before), "outputs": (before, other)}
        given, outputs = bags.get(where, (before, other))
        saved.old("web", given, outputs=outputs)
        saved.plan("web", given if where == "same" else None, "same" if where == "same" else "delete")
    with pytest.raises(InputError, match="is different code, which would run with the key"):
        changes(saved)


def test_an_unknown_plan_has_no_upper_bound() -> None:
    saved = Saved()
    saved.plan("web", web(UNKNOWN), "create")
    one = changes(saved)["web"]
    assert one.unknown == ("plan",)
    assert prices(one) == (0, None)


def test_protection_that_is_taken_away_is_a_change_without_a_step() -> None:
    saved = Saved()
    saved.old("web", web(), protect=True)
    saved.plan("web", web(), "same", protect=False)
    saved.same("kept", web(), protect=True)
    found = changes(saved)
    assert found["web"].unprotected
    assert found["web"].acts
    assert not found["kept"].acts


def test_another_provider_is_a_change_and_a_newer_default_provider_is_none() -> None:
    saved = Saved()
    provider = "urn:pulumi:dev::shop::pulumi:providers:pulumi-python::{}::id-1"
    for name, now in (("moved", "mine"), ("imitated", "default-mine"), ("kept", "default_0_3_1")):
        saved.old(name, web(), provider=provider.format("default_0_3_0"))
        saved.plan(name, web(), "same", provider=provider.format(now))
    found = changes(saved)
    for name in ("moved", "imitated"):
        assert found[name].provider_changes
        assert found[name].acts
    assert not found["kept"].acts


def test_dependants_are_those_of_the_state_and_those_of_the_plan() -> None:
    saved = Saved()
    container = saved.old("web", web())
    address = inputs("AllowedIp", container="usr-1-web", ip_address="198.51.100.7")
    saved.old("old", address, ADDRESS, dependencies=[container])
    saved.plan("web", None, "delete")
    saved.plan("old", None, "delete", kind=ADDRESS)
    saved.plan("new", address, "create", kind=ADDRESS, propertyDependencies={"container": [container]})
    found = changes(saved)
    assert found["web"].dependants == (urn("old", ADDRESS), urn("new", ADDRESS))
    assert found["new"].made_from == {"container": (container,)}


def test_a_resource_of_another_provider_has_no_upper_bound_without_a_price() -> None:
    saved = Saved()
    saved.plan("it", {"length": 3}, "create", kind=RANDOM)
    one = changes(saved)["it"]
    assert one.foreign
    assert one.price_after.high is None


def test_two_kinds_contradict_each_other() -> None:
    saved = Saved()
    saved.old("web", web())
    saved.plan("web", {**web(), "stacks_kind": "AllowedIp"}, "update")
    one = changes(saved)["web"]
    assert (one.kind, prices(one)) == ("unrecognised", (4, None))


def test_an_alias_from_a_container_to_another_kind_does_not_make_it_cheaper(tmp_path: Path) -> None:
    saved = Saved()
    old = saved.old("db", web())
    saved.plan("db", {"size": 1}, "update", kind=RANDOM, base=web(), structuredAliases=[{"URN": old}])
    file = tmp_path / "prices.yaml"
    file.write_text("prices: [{type: 'random:*', price: free}]")
    (one,) = changes_of(*saved.files, Pricer(others=read_prices(file)))
    assert (one.kind, prices(one)) == ("unrecognised", (4, None))


@pytest.mark.parametrize(
    ("steps", "words"),
    [
        (("invent",), "'invent'"),
        ((), "no step"),
        (("create",), "the state has it already"),
        (("delete", "delete"), "2 deletions"),
        (("create-replacement", "replace"), "0 deletions"),
        (("same", "delete-replaced"), "1 deletions"),
        (("update", "same"), "exclude each other"),
        (("update", "create-replacement", "replace", "delete-replaced"), "exclude each other"),
    ],
)
def test_a_plan_that_does_not_fit_the_state_is_an_error(steps: tuple[str, ...], words: str) -> None:
    saved = Saved()
    saved.old("web", web())
    saved.plan("web", web(), *steps)
    with pytest.raises(InputError, match=words):
        changes(saved)


def test_a_step_on_what_the_state_does_not_have_is_an_error() -> None:
    saved = Saved()
    saved.plan("web", web(), "update")
    with pytest.raises(InputError, match="does not have it"):
        changes(saved)


def test_an_alias_of_two_objects_is_an_error() -> None:
    saved = Saved()
    component = saved.old("shop", {}, COMPONENT)
    for name in ("shop-web", "store-web"):
        saved.old(name, web(), parent=component)
    new = saved.plan("store", {}, "same", kind=COMPONENT, structuredAliases=[{"Name": "shop"}])
    saved.plan("store-web", web(), "update", base=web(), parent=new)
    # Under its own URN it would be found first.
    saved.resources[-1]["urn"] = f"urn:pulumi:dev::shop::{COMPONENT}${CONTAINER}::store-web"
    with pytest.raises(InputError, match="give it an alias"):
        changes(saved)


@pytest.mark.parametrize("files", [(b"{}", None), (b"[]", None), (b"\xff", None), (None, b"{}"), (None, b"")])
def test_what_is_no_plan_and_no_state_is_an_error(files: tuple[bytes | None, bytes | None]) -> None:
    good = Saved().files
    with pytest.raises(InputError, match="this is not"):
        changes_of(files[0] or good[0], good[1] if files[1] is None else files[1], PRICER)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b'"resourcePlans"', b'"ResourcePlans": {}, "resourcePlans"'),
        (b'"resourcePlans"', b'"resourcePlans": {}, "resourcePlans"'),
        (b'"resourcePlans"', '"re\u017fourcePlans": {}, "resourcePlans"'.encode()),
        (b'"steps"', b'"Steps": [], "steps"'),
        (b'"goal"', b'"GOAL": {}, "goal"'),
        (b'"inputDiff"', b'"InputDiff": {}, "inputDiff"'),
        (b'"adds"', b'"Adds": {}, "adds"'),
        (b'"plan"', b'"plan": "premium", "plan"'),
    ],
)
def test_a_field_that_only_the_engine_would_read_is_an_error(before: bytes, after: bytes) -> None:
    """The engine ignores the case of names, and joins what has one name."""
    saved = Saved()
    saved.plan("web", web(), "create")
    plan, state = saved.files
    assert before in plan
    with pytest.raises(InputError, match="make the record again"):
        changes_of(plan.replace(before, after, 1), state, PRICER)


@pytest.mark.parametrize(
    ("difference", "words"),
    [
        # The engine would open it: where the value changes, it looks at the updates first.
        (
            {"updates": {"external_access": True}, "adds": web(external_access=False)},
            "more than one change of 'external_access'",
        ),
        # What an input is that the plan does not name: as before, and not absent.
        ({"adds": {"template": "nodejs"}}, "adds inputs that it has already"),
    ],
)
def test_a_difference_that_the_engine_reads_in_another_way_is_an_error(
    difference: dict[str, Any], words: str
) -> None:
    saved = Saved()
    saved.old("web", web("premium", external_access=False))
    saved.plan("web", web("premium", external_access=False), "update", inputDiff=difference)
    with pytest.raises(InputError, match=words):
        changes(saved)


@pytest.mark.parametrize("more", ["replace", "create-replacement", "update", "create"])
def test_a_deletion_is_not_shown_as_something_else(more: str) -> None:
    """The engine would delete it, and then say that the other step was not made."""
    saved = Saved()
    saved.old("web", web())
    saved.plan("web", None, "delete", more)
    with pytest.raises(InputError, match="do not fit together"):
        changes(saved)


def test_what_a_replacement_does_not_name_may_stay() -> None:
    """Whether it is compared with nothing is not certain."""
    saved = Saved()
    saved.old("web", web(external_access=True))
    saved.plan("web", web(), "delete-replaced", "replace", "create-replacement", base={})
    assert changes(saved)["web"].unknown == ("external_access",)


def test_the_root_of_the_stack_is_no_change() -> None:
    assert changes_of(*Saved().files, PRICER) == ()
    assert ROOT.encode() in Saved().files[0]


class TestContradictions:
    """The events of a preview are compared with what the plan says."""

    def saved(self) -> Saved:
        saved = Saved()
        saved.old("web", web())
        saved.plan("web", web(restart_triggers=["1"]), "update")
        saved.plan("db", web("premium"), "create")
        return saved

    def shown(self, *, plan: str = "premium", op: str = "update") -> bytes:
        return events(
            step(op, "web", web(), web(restart_triggers=["1"])), step("create", "db", None, web(plan))
        )

    def test_the_same_steps_and_inputs_agree(self) -> None:
        assert contradictions(changes_of(*self.saved().files, PRICER), self.shown()) == ()

    def test_another_step_contradicts(self) -> None:
        [text] = contradictions(changes_of(*self.saved().files, PRICER), self.shown(op="replace"))
        assert text == "'web': the plan has update, and the preview showed replace"

    def test_a_missing_step_contradicts(self) -> None:
        saved = self.saved()
        del saved.plans[urn("db")]
        [text] = contradictions(changes_of(*saved.files, PRICER), self.shown())
        assert text == "'db': the plan has no step, and the preview showed create"

    def test_another_value_contradicts(self) -> None:
        """A policy that remediates changes an input after the engine has planned it."""
        [text] = contradictions(changes_of(*self.saved().files, PRICER), self.shown(plan="micro"))
        assert "another plan" in text
        assert "remediates" in text

    def test_an_adoption_that_the_plan_does_not_have_contradicts(self) -> None:
        saved = Saved()
        saved.old("web", web())
        saved.plan("web", web("premium"), "delete-replaced", "replace", "create-replacement")
        given = web("premium", adopts="usr-1-other")
        shown = events(
            *(
                step(word, "web", web(), given)
                for word in ("delete-replaced", "replace", "create-replacement")
            )
        )
        [text] = contradictions(changes_of(*saved.files, PRICER), shown)
        assert text == (
            "'web': the preview showed another adopts than the plan has; it replaces one container and adopts another: "
            "make two changes of it"
        )

    def test_the_steps_under_an_old_name_are_those_of_the_resource(self) -> None:
        saved = Saved()
        old = saved.old("old", web(), external=True)
        aliases = [{"URN": old}]
        saved.plan("new", web(), "create-replacement", "replace", base={}, structuredAliases=aliases)
        saved.plan("old", None, "discard-replaced")
        shown = events(
            step("create-replacement", "new", None, web()),
            step("replace", "new", None, web()),
            step("discard-replaced", "old", web()),
        )
        assert contradictions(changes_of(*saved.files, PRICER), shown) == ()

    def test_what_is_no_longer_looked_up_does_not_contradict(self) -> None:
        saved = Saved()
        saved.old("web", web(), external=True)
        saved.plan("web", None, "discard")
        found = changes_of(*saved.files, PRICER)
        assert contradictions(found, events(step("discard", "web", web()))) == ()

    def test_other_documents_are_no_events(self) -> None:
        with pytest.raises(InputError, match="events of a preview"):
            contradictions((), Saved().files[1])


def test_rules_get_changes() -> None:
    """The type of a rule is what the documentation says."""
    rule: Rule = lambda changes: [one.refuse("no") for one in changes]  # noqa: E731
    saved = Saved()
    saved.plan("web", web(), "create")
    assert [one.urn for one in rule(changes_of(*saved.files, PRICER))] == [urn("web")]
