"""
References from a child resource to its container.

A program passes a Container or an id. With a Container, the child gets the container's account (`provider`) unless the
program sets another one. A child's id is `<container id>/<its own name>`, so that a look-up needs only the id.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pulumi

from stacks_pulumi.config import NAMESPACE, flag
from stacks_pulumi.errors import ConfigError
from stacks_pulumi.pricing.tokens import CONTAINER
from stacks_pulumi.resources import _checks
from stacks_pulumi.resources._run_errors import shown_alone

if TYPE_CHECKING:
    from stacks_pulumi.resources.container import Container

__all__ = [
    "child_id",
    "child_options",
    "container_id",
    "deletes_children_with_container",
    "input_id",
    "own_name",
    "parent_id",
]


def input_id(container: Container | pulumi.Input[str] | None) -> pulumi.Input[str] | None:
    """Return the id of the Container or the id that a program passed."""
    return container.id if isinstance(container, pulumi.CustomResource) else container


def child_options(
    opts: pulumi.ResourceOptions | None, container: Any, *, secrets: Sequence[str] = ()
) -> pulumi.ResourceOptions:
    """
    Return the program's options, completed for a resource that belongs to a container.

    Args:
        opts: The program's options, which take precedence.
        container: The Container or the id that the program passed.
        secrets: Outputs that are secrets, for SDKs that lose the provider's own mark.
    """
    options = pulumi.ResourceOptions.merge(None, opts)
    if isinstance(container, pulumi.CustomResource) and options.id is None:
        options.provider = options.provider or container.get_provider(CONTAINER)
        if deletes_children_with_container(options.provider) and not getattr(
            container, "outlives_stack", False
        ):
            options.deleted_with = options.deleted_with or container
    if secrets:
        options.additional_secret_outputs = [*(options.additional_secret_outputs or []), *secrets]
    return options


def deletes_children_with_container(provider: pulumi.ProviderResource | None) -> bool:
    """
    Return whether children are deleted with their container and not one by one.

    That saves requests, but has a risk: the engine removes such children from the state when it plans the container's
    deletion. If the container is then kept or its deletion fails, they stay at STACKS and are in no state.

    Raises:
        ConfigError: The setting is malformed.
    """
    own = getattr(provider, "delete_children_with_container", None)
    if own is not None:
        return bool(own)
    try:
        return flag(
            "deleteChildrenWithContainer", pulumi.Config(NAMESPACE).get("deleteChildrenWithContainer")
        )
    except ConfigError as error:
        # It is raised in the user's program, where only the message helps and no traceback through this package.
        raise shown_alone(error) from None


def container_id(value: Any) -> str:
    """Return a container's id: any text without a slash, because only the API knows the exact form."""
    text = _checks.segment(value)
    if "/" in text:
        msg = f"{text!r} is not a container's id, which looks like usr-abc12345-web"
        raise ValueError(msg)
    return text


def child_id(container: str, own: str) -> str:
    """Return the id of a child resource."""
    return f"{container}/{own}"


def parent_id(id_: str) -> str:
    """Return the container's id from a child's id."""
    return id_.partition("/")[0]


def own_name(id_: str) -> str:
    """Return the part after the container's id; it may contain slashes, because a name may."""
    return id_.partition("/")[2]
