"""
The API's data as types: frozen, with fields in snake_case. A field that a response does not contain is `None`.

`(guide, "List Containers")` in a docstring names a section of the API guide, https://docs.stackshosting.cloud.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, TypeAlias, TypeVar

import msgspec

from stacks_pulumi.api._words import (
    BACKUP_STATUSES,
    BACKUP_TYPES,
    PLANS,
    SERVICES,
    SETTLED_STATUSES,
    STATUSES,
    TEMPLATES,
)
from stacks_pulumi.errors import UnreadableAnswerError

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = [
    "AllowedIp",
    "Backup",
    "BackupStats",
    "Connection",
    "Connections",
    "Container",
    "Credentials",
    "ExternalAccess",
    "Listing",
    "Metrics",
    "Point",
    "Target",
    "Targets",
    "Template",
    "VpnClient",
]

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=1000, pattern=r"^(?!\.\.?$)[^\0-\x1f\x7f]*\Z")]
"""
A name that is part of a path. It is not empty, `.` or `..`, because the path would then belong to a different resource
or to the entire collection. It contains no control characters, because it is shown to people as part of a line.
"""

Id = Annotated[str, msgspec.Meta(min_length=1, max_length=1000, pattern=r"^(?!\.\.?$)[^\0-\x1f\x7f/]*\Z")]
"""An id: like a name, but without a slash, because the id of a child resource is `CONTAINER/ID`."""

BackupId: TypeAlias = int | Id
"""
The id of a backup: a number as in the guide, or a string (a UUID) on a platform that uses strings. Such a string never
looks like a number.
"""

Amount = Annotated[float, msgspec.Meta(ge=0, le=1e12)]
"""A number. The bounds exclude `nan` and `inf`, which a state file cannot contain."""


class Model(msgspec.Struct, frozen=True, kw_only=True):
    """Data from the API. `None` means that the response did not contain the field; unknown fields are ignored."""

    ALIASES: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    """Other names of a field in the guide, in snake_case; the preferred name is first."""

    WORDS: ClassVar[Mapping[str, Collection[str]]] = {}
    """The fields that contain words of the guide, each with its possible words (`_words`)."""

    def merge(self, other: Self) -> Self:
        """Return this model, with each `None` replaced by the other model's value of that field."""
        gaps = {
            name: getattr(other, name)
            for name in self.__struct_fields__
            if getattr(self, name) is None and getattr(other, name) is not None
        }
        return msgspec.structs.replace(self, **gaps) if gaps else self


T = TypeVar("T")


class Listing(tuple[T, ...]):  # noqa: SLOT001  (a tuple can have attributes only in a dictionary)
    """
    The rows of a list.

    A row whose id cannot be parsed is omitted. The list is then incomplete: a resource that it does not contain may
    exist. In a row with an id, any other field that cannot be parsed is `None`.

    Args:
        gap: Why the list is incomplete.

    Attributes:
        gap: Why the list is incomplete; `None` if it is complete.
        damaged: The ids of rows in which a field could not be parsed.
    """

    damaged: frozenset[Any]
    gap: str | None

    def __new__(
        cls, rows: Iterable[T] = (), *, gap: str | None = None, damaged: Iterable[Any] = ()
    ) -> Listing[T]:
        """
        Create a list; by default it is complete and undamaged. A list that is created from a `Listing` keeps its `gap`.
        """
        listing = super().__new__(cls, rows)
        listing.gap = rows.gap if isinstance(rows, Listing) and gap is None else gap
        listing.damaged = frozenset(damaged)
        return listing

    def where(self, wanted: Callable[[T], bool]) -> Listing[T]:
        """Return the rows for which `wanted` is true, as a list with the same `gap`."""
        return Listing(filter(wanted, self), gap=self.gap, damaged=self.damaged)

    def find(self, wanted: Callable[[T], bool]) -> T | None:
        """
        Return the first row for which `wanted` is true, or `None` if a complete list has no such row.

        Raises:
            UnreadableAnswerError: The list is incomplete, and `wanted` is true for no row in it.
        """
        row = next(filter(wanted, self), None)
        if row is None:
            self.require_complete()
        return row

    def require_complete(self) -> None:
        """
        Check that the list is complete.

        Raises:
            UnreadableAnswerError: The list is incomplete, so a resource that it does not contain may exist.
        """
        if self.gap is not None:
            msg = (
                f"the API's list is incomplete ({self.gap}), so it does not show what exists: try again later"
            )
            raise UnreadableAnswerError(msg, status=200)


class Container(Model, frozen=True, kw_only=True):
    """
    A container (guide, "List Containers", "Get Container Status" and "Create Container").

    Attributes:
        id: The id, for instance `usr-abc12345-web`; also the host name inside the network.
        name: The name in the create request.
        status: `pending`, `running`, `stopped`, `error`; the guide has no complete list.
        template: Template id. The list calls it `type`.
        plan: Plan name.
        cpu: Virtual CPUs.
        memory_mb: Memory in MB.
        storage_mb: Storage in MB, including additional storage.
        ip_address: Address inside the network.
        port: Public port.
        ssh_user: User name for SSH.
        ssh_host: Host name for external SSH access.
        ssh_port: Port for external SSH access.
        has_ssh_access: Whether SSH access is possible.
        has_web_ui: Whether it has a web interface.
        vpc_network: The network of the container.
        version: Version of the software inside.
        version_major: The major part of the version.
        image_tag: The image that it runs.
        created_at: ISO 8601, UTC.
        updated_at: ISO 8601, UTC.
        raw_status: The status text of the container runtime, for instance `Up 2 hours (healthy)`.
        external_access: Whether it is open to the public.
        error_message: Why its status is `error`.
    """

    id: Id
    name: str | None = None
    status: str | None = None
    template: str | None = None
    plan: str | None = None
    cpu: Amount | None = None
    memory_mb: int | None = None
    storage_mb: int | None = None
    ip_address: str | None = None
    port: int | None = None
    ssh_user: str | None = None
    ssh_host: str | None = None
    ssh_port: int | None = None
    has_ssh_access: bool | None = None
    has_web_ui: bool | None = None
    vpc_network: str | None = None
    version: str | None = None
    version_major: str | None = None
    image_tag: str | None = None
    created_at: str | None = None
    updated_at: str | None = None
    raw_status: str | None = None
    external_access: bool | None = None
    error_message: str | None = None

    WORDS: ClassVar[Mapping[str, Collection[str]]] = {
        "status": STATUSES,
        "plan": PLANS,
        "template": TEMPLATES,
    }

    ALIASES: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "template": ("type",),
        "cpu": ("cpu_allocated",),
        "memory_mb": ("memory_allocated",),
        "storage_mb": ("storage_allocated", "storage"),
        "ssh_host": ("public_host",),
        "raw_status": ("raw_docker_status",),
        "external_access": ("external_access_enabled",),
    }

    @property
    def internal_host(self) -> str:
        """The host name inside the network: the same as the id (guide, "Get Container Credentials")."""
        return self.id

    @property
    def settled(self) -> bool:
        """Whether its status stays the same until a request changes it."""
        return self.status in SETTLED_STATUSES

    def is_from(self, template: str) -> bool | None:
        """
        Return whether the container was created from that template; `None` if the container's data does not show this.

        The list contains only a `type`, and the guide does not state whether a type includes the size: `nginx-micro`
        may be listed as `nginx`, and `stacks-vpn` as `vpn`. A `type` that is not a template in the guide does not show
        the template.
        """
        word = (self.template or "").casefold()
        if word in {template.casefold(), template.removesuffix("-micro"), template.removeprefix("stacks-")}:
            return True
        return False if word in TEMPLATES else None


class Template(Model, frozen=True, kw_only=True):
    """
    A kind of container (guide, "List Available Templates"; the guide does not list the fields).

    Attributes:
        id: The id for create requests.
        name: The human-readable name.
        description: One line.
        category: What the template is for.
        plan: The plan under which the API lists it.
        monthly_usd: Price per month in US dollars; `None` if the unit is unclear.
        raw: The complete entry, unchanged.
    """

    id: Id
    name: str | None = None
    description: str | None = None
    category: str | None = None
    plan: str | None = None
    monthly_usd: Amount | None = None
    raw: dict[str, Any] | None = None
    # The fields next to the list, by path; one of them may state the currency of all prices. No data function returns
    # them.
    beside: dict[str, Any] | None = None

    WORDS: ClassVar[Mapping[str, Collection[str]]] = {"id": TEMPLATES, "plan": PLANS}

    ALIASES: ClassVar[Mapping[str, tuple[str, ...]]] = {"monthly_usd": ("price",)}


class AllowedIp(Model, frozen=True, kw_only=True):
    """
    An address that is allowed to connect (guide, "List Allowed IPs").

    Attributes:
        id: The id for requests that remove it.
        ip_address: An IPv4 or IPv6 address or network, as the API spells it.
        description: A human-readable description.
        service_type: `http`, `tcp` or `both`.
        added_at: ISO 8601, UTC.
    """

    id: Id
    ip_address: str | None = None
    description: str | None = None
    service_type: str | None = None
    added_at: str | None = None

    WORDS: ClassVar[Mapping[str, Collection[str]]] = {"service_type": SERVICES}


class ExternalAccess(Model, frozen=True, kw_only=True):
    """
    The external access of a container (guide, "External Access & IP Restrictions").

    Attributes:
        enabled: Whether external access is on.
        url: Host name, without a scheme.
        subdomain: The random part of `url`; it is removed when access is disabled.
        your_ip: The caller's address, which is added to the allowed addresses when access is enabled.
        allowed_ips: The addresses that may connect; only `allowed_ips.list` returns them.
    """

    enabled: bool | None = None
    url: str | None = None
    subdomain: str | None = None
    your_ip: str | None = None
    allowed_ips: Listing[AllowedIp] = Listing()

    ALIASES: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "enabled": ("external_access_enabled",),
        "your_ip": ("your_current_ip",),
    }


class Backup(Model, frozen=True, kw_only=True):
    """
    A backup of a container (guide, "List Backups").

    Attributes:
        id: A number that increases with every backup, or a string that does not show the order.
        container_id: The container that was backed up.
        container_name: The name of that container.
        backup_type: `scheduled` or `manual`.
        status: `in_progress`, `completed` or `failed`; the guide has no complete list.
        snapshot_id: The platform's name for the backup.
        size_bytes: Size in bytes.
        backup_server: The server that created it.
        created_at: When the backup began: ISO 8601, UTC.
        completed_at: When the backup ended: ISO 8601, UTC.
        error_message: Why it failed.
        pinned: Whether the retention clean-up skips it.
    """

    id: BackupId
    container_id: str | None = None
    container_name: str | None = None
    backup_type: str | None = None
    status: str | None = None
    snapshot_id: str | None = None
    size_bytes: int | None = None
    backup_server: str | None = None
    created_at: str | None = None
    completed_at: str | None = None
    error_message: str | None = None
    pinned: bool | None = None

    WORDS: ClassVar[Mapping[str, Collection[str]]] = {"status": BACKUP_STATUSES, "backup_type": BACKUP_TYPES}


class BackupStats(Model, frozen=True, kw_only=True):
    """
    Statistics of all backups of the account (guide, "Backup Statistics").

    Attributes:
        total_backups: The number of backups.
        completed_backups: The number of complete backups.
        failed_backups: The number of failed backups.
        total_size_bytes: The total size of all backups in bytes.
        last_backup_at: When the last one was created: ISO 8601, UTC.
    """

    total_backups: int | None = None
    completed_backups: int | None = None
    failed_backups: int | None = None
    total_size_bytes: int | None = None
    last_backup_at: str | None = None


_HIDDEN = frozenset({"environment_variables", "connection_string"})


class Connection(Model, frozen=True, kw_only=True):
    """
    A connection (guide, "Create Connection" and "List Connections"). `repr` omits fields that may contain a password.

    Attributes:
        id: The id for requests that delete it.
        name: Its name.
        connection_type: The kind of the target, for instance `postgresql`.
        source_id: Id of the source; only in the response to a create request.
        target_id: Id of the target; only in the response to a create request.
        source_name: Name of the source.
        target_name: Name of the target; only in the list.
        target_type: Template of the target; only in the list.
        target_status: Status of the target; only in the list.
        environment_variables: The source's variables, with masked passwords; only in the response to a create request.
        connection_string: Address with user name and masked password (`****`).
        created_at: ISO 8601, UTC.
    """

    id: Id
    name: Name | None = None
    connection_type: str | None = None
    source_id: str | None = None
    target_id: str | None = None
    source_name: str | None = None
    target_name: Name | None = None
    target_type: str | None = None
    target_status: str | None = None
    environment_variables: dict[str, str] | None = None
    connection_string: str | None = None
    created_at: str | None = None

    WORDS: ClassVar[Mapping[str, Collection[str]]] = {"target_status": STATUSES, "target_type": TEMPLATES}

    ALIASES: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "name": ("connection_name",),
        "source_id": ("source_container",),
        "target_id": ("target_container",),
    }

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={value!r}" for name, value in self.__rich_repr__())
        return f"Connection({shown})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        """Return the fields that rich and `repr` show, without variables and connection string."""
        fields = ((name, getattr(self, name)) for name in self.__struct_fields__ if name not in _HIDDEN)
        return [(name, value) for name, value in fields if value is not None]


class Connections(msgspec.Struct, frozen=True, kw_only=True):
    """
    A container's connections in both directions (guide, "List Connections").

    Attributes:
        outgoing: Connections whose source is the container.
        incoming: Connections whose target is the container.
    """

    outgoing: Listing[Connection] = Listing()
    incoming: Listing[Connection] = Listing()


class Target(Model, frozen=True, kw_only=True):
    """
    A container that can be connected to (guide, "List Available Targets").

    Attributes:
        id: Its id.
        name: Its name.
        type: Its template.
        suggested: Whether the API suggests it.
    """

    id: Id
    name: str | None = None
    type: str | None = None
    suggested: bool | None = None

    WORDS: ClassVar[Mapping[str, Collection[str]]] = {"type": TEMPLATES}


class Targets(msgspec.Struct, frozen=True, kw_only=True):
    """
    The targets that a container can be connected to, by kind (guide, "List Available Targets").

    Attributes:
        databases: Databases.
        caches: Caches.
        load_balancers: Load balancers.
        applications: Applications.
        all: All targets, including those of other kinds.
    """

    databases: Listing[Target] = Listing()
    caches: Listing[Target] = Listing()
    load_balancers: Listing[Target] = Listing()
    applications: Listing[Target] = Listing()
    all: Listing[Target] = Listing()


class Credentials(Model, frozen=True, kw_only=True):
    """
    The credentials of a container (guide, "Get Container Credentials"). `repr` shows no secret.

    Attributes:
        username: User name.
        password: Password.
        host: Address inside the network.
        port: Port of the service.
        internal_host: Host name inside the network.
        container_name: Name of the container.
        type: Its template.
        raw: The complete response, unchanged; for some templates, it contains more logins.
    """

    username: str | None = None
    password: str | None = None
    host: str | None = None
    port: int | None = None
    internal_host: str | None = None
    container_name: str | None = None
    type: str | None = None
    raw: dict[str, Any] | None = None

    def __repr__(self) -> str:
        return f"Credentials(container_name={self.container_name!r}, type={self.type!r}, ...)"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        """Return the fields that rich shows; by default it would show the secrets."""
        return [("container_name", self.container_name), ("type", self.type)]


class Point(msgspec.Struct, frozen=True, kw_only=True):
    """
    One measurement.

    Attributes:
        timestamp: The time as a string: ISO 8601, or seconds or milliseconds since the Unix epoch.
        value: The measured value.
    """

    timestamp: str | None = None
    value: float


class Metrics(msgspec.Struct, frozen=True, kw_only=True):
    """
    Measurements over time (guide, "Get Container Metrics"). The guide does not state the units; values are not
    converted.

    Attributes:
        cpu: CPU.
        memory: Memory.
        disk: Disk.
        network_in: Incoming traffic.
        network_out: Outgoing traffic.
    """

    cpu: tuple[Point, ...] = ()
    memory: tuple[Point, ...] = ()
    disk: tuple[Point, ...] = ()
    network_in: tuple[Point, ...] = ()
    network_out: tuple[Point, ...] = ()


class VpnClient(Model, frozen=True, kw_only=True):
    """
    A client of a VPN container (guide, "VPN Management"; the guide does not list the fields).

    Attributes:
        name: Its name, which identifies it in requests.
        ip_address: Its address inside the VPN.
        public_key: Its WireGuard public key.
        created_at: ISO 8601, UTC.
    """

    name: Name
    ip_address: str | None = None
    public_key: str | None = None
    created_at: str | None = None

    @property
    def id(self) -> str:
        """Its name, because clients have no other id."""
        return self.name
