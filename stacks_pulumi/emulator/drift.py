"""
Which changes happen without an API request? Changes in the dashboard, accidents, and seed data.

These changes need no key and no scope, do not count against a cap, and take effect immediately.
"""

from __future__ import annotations

import contextlib
import copy
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal, TypeAlias, TypeVar, get_args

import msgspec

from stacks_pulumi import catalog
from stacks_pulumi._structs import convert, decode
from stacks_pulumi.emulator import access, answers, backups, connections, containers, keys, vpn
from stacks_pulumi.emulator.platform import UNHEALTHY, Platform, change_status, remove_container
from stacks_pulumi.emulator.state import AllowedIp, ApiKey, Backup, Connection, Container

_T = TypeVar("_T")
_Entry: TypeAlias = _T | Mapping[str, Any]
_Status: TypeAlias = Literal["running", "stopped", "error"]


class Drift:
    """
    Changes without an API request.

    A container is specified by its name or id. Every method raises `KeyError` for an unknown object, and `ValueError`
    for an invalid value. It raises `Refusal` if the dashboard would also refuse the change.

    Args:
        platform: The platform.
        changed: Called after every change.
    """

    def __init__(self, platform: Platform, changed: Callable[[], None]) -> None:
        self._platform = platform
        self._changed = changed

    def stop(self, container: str) -> None:
        """Stop a container."""
        self._enter(container, "stopped")

    def start(self, container: str) -> None:
        """Start a container, and clear its error."""
        with self._platform.lock:
            self._find(container).error = None
            self._enter(container, "running")

    def fail(self, container: str, error: str = "the process was killed: out of memory") -> None:
        """Make a container crash, so that its status is `error`."""
        error = answers.text("error", error)
        with self._platform.lock:
            self._find(container).error = error
            self._enter(container, "error")

    def delete(self, container: str) -> None:
        """Delete a container with its backups and connections immediately."""
        with self._platform.lock:
            it = self._find(container)
            containers.delete(self._platform, it)
            remove_container(self._platform.state, it)
            self._changed()

    def recreate(self, container: str, template: str | None = None, plan: str | None = None) -> Container:
        """
        Delete a container, and create a new one with the same name. The clock advances by a second.

        Args:
            container: Its name or id.
            template: The new template; by default the old one.
            plan: The new plan; by default the old one.
        """
        with self._platform.lock:
            old = self._find(container)
            body: dict[str, Any] = {
                "name": old.name,
                "template": template or old.template,
                # A VPN has a separate plan, which a create request cannot contain.
                "plan": plan or (old.plan if old.plan in catalog.PLANS else None),
                "additional_storage_tier": old.storage_tier if template is None and plan is None else None,
            }
            wanted = answers.valid_create({name: value for name, value in body.items() if value is not None})
            self.delete(old.id)
            # Real creations with the same name are at least a second apart, although the API's times have milliseconds.
            self._platform.clock.advance(1.0)
            new = containers.add(self._platform, old.account, wanted, created_by="dashboard")
            # Subdomains are random, so the new container gets a different one.
            new.exposures = old.exposures
            self._changed()
            return new

    def resize(self, container: str, plan: str, additional_storage_tier: int | None = None) -> None:
        """Change a container's plan and additional storage."""
        tier = answers.count("additional_storage_tier", additional_storage_tier)
        if plan not in catalog.PLANS:
            raise ValueError(f"no such plan: {plan}; the plans are {', '.join(catalog.PLANS)}")
        if tier not in {None, *catalog.STORAGE_TIERS}:
            tiers = ", ".join(map(str, catalog.STORAGE_TIERS))
            raise ValueError(f"no such additional_storage_tier: {tier}; the tiers are {tiers}")
        with self._platform.lock:
            it = self._find(container)
            it.plan, it.storage_tier = plan, tier
            it.updated_at = self._platform.clock.now()
            self._changed()

    def set_external_access(self, container: str, *, enabled: bool) -> None:
        """Turn external access on or off."""
        with self._platform.lock:
            access.set_access(self._platform, self._find(container), enabled)
            self._changed()

    def allow_ip(
        self,
        container: str,
        ip_address: str,
        description: str | None = None,
        service_type: str | None = None,
    ) -> AllowedIp:
        """Allow an address."""
        fields = {"ip_address": ip_address, "description": description, "service_type": service_type}
        with self._platform.lock:
            body = {name: value for name, value in fields.items() if value is not None}
            entry = access.add_ip(self._platform, self._find(container), body)
            self._changed()
            return entry

    def remove_ip(self, container: str, ip_address: str) -> None:
        """Remove an address from the list, even the last one."""
        with self._platform.lock:
            it = self._find(container)
            entry = next((ip for ip in it.allowed_ips if ip.ip_address == ip_address), None)
            if entry is None:
                raise KeyError(ip_address)
            access.remove_ip(it, entry.id, force=True)
            self._changed()

    def connect(self, source: str, target: str, name: str) -> Connection:
        """Connect two running containers."""
        with self._platform.lock:
            connection = connections.create(self._platform, self._find(source), self._find(target), name)
            self._changed()
            return connection

    def disconnect(self, source: str, name: str) -> None:
        """Delete a source's connection with the given name."""
        with self._platform.lock:
            for connection in connections.outgoing(self._platform, self._find(source)):
                if connection.name == name:
                    connections.delete(self._platform, connection)
                    self._changed()
                    return
        raise KeyError(name)

    def unpin(self, backup: int) -> None:
        """Unpin a backup."""
        with self._platform.lock:
            backups.pin(self._backup(backup), pinned=False)
            self._changed()

    def delete_backup(self, backup: int) -> None:
        """Delete a backup."""
        with self._platform.lock:
            backups.delete(self._platform, self._backup(backup))
            self._changed()

    def add_vpn_client(self, container: str, name: str) -> None:
        """Add a device to a VPN."""
        with self._platform.lock:
            vpn.add(self._platform, self._find(container), name)
            self._changed()

    def remove_vpn_client(self, container: str, name: str) -> None:
        """Remove a device from a VPN."""
        with self._platform.lock:
            vpn.remove(self._find(container), name)
            self._changed()

    def revoke_key(self, label: str) -> None:
        """Revoke a key, immediately and permanently."""
        with self._platform.lock:
            self._platform.state.key(label).revoked = True
            self._changed()

    def set_payment_method(self, account: str, *, present: bool) -> None:
        """Add or remove an account's payment method."""
        with self._platform.lock:
            self._platform.state.accounts[account].payment_method = answers.flag("present", present)
            self._changed()

    def set_capacity(self, containers_left: int | None) -> None:
        """Limit the number of further containers in all accounts; `None` for no limit."""
        with self._platform.lock:
            self._platform.state.capacity = answers.count("containers_left", containers_left, least=0)
            self._changed()

    def _find(self, container: str) -> Container:
        self._platform.settle()
        return self._platform.state.container(container)

    def _backup(self, backup: int) -> Backup:
        self._platform.settle()
        return self._platform.state.backups[backup]

    def _enter(self, container: str, status: str) -> None:
        with self._platform.lock:
            it = self._find(container)
            change_status(it, status, self._platform.clock.now())
            it.next, it.booting = None, False
            self._changed()


class SeedContainer(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """
    A container and its parts.

    Attributes:
        name: Its name.
        template: Its template; `GET /containers/templates` lists them.
        plan: Its plan; by default `basic`, as for a create request.
        additional_storage_tier: Its additional storage: 1, 3 or 5.
        status: `running` (the default), `stopped` or `error`.
        allowed_ips: The addresses that may connect, in addition to `--your-ip`. A list, even an empty one, turns
            external access on.
        vpn_clients: The names of the clients of a VPN container.
        backups: The number of its completed manual backups, at most 1000.
        account: The id of its account; by default the account of the first key.
    """

    name: str
    template: str
    plan: str | None = None
    additional_storage_tier: int | None = None
    status: _Status = "running"
    allowed_ips: list[str] | None = None
    vpn_clients: list[str] = []
    # A mistyped number must not use up the memory.
    backups: Annotated[int, msgspec.Meta(ge=0, le=1000)] = 0
    account: str | None = None


class SeedConnection(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """
    A connection between two running containers.

    Attributes:
        source: The name or id of the container that receives the variables.
        target: The name or id of the container that it reaches.
        name: Its name.
    """

    source: str
    target: str
    name: str


class SeedFile(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """
    The objects that an emulator contains at its start: the content of the file for `--load`.

    Attributes:
        schema: The address of this schema, for an editor.
        version: The version of the format.
        containers: The containers, added in this order.
        connections: The connections between them.
    """

    schema: str | None = msgspec.field(name="$schema", default=None)
    version: Literal[1] = 1
    containers: list[SeedContainer]
    connections: list[SeedConnection] = []


class SeedError(ValueError):
    """Seed data does not have the documented format; the message contains the row's number and name."""


def read_seed(content: bytes) -> SeedFile:
    """
    Return the content of a seed file.

    Raises:
        SeedError: The content is not JSON, or is not in this format.
    """
    try:
        return decode(content, SeedFile)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        why, _, where = str(error).partition(" - at `$")
        field = where.rstrip("`").lstrip(".")
        raise SeedError(f"{_named(content, field)}{_reason(why, field)}") from None


def _reason(why: str, field: str) -> str:
    """Return the reason for an error, with the values that the field accepts."""
    if not why.startswith("Invalid enum value"):
        return why
    return (
        f"{why}; it must be 1"
        if field == "version"
        else f"{why}; the statuses are {', '.join(get_args(_Status))}"
    )


def _named(content: bytes, where: str) -> str:
    """Return the place of an error, with the name in its row: `containers[2] ("web"), plan: `."""
    row = re.match(r"(containers|connections)\[(\d+)\]\.?(.*)", where)
    if row is None:
        return f"{where}: " if where else ""
    name = None
    with contextlib.suppress(ValueError, KeyError, IndexError, TypeError, RecursionError):
        name = json.loads(content)[row[1]][int(row[2])]["name"]
    return f"{_row(row[1], int(row[2]), name, row[3])}: "


def _row(part: str, number: int, name: object, field: str = "") -> str:
    named = f" ({json.dumps(name)})" if isinstance(name, str) else ""
    return f"{part}[{number}]{named}{f', {field}' if field else ''}"


def load(
    platform: Platform,
    account: str,
    wanted: Sequence[_Entry[SeedContainer]],
    connected: Sequence[_Entry[SeedConnection]],
) -> list[str]:
    """
    Add containers and connections, all of them or none.

    Returns:
        The ids of the containers.

    Raises:
        SeedError: An entry does not have the documented format.
        Refusal: The platform would refuse an entry, or an entry refers to an unknown object. The message contains the
            row.
    """
    ready = [_converted("containers", number, it, SeedContainer) for number, it in enumerate(wanted)]
    links = [_converted("connections", number, it, SeedConnection) for number, it in enumerate(connected)]
    platform.settle()
    before = copy.deepcopy(platform.state)
    ids = []
    try:
        for number, it in enumerate(ready):
            row = _row("containers", number, it.name)
            with _at(row, it):
                ids.append(_add(platform, it.account or account, it, row))
        # A connection's names refer to the containers of the same file, even if another account has containers with the
        # same names.
        own = {it.name: id_ for it, id_ in zip(ready, ids, strict=True)}
        for number, link in enumerate(links):
            with _at(_row("connections", number, link.name), link):
                source, target = (
                    platform.state.container(own.get(it, it)) for it in (link.source, link.target)
                )
                connections.create(platform, source, target, link.name)
    except BaseException:
        platform.state = before
        raise
    for container_id, it in zip(ids, ready, strict=True):
        container = platform.state.containers[container_id]
        container.env_pending = False
        container.error = UNHEALTHY if it.status == "error" else container.error
        # Change the status only now, because a connection needs running containers.
        change_status(container, it.status, platform.clock.now())
    return ids


@contextlib.contextmanager
def _at(place: str, entry: SeedContainer | SeedConnection | None = None) -> Iterator[None]:
    """If the platform refuses an entry, or an object in it does not exist, add the entry's place to the error."""
    try:
        yield
    except KeyError as error:
        raise answers.Refusal(404, {"error": f"{place}: there is no {error.args[0]!r}"}) from None
    except answers.Refusal as refusal:
        why, field = refusal.body["error"], refusal.body.get("field")
        if why.startswith(place):
            raise
        # The place already contains the name.
        value = None if field in {None, "name"} else getattr(entry, field, None)
        where = place if value is None else f"{place}, {field} {json.dumps(value)}"
        said = {**refusal.body, "error": f"{where}: {why}"}
        raise answers.Refusal(refusal.status, said, refusal.headers) from None


def _converted(part: str, number: int, entry: _Entry[_T], kind: type[_T]) -> _T:
    if isinstance(entry, kind):
        return entry
    try:
        return convert(entry, kind)
    except msgspec.ValidationError as error:
        why, _, where = str(error).partition(" - at `$.")
        name = entry.get("name") if isinstance(entry, Mapping) else None
        field = where.rstrip("`")
        raise SeedError(f"{_row(part, number, name, field)}: {_reason(why, field)}") from None


def _add(platform: Platform, account: str, wanted: SeedContainer, row: str) -> str:
    # Use a separate key, so that the containers do not count against the cap of a real key.
    owner = ApiKey("seed", "", platform.state.accounts[account].id, list(keys.SCOPES))
    fields = ("name", "template", "plan", "additional_storage_tier")
    body: dict[str, Any] = {name: getattr(wanted, name) for name in fields}
    container = containers.create(platform, owner, {name: it for name, it in body.items() if it is not None})
    container.next, container.booting = None, False
    change_status(container, "running", platform.clock.now())
    for name in wanted.vpn_clients:
        vpn.add(platform, container, name)
    if wanted.allowed_ips is not None:
        access.set_access(platform, container, enabled=True)
        for number, address in enumerate(wanted.allowed_ips):
            with _at(f"{row}, allowed_ips[{number}] {json.dumps(address)}"):
                access.add_ip(platform, container, {"ip_address": address})
    for _ in range(wanted.backups):
        backups.trigger(platform, container).due = platform.clock.now()
    if wanted.backups:
        # `settle` looks at every container, so call it only if necessary.
        platform.settle()
    return container.id
