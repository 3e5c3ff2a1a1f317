"""The steps of an operation on a container. There is one `Lifecycle` for each operation."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, Literal

import msgspec

from stacks_pulumi import catalog
from stacks_pulumi._identifiers import compare_instants, same_name
from stacks_pulumi.api import models
from stacks_pulumi.api._bodies import scrub
from stacks_pulumi.api.containers import is_older
from stacks_pulumi.api.wait import ABSENT, CREATED, GONE, SETTLED, STARTED, STOPPED, Wait
from stacks_pulumi.errors import (
    ExistsError,
    NotFoundError,
    StacksError,
    UnexpectedStateError,
    VanishedError,
    WaitCancelledError,
    WaitTimeoutError,
)
from stacks_pulumi.pricing.recognition import UNFINISHED, is_open, is_unfinished
from stacks_pulumi.resources._container_changes import differences_to
from stacks_pulumi.resources._fields import ANY_UPDATE, REPAIR, Output, changed_outside, found_changed
from stacks_pulumi.resources._identity import (
    IDENTITY_CONFLICT,
    RECENT,
    REQUESTED_AT,
    Identity,
    UnseenError,
    find_container,
    identify,
    other_container,
    remedies,
    uncertain,
)
from stacks_pulumi.resources._operation import Operation, limit_text, reason_of
from stacks_pulumi.resources._session import Session
from stacks_pulumi.resources._stored import NO_TIME
from stacks_pulumi.resources._values import without_none

STATUS_RUNNING: Final = "running"
STATUS_STOPPED: Final = "stopped"
STATUS_ERROR: Final = "error"

_LIVE: Final = (
    "status",
    "ip_address",
    "port",
    "ssh_host",
    "ssh_port",
    "version",
    "version_major",
    "image_tag",
    "created_at",
)
"""Outputs that a start may change; every update may start the container."""
_LASTING: Final = (
    "internal_host",
    "cpu",
    "memory_mb",
    "storage_mb",
    "ssh_user",
    "has_ssh_access",
    "has_web_ui",
    "vpc_network",
)
ANSWERED: Final = (*_LIVE, *_LASTING)
"""
Outputs whose names are also attributes of the model. The uptime is not an output, because it would change in every
read.
"""
OUTPUTS: Final = (
    *(Output(name, (ANY_UPDATE,)) for name in (*_LIVE, "url", "subdomain", "monthly_price_usd")),
    *(Output(name, (REPAIR,)) for name in _LASTING),
)


OPEN_UNMANAGED: Final = "open_unmanaged"
"""For policies: whether external access is on although the program does not set it."""
TAKEN: Final = {OPEN_UNMANAGED: "unknown"}
"""The output of a container that was not created by this resource, and whose external access may be on."""
_LISTED: Final = ("name", "plan", "additional_storage_tier", "desired_status")
"""The inputs whose values a list of containers shows."""


def outputs(
    container: models.Container,
    olds: Mapping[str, Any],
    inputs: Mapping[str, Any],
    access: models.ExternalAccess | None,
) -> dict[str, Any]:
    answered = {name: getattr(container, name) for name in ANSWERED}
    if inputs.get(IDENTITY_CONFLICT) is not None:
        # Until the user decides who owns the container, the state keeps the identity of the earlier container.
        answered.update(created_at=None, ip_address=None)
    outs = {name: olds.get(name) if value is None else value for name, value in answered.items()}
    outs.update(inputs)
    if inputs.get("external_access") is None:
        seen, before = container.external_access, olds.get("external_access") or olds.get(OPEN_UNMANAGED)
        outs[OPEN_UNMANAGED] = (before if seen is None else seen) or None
    if access is not None and access.enabled:
        outs.update(url=access.url, subdomain=access.subdomain)
    return without_none(outs)


def observed(
    container: models.Container, olds: Mapping[str, Any], access: models.ExternalAccess | None
) -> dict[str, Any]:
    """
    Return the inputs, with the API's value for each input that the API returns. A difference from the program is drift.
    """
    notes = {IDENTITY_CONFLICT, REQUESTED_AT, OPEN_UNMANAGED, UNFINISHED}
    not_inputs = {*ANSWERED, "url", "subdomain", *notes}
    inputs = {name: value for name, value in olds.items() if name not in not_inputs}
    inputs["name"] = _without_case(inputs.get("name"), container.name)
    template = inputs["template"] = inputs.get("template") or container.template or ""
    if template != catalog.VPN_TEMPLATE:
        inputs["plan"] = _without_case(inputs.get("plan"), container.plan)
        added = catalog.added_tier(catalog.PLANS.get(inputs["plan"]), container.storage_mb)
        # If no tier is visible, there may still be one: the guide does not state whether `storage` includes the tier.
        inputs["additional_storage_tier"] = added or inputs.get("additional_storage_tier")
    watched = ("name", "plan", "additional_storage_tier")
    differing = [name for name in watched if inputs.get(name) != olds.get(name)]
    if differing and olds.get("name"):
        inputs.update(found_changed([*changed_outside(olds), *differing]))
    tier = inputs.get("additional_storage_tier")
    price = catalog.monthly_price(template, inputs.get("plan"), None if tier is None else int(tier))
    inputs["monthly_price_usd"] = None if price is None else float(price)
    if inputs.get("desired_status") is not None and container.settled:
        # Only a lasting status is drift, not a temporary one (pending, restarting).
        inputs["desired_status"] = container.status
    if access is not None and access.enabled is not None:
        inputs["external_access"] = access.enabled
    return inputs


_LOG_LINES: Final = 5
_LOG_WIDTH: Final = 200
_SHOWN: Final[dict[str | None, str]] = {"pending": "pending, 10 to 30 s"}
"""Status -> the text to show, for a status that needs an explanation."""
_STAYS: Final = "and this update leaves it {0}. Run `pulumi refresh`: after that, the next `pulumi up` {1}"


@contextlib.contextmanager
def _shown_by_a_list(id_: str) -> Iterator[None]:
    """If a request for a listed container gets a 404, raise an error that explains the contradiction."""
    try:
        yield
    except NotFoundError as error:
        msg = (
            f"a list has shown the container {id_}, but a request for it got a 404 ({error.reason}): it may not be "
            "visible yet, or was deleted a moment ago. Try again in a few minutes"
        )
        raise UnseenError(msg) from None


class Lifecycle(msgspec.Struct, frozen=True):
    """
    The steps of one operation on a container.

    Attributes:
        session: The account.
        op: The operation.
    """

    session: Session
    op: Operation

    def read(self, id_: str, olds: Mapping[str, Any]) -> dict[str, Any] | None:
        """
        Return the current outputs; `None` if the container certainly no longer exists.

        A refresh sends one list request for all containers. It sends one more request for each container that seems to
        have changed, and for each container whose external access this program manages.
        """

        def is_changed(row: models.Container) -> bool:
            seen = observed(row, olds, None)
            return "name" in olds and any(seen.get(name) != olds.get(name) for name in _LISTED)

        container = find_container(self.session, id_, stored=olds, shared=True, is_changed=is_changed)
        if container is None:
            if STATUS_STOPPED in {olds.get("status"), olds.get("desired_status")}:
                self.op.warn(
                    f"the container {id_} was stopped, and now it is neither listed nor found by its id: it is "
                    "reported as deleted. If STACKS hides stopped containers, it may be billed: check the dashboard"
                )
            return None
        identity = self._identify(id_, olds, container)
        if identity is Identity.OTHER:
            self.op.warn(
                f"{other_container(id_, container)}: it is left alone, and {self.op.label!r} is reported as deleted"
            )
            return None
        if not olds.get("template"):
            container = self.with_template(container)
        olds = olds if olds.get("name") else {**olds, **TAKEN}
        access = None
        if olds.get("external_access") is not None:
            ask = functools.partial(self.session.client.allowed_ips.list, id_)
            access = self.session.reads.get("allowed_ips", id_, ask=ask)
        inputs = observed(container, olds, access)
        if identity is Identity.UNCERTAIN:
            self.op.warn(
                f"{uncertain(id_, olds, container.created_at)}. It stays in the state. {remedies(self.op)}"
            )
            inputs[IDENTITY_CONFLICT] = container.created_at or NO_TIME
        return outputs(container, olds, inputs, access)

    def update(self, id_: str, olds: dict[str, Any], inputs: dict[str, Any]) -> dict[str, Any]:
        """Update the container to match the inputs. This also completes an unfinished creation."""
        container = find_container(self.session, id_, stored=olds)
        identity = Identity.OTHER if container is None else self._identify(id_, olds, container)
        if container is None or identity is Identity.OTHER:
            gone = f"container {id_} no longer exists: it was deleted outside of this program"
            msg = (
                f"{gone}. Run `pulumi refresh` and then `pulumi up`, which creates it again"
                if container is None
                else f"{gone}, and {other_container(id_, container)}, which is left alone. Run `pulumi refresh`, and "
                "give this resource a different name, because the other container uses this one"
            )
            raise VanishedError(msg, subject=f"container {id_}")
        if identity is Identity.UNCERTAIN:
            self._bind(id_, olds, inputs, container)
            # The former creation time is dropped, because the children whose states contain it are not in this
            # container.
            olds = {name: value for name, value in olds.items() if name != "created_at"}
            if not is_open(olds):
                olds.pop("external_access", None)
            olds.update(TAKEN)
        try:
            if not container.settled:
                container = self._wait(SETTLED, container).merge(container)
            return self.settle(container, olds, inputs, new=False, bound=identity is Identity.UNCERTAIN)
        except (UnexpectedStateError, WaitTimeoutError) as error:
            # The state keeps the old inputs, so that the next `up` repeats all steps.
            msg = (
                f'container "{inputs["name"]}" ({id_}) is not ready: {reason_of(error, "update")}. '
                f"{self.last_log_lines(id_)}`pulumi up` tries again"
            )
            raise StacksError(msg, code=error.code) from None

    def delete(self, id_: str, olds: Mapping[str, Any]) -> None:
        """Delete the container and wait until its name is free."""
        try:
            found = find_container(self.session, id_, stored=olds, max_age=RECENT)
        except UnseenError:
            # Even if no list and no request has shown the container yet, a confirmed delete proves that it is gone.
            with contextlib.suppress(NotFoundError):
                if REQUESTED_AT in olds and self.session.client.containers.delete(id_, olds.get("name")):
                    return
            raise
        if found is None:
            return
        identity = self._identify(id_, olds, found)
        if identity is Identity.OTHER:
            self.op.warn(f"{other_container(id_, found)}: it is left alone")
            return
        if identity is Identity.UNCERTAIN:
            msg = f"{uncertain(id_, olds, found.created_at)}. It was not deleted. {remedies(self.op)}"
            raise StacksError(msg, code="identity-unclear")
        self.session.fresh.remove(id_)
        acknowledged = False
        # A 404 proves nothing: the platform may not find a container that exists.
        with contextlib.suppress(NotFoundError):
            acknowledged = self.session.client.containers.delete(found.id, found.name)
        self.session.wait(
            self.op,
            GONE if acknowledged else ABSENT,
            found.id,
            shown=lambda _container: "still listed",
            # Another container may take the free name before a list has shown that the name is free.
            is_it=lambda row: compare_instants(found.created_at, row.created_at) is not False,
        )

    # --- identity ---

    def _identify(self, id_: str, olds: Mapping[str, Any], container: models.Container) -> Identity:
        """Compare the container with the one in the state. If neither has a creation time, warn once per run."""
        identity = identify(self.session, olds, container)
        has_times = olds.get("created_at") is not None or container.created_at is not None
        if identity is Identity.SAME and not has_times and "name" in olds and self.session.first("no times"):
            self.op.warn(
                f"the API returns no creation time for {id_}, so the container counts as the one in the state if id, "
                "template and plan match. If a container was deleted and created again with the same name, the "
                "provider does not detect this"
            )
        return identity

    def _bind(
        self, id_: str, olds: Mapping[str, Any], inputs: Mapping[str, Any], container: models.Container
    ) -> None:
        """Adopt the container that has the id now, if the program allows adoption and matches the container."""
        differences = differences_to(inputs, self.with_template(container))
        if inputs.get("adopt") != "if_matching" or differences:
            hint = f" It differs from the program: {'; '.join(differences)}." if differences else ""
            msg = (
                f"{uncertain(id_, olds, container.created_at)}. It was not changed.{hint} {remedies(self.op)}"
            )
            raise StacksError(msg, code="identity-unclear")
        self.op.inform(
            f"adopted {id_}, created at {container.created_at}: from now on this stack changes and deletes it"
        )

    # --- bring the container to its desired state ---

    def settle(
        self,
        container: models.Container,
        olds: Mapping[str, Any],
        inputs: Mapping[str, Any],
        *,
        new: bool,
        bound: bool = False,
    ) -> dict[str, Any]:
        """
        As needed, start the container, set its external access, restart it, and stop it. Only this order makes each
        step possible.

        An update performs a step if the input for that step has changed, or if the state shows an unfinished creation.
        `new` means that this operation has created the container; `bound` means that the container replaces the one in
        the state.

        Raises:
            UnseenError: A request for the container got a 404, although a list has shown it.
        """
        with _shown_by_a_list(container.id):
            desired, is_update = inputs.get("desired_status"), "name" in olds
            asked = bound or not is_update or is_unfinished(olds) or desired != olds.get("desired_status")
            triggered = is_update and inputs.get("restart_triggers") != olds.get("restart_triggers")
            started = new
            if container.status == STATUS_ERROR or (
                container.status == STATUS_STOPPED and desired == STATUS_RUNNING
            ):
                if asked or (container.status == STATUS_ERROR and triggered):
                    container = self._set_status(container, STATUS_RUNNING, STARTED)
                    started = True
                else:
                    what = "has failed" if container.status == STATUS_ERROR else "was stopped elsewhere"
                    self.op.warn(f"{container.id} {what}, {_STAYS.format('as it is', 'starts it')}")
            access = self._settle_access(container, olds, inputs.get("external_access"), new=new)
            if triggered and not started:
                container = self._restart(container, desired)
            if desired == STATUS_STOPPED and container.status != STATUS_STOPPED and not asked:
                self.op.warn(f"{container.id} was started elsewhere, {_STAYS.format('as it is', 'stops it')}")
            elif desired == STATUS_STOPPED and container.status != STATUS_STOPPED:
                container = self._set_status(container, STATUS_STOPPED, STOPPED)
        outs = outputs(container, olds, inputs, access)
        if outs.get(OPEN_UNMANAGED) == TAKEN[OPEN_UNMANAGED]:
            # Without an answer, the access stays unknown, and policies treat it as open.
            with contextlib.suppress(StacksError):
                seen = self.session.client.allowed_ips.list(container.id).enabled
                outs.update({} if seen is None else {OPEN_UNMANAGED: seen})
        return outs

    def _settle_access(
        self, container: models.Container, olds: Mapping[str, Any], wanted: bool | None, *, new: bool
    ) -> models.ExternalAccess | None:
        if wanted is None or (new and not wanted):
            return None
        access = None if new else self.session.client.allowed_ips.list(container.id)
        if access is not None and access.enabled is not wanted and _is_as_wanted(olds, wanted):
            # The state matches the program, so no preview has announced a change of external access.
            on, off = ("off", "switches it on") if wanted else ("on", "switches it off")
            self.op.warn(
                f"external access of {container.id} was switched {on} elsewhere, {_STAYS.format(on, off)}"
            )
            return models.ExternalAccess(enabled=wanted)
        if access is None or access.enabled is not wanted:
            self.op.progress(f"external access: {'on' if wanted else 'off'}")
            access = self.session.client.containers.external_access(container.id, enabled=wanted)
            self.session.fresh.add_access(container.id, access)
            access = self._access_in_effect(container.id, access, wanted=wanted)
        return access

    def _access_in_effect(
        self, id_: str, access: models.ExternalAccess, *, wanted: bool
    ) -> models.ExternalAccess:
        """Wait until external access is on and has its `url`, because the change may take effect after the response."""
        if not wanted or access.url:
            return access
        client = self.session.client
        seen = self.op.look_until(
            lambda seen: seen.enabled and seen.url,
            lambda: client.allowed_ips.list(id_),
            seconds=client.platform.settle,
            waiting="external access: not in effect yet",
        )
        if not (seen.enabled and seen.url):
            lacking = "its url is missing" if seen.enabled else "the API still reports it as off"
            msg = f"external access of {id_} was switched on, but {lacking}: run `pulumi up --refresh` later"
            self.op.warn(msg)
        return seen if seen.enabled else access

    def _restart(self, container: models.Container, desired: str | None) -> models.Container:
        if desired == STATUS_STOPPED:
            return container
        if container.status == STATUS_STOPPED:
            self.op.warn(
                "restart_triggers changed, but the container is stopped: the change takes effect at the next start"
            )
            return container
        return self._set_status(container, "restart", STARTED)

    def _set_status(
        self, container: models.Container, status: Literal["running", "stopped", "restart"], wait: Wait
    ) -> models.Container:
        self.op.progress({"running": "starting", "stopped": "stopping", "restart": "restarting"}[status])
        if status != STATUS_STOPPED:
            self.session.fresh.start(container.id)
        self.session.client.containers.set_status(container.id, status)
        return self._wait(wait, container).merge(container)

    # --- looking and waiting ---

    def with_template(self, container: models.Container) -> models.Container:
        """Return the container with its template: a list may show only the template's category."""
        if container.template in catalog.TEMPLATES:
            return container
        alone = self.session.client.containers.find(container.id)
        return container if alone is None else alone.merge(container)

    def with_time(self, container: models.Container) -> models.Container:
        """Return the container with its creation time. If the list lacks the time, read the container's status."""
        if container.created_at is not None:
            return container
        return container.merge(self.session.client.containers.find(container.id) or container)

    def wait_until_created(self, container: models.Container, since: float | None) -> models.Container:
        """
        Wait until a container is running. `since` is the time of its create request by the API's clock, or `None` if
        this operation sent no create request.

        The result keeps values that only the create response contains.

        Raises:
            ExistsError: The container already existed before the request.
        """

        def is_it(row: models.Container) -> bool:
            """Return whether a row is the container in the create response, and not an older one."""
            is_same = compare_instants(container.created_at, row.created_at)
            return bool(is_same) or not is_older(row.created_at, since)

        # A list may still show the replaced container, which has the same id.
        replaced = since is not None and self.session.client.containers.has_deleted(container.name or "")
        found = self._wait(CREATED, container, is_new=since is not None, is_it=is_it if replaced else None)
        found = self.with_time(found)
        if not is_it(found):
            raise ExistsError(
                f"the API answered with the container {found.id}, which was created at {found.created_at} and so "
                'existed before the request. It was not changed: adopt it (adopt="if_matching"), or use a different '
                "name",
                existing=found,
            )
        return found.merge(container)

    def last_log_lines(self, id_: str) -> str:
        """
        Return the end of the container's log as a sentence; an empty string if there is no log, or if logs are hidden.
        """
        if self.session.settings.hide_logs:
            return ""
        try:
            logs = self.session.client.containers.logs(id_, lines=_LOG_LINES)
        except WaitCancelledError:
            raise
        except StacksError:
            # The message must show the failure itself; the log is optional.
            return ""
        lines = [scrub(line.strip(), _LOG_WIDTH) for line in logs.strip().splitlines()[-_LOG_LINES:]]
        return f"Its last log lines: {' | '.join(lines)}. " if lines else ""

    def _wait(
        self,
        wait: Wait,
        container: models.Container,
        *,
        is_new: bool = False,
        is_it: Callable[[models.Container], bool] | None = None,
    ) -> models.Container:
        def shown(seen: models.Container | None) -> str:
            status = container.status if seen is None else seen.status
            held = self.session.client.feed.held_back()
            return limit_text(held) if held >= 1 else _SHOWN.get(status, status or "no status yet")

        found = self.session.wait(self.op, wait, container.id, shown=shown, is_new=is_new, is_it=is_it)
        if found is None:
            msg = (
                f"container {container.id} was deleted while the provider waited for it: run `pulumi refresh`, then "
                "`pulumi up`"
            )
            raise VanishedError(msg, subject=f"container {container.id}")
        return found


def _is_as_wanted(olds: Mapping[str, Any], wanted: bool) -> bool:
    """Return whether external access in the state already matches the program; an update then does not change it."""
    if wanted:
        return is_open(olds)
    return olds.get("external_access") is False and UNFINISHED not in olds


def _without_case(stored: str | None, listed: str | None) -> str | None:
    """Return the word from the API, or the stored word if the two are equal except for case."""
    return stored if listed is None or (stored is not None and same_name(stored, listed)) else listed
