"""
The content of a container: credentials, certificate, logs and metrics (guide, from "Get Container Credentials" on).

All of it looks real, but is derived from the seed and the container's history at each request, and never stored.
Passwords and keys give no access.
"""

from __future__ import annotations

import base64
import math
import textwrap

from stacks_pulumi import catalog
from stacks_pulumi.emulator import containers
from stacks_pulumi.emulator.answers import Open, Reply, Request, bad_request, route
from stacks_pulumi.emulator.connections import port_of
from stacks_pulumi.emulator.keys import MANAGE, READ
from stacks_pulumi.emulator.platform import iso
from stacks_pulumi.emulator.state import Container, State

_PEM = "OPENSSH PRIVATE KEY"


@route("containers.credentials", "GET", "/containers/<container_id>/credentials", READ)
def _get_credentials(request: Request) -> Reply:
    container = containers.in_path(request)
    secret = password(request.platform.state, container)
    ssh = containers.is_compute(container)
    # assumed: the entries of the list `credentials`, the SSH host, and all user names except that of PostgreSQL.
    username = container.account if ssh else "admin"
    kind = "ssh" if ssh else "database" if catalog.is_database(container.template) else "web"
    return Reply(
        {
            "success": True,
            "credentials": [{"type": kind, "username": username, "password": secret}],
            "data": {
                "containerName": container.name,
                "type": container.template,
                "mainCredentials": {"username": username, "password": secret},
                "connectionInfo": {
                    "host": "stacks.hosting" if ssh else container.ip_address,
                    "port": container.port if ssh else port_of(container),
                    "internalHost": container.id,
                },
            },
        }
    )


@route("containers.logs", "GET", "/containers/<container_id>/logs", READ)
def _get_logs(request: Request) -> Open:
    container = containers.in_path(request)
    lines = _log_lines(container)[-request.whole_number("lines", 100, 500) :]
    return Open("logs", {"container_id": container.id, "lines": lines}, text="\n".join(lines), names=lines)


@route("containers.metrics", "GET", "/containers/<container_id>/metrics", READ)
def _get_metrics(request: Request) -> Open:
    container = containers.in_path(request)
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


@route("containers.certificate", "GET", "/containers/<container_id>/certificate", READ)
def _get_certificate(request: Request) -> Open:
    container = _compute_in_path(request)
    pem = private_key(request.platform.state, container)
    return Open("certificate", {"filename": f"{container.id}.pem", "private_key": pem}, text=pem)


@route(
    "containers.regenerate_certificate", "POST", "/containers/<container_id>/certificate/regenerate", MANAGE
)
def _post_certificate(request: Request) -> Open:
    _compute_in_path(request).certificate_serial += 1
    # assumed: the response does not contain the new key, which is downloaded like the first key.
    return Open("result", message="SSH key pair regenerated")


def _compute_in_path(request: Request) -> Container:
    container = containers.in_path(request)
    if not containers.is_compute(container):
        # assumed: the code and the wording; the guide states which containers have a certificate.
        raise bad_request("SSH certificates are only available for compute containers")
    return container


def password(state: State, container: Container) -> str:
    """Return the password of a container's main user."""
    return state.derive("password", container.id)[:24]


def private_key(state: State, container: Container) -> str:
    """Return a PEM block whose content states that it is not a key; every regeneration changes the block."""
    digits = state.derive("certificate", container.id, container.certificate_serial)
    content = f"This is not a key: the emulator made it for {container.id}. {digits * 4}"
    lines = textwrap.wrap(base64.b64encode(content.encode()).decode(), 70)
    # Assemble the text here, so that scanners for leaked keys do not report this file.
    return "\n".join((f"-----BEGIN {_PEM}-----", *lines, f"-----END {_PEM}-----", ""))


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
