"""Containers: list, look at, create, start and stop, open, delete (guide, "Endpoints")."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Literal

from stacks_pulumi._clock import Clock, Pulse
from stacks_pulumi.api import _metrics_parser, _parsers
from stacks_pulumi.api._call import Call, Handler, Scope, path
from stacks_pulumi.api._container_create import create
from stacks_pulumi.api._lenient import done, item, items, text_of
from stacks_pulumi.api._retry import in_doubt
from stacks_pulumi.api._scrub import scrub
from stacks_pulumi.api._settle import may_be_done, settle
from stacks_pulumi.api.allowed_ips import AllowedIpsApi
from stacks_pulumi.api.feed import Feed
from stacks_pulumi.api.models import Container, Credentials, ExternalAccess, Listing, Metrics, Template
from stacks_pulumi.api.models.container import ENDING_STATUSES
from stacks_pulumi.errors import NotFoundError, StacksError

__all__ = ["ContainersApi", "list_call"]

_STATES: Final = {"running": "start", "stopped": "stop", "restart": "restart"}


def list_call(*, poll: bool, pulse: Pulse | None = None) -> Call[Listing[Container]]:
    """
    Return the request for all containers of the account (guide, "List Containers").

    Args:
        poll: Whether it is one of many, which waits for its turn behind others.
        pulse: Called while it waits for its turn; what it raises ends the call before it is sent.
    """
    return Call(
        "containers.list",
        "list containers",
        "GET",
        path("containers"),
        Scope.READ,
        lambda body: items(Container, body, "containers"),
        fixed=True,
        poll=poll,
        pulse=pulse,
    )


class ContainersApi:
    """
    What can be done with containers. Every method raises `StacksError` as drawn in `stacks_pulumi.errors`.

    Attributes:
        feed: The list of containers, shared by all threads that wait for one.
    """

    def __init__(self, send: Handler, clock: Clock, pace: Callable[[], float]) -> None:
        self._send = send
        self._clock = clock
        self.feed: Feed[Container] = Feed(
            self._fetch, clock, noun="container", confirm=self._confirm, pace=pace
        )

    def list(self) -> Listing[Container]:
        """All containers of the account (guide, "List Containers")."""
        return self._fetch(poll=False, pulse=None)

    def _fetch(self, *, poll: bool, pulse: Pulse | None) -> Listing[Container]:
        return self._send(list_call(poll=poll, pulse=pulse))

    def status(self, container_id: str) -> Container:
        """
        One container (guide, "Get Container Status").

        Raises:
            NotFoundError: There is none with that id.
        """
        return self._send(
            Call(
                "containers.status",
                f"look at container {container_id}",
                "GET",
                path("containers", "status", container_id),
                Scope.READ,
                lambda body: item(Container, body, "container"),
            )
        )

    def _confirm(self, container_id: str) -> Container | None:
        try:
            return self.status(container_id)
        except NotFoundError:
            return None

    def credentials(self, container_id: str) -> Credentials:
        """How to log in to a container; secret (guide, "Get Container Credentials")."""
        return self._send(
            Call(
                "containers.credentials",
                f"read the credentials of container {container_id}",
                "GET",
                path("containers", container_id, "credentials"),
                Scope.READ,
                _parsers.credentials,
            )
        )

    def logs(self, container_id: str, lines: int = 100) -> str:
        """
        The last lines of a container's log (guide, "Get Container Logs").

        Args:
            container_id: Whose log.
            lines: How many lines, 500 at most.
        """
        return self._send(
            Call(
                "containers.logs",
                f"read the logs of container {container_id}",
                "GET",
                path("containers", container_id, "logs"),
                Scope.READ,
                text_of,
                query={"lines": lines},
                text=True,
            )
        )

    def metrics(self, container_id: str) -> Metrics:
        """Measurements of a container over time (guide, "Get Container Metrics")."""
        return self._send(
            Call(
                "containers.metrics",
                f"read the metrics of container {container_id}",
                "GET",
                path("containers", container_id, "metrics"),
                Scope.READ,
                _metrics_parser.parse,
            )
        )

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
        Create a container, once (guide, "Create Container"). It is `pending` at first: wait for it with the feed.

        Args:
            name: 3 to 32 letters, digits and hyphens.
            template: Template id.
            plan: Plan name; the API takes `basic` if there is none.
            additional_storage_tier: 1 (32 GB), 3 (64 GB) or 5 (128 GB).
            discount_code: A promotional code.
            pulse: Called during waits; what it raises ends them. A request whose outcome is unknown is resolved first.

        Raises:
            ExistsError: The account had a container of that name before; upper and lower case are one name.
            BadRequestError: A field is refused.
            PaymentRequiredError: The account or the key's spending cap does not allow it.
            NoCapacityError: The account is on the waitlist now, and has no container of that name.
            ServerError: The outcome is unknown, and no list shows it.
        """
        asked = {
            "name": name,
            "template": template,
            "plan": plan,
            "additional_storage_tier": additional_storage_tier,
            "discount_code": discount_code,
        }
        call = Call(
            "containers.create",
            f'create container "{scrub(name, 80)}"',
            "POST",
            path("containers"),
            Scope.CREATE,
            _parsers.container,
            json={field: value for field, value in asked.items() if value is not None},
            fixed=True,
            pulse=pulse,
        )
        made = create(self._send, self.feed, self._clock, call, name=name, template=template)
        return made.merge(Container(id=made.id, name=name, template=template, plan=plan))

    def set_status(self, container_id: str, status: Literal["running", "stopped", "restart"]) -> None:
        """
        Start, stop or restart a container (guide, "Start / Stop / Restart Container").

        A container that is in that state already is success, also where the API refuses to do it again. So is one that
        is on its way there because an attempt whose answer was lost is having its effect.
        """
        call = Call(
            "containers.set_status",
            f"{_STATES[status]} container {container_id}",
            "PUT",
            path("containers", container_id, "status"),
            Scope.MANAGE,
            done,
            json={"status": status},
            text=True,
        )

        def reached(error: StacksError) -> bool:
            seen = self.status(container_id)
            if status == "restart" and seen.status == "running":
                # A restart that was in progress may have ended since, or the refusal has another reason.
                return may_be_done(error) and not in_doubt(error) and self._send(call)
            return seen.status == status or (may_be_done(error) and not seen.settled)

        settle(self._send, call, reached)

    def delete(self, container_id: str) -> None:
        """
        Delete a container, its volumes and its backups for good (guide, "Delete Container").

        A deletion that is in progress is success, also if the API refuses a second one.

        Raises:
            NotFoundError: There was none with that id when this was called.
        """
        call = Call(
            "containers.delete",
            f"delete container {container_id}",
            "DELETE",
            path("containers", container_id),
            Scope.DELETE,
            done,
            text=True,
        )

        def is_going(_error: StacksError) -> bool:
            seen = self._confirm(container_id)
            return seen is None or seen.status in ENDING_STATUSES

        settle(self._send, call, is_going)

    def certificate(self, container_id: str) -> str:
        """The SSH private key of a compute container, as PEM; secret (guide, "Download SSH Certificate")."""
        return self._send(
            Call(
                "containers.certificate",
                f"download the SSH key of container {container_id}",
                "GET",
                path("containers", container_id, "certificate"),
                Scope.READ,
                _parsers.private_key,
                text=True,
            )
        )

    def regenerate_certificate(self, container_id: str) -> str:
        """A new SSH private key for a compute container, as PEM; secret (guide, "Regenerate SSH Certificate")."""
        made = self._send(
            Call(
                "containers.regenerate_certificate",
                f"make a new SSH key for container {container_id}",
                "POST",
                path("containers", container_id, "certificate", "regenerate"),
                Scope.MANAGE,
                _parsers.private_key_if_any,
                text=True,
                again=True,  # nobody has seen the first new key, so a second one is as good
            )
        )
        return made or self.certificate(container_id)

    def templates(self) -> Listing[Template]:
        """All templates (guide, "List Available Templates")."""
        return self._send(
            Call(
                "containers.templates",
                "list templates",
                "GET",
                path("containers", "templates"),
                Scope.READ,
                _parsers.templates,
                fixed=True,
            )
        )

    def external_access(self, container_id: str, enabled: bool) -> ExternalAccess:
        """
        Open a container to the public, or close it (guide, "Toggle External Access").

        Opening puts the caller's address on the list of allowed ones; closing drops the subdomain and that list.
        """
        told = ExternalAccess(enabled=enabled)
        call = Call(
            "containers.external_access",
            f"{'enable' if enabled else 'disable'} external access to container {container_id}",
            "PUT",
            path("containers", container_id, "external-access"),
            Scope.MANAGE,
            # The guide does not say what the answer to a disabling is, and nothing in it is needed.
            (lambda body: item(ExternalAccess, body).merge(told)) if enabled else (lambda _body: told),
            json={"enabled": enabled},
            text=not enabled,
        )

        def reached(_error: StacksError) -> ExternalAccess | None:
            seen = AllowedIpsApi(self._send, self._clock).list(container_id)
            return seen if seen.enabled is enabled else None

        return settle(self._send, call, reached)
