"""
The results of the data functions.

An entire result can be exported, or used as the input of a resource. `stacks.get_container_output(id).status` is an
output that contains one value of a result.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final, Generic, TypeVar, overload

import msgspec
import pulumi

from stacks_pulumi.api import models

__all__ = [
    "AllowedIp",
    "Backup",
    "BackupStats",
    "Connection",
    "Connections",
    "Container",
    "Credentials",
    "ExternalAccess",
    "Metrics",
    "Point",
    "Result",
    "Target",
    "Targets",
    "Template",
    "VpnClient",
    "model_of",
    "result",
]

_T = TypeVar("_T")


class Value(Generic[_T]):
    """One value in a result: a plain value if the result is plain, and an output if the result is an output."""

    @overload
    def __get__(self, instance: None, owner: type) -> Value[_T]: ...
    @overload
    def __get__(self, instance: Result, owner: type) -> _T: ...
    @overload
    def __get__(self, instance: pulumi.Output[Any], owner: type) -> pulumi.Output[_T]: ...

    def __get__(self, instance: Any, owner: type) -> Any:
        # Only type checkers use this: `pulumi.input_type` replaces it with a property, and an output finds the
        # attributes of its value itself.
        return self


class Result:
    """
    The base class of all results.

    Attributes:
        model: The client's type for the same answer.
        secret: Names of the values that `repr` omits.
        values: The values by name.
    """

    model: ClassVar[type[msgspec.Struct]]
    secret: ClassVar[frozenset[str]] = frozenset()
    values: ClassVar[dict[str, Value[Any]]]

    def __init_subclass__(cls) -> None:
        members = (vars(kind).items() for kind in cls.__mro__)
        cls.values = {name: value for values in members for name, value in values if isinstance(value, Value)}
        # Pulumi can serialise an input type in outputs, inputs and exports.
        cls.__annotations__ = dict.fromkeys(cls.values, Any)
        pulumi.input_type(cls)

    def __getitem__(self, name: str) -> Any:
        return vars(self)[name]

    def __repr__(self) -> str:
        shown = {name: value for name, value in vars(self).items() if value is not None}
        values = (f"{name}={value!r}" for name, value in shown.items() if name not in self.secret)
        return f"{type(self).__name__}({', '.join(values)})"


class _AllowedIp:
    id = Value[str]()
    ip_address = Value[str | None]()
    description = Value[str | None]()
    service_type = Value[str | None]()
    added_at = Value[str | None]()


class AllowedIp(_AllowedIp, Result):
    """An address that is allowed to connect."""

    model = models.AllowedIp


class _ExternalAccess:
    enabled = Value[bool | None]()
    url = Value[str | None]()
    subdomain = Value[str | None]()
    your_ip = Value[str | None]()
    allowed_ips = Value[list[AllowedIp]]()


class ExternalAccess(_ExternalAccess, Result):
    """The external access of a container: whether it is on, and its public address."""

    model = models.ExternalAccess


class _Backup:
    id = Value[int | str]()
    container_id = Value[str | None]()
    container_name = Value[str | None]()
    backup_type = Value[str | None]()
    status = Value[str | None]()
    snapshot_id = Value[str | None]()
    size_bytes = Value[int | None]()
    backup_server = Value[str | None]()
    created_at = Value[str | None]()
    completed_at = Value[str | None]()
    error_message = Value[str | None]()
    pinned = Value[bool | None]()


class Backup(_Backup, Result):
    """A backup."""

    model = models.Backup


class _BackupStats:
    total_backups = Value[int | None]()
    completed_backups = Value[int | None]()
    failed_backups = Value[int | None]()
    total_size_bytes = Value[int | None]()
    last_backup_at = Value[str | None]()


class BackupStats(_BackupStats, Result):
    """Statistics of all backups of the account."""

    model = models.BackupStats


class _Connection:
    id = Value[str]()
    name = Value[str | None]()
    connection_type = Value[str | None]()
    source_id = Value[str | None]()
    target_id = Value[str | None]()
    source_name = Value[str | None]()
    target_name = Value[str | None]()
    target_type = Value[str | None]()
    target_status = Value[str | None]()
    environment_variables = Value[dict[str, str] | None]()
    connection_string = Value[str | None]()
    created_at = Value[str | None]()


class Connection(_Connection, Result):
    """A connection."""

    model = models.Connection
    secret = frozenset({"environment_variables", "connection_string"})


class _Connections:
    outgoing = Value[list[Connection]]()
    incoming = Value[list[Connection]]()


class Connections(_Connections, Result):
    """The connections from and to a container."""

    model = models.Connections


class Target(Result):
    """A container that can be connected to."""

    model = models.Target
    id = Value[str]()
    name = Value[str | None]()
    type = Value[str | None]()
    suggested = Value[bool | None]()


class _Targets:
    databases = Value[list[Target]]()
    caches = Value[list[Target]]()
    load_balancers = Value[list[Target]]()
    applications = Value[list[Target]]()


class Targets(_Targets, Result):
    """
    The targets that a container can be connected to. For an output, use `targets["all"]`, because `all` is a method of
    outputs.
    """

    model = models.Targets
    all = Value[list[Target]]()


class _Container:
    id = Value[str]()
    name = Value[str | None]()
    status = Value[str | None]()
    template = Value[str | None]()
    plan = Value[str | None]()
    cpu = Value[float | None]()
    memory_mb = Value[int | None]()
    storage_mb = Value[int | None]()
    ip_address = Value[str | None]()
    port = Value[int | None]()
    ssh_user = Value[str | None]()
    ssh_host = Value[str | None]()
    ssh_port = Value[int | None]()
    has_ssh_access = Value[bool | None]()
    has_web_ui = Value[bool | None]()
    vpc_network = Value[str | None]()
    version = Value[str | None]()
    version_major = Value[str | None]()
    image_tag = Value[str | None]()
    internal_host = Value[str]()
    created_at = Value[str | None]()
    updated_at = Value[str | None]()
    raw_status = Value[str | None]()
    external_access = Value[bool | None]()
    error_message = Value[str | None]()


class Container(_Container, Result):
    """A container."""

    model = models.Container


class Template(Result):
    """A kind of container."""

    model = models.Template
    id = Value[str]()
    name = Value[str | None]()
    description = Value[str | None]()
    category = Value[str | None]()
    plan = Value[str | None]()
    monthly_usd = Value[float | None]()
    raw = Value[dict[str, Any] | None]()


class _Credentials:
    username = Value[str | None]()
    password = Value[str | None]()
    host = Value[str | None]()
    port = Value[int | None]()
    internal_host = Value[str | None]()
    container_name = Value[str | None]()
    type = Value[str | None]()
    raw = Value[dict[str, Any] | None]()


class Credentials(_Credentials, Result):
    """The credentials of a container."""

    model = models.Credentials
    secret = frozenset({"username", "password", "host", "port", "internal_host", "raw"})


class Point(Result):
    """One measurement."""

    model = models.Point
    timestamp = Value[str | None]()
    value = Value[float]()


class _Metrics:
    cpu = Value[list[Point]]()
    memory = Value[list[Point]]()
    disk = Value[list[Point]]()
    network_in = Value[list[Point]]()
    network_out = Value[list[Point]]()


class Metrics(_Metrics, Result):
    """Measurements of a container over time."""

    model = models.Metrics


class VpnClient(Result):
    """A client of a VPN container."""

    model = models.VpnClient
    id = Value[str]()
    name = Value[str]()
    ip_address = Value[str | None]()
    public_key = Value[str | None]()
    created_at = Value[str | None]()


_RESULTS: Final = {kind.model: kind for kind in Result.__subclasses__()}


def result(answer: Any) -> Any:
    """Return the client's result as a new object, so that the caller may change it."""
    if isinstance(answer, tuple):
        return [result(item) for item in answer]
    kind = _RESULTS.get(type(answer))
    return answer if kind is None else kind(**{name: result(getattr(answer, name)) for name in kind.values})


def model_of(kind: type) -> type:
    """Return the client's type for the same answer."""
    return kind.model if issubclass(kind, Result) else kind


if TYPE_CHECKING:
    # These classes exist only for type checkers: at run time an output has the attributes of its value.
    class BackupStatsOutput(_BackupStats, pulumi.Output[BackupStats]): ...

    class ConnectionsOutput(_Connections, pulumi.Output[Connections]): ...

    class ContainerOutput(_Container, pulumi.Output[Container]): ...

    class CredentialsOutput(_Credentials, pulumi.Output[Credentials]): ...

    class ExternalAccessOutput(_ExternalAccess, pulumi.Output[ExternalAccess]): ...

    class MetricsOutput(_Metrics, pulumi.Output[Metrics]): ...

    class TargetsOutput(_Targets, pulumi.Output[Targets]): ...
