"""For every operation of the API that changes something: a program change that needs it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tests.chaos.ministack import Declared, Ref

__all__ = ["CHANGES", "Change"]

Program = Sequence[Declared]


@dataclass(frozen=True)
class Change:
    """
    A step from one program to another.

    Attributes:
        operation: The API operation that it needs; the fault is set on it.
        what: The step, in words.
        before: The program that is applied first, without faults.
        after: The program whose `up` meets the fault.
        slack: How many objects may stay in the account by intention: a backup that is kept, unpinned.
        note: How this operation differs from the rest, for the documentation.
        judged: Whether a look shows the outcome of a request that got no answer.
        overtaken: Whether a request that is carried out after its timeout makes the state wrong until a refresh.
    """

    operation: str
    what: str
    before: Callable[[str], Program]
    after: Callable[[str], Program]
    slack: int = 0
    note: str = ""
    overtaken: bool = False
    judged: bool = True


def container(name: str, **inputs: object) -> Declared:
    """Declare a container."""
    return Declared("Container", name, {"name": name, "template": "nodejs", **inputs})


def child(kind: str, cell: str, **inputs: object) -> Declared:
    """Declare a child of the cell's container."""
    field = "source" if kind == "Connection" else "container"
    return Declared(kind, f"{cell}-{kind.lower()}", {field: Ref(cell), **inputs}, parent=cell)


def only(cell: str, **inputs: object) -> Program:
    """Declare only the container."""
    return [container(cell, **inputs)]


def exposed(cell: str, *addresses: str) -> Program:
    """Declare the container and the addresses that may reach it."""
    entries = [
        Declared(
            "AllowedIp",
            f"{cell}-ip{number}",
            {"container": Ref(cell), "ip_address": address},
            parent=cell,
        )
        for number, address in enumerate(addresses)
    ]
    return [container(cell, external_access=True), *entries]


def pair(cell: str, *children: Declared) -> Program:
    """Declare the container and a database."""
    return [container(cell), container(f"{cell}-db", template="postgresql"), *children]


def connected(cell: str) -> Program:
    """Declare the container and a database, with a connection."""
    return pair(cell, child("Connection", cell, target=Ref(f"{cell}-db"), name="primary"))


def backed_up(cell: str, **inputs: object) -> Program:
    """Declare the container and a pinned backup of it."""
    return [container(cell), child("PinnedBackup", cell, **inputs)]


def restored(cell: str) -> Program:
    """Declare the container, its backup, and a restore of the backup."""
    return [
        *backed_up(cell),
        Declared("BackupRestore", f"{cell}-restore", {"backup_id": Ref(f"{cell}-pinnedbackup")}),
    ]


def certified(cell: str, *triggers: str) -> Program:
    """Declare the container and its SSH key."""
    return [container(cell), child("SshCertificate", cell, rotate_triggers=list(triggers))]


def vpn(cell: str, *names: str) -> Program:
    """Declare a VPN and its clients."""
    clients = [
        Declared("VpnClient", f"{cell}-{name}", {"container": Ref(cell), "name": name}, parent=cell)
        for name in names
    ]
    return [container(cell, template="stacks-vpn"), *clients]


CHANGES = (
    Change("containers.create", "create a Container", lambda _cell: [], only),
    Change(
        "containers.set_status",
        "restart a Container",
        only,
        lambda cell: only(cell, restart_triggers=["2"]),
        note=(
            "repeated if the outcome is unknown. If the repeated request is refused because the container is "
            "restarting, the first one was carried out"
        ),
    ),
    Change(
        "containers.external_access", "open a Container", only, lambda cell: only(cell, external_access=True)
    ),
    Change("containers.delete", "delete a Container", only, lambda _cell: []),
    Change(
        "containers.regenerate_certificate",
        "renew an SshCertificate",
        certified,
        lambda cell: certified(cell, "2"),
        note=(
            "repeated if the outcome is unknown, because nobody has downloaded the first new key. If the first request "
            "is carried out after its timeout, the state contains the old key until a refresh"
        ),
        overtaken=True,
        judged=False,
    ),
    Change("allowed_ips.add", "create an AllowedIp", exposed, lambda cell: exposed(cell, "198.51.100.7")),
    Change("allowed_ips.remove", "delete an AllowedIp", lambda cell: exposed(cell, "198.51.100.7"), exposed),
    Change("connections.create", "create a Connection", pair, connected),
    Change("connections.delete", "delete a Connection", connected, pair),
    Change("backups.trigger", "create a PinnedBackup", only, backed_up),
    Change("backups.pin", "create a PinnedBackup", only, backed_up),
    Change("backups.unpin", "delete a PinnedBackup", backed_up, only, slack=1),
    Change(
        "backups.delete",
        'delete a PinnedBackup with on_delete="delete"',
        lambda cell: backed_up(cell, on_delete="delete"),
        only,
    ),
    Change(
        "backups.restore",
        "create a BackupRestore",
        backed_up,
        restored,
        note="never repeated, because data written since the first request would be lost",
        judged=False,
    ),
    Change("vpn_clients.add", "create a VpnClient", vpn, lambda cell: vpn(cell, "laptop")),
    Change("vpn_clients.remove", "delete a VpnClient", lambda cell: vpn(cell, "laptop"), vpn),
)
