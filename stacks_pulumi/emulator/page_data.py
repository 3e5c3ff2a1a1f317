"""The emulator's whole state as JSON for its page and for other processes, without secrets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from stacks_pulumi.emulator import backups, connections
from stacks_pulumi.emulator.clock import iso, month
from stacks_pulumi.emulator.keys import spent

if TYPE_CHECKING:
    from stacks_pulumi.emulator.app import Api
    from stacks_pulumi.emulator.platform import Platform
    from stacks_pulumi.emulator.state import ApiKey, Connection, Container

__all__ = ["logged_request", "snapshot"]

_REQUESTS = 60
"""How many of the newest requests the page shows."""


def snapshot(api: Api) -> dict[str, Any]:
    """Return accounts, keys by label, containers, connections, backups, the newest requests and the queued faults."""
    platform = api.platform
    with platform.lock:
        now = platform.settle()
        held = platform.state.containers
        return {
            "now": iso(now),
            "frozen": platform.clock.frozen,
            "accounts": [
                {"id": found.id, "payment_method": found.payment_method, "waitlisted": found.waitlisted}
                for found in platform.state.accounts.values()
            ],
            "keys": [_key(api, key, now) for key in platform.state.keys],
            "containers": [_container(platform, found) for found in held.values()],
            "connections": [_connection(found, held) for found in platform.state.connections.values()],
            "backups": [_backup(found) for found in reversed(list(platform.state.backups.values()))],
            "monthly_usd": float(sum(found.price for found in held.values())),
            "capacity": platform.state.capacity,
            "calls": api.log.counts(),
            "faults": [fault.describe() for fault in api.faults.all()],
            "faults_left": [str(fault) for fault in api.faults.left()],
            "requests": [
                logged_request(record.describe()) for record in reversed(api.log.all()[-_REQUESTS:])
            ],
        }


def logged_request(record: dict[str, Any]) -> dict[str, Any]:
    """Return an entry of the request journal, with its time as the API writes it."""
    return {**record, "at": iso(record["at"]), "seconds": round(record["seconds"], 4)}


def _key(api: Api, key: ApiKey, now: float) -> dict[str, Any]:
    used, ends_in = api.limiter.used(key.label)
    return {
        "label": key.label,
        "account": key.account,
        "scopes": key.scopes,
        "revoked": key.revoked,
        "month": month(now),
        "spent": float(spent(key, now)),
        "spending_cap": None if key.spending_cap is None else float(key.spending_cap),
        "rate_limit": key.rate_limit,
        "window_used": used,
        "window_seconds": api.limiter.seconds,
        "window_ends_in": round(ends_in, 1),
    }


def _container(platform: Platform, found: Container) -> dict[str, Any]:
    return {
        "id": found.id,
        "account": found.account,
        "name": found.name,
        "template": found.template,
        "plan": found.plan,
        "additional_storage_tier": found.storage_tier,
        "storage_mb": found.storage_mb,
        "price": float(found.price),
        "status": found.status,
        "error": found.error,
        "created_at": iso(found.created_at),
        "created_by": found.created_by,
        "boots": found.boots,
        "env_pending": found.env_pending,
        "external_access": found.external_access,
        "url": found.url,
        "allowed_ips": [
            {
                "id": ip.id,
                "ip_address": ip.ip_address,
                "description": ip.description,
                "service_type": ip.service_type,
            }
            for ip in found.allowed_ips
        ],
        "vpn_clients": [client.name for client in found.vpn_clients],
        "restored": found.restored,
        "backups": len(backups.newest_first(platform, found)),
    }


def _connection(found: Connection, held: dict[str, Container]) -> dict[str, Any]:
    return {
        "id": found.id,
        "name": found.name,
        "source": held[found.source].name,
        "target": held[found.target].name,
        "kind": connections.kind(held[found.target]),
    }


def _backup(found: Any) -> dict[str, Any]:
    return {
        "id": found.id,
        "container": found.container_name,
        "type": found.backup_type,
        "status": found.status,
        "size_bytes": found.size_bytes,
        "created_at": iso(found.created_at),
        "error_message": found.error_message,
        "pinned": found.pinned,
    }
