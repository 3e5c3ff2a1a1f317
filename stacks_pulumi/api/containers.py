"""Containers: list, read, create, start, stop, open to the public, delete (guide, "Endpoints")."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final, Literal

from stacks_pulumi._clock import Clock, Pulse
from stacks_pulumi._identifiers import same_name
from stacks_pulumi.api._bodies import (
    created_container,
    done,
    item,
    items,
    private_key,
    private_key_if_any,
    scrub,
    text_of,
)
from stacks_pulumi.api._call import Handler, call_to
from stacks_pulumi.api._retry import in_doubt
from stacks_pulumi.api._unshaped import credentials, metrics, templates
from stacks_pulumi.api.allowed_ips import AllowedIpsApi
from stacks_pulumi.api.feed import Feed
from stacks_pulumi.api.models import (
    ENDING_STATUSES,
    Container,
    Credentials,
    ExternalAccess,
    Listing,
    Metrics,
    Template,
)
from stacks_pulumi.api.once import may_be_done, once, settle
from stacks_pulumi.errors import NoCapacityError, NotFoundError, ServerError, StacksError

_RECENT: Final = 10.0
"""Seconds for which one list of the existing containers is used for all create requests."""
_UNAVAILABLE: Final = 503
_VERBS: Final = {"running": "start", "stopped": "stop", "restart": "restart"}


LIST: Final = call_to("containers.list", parse=lambda body: items(Container, body, "containers"))
"""The request for all containers of the account (guide, "List Containers")."""


class ContainersApi:
    """
    Methods for containers. Every method raises the errors that `stacks_pulumi.errors` describes.

    Attributes:
        feed: The list of containers, shared by all threads that wait for one.
    """

    def __init__(self, send: Handler, clock: Clock, pace: Callable[[], float]) -> None:
        self._send = send
        self._clock = clock
        self.feed: Feed[Container] = Feed(
            send, LIST, clock, noun="container", confirm=self._confirm, pace=pace
        )

    def list(self) -> Listing[Container]:
        """Return all containers of the account (guide, "List Containers")."""
        return self._send(replace(LIST, completeness="needed"))

    def status(self, container_id: str) -> Container:
        """
        Return one container (guide, "Get Container Status").

        Raises:
            NotFoundError: No container has that id.
        """
        return self._send(
            call_to("containers.status", container_id, parse=lambda body: item(Container, body, "container"))
        )

    def _confirm(self, container_id: str) -> Container | None:
        try:
            return self.status(container_id)
        except NotFoundError:
            return None

    def credentials(self, container_id: str) -> Credentials:
        """Return the credentials of a container; secret (guide, "Get Container Credentials")."""
        return self._send(call_to("containers.credentials", container_id, parse=credentials))

    def logs(self, container_id: str, lines: int = 100) -> str:
        """
        Return the last lines of a container's log (guide, "Get Container Logs").

        Args:
            container_id: The container.
            lines: How many lines, 500 at most.
        """
        return self._send(call_to("containers.logs", container_id, parse=text_of, query={"lines": lines}))

    def metrics(self, container_id: str) -> Metrics:
        """Return measurements of a container over time (guide, "Get Container Metrics")."""
        return self._send(call_to("containers.metrics", container_id, parse=metrics))

    def create(
        self,
        *,
        name: str,
        template: str,
        plan: str | None = None,
        additional_storage_tier: int | None = None,
        discount_code: str | None = None,
        pulse: Pulse | None = None,
    ) -> Container:
        """
        Create a container exactly once (guide, "Create Container"). It is `pending` at first: wait for it with `feed`.

        Args:
            name: 3 to 32 letters, digits and hyphens.
            template: Template id.
            plan: Plan name; the API uses `basic` if it is not given.
            additional_storage_tier: 1 (32 GB), 3 (64 GB) or 5 (128 GB).
            discount_code: A promotional code.
            pulse: Called during waits. If it raises, the wait ends; an unknown outcome is resolved before that.

        Raises:
            ExistsError: The account already had a container of that name. Names are not case-sensitive.
            BadRequestError: The API refuses a field.
            PaymentRequiredError: The account or the key's spending cap does not allow it.
            NoCapacityError: There is no capacity: the account is now on the waitlist, and no container was created.
            ServerError: The outcome is unknown, and no list could show it.
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
            parse=created_container,
            words={"name": scrub(name, 80)},
            json={field: value for field, value in asked.items() if value is not None},
            pulse=pulse,
        )

        def taken(container: Container) -> bool:
            return same_name(container.name, name)

        before = self.feed.snapshot(_RECENT, pulse)
        if any(map(taken, before)):
            # The container in the cached list may be gone: a replacement deletes the old one first.
            before = self.feed.snapshot(pulse=pulse)
        made = once(
            self._send,
            call,
            before=before,
            taken=taken,
            look=self.feed.snapshot,
            # Another client created a container of that name but of another template.
            ours=lambda container: taken(container) and container.made_from(template),
            clock=self._clock,
            final_error=lambda error: _waitlist(call.what, error),
        )
        return made.merge(Container(id=made.id, name=name, template=template, plan=plan))

    def set_status(self, container_id: str, status: Literal["running", "stopped", "restart"]) -> None:
        """
        Start, stop or restart a container (guide, "Start / Stop / Restart Container").

        A refusal counts as success if the container is already in that state, or on its way to it because of an earlier
        attempt whose response was lost.
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
                # A restart that was in progress may have ended by now, or the refusal has another reason.
                return may_be_done(error) and not in_doubt(error) and self._send(call)
            return seen.status == status or (may_be_done(error) and not seen.settled)

        settle(self._send, call, reached)

    def delete(self, container_id: str) -> None:
        """
        Delete a container, its volumes and its backups permanently (guide, "Delete Container").

        A refusal counts as success if the deletion is already in progress.

        Raises:
            NotFoundError: The container did not exist when this was called.
        """

        def is_going(_error: StacksError) -> bool:
            seen = self._confirm(container_id)
            return seen is None or seen.status in ENDING_STATUSES

        settle(self._send, call_to("containers.delete", container_id, parse=done), is_going)

    def certificate(self, container_id: str) -> str:
        """Return the SSH private key of a compute container, as PEM; secret (guide, "Download SSH Certificate")."""
        return self._send(call_to("containers.certificate", container_id, parse=private_key))

    def regenerate_certificate(self, container_id: str) -> str:
        """Create a new SSH key for a compute container and return it as PEM (guide, "Regenerate SSH Certificate")."""
        made = self._send(
            call_to(
                "containers.regenerate_certificate",
                container_id,
                parse=private_key_if_any,
                again=True,  # the first new key was lost with its response, so a second one does no harm
            )
        )
        return made or self.certificate(container_id)

    def templates(self) -> Listing[Template]:
        """Return all templates (guide, "List Available Templates")."""
        return self._send(call_to("containers.templates", parse=templates))

    def external_access(self, container_id: str, enabled: bool) -> ExternalAccess:
        """
        Open a container to the public, or close it (guide, "Toggle External Access").

        Opening adds the caller's address to the allowed ones. Closing removes the subdomain and all allowed addresses.
        """
        told = ExternalAccess(enabled=enabled)
        call = call_to(
            "containers.external_access",
            container_id,
            # The guide does not describe the answer to a request that disables access, and nothing in it is needed.
            parse=(lambda body: item(ExternalAccess, body).merge(told)) if enabled else (lambda _body: told),
            words={"verb": "enable" if enabled else "disable"},
            json={"enabled": enabled},
        )

        def reached(_error: StacksError) -> ExternalAccess | None:
            seen = AllowedIpsApi(self._send, self._clock).list(container_id)
            return seen if seen.enabled is enabled else None

        return settle(self._send, call, reached)


def _waitlist(what: str, error: StacksError) -> NoCapacityError | None:
    """Return the error for a 503 after which no container appears. The 503 may also come from a proxy."""
    if not isinstance(error, ServerError) or error.status != _UNAVAILABLE:
        return None
    said = f"503: {error.text}" if error.text else "503"
    proxy = "" if error.body else "; the answer is not in the form of the API, so check the proxy as well"
    return NoCapacityError(
        f"{what}: no capacity ({said}): the account is on the waitlist now, and no container was created; the request "
        f"was not sent again, because every request joins the waitlist: wait until STACKS has capacity{proxy}",
        status=error.status,
        operation=error.operation,
        text=error.text,
        body=error.body,
    )
