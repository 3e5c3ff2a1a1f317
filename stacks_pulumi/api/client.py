"""
The client: one object for one API key, for any number of threads.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stacks_pulumi._clock import SYSTEM_CLOCK, Clock
from stacks_pulumi.api._chain import assemble
from stacks_pulumi.api._limiter import Limiter, OnLimit
from stacks_pulumi.api.allowed_ips import AllowedIpsApi
from stacks_pulumi.api.backups import BackupsApi
from stacks_pulumi.api.connections import ConnectionsApi
from stacks_pulumi.api.containers import ContainersApi
from stacks_pulumi.api.vpn_clients import VpnClientsApi
from stacks_pulumi.config import DEFAULT_BASE_URL, AccountSettings, check_api_key, check_base_url

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

    from stacks_pulumi.api.feed import Feed
    from stacks_pulumi.api.models import Container

__all__ = ["StacksClient"]


class StacksClient:
    """
    The STACKS API, typed: one attribute for each noun, one method for each endpoint.

        with StacksClient(api_key) as stacks:
            web = stacks.containers.create(name="web", template="nodejs")
            web = stacks.feed.wait(CREATED, web.id, deadline=SYSTEM_CLOCK.now() + 300)

    It keeps to the key's rate limit, tries again what is safe to try again, and creates nothing twice. All of it may
    be used by many threads at once; use one client per key and process, as its limiter and feed are what they share.

    Args:
        api_key: `sk_stacks_` and 64 hexadecimal digits.
        base_url: Where the API is.
        requests_per_minute: The budget to keep to until an answer's headers say otherwise.
        max_connections: How many requests may be in flight at once.
        clock: Time; for tests.
        on_limit: Called in a thread that waits for the rate limit or a free connection, at once and then at least
            once a second, with the seconds until the limit opens (0 if it is open) and how many requests wait. What
            it raises ends the request before it is sent.

    Attributes:
        containers: Containers, their keys, credentials, logs and metrics.
        allowed_ips: Who may reach a container from outside.
        connections: Connections between containers.
        backups: Backups.
        vpn_clients: Clients of VPN containers.
        feed: The list of containers, shared by all that wait for one.

    Raises:
        ConfigError: The key or the address is malformed.
    """

    def __init__(
        self,
        api_key: str,
        *,
        base_url: str = DEFAULT_BASE_URL,
        allow_http: bool = False,
        requests_per_minute: int = AccountSettings.requests_per_minute,
        max_connections: int = 16,
        clock: Clock = SYSTEM_CLOCK,
        on_limit: OnLimit | None = None,
    ) -> None:
        # Here and not on top: it loads requests, more than half of what this package costs to import, and a program
        # that declares resources asks the API nothing.
        from stacks_pulumi.api._transport import Transport  # noqa: PLC0415

        self._base_url = check_base_url(base_url, allow_http=allow_http)
        self._transport = Transport(self._base_url, check_api_key(api_key), clock)
        limiter = Limiter(requests_per_minute, max_connections, clock, on_limit)
        self._limiter = limiter
        send = assemble(self._transport, limiter, clock, self._base_url)
        self.containers = ContainersApi(send, clock, limiter.pace)
        self.feed: Feed[Container] = self.containers.feed
        self.allowed_ips = AllowedIpsApi(send, clock)
        self.connections = ConnectionsApi(send, clock, self.feed)
        self.backups = BackupsApi(send, clock, limiter.pace)
        self.vpn_clients = VpnClientsApi(send, clock)

    @property
    def requests_per_minute(self) -> int:
        """The key's rate limit, as the last answer's headers say it; the budget that was given until then."""
        return self._limiter.per_minute

    def __repr__(self) -> str:
        return f"StacksClient(base_url={self._base_url!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections that are not in use. The client stays usable; it would open new ones."""
        self._transport.close()
