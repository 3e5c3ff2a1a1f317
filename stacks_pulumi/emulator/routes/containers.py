"""The twelve operations on containers."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from stacks_pulumi import catalog
from stacks_pulumi.emulator import access, connections, containers, fake_secrets
from stacks_pulumi.emulator.answers import Open, bad_request
from stacks_pulumi.emulator.platform import iso
from stacks_pulumi.emulator.routes import container_json
from stacks_pulumi.emulator.routes.handler_types import Reply, Request

if TYPE_CHECKING:
    from stacks_pulumi.emulator.state import Container


def list_(request: Request) -> Reply:
    """`GET /containers`."""
    now = request.platform.clock.now()
    mine = containers.of_account(request.platform, request.key.account)
    for container in mine:
        containers.seen(request.platform, container)
    return Reply(
        {"success": True, "count": len(mine), "data": [container_json.listed(found, now) for found in mine]}
    )


def status(request: Request) -> Reply:
    """`GET /containers/status/{container_id}`."""
    container = request.container()
    containers.seen(request.platform, container)
    return Reply(container_json.status(container, request.platform.clock.now()))


def create(request: Request) -> Reply:
    """`POST /containers`."""
    fresh = containers.create(request.platform, request.key, request.body)
    return Reply(
        {
            "success": True,
            "message": "Container is being created. Poll GET /containers/status/{id} to track progress.",
            "data": container_json.created(fresh),
        },
        202,
    )


def set_status(request: Request) -> Open:
    """`PUT /containers/{container_id}/status`."""
    container = request.container()
    containers.set_status(request.platform, container, request.body.get("status"))
    return Open("container", {"id": container.id, "status": container.status}, "Container status updated")


def delete(request: Request) -> Open:
    """`DELETE /containers/{container_id}`."""
    containers.delete(request.platform, request.container())
    return Open("result", message="Container is being deleted")


def credentials(request: Request) -> Reply:
    """`GET /containers/{container_id}/credentials`."""
    container = request.container()
    password = fake_secrets.password(request.platform.state, container)
    ssh = container_json.is_compute(container)
    # assumed: every user name except PostgreSQL's, the entries of the list `credentials`, and the SSH host.
    username = container.account if ssh else "admin"
    kind = "ssh" if ssh else container_json.credential_kind(container)
    return Reply(
        {
            "success": True,
            "credentials": [{"type": kind, "username": username, "password": password}],
            "data": {
                "containerName": container.name,
                "type": container.template,
                "mainCredentials": {"username": username, "password": password},
                "connectionInfo": {
                    "host": "stacks.hosting" if ssh else container.ip_address,
                    "port": container.port if ssh else connections.port_of(container),
                    "internalHost": container.id,
                },
            },
        }
    )


def logs(request: Request) -> Open:
    """`GET /containers/{container_id}/logs`."""
    container = request.container()
    lines = _log_lines(container)[-request.whole_number("lines", 100, 500) :]
    return Open("logs", {"container_id": container.id, "lines": lines}, text="\n".join(lines), names=lines)


def metrics(request: Request) -> Open:
    """`GET /containers/{container_id}/metrics`."""
    container = request.container()
    now = request.platform.clock.now() // 60 * 60
    moments = [now - 60 * back for back in range(9, -1, -1)]
    ceilings = {
        "cpu": 100.0,
        "memory": container.size.memory_mb,
        "disk": container.storage_mb,
        "network_in": 1000.0,
        "network_out": 1000.0,
    }
    # assumed: the fields of one point, and the units: percent, MB, MB, kB/s, kB/s.
    series = {
        name: [{"timestamp": iso(at), "value": _wave(at, ceiling, index)} for at in moments]
        for index, (name, ceiling) in enumerate(ceilings.items())
    }
    return Open("metrics", series)


def certificate(request: Request) -> Open:
    """`GET /containers/{container_id}/certificate`."""
    container = request.container()
    _check_compute(container)
    return _certificate(request, container)


def regenerate_certificate(request: Request) -> Open:
    """`POST /containers/{container_id}/certificate/regenerate`."""
    container = request.container()
    _check_compute(container)
    container.certificate_serial += 1
    # assumed: the response does not contain the new key; it is downloaded like the first one.
    return Open("result", message="SSH key pair regenerated")


def templates(request: Request) -> Open:  # noqa: ARG001  (all handlers have the same signature)
    """`GET /containers/templates`."""
    # assumed: the names of the fields; the guide only mentions descriptions, categories and pricing.
    found = []
    for template in catalog.TEMPLATES.values():
        size = template.plan or catalog.VPN_PLAN
        found.append(
            {
                "id": template.id,
                "name": template.title,
                "category": template.category.value,
                "description": template.description,
                "plan": size.name,
                "price": float(size.usd),
                "cpu": float(size.cpu),
                "memory": size.memory_mb,
                "storage": size.storage_mb,
            }
        )
    return Open("templates", found, names=list(catalog.TEMPLATES))


def external_access(request: Request) -> Reply | Open:
    """`PUT /containers/{container_id}/external-access`."""
    container = request.container()
    access.set_access(request.platform, container, request.body.get("enabled"))
    if not container.external_access:
        return Open("result", message="External access disabled")
    return Reply(
        {
            "success": True,
            "message": f"External access enabled. Your container is available at: {container.url}",
            "your_ip": request.platform.your_ip,
            "subdomain": container.subdomain,
            "url": container.url,
        }
    )


def _certificate(request: Request, container: Container) -> Open:
    pem = fake_secrets.private_key(request.platform.state, container)
    return Open("certificate", {"filename": f"{container.id}.pem", "private_key": pem}, text=pem)


def _check_compute(container: Container) -> None:
    if not container_json.is_compute(container):
        # assumed: the code and the wording; the guide says which containers have one.
        raise bad_request("SSH certificates are only available for compute containers")


def _log_lines(container: Container) -> list[str]:
    # assumed: each line is text that begins with a time.
    started = iso(container.created_at)
    lines = [
        f"{started} pulling stackshosting/{container.template}:latest",
        f"{started} starting {container.name}",
    ]
    if container.error is not None:
        lines.append(f"{iso(container.updated_at)} ERROR {container.error}")
        lines.append(f"{iso(container.updated_at)} exited with code 1")
    elif container.running_since is not None:
        lines.append(f"{iso(container.running_since)} ready to accept connections")
    if container.status == "stopped":
        lines.append(f"{iso(container.stopped_at)} received SIGTERM, shutting down")
    return lines


def _wave(at: float, ceiling: float, phase: int) -> float:
    return round(ceiling * (0.3 + 0.1 * math.sin(at / 600 + phase)), 2)


HANDLERS: dict[str, Any] = {
    "containers.list": list_,
    "containers.status": status,
    "containers.credentials": credentials,
    "containers.logs": logs,
    "containers.metrics": metrics,
    "containers.create": create,
    "containers.set_status": set_status,
    "containers.delete": delete,
    "containers.certificate": certificate,
    "containers.regenerate_certificate": regenerate_certificate,
    "containers.templates": templates,
    "containers.external_access": external_access,
}
