"""
Allowed IPs: who may reach a container from outside (guide, "External Access & IP Restrictions").
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

from stacks_pulumi._clock import Clock
from stacks_pulumi.api import _parsers
from stacks_pulumi.api._call import Call, Handler, Scope, path
from stacks_pulumi.api._lenient import done, item
from stacks_pulumi.api._settle import settle
from stacks_pulumi.api.models import AllowedIp, ExternalAccess, Listing
from stacks_pulumi.api.once import once
from stacks_pulumi.errors import StacksError

__all__ = ["AllowedIpsApi"]


class AllowedIpsApi:
    """What can be done with allowed IPs. Every method raises `StacksError` as drawn in `stacks_pulumi.errors`."""

    def __init__(self, send: Handler, clock: Clock) -> None:
        self._send = send
        self._clock = clock

    def list(self, container_id: str) -> ExternalAccess:
        """Who may connect, in `allowed_ips`, and whether access is on at all (guide, "List Allowed IPs")."""
        return self._send(
            Call(
                "allowed_ips.list",
                f"list the allowed IPs of container {container_id}",
                "GET",
                path("containers", container_id, "allowed-ips"),
                Scope.READ,
                _parsers.allowed_ips,
            )
        )

    def add(
        self,
        container_id: str,
        ip_address: str,
        *,
        description: str = "Custom IP",
        service_type: str = "both",
        before: Sequence[AllowedIp] | None = None,
    ) -> AllowedIp:
        """
        Let an address connect, once (guide, "Add Allowed IP").

        Args:
            container_id: To which container.
            ip_address: An IPv4 or IPv6 address or network.
            description: For people.
            service_type: `http`, `tcp` or `both`.
            before: The list, if the caller has just looked at it; asked for unless given.

        Raises:
            ExistsError: An entry that is equal in all three was there before.
            BadRequestError: The API refuses it.
        """
        what = f"allow {ip_address} to container {container_id}"
        asked = {"ip_address": ip_address, "description": description, "service_type": service_type}
        call = Call(
            "allowed_ips.add",
            what,
            "POST",
            path("containers", container_id, "allowed-ips"),
            Scope.MANAGE,
            lambda body: item(AllowedIp, body, "allowed_ip", "ip"),
            json=asked,
        )
        address = canonical(ip_address)

        def same_address(entry: AllowedIp) -> bool:
            return canonical(entry.ip_address) == address

        added = once(
            what=what,
            before=self.list(container_id).allowed_ips if before is None else Listing(before),
            taken=lambda entry: (
                same_address(entry)
                and entry.service_type == service_type
                and entry.description == description
            ),
            post=lambda: self._send(call),
            look=lambda: self.list(container_id).allowed_ips,
            ours=same_address,
            clock=self._clock,
            assumed=isinstance(before, tuple) and not isinstance(before, Listing),
        )
        return added.merge(AllowedIp(id=added.id, **asked))

    def remove(self, container_id: str, ip_id: str) -> None:
        """
        No longer let an address connect (guide, "Remove Allowed IP"). The API never removes the last one.

        Raises:
            NotFoundError: There was no such entry when this was called.
            BadRequestError: It is the last one.
        """
        call = Call(
            "allowed_ips.remove",
            f"remove the allowed IP {ip_id} of container {container_id}",
            "DELETE",
            path("containers", container_id, "allowed-ips", ip_id),
            Scope.MANAGE,
            done,
            text=True,
        )

        def is_gone(_error: StacksError) -> bool:
            return self.list(container_id).allowed_ips.find(lambda entry: entry.id == ip_id) is None

        settle(self._send, call, is_gone)


def canonical(address: str | None) -> str:
    """
    The one spelling of an address that the list tells; what is none stays as it is, and no address of ours equals it.

    `10.0.0.7` and `10.0.0.7/32` are one address, and so are all spellings of an IPv6 one. Host bits are passed over:
    the resources refuse them in what a program asks for, but an entry that was made elsewhere may have them, and is the
    same network to whoever filters by it.
    """
    try:
        return str(ipaddress.ip_network(address or "", strict=False))
    except ValueError:
        return address or ""
