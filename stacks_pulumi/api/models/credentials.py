"""
Credentials of a container.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from stacks_pulumi.api.models._model import Model

__all__ = ["Credentials"]


class Credentials(Model, frozen=True, kw_only=True):
    """
    The credentials of a container (guide, "Get Container Credentials"). `repr` shows no secret.

    Attributes:
        username: User name.
        password: Password.
        host: Address inside the network.
        port: Port of the service.
        internal_host: Host name inside the network.
        container_name: Name of the container.
        type: Its template.
        raw: The whole answer, unchanged: SSH and web logins differ from template to template.
    """

    username: str | None = None
    password: str | None = None
    host: str | None = None
    port: int | None = None
    internal_host: str | None = None
    container_name: str | None = None
    type: str | None = None
    raw: dict[str, Any] | None = None

    ALIASES: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "username": ("user", "ssh_user"),
        "password": ("pass", "ssh_password"),
        "host": ("public_host", "ssh_host"),
        "port": ("ssh_port",),
    }

    def __repr__(self) -> str:
        return f"Credentials(container_name={self.container_name!r}, type={self.type!r}, ...)"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        """Return what rich shows; by default it would show the secrets."""
        return [("container_name", self.container_name), ("type", self.type)]
