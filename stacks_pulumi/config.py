"""
The settings from the Pulumi configuration and the environment, as one immutable value.

Nothing here imports Pulumi. The provider passes the configuration from the engine; a program that uses only the client
passes no configuration. The environment supplies settings that are missing in the configuration. But a key is sent only
to an address from the same source. Otherwise, a cloned project could cause the user's own key to be sent to the
project's address.
"""

from __future__ import annotations

import functools
import hashlib
import ipaddress
import os
import re
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from stacks_pulumi.catalog import LONGEST_NAME
from stacks_pulumi.errors import ConfigError

if TYPE_CHECKING:
    from stacks_pulumi.platform_file import PlatformFile

KEYS: Final = (
    "apiKey",
    "baseUrl",
    "allowHttp",
    "adopt",
    "requestsPerMinute",
    "maxConcurrency",
    "deleteChildrenWithContainer",
    "namePattern",
    "platform",
    "requireSecretKey",
    "hideLogs",
    "account",
)
"""The names of all settings. Only an explicit provider sets `account`."""

OF_A_STACK: Final = tuple(key for key in KEYS if key != "account")
"""The settings in a stack's configuration."""

NAMESPACE: Final = "stacks"
"""The namespace of our keys in a stack's configuration: `pulumi config set stacks:apiKey --secret`."""

DEFAULT_BASE_URL: Final = "https://api.stackshosting.cloud/api/v1"
"""The API's default base URL (guide, "Overview")."""

OLDEST_ENGINE: Final = "3.259.0"
"""
The oldest tested version of the engine. An older engine causes a warning, and refuses a project that `scaffold` wrote.
"""

ADOPT_MODES: Final = ("never", "if_matching")
"""The possible actions if the resource to create already exists: fail, or adopt it if it matches the program."""

NAME_EXPRESSION: Final = re.compile(r"\$\{([^{}]*)\}")
"""An expression in a name pattern, as in Pulumi's own patterns."""

VARIABLES: Final = {
    "apiKey": "STACKS_API_KEY",
    "baseUrl": "STACKS_BASE_URL",
    "allowHttp": "STACKS_ALLOW_HTTP",
    "platform": "STACKS_PLATFORM",
}
"""Setting -> the environment variable that supplies it if it is missing in the configuration."""

_NAME_EXPRESSIONS: Final = ("name", "stack", "project", "organization")
_RANDOM_EXPRESSIONS: Final = re.compile(r"(hex|alphanum|string|num)\(.*\)|uuid")
_NETLOC: Final = re.compile(r"[^\[\]\\]+|\[[^\[\]\\]+\](:\d{0,5})?")
_KEY: Final = re.compile(r"sk_stacks_[0-9a-fA-F]{64}")
GRANT: Final = "sk_stacks_57ac6b0c"
"""The prefix of the token for a broker's grant. The 16 digits after it are the number of the broker's account."""
_WITH_PREFIX: Final = re.compile(r"sk_stacks_\w+", re.IGNORECASE)


@dataclass(frozen=True)
class AccountSettings:
    """
    The settings of one provider: the API's address, the key, and limits.

    Attributes:
        api_key: `sk_stacks_` and 64 hexadecimal digits; never shown in `repr`. `None` if no key was given; this is an
            error only when a request to the API is needed.
        base_url: The API's base URL, without a trailing slash.
        allow_http: Whether `base_url` may be `http://` on another machine.
        delete_children_with_container: Whether child resources are deleted together with their container instead of one
            by one.
        adopt: `never` or `if_matching`; a resource's own `adopt` takes precedence.
        requests_per_minute: The rate limit that applies until the headers of a response report a different one.
        max_concurrency: How many operations one provider process runs in parallel.
        name_pattern: The pattern of the containers' default names; `None` to use the resource's name.
        platform: The content of the platform file; `None` without a file.
        require_secret_key: Whether a plain-text key in the configuration is an error instead of a warning.
        hide_logs: Whether an error leaves out the last log lines of a container that did not start.
        account: The name of the explicit provider for this account; `None` for the stack's default account.
    """

    api_key: str | None = field(default=None, repr=False)
    base_url: str = DEFAULT_BASE_URL
    allow_http: bool = False
    delete_children_with_container: bool = False
    adopt: str = "never"
    requests_per_minute: int = 60
    max_concurrency: int = 64
    name_pattern: str | None = None
    platform: PlatformFile | None = None
    require_secret_key: bool = False
    hide_logs: bool = False
    account: str | None = None

    @functools.cached_property
    def fingerprint(self) -> str:
        """
        The text that identifies the account in a state: part of a digest of base URL and key, which does not reveal the
        key.

        For the token of a grant, it is the number of the broker's account, because the next run has a different token,
        and perhaps a different address.
        """
        if self.is_grant:
            return (self.api_key or "")[len(GRANT) : len(GRANT) + 16]
        return hashlib.sha256(f"{self.base_url} {self.api_key}".encode()).hexdigest()[:16]

    @property
    def is_grant(self) -> bool:
        """Whether the key is the token of a broker's grant."""
        return self.api_key is not None and self.api_key.startswith(GRANT)

    def require_key(self) -> str:
        """
        Return the key.

        Raises:
            ConfigError: No key is configured.
        """
        if self.api_key is None:
            msg = f"no STACKS API key is configured: {_how_to_set_key(self.account)}"
            raise ConfigError(msg, code="missing-api-key")
        return self.api_key


def load(
    config: Mapping[str, str | None] | None = None, environ: Mapping[str, str] | None = None
) -> AccountSettings:
    """
    Return the settings from a stack's configuration. The environment supplies missing settings.

    Args:
        config: Keys with their namespace (`stacks:apiKey`), as the engine passes them to a provider.
        environ: The environment (default: `os.environ`). `STACKS_API_KEY`, `STACKS_BASE_URL`, `STACKS_ALLOW_HTTP`,
            `STACKS_PLATFORM` and `STACKS_TRUST_PROJECT` are read.

    Raises:
        ConfigError: A value is malformed, or key and address come from different sources. The message names the setting
            and never contains its value, because a user may have put a key there.
    """
    config = config or {}
    environ = os.environ if environ is None else environ

    def value(key: str) -> str | None:
        value, source = given(key, config, environ)
        if value is not None and _WITH_PREFIX.search(value):
            raise ConfigError(f"{source} contains an API key: remove it there; {_how_to_set_key(None)}")
        return value

    account = value("account")
    api_key, _ = _key(config, environ)
    adopt = value("adopt") or AccountSettings.adopt
    if adopt not in ADOPT_MODES:
        msg = f"stacks:adopt must be one of {', '.join(ADOPT_MODES)}"
        raise ConfigError(msg)
    name_pattern = value("namePattern")
    platform = value("platform")
    address, source = given("baseUrl", config, environ)
    base_url = check_base_url(address or DEFAULT_BASE_URL, allow_http=True, source=source)
    check_pair(base_url, config, environ)
    allow_http = allows_http(config, environ)
    base_url = check_base_url(base_url, allow_http=allow_http, source=source)
    return AccountSettings(
        api_key=None if api_key is None else check_api_key(api_key, account),
        base_url=base_url,
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
        platform=None if platform is None else _platform(platform),
        require_secret_key=flag("requireSecretKey", value("requireSecretKey")),
        hide_logs=flag("hideLogs", value("hideLogs")),
        account=account,
    )


def given(key: str, config: Mapping[str, str | None], environ: Mapping[str, str]) -> tuple[str | None, str]:
    """
    Return the value of a setting, and the name of the setting or variable that contains it.

    The configuration takes precedence over the environment, even if the configuration's value is empty.
    """
    source, variable = f"{NAMESPACE}:{key}", VARIABLES.get(key)
    value = config.get(source)
    if value is None and variable is not None and environ.get(variable, "").strip():
        value, source = environ[variable], variable
    return (value or "").strip() or None, source


def allows_http(config: Mapping[str, str | None], environ: Mapping[str, str]) -> bool:
    """
    Return whether the base URL may be `http://` on another machine.

    The setting is read only from the source of the key. Without a key, the source of the address is used. So a project
    cannot cause the environment's key to be sent in plain text.

    Raises:
        ConfigError: The setting is neither true nor false.
    """
    key, source = _key(config, environ)
    if key is None:
        _, source = given("baseUrl", config, environ)
    if not _trusts_project(environ):
        config, environ = _only(source, config, environ)
    value, _ = given("allowHttp", config, environ)
    return flag("allowHttp", value)


def check_pair(base_url: str, config: Mapping[str, str | None], environ: Mapping[str, str]) -> None:
    """
    Check that key and base URL come from one source: both from the configuration, or both from the environment.

    The default address and this machine are allowed for every key. If both sources set the same address, it is allowed
    for both keys. `STACKS_TRUST_PROJECT=1` allows every pair.

    Raises:
        ConfigError: The key and the address come from different sources. The message contains the remedies.
    """
    key, source = _key(config, environ)
    is_public = base_url == DEFAULT_BASE_URL or is_loopback(urlsplit(base_url).hostname or "")
    if key is None or is_public or _trusts_project(environ):
        return
    own, _ = given("baseUrl", *_only(source, config, environ))
    if own is not None and own.rstrip("/") == base_url:
        return
    url = shlex.quote(base_url)
    if source in VARIABLES.values():
        msg = (
            f"the key in {source} is not sent to {base_url!r}, because the project sets this address "
            f"(stacks:baseUrl): if you trust it, run `export STACKS_BASE_URL={url}`, or give the stack its own key: "
            "`pulumi config set stacks:apiKey --secret`"
        )
    else:
        msg = (
            f"the key in {source} is not sent to {base_url!r}, because the environment sets this address "
            "(STACKS_BASE_URL): run `unset STACKS_BASE_URL`, or, if the key is for this address, `pulumi config set "
            f"stacks:baseUrl {url}`"
        )
    raise ConfigError(f"{msg}. STACKS_TRUST_PROJECT=1 allows every such combination of key and address")


def _key(config: Mapping[str, str | None], environ: Mapping[str, str]) -> tuple[str | None, str]:
    # An explicit provider has its own key: the environment's key belongs to the stack's default account.
    account, _ = given("account", config, {})
    return given("apiKey", config, environ if account is None else {})


def _only(
    source: str, config: Mapping[str, str | None], environ: Mapping[str, str]
) -> tuple[Mapping[str, str | None], Mapping[str, str]]:
    """Return only the configuration or only the environment, whichever contains this source; the other is empty."""
    return ({}, environ) if source in VARIABLES.values() else (config, {})


def _trusts_project(environ: Mapping[str, str]) -> bool:
    return environ.get("STACKS_TRUST_PROJECT", "").strip() == "1"


def plain_key(stack: str | None, required: str | None, *, seen: bool = True) -> str:
    """
    Return the warning about a plain-text key in the configuration, with the command that encrypts the key.

    Raises:
        ConfigError: `requireSecretKey` is set, or is malformed.
    """
    problem = (
        "stacks:apiKey is not a secret, so the API key is stored in plain text"
        if seen
        else "no configuration file of the stack shows that stacks:apiKey is a secret"
    )
    option = "" if stack is None else f" --stack {shlex.quote(stack)}"
    text = (
        f"{problem}: run `pulumi config set stacks:apiKey --secret{option}`, and then `pulumi up`. If that file or "
        "the state was committed or shared, revoke the key first and create a new one"
    )
    if flag("requireSecretKey", required):
        raise ConfigError(f"{text}. stacks:requireSecretKey is set, so this key is not used")
    return text


def check_spelling(get: Callable[[str], object]) -> None:
    """
    Refuse a setting that has no effect because its name is misspelt.

    For example, with `stacks:baseURL`, a program that should use the emulator would call the real API.

    Raises:
        ConfigError: The name of a setting is misspelt.
    """
    for key in KEYS:
        snake = re.sub(r"[A-Z]", lambda match: f"_{match[0].lower()}", key)
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
                raise ConfigError(msg, code="unknown-setting")


def check_api_key(api_key: str, account: str | None = None) -> str:
    """
    Return the key unchanged if it is well formed (guide, "API Key Format").

    Raises:
        ConfigError: The key is malformed. The message describes the expected form and never contains the key.
    """
    if _KEY.fullmatch(api_key):
        return api_key
    if not api_key.startswith("sk_stacks_"):
        seen = "it does not start with sk_stacks_"
    else:
        length = len(api_key) - len("sk_stacks_")
        seen = f"its length after sk_stacks_ is {length}, or some characters are not hexadecimal"
    msg = (
        f"the STACKS API key is malformed ({seen}): a key is sk_stacks_ and 64 hexadecimal digits; "
        f"{_how_to_set_key(account)}"
    )
    raise ConfigError(msg, code="malformed-api-key")


def check_base_url(base_url: str, *, allow_http: bool = False, source: str = "stacks:baseUrl") -> str:
    """
    Return the URL without a trailing slash, if it is safe to send the key to it.

    Args:
        base_url: The URL.
        allow_http: Accept `http://` to any host, for an emulator in another container. The key and every password
            are then readable on the network.
        source: The name of the setting or variable that contains the URL.

    Raises:
        ConfigError: The text is not a URL, or uses `http://` for another machine, or contains an API key, credentials,
            a query or a fragment. The message does not contain the text.
    """
    if _WITH_PREFIX.search(base_url):
        raise ConfigError(f"{source} contains an API key: remove it there; {_how_to_set_key(None)}")
    try:
        parts = urlsplit(base_url)
        host, _port = parts.hostname, parts.port
    except ValueError:
        host, parts = None, urlsplit("")
    # Refuse a URL that two parsers read differently: for one, the host could be this machine, for the other a different
    # one.
    is_plain = base_url.isprintable() and " " not in base_url and _NETLOC.fullmatch(parts.netloc) is not None
    if parts.scheme not in {"https", "http"} or not host or not is_plain:
        msg = f"{source} is not a valid API URL: a valid URL looks like {DEFAULT_BASE_URL}"
        raise ConfigError(msg)
    if parts.username is not None or parts.password is not None:
        msg = f"{source} contains credentials before the @: remove them, the API key is the credential"
        raise ConfigError(msg)
    if "?" in base_url or "#" in base_url:
        msg = f"{source} has a query or a fragment: give only the address"
        raise ConfigError(msg)
    if parts.scheme == "http" and not allow_http and not is_loopback(host):
        msg = (
            f"{source} sends the API key in plain text: use https://, or, for an emulator in a network "
            "that you trust, set stacks:allowHttp (with a key of the stack) or STACKS_ALLOW_HTTP to true"
        )
        raise ConfigError(msg)
    return base_url.rstrip("/")


def check_name_pattern(pattern: str) -> str:
    """
    Return the pattern unchanged if it produces valid names for containers.

    Raises:
        ConfigError: The pattern contains an unknown expression, no `${name}`, or characters that a container's name
            cannot contain.
    """
    expressions = NAME_EXPRESSION.findall(pattern)
    literal = NAME_EXPRESSION.sub("", pattern)
    unknown = [word for word in expressions if word not in _NAME_EXPRESSIONS]
    if any(_RANDOM_EXPRESSIONS.fullmatch(word) for word in unknown):
        problem = "one of its expressions is random, but a container's name never changes"
    elif unknown:
        known = ", ".join(f"${{{word}}}" for word in _NAME_EXPRESSIONS)
        problem = f"it contains an unknown expression; the known ones are {known}"
    elif "$" in literal or "{" in literal or "}" in literal:
        problem = "an expression has the form ${name}"
    elif "name" not in expressions:
        problem = "without ${name} all containers would have the same name"
    elif not re.fullmatch(r"[A-Za-z0-9-]*", literal) or "--" in pattern or pattern.strip("-") != pattern:
        problem = "outside of expressions, only letters, digits and single hyphens between them are allowed"
    elif len(literal) > LONGEST_NAME // 2:
        problem = f"outside of expressions, it has {len(literal)} characters; at most {LONGEST_NAME // 2} are allowed"
    else:
        return pattern
    msg = (
        f"stacks:namePattern is malformed: {problem}. For example: pulumi config "
        "set stacks:namePattern '${name}-${stack}' (with single quotes)"
    )
    raise ConfigError(msg)


def _platform(path: str) -> PlatformFile:
    # Imported here, because it loads msgspec, and most stacks have no platform file.
    from stacks_pulumi.platform_file import read  # noqa: PLC0415

    if not os.path.exists(path):  # noqa: PTH110  (pathlib raises for some text that is no path)
        # If no file has this path, the text may be a key, so the message does not contain it.
        msg = f"the file in stacks:platform does not exist; a relative path starts at {os.getcwd()}"  # noqa: PTH109
        raise ConfigError(msg, code="invalid-file")
    return read(path)


def _how_to_set_key(account: str | None) -> str:
    where = (
        "run `pulumi config set stacks:apiKey --secret` or set the environment variable STACKS_API_KEY"
        if account is None
        else f'the program must pass a valid api_key to the provider "{account}"'
    )
    return f"{where}; create a key in the STACKS dashboard under Account Settings, API Keys"


def is_loopback(host: str) -> bool:
    """Return whether a host is this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def flag(key: str, text: str | None) -> bool:
    """
    Return the value of a setting that is true or false; false if it is not set.

    Raises:
        ConfigError: The value is neither true nor false.
    """
    # A boolean from a Python program arrives as "True" or "False".
    words = {"true": True, "false": False}
    if text is None:
        return False
    if text.strip().lower() not in words:
        msg = f"stacks:{key} must be true or false"
        raise ConfigError(msg)
    return words[text.strip().lower()]


def _count(key: str, text: str | None, default: int) -> int:
    if text is None:
        return default
    # The engine may turn a whole number in an explicit provider's inputs into "60.0".
    digits = text.removesuffix(".0")
    if not (digits.isascii() and digits.isdigit() and int(digits) >= 1):
        msg = f"stacks:{key} must be a whole number, 1 or more"
        raise ConfigError(msg)
    return int(digits)
