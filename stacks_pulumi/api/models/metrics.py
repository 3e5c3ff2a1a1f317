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
        timestamp: The time as the API writes it: ISO 8601, or seconds or milliseconds since the Unix epoch, as text.
            `None` if the answer does not contain it.
        value: The measured value.
    """

    timestamp: str | None = None
    value: float


class Metrics(msgspec.Struct, frozen=True, kw_only=True):
    """
    Measurements over time (guide, "Get Container Metrics"). The guide does not give units; values are not converted.

    Attributes:
        cpu: CPU.
        memory: Memory.
        disk: Disk.
        network_in: Incoming traffic.
        network_out: Outgoing traffic.
    """

    cpu: tuple[Point, ...] = ()
    memory: tuple[Point, ...] = ()
    disk: tuple[Point, ...] = ()
    network_in: tuple[Point, ...] = ()
    network_out: tuple[Point, ...] = ()
