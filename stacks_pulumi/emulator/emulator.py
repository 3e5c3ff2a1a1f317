"""
The emulator for Python code: one object that serves the API and lets a test inspect and change its state.

This module decides where the server listens, and which clients may call it.
"""

from __future__ import annotations

import ipaddress
import secrets
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from types import TracebackType
from urllib.parse import urlsplit

from stacks_pulumi.emulator import answers, keys
from stacks_pulumi.emulator.answers import Response, Shapes, encode
from stacks_pulumi.emulator.app import BASE_PATH, Api
from stacks_pulumi.emulator.control_api import ControlApi
from stacks_pulumi.emulator.controls import Controls
from stacks_pulumi.emulator.platform import DrivenClock, Platform
from stacks_pulumi.emulator.server import Incoming, Server
from stacks_pulumi.emulator.state import Journal, Pace, State, load


class Emulator(Controls):
    """
    The STACKS API on this machine.

    Args:
        port: The port to listen on; 0 takes a free port.
        host: The address to listen on. On every address except loopback, the control API needs `control_token`.
        control_token: The bearer token for the control API. Default: a random one if a token is needed.
        cors_origins: Origins whose web pages may send requests; `*` for all.
        allow_hosts: Names by which clients may address it, in addition to the loopback names and `host`.
        boot_seconds: How long a container is `pending`.
        boot_reads: The number of reads that return `pending`, instead of a number of seconds.
        action_seconds: How long a stop, start or restart takes.
        delete_seconds: How long a deleted container is still listed.
        backup_seconds: How long a backup takes.
        rate_limit: Requests in a window for `key`, and the default for other keys; `None` for no limit.
        rate_window: The length of the window in seconds. `advance` does not shorten it.
        spending_cap: US dollars a calendar month for `key`; `None` for no cap.
        key: The key to accept; by default derived from the seed.
        seed: The text from which ids, passwords and keys are derived.
        your_ip: The address that the API reports as the caller's address.
        duplicate_ips: Whether an address may be allowed twice.
        refuse_repeated_delete: Whether deleting a container that is being deleted is refused with a 400.
        lower_case_names: Whether names and ids are stored in lower case.
        strict: Whether to refuse requests that the guide does not exclude but the platform may refuse.
        shapes: The shape of responses that the guide does not specify: one of `SHAPES`, or operation -> shape.
        list_lag: The lag of all lists in seconds; `set_lag` has more options.
        clock: The clock to use instead of a new one.
        state_file: The file for the state; it is read at the start, and written after every change.

    Attributes:
        api: The HTTP side: request log, rate limiter, and the handling of requests.
        platform: The data of the rules: the state, the lock, the pace, and the settings above.
        clock: The emulated platform's clock; `advance` moves it.
        faults: The queue of faults.
        shapes: The shapes of responses that the guide does not specify.
        drift: Changes outside of a program.
        key: A key with every scope.
        account: Id of that key's account.
        control_token: The bearer token of the control API, or `None` if it needs none.

    Raises:
        StateFileError: The state file cannot be read, or is not a state file of an emulator.
        PortTakenError: The emulator cannot listen on the port when it starts.
        ValueError: The limit, the cap or the address is invalid.
    """

    def __init__(
        self,
        *,
        port: int = 0,
        host: str = "127.0.0.1",
        control_token: str | None = None,
        cors_origins: Sequence[str] = (),
        allow_hosts: Sequence[str] = (),
        boot_seconds: float = 0.05,
        boot_reads: int | None = None,
        action_seconds: float = 0.02,
        delete_seconds: float = 0.02,
        backup_seconds: float = 0.05,
        rate_limit: int | None = None,
        rate_window: float = 60.0,
        spending_cap: Decimal | float | None = None,
        key: str | None = None,
        seed: int = 0,
        your_ip: str = "203.0.113.45",
        duplicate_ips: bool = False,
        refuse_repeated_delete: bool = False,
        lower_case_names: bool = False,
        strict: bool = True,
        shapes: str | dict[str, str] = "guide",
        list_lag: float = 0.0,
        clock: DrivenClock | None = None,
        state_file: str | Path | None = None,
    ) -> None:
        self._port = port
        self._host = "127.0.0.1" if host == "localhost" else answers.address("host", host)
        self.control_token = control_token or (None if self.is_loopback else secrets.token_urlsafe(24))
        self._cross_origin = CrossOrigin(cors_origins)
        self._hosts = HostNames(self._host, allow_hosts)
        self._server: Server | None = None
        file = None if state_file is None else Path(state_file)
        kept = load(file) if file is not None else None
        clock = clock or DrivenClock()
        if kept is not None:
            clock.advance(kept.driven)
        ordinary = Platform(
            kept or State(seed=seed),
            clock,
            Pace(boot_seconds, boot_reads, action_seconds, delete_seconds, backup_seconds),
            your_ip=answers.address("your_ip", your_ip),
            duplicate_ips=duplicate_ips,
            refuse_repeated_delete=refuse_repeated_delete,
            lower_case_names=lower_case_names,
            strict=strict,
        )
        super().__init__(
            Api(ordinary, keys.RateLimiter(rate_window, clock.wall), Shapes(shapes)),
            None if file is None else Journal(file),
            key=key,
            spending_cap=spending_cap,
            rate_limit=rate_limit,
        )
        self.set_lag(list_lag)
        self._control = ControlApi(self, self._hosts.has, self._cross_origin.allows, self.control_token)

    @property
    def port(self) -> int:
        """The port that it listens on; 0 if it takes a free port and has not started yet."""
        return self._port

    @property
    def is_loopback(self) -> bool:
        """Whether it accepts connections only from this machine."""
        return ipaddress.ip_address(self._host).is_loopback

    @property
    def url(self) -> str:
        """The base URL for clients."""
        return f"{self.page_url}{BASE_PATH.removeprefix('/')}"

    @property
    def page_url(self) -> str:
        """The URL of the page. If the control API needs a token, the page reads it from the fragment `#token=...`."""
        host = ipaddress.ip_address(self._host)
        here = ("::1" if host.version == 6 else "127.0.0.1") if host.is_unspecified else self._host
        return f"http://[{here}]:{self._port}/" if ":" in here else f"http://{here}:{self._port}/"

    def start(self) -> None:
        """
        Begin to listen; after a stop, on the same port as before.

        Raises:
            PortTakenError: The emulator cannot listen on the port.
        """
        if self._server is not None:
            return
        self.api.ending.clear()
        self._server = Server(self._respond, self._port, self._host, self.clock.now)
        self._port = self._server.port
        self._server.start()

    def stop(self) -> None:
        """Stop listening and close every connection. The state is kept."""
        if self._server is None:
            return
        self.api.ending.set()
        self._server.stop()
        self._server = None
        with self.platform.lock:
            self.platform.settle()
            self._save(fold=True)

    def __enter__(self) -> Emulator:  # noqa: PYI034  (typing.Self is newer than Python 3.10)
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _respond(self, incoming: Incoming, headers: Mapping[str, str]) -> Response:
        preflight = self._cross_origin.preflight(incoming.method, headers)
        if preflight is not None:
            return preflight
        if not incoming.path.startswith(f"{BASE_PATH}/"):
            response = self._control.respond(incoming, headers)
        elif self._hosts.has(incoming.host):
            response = self.api.respond(incoming)
        else:
            text = f"The emulator does not answer for the host {incoming.host!r}; --allow-host adds a name"
            response = encode(403, {"success": False, "error": text})
        return self._cross_origin.opened(response, headers)


class HostNames:
    """
    The names by which clients address the emulator, in the header `Host`.

    A web page can make its own name resolve to this machine (DNS rebinding). Then the browser does not treat its
    requests as cross-origin, but their header still contains that name.

    Args:
        bound: The address that the emulator listens on.
        allowed: Additional names.
    """

    def __init__(self, bound: str, allowed: Collection[str] = ()) -> None:
        self._names = frozenset({"127.0.0.1", "localhost", "::1", bound, *map(str.lower, allowed)})
        self._is_any_address = ipaddress.ip_address(bound).is_unspecified

    def has(self, host: str) -> bool:
        """Return whether `Host` contains one of the names, or any address if the server listens on all addresses."""
        try:
            name = urlsplit(f"//{host}").hostname or ""
            return name in self._names or (self._is_any_address and bool(ipaddress.ip_address(name)))
        except ValueError:
            return False


class CrossOrigin:
    """
    The CORS headers.

    The key of a new emulator is the same on every machine, so without this check any web page could use it.

    Args:
        origins: The origins to allow; `*` for all.
    """

    def __init__(self, origins: Collection[str] = ()) -> None:
        self._origins = frozenset(origins)

    def allows(self, origin: str | None) -> bool:
        """Return whether pages of this origin may send requests."""
        return origin is not None and not self._origins.isdisjoint({"*", origin})

    def preflight(self, method: str, headers: Mapping[str, str]) -> Response | None:
        """Return the response to a browser's preflight request; `None` for any other request."""
        asked = headers.get("Access-Control-Request-Method")
        if method != "OPTIONS" or asked is None or not self.allows(headers.get("Origin")):
            return None
        allowed = {
            "Access-Control-Allow-Methods": "GET, POST, PUT, DELETE",
            "Access-Control-Allow-Headers": "Authorization, Content-Type",
            "Access-Control-Max-Age": "600",
        }
        return self.opened(Response(204, b"", allowed), headers)

    def opened(self, response: Response, headers: Mapping[str, str]) -> Response:
        """Return the response with the headers that allow a page of an allowed origin to read it."""
        origin = headers.get("Origin")
        if origin is None or not self.allows(origin):
            return response
        exposed = "Retry-After, X-RateLimit-Limit, X-RateLimit-Remaining, X-RateLimit-Reset"
        opening = {
            "Access-Control-Allow-Origin": origin,
            "Access-Control-Expose-Headers": exposed,
            "Vary": "Origin",
        }
        return replace(response, headers={**response.headers, **opening})
