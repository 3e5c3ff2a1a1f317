"""
Clients of a VPN container (guide, "VPN Management").
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from stacks_pulumi._clock import Clock, Pulse, sleep_with_pulse
from stacks_pulumi._identifiers import same_name
from stacks_pulumi.api._bodies import done, item, scrub
from stacks_pulumi.api._call import Call, Handler, call_to
from stacks_pulumi.api._unshaped import configuration, vpn_clients
from stacks_pulumi.api.models import Listing, VpnClient
from stacks_pulumi.api.once import Deleted, Once, look_twice, settle
from stacks_pulumi.errors import StacksError
from stacks_pulumi.platform_file import UNKNOWN, PlatformFile

SLACK: Final = 60.0
"""A client's creation times in the create response and in the list differ by at most this many seconds."""
_PAUSE = 2.0

_HARMLESS: Final = {
    "[interface]": frozenset({"privatekey", "listenport", "address", "dns", "mtu"}),
    "[peer]": frozenset({"publickey", "presharedkey", "allowedips", "endpoint", "persistentkeepalive"}),
}
"""
The settings that are harmless in every WireGuard program. Other settings may do harm: `PostUp` runs a command,
`SaveConfig` writes a file, and `Table` and `FwMark` change the machine's routes.
"""
_VALUE: Final = re.compile(r"[A-Za-z0-9+/=.,:_%\[\] \t-]*")
_SHOWN_RISKS: Final = 3


def risks_of(config: str) -> str:
    """
    Return a description of the lines in a WireGuard configuration that make a program run commands; an empty string if
    there are none.

    `wg-quick` runs the commands in a configuration as root. It ignores case, and runs a command even if the line is in
    no section or has no `=`. So each line must be one of the harmless settings.
    """
    found = [f"line {number} {risk}" for number, risk in _risks(config)]
    if not found:
        return ""
    more = f" and {len(found) - _SHOWN_RISKS} more" if len(found) > _SHOWN_RISKS else ""
    return f"wg-quick may run commands of this configuration as root: {', '.join(found[:_SHOWN_RISKS])}{more}"


def _risks(config: str) -> Iterator[tuple[int, str]]:
    known: frozenset[str] = frozenset()
    # For wg-quick, only a line feed ends a line, and a null byte in a word is ignored.
    for number, line in enumerate(config.split("\n"), start=1):
        text = line.removesuffix("\r")
        setting = text.partition("#")[0].strip()
        key, _, value = (part.strip() for part in setting.partition("="))
        if not text.replace("\t", " ").isprintable():
            yield number, "has control characters"
        elif setting.casefold() in _HARMLESS:
            known = _HARMLESS[setting.casefold()]
        elif setting and key.casefold() not in known:
            yield number, f"sets {key}" if key.isidentifier() and len(key) <= 40 else "is not a known setting"
        elif not _VALUE.fullmatch(value):
            yield number, f"has characters that {key} does not need"


class _NewClient(Once[VpnClient]):
    """The request to add a client. A client's name is unique in its container."""

    def __init__(self, api: VpnClientsApi, call: Call[VpnClient], container_id: str, name: str) -> None:
        super().__init__(api.send, call, api.clock, now=api.server_now)
        self._api = api
        self._container_id = container_id
        self._name = name

    def existing(self) -> Listing[VpnClient]:
        return self._api.list(self._container_id)

    def is_taken(self, row: VpnClient) -> bool:
        return same_name(row.name, self._name)

    def is_ours(self, row: VpnClient) -> bool:
        return self.is_taken(row)

    def made_at(self, row: VpnClient) -> str | None:
        return row.created_at


def list_call(container_id: str) -> Call[Listing[VpnClient]]:
    """Return the request for the clients of a VPN container (guide, "List VPN Clients")."""
    return call_to("vpn_clients.list", container_id, parse=vpn_clients)


class VpnClientsApi:
    """Methods for VPN clients. Every method can raise the errors that `stacks_pulumi.errors` describes."""

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

    def list(self, container_id: str) -> Listing[VpnClient]:
        """Return all clients of a VPN container (guide, "List VPN Clients")."""
        return self.send(list_call(container_id))

    def add(
        self,
        container_id: str,
        name: str,
        *,
        before: Sequence[VpnClient] | None = None,
        pulse: Pulse | None = None,
    ) -> VpnClient:
        """
        Add a client exactly once (guide, "Add VPN Client").

        Args:
            container_id: The VPN container.
            name: The client's name.
            before: The container's clients before the request, for `once`; if they are not given, the method requests
                them.
            pulse: Called during waits; an exception from it ends the wait.

        Raises:
            ExistsError: The container already has a client of that name. Names are not case-sensitive.
            BadRequestError: The API refuses the name.
        """
        call = call_to(
            "vpn_clients.add",
            container_id,
            parse=lambda body: item(VpnClient, body),
            words={"name": scrub(name, 80)},
            json={"name": name},
            pulse=pulse,
        )

        def is_it(client: VpnClient) -> bool:
            return same_name(client.name, name)

        if before is None:
            before = self.list(container_id)
            # A list may still show a VPN client for some time after its removal.
            while any(map(is_it, before)) and self._deleted.has(container_id, name.casefold()):
                sleep_with_pulse(_PAUSE, self.clock, pulse)
                before = self.list(container_id)
        former = before
        added = self._deleted.until_free(
            container_id,
            lambda: _NewClient(self, call, container_id, name).run(former),
            pulse,
            # A client in `former` was not removed, so waiting does not free its name.
            lambda: not any(map(is_it, former)),
        )
        self._deleted.discard(container_id, name.casefold())
        return added

    def config(self, container_id: str, name: str = "default") -> str:
        """Return a client's WireGuard configuration, which contains the private key (guide, "Download VPN Config")."""
        return self.send(
            call_to(
                "vpn_clients.config",
                container_id,
                parse=configuration,
                words={"name": scrub(name, 80)},
                query={"client": name},
            )
        )

    def remove(self, container_id: str, name: str) -> None:
        """
        Remove a client (guide, "Remove VPN Client").

        Raises:
            NotFoundError: The API does not find the client, which does not prove that it is deleted.
        """
        shown = {"client_name": scrub(name, 80)}
        call = call_to("vpn_clients.remove", container_id, name, parse=done, words=shown)

        def look() -> VpnClient | None:
            return self.list(container_id).find(lambda client: same_name(client.name, name))

        def is_gone(_error: StacksError) -> bool:
            return look_twice(look, self.clock, self._pause) is None

        settle(self.send, call, is_gone)
        self._deleted.add(container_id, name.casefold())
