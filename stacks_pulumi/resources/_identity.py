"""
Checks whether a container at the API is the one in the state.

A container's id contains its name. So a container that was deleted and created again with the same name has the same
id. A container is therefore identified by its id and its creation time. Creation times are compared as instants, to the
second, because the API writes them in more than one format.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Any, Final

from stacks_pulumi._identifiers import is_before, same_instant
from stacks_pulumi.api import models
from stacks_pulumi.errors import NotFoundError, StacksError, WaitCancelledError
from stacks_pulumi.resources._session import Session

__all__ = [
    "CONTAINER_CREATED_AT",
    "IDENTITY_CONFLICT",
    "RECENT",
    "Identity",
    "creation_time",
    "find_container",
    "identify",
    "is_before",
    "other_container",
    "rebinds",
    "same_instant",
    "uncertain",
]

CONTAINER_CREATED_AT: Final = "container_created_at"
"""The output in which a child resource records the creation time of its container."""

IDENTITY_CONFLICT: Final = "identity_conflict"
"""The output in which a refresh records that it cannot tell whether the object with the id is still the stack's."""

RECENT: Final = 2.0
"""Seconds for which one list serves the identity checks of the operations that the engine starts together."""


class Identity(enum.Enum):
    """How a container at the API relates to the one in the state."""

    SAME = "same"
    """It is the same container: no difference was found."""
    OTHER = "other"
    """It is another container: created at another time and from another template."""
    UNCERTAIN = "uncertain"
    """It was created at another time from the same template. It may be either: the guide does not say that a resize or
    a restore keeps the creation time."""


def identify(stored: Mapping[str, Any], found: models.Container) -> Identity:
    """
    Compare the container in the state with the one that the API returned for its id.

    Args:
        stored: The resource's outputs in the state: `created_at` and `template`.
        found: The container that has the id now.
    """
    if same_instant(stored.get("created_at"), found.created_at):
        return Identity.SAME
    template = stored.get("template")
    return Identity.UNCERTAIN if not template or found.made_from(template) else Identity.OTHER


def find_container(
    session: Session, id_: str, *, shared: bool = False, max_age: float = 0.0
) -> models.Container | None:
    """
    Return the container with an id; `None` only if it certainly does not exist.

    If the list does not have the container, it is requested by its id as well: a list that is empty by mistake must not
    make the engine remove a container from the state while it is billed.

    Args:
        session: The account.
        id_: The container's id.
        shared: Use the list that all reads of this operation share.
        max_age: Otherwise, the greatest age of the list in seconds. A caller that acts on the status needs a new list.
    """
    feed = session.client.feed
    listed = session.reads.get("containers", ask=feed.snapshot) if shared else feed.snapshot(max_age)
    found = next((container for container in listed if container.id == id_), None)
    if found is not None:
        return found
    try:
        return session.client.containers.status(id_)
    except NotFoundError:
        return None


def creation_time(session: Session, id_: str) -> str | None:
    """
    Return a container's creation time from a recent list; `None` if no list shows it.

    A container that this operation has created needs no recent list. A list that cannot be read is not an error here,
    because the outputs of an existing object must not be lost.
    """
    created_at = session.created.created_at(id_)
    if created_at is not None:
        return created_at
    feed = session.client.feed
    try:
        # After a creation this sends no request: the wait for the new container has just read a list.
        found = feed.find(id_, max_age=60.0) or feed.find(id_, max_age=RECENT)
    except WaitCancelledError:
        raise
    except StacksError:
        return None
    return None if found is None else found.created_at


def rebinds(olds: Mapping[str, Any], news: Mapping[str, Any]) -> bool:
    """Return whether the program asks to adopt the container that has the id now."""
    return news.get("adopt") == "if_matching" and olds.get(IDENTITY_CONFLICT) is not None


def other_container(id_: str, found: models.Container) -> str:
    """Return the description of a container that only has the id of ours."""
    return f"the id {id_} belongs to another container now ({found.template}, created at {found.created_at})"


def uncertain(id_: str, stored: Mapping[str, Any], found: models.Container) -> str:
    """Return the description of a container that may be ours or another one."""
    return (
        f"the container {id_} was created at {found.created_at}, and the one in the state at "
        f"{stored.get('created_at')}: it may be another stack's container with the same name"
    )
