"""
The table of operations: method and path, the scope that each needs, and its handler.

Paths are matched before percent-decoding, so that an encoded slash in a name does not split the path.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from werkzeug.exceptions import MethodNotAllowed, NotFound
from werkzeug.routing import Map, Rule

from stacks_pulumi.emulator import keys
from stacks_pulumi.emulator.answers import Refusal
from stacks_pulumi.emulator.routes import access, backups, connections, containers, vpn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["DASHBOARD_ONLY", "OPERATIONS", "Operation", "match"]


@dataclass(frozen=True)
class Operation:
    """
    One endpoint.

    Attributes:
        name: `noun.verb`; also the `operationId` in `openapi.yaml` and the key of faults.
        method: HTTP method.
        path: The path below the base URL, with `<name>` for a variable.
        scope: The scope that the key needs.
        handler: The function that answers.
    """

    name: str
    method: str
    path: str
    scope: str
    handler: Callable[..., Any]


_HANDLERS = {
    **containers.HANDLERS,
    **access.HANDLERS,
    **connections.HANDLERS,
    **backups.HANDLERS,
    **vpn.HANDLERS,
}
_ONE = "/containers/<container_id>"
_VPN = "/containers/<vpn_container_id>"
# assumed: the scopes of the VPN operations; the guide does not state them.
_TABLE = (
    ("containers.list", "GET", "/containers", keys.READ),
    ("containers.create", "POST", "/containers", keys.CREATE),
    ("containers.templates", "GET", "/containers/templates", keys.READ),
    ("containers.status", "GET", "/containers/status/<container_id>", keys.READ),
    ("containers.delete", "DELETE", _ONE, keys.DELETE),
    ("containers.set_status", "PUT", f"{_ONE}/status", keys.MANAGE),
    ("containers.credentials", "GET", f"{_ONE}/credentials", keys.READ),
    ("containers.logs", "GET", f"{_ONE}/logs", keys.READ),
    ("containers.metrics", "GET", f"{_ONE}/metrics", keys.READ),
    ("containers.certificate", "GET", f"{_ONE}/certificate", keys.READ),
    ("containers.regenerate_certificate", "POST", f"{_ONE}/certificate/regenerate", keys.MANAGE),
    ("containers.external_access", "PUT", f"{_ONE}/external-access", keys.MANAGE),
    ("allowed_ips.list", "GET", f"{_ONE}/allowed-ips", keys.READ),
    ("allowed_ips.add", "POST", f"{_ONE}/allowed-ips", keys.MANAGE),
    ("allowed_ips.remove", "DELETE", f"{_ONE}/allowed-ips/<ip_id>", keys.MANAGE),
    ("connections.targets", "GET", f"{_ONE}/available-targets", keys.READ),
    ("connections.create", "POST", "/containers/<source_id>/connect/<target_id>", keys.MANAGE),
    ("connections.list", "GET", f"{_ONE}/connections", keys.READ),
    ("connections.delete", "DELETE", "/containers/connections/<connection_id>", keys.MANAGE),
    ("backups.list", "GET", f"{_ONE}/backups", keys.READ),
    ("backups.trigger", "POST", f"{_ONE}/backup", keys.MANAGE),
    ("backups.stats", "GET", "/backups/stats", keys.READ),
    ("backups.restore", "POST", "/backups/<backup_id>/restore", keys.MANAGE),
    ("backups.pin", "POST", "/backups/<backup_id>/pin", keys.MANAGE),
    ("backups.unpin", "POST", "/backups/<backup_id>/unpin", keys.MANAGE),
    ("backups.delete", "DELETE", "/backups/<backup_id>", keys.DELETE),
    ("vpn_clients.list", "GET", f"{_VPN}/vpn-clients", keys.READ),
    ("vpn_clients.add", "POST", f"{_VPN}/vpn-clients", keys.MANAGE),
    ("vpn_clients.config", "GET", f"{_VPN}/vpn-config", keys.READ),
    ("vpn_clients.remove", "DELETE", f"{_VPN}/vpn-clients/<client_name>", keys.MANAGE),
)

OPERATIONS: dict[str, Operation] = {
    name: Operation(name, method, path, scope, _HANDLERS[name]) for name, method, path, scope in _TABLE
}
"""The thirty operations by name."""

DASHBOARD_ONLY = "dashboard_only"
"""The name in the log for requests that no key may send."""

# assumed: the paths. The guide names the operations that need the dashboard, but not their paths.
_DASHBOARD_PATHS = (
    f"{_ONE}/resize",
    f"{_ONE}/ssh-password",
    f"{_ONE}/database",
    f"{_ONE}/database/<path:rest>",
    f"{_ONE}/files",
    f"{_ONE}/files/<path:rest>",
    "/billing",
    "/billing/<path:rest>",
    "/account",
    "/account/<path:rest>",
    "/api-keys",
    "/api-keys/<path:rest>",
)

_MAP = Map(
    [
        *(Rule(found.path, methods=[found.method], endpoint=found.name) for found in OPERATIONS.values()),
        *(Rule(path, endpoint=DASHBOARD_ONLY) for path in _DASHBOARD_PATHS),
    ],
    strict_slashes=False,
    merge_slashes=False,
)
_ADAPTER = _MAP.bind("localhost")
_METHODS = {
    path: {found.method for found in OPERATIONS.values() if found.path == path}
    for path in (found.path for found in OPERATIONS.values() if "<" not in found.path)
}
"""The methods of each path without variables; no variable of another path may match such a path."""


def match(method: str, raw_path: str) -> tuple[str, dict[str, str]]:
    """
    Find the operation of a request.

    Args:
        method: HTTP method.
        raw_path: The path below the base URL as it was sent, still percent-encoded.

    Returns:
        The operation's name, or `DASHBOARD_ONLY`, and the decoded variables of the path.

    Raises:
        Refusal: 404 or 405.
    """
    try:
        name, args = _ADAPTER.match(raw_path, method)
    except MethodNotAllowed as exc:
        raise _not_allowed(set(exc.valid_methods or ()) - {"HEAD"}) from None
    except NotFound:
        # assumed: the body.
        raise Refusal(404, {"success": False, "error": "Not found"}) from None
    methods = _METHODS.get(raw_path.rstrip("/"))
    if methods is not None and args:
        raise _not_allowed(methods)
    return name, {key: unquote(value) for key, value in args.items()}


def _not_allowed(methods: Iterable[str]) -> Refusal:
    # assumed: the body.
    return Refusal(
        405, {"success": False, "error": "Method not allowed"}, {"Allow": ", ".join(sorted(methods))}
    )
