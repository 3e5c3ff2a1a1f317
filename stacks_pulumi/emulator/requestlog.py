"""The request journal, newest last. A key appears by its label, never as itself."""

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
        operation: Operation name; `None` if the path is none of the API's.
        status: HTTP status code; 0 if the connection was dropped.
        fault: Kind of the fault that it met, or `None`.
        key: Label of the key, or `None`.
        seconds: How long it took.
        subject: The container's name or id that it was about, as far as path and body tell.
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
        """All of it as JSON can hold it."""
        return asdict(self)


@dataclass(frozen=True)
class Detail:
    """
    What one request and its answer held, with secrets masked.

    Attributes:
        query: The query's parameters.
        request: The body of the request.
        headers: The headers of the answer.
        response: The body of the answer.
    """

    query: dict[str, str]
    request: str
    headers: dict[str, str]
    response: str


class RequestLog:
    """
    The newest requests, and how many there were of each operation.

    Args:
        keep: How many requests are kept; the counts are of all.
        keep_details: How many are kept with their bodies.
    """

    def __init__(self, keep: int = 20_000, keep_details: int = 300) -> None:
        self._lock = threading.Lock()
        self._records: deque[Record] = deque(maxlen=keep)
        self._details: deque[tuple[int, Detail]] = deque(maxlen=keep_details)
        self._counts: Counter[str | None] = Counter()
        self._number = 0

    def arrived(self, operation: str | None) -> None:
        """Count a request that came in; one that takes long is counted before its answer."""
        with self._lock:
            self._counts[operation] += 1

    def append(self, detail: Detail, **what: Any) -> None:
        """Keep a request whose answer is known; takes the attributes of `Record` but its number."""
        with self._lock:
            self._number += 1
            self._records.append(Record(self._number, **what))
            self._details.append((self._number, detail))

    def detail(self, number: int) -> dict[str, Any]:
        """
        One request with its bodies.

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
        """The requests that are kept, oldest first."""
        with self._lock:
            return list(self._records)

    def count(self, operation: str | None = None) -> int:
        """How many requests there were; of one operation if it is named."""
        with self._lock:
            return self._counts.total() if operation is None else self._counts[operation]

    def counts(self) -> dict[str, int]:
        """How many requests there were of each operation; what was none is under `unknown`."""
        with self._lock:
            return {operation or "unknown": number for operation, number in self._counts.items()}

    def clear(self) -> None:
        """Forget all."""
        with self._lock:
            self._records.clear()
            self._details.clear()
            self._counts.clear()
            self._number = 0
