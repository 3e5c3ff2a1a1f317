"""The methods to list, read, create, start, stop and delete containers, and to allow external access (guide)."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import ClassVar, Final, Literal

import msgspec

from stacks_pulumi._clock import Clock, Pulse, sleep_with_pulse
from stacks_pulumi._identifiers import account_of, same_name, seconds_of
from stacks_pulumi.api._bodies import created_container, done, item, items, scrub
from stacks_pulumi.api._call import Call, Handler, call_to
from stacks_pulumi.api._error_mapping import unreadable
from stacks_pulumi.api._retry import in_doubt
from stacks_pulumi.api._unshaped import (
    credentials,
    metrics,
    private_key,
    private_key_if_any,
    templates,
    text_of,
)
from stacks_pulumi.api._words import DELETED_STATUS, ENDING_STATUSES
from stacks_pulumi.api.allowed_ips import AllowedIpsApi
from stacks_pulumi.api.feed import Feed
from stacks_pulumi.api.models import (
    Container,
    Credentials,
    ExternalAccess,
    Listing,
    Metrics,
    Template,
)
from stacks_pulumi.api.once import Once, may_be_done, settle
from stacks_pulumi.catalog import PLANS
from stacks_pulumi.errors import (
    BadRequestError,
    ConflictError,
    ExistsError,
    NoCapacityError,
    NotFoundError,
    ServerError,
    StacksError,
)
from stacks_pulumi.platform_file import UNKNOWN, PlatformFile

_RECENT: Final = 10.0
"""Seconds for which all create requests use the same list of the existing containers."""
_UNAVAILABLE: Final = 503
_ACCEPTED: Final = 202
_SUCCESS: Final = range(200, 300)
_NOT_LISTED: Final = (
    "If the name is taken but no list shows its container, the container may not be visible yet, for instance after "
    "an interrupted `up`: try again in a few minutes"
)
_VERBS: Final = {"running": "start", "stopped": "stop", "restart": "restart"}

CLOCKS_APART: Final = 5.0
"""Seconds by which two clocks of the API may differ: a new container may seem older than its create request."""
_HELD_PAUSE: Final = 5.0


def _existing(rows: Listing[Container]) -> Listing[Container]:
    """Return the containers in a list, without deleted containers that are still listed."""
    return rows.where(lambda row: row.status != DELETED_STATUS)


class _NewContainer(Once[Container]):
    """
    The request to create a container. A container's name is unique in an account, so the request may be sent again
    immediately.
    """

    needs_time: ClassVar = True
    on_held: Callable[[float], None] | None = None

    def __init__(
        self, api: ContainersApi, call: Call[Container], name: str, template: str, plan: str | None
    ) -> None:
        super().__init__(api.send, call, api.clock, now=api.server_now)
        self._api = api
        self._name = name
        self._template = template
        self._plan = plan
        self.held_until = api.held_until(name)
        """
        The time, by the clock, until which the platform may reserve the name of a container that this client has
        deleted.
        """

    def existing(self) -> Listing[Container]:
        self._api.on_wait("outcome unknown: searching")
        return self._api.feed.snapshot()

    def is_taken(self, row: Container) -> bool:
        return same_name(row.name, self._name)

    def is_ours(self, row: Container) -> bool:
        return is_asked(row, self._name, self._template, self._plan)

    def made_at(self, row: Container) -> str | None:
        return row.created_at

    def send(self) -> Container:
        """
        Send the request. Repeat it while the platform reserves the name of a container that this client has deleted.
        """
        while True:
            try:
                return self._new(super().send())
            except (BadRequestError, ConflictError) as error:
                if not _is_taken(error):
                    raise
                if self.clock.now() >= self.held_until:
                    raise error.but(message=f"{error.message}. {_NOT_LISTED}") from None
            if self.on_held is not None:
                self.on_held(self.held_until - self.clock.now())
            sleep_with_pulse(_HELD_PAUSE, self.clock, self.call.pulse)

    def _new(self, made: Container) -> Container:
        """
        Return the container in the response, if it is new.

        A container that is booting is new even if its creation time precedes the request: that time and the dates of
        responses may come from different clocks.

        Raises:
            ExistsError: The container was already listed, or already created, before the request.
            UnreadableAnswerError: The container's id belongs to a different account than the containers that were
                listed before.
        """
        if self._account is not None and account_of(made.id) != self._account:
            why = f"its id {scrub(made.id)} does not belong to the account {self._account}"
            raise unreadable(self.call, _ACCEPTED, why)
        was_listed = any(row.id == made.id for row in self.former)
        if was_listed or (made.settled and is_older(made.created_at, self.begun)):
            msg = (
                f"{self.call.what}: the API answered with a container that this request did not create (id {made.id}, "
                f"template {made.template}, created at {made.created_at}); adopt it, or use a different name"
            )
            raise ExistsError(scrub(msg), existing=made)
        return made

    def alone(self) -> Container | None:
        """Request the container by the id that follows from its name and this account (guide: `usr-abc12345-web`)."""
        return None if self._account is None else self._api.find(f"{self._account}-{self._name}")

    @property
    def _account(self) -> str | None:
        return self._api.account_in(self.former)

    def says_taken(self, error: StacksError) -> bool:
        return isinstance(error, BadRequestError | ConflictError) and _is_taken(error)

    def final(self, error: StacksError) -> StacksError | None:
        return self._api.waitlisted(self.call.what, error)


LIST: Final[Call[Listing[Container]]] = msgspec.structs.replace(
    call_to("containers.list", parse=lambda body: items(Container, body)), finish=_existing
)
"""The request for all containers of the account (guide, "List Containers")."""
TEMPLATES: Final = call_to("containers.templates", parse=templates)
"""The request for all templates (guide, "List Available Templates")."""


def status_call(container_id: str) -> Call[Container]:
    """Return the request for one container (guide, "Get Container Status")."""
    return call_to("containers.status", container_id, parse=lambda body: item(Container, body))


class ContainersApi:
    """
    Methods for containers. Every method can raise the errors that `stacks_pulumi.errors` describes.

    Args:
        send: The chain.
        clock: The clock.
        pace: See `Feed`.
        platform: The facts about the platform, from its file.
        server_now: Returns the time by the API's clock; `None` if it is not known.
        on_wait: Called with a message while a thread waits until the platform shows a change; an exception from it ends
            the wait.

    Attributes:
        send: See the argument.
        feed: The list of containers, shared by all threads that wait for a container.
        clock: The clock.
        on_wait: See the argument.
        server_now: See the argument.
    """

    def __init__(
        self,
        send: Handler,
        clock: Clock,
        pace: Callable[[], float],
        *,
        platform: PlatformFile = UNKNOWN,
        server_now: Callable[[], float | None] = lambda: None,
        on_wait: Callable[[str], None] = lambda _text: None,
    ) -> None:
        self.send = send
        self.on_wait = on_wait
        self.clock = clock
        self._platform = platform
        self.server_now = server_now
        self._name_held = platform.name_held
        self._account: str | None = None
        self._released: dict[str, float] = {}
        """Container name -> the time at which this client deleted the container."""
        self.feed: Feed[Container] = Feed(
            send,
            LIST,
            clock,
            noun="container",
            confirm=self.find,
            pace=pace,
            platform=platform,
        )

    def held_until(self, name: str) -> float:
        """
        Return the time, by the clock, until which the platform may reserve the name of a container that this client
        has deleted.
        """
        return self._released.get(name.casefold(), -math.inf) + self._name_held

    def list(self) -> Listing[Container]:
        """Return all containers of the account (guide, "List Containers")."""
        listed = self.send(LIST)
        self.account_in(listed)
        return listed

    def account_in(self, rows: Listing[Container]) -> str | None:
        """
        Return the account, taken from a container's id in these rows or in an earlier list; `None` if there is no such
        container.
        """
        found = next((account_of(row.id) for row in rows if row.id.startswith("usr-")), None)
        self._account = found or self._account
        return self._account

    def status(self, container_id: str) -> Container:
        """
        Return one container (guide, "Get Container Status").

        Raises:
            NotFoundError: No container has that id.
        """
        return self.send(status_call(container_id))

    def find(self, container_id: str) -> Container | None:
        """
        Request the container and return it. `None` means a 404 or the status `deleted`; a 404 alone does not prove that
        the container does not exist.
        """
        try:
            found = self.status(container_id)
        except NotFoundError:
            return None
        return None if found.status == DELETED_STATUS else found

    def credentials(self, container_id: str) -> Credentials:
        """Return the secret credentials of a container (guide, "Get Container Credentials")."""
        return self.send(call_to("containers.credentials", container_id, parse=credentials))

    def logs(self, container_id: str, lines: int = 100) -> str:
        """
        Return the last lines of a container's log (guide, "Get Container Logs").

        Args:
            container_id: The container.
            lines: The number of lines, at most 500.
        """
        return self.send(call_to("containers.logs", container_id, parse=text_of, query={"lines": lines}))

    def metrics(self, container_id: str) -> Metrics:
        """Return measurements of a container over time (guide, "Get Container Metrics")."""
        return self.send(call_to("containers.metrics", container_id, parse=metrics))

    def create(
        self,
        *,
        name: str,
        template: str,
        plan: str | None = None,
        additional_storage_tier: int | None = None,
        discount_code: str | None = None,
        pulse: Pulse | None = None,
        on_held: Callable[[float], None] | None = None,
        deadline: float | None = None,
        warn: Callable[[str], None] = lambda _text: None,
    ) -> Container:
        """
        Create a container exactly once (guide, "Create Container"). The container is `pending` at first: wait for it
        with `feed`.

        Args:
            name: 3 to 32 letters, digits and hyphens.
            template: Template id.
            plan: Plan name; the API uses `basic` if it is not given.
            additional_storage_tier: 1 (32 GB), 3 (64 GB) or 5 (128 GB).
            discount_code: A promotional code.
            pulse: Called during waits. If it raises, the wait ends, but only after an unknown outcome has been
                resolved.
            on_held: Called while the platform still reserves the name of a container that this client has deleted. The
                argument is the number of seconds for which the request will be repeated.
            deadline: The time, by the clock, until which to search for the container if a response is lost and the
                retry is refused because the name is taken.
            warn: Called with a message that tells the user what to check in the dashboard.

        Raises:
            ExistsError: The account already contains a container of that name, or the API returned a container that
                already existed before the request. Names are not case-sensitive.
            BadRequestError: The API refuses a field.
            PaymentRequiredError: The account cannot pay for the container, or the key's spending cap does not allow it.
            NoCapacityError: There is no capacity: the account is now on the waitlist, and no container was created.
            StacksError: Nothing shows whether the request was carried out (`outcome-unknown`).
        """
        asked = {
            "name": name,
            "template": template,
            "plan": plan,
            "additional_storage_tier": additional_storage_tier,
            "discount_code": discount_code,
        }
        call = call_to(
            "containers.create",
            parse=lambda body: created_container(body, name),
            words={"name": scrub(name, 80)},
            json={field: value for field, value in asked.items() if value is not None},
            pulse=pulse,
        )
        request = _NewContainer(self, call, name, template, plan)
        request.until, request.on_held = deadline, on_held
        request.warn = warn
        made = request.run(self._before_create(request, pulse))
        return made.merge(Container(id=made.id, name=name, template=template, plan=plan))

    def _before_create(self, request: _NewContainer, pulse: Pulse | None) -> Listing[Container]:
        """
        Return the containers that exist before a create request, without a deleted container of the requested name.
        """
        before = self.feed.snapshot(_RECENT, pulse)
        if any(map(request.is_taken, before)):
            # The container in the cached list may be gone, because a replacement deletes the old container first.
            before = self.feed.snapshot(pulse=pulse)
        while any(map(request.is_taken, before)) and self.clock.now() < request.held_until:
            # A list may lag behind, and show a container that we have deleted.
            sleep_with_pulse(_HELD_PAUSE, self.clock, pulse)
            before = self.feed.snapshot(pulse=pulse)
        return before

    def has_deleted(self, name: str) -> bool:
        """Return whether this client has deleted a container of that name, which a list may still show."""
        return name.casefold() in self._released

    def set_status(self, container_id: str, status: Literal["running", "stopped", "restart"]) -> None:
        """
        Start, stop or restart a container (guide, "Start / Stop / Restart Container").

        A refusal is treated as success if the container already has that state, or if an earlier attempt, whose
        response was lost, is changing the state.
        """
        call = call_to(
            "containers.set_status",
            container_id,
            parse=done,
            words={"verb": _VERBS[status]},
            json={"status": status},
        )

        def reached(error: StacksError) -> bool:
            seen = self.status(container_id)
            if status == "restart" and seen.status == "running":
                # A restart that was in progress may have ended by now, or the refusal has a different reason.
                return may_be_done(error) and not in_doubt(error) and self.send(call)
            return seen.status == status or (may_be_done(error) and not seen.settled)

        settle(self.send, call, reached)

    def delete(self, container_id: str, name: str | None = None) -> bool:
        """
        Delete a container, its volumes and its backups permanently (guide, "Delete Container").

        A refusal is treated as success if the deletion is already in progress.

        Args:
            container_id: The container.
            name: Its name. A later create request for this name is repeated while the platform reserves the name.

        Returns:
            True if the API acknowledged the request. False if one request did not find the container, which does not
            prove that it is deleted.

        Raises:
            NotFoundError: The API does not find the container, which does not prove that it is deleted.
        """

        def is_going(_error: StacksError) -> Literal["going", "absent"] | None:
            seen = self.find(container_id)
            if seen is None:
                return "absent"
            return "going" if seen.status in ENDING_STATUSES else None

        call = call_to("containers.delete", container_id, parse=lambda _body: "going")
        result = settle(self.send, call, is_going)
        if name is not None:
            self._released[name.casefold()] = self.clock.now()
        return result == "going"

    def waitlisted(self, what: str, error: StacksError) -> NoCapacityError | None:
        """
        Return the error to raise for a 503 after which no container appears (guide, "Error Codes"); `None` for other
        errors.

        A 503 may also come from a proxy. If the later list requests receive a 503 too, the outcome stays unknown.
        """
        if not isinstance(error, ServerError) or error.status != _UNAVAILABLE:
            return None
        said = f"503: {error.text}" if error.text else "503"
        proxy = (
            "" if error.body else "; the response does not have the API's form, so check the proxy as well"
        )
        return NoCapacityError(
            f"{what}: no capacity ({said}): the account is on the waitlist now, and no container was created; the "
            "request was not sent again, because each request adds the account to the waitlist: wait until STACKS has "
            "capacity"
            f"{proxy}",
            status=error.status,
            operation=error.operation,
            text=error.text,
            body=error.body,
        )

    def certificate(self, container_id: str) -> str:
        """Return the secret SSH private key of a compute container, as PEM (guide, "Download SSH Certificate")."""
        return self.send(call_to("containers.certificate", container_id, parse=private_key))

    def regenerate_certificate(self, container_id: str) -> str:
        """Create a new SSH key for a compute container and return it as PEM (guide, "Regenerate SSH Certificate")."""
        call = call_to(
            "containers.regenerate_certificate",
            container_id,
            parse=private_key_if_any,
            again=True,  # if the first new key is lost with its response, a second new key does no harm
        )
        return self.send(call) or self.certificate(container_id)

    def templates(self) -> Listing[Template]:
        """Return all templates (guide, "List Available Templates")."""
        return self.send(TEMPLATES)

    def external_access(self, container_id: str, enabled: bool) -> ExternalAccess:
        """
        Open a container to the public, or close it (guide, "Toggle External Access").

        Opening adds the caller's address to the allowed addresses. Closing removes the subdomain and all allowed
        addresses.
        """
        told = ExternalAccess(enabled=enabled)
        call = call_to(
            "containers.external_access",
            container_id,
            # The guide does not describe the response to a request that disables access, and the response is not
            # needed.
            parse=(lambda body: item(ExternalAccess, body).merge(told)) if enabled else (lambda _body: told),
            words={"verb": "enable" if enabled else "disable"},
            json={"enabled": enabled},
        )

        def reached(_error: StacksError) -> ExternalAccess | None:
            seen = AllowedIpsApi(self.send, self.clock).list(container_id)
            return seen if seen.enabled is enabled else None

        return settle(self.send, call, reached)


def is_asked(container: Container, name: str, template: str, plan: str | None) -> bool:
    """Return whether a container that was not listed before the request has the requested values."""
    return same_name(container.name, name) and _fits(container, template, plan)


def _fits(container: Container, template: str, plan: str | None) -> bool:
    """Return whether a container may have that template and plan. The platform may use different words for them."""
    others = PLANS.keys() - {plan}
    return container.is_from(template) is not False and (
        plan is None or container.plan is None or container.plan.casefold() not in others
    )


def is_older(created_at: str | None, since: float | None) -> bool:
    """Return whether a creation time is certainly earlier than a time by the API's clock."""
    created = seconds_of(created_at)
    if since is None or created is None:
        return False
    # A creation time may lack its seconds.
    return created < since - CLOCKS_APART and not (created % 60 == 0 and since - created < 60)


def _is_taken(error: BadRequestError | ConflictError) -> bool:
    """Return whether a refusal may mean that the name is taken."""
    return isinstance(error, ConflictError) or error.field == "name"
