"""What a preview says of the inputs that change."""

from __future__ import annotations

from stacks_pulumi.gate import preview
from tests.support import previews


def test_the_inputs_that_change_are_those_of_the_program() -> None:
    before, after = previews.web("basic"), previews.web("premium", monthly_price_usd=9, __provider="code")
    data = previews.preview(previews.step("update", "web", before, after))

    (change,) = preview.read(data, None).changes

    assert (change.name, change.operation, change.changed) == ("web", "update", ("plan",))


def test_a_secret_that_changes_is_named() -> None:
    login = {"stringData": {"token": previews.SECRET}, "immutable": previews.SECRET}
    step = previews.step("update", "login", login, login, "kubernetes:core/v1:Secret")

    (change,) = preview.read(previews.preview({**step, "diffReasons": ["stringData"]}), None).changes

    assert change.changed == ("stringData",)


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
