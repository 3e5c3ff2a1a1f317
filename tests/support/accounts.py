"""Accounts with running containers, which are created without a program and without the time of a boot."""

from __future__ import annotations

from typing import Any

from stacks_pulumi.emulator import Emulator, containers


def running(api: Emulator, name: str, template: str = "nodejs", *, key: str = "default", **body: Any) -> str:
    """
    Create a running container.

    Args:
        api: The emulator.
        name: The container's name.
        template: Its template.
        key: Label of the key of its account.
        body: More fields of the create request.

    Returns:
        Its id.
    """
    with api.platform.lock:
        made = containers.create(
            api.platform, api.state.key(key), {"name": name, "template": template, **body}
        )
        api.drift.start(made.id)
        return made.id


def addresses(api: Emulator, container: str) -> dict[str, tuple[str, str]]:
    """Return the addresses that may reach a container, each with its description and service type."""
    found = api.state.container(container).allowed_ips
    return {entry.ip_address: (entry.description, entry.service_type) for entry in found}


def fewest_addresses(api: Emulator, at_first: int) -> int:
    """
    Return the smallest number of entries in the list of allowed addresses during all requests.

    Args:
        api: The emulator, which has one container with external access.
        at_first: The number of entries before the first request.
    """
    count = fewest = at_first
    for request in api.requests:
        if 200 <= request.status < 300:
            count += {"allowed_ips.add": 1, "allowed_ips.remove": -1}.get(request.operation or "", 0)
        fewest = min(fewest, count)
    return fewest
