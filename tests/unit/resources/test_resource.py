"""Options that a resource completes by itself."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pulumi
import pytest
from pulumi._types import resource_types

from stacks_pulumi.resources import _resource


@pytest.mark.parametrize(
    ("own", "of_provider", "of_stack", "first"),
    [
        (None, None, "if_matching", True),
        ("never", None, "if_matching", False),
        (None, SimpleNamespace(adopt=None), "if_matching", False),
        (None, SimpleNamespace(adopt="if_matching"), "never", True),
        ("if_matching", SimpleNamespace(adopt="never"), "never", True),
    ],
)
def test_a_resource_that_may_adopt_is_replaced_delete_first(
    monkeypatch: pytest.MonkeyPatch, own: str | None, of_provider: Any, of_stack: str, first: bool
) -> None:
    """An explicit provider has separate settings, without the stack's settings."""
    monkeypatch.setattr(_resource, "provider_in_options", lambda _opts, _type: of_provider)
    monkeypatch.setattr(pulumi, "Config", lambda _namespace: SimpleNamespace(get={"adopt": of_stack}.get))

    opts = _resource._replaced_delete_first(None, own, "tests:index:Web")

    assert (opts is not None and opts.delete_before_replace is True) is first


def test_the_sdk_reads_only_the_types_with_which_it_converts_numbers() -> None:
    class Gate(_resource.StacksResource, module="tests", name="Gate"):
        title: pulumi.Output[str]
        port: pulumi.Output[int | None]

    class Own(Gate):
        extra: pulumi.Output[str]

    assert _resource._outputs_of(Gate) >= {"origin", "title", "port"}
    assert resource_types(Gate) == {"port": int}
    assert _resource._outputs_of(Own) == {*_resource._outputs_of(Gate), "extra"}
