"""
Clients of a VPN container (guide, "VPN Management").
"""

from __future__ import annotations

from collections.abc import Sequence

from stacks_pulumi._clock import Clock
from stacks_pulumi._identifiers import same_name
from stacks_pulumi.api._bodies import done, item, items, scrub, text_of
from stacks_pulumi.api._call import Handler, call_to
from stacks_pulumi.api.models import Listing, VpnClient
from stacks_pulumi.api.once import once, settle
from stacks_pulumi.errors import StacksError


class VpnClientsApi:
    """Methods for VPN clients. Every method raises the errors that `stacks_pulumi.errors` describes."""

    def __init__(self, send: Handler, clock: Clock) -> None:
        self._send = send
        self._clock = clock

    def list(self, container_id: str) -> Listing[VpnClient]:
        """Return all clients of a VPN container (guide, "List VPN Clients")."""
        return self._send(
            call_to(
                "vpn_clients.list",
                container_id,
                parse=lambda body: items(VpnClient, body, "clients", "vpn_clients", bare=("name",)),
            )
        )

    def add(self, container_id: str, name: str, *, before: Sequence[VpnClient] | None = None) -> VpnClient:
        """
        Add a client exactly once (guide, "Add VPN Client"). `config` returns its configuration.

        Args:
            container_id: The VPN container.
            name: The client's name.
            before: The container's clients, as `once` takes them; requested unless given.

        Raises:
            ExistsError: The container already had a client of that name. Names are not case-sensitive.
            BadRequestError: The API refuses the name.
        """
        call = call_to(
            "vpn_clients.add",
            container_id,
            parse=lambda body: item(VpnClient, body, "client", "vpn_client"),
            words={"name": scrub(name, 80)},
            json={"name": name},
        )
        return once(
            self._send,
            call,
            before=before,
            taken=lambda client: same_name(client.name, name),
            look=lambda: self.list(container_id),
            ours=lambda client: same_name(client.name, name),
            clock=self._clock,
        )

    def config(self, container_id: str, name: str = "default") -> str:
        """Return a client's WireGuard configuration with its private key; secret (guide, "Download VPN Config")."""
        return self._send(
            call_to(
                "vpn_clients.config",
                container_id,
                parse=text_of,
                words={"name": scrub(name, 80)},
                query={"client": name},
            )
        )

    def remove(self, container_id: str, name: str) -> None:
        """
        Remove a client (guide, "Remove VPN Client").

        Raises:
            NotFoundError: The client did not exist when this was called.
        """
        shown = {"client_name": scrub(name, 80)}
        call = call_to("vpn_clients.remove", container_id, name, parse=done, words=shown)

        def is_gone(_error: StacksError) -> bool:
            return self.list(container_id).find(lambda client: same_name(client.name, name)) is None

        settle(self._send, call, is_gone)
