"""
Data functions, which read objects of the account, including objects that the program does not manage.

Each function has two forms. `get_container(id)` needs a plain id and returns a plain result. The `_output` form,
`get_container_output(id)`, also takes an output, such as the id of a container that does not exist yet, and returns an
output. While an argument is unknown, for instance in the preview of a new stack, this form sends no request. A response
is cached for five seconds. If the result is secret, the `_output` form returns a secret output; the plain form returns
plain text, which the caller must protect. An incomplete list is an error, because a program would use it as a complete
list. The functions raise the errors in `stacks_pulumi.errors`. If a program does not catch an error, it ends with a
one-line message, without a traceback.

A program calls the functions by name; the native plugin calls them for `Invoke`. Both use the table `QUESTIONS`.

- `results`: What does a function return?
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, get_args, get_origin

import msgspec
import pulumi
from pulumi.runtime.mocks import MockCallArgs, MockMonitor
from pulumi.runtime.settings import get_monitor

from stacks_pulumi import config
from stacks_pulumi._structs import convert
from stacks_pulumi.api import models
from stacks_pulumi.api.models import Listing
from stacks_pulumi.api.vpn_clients import risks_of
from stacks_pulumi.config import NAMESPACE
from stacks_pulumi.errors import ConfigError, StacksError, clean, with_account
from stacks_pulumi.functions import results
from stacks_pulumi.pricing.price_list import price_list
from stacks_pulumi.resources._operation import current_operation
from stacks_pulumi.resources._session import Session, session_for
from stacks_pulumi.resources.provider import Provider, check_stored_key, shown_alone

if TYPE_CHECKING:
    from stacks_pulumi.api import StacksClient

_MAX_AGE: Final = 5.0
"""
Seconds for which a response is cached, for programs that call the same function in many places.

The time is short because the account may change while the program is running: with the Automation API, one process
performs many runs, which change the account.
"""


def _existing(api: StacksClient) -> Listing[models.Container]:
    """Return the containers, without deleted containers that are still listed."""
    rows = api.containers.list()
    return Listing((row for row in rows if row.status != "deleted"), gap=rows.gap, damaged=rows.damaged)


def _priced(api: StacksClient) -> Listing[models.Template]:
    """Return the templates. A price that is not clearly in US dollars a month becomes `None`."""
    rows = api.containers.templates()
    beside = next((row.beside for row in rows), None)
    known = price_list(((row.id, row.plan, row.raw) for row in rows), api.platform.facts.prices, beside)
    prices = ((row, known.listed(row.id, row.plan)) for row in rows)
    return Listing(
        (
            msgspec.structs.replace(row, monthly_usd=None if price is None else float(price))
            for row, price in prices
        ),
        gap=rows.gap,
        damaged=rows.damaged,
    )


@dataclass(frozen=True)
class Question:
    """
    A data function.

    Attributes:
        returns: The type of the answer, or of one row if the answer is a list.
        ask: Returns the client's answer; called with the client and, by name, the function's arguments.
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
    "list_containers": Question(results.Container, _existing, is_list=True),
    "list_templates": Question(results.Template, _priced, is_list=True),
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
    Return the client's result, which is cached for a few seconds.

    Raises:
        StacksError: The API refused the request, could not be reached, or returned only a part of a list.
    """
    question = QUESTIONS[name]
    key = (name, *map(str, arguments.values()))
    told = session.reads.get(*key, ask=lambda: question.ask(session.client, **arguments), max_age=_MAX_AGE)
    for listing in [told, *map(told.__getattribute__, getattr(told, "__struct_fields__", ()))]:
        # A list with as many rows as the caller asked for may be incomplete.
        if isinstance(listing, Listing) and len(listing) < arguments.get("limit", math.inf):
            _check_complete(name, listing)
    risks = risks_of(told) if name == "get_vpn_config" else ""
    if risks:
        _warn(f"{name}: {risks}. Read the configuration before you use it, and ask who changed it")
    return told


def _warn(text: str) -> None:
    operation = current_operation()
    if operation is None:
        pulumi.log.warn(clean(text))
    else:
        operation.warn(text)


def _check_complete(name: str, listing: Listing[Any]) -> None:
    """
    Check that a list is complete, because a program would use it as a complete list.

    Raises:
        UnreadableAnswerError: The list is not complete.
    """
    try:
        listing.require_complete()
    except StacksError as error:
        msg = f"{name}: {error.message}. A single object can be read by its id or name"
        raise error.but(message=msg) from None


_ACCOUNT: Final = f"{NAMESPACE}:account"


def ask(provider: Provider | None, name: str, **arguments: Any) -> Any:
    """
    Call a data function and return its answer.

    Args:
        provider: The provider for the account; by default, the stack's provider.
        name: The data function, one of `QUESTIONS`. Its answers are cached for a few seconds.
        arguments: The function's arguments.

    Raises:
        StacksError: The call failed. The error has a type in `stacks_pulumi.errors`, and is also a `pulumi.RunError`.
    """
    try:
        _check_plain_arguments(name, *arguments.values())
        monitor = get_monitor()
        if isinstance(monitor, MockMonitor):
            return results.result(_from_mocks(monitor, name, arguments))
        check_stored_key()
        return results.result(answer(session_for(config.load(_settings(provider))), name, arguments))
    except StacksError as error:
        account = None if provider is None or provider.settings is None else provider.settings[_ACCOUNT]
        raise shown_alone(error.but(message=with_account(error.message, account))) from None


def _from_mocks(monitor: MockMonitor, name: str, arguments: Mapping[str, Any]) -> Any:
    """Return the result of `Mocks.call`. A unit test has no account, so the API is never called."""
    token = f"{NAMESPACE}:index:{name}"
    given: Any = monitor.mocks.call(MockCallArgs(token, dict(arguments), ""))
    if isinstance(given, tuple):
        # Pulumi's own form of an answer is a pair: the answer and the failures.
        given, failures = given
        if failures:
            raise StacksError(f"{name}: the mocks report a failure: {failures}", code="mocks")
    if isinstance(given, Mapping) and given.keys() == {"result"}:
        given = given["result"]
    if not given and not isinstance(given, list | str):
        raise StacksError(
            f"{name}: the mocks have no answer. Return one from Mocks.call where args.token is {token!r}; "
            "see docs/testing.md",
            code="mocks",
        )
    try:
        return convert(given, QUESTIONS[name].model, dec_hook=_listing)
    except msgspec.ValidationError as error:
        msg = f"{name}: the answer of the mocks to {token!r} has the wrong form: {error}"
        raise StacksError(msg, code="mocks") from None


def _check_plain_arguments(name: str, *arguments: Any) -> None:
    if any(isinstance(argument, pulumi.Output) for argument in arguments):
        msg = f"{name}: an argument is an output, so its value is not known yet: call {name}_output, which waits for it"
        raise StacksError(msg, code="value-not-known")


def later(function: Callable[..., Any], *arguments: Any, provider: Provider | None = None) -> Any:
    """
    Return the result as an output, which is unknown while an argument is unknown.

    The caller declares the type of the output. At run time, `pulumi.Output` has the attributes of its value, but only
    the types in `results` declare these attributes.

    Args:
        function: The plain form of the data function.
        arguments: Its positional arguments.
        provider: The provider for the account; by default, the stack's provider.
    """

    async def answer(values: list[Any]) -> Any:
        # Use a separate thread, so that the program can declare other resources during the call.
        return await asyncio.to_thread(function, *values, provider=provider)

    known: list[Any] = [*arguments] if provider is None else [*arguments, provider.ready]
    answers: Any = pulumi.Output.all(*known).apply(lambda values: answer(values[: len(arguments)]))
    return pulumi.Output.secret(answers) if QUESTIONS[function.__name__].secret else answers


def _settings(provider: Provider | None) -> dict[str, str | None]:
    if provider is None:
        given = pulumi.Config(NAMESPACE)
        config.check_spelling(lambda key: given.get(key.removeprefix(f"{NAMESPACE}:")))
        return {f"{NAMESPACE}:{key}": given.get(key) for key in config.KEYS}
    if provider.settings is None:
        msg = (
            "the provider's key or address is an output that is not known yet: call the function's `_output` form, "
            "which waits for it"
        )
        raise ConfigError(msg, code="value-not-known")
    return provider.settings


def _listing(kind: Any, value: Any) -> Listing[Any]:
    """Convert the plain list that the mocks returned to a list of models."""
    if get_origin(kind) is not Listing:
        raise NotImplementedError
    (row,) = get_args(kind)
    return Listing(convert(value, tuple[row, ...], dec_hook=_listing))  # type: ignore[valid-type]  # known at run time


def get_container(id: str, *, provider: Provider | None = None) -> results.Container:
    """
    Return a container (guide, "Get Container Status").

    Args:
        id: The container's id.
        provider: The provider for the account; by default, the stack's provider.
    """
    return ask(provider, "get_container", id=id)


def get_container_output(
    id: pulumi.Input[str], *, provider: Provider | None = None
) -> results.ContainerOutput:
    """`get_container` for outputs."""
    return later(get_container, id, provider=provider)


def list_containers(*, provider: Provider | None = None) -> list[results.Container]:
    """
    Return all containers of the account (guide, "List Containers").

    Args:
        provider: The provider for the account; by default, the stack's provider.
    """
    return ask(provider, "list_containers")


def list_containers_output(*, provider: Provider | None = None) -> pulumi.Output[list[results.Container]]:
    """`list_containers` for outputs."""
    return later(list_containers, provider=provider)


def list_templates(*, provider: Provider | None = None) -> list[results.Template]:
    """
    Return all templates with the API's prices (guide, "List Available Templates").

    A price that is not clearly in US dollars a month is `None`; `raw` contains the API's response.

    Args:
        provider: The provider for the account; by default, the stack's provider.
    """
    return ask(provider, "list_templates")


def list_templates_output(*, provider: Provider | None = None) -> pulumi.Output[list[results.Template]]:
    """`list_templates` for outputs."""
    return later(list_templates, provider=provider)


def get_credentials(container_id: str, *, provider: Provider | None = None) -> results.Credentials:
    """
    Return the credentials of a container (guide, "Get Container Credentials").

    The answer is secret; the `_output` form marks it as a secret.

    Args:
        container_id: The container's id.
        provider: The provider for the account; by default, the stack's provider.
    """
    return ask(provider, "get_credentials", container_id=container_id)


def get_credentials_output(
    container_id: pulumi.Input[str], *, provider: Provider | None = None
) -> results.CredentialsOutput:
    """`get_credentials` for outputs. The result is secret."""
    return later(get_credentials, container_id, provider=provider)


def get_logs(container_id: str, lines: int = 100, *, provider: Provider | None = None) -> str:
    """
    Return the last lines of a container's log, at most 500 (guide, "Get Container Logs").

    Args:
        container_id: The container's id.
        lines: The number of lines.
        provider: The provider for the account; by default, the stack's provider.
    """
    return ask(provider, "get_logs", container_id=container_id, lines=lines)


def get_logs_output(
    container_id: pulumi.Input[str], lines: pulumi.Input[int] = 100, *, provider: Provider | None = None
) -> pulumi.Output[str]:
    """`get_logs` for outputs."""
    return later(get_logs, container_id, lines, provider=provider)


def get_metrics(container_id: str, *, provider: Provider | None = None) -> results.Metrics:
    """
    Return measurements of a container over time (guide, "Get Container Metrics").

    Args:
        container_id: The container's id.
        provider: The provider for the account; by default, the stack's provider.
    """
    return ask(provider, "get_metrics", container_id=container_id)


def get_metrics_output(
    container_id: pulumi.Input[str], *, provider: Provider | None = None
) -> results.MetricsOutput:
    """`get_metrics` for outputs."""
    return later(get_metrics, container_id, provider=provider)


def get_ssh_certificate(container_id: str, *, provider: Provider | None = None) -> str:
    """
    Return the SSH private key of a compute container, as PEM (guide, "Download SSH Certificate").

    The answer is secret; the `_output` form marks it as a secret.

    Args:
        container_id: The container's id.
        provider: The provider for the account; by default, the stack's provider.
    """
    return ask(provider, "get_ssh_certificate", container_id=container_id)


def get_ssh_certificate_output(
    container_id: pulumi.Input[str], *, provider: Provider | None = None
) -> pulumi.Output[str]:
    """`get_ssh_certificate` for outputs. The result is secret."""
    return later(get_ssh_certificate, container_id, provider=provider)


def list_allowed_ips(container_id: str, *, provider: Provider | None = None) -> results.ExternalAccess:
    """
    Return the addresses that may reach a container from outside (guide, "List Allowed IPs").

    Args:
        container_id: The container's id.
        provider: The provider for the account; by default, the stack's provider.
    """
    return ask(provider, "list_allowed_ips", container_id=container_id)


def list_allowed_ips_output(
    container_id: pulumi.Input[str], *, provider: Provider | None = None
) -> results.ExternalAccessOutput:
    """`list_allowed_ips` for outputs."""
    return later(list_allowed_ips, container_id, provider=provider)


def list_available_targets(container_id: str, *, provider: Provider | None = None) -> results.Targets:
    """
    Return the targets that a container can be connected to (guide, "List Available Targets").

    Args:
        container_id: The container's id.
        provider: The provider for the account; by default, the stack's provider.
    """
    return ask(provider, "list_available_targets", container_id=container_id)


def list_available_targets_output(
    container_id: pulumi.Input[str], *, provider: Provider | None = None
) -> results.TargetsOutput:
    """`list_available_targets` for outputs."""
    return later(list_available_targets, container_id, provider=provider)


def list_connections(container_id: str, *, provider: Provider | None = None) -> results.Connections:
    """
    Return the connections from and to a container (guide, "List Connections").

    The answer is secret; the `_output` form marks it as a secret.

    Args:
        container_id: The container's id.
        provider: The provider for the account; by default, the stack's provider.
    """
    return ask(provider, "list_connections", container_id=container_id)


def list_connections_output(
    container_id: pulumi.Input[str], *, provider: Provider | None = None
) -> results.ConnectionsOutput:
    """`list_connections` for outputs. The result is secret."""
    return later(list_connections, container_id, provider=provider)


def list_backups(
    container_id: str, limit: int = 50, *, provider: Provider | None = None
) -> list[results.Backup]:
    """
    Return the newest backups of a container, at most 100 (guide, "List Backups").

    Args:
        container_id: The container's id.
        limit: The maximum number of backups.
        provider: The provider for the account; by default, the stack's provider.
    """
    return ask(provider, "list_backups", container_id=container_id, limit=limit)


def list_backups_output(
    container_id: pulumi.Input[str], limit: pulumi.Input[int] = 50, *, provider: Provider | None = None
) -> pulumi.Output[list[results.Backup]]:
    """`list_backups` for outputs."""
    return later(list_backups, container_id, limit, provider=provider)


def get_backup_stats(*, provider: Provider | None = None) -> results.BackupStats:
    """
    Return statistics of all backups of the account (guide, "Backup Statistics").

    Args:
        provider: The provider for the account; by default, the stack's provider.
    """
    return ask(provider, "get_backup_stats")


def get_backup_stats_output(*, provider: Provider | None = None) -> results.BackupStatsOutput:
    """`get_backup_stats` for outputs."""
    return later(get_backup_stats, provider=provider)


def list_vpn_clients(container_id: str, *, provider: Provider | None = None) -> list[results.VpnClient]:
    """
    Return the clients of a VPN container (guide, "List VPN Clients").

    Args:
        container_id: The container's id.
        provider: The provider for the account; by default, the stack's provider.
    """
    return ask(provider, "list_vpn_clients", container_id=container_id)


def list_vpn_clients_output(
    container_id: pulumi.Input[str], *, provider: Provider | None = None
) -> pulumi.Output[list[results.VpnClient]]:
    """`list_vpn_clients` for outputs."""
    return later(list_vpn_clients, container_id, provider=provider)


def get_vpn_config(container_id: str, client: str = "default", *, provider: Provider | None = None) -> str:
    """
    Return the WireGuard configuration of a VPN client, with its private key (guide, "Download VPN Config").

    The answer is secret; the `_output` form marks it as a secret.

    Args:
        container_id: The container's id.
        client: The client's name.
        provider: The provider for the account; by default, the stack's provider.
    """
    return ask(provider, "get_vpn_config", container_id=container_id, client=client)


def get_vpn_config_output(
    container_id: pulumi.Input[str],
    client: pulumi.Input[str] = "default",
    *,
    provider: Provider | None = None,
) -> pulumi.Output[str]:
    """`get_vpn_config` for outputs. The result is secret."""
    return later(get_vpn_config, container_id, client, provider=provider)
