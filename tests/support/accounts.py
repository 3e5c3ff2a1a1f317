"""An account as somebody else left it: containers that run already, without the seconds that a boot takes."""

from __future__ import annotations

from typing import Any

from stacks_pulumi.emulator import Emulator, containers


def running(api: Emulator, name: str, template: str = "nodejs", *, key: str = "default", **body: Any) -> str:
    """
    A container that runs.

    Args:
        api: The emulator.
        name: The container's name.
        template: Its template.
        key: Label of the key whose account it is in.
        body: What else a request to create one may say.

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
    """Who may reach a container: address -> description and service type."""
    found = api.state.container(container).allowed_ips
    return {entry.ip_address: (entry.description, entry.service_type) for entry in found}


def fewest_addresses(api: Emulator, at_first: int) -> int:
    """
    The smallest number of entries that the one list of allowed addresses had in the course of all requests.

    Args:
        api: The emulator, which has one container with external access.
        at_first: How many entries there were before the first request.
    """
    count = fewest = at_first
    for request in api.requests:
        if 200 <= request.status < 300:
            count += {"allowed_ips.add": 1, "allowed_ips.remove": -1}.get(request.operation or "", 0)
        fewest = min(fewest, count)
    return fewest
