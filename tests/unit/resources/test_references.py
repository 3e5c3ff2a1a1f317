"""The references of children to their container."""

from __future__ import annotations

from typing import Any

import pulumi
import pytest

from stacks_pulumi.resources import _resource as _parent
from stacks_pulumi.resources import _resource as _references


class Web(pulumi.CustomResource):
    """The part of a Container that a child uses, without a registration."""

    def __init__(self, *, outlives: bool = False, provider: pulumi.ProviderResource | None = None) -> None:
        self.outlives_stack = outlives
        self._providers = {} if provider is None else {"pulumi-python": provider}

    @property
    def id(self) -> Any:
        return "usr-1-web"


def account(**settings: Any) -> Any:
    """An explicit provider."""
    provider = object.__new__(pulumi.ProviderResource)
    vars(provider).update(settings)
    return provider


def test_a_container_or_its_id_is_the_same() -> None:
    web: Any = Web()

    assert _references.input_id(web) == "usr-1-web"
    assert _references.input_id("usr-1-web") == "usr-1-web"


def test_a_child_is_in_the_account_of_its_container_and_deletes_itself() -> None:
    team = account()

    options = _references.child_options(None, Web(provider=team))

    assert (None, team) == (options.deleted_with, options.provider)


def test_the_provider_can_delete_children_with_their_container() -> None:
    team = account(delete_children_with_container=True)
    web = Web(provider=team)

    assert _references.child_options(None, web).deleted_with is web
    assert _references.child_options(None, Web(provider=team, outlives=True)).deleted_with is None


@pytest.mark.parametrize(("value", "expected"), [("true", True), ("False", False), (None, False)])
def test_the_stack_can_delete_children_with_their_container(
    monkeypatch: pytest.MonkeyPatch, value: str | None, expected: bool
) -> None:
    monkeypatch.setattr(pulumi.Config, "get", lambda _config, key: value)

    assert _references.deletes_children_with_container(None) is expected
    # An explicit provider takes precedence over the stack.
    assert _references.deletes_children_with_container(account(delete_children_with_container=False)) is False


def test_an_explicit_option_takes_precedence() -> None:
    web, other, team, theirs = Web(), Web(), account(), account()
    given = pulumi.ResourceOptions(deleted_with=other, provider=theirs)

    options = _references.child_options(given, Web(provider=team))

    assert (other, theirs) == (options.deleted_with, options.provider)
    assert web is not options.deleted_with


def test_children_of_a_retained_container_delete_themselves() -> None:
    team = account()

    options = _references.child_options(None, Web(outlives=True, provider=team))

    assert (None, team) == (options.deleted_with, options.provider)


@pytest.mark.parametrize("handed_in", ["usr-1-web", None])
def test_an_id_has_no_account_and_no_deletion(handed_in: str | None) -> None:
    options = _references.child_options(None, handed_in)

    assert (options.deleted_with, options.provider) == (None, None)


def test_no_attribute_of_an_output_is_read() -> None:
    class Lazy:
        def __getattr__(self, name: str) -> None:
            pytest.fail(f"an Output would look up {name} in its value")

    assert _parent.stated(Lazy()) == {}


def test_a_look_up_has_no_owner() -> None:
    options = _references.child_options(pulumi.ResourceOptions(id="a/b"), Web())

    assert options.deleted_with is None


@pytest.mark.parametrize("own", ["laptop", "Ann's laptop / home", "198.51.100.0/24", "2001:db8::/48"])
def test_an_id_is_taken_apart_as_it_was_put_together(own: str) -> None:
    id_ = _references.child_id("usr-1-web", own)

    assert ("usr-1-web", own) == (_references.parent_id(id_), _references.own_name(id_))


def test_a_containers_id_has_no_slash() -> None:
    assert _references.container_id("usr-1-web") == "usr-1-web"
    with pytest.raises(ValueError, match="is not a container's id"):
        _references.container_id("usr-1-web/laptop")
