"""How a data function gets its answer: from the account's client, with a cache of a few seconds."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final, get_args, get_origin

import msgspec
import pulumi
from pulumi.runtime.mocks import MockCallArgs, MockMonitor
from pulumi.runtime.settings import get_monitor

from stacks_pulumi import config
from stacks_pulumi.api.models import Listing
from stacks_pulumi.config import NAMESPACE
from stacks_pulumi.errors import ConfigError, StacksError, with_account
from stacks_pulumi.functions import results
from stacks_pulumi.functions.questions import QUESTIONS, answer
from stacks_pulumi.resources._run_errors import shown_alone
from stacks_pulumi.resources._session import session_for
from stacks_pulumi.resources.provider import Provider

__all__ = ["ask", "later"]

_ACCOUNT: Final = f"{NAMESPACE}:account"


def ask(provider: Provider | None, name: str, **arguments: Any) -> Any:
    """
    Call a data function and return its answer.

    Args:
        provider: The provider of the account; by default the stack's.
        name: The data function, one of `QUESTIONS`. Its answers are cached for a few seconds.
        arguments: The function's arguments.

    Raises:
        StacksError: One of the types in `stacks_pulumi.errors`, which is also a `pulumi.RunError`.
    """
    try:
        _refuse_outputs(name, *arguments.values())
        monitor = get_monitor()
        if isinstance(monitor, MockMonitor):
            return results.result(_from_mocks(monitor, name, arguments))
        return results.result(answer(session_for(config.load(_settings(provider))), name, arguments))
    except StacksError as error:
        account = None if provider is None or provider.settings is None else provider.settings[_ACCOUNT]
        raise shown_alone(replace(error, message=with_account(error.message, account))) from None


def _from_mocks(monitor: MockMonitor, name: str, arguments: Mapping[str, Any]) -> Any:
    """Return the answer of `Mocks.call`. A unit test has no account, so the API is never called."""
    token = f"{NAMESPACE}:index:{name}"
    given: Any = monitor.mocks.call(MockCallArgs(token, dict(arguments), ""))
    if isinstance(given, tuple):
        # Pulumi's own form: a pair of the answer and the failures.
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
        return msgspec.convert(given, QUESTIONS[name].model, dec_hook=_listing)
    except msgspec.ValidationError as error:
        msg = f"{name}: the answer of the mocks to {token!r} does not fit: {error}"
        raise StacksError(msg, code="mocks") from None


def _refuse_outputs(name: str, *arguments: Any) -> None:
    if any(isinstance(argument, pulumi.Output) for argument in arguments):
        msg = f"{name}: an argument is an output, so its value is not known yet: call {name}_output, which waits for it"
        raise StacksError(msg, code="value-not-known")


def later(function: Callable[..., Any], *arguments: Any, provider: Provider | None = None) -> Any:
    """
    Return the answer as an output, which is unknown while one of the arguments is unknown.

    The caller declares its type. At run time `pulumi.Output` has the attributes of its value, but only the types in
    `results` declare them.

    Args:
        function: The plain form of the data function.
        arguments: Its positional arguments.
        provider: The provider of the account; by default the stack's.
    """

    async def answer(values: list[Any]) -> Any:
        # A separate thread, so that the program can declare other resources during the call.
        return await asyncio.to_thread(function, *values, provider=provider)

    known: list[Any] = [*arguments] if provider is None else [*arguments, provider.ready]
    answers: Any = pulumi.Output.all(*known).apply(lambda values: answer(values[: len(arguments)]))
    return pulumi.Output.secret(answers) if QUESTIONS[function.__name__].secret else answers


def _settings(provider: Provider | None) -> dict[str, str | None]:
    if provider is None:
        given = pulumi.Config(NAMESPACE)
        config.refuse_misspelt(lambda key: given.get(key.removeprefix(f"{NAMESPACE}:")))
        return {f"{NAMESPACE}:{key}": given.get(key) for key in config.KEYS}
    if provider.settings is None:
        msg = (
            "the provider's key or address is an output that is not known yet: call the function's `_output` form, "
            "which waits for it"
        )
        raise ConfigError(msg, code="value-not-known")
    return provider.settings


def _listing(kind: Any, value: Any) -> Listing[Any]:
    """Convert the plain list of the mocks to a list of models."""
    if get_origin(kind) is not Listing:
        raise NotImplementedError
    (row,) = get_args(kind)
    return Listing(msgspec.convert(value, tuple[row, ...], dec_hook=_listing))  # type: ignore[valid-type]  # known at run time
