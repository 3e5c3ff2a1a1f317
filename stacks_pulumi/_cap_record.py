"""
A file with the last refusal of a create request because of a key's spending cap, for later processes.

The API returns a key's cap and the amount spent only when it refuses a create request. `stacks-pulumi doctor` reads
them from this file. The provider never reads the file: it asks the API.
"""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from stacks_pulumi._home import pulumi_home

__all__ = ["CapRecord", "fingerprint", "forget", "recall", "remember"]

_KEPT: Final = 31 * 86400.0
"""Seconds after which a file is certainly of an earlier month, and is removed."""


@dataclass(frozen=True)
class CapRecord:
    """
    The cap and the spending from a 402 response.

    Attributes:
        cap: The key's monthly cap in US dollars.
        spent: The amount spent in that month, in US dollars.
        seen: When the response was received, in UTC.
    """

    cap: float
    spent: float
    seen: datetime.datetime


def fingerprint(base_url: str, api_key: str | None) -> str:
    """Return a hash that identifies this base URL and key; the key cannot be recovered from it."""
    return hashlib.sha256(f"{base_url} {api_key}".encode()).hexdigest()[:16]


def remember(key: str, cap: float, spent: float, now: float) -> None:
    """
    Store the cap and the spending from a 402 response.

    Args:
        key: The fingerprint of the key.
        cap: The key's monthly cap in US dollars.
        spent: The amount spent this month, in US dollars.
        now: Seconds since the Unix epoch.
    """
    file = _file(key)
    # If the folder cannot be written, the doctor lacks one line; the operation must not fail for that.
    with contextlib.suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        for other in file.parent.iterdir():
            if other.stat().st_mtime < now - _KEPT:
                other.unlink(missing_ok=True)
        file.write_text(json.dumps({"cap": cap, "spent": spent, "seen": now}), encoding="utf-8")


def forget(key: str) -> None:
    """Remove the stored record: a later create request has succeeded."""
    with contextlib.suppress(OSError):
        _file(key).unlink(missing_ok=True)


def recall(key: str, now: float) -> CapRecord | None:
    """Return the record of this calendar month, or `None`: spending starts again at zero every month."""
    try:
        kept = json.loads(_file(key).read_text(encoding="utf-8"))
        found = CapRecord(float(kept["cap"]), float(kept["spent"]), _utc(float(kept["seen"])))
    except (OSError, ValueError, KeyError, TypeError, OverflowError):
        return None
    today = _utc(now)
    return found if (found.seen.year, found.seen.month) == (today.year, today.month) else None


def _utc(moment: float) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(moment, datetime.timezone.utc)


def _file(key: str) -> Path:
    return pulumi_home() / "stacks-spending-caps" / f"{key}.json"
