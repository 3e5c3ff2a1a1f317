"""
Pulumi configuration and environment, read into one frozen value.

Nothing here imports Pulumi: the provider hands in the configuration that the engine gave it, a program that uses
the client alone hands in nothing, and the environment fills the gaps.
"""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

from stacks_pulumi.errors import ConfigError

__all__ = [
    "ADOPT_MODES",
    "DEFAULT_BASE_URL",
    "KEYS",
    "LONGEST_NAME",
    "NAMESPACE",
    "NAME_EXPRESSION",
    "AccountSettings",
    "check_api_key",
    "check_base_url",
    "check_name_pattern",
    "flag",
    "load",
    "refuse_misspelt",
]

KEYS: Final = (
    "apiKey",
    "baseUrl",
    "allowHttp",
    "adopt",
    "requestsPerMinute",
    "maxConcurrency",
    "deleteChildrenWithContainer",
    "namePattern",
    "account",
)
"""What is read; `account` is set by an explicit provider alone."""

NAMESPACE: Final = "stacks"
"""The namespace of our keys in a stack's configuration: `pulumi config set stacks:apiKey --secret`."""

DEFAULT_BASE_URL: Final = "https://api.stackshosting.cloud/api/v1"
"""Where the API is (guide, "Overview")."""

ADOPT_MODES: Final = ("never", "if_matching")
"""What to do when the thing to create exists already: refuse and say so, or take it over if it is equal."""

LONGEST_NAME: Final = 32
"""Characters that a container's name may have (guide, "Create Container")."""

NAME_EXPRESSION: Final = re.compile(r"\$\{([^}]*)\}")
"""An expression in a name pattern, as in Pulumi's own patterns."""

_NAME_EXPRESSIONS: Final = ("name", "stack", "project", "organization")
_RANDOM_EXPRESSIONS: Final = re.compile(r"(hex|alphanum|string|num)\(.*\)|uuid")
_KEY: Final = re.compile(r"sk_stacks_[0-9a-fA-F]{64}")


@dataclass(frozen=True)
class AccountSettings:
    """
    How to reach the API, and as whom.

    Attributes:
        api_key: `sk_stacks_` and 64 hexadecimal digits; never shown in `repr`. `None` if none was given, which
            is an error only once something has to be asked of the API.
        base_url: Where the API is, without a trailing slash.
        allow_http: Whether `base_url` may be `http://` on another machine.
        delete_children_with_container: Whether child resources are left to the deletion of their container.
        adopt: `never` or `if_matching`; a resource's own `adopt` takes precedence.
        requests_per_minute: The budget to keep to until an answer's headers say otherwise.
        max_concurrency: How many operations one provider process runs in parallel.
        name_pattern: The pattern of the containers' default names; `None` for the resource's name alone.
        account: What the program calls the account; `None` for the stack's own.
    """

    api_key: str | None = field(default=None, repr=False)
    base_url: str = DEFAULT_BASE_URL
    allow_http: bool = False
    delete_children_with_container: bool = False
    adopt: str = "never"
    requests_per_minute: int = 60
    max_concurrency: int = 64
    name_pattern: str | None = None
    account: str | None = None

    def require_key(self) -> str:
        """
        The key.

        Raises:
            ConfigError: There is none.
        """
        if self.api_key is None:
            msg = f"no STACKS API key is configured: {_how_to_set_key(self.account)}"
            raise ConfigError(msg)
        return self.api_key


def load(
    config: Mapping[str, str | None] | None = None, environ: Mapping[str, str] | None = None
) -> AccountSettings:
    """
    Settings from a stack's configuration, with the environment for what it leaves out.

    Args:
        config: Keys with their namespace (`stacks:apiKey`), as the engine hands them to a provider.
        environ: `os.environ` unless given. `STACKS_API_KEY`, `STACKS_BASE_URL` and `STACKS_ALLOW_HTTP`
            are read.

    Raises:
        ConfigError: A value is malformed. The message names the key of the configuration, never an API key.
    """
    given = config or {}
    environ = os.environ if environ is None else environ

    def value(key: str, variable: str | None = None) -> str | None:
        found = given.get(f"{NAMESPACE}:{key}")
        if found is None and variable is not None:
            found = environ.get(variable)
        return found.strip() or None if found is not None else None

    account = value("account")
    # An account of its own has a key of its own: that of the environment is somebody else's.
    api_key = value("apiKey", "STACKS_API_KEY" if account is None else None)
    adopt = value("adopt") or AccountSettings.adopt
    if adopt not in ADOPT_MODES:
        msg = f"stacks:adopt is {adopt!r}, and must be one of {', '.join(ADOPT_MODES)}"
        raise ConfigError(msg)
    allow_http = flag("allowHttp", value("allowHttp", "STACKS_ALLOW_HTTP"))
    base_url = value("baseUrl", "STACKS_BASE_URL") or DEFAULT_BASE_URL
    name_pattern = value("namePattern")
    return AccountSettings(
        api_key=None if api_key is None else check_api_key(api_key, account),
        base_url=check_base_url(base_url, allow_http=allow_http),
        allow_http=allow_http,
        delete_children_with_container=flag(
            "deleteChildrenWithContainer", value("deleteChildrenWithContainer")
        ),
        adopt=adopt,
        requests_per_minute=_count(
            "requestsPerMinute", value("requestsPerMinute"), AccountSettings.requests_per_minute
        ),
        max_concurrency=_count("maxConcurrency", value("maxConcurrency"), AccountSettings.max_concurrency),
        name_pattern=None if name_pattern is None else check_name_pattern(name_pattern),
        account=account,
    )


def refuse_misspelt(get: Callable[[str], object]) -> None:
    """
    Refuse a setting that has no effect because its name is misspelt.

    With `stacks:baseURL` a program that is meant for the emulator would go to the API itself.

    Args:
        get: Looks a key up in the configuration, with its namespace; `None` if it is not there.

    Raises:
        ConfigError: There is such a setting.
    """
    for key in KEYS:
        snake = re.sub(r"[A-Z]", lambda found: f"_{found[0].lower()}", key)
        others = {
            key.lower(),
            snake,
            snake.replace("_", "-"),
            key[0].upper() + key[1:],
            key.replace("Url", "URL").replace("api", "API").replace("Http", "HTTP"),
        }
        for other in sorted(others - {key}):
            if get(f"{NAMESPACE}:{other}") is not None:
                msg = (
                    f"unknown setting stacks:{other}; did you mean stacks:{key}? `pulumi config rm stacks:{other}` "
                    "removes it"
                )
                raise ConfigError(msg)


def check_api_key(api_key: str, account: str | None = None) -> str:
    """
    The key as it was given, if it has the form of one (guide, "API Key Format").

    Args:
        api_key: The key.
        account: The explicit provider that it was given to, if any, for the error.

    Raises:
        ConfigError: It has not; the message describes the form and never repeats the key.
    """
    if _KEY.fullmatch(api_key):
        return api_key
    if not api_key.startswith("sk_stacks_"):
        seen = "it does not start with sk_stacks_"
    else:
        seen = f"it has {len(api_key) - len('sk_stacks_')} characters after sk_stacks_, or some are not hexadecimal"
    msg = (
        f"the STACKS API key is malformed ({seen}): it is sk_stacks_ and 64 hexadecimal digits; "
        f"{_how_to_set_key(account)}"
    )
    raise ConfigError(msg)


def check_base_url(base_url: str, *, allow_http: bool = False) -> str:
    """
    The address without a trailing slash, if it is one that a key may be sent to.

    Args:
        base_url: The address.
        allow_http: Accept `http://` to any host, for an emulator in another container. The key and every password
            are then readable on the network.

    Raises:
        ConfigError: It is no address, it carries credentials, a query or a fragment, or it is plain `http://` to
            anything but this machine. The message leaves out what stands before an `@`.
    """
    try:
        parts = urlsplit(base_url)
        host, _port = parts.hostname, parts.port
    except ValueError:
        host, parts = None, urlsplit("")
    shown = base_url.rsplit("@", 1)[-1]
    if parts.scheme not in {"https", "http"} or not host:
        msg = f"stacks:baseUrl {shown!r} is no address of an API: it looks like {DEFAULT_BASE_URL}"
        raise ConfigError(msg)
    if parts.username is not None or parts.password is not None:
        msg = (
            f"stacks:baseUrl holds credentials before {shown!r}: take them out, the API key is the credential"
        )
        raise ConfigError(msg)
    if parts.query or parts.fragment:
        msg = f"stacks:baseUrl {shown!r} has a query or a fragment: give the address alone"
        raise ConfigError(msg)
    if parts.scheme == "http" and not allow_http and not _is_loopback(host):
        msg = (
            f"stacks:baseUrl {shown!r} sends the API key in clear text: use https://, or, for an emulator in a network "
            "that you trust, set stacks:allowHttp or STACKS_ALLOW_HTTP to true"
        )
        raise ConfigError(msg)
    return base_url.rstrip("/")


def check_name_pattern(pattern: str) -> str:
    """
    Return the pattern, if every name that it makes can be the name of a container.

    Args:
        pattern: Text with Pulumi's expressions, for instance `${name}-${stack}`.

    Raises:
        ConfigError: It has another expression, no `${name}`, or characters that a container's name cannot have.
    """
    expressions = NAME_EXPRESSION.findall(pattern)
    literal = NAME_EXPRESSION.sub("", pattern)
    unknown = [word for word in expressions if word not in _NAME_EXPRESSIONS]
    if any(_RANDOM_EXPRESSIONS.fullmatch(word) for word in unknown):
        problem = f"${{{unknown[0]}}} is random, and a container keeps its name"
    elif unknown:
        known = ", ".join(f"${{{word}}}" for word in _NAME_EXPRESSIONS)
        problem = f"there is no expression ${{{unknown[0]}}}; there are {known}"
    elif "$" in literal or "{" in literal or "}" in literal:
        problem = "an expression is written ${name}"
    elif "name" not in expressions:
        problem = "without ${name} all containers would have the same name"
    elif not re.fullmatch(r"[A-Za-z0-9-]*", literal) or "--" in pattern or pattern.strip("-") != pattern:
        problem = "beside expressions, it may have letters, digits and, in between, single hyphens"
    elif len(literal) > LONGEST_NAME // 2:
        problem = f"beside expressions, it may have {LONGEST_NAME // 2} characters, and it has {len(literal)}"
    else:
        return pattern
    msg = f"stacks:namePattern is {pattern!r}: {problem}. For example: ${{name}}-${{stack}}"
    raise ConfigError(msg)


def _how_to_set_key(account: str | None) -> str:
    where = (
        "run `pulumi config set stacks:apiKey --secret` or set the environment variable STACKS_API_KEY"
        if account is None
        else f'it is the api_key that the program hands to the provider "{account}"'
    )
    return f"{where}; a key is made in the STACKS dashboard under Account Settings, API Keys"


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def flag(key: str, text: str | None) -> bool:
    """
    Read a setting that is true or false; false unless given.

    Raises:
        ConfigError: It is neither.
    """
    # A boolean of a program arrives as Python writes it.
    words = {"true": True, "false": False}
    if text is None:
        return False
    if text.strip().lower() not in words:
        msg = f"stacks:{key} is {text!r}: it is true or false"
        raise ConfigError(msg)
    return words[text.strip().lower()]


def _count(key: str, text: str | None, default: int) -> int:
    if text is None:
        return default
    # An explicit provider's inputs pass through the engine, where a whole number may become "60.0".
    digits = text.removesuffix(".0")
    if not (digits.isascii() and digits.isdigit() and int(digits) >= 1):
        msg = f"stacks:{key} is {text!r}: it is a whole number, 1 or more"
        raise ConfigError(msg)
    return int(digits)
