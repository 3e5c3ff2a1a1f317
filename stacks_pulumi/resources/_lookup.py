"""Options that turn a resource class into a read-only look-up, as `get` of every Pulumi resource does."""

from __future__ import annotations

import pulumi

__all__ = ["lookup_options"]


def lookup_options(id_: pulumi.Input[str], opts: pulumi.ResourceOptions | None) -> pulumi.ResourceOptions:
    """The caller's options with the id to read."""
    merged = pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(id=id_))
    assert isinstance(merged, pulumi.ResourceOptions)  # noqa: S101  (merge is typed for lists of options as well)
    return merged
