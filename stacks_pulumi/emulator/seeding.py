"""Seed data: containers and their child resources, without requests, scopes, caps or waiting."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeVar

import msgspec

from stacks_pulumi.emulator import access, backups, connections, containers, keys, settling, vpn
from stacks_pulumi.emulator.state import ApiKey

if TYPE_CHECKING:
    from stacks_pulumi.emulator.platform import Platform

_T = TypeVar("_T")
_Entry: TypeAlias = _T | Mapping[str, Any]

__all__ = ["SeedConnection", "SeedContainer", "load"]


class SeedContainer(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A container and its child resources."""

    name: str
    template: str
    plan: str | None = None
    additional_storage_tier: int | None = None
    status: Literal["running", "stopped", "error"] = "running"
    allowed_ips: list[str] | None = None
    """External access is enabled if this is given."""
    vpn_clients: list[str] = []
    backups: int = 0
    """How many completed manual backups it has."""
    account: str | None = None


class SeedConnection(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A connection between two running containers, by name or id."""

    source: str
    target: str
    name: str


def load(
    platform: Platform,
    account: str,
    wanted: Sequence[_Entry[SeedContainer]],
    connected: Sequence[_Entry[SeedConnection]],
) -> list[str]:
    """
    Add containers and connections, all of them or none.

    Returns:
        The ids of the containers.

    Raises:
        ValueError: A field is missing, unknown or of another type.
        Refusal: The platform would refuse one of them.
        KeyError: There is no such account, or no such container.
    """
    ready = [_converted(it, SeedContainer) for it in wanted]
    links = [_converted(it, SeedConnection) for it in connected]
    platform.settle()
    before = copy.deepcopy(platform.state)
    try:
        made = [_container(platform, it.account or account, it) for it in ready]
        for it in links:
            connections.create(
                platform, platform.state.container(it.source), platform.state.container(it.target), it.name
            )
    except BaseException:
        platform.state = before
        raise
    for made_id in made:
        platform.state.containers[made_id].env_pending = False
    return made


def _converted(entry: _Entry[_T], kind: type[_T]) -> _T:
    return entry if isinstance(entry, kind) else msgspec.convert(entry, kind)


def _container(platform: Platform, account: str, wanted: SeedContainer) -> str:
    # A separate key, so that the containers do not count against the cap of a real one.
    owner = ApiKey("seed", "", platform.state.accounts[account].id, list(keys.SCOPES))
    fields = ("name", "template", "plan", "additional_storage_tier")
    body: dict[str, Any] = {name: getattr(wanted, name) for name in fields}
    made = containers.create(platform, owner, {name: it for name, it in body.items() if it is not None})
    made.next, made.booting = None, False
    settling.enter(made, "running", platform.clock.now())
    for name in wanted.vpn_clients:
        vpn.add(platform, made, name)
    if wanted.allowed_ips is not None:
        access.set_access(platform, made, enabled=True)
        for address in wanted.allowed_ips:
            access.add_ip(platform, made, {"ip_address": address})
    for _ in range(wanted.backups):
        backups.trigger(platform, made).due = platform.clock.now()
    platform.settle()
    if wanted.status == "error":
        made.error = "the service did not become healthy in time"
    if wanted.status != "running":
        settling.enter(made, wanted.status, platform.clock.now())
    return made.id
