"""
Measurements of a container.
"""

from __future__ import annotations

import msgspec

__all__ = ["Metrics", "Point"]


class Point(msgspec.Struct, frozen=True, kw_only=True):
    """
    One measurement.

    Attributes:
        timestamp: When, as the API spells it: ISO 8601 or seconds or milliseconds since the Unix epoch, as text.
            Not set if it did not say.
        value: How much.
    """

    timestamp: str | None = None
    value: float


class Metrics(msgspec.Struct, frozen=True, kw_only=True):
    """
    Measurements over time (guide, "Get Container Metrics"; units are not told there and stay as they come).

    Attributes:
        cpu: CPU.
        memory: Memory.
        disk: Disk.
        network_in: Traffic that came in.
        network_out: Traffic that went out.
    """

    cpu: tuple[Point, ...] = ()
    memory: tuple[Point, ...] = ()
    disk: tuple[Point, ...] = ()
    network_in: tuple[Point, ...] = ()
    network_out: tuple[Point, ...] = ()
