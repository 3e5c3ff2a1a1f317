"""How a data function gets its answer: from the client of the account, once while the answer is young."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final, TypeVar

import pulumi

from stacks_pulumi import config
from stacks_pulumi.api import StacksClient
from stacks_pulumi.config import NAMESPACE
from stacks_pulumi.errors import ConfigError, StacksError
from stacks_pulumi.resources._alone import shown_alone
from stacks_pulumi.resources._session import session_for
from stacks_pulumi.resources.provider import Provider

__all__ = ["ask", "later"]

_T = TypeVar("_T")

_MAX_AGE: Final = 5.0
"""
Seconds for which an answer is used again: enough for a program that puts one question in many places.

Not longer, because a program may run on while others change the account, its own engine among them: with the
Automation API one process is many runs.
"""
_ACCOUNT: Final = f"{NAMESPACE}:account"


def ask(provider: Provider | None, *question: Any, how: Callable[[StacksClient], _T]) -> _T:
    """
    The answer to a question.

    Args:
        provider: Whose account; the stack's own unless given.
        question: The function's name and its arguments; the same question is asked once in a few seconds.
        how: Asks the client.

    Raises:
        StacksError: As drawn in `stacks_pulumi.errors`, and a `pulumi.RunError` as well.
    """
    try:
        _refuse_outputs(*question)
        session = session_for(config.load(_settings(provider)))
        return session.reads.get(*map(str, question), ask=lambda: how(session.client), max_age=_MAX_AGE)
    except StacksError as error:
        error.__class__ = shown_alone(type(error))
        account = None if provider is None or provider.settings is None else provider.settings[_ACCOUNT]
        if account is not None:
            error.message = f"{error.message} (account {account})"
        raise


def _refuse_outputs(name: str, *arguments: Any) -> None:
    if any(isinstance(argument, pulumi.Output) for argument in arguments):
        msg = (
            f"{name}: its argument is an output, which is known later: call {name}_output, which waits for it"
        )
        raise StacksError(msg)


def later(
    function: Callable[..., _T], *arguments: Any, provider: Provider | None = None, secret: bool = False
) -> pulumi.Output[_T]:
    """
    The answer once the arguments are known; unknown as long as one of them is.

    Args:
        function: The function that answers at once.
        arguments: Its positional arguments.
        provider: Whose account; the stack's own unless given.
        secret: Whether the answer is.
    """

    async def answer(values: list[Any]) -> _T:
        # In a thread of its own: the program goes on declaring resources meanwhile.
        return await asyncio.to_thread(function, *values, provider=provider)

    known: list[Any] = [*arguments] if provider is None else [*arguments, provider.ready]
    answers: pulumi.Output[_T] = pulumi.Output.all(*known).apply(
        lambda values: answer(values[: len(arguments)])
    )
    return pulumi.Output.secret(answers) if secret else answers


def _settings(provider: Provider | None) -> dict[str, str | None]:
    if provider is None:
        given = pulumi.Config(NAMESPACE)
        config.refuse_misspelt(lambda key: given.get(key.removeprefix(f"{NAMESPACE}:")))
        return {f"{NAMESPACE}:{key}": given.get(key) for key in config.KEYS}
    if provider.settings is None:
        msg = (
            "the provider's key or address is an output that is not known yet: call the function's `_output` twin, "
            "which waits for it"
        )
        raise ConfigError(msg)
    return provider.settings
