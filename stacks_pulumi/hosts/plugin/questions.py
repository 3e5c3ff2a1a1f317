"""
Answers the calls that read the account: `Invoke`, which calls a data function, and `List`, which `pulumi do` sends.

The ids in a list have the form that `pulumi import` expects. A list that may be incomplete is an error. The plugin
loads this module at the first such call: loading it at every start would double the time that this package adds to the
start.
"""

from __future__ import annotations

import inspect
import itertools
import typing
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, Final, TypeAlias

from pulumi.runtime.proto import provider_pb2

from stacks_pulumi import config, functions
from stacks_pulumi._identifiers import camel_case, canonical_network, snake_case
from stacks_pulumi.account import read
from stacks_pulumi.account.read import Belongings
from stacks_pulumi.api.models import Container
from stacks_pulumi.errors import StacksError, UnreadableAnswerError
from stacks_pulumi.functions import QUESTIONS, answer, results
from stacks_pulumi.hosts.plugin.wire import from_struct, hint, unknown_names
from stacks_pulumi.pricing.recognition import NATIVE, is_unknown
from stacks_pulumi.resources._operation import EngineCall, Operation
from stacks_pulumi.resources._session import Session, session_for
from stacks_pulumi.resources._values import secret

_OF_A_FUNCTION: Final = 300.0
_OF_A_LIST: Final = 1800.0
"""
The timeout in seconds. It is long because an account with many containers needs many calls, and the API limits the
rate.
"""

_TYPES: Final[Mapping[type, str]] = {str: "text", int: "a whole number"}

_Row: TypeAlias = tuple[str, str]
"""The part of the resource's id after the container's id, and a human-readable name."""

CHILDREN: Final[Mapping[str, Callable[[Belongings], Iterator[_Row]]]] = {
    "AllowedIp": lambda has: (
        (address, address)
        for address in dict.fromkeys(canonical_network(it.ip_address) for it in has.access.allowed_ips)
        if address is not None
    ),
    "Connection": lambda has: ((str(it.id), it.name or "") for it in has.connections),
    "PinnedBackup": lambda has: ((str(it.id), str(it.id)) for it in has.backups),
    "VpnClient": lambda has: ((it.name, it.name) for it in has.vpn_clients),
}
"""
The kinds of objects that belong to a container, and how to list them. Certificates are missing, because each container
has only one, which has the container's id. Past restores cannot be listed.
"""


def pages(
    call: EngineCall, settings: Mapping[str, str | None], request: Any
) -> Iterator[provider_pb2.ListResponse]:
    """
    Yield the objects of the requested kind, and then the token of the next page if there is one.

    Raises:
        StacksError: The kind cannot be listed, the container does not exist, or the API does not show all of its
            objects.
    """
    query = from_struct(request.query)
    if any(map(is_unknown, query.values())):
        yield provider_pb2.ListResponse(computed=provider_pb2.ListResponse.Computed())
        return
    session = session_for(config.load(settings))
    now = session.clock.now()
    with Operation(call, session.clock, now, now + _OF_A_LIST).running():
        rows = sorted(_rows(session, request.token.removeprefix(NATIVE), query.get("container")))
    start = int(request.continuation_token or 0)
    sizes = [size for size in (request.limit, request.page_size) if size > 0]
    end = min([len(rows), *(start + size for size in sizes)])
    for id_, name in itertools.islice(rows, start, end):
        yield provider_pb2.ListResponse(result=provider_pb2.ListResponse.Result(id=id_, name=name))
    if end < len(rows):
        more = provider_pb2.ListResponse.Continuation(continuation_token=str(end))
        yield provider_pb2.ListResponse(continuation=more)


def _rows(session: Session, kind: str, container: str | None) -> Iterator[tuple[str, str]]:
    if kind != "Container" and kind not in CHILDREN:
        msg = f"{kind} cannot be listed: list {', '.join(['Container', *CHILDREN])}"
        raise StacksError(msg, code="unknown-type")
    everything: list[Container] = list(answer(session, "list_containers", {}))
    chosen = [it for it in everything if container in {None, it.id}]
    if container is not None and not chosen:
        msg = f"the account's list has no container {container}: check the argument container"
        raise StacksError(msg, code="not-found")
    if kind == "Container":
        return ((it.id, it.name or "") for it in chosen)
    return _children(session, kind, everything, {it.id for it in chosen})


def _children(
    session: Session, kind: str, everything: list[Container], chosen: Collection[str]
) -> Iterator[tuple[str, str]]:
    asked = [
        it
        for it in everything
        if it.id in chosen
        # A VPN has no connections, and other containers have no clients.
        and kind in read.kinds_of(it)
    ]
    for id_, has in read.ask(session.client, asked, everything=everything, kind=kind).items():
        if kind not in has.known:
            newest = "the API lists only the newest backups, but older ones may be pinned"
            gap = "it was deleted during the call" if has.deleted else "; ".join(has.gaps) or newest
            msg = f"{kind} of {id_} cannot be listed completely: {gap}"
            raise UnreadableAnswerError(msg)
        for own, name in CHILDREN[kind](has):
            yield f"{id_}/{own}", name


def answered(
    call: EngineCall, settings: Mapping[str, str | None], token: str, given: Mapping[str, Any]
) -> dict[str, Any]:
    """
    Call a data function, and return its result as a mapping.

    Args:
        call: The engine's call.
        settings: The provider's settings.
        token: The function, for instance `getContainer`.
        given: Its arguments, with Python's names.

    Raises:
        StacksError: The function or an argument is unknown, an argument is invalid, or the request to the API failed.
    """
    name = snake_case(token)
    if name not in QUESTIONS:
        msg = f"stacks has no such function: {hint(token, map(camel_case, QUESTIONS))}"
        raise StacksError(msg, code="unknown-type")
    session = session_for(config.load(settings))
    now = session.clock.now()
    with Operation(call, session.clock, now, now + _OF_A_FUNCTION).running():
        found = _spelt(results.result(answer(session, name, _arguments(name, given))))
    values = found if isinstance(found, dict) else {"result": found}
    if not QUESTIONS[name].secret:
        return values
    return {key: secret(value) for key, value in values.items()}


def _spelt(value: Any) -> Any:
    """Return a result in the protocol's form; the keys of a mapping are not changed."""
    if isinstance(value, results.Result):
        return {camel_case(name): _spelt(value) for name, value in vars(value).items() if value is not None}
    return [_spelt(item) for item in value] if isinstance(value, list) else value


def _arguments(name: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments; a missing one gets its default from the Python function."""
    function = getattr(functions, name)
    parameters = dict(inspect.signature(function).parameters)
    del parameters["provider"]
    unknown = unknown_names(map(camel_case, given), [*map(camel_case, parameters)], "argument")
    if unknown:
        raise StacksError("; ".join(unknown.values()), code="invalid-input")
    types = typing.get_type_hints(function)
    return {key: _argument(key, types[key], given.get(key, it.default)) for key, it in parameters.items()}


def _argument(name: str, type_: type, value: Any) -> Any:
    if value is inspect.Parameter.empty:
        msg = f"{camel_case(name)} is missing: set it"
        raise StacksError(msg, code="missing-input")
    if isinstance(value, float) and value.is_integer():
        # In the protocol, every number is a float.
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, type_):
        msg = f"{camel_case(name)} is {value!r}: it must be {_TYPES[type_]}"
        raise StacksError(msg, code="invalid-input")
    return value
