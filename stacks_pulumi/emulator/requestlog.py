"""The request journal, newest last. It contains the labels of keys, never the keys."""

from __future__ import annotations

import threading
from collections import Counter, deque
from dataclasses import asdict, dataclass
from typing import Any

__all__ = ["Detail", "Record", "RequestLog"]


@dataclass(frozen=True)
class Record:
    """
    One request.

    Attributes:
        number: From 1, in the order of the answers.
        at: Seconds since the Unix epoch, real time, when it came in.
        method: HTTP method.
        path: The path as it was sent, without the query.
        operation: Operation name; `None` if the path is not one of the API's.
        status: HTTP status code; 0 if the connection was dropped.
        fault: Kind of the fault that applied to it, or `None`.
        key: Label of the key, or `None`.
        seconds: How long it took.
        subject: The container's name or id in the path or the body, if any.
    """

    number: int
    at: float
    method: str
    path: str
    operation: str | None
    status: int
    fault: str | None
    key: str | None
    seconds: float
    subject: str = ""

    def describe(self) -> dict[str, Any]:
        """Return all attributes as values for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Detail:
    """
    The content of one request and its response.

    Attributes:
        query: The query's parameters.
        request: The body of the request.
        headers: The headers of the response.
        response: The body of the response.
    """

    query: dict[str, str]
    request: str
    headers: dict[str, str]
    response: str


class RequestLog:
    """
    The newest requests, and the number of requests of each operation.

    Args:
        keep: How many requests are kept; the counts include all requests.
        keep_details: How many are kept with their bodies.
    """

    def __init__(self, keep: int = 20_000, keep_details: int = 300) -> None:
        self._lock = threading.Lock()
        self._records: deque[Record] = deque(maxlen=keep)
        self._details: deque[tuple[int, Detail]] = deque(maxlen=keep_details)
        self._counts: Counter[str | None] = Counter()
        self._number = 0

    def arrived(self, operation: str | None) -> None:
        """Count a request when it arrives, before it is answered."""
        with self._lock:
            self._counts[operation] += 1

    def append(self, detail: Detail, **what: Any) -> None:
        """Store a request and its response; takes the attributes of `Record` except the number."""
        with self._lock:
            self._number += 1
            self._records.append(Record(self._number, **what))
            self._details.append((self._number, detail))

    def detail(self, number: int) -> dict[str, Any]:
        """
        Return one request with its bodies.

        Raises:
            KeyError: There is no request of this number, or it is too old.
        """
        with self._lock:
            details = dict(self._details)
            record = next((it for it in reversed(self._records) if it.number == number), None)
        if record is None or number not in details:
            raise KeyError(number)
        return {**record.describe(), **asdict(details[number])}

    def all(self) -> list[Record]:
        """Return the requests that are kept, oldest first."""
        with self._lock:
            return list(self._records)

    def count(self, operation: str | None = None) -> int:
        """Return the number of requests; optionally of one operation."""
        with self._lock:
            return self._counts.total() if operation is None else self._counts[operation]

    def counts(self) -> dict[str, int]:
        """Return the number of requests of each operation; requests for other paths are under `unknown`."""
        with self._lock:
            return {operation or "unknown": number for operation, number in self._counts.items()}

    def clear(self) -> None:
        """Remove all requests and counts."""
        with self._lock:
            self._records.clear()
            self._details.clear()
            self._counts.clear()
            self._number = 0
