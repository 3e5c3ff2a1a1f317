"""
The data functions: the client call that each makes, and the type that it returns.

A program calls them through `stacks_pulumi.functions`, the native plugin through `Invoke`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from stacks_pulumi.functions import results
from stacks_pulumi.resources._session import Session

__all__ = ["QUESTIONS", "Question", "answer"]

_MAX_AGE: Final = 5.0
"""
Seconds for which an answer is cached: enough for a program that calls the same function in many places.

It is short, because the account may change while the program runs: with the Automation API, one process makes many
runs, and its own engine changes the account.
"""


@dataclass(frozen=True)
class Question:
    """
    A data function.

    Attributes:
        returns: The type of the answer, or of one row of it.
        ask: Calls the client. Its arguments are the client and the function's arguments by name.
        is_list: Whether the answer is a list of rows.
        secret: Whether the answer is a secret.
    """

    returns: type
    ask: Callable[..., Any]
    is_list: bool = False
    secret: bool = False

    @property
    def model(self) -> Any:
        """The type of the client's answer."""
        model: Any = results.model_of(self.returns)
        return tuple[model, ...] if self.is_list else model


QUESTIONS: Final[Mapping[str, Question]] = {
    "get_container": Question(results.Container, lambda api, id: api.containers.status(id)),
    "list_containers": Question(results.Container, lambda api: api.containers.list(), is_list=True),
    "list_templates": Question(results.Template, lambda api: api.containers.templates(), is_list=True),
    "get_credentials": Question(
        results.Credentials, lambda api, container_id: api.containers.credentials(container_id), secret=True
    ),
    "get_logs": Question(str, lambda api, container_id, lines: api.containers.logs(container_id, lines)),
    "get_metrics": Question(results.Metrics, lambda api, container_id: api.containers.metrics(container_id)),
    "get_ssh_certificate": Question(
        str, lambda api, container_id: api.containers.certificate(container_id), secret=True
    ),
    "list_allowed_ips": Question(
        results.ExternalAccess, lambda api, container_id: api.allowed_ips.list(container_id)
    ),
    "list_available_targets": Question(
        results.Targets, lambda api, container_id: api.connections.targets(container_id)
    ),
    "list_connections": Question(
        results.Connections, lambda api, container_id: api.connections.list(container_id), secret=True
    ),
    "list_backups": Question(
        results.Backup,
        lambda api, container_id, limit: api.backups.list(container_id, limit=limit),
        is_list=True,
    ),
    "get_backup_stats": Question(results.BackupStats, lambda api: api.backups.stats()),
    "list_vpn_clients": Question(
        results.VpnClient, lambda api, container_id: api.vpn_clients.list(container_id), is_list=True
    ),
    "get_vpn_config": Question(
        str, lambda api, container_id, client: api.vpn_clients.config(container_id, client), secret=True
    ),
}
"""All data functions by their names in Python."""


def answer(session: Session, name: str, arguments: Mapping[str, Any]) -> Any:
    """
    Return the client's answer, which is cached for a few seconds.

    Args:
        session: The session of the account.
        name: One of `QUESTIONS`.
        arguments: The function's arguments, by name.

    Raises:
        StacksError: The API refused the request, or could not be reached.
    """
    question = QUESTIONS[name]
    key = (name, *map(str, arguments.values()))
    return session.reads.get(*key, ask=lambda: question.ask(session.client, **arguments), max_age=_MAX_AGE)
