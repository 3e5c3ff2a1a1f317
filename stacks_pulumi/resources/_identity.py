"""
Checks whether an object exists, is the same as in the state, and is in the account of the API key.

A container's id contains its name. So a container that was deleted and created again with the same name has the same
id. A container is therefore identified by its id and its creation time. `_owners` decides which resource owns it.
"""

from __future__ import annotations

import enum
import secrets
from collections.abc import Callable, Mapping
from typing import Any, Final

from stacks_pulumi._clock import sleep_with_pulse
from stacks_pulumi._identifiers import (
    account_of,
    compare_instants,
    is_before,
    is_of_key,
    same_name,
    seconds_of,
)
from stacks_pulumi.api import models
from stacks_pulumi.api._pages import UNSHOWN
from stacks_pulumi.api.containers import CLOCKS_APART, is_older
from stacks_pulumi.errors import ConfigError, ErrorCode, StacksError
from stacks_pulumi.resources._operation import Operation
from stacks_pulumi.resources._session import MAX_AGE, Session, check_operation
from stacks_pulumi.resources._stored import shown_time

# --- the same container? ---

CONTAINER_CREATED_AT: Final = "container_created_at"
"""The output in which a child resource records the creation time of its container."""

REQUESTED_AT: Final = "requested_at"
"""
The output that contains the time of the create request, by the API's clock. It is set only until the container is first
seen.
"""

IDENTITY_CONFLICT: Final = "identity_conflict"
"""The output that a refresh sets if it is unclear whether the object with the id still belongs to the stack."""

RECENT: Final = 2.0
"""Seconds for which operations that the engine starts together share one list for their identity checks."""


class Identity(enum.Enum):
    """The relation between a container that the API returns and the container in the state."""

    SAME = "same"
    """It is the same container."""
    OTHER = "other"
    """It is a different container, created at a different time and from a different template."""
    UNCERTAIN = "uncertain"
    """
    Nothing shows that it is the same: for instance, the template is the same, but the creation time is different. The
    guide does not state that a resize or a restore keeps the creation time.
    """


def identify(session: Session, stored: Mapping[str, Any], container: models.Container) -> Identity:
    """
    Compare the container in the state with the one that the API returned for its id.

    The creation times decide. If neither the state nor the platform has a creation time, template and plan must match.
    The same applies if the platform file states that a start changes the creation time.
    """
    known, now = stored.get("created_at"), container.created_at
    template, plan = stored.get("template"), stored.get("plan")
    has_template = not template or container.is_from(template) is not False
    if not _start_changes_times(session):
        same = compare_instants(known, now)
        if same:
            return Identity.SAME
        if same is False or not _may_be_of_request(container, stored):
            return Identity.UNCERTAIN if has_template else Identity.OTHER
        if seconds_of(known) is not None:
            return Identity.UNCERTAIN
    has_plan = not plan or container.plan is None or same_name(container.plan, plan)
    return Identity.SAME if has_template and has_plan else Identity.UNCERTAIN


def may_be_another(session: Session, stored: str | None, now: str | None) -> bool:
    """Return whether a container may be a different one: its creation time is missing, or is not the stored time."""
    return stored is not None and not _start_changes_times(session) and not compare_instants(stored, now)


def _start_changes_times(session: Session) -> bool:
    return session.client.platform.facts.containers.created_at_changes is True


class UnseenError(StacksError):
    """It is unknown whether an object exists: it stays in the state, and nothing is changed."""

    code: ErrorCode = "outcome-unknown"


def find_container(
    session: Session,
    id_: str,
    *,
    stored: Mapping[str, Any] | None = None,
    shared: bool = False,
    max_age: float = 0.0,
    is_changed: Callable[[models.Container], bool] = lambda _row: False,
) -> models.Container | None:
    """
    Return the container with an id; `None` only if it certainly does not exist.

    There are two sources: the list, and the request for the container itself. The container is gone if neither shows
    it, or if the list is incomplete and two requests for the container get a 404. If the two sources disagree, both are
    requested again until the platform's lag has passed. A container that was never seen may not be visible yet. If a
    row of the list differs from the state (`is_changed`), the response to the request for the container decides.

    A read uses the responses that all reads share (`shared`). A caller that acts on the status needs a new list.

    Raises:
        UnseenError: The list shows the container for longer than the platform's lag, but a request for it gets a 404.
            Or the container was never seen, and may not be visible yet because its create request is recent.
    """
    feed, client, state = session.client.feed, session.client, stored or {}
    clock, reads, known = session.clock, session.reads, state.get("created_at")
    began, looks = clock.now(), 0

    while True:
        looks += 1
        if shared and looks == 1:
            listed = reads.get("containers", ask=feed.snapshot)
        else:
            listed = feed.snapshot(max_age if looks == 1 else 0.0)
        row = next((one for one in listed if one.id == id_), None)
        needs_time = stored is None or known is not None or REQUESTED_AT in state
        is_whole = row is not None and row.status is not None and (not needs_time or _has_time(row, known))
        if row is not None and is_whole and not is_before(row.created_at, known) and not is_changed(row):
            return row
        age = 0.0 if looks > 1 else MAX_AGE if shared else RECENT
        alone = reads.get("status", id_, ask=lambda: client.containers.find(id_), max_age=age)
        if alone is not None:
            return alone if row is None else alone.merge(row)
        if row is None and (listed.gap or "").startswith(UNSHOWN):
            # A part of the platform has an outage, and may answer 404 for a container that exists.
            listed.require_complete()
        if row is None and _is_not_visible_yet(session, state):
            msg = (
                f"the container {id_} was requested at {shown_time(state[REQUESTED_AT])} and is not visible yet: try "
                "again in a few minutes. It may be billed"
            )
            raise UnseenError(msg)
        if row is None and (listed.gap is None or looks > 1):
            return None
        if row is not None and clock.now() - began >= client.platform.lag:
            msg = f"the container {id_} is listed, but a request for it gets a 404: try again later"
            raise UnseenError(msg)
        sleep_with_pulse(client.platform.pause, clock, check_operation)


def _has_time(container: models.Container, known: str | None) -> bool:
    """Return whether a row contains a creation time that can be compared."""
    return (
        seconds_of(container.created_at) is not None or compare_instants(container.created_at, known) is True
    )


_LATEST: Final = 600.0
"""Seconds during which a create request may still take effect. A create also waits this long for its container."""


def _may_be_of_request(container: models.Container, stored: Mapping[str, Any]) -> bool:
    """Return whether the container may have been created by our create request, whose time is in the state."""
    requested, created = seconds_of(stored.get(REQUESTED_AT)), seconds_of(container.created_at)
    is_later = requested is not None and created is not None and created > requested + _LATEST
    return not is_later and not is_older(container.created_at, requested)


def _is_not_visible_yet(session: Session, stored: Mapping[str, Any]) -> bool:
    """Return whether a container that was never seen may be so new that it is not visible yet."""
    requested = seconds_of(stored.get(REQUESTED_AT))
    now = session.client.containers.server_now() or session.clock.wall()
    return requested is not None and -CLOCKS_APART < now - requested < _LATEST


def other_container(id_: str, container: models.Container) -> str:
    """Return the description of a different container that has the same id as ours."""
    return f"the id {id_} now belongs to a different container ({container.template}, created {container.created_at})"


def uncertain(id_: str, stored: Mapping[str, Any], now: str | None) -> str:
    """Return the description of a container that has the same id as ours, but a different or unknown creation time."""
    known = stored.get("created_at") or stored.get(REQUESTED_AT)
    if now is None:
        return (
            f"the API returns no creation time for the container {id_}; the creation time in the state is "
            f"{shown_time(known)}: nothing shows that it is the same container"
        )
    return (
        f"the container {id_} was created at {now}; the creation time in the state is "
        f"{shown_time(known)}: it may be another stack's container with the same name"
    )


def remedies(op: Operation) -> str:
    """Return the advice for a resource that may no longer belong to the stack."""
    return (
        f'If it belongs to this stack (resized or restored), write adopt="if_matching" on {op.label!r} and run `pulumi '
        "up --refresh`, which binds it again. If it does not, remove the resource from the state with `pulumi state "
        f"delete {op.quoted_urn}`"
    )


# --- the same account? ---

ORIGIN: Final = "origin"
"""
The output that identifies the API key that made the last change, and the creation of the object. It has two parts. The
first is a part of a digest of key and base URL, from which the key cannot be recovered. The second is a random number
that each creation generates.
"""


def new_origin(session: Session) -> str:
    """Return the origin for an object that is being created or adopted."""
    return f"{session.fingerprint}-{secrets.token_hex(4)}"


def renewed_origin(session: Session, origin: str | None) -> str:
    """Return the origin for an object that is being changed: the token stays the same, but the key may be different."""
    return new_origin(session) if origin is None else f"{session.fingerprint}-{token_of(origin)}"


def token_of(origin: str | None) -> str | None:
    """Return the part of an origin that is unique to one creation or adoption."""
    return None if origin is None else origin.rpartition("-")[2]


def check_account(session: Session, id_: str, origin: str | None) -> None:
    """
    Check that a resource is in the account of the API key.

    With a different base URL, or the key of a different account, all resources seem to be deleted. A refresh would then
    remove them from the state, while they are still billed and reachable. An id begins with the account's part:
    `usr-abc12345` in `usr-abc12345-web`. This part is the same for all containers of an account. An id of a different
    form has no such part; then only a request for the container shows its account. If the key is the same as for the
    last change, no request is sent.

    Raises:
        ConfigError: The resource is, or may be, in a different account.
        StacksError: The request to the API failed.
    """
    if is_of_key(origin, session.fingerprint):
        return
    listed = session.reads.get("containers", ask=session.client.feed.snapshot)
    account, container = account_of(id_), id_.partition("/")[0]
    # Usually the first row already shows the account. This saves time after a change of the key, when a thousand
    # resources make this check.
    if any(account_of(row.id) == account for row in listed if row.id.startswith("usr-")):
        return
    if not id_.startswith("usr-") and session.client.containers.find(container) is not None:
        return
    accounts = {account_of(row.id) for row in listed if row.id.startswith("usr-")}
    if accounts:
        msg = (
            f"{id_} is not in the account of this API key, whose container ids begin with {min(accounts)}-: configure "
            "the key of the account that contains it. (To create a new object in this account, give the resource a "
            "different name in the program)"
        )
        raise ConfigError(msg, code="other-account")
    shown = "does not show it" if listed else "has no containers"
    msg = (
        f"{id_} was created with a different API key, and the account of this key {shown}, so it is probably a "
        "different account: configure the key of the account that contains it. If this is that account and everything "
        "in it was deleted, remove the resource from the state with `pulumi state delete`"
    )
    raise ConfigError(msg, code="other-account")
