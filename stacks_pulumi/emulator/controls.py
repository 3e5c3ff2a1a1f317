"""
What can a test read and change? The emulator's state, requests, keys, pace, faults and clock.

`snapshot` is the complete state as JSON, for the page and for other processes. It contains no secret.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

from stacks_pulumi.emulator import answers, backups, connections, keys
from stacks_pulumi.emulator.answers import Shapes
from stacks_pulumi.emulator.app import Api
from stacks_pulumi.emulator.drift import Drift, SeedConnection, SeedContainer, load, read_seed
from stacks_pulumi.emulator.faults import Faults
from stacks_pulumi.emulator.late import LISTS
from stacks_pulumi.emulator.platform import DrivenClock, Platform, iso, month
from stacks_pulumi.emulator.server import Record
from stacks_pulumi.emulator.state import ApiKey, Backup, Connection, Container, Journal, State

_REQUESTS = 60
"""The number of newest requests that the page shows."""


class Controls:
    """
    The controls of one API.

    Args:
        api: The API.
        journal: Stores the state of the API in a file; `None` to store no state.
        key: The first key; by default derived from the seed.
        spending_cap: US dollars a calendar month for that key.
        rate_limit: Requests in a window for that key, and the default for other keys.
    """

    def __init__(
        self,
        api: Api,
        journal: Journal | None,
        *,
        key: str | None,
        spending_cap: Decimal | float | None,
        rate_limit: int | None,
    ) -> None:
        self.api = api
        self.api.changed = self._save
        self.platform: Platform = api.platform
        self.clock: DrivenClock = api.platform.clock
        self.faults: Faults = api.faults
        self.shapes: Shapes = api.shapes
        self.drift = Drift(api.platform, self._save)
        self._journal = journal
        self._rate_limit = answers.count("rate_limit", rate_limit)
        self.key = self._first_key(key, spending_cap)
        self.account = self._record(self.key).account
        self._save()

    def label_of(self, key: str) -> str:
        """Return the label of a key, for `drift.revoke_key` and the limits."""
        return self._record(key).label

    def _record(self, key: str) -> ApiKey:
        """Return the stored record of a key."""
        record = keys.lookup(self.platform.state, key)
        if record is None:
            raise KeyError(key)
        return record

    @property
    def url(self) -> str:
        """The base URL for clients."""
        raise NotImplementedError

    @property
    def key_label(self) -> str:
        """The label of the first key, for `drift.revoke_key` and the limits."""
        return self._record(self.key).label

    @property
    def is_key_revoked(self) -> bool:
        """Whether the first key was revoked, in this run or in an earlier run with the same state file."""
        return self._record(self.key).revoked

    @property
    def state(self) -> State:
        """The current state; all due events are carried out first."""
        with self.platform.lock:
            self.platform.settle()
            return self.platform.state

    @property
    def requests(self) -> list[Record]:
        """The requests to the API, oldest first."""
        return self.api.log.all()

    def calls(self, operation: str | None = None) -> int:
        """Return the number of all requests, or of one operation's requests."""
        return self.api.log.count(operation)

    def request_detail(self, number: int) -> dict[str, Any]:
        """
        Return one of the newest requests with its bodies.

        Raises:
            KeyError: There is no request with this number, or it is too old.
        """
        return logged_request(self.api.log.detail(number))

    def new_account(self) -> str:
        """Open an additional account. Return its id, which is the prefix of its containers' ids."""
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
        Create an additional key.

        Args:
            account: The account's id; by default the first account.
            scopes: The scopes of the key.
            spending_cap: US dollars a calendar month; `None` for no cap.
            rate_limit: Requests in a window, by default the emulator's limit; `None` for no limit.
            label: The key's name in logs.

        Raises:
            ValueError: A scope or the account does not exist, the label is taken, or a limit is invalid.
        """
        limit = self._rate_limit if rate_limit == "same" else answers.count("rate_limit", rate_limit)
        with self.platform.lock:
            secret = keys.issue(
                self.platform.state,
                account or self.account,
                scopes=scopes,
                spending_cap=answers.dollars("spending_cap", spending_cap),
                rate_limit=limit,
                label=None if label is None else answers.text("label", label),
            )
            self._save()
            return secret

    def set_rate_limit(self, rate_limit: int | None, label: str | None = None) -> None:
        """
        Change the number of requests in a window for one key, or for all keys.

        Raises:
            ValueError: The limit is invalid.
            KeyError: No key has this label.
        """
        rate_limit = answers.count("rate_limit", rate_limit)
        with self.platform.lock:
            for key in self._keys(label):
                key.rate_limit = rate_limit
            self._save()

    def set_spending_cap(self, spending_cap: Decimal | float | None, label: str | None = None) -> None:
        """
        Change the monthly cap in US dollars of one key, or of all keys; `None` for no cap.

        Raises:
            ValueError: The cap is invalid.
            KeyError: No key has this label.
        """
        spending_cap = answers.dollars("spending_cap", spending_cap)
        with self.platform.lock:
            for key in self._keys(label):
                key.spending_cap = spending_cap
            self._save()

    def _keys(self, label: str | None) -> Sequence[ApiKey]:
        """Return the key with a label, or all keys."""
        return self.platform.state.keys if label is None else [self.platform.state.key(label)]

    def set_pace(
        self,
        boot_seconds: float | None = None,
        action_seconds: float | None = None,
        delete_seconds: float | None = None,
        backup_seconds: float | None = None,
    ) -> None:
        """Change the given durations, for operations that begin after this call."""
        wanted = {
            "boot_seconds": boot_seconds,
            "action_seconds": action_seconds,
            "delete_seconds": delete_seconds,
            "backup_seconds": backup_seconds,
        }
        changes = {name: answers.seconds(name, it) for name, it in wanted.items() if it is not None}
        with self.platform.lock:
            for name, value in changes.items():
                setattr(self.platform.pace, name, value)
            if boot_seconds is not None:
                self.platform.pace.boot_reads = None

    def load(
        self,
        containers: Sequence[SeedContainer | Mapping[str, Any]],
        connections: Sequence[SeedConnection | Mapping[str, Any]] = (),
    ) -> list[str]:
        """
        Add containers and connections without a request: all of them, or none after an error.

        They do not count against a cap. They are visible immediately, including in lists that lag behind.

        Args:
            containers: The containers, as in a seed file.
            connections: The connections, as in a seed file.

        Returns:
            The ids of the containers.

        Raises:
            SeedError: A field is missing, unknown or of the wrong type.
            Refusal: The platform would refuse an entry, or an entry refers to an unknown object.
        """
        with self.platform.lock:
            ids = load(self.platform, self.account, containers, connections)
            self.api.late.forget()
            self._save()
            return ids

    def begin_with(self, file: Path) -> bool:
        """
        Load a seed file, unless the state of this emulator was already filled from a seed file.

        Returns:
            Whether it was loaded. A state that is stored in a file (`state_file`) is filled only once.

        Raises:
            SeedError: The file does not have the format of a seed file.
            Refusal: The platform would refuse an entry of the file.
            OSError: The file cannot be read.
        """
        with self.platform.lock:
            if self.platform.state.seeded:
                return False
            seed = read_seed(file.read_bytes())
            self.load(seed.containers, seed.connections)
            self.platform.state.seeded = True
            self._save()
            return True

    def set_lag(self, seconds: float, operation: str | None = None) -> None:
        """
        From now on, delay changes in answers.

        Everything that exists now is visible immediately.

        Args:
            seconds: The number of seconds; 0 for current answers.
            operation: A list, or `containers.status`; by default all lists.

        Raises:
            ValueError: The answer of the operation cannot lag behind, or the number of seconds is invalid.
        """
        with self.platform.lock:
            self.api.late.set_lag(seconds, LISTS if operation is None else [operation])

    def set_gap(self, rows: int | None) -> None:
        """
        Make the list of containers show only its first rows. Its `total` still counts all rows.

        Args:
            rows: The number of rows; `None` for the complete list.

        Raises:
            ValueError: The number of rows is not a whole number.
        """
        self.api.late.rows = answers.count("rows", rows, least=0)

    def fail_boot(self, name_or_template: str, times: int | None = 1) -> None:
        """
        Make the next boots of a container end in `error`. The container need not exist yet.

        Args:
            name_or_template: A container's name, or a template for all of its containers.
            times: The number of boots; `None` for all.

        Raises:
            ValueError: The name or the number of boots is invalid.
        """
        name_or_template = answers.text("name_or_template", name_or_template)
        times = answers.count("times", times)
        with self.platform.lock:
            self.platform.state.boot_failures[name_or_template] = times
            self._save()

    def fail_backup(self, name: str, message: str = "snapshot failed: no space left on device") -> None:
        """Make the next manual backup of a container fail."""
        name, message = answers.text("name", name), answers.text("message", message)
        with self.platform.lock:
            self.platform.state.backup_failures.setdefault(name, []).append(message)
            self._save()

    def reset(self) -> None:
        """
        Remove containers, faults, requests, spending and rate windows. Keys and settings do not change.

        The settings are the limits, clock, pace, shapes, lag and gap. Each account has a payment method again, and the
        capacity is unlimited again. A revoked key stays revoked; `new_key` creates a new key.
        """
        with self.platform.lock:
            self.platform.empty()
            self.api.late.forget()
            self.faults.clear()
            self.api.log.clear()
            self.api.limiter.forget()
            self._save()

    def advance(self, seconds: float) -> None:
        """Advance the clock."""
        self.clock.advance(seconds)
        with self.platform.lock:
            self.platform.settle()
            self._save()

    def freeze(self) -> None:
        """Stop the clock, so that only `advance` moves it."""
        self.clock.freeze()

    def resume(self) -> None:
        """Make a frozen clock run again from its current time."""
        self.clock.resume()

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
        # The arguments override the values in a state file.
        known.spending_cap = answers.dollars("spending_cap", spending_cap)
        known.rate_limit = self._rate_limit
        return secret

    def _save(self, *, fold: bool = False) -> None:
        self.api.late.remember()
        if self._journal is None:
            return
        state = self.platform.state
        state.driven = self.clock.driven
        if fold:
            self._journal.fold(state)
        else:
            self._journal.save(state)


def snapshot(api: Api) -> dict[str, Any]:
    """Return accounts, keys by label, containers, connections, backups, the newest requests and the queued faults."""
    platform = api.platform
    with platform.lock:
        now = platform.settle()
        by_id = platform.state.containers
        return {
            "now": iso(now),
            "frozen": platform.clock.frozen,
            "accounts": [
                {"id": it.id, "payment_method": it.payment_method, "waitlisted": it.waitlisted}
                for it in platform.state.accounts.values()
            ],
            "keys": [_key(api, key, now) for key in platform.state.keys],
            "containers": [_container(platform, it) for it in by_id.values()],
            "connections": [_connection(it, by_id) for it in platform.state.connections.values()],
            "backups": [_backup(it) for it in reversed(list(platform.state.backups.values()))],
            "monthly_usd": float(sum(it.price for it in by_id.values())),
            "capacity": platform.state.capacity,
            "calls": api.log.counts(),
            "faults": [fault.describe() for fault in api.faults.all()],
            "faults_left": [str(fault) for fault in api.faults.left()],
            "requests": [
                logged_request(record.describe()) for record in reversed(api.log.all()[-_REQUESTS:])
            ],
        }


def logged_request(record: dict[str, Any]) -> dict[str, Any]:
    """Return an entry of the request log, with its time in the API's format."""
    return {**record, "at": iso(record["at"]), "seconds": round(record["seconds"], 4)}


def _key(api: Api, key: ApiKey, now: float) -> dict[str, Any]:
    used, ends_in = api.limiter.used(key.label)
    return {
        "label": key.label,
        "account": key.account,
        "scopes": key.scopes,
        "revoked": key.revoked,
        "month": month(now),
        "spent": float(keys.spent(key, now)),
        "spending_cap": None if key.spending_cap is None else float(key.spending_cap),
        "rate_limit": key.rate_limit,
        "window_used": used,
        "window_seconds": api.limiter.seconds,
        "window_ends_in": round(ends_in, 1),
    }


def _container(platform: Platform, container: Container) -> dict[str, Any]:
    return {
        "id": container.id,
        "account": container.account,
        "name": container.name,
        "template": container.template,
        "plan": container.plan,
        "additional_storage_tier": container.storage_tier,
        "storage_mb": container.storage_mb,
        "price": float(container.price),
        "status": container.status,
        "error": container.error,
        "created_at": iso(container.created_at),
        "created_by": container.created_by,
        "boots": container.boots,
        "env_pending": container.env_pending,
        "external_access": container.external_access,
        "url": container.url,
        "allowed_ips": [
            {
                "id": ip.id,
                "ip_address": ip.ip_address,
                "description": ip.description,
                "service_type": ip.service_type,
            }
            for ip in container.allowed_ips
        ],
        "vpn_clients": [client.name for client in container.vpn_clients],
        "restored": container.restored,
        "backups": len(backups.newest_first(platform, container)),
    }


def _connection(connection: Connection, by_id: dict[str, Container]) -> dict[str, Any]:
    return {
        "id": connection.id,
        "name": connection.name,
        "source": by_id[connection.source].name,
        "target": by_id[connection.target].name,
        "kind": connections.kind(by_id[connection.target]),
    }


def _backup(backup: Backup) -> dict[str, Any]:
    return {
        "id": backup.id,
        "container": backup.container_name,
        "type": backup.backup_type,
        "status": backup.status,
        "size_bytes": backup.size_bytes,
        "created_at": iso(backup.created_at),
        "error_message": backup.error_message,
        "pinned": backup.pinned,
    }
