"""
Allowed IPs: the addresses that may reach a container from outside (guide, "External Access & IP Restrictions").
"""

from __future__ import annotations

import contextlib
import ipaddress
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Final

import msgspec

from stacks_pulumi._clock import Clock, Pulse
from stacks_pulumi._identifiers import canonical_network
from stacks_pulumi.api._bodies import allowed_ips, done, item
from stacks_pulumi.api._call import Call, Handler, call_to
from stacks_pulumi.api.models import AllowedIp, ExternalAccess, Listing
from stacks_pulumi.api.once import Deleted, Once, look_twice, settle
from stacks_pulumi.errors import StacksError
from stacks_pulumi.platform_file import UNKNOWN, PlatformFile

AUTO_ADDED: Final = "your ip (auto-added)"
"""The description that the guide shows for the caller's own address, in lower case."""
_BY_DEFAULT: Final = "custom ip"
"""The description that the platform gives to an address that was added without one."""


class _NewAddress(Once[AllowedIp]):
    """
    The request to add an entry. The platform allows two identical entries, so the list is checked twice before the
    request is sent again.
    """

    may_exist_twice: ClassVar = True

    def __init__(
        self, api: AllowedIpsApi, call: Call[AllowedIp], container_id: str, asked: Mapping[str, str]
    ) -> None:
        super().__init__(api.send, call, api.clock, now=api.server_now)
        self._api = api
        self._container_id = container_id
        self._asked = asked

    def existing(self) -> Listing[AllowedIp]:
        return self._api.list(self._container_id).allowed_ips

    def is_taken(self, row: AllowedIp) -> bool:
        return is_equal(row, self._asked)

    def is_ours(self, row: AllowedIp) -> bool:
        return canonical(row.ip_address) == canonical(self._asked["ip_address"])

    def made_at(self, row: AllowedIp) -> str | None:
        return row.added_at

    def remove(self, row: AllowedIp) -> None:
        if self.is_taken(row):
            self._api.remove(self._container_id, row.id)


def is_equal(row: AllowedIp, asked: Mapping[str, Any]) -> bool:
    """Return whether an entry matches the address and all other values in a request."""
    same = all(getattr(row, name) == asked[name] for name in ("description", "service_type") if name in asked)
    return same and canonical(row.ip_address) == canonical(str(asked.get("ip_address")))


def list_call(container_id: str) -> Call[ExternalAccess]:
    """Return the request for the allowed addresses of a container (guide, "List Allowed IPs")."""
    return call_to("allowed_ips.list", container_id, parse=allowed_ips)


class AllowedIpsApi:
    """Methods for allowed IPs. Every method can raise the errors that `stacks_pulumi.errors` describes."""

    def __init__(
        self,
        send: Handler,
        clock: Clock,
        platform: PlatformFile = UNKNOWN,
        server_now: Callable[[], float | None] = lambda: None,
    ) -> None:
        self.send = send
        self.clock = clock
        self.server_now = server_now
        self._pause = platform.pause
        self._deleted = Deleted(clock, platform.settle)

    def list(self, container_id: str) -> ExternalAccess:
        """
        Return the allowed addresses, in `allowed_ips`, and whether external access is on (guide, "List Allowed IPs").
        """
        access = self._listed(container_id)
        entries = self._deleted.without(container_id, access.allowed_ips)
        return msgspec.structs.replace(access, allowed_ips=entries)

    def _listed(self, container_id: str) -> ExternalAccess:
        return self.send(list_call(container_id))

    def add(
        self,
        container_id: str,
        ip_address: str,
        *,
        description: str = "Custom IP",
        service_type: str = "both",
        before: Sequence[AllowedIp] | None = None,
        pulse: Pulse | None = None,
    ) -> AllowedIp:
        """
        Add an allowed address exactly once (guide, "Add Allowed IP").

        Args:
            container_id: The container that the address may reach.
            ip_address: An IPv4 or IPv6 address or network.
            description: A human-readable description.
            service_type: `http`, `tcp` or `both`.
            before: The entries before the request, for `once`; if they are not given, the method requests them.
            pulse: Called during waits; an exception from it ends the wait.

        Raises:
            ExistsError: An entry with the same address, description and service type already exists.
            BadRequestError: The API refuses the entry.
        """
        asked = {"ip_address": ip_address, "description": description, "service_type": service_type}
        call = call_to(
            "allowed_ips.add",
            container_id,
            parse=lambda body: item(AllowedIp, body),
            words={"ip_address": ip_address},
            json=asked,
            pulse=pulse,
        )

        def attempt() -> AllowedIp:
            return _NewAddress(self, call, container_id, asked).run(before)

        def is_held() -> bool:
            """
            Return whether a deleted entry for the address is still listed. If so, that entry may be the reason for the
            refusal.
            """
            return any(
                canonical(entry.ip_address) == canonical(ip_address)
                and self._deleted.has(container_id, entry.id)
                for entry in self._listed(container_id).allowed_ips
            )

        added = self._deleted.until_free(container_id, attempt, pulse, is_held)
        self._deleted.discard(container_id, added.id)
        return added.merge(AllowedIp(id=added.id, **asked))

    def remove(self, container_id: str, ip_id: str) -> None:
        """
        Remove an allowed address (guide, "Remove Allowed IP"). The API never removes the last entry.

        Args:
            container_id: The container that the address may reach.
            ip_id: The entry's id.

        Raises:
            NotFoundError: The API does not find the entry, which does not prove that it is deleted.
            BadRequestError: The entry is the last one.
        """

        def look() -> AllowedIp | None:
            return self.list(container_id).allowed_ips.find(lambda entry: entry.id == ip_id)

        def is_gone(_error: StacksError) -> bool:
            return look_twice(look, self.clock, self._pause) is None

        settle(self.send, call_to("allowed_ips.remove", container_id, ip_id, parse=done), is_gone)
        self._deleted.add(container_id, ip_id)


def is_auto_added(access: ExternalAccess, entry: AllowedIp) -> bool | None:
    """
    Return whether the platform added this entry, for a caller's own address; `None` if that is not known.

    The platform added an entry that contains the caller's address. It also added an entry with the platform's
    description: a caller at another address may have turned external access on. If the list contains no such entry, the
    platform may have added any of the entries, except those with the default description: a client added them without a
    description.
    """
    own = canonical(access.your_ip)
    callers = [row for row in access.allowed_ips if own and canonical(row.ip_address) == own]
    words = {AUTO_ADDED, *map(label_of, callers)} - {_BY_DEFAULT, ""}
    if label_of(entry) in words or entry in callers:
        return True
    is_shown = any(label_of(row) in words for row in access.allowed_ips)
    return False if is_shown or label_of(entry) == _BY_DEFAULT else None


def label_of(entry: AllowedIp) -> str:
    """Return an entry's description in lower case."""
    return (entry.description or "").strip().lower()


def canonical(address: str | None) -> str:
    """
    Return the canonical spelling of an address. A string that is not an address is returned unchanged.

    `10.0.0.7` and `10.0.0.7/32` are the same address, and so are all spellings of one IPv6 address. Host bits are
    ignored. The resources reject them in a program's input, but an entry that another client added may contain them. An
    address filter treats such an entry as the network without host bits. A server may see an IPv4 caller as
    `::ffff:203.0.113.4`.
    """
    network = canonical_network(address) or address or ""
    with contextlib.suppress(ValueError):
        inside = ipaddress.IPv6Address(network).ipv4_mapped
        network = network if inside is None else str(inside)
    return network
