"""The changed inputs in a preview."""

from __future__ import annotations

from typing import Any

import pytest

from stacks_pulumi.gate import preview
from tests.support import previews


def test_the_inputs_that_change_are_those_of_the_program() -> None:
    before, after = previews.web("basic"), previews.web("premium", monthly_price_usd=9, __provider="code")
    data = previews.preview(previews.step("update", "web", before, after))

    (change,) = preview.read(data, None).changes

    assert (change.name, change.operation, change.changed) == ("web", "update", ("plan",))


@pytest.mark.parametrize(
    "said",
    [
        {"diffReasons": ["data"]},
        # Providers such as Kubernetes return only paths.
        {"detailedDiff": {"data.token": {"kind": "update", "inputDiff": False}}},
        {"detailedDiff": {'data["tls.key"]': {"kind": "update-replace", "inputDiff": False}}},
    ],
)
def test_a_secret_that_changes_is_named(said: dict[str, Any]) -> None:
    login = {"data": previews.SECRET, "immutable": previews.SECRET}
    step = previews.step("update", "login", login, login, "kubernetes:core/v1:Secret")

    (change,) = preview.read(previews.preview({**step, **said}), None).changes

    assert change.changed == ("data",)


def test_both_types_are_known_if_an_alias_changes_one() -> None:
    renamed = previews.step(
        "replace", "it", {"size": 1}, {"size": 2}, "random:index/randomString:RandomString"
    )
    renamed["oldState"]["type"] = previews.BUCKET

    (change,) = preview.read(previews.preview(renamed), None).changes

    assert (change.type, change.former_type) == ("random:index/randomString:RandomString", previews.BUCKET)


def test_an_input_is_made_from_what_its_value_depends_on() -> None:
    step = previews.step("create", "web", None, previews.web("basic"))
    step["newState"]["propertyDependencies"] = {"name": ["urn:one"], "plan": None}

    (change,) = preview.read(previews.preview(step), None).changes

    assert change.made_from == {"name": ("urn:one",), "plan": ()}


def test_the_replaced_object_is_that_of_an_alias() -> None:
    """The engine deletes an aliased resource under its old URN, and replaces it under its new URN."""
    gone = previews.step("delete-replaced", "old", {})
    replaced = {**previews.step("create-replacement", "new", None, {}), "oldState": gone["oldState"]}

    for steps in ([replaced, gone], [gone, replaced]):
        (change,) = preview.read(previews.preview(*steps), None).changes

        assert (change.name, change.operation, change.id) == ("new", "replace", "id-old")
        assert change.deleted_first == (steps[0] == gone)


def test_what_is_deleted_before_its_container_is_not_deleted_with_it() -> None:
    """The engine deletes a child with its container only if both are deleted at the same time."""
    gone, end = (previews.step("delete-replaced", name, {}) for name in ("link", "web"))
    made, web = (previews.step("create-replacement", name, {}, {}) for name in ("link", "web"))
    gone["oldState"]["deletedWith"] = made["oldState"]["deletedWith"] = previews.urn("web")

    changes = preview.read(previews.preview(web, gone, made, end), None).changes

    assert [(one.name, one.operation) for one in changes] == [("web", "replace"), ("link", "replace")]


@pytest.mark.parametrize(
    "shown", [("replace",), ("read-replacement", "replace"), ("replace", "read-replacement")]
)
def test_the_own_object_is_deleted_if_the_program_looks_up_another_one(shown: tuple[str, ...]) -> None:
    own, other = previews.web("basic"), {"template": "nodejs"}
    steps = [previews.step(op, "web", own, other) for op in shown]
    for one in steps:
        one["newState"] |= {"id": "id-other", "external": True}
    ends = [previews.step("delete-replaced", "web", own)] if len(shown) > 1 else []

    changes = preview.read(previews.preview(*steps, *ends), None).changes

    assert [(one.operation, one.id) for one in changes] == [("delete", "id-web"), ("read", "")]
