"""
How are containers created, started, stopped and deleted, and which responses describe them (guide, from "List
Containers" on)?

The content of a container (credentials, logs ...) is in `contents`, and its external access is in `access`.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from stacks_pulumi import catalog
from stacks_pulumi.emulator import keys
from stacks_pulumi.emulator.answers import (
    CreateRequest,
    Open,
    Refusal,
    Reply,
    Request,
    bad_request,
    not_found,
    route,
    valid_create,
)
from stacks_pulumi.emulator.keys import CREATE, DELETE, MANAGE, READ
from stacks_pulumi.emulator.platform import Platform, change_status, iso, move_on
from stacks_pulumi.emulator.state import ApiKey, Container, Transition, VpnClient, price_of

_ACTIONS = ("running", "stopped", "restart")
_LASTING = frozenset({"running", "stopped", "error"})
"""The stable statuses; every other status changes without a request."""

# assumed: the templates with a web UI, and the versions, which the guide mentions only in descriptions of templates.
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


@route("containers.list", "GET", "/containers", READ)
def _get_containers(request: Request) -> Reply:
    now = request.platform.clock.now()
    mine = of_account(request.platform, request.key.account)
    for container in mine:
        count_read(request.platform, container)
    return Reply(
        {"success": True, "count": len(mine), "data": [_listed(container, now) for container in mine]}
    )


@route(
    "containers.create",
    "POST",
    "/containers",
    CREATE,
    "name",
    "template",
    "plan",
    "discount_code",
    "additional_storage_tier",
)
def _post_container(request: Request) -> Reply:
    container = create(request.platform, request.key, request.body)
    return Reply(
        {
            "success": True,
            "message": "Container is being created. Poll GET /containers/status/{id} to track progress.",
            "data": created(container),
        },
        202,
    )


@route("containers.templates", "GET", "/containers/templates", READ)
def _get_templates(request: Request) -> Open:  # noqa: ARG001  (all handlers have the same signature)
    # assumed: the names of the fields; the guide mentions only descriptions, categories and pricing.
    templates = []
    for template in catalog.TEMPLATES.values():
        size = template.plan or catalog.VPN_PLAN
        templates.append(
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
    return Open("templates", templates, names=list(catalog.TEMPLATES))


@route("containers.status", "GET", "/containers/status/<container_id>", READ)
def _get_status(request: Request) -> Reply:
    container = in_path(request)
    count_read(request.platform, container)
    return Reply(_status(container, request.platform.clock.now()))


@route("containers.delete", "DELETE", "/containers/<container_id>", DELETE)
def _delete_container(request: Request) -> Open:
    delete(request.platform, in_path(request))
    return Open("result", message="Container is being deleted")


@route("containers.set_status", "PUT", "/containers/<container_id>/status", MANAGE, "status")
def _put_status(request: Request) -> Open:
    container = in_path(request)
    set_status(request.platform, container, request.body.get("status"))
    return Open("container", {"id": container.id, "status": container.status}, "Container status updated")


def in_path(request: Request, name: str = "container_id") -> Container:
    """
    Return the container in a request's path.

    Raises:
        Refusal: 404 if it does not exist.
    """
    return find(request.platform, request.key.account, request.args[name])


def find(platform: Platform, account: str, container_id: str) -> Container:
    """
    Return a container of an account.

    Raises:
        Refusal: 404 if it does not exist.
    """
    platform.settle()
    container = platform.state.containers.get(container_id)
    if container is None or container.account != account:
        raise not_found("Container")
    return container


def of_account(platform: Platform, account: str) -> list[Container]:
    """Return all containers of an account, oldest first."""
    platform.settle()
    return [container for container in platform.state.containers.values() if container.account == account]


def count_read(platform: Platform, container: Container) -> None:
    """Count a read of a container's status, for transitions that depend on reads."""
    if container.next is not None and container.next.read():
        move_on(platform.state, container, container.next, platform.clock.now())


def create(platform: Platform, key: ApiKey, body: dict[str, Any]) -> Container:
    """
    Begin to create a container.

    Raises:
        Refusal: 400 with the field, 402 for the cap or a missing payment method, 503 for no capacity.
    """
    now = platform.settle()
    wanted = valid_create(body, strict=platform.strict)
    name = stored(platform, wanted.name)
    if f"{key.account}-{name}" in platform.state.containers:
        # assumed: the code and the wording; the guide shows that the id contains the name.
        raise bad_request(f"A container named {name} already exists", "name")
    price = price_of(wanted.plan, wanted.storage_tier)
    _check_account(platform, key, price, now)
    keys.charge(key, price, now)
    return add(platform, key.account, wanted, created_by=key.label)


def add(platform: Platform, account: str, wanted: CreateRequest, *, created_by: str) -> Container:
    """Without checking the key, the cap or the capacity, add a container that is starting."""
    now, name = platform.clock.now(), stored(platform, wanted.name)
    number = platform.state.count("container")
    container = Container(
        id=f"{account}-{name}",
        account=account,
        name=name,
        template=wanted.template,
        plan=wanted.plan,
        storage_tier=wanted.storage_tier,
        discount_code=wanted.discount_code,
        port=8000 + number,
        ip_address=f"10.52.{number // 250 % 256}.{number % 250 + 4}",
        created_at=now,
        updated_at=now,
        created_by=created_by,
    )
    if wanted.template == catalog.VPN_TEMPLATE:
        # assumed: a new VPN has one client, which is the one in the guide's download example.
        container.vpn_clients.append(VpnClient("default", now, platform.state.count("vpn_client")))
    platform.state.containers[container.id] = container
    _boot(platform, container, now, "pending")
    return container


def stored(platform: Platform, name: str) -> str:
    """Return a name in the form that the platform stores."""
    # assumed: a name is stored unchanged. Letters keep their case in the name and in the id, unless
    # `lower_case_names` is set.
    return name.lower() if platform.lower_case_names else name


def _check_account(platform: Platform, key: ApiKey, price: Decimal, now: float) -> None:
    """Check that the account can pay and that there is capacity, and reserve the capacity."""
    account = platform.state.accounts[key.account]
    # assumed: the order of the checks, and the bodies of both refusals.
    if not account.payment_method:
        raise Refusal(
            402,
            {
                "error": "Payment required",
                "message": "Add a payment method in the dashboard before creating containers.",
            },
        )
    keys.check_cap(key, price, now)
    if platform.state.capacity is None:
        return
    if platform.state.capacity <= 0:
        account.waitlisted += 1
        raise Refusal(
            503,
            {
                "success": False,
                "error": "No capacity available",
                "message": "You've been added to the waitlist.",
            },
        )
    platform.state.capacity -= 1


def set_status(platform: Platform, container: Container, wanted: Any) -> None:
    """
    Start, stop or restart a container (guide, "Start / Stop / Restart Container").

    Raises:
        Refusal: 400 for an unknown action, or while the status is changing.
    """
    if wanted not in _ACTIONS:
        raise bad_request(f"Status must be one of: {', '.join(_ACTIONS)}", "status")
    if container.status not in _LASTING:
        # assumed: the code and the wording.
        raise bad_request(f"Container is {container.status}; wait until that is done")
    # assumed: a request for the present status is a no-op, a restart starts a stopped container, and a start boots a
    # container again if its boot failed.
    if wanted == "stopped":
        _stop(platform, container)
    elif wanted == "restart" or container.status != "running":
        _start(platform, container, "restarting" if container.status == "running" else "starting")


def _start(platform: Platform, container: Container, through: str) -> None:
    """Begin to start a container; after a failed boot, this takes as long as a boot."""
    now = platform.clock.now()
    container.env_pending = False
    if container.error is not None:
        _boot(platform, container, now, through)
        return
    change_status(container, through, now)
    container.next = Transition("running", due=now + platform.pace.action_seconds)


def _boot(platform: Platform, container: Container, now: float, through: str) -> None:
    container.boots += 1
    container.booting = True
    change_status(container, through, now)
    container.next = platform.pace.boot(now)


def _stop(platform: Platform, container: Container) -> None:
    if container.status == "stopped":
        return
    now = platform.clock.now()
    # assumed: the temporary statuses; the guide mentions only pending, running and error.
    change_status(container, "stopping", now)
    container.next = Transition("stopped", due=now + platform.pace.action_seconds)


def delete(platform: Platform, container: Container) -> None:
    """
    Begin to delete a container (guide, "Delete Container").

    Its connections are deleted immediately. Until the container is removed, it is listed as `deleting`, and its name
    is taken.

    Raises:
        Refusal: 400 if it is already being deleted, and `refuse_repeated_delete` is set.
    """
    # assumed: a deletion takes time, and the status shows it. A second request is a no-op, or is refused.
    if container.status == "deleting":
        if platform.refuse_repeated_delete:
            raise bad_request("Container is already being deleted")
        return
    now = platform.clock.now()
    container.booting = False
    change_status(container, "deleting", now)
    container.next = Transition("gone", due=now + platform.pace.delete_seconds)
    for connection in list(platform.state.connections.values()):
        if container.id in {connection.source, connection.target}:
            del platform.state.connections[connection.id]
            platform.state.containers[connection.source].env_pending = True


def is_compute(container: Container) -> bool:
    """Return whether users can log in by SSH; true if the guide does not state it."""
    return catalog.TEMPLATES[container.template].compute is not False


def _listed(container: Container, now: float) -> dict[str, Any]:
    """Return a container's entry in the list."""
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


def _status(container: Container, now: float) -> dict[str, Any]:
    """Return the body of a status response."""
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
    """Return the `data` in the answer to a create request."""
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
