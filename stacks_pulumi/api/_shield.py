"""
A stretch of work that is finished although nobody waits for it any more.

`on_limit` may raise to end a request that waits for the rate limit. Where a POST may have created something, and the
look that would tell is what waits, ending it would leave what nobody knows of.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Final

__all__ = ["is_shielded", "shielded"]

_local: Final = threading.local()


@contextlib.contextmanager
def shielded() -> Iterator[None]:
    """While inside, this thread's requests are not called off."""
    before = is_shielded()
    _local.shielded = True
    try:
        yield
    finally:
        _local.shielded = before


def is_shielded() -> bool:
    """Whether this thread is in such a stretch."""
    return getattr(_local, "shielded", False)
