"""
The last refusal of a create because of a key's spending cap, kept for later processes.

The API tells a key's cap and what is spent only when it refuses a create. `stacks-pulumi doctor` reads it here. The
provider never does: it asks the API.
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
"""Seconds after which a file is of an earlier month, and removed."""


@dataclass(frozen=True)
class CapRecord:
    """
    What a 402 said.

    Attributes:
        cap: The key's cap a month in US dollars.
        spent: What was spent of it.
        seen: When, in UTC.
    """

    cap: float
    spent: float
    seen: datetime.datetime


def fingerprint(base_url: str, api_key: str | None) -> str:
    """Return what tells this base URL and key from others; the key cannot be recovered from it."""
    return hashlib.sha256(f"{base_url} {api_key}".encode()).hexdigest()[:16]


def remember(key: str, cap: float, spent: float, now: float) -> None:
    """
    Keep what a 402 said.

    Args:
        key: The fingerprint of the key.
        cap: The key's cap a month in US dollars.
        spent: What is spent of it.
        now: Seconds since the Unix epoch.
    """
    file = _file(key)
    # A folder that cannot be written costs a line of the doctor, not the operation.
    with contextlib.suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        for other in file.parent.iterdir():
            if other.stat().st_mtime < now - _KEPT:
                other.unlink(missing_ok=True)
        file.write_text(json.dumps({"cap": cap, "spent": spent, "seen": now}), encoding="utf-8")


def forget(key: str) -> None:
    """Remove what is kept: a create has succeeded since."""
    with contextlib.suppress(OSError):
        _file(key).unlink(missing_ok=True)


def recall(key: str, now: float) -> CapRecord | None:
    """Return what a 402 said in this calendar month, after which spending starts again at zero; `None` without one."""
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
