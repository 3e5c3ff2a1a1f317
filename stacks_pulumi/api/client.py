"""The client: one object for each API key, usable by any number of threads."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from stacks_pulumi._clock import SYSTEM_CLOCK, Clock, Pulse
from stacks_pulumi.api._call import Handler, Sender
from stacks_pulumi.api._decode import Decode
from stacks_pulumi.api._limiter import Limit, Limiter, OnLimit
from stacks_pulumi.api._retry import Retry
from stacks_pulumi.api.allowed_ips import AllowedIpsApi
from stacks_pulumi.api.backups import BackupsApi
from stacks_pulumi.api.connections import ConnectionsApi
from stacks_pulumi.api.containers import ContainersApi
from stacks_pulumi.api.vpn_clients import VpnClientsApi
from stacks_pulumi.config import DEFAULT_BASE_URL, AccountSettings, check_api_key, check_base_url
from stacks_pulumi.platform_file import UNKNOWN, PlatformFile

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

    from stacks_pulumi.api.feed import Feed
    from stacks_pulumi.api.models import Container


class StacksClient:
    """
    A typed client of the STACKS API, with one attribute for each kind of resource and one method for each endpoint.

        with StacksClient(api_key) as stacks:
            web = stacks.containers.create(name="web", template="nodejs")
            web = stacks.feed.wait(CREATED, web.id, deadline=SYSTEM_CLOCK.now() + 300)

    It respects the key's rate limit, retries requests where that is safe, and never creates a resource twice. It is
    thread-safe. Use one client per key and process, because the threads then share its rate limiter and its feed.

    Args:
        api_key: `sk_stacks_` and 64 hexadecimal digits.
        base_url: The address of the API.
        requests_per_minute: The rate limit that applies until a response's headers report a different one.
        max_connections: How many requests may be in flight concurrently.
        clock: The clock; tests replace it.
        on_limit: Called in a thread that waits for the rate limit or a free connection: when the wait begins, then at
            least once a second. Its arguments are the seconds until the limit allows requests (0 if it allows them now)
            and the number of waiting requests. If it raises, the request is not sent.
        platform: The facts about the platform that the guide does not state (default: none).
        on_wait: Called at least twice a second, with a message, in a thread that waits until the platform shows a
            change. If it raises, the wait ends.
        on_repeat: Called before each retry of a request that changes something. If it raises, the request is not sent.

    Attributes:
        platform: The facts about the platform that the guide does not state.
        containers: Containers, their keys, credentials, logs and metrics.
        allowed_ips: The addresses that may reach a container from outside.
        connections: Connections between containers.
        backups: Backups.
        vpn_clients: Clients of VPN containers.
        feed: The list of containers, shared by all threads that wait for a container.

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
        platform: PlatformFile | None = None,
        on_wait: Callable[[str], None] = lambda _text: None,
        on_repeat: Pulse = lambda: None,
    ) -> None:
        # Imported here and not at the top, because it loads the library `requests`, which takes more than half of this
        # package's import time. A program that only declares resources sends no request.
        from stacks_pulumi.api._transport import Transport  # noqa: PLC0415

        self.platform = platform or UNKNOWN
        self._base_url = check_base_url(base_url, allow_http=allow_http)
        self._transport = Transport(self._base_url, check_api_key(api_key), clock)
        limiter = Limiter(requests_per_minute, max_connections, clock, on_limit)
        self._limiter = limiter
        send = assemble(self._transport, limiter, clock, self._base_url, on_repeat=on_repeat)
        now = limiter.server_now
        self.containers = ContainersApi(
            send, clock, limiter.pace, platform=self.platform, server_now=now, on_wait=on_wait
        )
        self.feed: Feed[Container] = self.containers.feed
        self.allowed_ips = AllowedIpsApi(send, clock, self.platform, now)
        self.connections = ConnectionsApi(send, clock, self.feed, self.platform, now)
        self.backups = BackupsApi(send, clock, limiter.pace, self.platform, now)
        self.vpn_clients = VpnClientsApi(send, clock, self.platform, now)

    @classmethod
    def of(
        cls,
        settings: AccountSettings,
        on_limit: OnLimit | None = None,
        on_wait: Callable[[str], None] = lambda _text: None,
        on_repeat: Pulse = lambda: None,
    ) -> Self:
        """
        Return a client for an account.

        Raises:
            ConfigError: There is no key, or a setting is malformed.
        """
        return cls(
            settings.require_key(),
            base_url=settings.base_url,
            allow_http=settings.allow_http,
            requests_per_minute=settings.requests_per_minute,
            on_limit=on_limit,
            platform=settings.platform,
            on_wait=on_wait,
            on_repeat=on_repeat,
        )

    @property
    def requests_per_minute(self) -> int:
        """
        The key's rate limit according to the headers of the last response; before the first response, the configured
        limit.
        """
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
        """Close the connections that are not in use. The client stays usable and opens new ones when needed."""
        self._transport.close()


def assemble(
    transport: Sender,
    limiter: Limiter,
    clock: Clock,
    base_url: str = DEFAULT_BASE_URL,
    *,
    on_repeat: Pulse = lambda: None,
) -> Handler:
    """
    Return the chain of handlers, which receives a call and returns the requested value.

        retry       sends each attempt through all handlers below, so each attempt counts towards the rate limit
        decode      turns the response into a value or an error, whose type decides whether to retry; requests the
                    further pages of a list
        limit       waits for the attempt's turn; reads the rate headers of every response, including errors
        transport   sends the request
    """
    return Retry(Decode(Limit(transport, limiter), base_url), clock, on_repeat=on_repeat)
