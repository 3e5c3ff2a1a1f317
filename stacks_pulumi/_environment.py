"""
The environment variables for a command that needs no secret.

Such a command receives only the variables in fixed lists. So it receives no keys, not even new kinds of keys or the
keys of other tools. The engine and its child processes need more variables, and do not use these lists.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

_BY_ALL: Final = (
    *("PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_*", "TZ", "TMPDIR", "TMP", "TEMP"),
    # On Windows, no process starts without these.
    *("SYSTEMROOT", "WINDIR", "COMSPEC", "PATHEXT", "USERPROFILE", "APPDATA", "LOCALAPPDATA", "PROGRAMDATA"),
)

OF_NETWORK: Final = (
    *("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "all_proxy", "no_proxy"),
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"),
)  # fmt: skip
"""Variables for proxies and certificates, for commands that may download files."""

OF_PYTHON: Final = ("PYTHON*", "VIRTUAL_ENV", "LD_LIBRARY_PATH", "DYLD_*")
"""Variables that choose a Python and its modules."""

OF_SSH: Final = ("SSH_AUTH_SOCK", "SSH_SK_PROVIDER", "SSH_SK_HELPER")
"""Variables that the SSH agent and hardware keys need."""


def pulumi_home() -> Path:
    """Return `PULUMI_HOME`, or `~/.pulumi` if it is not set, as the engine does."""
    return Path(os.environ.get("PULUMI_HOME") or Path.home() / ".pulumi")


_ITSELF: Final = (
    "import sys; sys.path[:] = filter(None, sys.path); from stacks_pulumi.cli import main; sys.exit(main())"
)


def own_command() -> tuple[str, ...]:
    """
    Return the first words of a command line that runs this package.

    With `-m`, Python would first search for modules in the working directory, which may contain files from the author
    of a change.
    """
    return sys.executable, "-c", _ITSELF


def client_certificate() -> str | None:
    """Return the file with this client's certificate and private key; `None` if no file is set."""
    return os.environ.get("STACKS_CLIENT_CERT", "").strip() or None


_OF_PULUMI: Final = ("PULUMI_ACCESS_TOKEN", "PULUMI_CONFIG_PASSPHRASE", "PULUMI_CONFIG_PASSPHRASE_FILE")


@contextlib.contextmanager
def keys_hidden() -> Iterator[None]:
    """Remove the keys from this process's environment while the block runs code of a policy pack or of a gate."""
    names = [name for name in os.environ if name.startswith("STACKS_") or name in _OF_PULUMI]
    kept = {name: os.environ.pop(name) for name in names}
    try:
        yield
    finally:
        os.environ.update(kept)


def without_secrets(*names: str) -> dict[str, str]:
    """
    Return the variables that every command receives, plus the variables with these names; a name may end with `*`.
    """
    wanted = (*_BY_ALL, *names)
    whole = {name for name in wanted if not name.endswith("*")}
    begins = tuple(name[:-1] for name in wanted if name.endswith("*"))
    return {name: value for name, value in os.environ.items() if name in whole or name.startswith(begins)}


def without_options(given: Mapping[str, str]) -> dict[str, str]:
    """Return the variables without the engine's options, which users may have set for their own commands."""
    return {name: value for name, value in given.items() if not name.startswith("PULUMI_OPTION_")}
