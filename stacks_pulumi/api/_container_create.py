"""
Creating a container once, and what a 503 to that request means.
"""

from __future__ import annotations

from typing import Final

from stacks_pulumi._clock import Clock
from stacks_pulumi.api._call import Call, Handler
from stacks_pulumi.api._scrub import same_name
from stacks_pulumi.api.feed import Feed
from stacks_pulumi.api.models import Container
from stacks_pulumi.api.once import once
from stacks_pulumi.errors import NoCapacityError, ServerError, StacksError

__all__ = ["create"]

_RECENT: Final = 10.0
"""Seconds for which one list of the containers that exist serves all that are created."""
_UNAVAILABLE: Final = 503


def create(
    send: Handler, feed: Feed[Container], clock: Clock, call: Call[Container], *, name: str, template: str
) -> Container:
    """
    Create a container, once.

    Args:
        send: The chain.
        feed: The list of containers.
        clock: Time.
        call: The request.
        name: The name that it asks for.
        template: The template that it asks for.
    """

    def taken(container: Container) -> bool:
        return same_name(container.name, name)

    before = feed.snapshot(_RECENT, call.pulse)
    if any(map(taken, before)):
        # It may be gone by now: a replacement deletes the old one first.
        before = feed.snapshot(pulse=call.pulse)
    return once(
        what=call.what,
        before=before,
        taken=taken,
        post=lambda: send(call),
        look=feed.snapshot,
        # A container of that name but of another template was created by another client, and is not ours.
        ours=lambda container: taken(container) and container.made_from(template),
        clock=clock,
        refused_by=lambda error: _waitlist(call.what, error),
        pulse=call.pulse,
    )


def _waitlist(what: str, error: StacksError) -> NoCapacityError | None:
    """What a 503 to a create request means if no container appears; a proxy answers 503 as well."""
    if not isinstance(error, ServerError) or error.status != _UNAVAILABLE:
        return None
    said = f"503: {error.text}" if error.text else "503"
    proxy = "" if error.body else "; the answer is not in the form of the API, so check the proxy as well"
    return NoCapacityError(
        f"{what}: no capacity ({said}): the account is on the waitlist now, and no container was created; the request "
        f"was not sent again, because every request joins the waitlist: wait until STACKS has a place{proxy}",
        status=error.status,
        operation=error.operation,
        text=error.text,
        body=error.body,
    )
