"""A container in the three responses that contain one (guide, "List Containers" and the next sections)."""

from __future__ import annotations

from typing import Any

from stacks_pulumi import catalog
from stacks_pulumi.emulator.platform import iso
from stacks_pulumi.emulator.state import Container

__all__ = ["created", "is_compute", "listed", "status"]

# assumed: the versions, which the guide names only in a template's description, and which templates have a web UI.
_VERSIONS = {
    "ubuntu": "24.04",
    "nodejs": "22",
    "python": "3.14",
    "postgresql": "18",
    "mongodb": "7.0",
    "mysql": "8.4",
    "redis": "8.4",
    "pocketbase": "0.37",
    "wordpress": "6.9",
    "php-apache": "8.5",
}
_WEB_UI = frozenset({"pocketbase", "wordpress", "ghost", "forgejo", "minio", "storage", "rqlite", "secrets"})


def listed(container: Container, now: float) -> dict[str, Any]:
    """Return an entry of `GET /containers`."""
    version = _version(container)
    return {
        "id": container.id,
        "name": container.name,
        # assumed: the type is the template's id, as in every example of the guide.
        "type": container.template,
        "plan": container.plan,
        "status": container.status,
        "cpu_allocated": _number(container.size.cpu),
        "memory_allocated": container.size.memory_mb,
        "storage_allocated": container.storage_mb,
        "ip_address": _address(container),
        "created_at": iso(container.created_at),
        "raw_docker_status": _raw(container, now),
        "image_tag": _image(container),
        "version": version,
        "version_major": version.split(".")[0],
    }


def status(container: Container, now: float) -> dict[str, Any]:
    """Return the body of `GET /containers/status/{id}`."""
    version = _version(container)
    return {
        "success": True,
        "id": container.id,
        "name": container.name,
        "template": container.template,
        "type": container.template,
        "status": container.status,
        "rawStatus": _raw(container, now),
        "ram": _number(container.size.memory_mb / 1024),
        "storage": container.storage_mb,
        "externalAccessEnabled": container.external_access,
        "ipAddress": _address(container),
        "version": version,
        "versionMajor": version.split(".")[0],
        "plan": container.plan,
        "cpuAllocated": f"{container.size.cpu:.2f}",
        "memoryAllocated": container.size.memory_mb,
        "storageAllocated": container.storage_mb,
        "createdAt": iso(container.created_at),
        "updatedAt": iso(container.updated_at),
    }


def created(container: Container) -> dict[str, Any]:
    """Return the `data` in the response to `POST /containers`."""
    version = _version(container)
    ssh = is_compute(container)
    return {
        "id": container.id,
        "name": container.name,
        "template": container.template,
        "type": container.template,
        "plan": container.plan,
        "status": container.status,
        "port": container.port,
        "cpu_allocated": _number(container.size.cpu),
        "memory_allocated": container.size.memory_mb,
        "storage_allocated": container.storage_mb,
        "createdAt": iso(container.created_at),
        "hasWebUI": container.template.removesuffix("-micro") in _WEB_UI,
        # assumed: for a managed service, the fields for SSH user and port are present and null.
        "sshUser": container.account if ssh else None,
        "sshPort": container.port if ssh else None,
        "publicHost": "stacks.hosting",
        "hasSshAccess": ssh,
        "vpcNetwork": f"vpc-{container.account}",
        "imageTag": _image(container),
        "version": version,
        "versionMajor": version.split(".")[0],
    }


def is_compute(container: Container) -> bool:
    """Return whether users can log in by SSH; true if the guide does not say."""
    return catalog.TEMPLATES[container.template].compute is not False


def _number(value: Any) -> int | float:
    return int(value) if value == int(value) else float(value)


def _version(container: Container) -> str:
    return _VERSIONS.get(container.template.removesuffix("-micro"), "latest")


def _image(container: Container) -> str:
    return f"stackshosting/{container.template}:latest"


def _address(container: Container) -> str | None:
    # assumed: a container has no address before its first boot has ended.
    return None if container.status == "pending" else container.ip_address


def _raw(container: Container, now: float) -> str:
    # assumed: every wording except that of a healthy container.
    if container.status == "running" and container.running_since is not None:
        return f"Up {_ago(now - container.running_since)} (healthy)"
    if container.stopped_at is not None:
        code = 1 if container.status == "error" else 0
        return f"Exited ({code}) {_ago(now - container.stopped_at)} ago"
    return "Created"


def _ago(seconds: float) -> str:
    for size, unit in ((86400, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= size:
            count = int(seconds // size)
            return f"{count} {unit}{'s' if count > 1 else ''}"
    return f"{max(1, int(seconds))} seconds"


def credential_kind(container: Container) -> str:
    """Return the purpose of a managed service's main credentials."""
    return "database" if catalog.is_database(container.template) else "web"
