"""
How does a command connect to a broker: at its address, or through its folder?

A client of a different user or on a different machine needs the broker's address and the token of a grant. If the user
can read the folder, the client needs neither: it uses the server that serves the folder. If no server runs, the client
starts one for the run (`embedded`).
"""

from __future__ import annotations

import contextlib
import getpass
import os
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias
from urllib.parse import urlsplit

from stacks_pulumi._clock import SYSTEM_CLOCK
from stacks_pulumi.config import GRANT, check_base_url
from stacks_pulumi.errors import ConfigError, StacksError, clean

Place: TypeAlias = Path | str
"""The place of a broker: its folder or its address."""

BASE: Final = "/api/v1"
_OWN: Final = "/_broker/"
_SECONDS: Final = 40.0
_TRIES: Final = 5
_NO_GRANT: Final = 401
_TOO_MANY: Final = 429
_TTL: Final = 2 * 3600.0


class BrokerError(StacksError):
    """
    Raised if a broker refuses a request.

    Attributes:
        kind: Its code: `grant-refused`, `approval-needed`, `grant-limit` or `grant-busy`.
        verdict: The verdict on the change, if the broker judged one.
    """

    kind: str = ""
    verdict: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Broker:
    """
    A broker.

    Attributes:
        url: Its address, for clients of the API.
        token: The token of a grant that can read; empty if there is none.
        folder: Its folder, if it is known on this machine.
        used: The file descriptor that each process of the run inherits, if the broker was started for this run.
    """

    url: str
    token: str = ""
    folder: Path | None = None
    used: int | None = None

    def ask(
        self, method: str, what: str, body: Mapping[str, Any] | None = None, token: str | None = None
    ) -> dict[str, Any]:
        """
        Send a request to one of the broker's own endpoints, and return the answer; `what` is the path below
        `/_broker/`.

        The default token is the token of this broker.

        Raises:
            BrokerError: The broker refuses.
            StacksError: The broker does not answer.
        """
        import requests  # noqa: PLC0415  (not to list the commands)

        from stacks_pulumi.api._transport import Bearer, session_to  # noqa: PLC0415  (as above)

        token = self.token if token is None else token
        address = f"{self.url.removesuffix(BASE)}{_OWN}{what}"
        for left in reversed(range(_TRIES)):
            try:
                with session_to(address, Bearer(token) if token else None) as session:
                    # A redirect would send the token to another address.
                    answer = session.request(
                        method, address, json=body, timeout=_SECONDS, allow_redirects=False
                    )
                    content = answer.json()
            except (OSError, ValueError) as failed:
                # If the certificate file is missing, `requests` raises an `OSError` that does not name the address.
                is_file = not isinstance(failed, (requests.RequestException, ValueError))
                why = f": {clean(str(failed))}" if is_file else ""
                raise StacksError(f"no broker answers at {self.url}{why}", code="connection-failed") from None
            if answer.status_code == _TOO_MANY and left:
                wait = answer.headers.get("retry-after", "")
                time.sleep(min(int(wait) if wait.isdecimal() else 1, 60))
                continue
            break
        if not isinstance(content, dict):
            raise StacksError(f"no broker answers at {self.url}", code="connection-failed")
        if answer.status_code == _NO_GRANT:
            words = (
                "the broker at {} does not know this token: set STACKS_API_KEY to the token of a grant that may "
                "read"
            )
            raise BrokerError(words.format(self.url), code="api-key-refused")
        if not answer.ok:
            hint = content.get("hint")
            words = str(content.get("error", f"it answered {answer.status_code}"))
            error = BrokerError(f"{words}: {hint}" if hint else words, code="grant-refused")
            error.kind, error.verdict = str(content.get("code", "")), content.get("verdict")
            raise error
        return content

    def verdict(self, statement: str, signatures: Sequence[str] = ()) -> dict[str, Any]:
        """Return the verdict on a change and a description of its containers."""
        return self.ask("POST", "verdicts", {"statement": statement, "signatures": [*signatures]})

    def environment(self, token: str) -> dict[str, str]:
        """Return the environment variables for a command that uses a grant instead of the key."""
        return {**os.environ, "STACKS_BASE_URL": self.url, "STACKS_API_KEY": token}

    def why_exposed(self) -> str:
        """Return why code that runs as this user could read the broker's key; empty if no way was found."""
        if self.folder is not None:
            return "this user can read the broker's folder, and with it the API key: let another user run the broker"
        process = self.ask("GET", "settings").get("process") if self.token else None
        if not isinstance(process, dict) or not _is_here(urlsplit(self.url).hostname or ""):
            return ""
        if os.getuid() in {0, process.get("uid")}:
            return "the broker runs as this user, so the command can read the API key: run the broker as another user"
        return ""


def _is_here(host: str) -> bool:
    """Return whether a host is this machine: a socket can be bound to its address."""
    with contextlib.suppress(OSError):
        for family, kind, _, _, address in socket.getaddrinfo(host, 0, type=socket.SOCK_DGRAM):
            with contextlib.suppress(OSError), socket.socket(family, kind) as probe:
                probe.bind(address)
                return True
    return False


def place_of(given: str | None) -> Place | None:
    """
    Return the place of the broker; `None` if neither the option nor the environment names one.

    `given` is the value of `--gate`. Without this option, the address comes from the environment.
    """
    if given is not None:
        return given if "://" in given else Path(given)
    url = os.environ.get("STACKS_BASE_URL", "")
    is_grant = os.environ.get("STACKS_API_KEY", "").startswith(GRANT)
    return url if is_grant and url else None


@contextlib.contextmanager
def opened(place: Place | None, *, may_apply_free: bool = False) -> Iterator[Broker]:
    """
    Yield the broker at a place, for as long as the block lasts.

    Args:
        place: Its folder, or its address.
        may_apply_free: For a folder, whether the token may submit changes that need no approval. No program receives
            this token.

    Raises:
        ConfigError: No broker is named, the folder is not a broker's folder, or the address is malformed.
        StacksError: A server does not start.
    """
    if place is None:
        raise ConfigError(
            "no broker is given: pass its folder or its address with --gate, or set STACKS_BASE_URL and STACKS_API_KEY "
            "to its address and the token of a grant",
            code="invalid-argument",
        )
    if isinstance(place, Path):
        from stacks_pulumi.gate import embedded  # noqa: PLC0415  (a client of an address needs no server)

        with embedded.served(place) as (url, used), _reader(place, may_apply_free=may_apply_free) as token:
            yield Broker(url, token, place, used)
        return
    root = place.rstrip("/").removesuffix(BASE)
    token = os.environ.get("STACKS_API_KEY", "").strip()
    yield Broker(check_base_url(f"{root}{BASE}"), token if token.startswith(GRANT) else "")


@contextlib.contextmanager
def _reader(folder: Path, *, may_apply_free: bool) -> Iterator[str]:
    """Yield the token of a new grant for reading; the grant ends with the block."""
    from stacks_pulumi.broker.folder import Folder  # noqa: PLC0415  (as above)
    from stacks_pulumi.broker.ledger import Spec  # noqa: PLC0415  (as above)

    with contextlib.closing(Folder(folder, SYSTEM_CLOCK)) as opened_folder:
        ledger = opened_folder.ledger
        spec = Spec(may_apply_free=may_apply_free)
        grant, token = ledger.issue("read", f"{getpass.getuser()} (gate)", seconds=_TTL, spec=spec)
        try:
            yield token
        finally:
            ledger.revoke(grant)
