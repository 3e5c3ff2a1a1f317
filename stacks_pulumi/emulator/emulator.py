"""The emulator as Python code uses it: one object that serves the API and lets a test look and reach inside."""

from __future__ import annotations

import ipaddress
import secrets
from collections.abc import Collection, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from stacks_pulumi.emulator import argument_checks, keys, seeding
from stacks_pulumi.emulator.answer_shapes import Shapes
from stacks_pulumi.emulator.app import BASE_PATH, Api, Incoming
from stacks_pulumi.emulator.clock import DrivenClock
from stacks_pulumi.emulator.control import Control
from stacks_pulumi.emulator.cors import CrossOrigin
from stacks_pulumi.emulator.drift import Drift
from stacks_pulumi.emulator.page_data import request, snapshot
from stacks_pulumi.emulator.persistence import Journal, load
from stacks_pulumi.emulator.platform import Platform
from stacks_pulumi.emulator.ratelimit import RateLimiter
from stacks_pulumi.emulator.server import Server
from stacks_pulumi.emulator.state import State
from stacks_pulumi.emulator.transitions import Pace

if TYPE_CHECKING:
    from types import TracebackType

    from stacks_pulumi.emulator.faults import Faults
    from stacks_pulumi.emulator.http_responses import Response
    from stacks_pulumi.emulator.requestlog import Record

__all__ = ["Emulator"]


class Emulator:
    """
    The STACKS API on this machine.

    Args:
        port: Where to listen; 0 takes a free port.
        host: The address to listen on. On any but a loopback address, the control API needs `control_token`.
        control_token: What the control API asks for as a bearer token. Default: a random one where it is needed.
        cors_origins: Origins whose web pages may call it; `*` for all.
        boot_seconds: How long a container is `pending`.
        boot_reads: Let this many reads see it `pending` instead of counting seconds.
        action_seconds: How long a stop, start or restart takes.
        delete_seconds: How long a deleted container is still listed.
        backup_seconds: How long a backup takes.
        rate_limit: Requests a window for `key`, and for other keys unless they say; `None` for no limit.
        rate_window: Seconds of that window, in real time.
        spending_cap: US dollars a calendar month for `key`; `None` for no cap.
        key: The key to accept; derived from the seed unless given.
        seed: What ids, passwords and keys are derived from.
        your_ip: The address that callers seem to come from.
        duplicate_ips: Whether an address may be allowed twice.
        refuse_repeated_delete: Whether deleting a container that is being deleted is refused with a 400.
        lower_case_names: Whether names and ids are stored in lower case.
        strict: Refuse what the guide leaves open and the platform may refuse.
        shapes: How to answer where the guide leaves it open: one of `SHAPES`, or operation -> shape.
        clock: A clock of one's own.
        state_file: Where to keep everything; read at the start, written after every change.

    Attributes:
        api: The HTTP side: log, limiter, and how a request is answered.
        platform: Direct access to what it holds.
        clock: The time that it lives by; `advance` drives it.
        faults: The queue of faults.
        shapes: How open answers look.
        drift: What happens behind a program's back.
        key: A key with every scope.
        account: Id of that key's account.
        control_token: The bearer token of the control API, or `None` if it needs none.

    Raises:
        StateFileError: The state file holds something else.
        PortTakenError: When it is started: it cannot listen there.
        ValueError: The limit, the cap or the address is invalid.
    """

    def __init__(
        self,
        *,
        port: int = 0,
        host: str = "127.0.0.1",
        control_token: str | None = None,
        cors_origins: Sequence[str] = (),
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
        clock: DrivenClock | None = None,
        state_file: str | Path | None = None,
    ) -> None:
        self._port, self._host = (
            port,
            "127.0.0.1" if host == "localhost" else argument_checks.address("host", host),
        )
        self.control_token = control_token or (None if self.is_loopback else secrets.token_urlsafe(24))
        self._cross_origin = CrossOrigin(cors_origins)
        self._server: Server | None = None
        file = None if state_file is None else Path(state_file)
        self._journal = None if file is None else Journal(file)
        self._rate_limit = argument_checks.count("rate_limit", rate_limit)
        self.clock = clock or DrivenClock()
        held = load(file) if file is not None else None
        pace = Pace(boot_seconds, boot_reads, action_seconds, delete_seconds, backup_seconds)
        if held is not None:
            self.clock.advance(held.driven)
        self.platform = Platform(
            held or State(seed=seed),
            self.clock,
            pace,
            your_ip=argument_checks.address("your_ip", your_ip),
            duplicate_ips=duplicate_ips,
            refuse_repeated_delete=refuse_repeated_delete,
            lower_case_names=lower_case_names,
            strict=strict,
        )
        self.api = Api(self.platform, RateLimiter(rate_window), Shapes(shapes))
        self.api.changed = self._save
        self.faults: Faults = self.api.faults
        self.shapes = self.api.shapes
        self.drift = Drift(self.platform, self._save)
        self._control = Control(self, self._cross_origin)
        self.key = self._first_key(key, spending_cap)
        self.account = keys.authenticate(self.platform.state, f"Bearer {self.key}").account
        self._save()

    @property
    def port(self) -> int:
        """Where it listens; 0 before it was first started on a free port."""
        return self._port

    @property
    def is_loopback(self) -> bool:
        """Whether it listens for this machine alone."""
        return ipaddress.ip_address(self._host).is_loopback

    @property
    def url(self) -> str:
        """The base URL for clients."""
        return f"{self.page_url}{BASE_PATH.removeprefix('/')}"

    @property
    def page_url(self) -> str:
        """The page to look at. If the control API needs a token, the page takes it from the fragment `#token=...`."""
        host = ipaddress.ip_address(self._host)
        here = ("::1" if host.version == 6 else "127.0.0.1") if host.is_unspecified else self._host
        return f"http://[{here}]:{self._port}/" if ":" in here else f"http://{here}:{self._port}/"

    @property
    def requests(self) -> list[Record]:
        """The requests to the API, oldest first."""
        return self.api.log.all()

    def calls(self, operation: str | None = None) -> int:
        """How many requests there were; of one operation if it is named."""
        return self.api.log.count(operation)

    def request_detail(self, number: int) -> dict[str, Any]:
        """
        Return one of the newest requests with its bodies; every secret is masked.

        Raises:
            KeyError: There is no request of this number, or it is too old.
        """
        return request(self.api.log.detail(number))

    def start(self) -> None:
        """
        Begin to listen; after a stop, on the same port as before.

        Raises:
            PortTakenError: It cannot listen there.
        """
        if self._server is not None:
            return
        self.api.ending.clear()
        self._server = Server(self._respond, self._port, self._host)
        self._port = self._server.port
        self._server.start()

    def stop(self) -> None:
        """Stop listening and close every connection. What it holds stays."""
        if self._server is None:
            return
        self.api.ending.set()
        self._server.stop()
        self._server = None
        with self.platform.lock:
            self.platform.settle()
            if self._journal is not None:
                self.platform.state.driven = self.clock.driven
                self._journal.fold(self.platform.state)

    def __enter__(self) -> Emulator:  # noqa: PYI034  (typing.Self is newer than Python 3.10)
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def new_account(self) -> str:
        """Open another account; the id, which its containers' ids begin with."""
        with self.platform.lock:
            account = keys.open_account(self.platform.state)
            self._save()
            return account.id

    def new_key(
        self,
        *,
        account: str | None = None,
        scopes: Collection[str] = keys.SCOPES,
        spending_cap: Decimal | float | None = None,
        rate_limit: int | Literal["same"] | None = "same",
        label: str | None = None,
    ) -> str:
        """
        Make another key.

        Args:
            account: Whose; the first account's unless given.
            scopes: What it may do.
            spending_cap: US dollars a calendar month; `None` for no cap.
            rate_limit: Requests a window; `None` for no limit. The emulator's own unless given.
            label: What it is called in logs.

        Raises:
            ValueError: A scope or an account that does not exist, a label that does, or an invalid limit.
        """
        limit = self._rate_limit if rate_limit == "same" else argument_checks.count("rate_limit", rate_limit)
        with self.platform.lock:
            secret = keys.issue(
                self.platform.state,
                account or self.account,
                scopes=scopes,
                spending_cap=argument_checks.dollars("spending_cap", spending_cap),
                rate_limit=limit,
                label=None if label is None else argument_checks.text("label", label),
            )
            self._save()
            return secret

    def set_rate_limit(self, rate_limit: int | None, label: str | None = None) -> None:
        """Change the requests a window of one key, or of all, from now on."""
        rate_limit = argument_checks.count("rate_limit", rate_limit)
        with self.platform.lock:
            for key in self.platform.keys:
                if label in {None, key.label}:
                    key.rate_limit = rate_limit
            self._save()

    def set_spending_cap(self, spending_cap: Decimal | float | None, label: str | None = None) -> None:
        """Change the cap in US dollars a month of one key, or of all; `None` for no cap."""
        spending_cap = argument_checks.dollars("spending_cap", spending_cap)
        with self.platform.lock:
            for key in self.platform.keys:
                if label in {None, key.label}:
                    key.spending_cap = spending_cap
            self._save()

    def set_pace(
        self,
        boot_seconds: float | None = None,
        action_seconds: float | None = None,
        delete_seconds: float | None = None,
        backup_seconds: float | None = None,
    ) -> None:
        """Change how long things take, for what begins from now on. What is not given stays."""
        with self.platform.lock:
            self.platform.pace.change(
                boot_seconds=boot_seconds,
                action_seconds=action_seconds,
                delete_seconds=delete_seconds,
                backup_seconds=backup_seconds,
            )

    def load(
        self,
        containers: Sequence[seeding.SeedContainer | Mapping[str, Any]],
        connections: Sequence[seeding.SeedConnection | Mapping[str, Any]] = (),
    ) -> list[str]:
        """
        Add data to begin with, all of it or none: no request, no waiting, and nothing counts against a cap.

        Args:
            containers: Name, template and perhaps plan, status, allowed_ips, vpn_clients and backups of each.
            connections: Source, target and name of each.

        Returns:
            The ids of the containers.

        Raises:
            ValueError: A field is missing, unknown or of another type.
            Refusal: The platform would refuse one of them.
        """
        with self.platform.lock:
            made = seeding.load(self.platform, self.account, containers, connections)
            self._save()
            return made

    def fail_boot(self, name_or_template: str, times: int | None = 1) -> None:
        """
        Let the next boots of a container end in `error`; also those of containers that are made later.

        Args:
            name_or_template: A container's name, or a template for all of its containers.
            times: How many boots; `None` for all, so that starting it again does not help either.

        Raises:
            ValueError: It can be no name, or no number of boots.
        """
        name_or_template, times = (
            argument_checks.text("name_or_template", name_or_template),
            argument_checks.count("times", times),
        )
        with self.platform.lock:
            self.platform.state.boot_failures[name_or_template] = times
            self._save()

    def fail_backup(self, name: str, message: str = "snapshot failed: no space left on device") -> None:
        """Let the next backup that is triggered of a container fail."""
        name, message = argument_checks.text("name", name), argument_checks.text("message", message)
        with self.platform.lock:
            self.platform.state.backup_failures.setdefault(name, []).append(message)
            self._save()

    def reset(self) -> None:
        """Take everything away but accounts and keys: containers, faults, requests, spending, rate windows."""
        with self.platform.lock:
            self.platform.empty()
            self.faults.clear()
            self.api.log.clear()
            self.api.limiter.forget()
            self._save()

    def advance(self, seconds: float) -> None:
        """Drive the clock forward, and let everything happen that is due by then."""
        self.clock.advance(seconds)
        with self.platform.lock:
            self.platform.settle()
            self._save()

    def freeze(self) -> None:
        """Stop the clock; only `advance` moves it from now on."""
        self.clock.freeze()

    def resume(self) -> None:
        """Let a frozen clock go by itself again, from the moment that it shows."""
        self.clock.resume()

    def snapshot(self) -> dict[str, Any]:
        """Everything that it holds, as the page shows it: plain values, nothing secret."""
        return snapshot(self.api)

    def _first_key(self, wanted: str | None, spending_cap: Decimal | float | None) -> str:
        state = self.platform.state
        if not state.accounts:
            keys.open_account(state)
        secret = wanted or keys.first_secret(state)
        known = keys.lookup(state, secret)
        if known is None:
            account = next(iter(state.accounts))
            keys.issue(state, account, label="default" if not state.keys else None, secret=secret)
            known = state.keys[-1]
        # What was asked for now goes before what a state file remembers.
        known.spending_cap = argument_checks.dollars("spending_cap", spending_cap)
        known.rate_limit = self._rate_limit
        return secret

    def _save(self) -> None:
        if self._journal is not None:
            self.platform.state.driven = self.clock.driven
            self._journal.save(self.platform.state)

    def _respond(self, incoming: Incoming, headers: Mapping[str, str]) -> Response:
        preflight = self._cross_origin.preflight(incoming.method, headers)
        if preflight is not None:
            return preflight
        if incoming.path.startswith(f"{BASE_PATH}/"):
            response = self.api.respond(incoming)
        else:
            response = self._control.respond(incoming, headers)
        return self._cross_origin.opened(response, headers)
