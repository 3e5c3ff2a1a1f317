"""
Provider: a separate account for some of a program's resources. The module also contains the errors that end a program
with only a message.
"""

from __future__ import annotations

import functools
import weakref
from collections.abc import Mapping
from typing import Any, Final

import pulumi
from pulumi.runtime import get_config_secret_keys_env, get_root_resource, is_config_secret
from pulumi.runtime.mocks import MockMonitor
from pulumi.runtime.settings import get_monitor

from stacks_pulumi.config import KEYS, NAMESPACE, load, plain_key
from stacks_pulumi.errors import ConfigError, StacksError, with_account
from stacks_pulumi.resources._literals import AdoptMode


def shown_alone(error: StacksError) -> StacksError:
    """Return a copy of the error that is also a `pulumi.RunError`."""
    kind = _shown_alone(type(error))  # type: ignore[arg-type]  # mypy treats a class as not hashable
    return kind(**error.values())


@functools.cache
def _shown_alone(kind: type[StacksError]) -> type[StacksError]:
    """
    Return the class for a kind of error. Since no module contains this class, its errors are pickled as the original
    class.
    """

    def reduce(error: StacksError) -> tuple[Any, ...]:
        return shown_alone, (kind(**error.values()),)

    return type(
        kind.__name__,
        (kind, pulumi.RunError),
        {"__doc__": kind.__doc__, "__module__": kind.__module__, "__reduce__": reduce},
    )


# There is one entry for each run: with the Automation API one process runs several programs, each with its own root.
_warned: Final[weakref.WeakSet[pulumi.Resource]] = weakref.WeakSet()


def check_stored_key() -> None:
    """
    Warn once in each run if the key in the stack's configuration is not a secret.

    Only the program can check this, because the SDK's host receives the configuration without secret markers.

    Raises:
        ConfigError: The key is not a secret, although `stacks:requireSecretKey` is set. Or that setting is malformed.
    """
    name, root, config = f"{NAMESPACE}:apiKey", get_root_resource(), pulumi.Config(NAMESPACE)
    # A thread of the program may have access only to the configuration in the environment.
    is_secret = is_config_secret(name) or name in get_config_secret_keys_env()
    if root is None or isinstance(get_monitor(), MockMonitor) or is_secret or not config.get("apiKey"):
        return
    try:
        text = plain_key(pulumi.get_stack(), config.get("requireSecretKey"))
    except ConfigError as error:
        raise shown_alone(error) from None
    if root not in _warned:
        _warned.add(root)
        pulumi.log.warn(text)


class Provider(pulumi.ProviderResource):
    """
    A STACKS account, passed to resources as `opts=pulumi.ResourceOptions(provider=...)`.

    Resources without this option use the account in the stack's configuration. A child resource (a connection, an
    allowed address ...) uses its container's account automatically. The key is a secret in the state.
    """

    def __init__(
        self,
        resource_name: str,
        opts: pulumi.ResourceOptions | None = None,
        *,
        api_key: pulumi.Input[str],
        base_url: pulumi.Input[str] | None = None,
        allow_http: pulumi.Input[bool] | None = None,
        adopt: AdoptMode | None = None,
        requests_per_minute: pulumi.Input[int] | None = None,
        max_concurrency: pulumi.Input[int] | None = None,
        delete_children_with_container: bool | None = None,
        name_pattern: pulumi.Input[str] | None = None,
        platform: pulumi.Input[str] | None = None,
        hide_logs: pulumi.Input[bool] | None = None,
    ) -> None:
        """
        Declare an account.

        Args:
            resource_name: Name in the program; error messages use it as the name of the account.
            opts: Pulumi's options.
            api_key: `sk_stacks_` and 64 hexadecimal digits.
            base_url: The API's base URL. Default: the stack's setting (`stacks:baseUrl`).
            allow_http: Whether `base_url` may be `http://` on a different machine. Default: the stack's setting.
            adopt: `never` (default) or `if_matching`, for all resources of the account.
            requests_per_minute: The rate limit that applies until the API's headers report a different one (default
                60).
            max_concurrency: How many operations to run in parallel (default 64).
            delete_children_with_container: Delete child resources together with their container. If the container is
                not deleted, its children still exist, but no state contains them. Default: the stack's setting
                (`stacks:deleteChildrenWithContainer`, false).
            name_pattern: The pattern of the default names of containers, for instance `${name}-${stack}`. Default: the
                stack's setting (`stacks:namePattern`). `${name}` leaves names unchanged.
            platform: The platform file. Default: the stack's setting (`stacks:platform`).
            hide_logs: Omit the last log lines, which may contain a password, from the error of a failed start. Default:
                the stack's setting (`stacks:hideLogs`, false).

        Raises:
            ConfigError: `api_key` is `None`, for instance because the configuration value is not set. Or a known value
                is malformed.
        """
        given_key: Any = api_key  # programs need not be type-checked
        if given_key is None or (isinstance(given_key, str) and not given_key.strip()):
            # Without this check, the containers would be created in the stack's account, with its key.
            msg = f'the provider "{resource_name}" has no api_key: set the configuration value that it is read from'
            raise shown_alone(ConfigError(msg, code="missing-api-key"))
        name_pattern = name_pattern or pulumi.Config(NAMESPACE).get("namePattern")
        given = {
            "apiKey": api_key,
            "baseUrl": base_url or pulumi.Config(NAMESPACE).get("baseUrl"),
            "allowHttp": _text(allow_http) or pulumi.Config(NAMESPACE).get("allowHttp"),
            "adopt": adopt,
            "requestsPerMinute": _text(requests_per_minute),
            "maxConcurrency": _text(max_concurrency),
            "namePattern": name_pattern,
            "platform": platform or pulumi.Config(NAMESPACE).get("platform"),
            "hideLogs": pulumi.Config(NAMESPACE).get("hideLogs") if hide_logs is None else _text(hide_logs),
            "account": resource_name,
        }
        settings = {f"{NAMESPACE}:{name}": value for name, value in given.items() if value is not None}
        plain: dict[str, str | None] = {
            name: value for name, value in settings.items() if isinstance(value, str)
        }
        try:
            load(plain)
        except ConfigError as error:
            # The error is raised in the user's program, where only the message helps, not a traceback through this
            # package.
            raise shown_alone(error.but(message=with_account(error.message, resource_name))) from None
        inputs = {**settings, f"{NAMESPACE}:apiKey": pulumi.Output.secret(api_key)}
        super().__init__("pulumi-python", resource_name, inputs, opts)
        self.adopt = adopt
        """
        Whether its resources adopt an existing object; the default is `never`, even if the stack sets a different
        value.
        """
        self.delete_children_with_container = delete_children_with_container
        """Whether child resources are deleted with their container; `None` means the stack's setting."""
        self.name_pattern = name_pattern
        """The pattern of the default names of its containers; `None` without one."""
        self.settings: dict[str, str | None] | None = None
        """Its settings, for data functions; `None` until they are known."""
        # The key is a secret, but this output is not: it only signals that the key is known.
        self.ready: pulumi.Output[bool] = pulumi.Output.unsecret(
            pulumi.Output.all(**inputs).apply(self._keep)
        )
        """Resolves when `settings` is known."""
        if len(plain) == len(settings):
            self._keep(plain)

    def _keep(self, settings: Mapping[str, Any]) -> bool:
        self.settings = {name: settings.get(name) for name in (f"{NAMESPACE}:{key}" for key in KEYS)}
        return True


def _text(value: pulumi.Input[int] | None) -> pulumi.Input[str] | None:
    """Return a number as a string, because a provider's inputs are strings."""
    if value is None or isinstance(value, int):
        return None if value is None else str(value)
    return pulumi.Output.all(value).apply(lambda values: str(values[0]))
