"""The checked statements: each assumption that `openapi.yaml` marks, and statements of the guide."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Final, Literal

from tools.acceptance.contract import contract

__all__ = ["NEVER", "Source", "Statement", "statements"]

Source = Literal["identity", "assumed", "strict", "guide"]


@dataclass(frozen=True)
class Statement:
    """
    One statement about the API.

    Attributes:
        source: `identity`: the basis for the identity of containers. `assumed`, `strict`: the marks `x-assumed` and
            `x-strict` of `openapi.yaml`. `guide`: the API guide.
        subject: The operation, or the section of the guide.
        text: The statement.
    """

    source: Source
    subject: str
    text: str

    def __str__(self) -> str:
        return f"{self.subject}: {self.text}"


_IDENTITY: Final = (
    "It stays the same over a restart.",
    "It stays the same over a stop and a start.",
    "It stays the same over a backup.",
    "It stays the same over a restore.",
    "It stays the same over external access.",
    "It stays the same over a connection.",
    "The list and the status show the same time.",
    "The answer to the creation shows the same time.",
)

_GUIDE: Final[tuple[tuple[str, str], ...]] = (
    ("authentication", "An invalid key is a 401 with the body that the guide shows."),
    ("rate limit", "Answers have X-RateLimit-Limit, X-RateLimit-Remaining and X-RateLimit-Reset."),
    ("rate limit", "A 429 has Retry-After."),
    ("scopes", "A key without a scope gets a 403 with the scope that is needed and those of the key."),
    ("spending cap", "A creation over the cap is a 402 with the cap and what was spent."),
    ("capacity", "Without capacity a creation is a 503, and the account is on the waitlist."),
    ("dashboard", "What needs the dashboard is a 403 with a hint."),
    ("billing", "A container is billed by the minute, up to its monthly price."),
    ("containers.list", "The answer has the form of the guide."),
    ("containers.templates", "All templates of the guide are available."),
    ("containers.create", "The answer is a 202 with the status pending."),
    ("containers.create", "The answer has the form of the guide."),
    ("containers.create", "The id ends with the name."),
    ("containers.create", "A name of more than 32 characters is a 400 with the body that the guide shows."),
    (
        "containers.create",
        "A name with other characters than letters, digits and hyphens is a 400 on the field.",
    ),
    ("containers.create", "A name that ends with a hyphen is a 400 on the field."),
    ("containers.create", "A name with two hyphens in a row is a 400 on the field."),
    ("containers.create", "A name of fewer than 3 characters is a 400 on the field."),
    ("containers.create", "Additional storage for a micro container is a 400 on the field."),
    ("containers.status", "The answer has the form of the guide."),
    ("containers.status", "A new container runs within 30 seconds."),
    ("containers.status", "The plan micro has 0.1 vCPU, 512 MB and 5 GB."),
    ("containers.status", "A container that does not exist is a 404."),
    ("containers.set_status", "A word other than running, stopped and restart is a 400."),
    ("containers.credentials", "The answer has the form of the guide."),
    ("containers.logs", "The parameter lines is the number of lines, up to 500."),
    ("containers.metrics", "The answer has cpu, memory, disk, network_in and network_out."),
    ("containers.certificate", "A compute container has an SSH private key."),
    ("containers.regenerate_certificate", "The key is another one afterwards."),
    ("containers.external_access", "The answer to enabling has your_ip, subdomain and url."),
    ("containers.external_access", "Enabling adds the caller's address to the list."),
    ("containers.external_access", "Disabling removes the subdomain and all addresses."),
    ("allowed_ips.list", "The answer has the form of the guide."),
    ("allowed_ips.add", "IPv4 and IPv6 addresses and CIDR ranges are accepted."),
    ("allowed_ips.add", "The default description is Custom IP, the default service type both."),
    ("allowed_ips.add", "An address that is none is a 400."),
    ("allowed_ips.remove", "The last address cannot be removed."),
    ("connections.targets", "The answer has the form of the guide."),
    ("connections.create", "The answer has the form of the guide."),
    ("connections.list", "The answer has the form of the guide."),
    ("backups.list", "The answer has the form of the guide."),
    ("backups.list", "The parameter limit is the number of backups."),
    ("backups.trigger", "The answer is a 202 with the status in_progress."),
    ("backups.trigger", "The container must be running."),
    ("backups.stats", "The answer has the form of the guide."),
    ("backups.restore", "The container must be running."),
    ("backups.pin", "A pinned backup is listed with pinned 1."),
)

NEVER: Final[dict[tuple[str, str], str]] = {
    ("scopes", "A key without"): "it needs a second key with fewer scopes",
    ("spending cap", "A creation over"): "it needs a key whose cap is reached",
    ("capacity", "Without capacity"): "it needs a platform without capacity",
    ("dashboard", "What needs"): "the guide does not name the paths",
    ("billing", "A container is billed"): "a key cannot read the bill",
    ("containers.create", "A name of fewer than 3"): "such a name cannot have the random prefix",
    ("containers.create", "What counts against the cap"): "it needs a key with a cap, and a bill",
    ("containers.set_status", "A container that failed to boot"): "no boot is made to fail",
    ("vpn_clients.list", "The scope."): "it needs a second key with fewer scopes",
    ("vpn_clients.add", "The scope."): "it needs a second key with fewer scopes",
    ("vpn_clients.config", "The scope."): "it needs a second key with fewer scopes",
    ("vpn_clients.remove", "The scope."): "it needs a second key with fewer scopes",
    ("every NoCapacity answer", "The body."): "it needs a platform without capacity",
}
"""Statements that a run cannot observe: subject and the beginning of the text, and why."""


@functools.cache
def statements() -> tuple[Statement, ...]:
    """Return every statement, in the order of the report."""
    return (
        *(Statement("identity", "created_at", text) for text in _IDENTITY),
        *(Statement("assumed", subject, text) for subject, text in contract().marks("x-assumed")),
        *(Statement("strict", subject, text) for subject, text in contract().marks("x-strict")),
        *(Statement("guide", subject, text) for subject, text in _GUIDE),
    )
