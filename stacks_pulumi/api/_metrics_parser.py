"""
Reads metrics. The guide gives their names and says "arrays with timestamps", but does not describe their shape.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from stacks_pulumi.api._lenient import ShapeError, snake, unwrap
from stacks_pulumi.api.models import Metrics

__all__ = ["parse"]

_SERIES: Final = Metrics.__struct_fields__
_TIMES: Final = ("timestamp", "time", "t", "ts", "date")
_VALUES: Final = ("value", "v", "y", "usage", "percent")


def parse(body: Any) -> Metrics:
    """
    Return the metrics of a body.

    The body has one list of points for each series (`{"cpu": [...]}`), or one list of points that each have a value
    for every series (`[{"timestamp": ..., "cpu": ...}]`).

    Raises:
        ShapeError: The body has neither shape.
    """
    value, path = unwrap(body, "metrics")
    if isinstance(value, list):
        series = {name: [_sample(sample, name, path) for sample in value] for name in _SERIES}
        found = {name: [point for point in points if point is not None] for name, points in series.items()}
    elif isinstance(value, Mapping):
        given = {snake(name): entry for name, entry in value.items()}
        stamps = given.get("timestamps")
        found = {
            name: list(_points(given[name], stamps, f"{path}.{name}")) for name in _SERIES if given.get(name)
        }
    else:
        raise ShapeError(path, "an object or a list was expected")
    try:
        return msgspec.convert(found, Metrics, strict=False)
    except msgspec.ValidationError:
        raise ShapeError(path, "numbers with timestamps were expected") from None


def _sample(sample: Any, name: str, path: str) -> dict[str, Any] | None:
    if not isinstance(sample, Mapping):
        raise ShapeError(path, "objects were expected")
    given = {snake(key): entry for key, entry in sample.items()}
    return None if given.get(name) is None else _point(_first(given, _TIMES), given[name])


def _points(series: Any, stamps: Any, path: str) -> Iterator[dict[str, Any]]:
    if not isinstance(series, list):
        raise ShapeError(path, "a list was expected")
    for index, entry in enumerate(series):
        if isinstance(entry, Mapping):
            yield _point(_first(entry, _TIMES), _first(entry, _VALUES))
        elif isinstance(entry, list) and len(entry) == 2:
            yield _point(entry[0], entry[1])
        else:
            yield _point(stamps[index] if isinstance(stamps, list) and index < len(stamps) else None, entry)


def _point(timestamp: Any, value: Any) -> dict[str, Any]:
    return {"timestamp": None if timestamp is None else str(timestamp), "value": value}


def _first(given: Mapping[str, Any], names: tuple[str, ...]) -> Any:
    return next((given[name] for name in names if given.get(name) is not None), None)
