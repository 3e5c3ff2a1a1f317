"""The number of API calls of each operation, measured with the native plugin's service and the emulator."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from stacks_pulumi.emulator import Emulator
from tools.docs.marks import table
from tools.docs.provider import Provider, Resource

__all__ = ["Measured", "calls", "measured"]

_ADDRESS = "198.51.100.7"
_CREATE = "create"
_IN_NEW = "create, in a container that the same `up` creates"


@dataclass
class Measured:
    """
    Operations of resources, with the calls of each in order.

    Attributes:
        calls: Kind of resource -> operation -> names of the API's operations.
    """

    calls: dict[str, dict[str, list[str]]] = field(default_factory=dict)

    def users(self, operation: str) -> Iterator[str]:
        """Return the kinds of resources that send a call."""
        for kind, made in self.calls.items():
            if any(operation in names for names in made.values()):
                yield kind


def calls(kind: str) -> str:
    """Return the table of a resource."""
    return table(
        ("Operation", "Calls", "Which"),
        [(what, str(len(names)), _written(names)) for what, names in measured().calls[kind].items()],
    )


@functools.cache
def measured() -> Measured:
    """Create, change and delete all resources in one account. This takes about ten seconds, most of it waiting."""
    with Emulator(boot_seconds=0.2) as emulator:
        return _Measurement(emulator).run()


class _Measurement:
    def __init__(self, emulator: Emulator) -> None:
        self._emulator = emulator
        self._provider = Provider({"apiKey": emulator.key, "baseUrl": emulator.url})
        self._result = Measured()
        self._in_new: dict[str, list[str]] = {}

    def run(self) -> Measured:
        app, database, vpn = (self._resource("Container", name) for name in ("app", "database", "vpn"))
        self._container(app)
        for made, template in ((database, "postgresql"), (vpn, "stacks-vpn")):
            made.up(name=f"its-{made.name}", template=template)
        self._children_of_new(app.id, database.id, vpn.id)
        # From here on, the current operation has created no container.
        self._provider.begin_another_operation()
        self._connection(app.id, database.id)
        self._allowed_ip(app)
        self._vpn_client(vpn.id)
        self._pinned_backup(database.id)
        self._ssh_certificate(app.id)
        self._provider.begin_another_operation()
        self._note("Container", "delete", app.delete)
        return self._result

    def _children_of_new(self, app: str, database: str, vpn: str) -> None:
        inputs: dict[str, dict[str, Any]] = {
            "Connection": {"source": app, "target": database, "name": "one"},
            "AllowedIp": {"container": app, "ip_address": _ADDRESS},
            "VpnClient": {"container": vpn, "name": "laptop"},
            "PinnedBackup": {"container": database, "on_delete": "delete"},
        }
        for kind, given in inputs.items():
            it = self._resource(kind)
            self._in_new[kind] = self._made_by(functools.partial(it.up, **given))
            it.delete()

    def _container(self, it: Resource) -> None:
        made: dict[str, Any] = {"name": "app", "template": "nodejs"}
        self._up(it, _CREATE, **made)
        self._note("Container", "refresh", it.read)
        self._up(it, "nothing changed", **made)
        made["external_access"] = True
        self._up(it, "update: external access", **made)
        self._note("Container", "refresh, with external access managed", it.read)
        self._up(it, "update: restart, stop or start", **made, restart_triggers=["2"])

    def _connection(self, source: str, target: str) -> None:
        it = self._resource("Connection")
        made: dict[str, Any] = {"source": source, "target": target}
        self._up(it, _CREATE, **made, name="one")
        self._up(it, "nothing changed", **made, name="one")
        self._note("Connection", "refresh", it.read)
        self._up(it, "replace", **made, name="two")
        self._note("Connection", "delete", it.delete)

    def _allowed_ip(self, container: Resource) -> None:
        it, other = self._resource("AllowedIp"), self._resource("AllowedIp", "other")
        made: dict[str, Any] = {"container": container.id, "ip_address": _ADDRESS}
        self._up(it, _CREATE, **made)
        self._up(it, "nothing changed", **made)
        self._note("AllowedIp", "refresh", it.read)
        made["description"] = "another"
        self._up(it, "update", **made)
        self._up(it, "update: revoke_auto_added", **made, revoke_auto_added=True)
        other.up(container=container.id, ip_address="198.51.100.8")
        self._note("AllowedIp", "delete, in a `destroy`", other.delete)
        other.up(container=container.id, ip_address="198.51.100.8")
        # The update tells the process that its program has the container.
        container.up(name="app", template="nodejs", external_access=True, restart_triggers=["2"])
        self._note("AllowedIp", "delete, while the container remains", other.delete)
        self._note("AllowedIp", "delete, the last address of a container", it.delete)

    def _vpn_client(self, container: str) -> None:
        it = self._resource("VpnClient")
        made: dict[str, Any] = {"container": container, "name": "laptop"}
        self._up(it, _CREATE, **made)
        self._up(it, "nothing changed", **made)
        self._note("VpnClient", "refresh", it.read)
        self._up(it, "replace", **made, rotate_triggers=["2"])
        made["rotate_triggers"] = ["2"]
        self._up(it, "update: store_config to false", **made, store_config=False)
        self._up(it, "update: store_config to true", **made)
        self._note("VpnClient", "delete", it.delete)

    def _pinned_backup(self, container: str) -> None:
        it = self._resource("PinnedBackup")
        self._up(it, _CREATE, container=container)
        self._up(it, "nothing changed", container=container)
        self._emulator.drift.unpin(int(it.output("backup_id")))
        self._note("PinnedBackup", "refresh", it.read)
        self._up(it, "update: unpinned outside", container=container)
        self._up(it, "update: on_delete", container=container, on_delete="delete")
        self._up(it, "replace", container=container, on_delete="delete", triggers=["2"])
        self._backup_restore(int(it.output("backup_id")))
        self._note("PinnedBackup", "delete, on_delete='delete'", it.delete)
        it.up(container=container)
        self._note("PinnedBackup", "delete, on_delete='unpin'", it.delete)

    def _backup_restore(self, number: int) -> None:
        it = self._resource("BackupRestore")
        self._up(it, _CREATE, backup_id=number)
        self._up(it, "nothing changed", backup_id=number)
        self._note("BackupRestore", "refresh", it.read)
        self._up(it, "update", backup_id=number, triggers=["2"])
        self._note("BackupRestore", "delete", it.delete)

    def _ssh_certificate(self, container: str) -> None:
        it = self._resource("SshCertificate")
        self._up(it, _CREATE, container=container)
        self._up(it, "nothing changed", container=container)
        self._note("SshCertificate", "refresh", it.read)
        self._up(it, "update", container=container, rotate_triggers=["2"])
        self._note("SshCertificate", "delete", it.delete)

    def _resource(self, kind: str, name: str = "it") -> Resource:
        return Resource(self._provider, kind, name)

    def _up(self, it: Resource, what: str, **inputs: Any) -> None:
        self._note(it.kind, what, lambda: it.up(**inputs))

    def _note(self, kind: str, what: str, work: Callable[[], object]) -> None:
        of_kind = self._result.calls.setdefault(kind, {})
        of_kind[what] = self._made_by(work)
        if what == _CREATE and kind in self._in_new:
            of_kind[_IN_NEW] = self._in_new[kind]

    def _made_by(self, work: Callable[[], object]) -> list[str]:
        before = self._emulator.calls()
        work()
        return [record.operation or "" for record in self._emulator.requests[before:]]


def _written(names: list[str]) -> str:
    return ", ".join(f"`{name}`" for name in names) or "none"
