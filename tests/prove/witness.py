"""
What was signed, as it was shown, against what arrives at the platform.

It reads the table that `gate show` prints, and not the change: a request is allowed by a line that a person has read.
So neither the code that enforces a change nor the code that writes it says what is right here.
"""

from __future__ import annotations

import ipaddress
import json
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final
from urllib.parse import unquote

from stacks_pulumi import catalog
from stacks_pulumi.emulator import Emulator
from stacks_pulumi.emulator.platform import iso
from stacks_pulumi.reports import Document

_REQUEST: Final = re.compile(r"(\w+) (.+?)(?: (\{.*\}))?(?:, (\d+|any number of) times)?", re.DOTALL)
_TEXT: Final = re.compile(r'"(?:[^"\\]|\\.)*"')
_SEGMENT: Final = re.compile(rf'\[(?:{_TEXT.pattern}|[^\]"])*\]|[^/]+')
_MADE: Final = re.compile(
    r'\bcreated (\S+?)(?:, but the change is for a container created "([^"]+)")?(?:;|$)'
)
_TEMPLATE: Final = re.compile(r' is (?:\S+, )?"[^"]*", ([\w-]+)')
_CEILING: Final = re.compile(r"at most \$([\d.]+) to the monthly price(?:, and \$([\d.]+) at any moment)?")
_AGAIN: Final = frozenset({"status", "external-access", "pin", "unpin"})
"""The ends of requests that have the same effect again."""
_UNDONE: Final = 5

Made = tuple[str, str]
"""An id, and when that object was made."""


@dataclass
class Line:
    """
    A line that was shown: a request, with its constraints.

    Attributes:
        method: Its method.
        path: The segments of its path.
        body: Its body.
        most: How often it may happen; `None` for any number.
        about: What is said about it.
        done: How often it took effect.
        undone: How often that was removed again.
        made: What it has made.
    """

    method: str
    path: list[str]
    body: dict[str, Any]
    most: int | None
    about: str
    done: int = 0
    undone: int = 0
    made: list[Made] = field(default_factory=list)


class Shown:
    """
    A change as it was shown.

    Args:
        document: The report.

    Attributes:
        lines: Its lines, by their numbers.
        known: The containers that exist, by their names in the change.
        changed: The ids that belong to a different container now, so that the broker refuses each request about them.
        ceiling: The amount by which it may increase the monthly price.
        destroys: Whether a line destroys data.
    """

    def __init__(self, document: Document) -> None:
        tables = {one.title: one.rows for one in document.tables}
        self.lines: dict[str, Line] = {}
        for number, _, request, _, about in (
            row.cells for row in tables.get("What may happen at STACKS", ())
        ):
            if number:
                found = _REQUEST.fullmatch(request)
                assert found is not None, request
                method, path, body, times = found.groups()
                most = 1 if times is None else None if times == "any number of" else int(times)
                self.lines[number] = Line(
                    method, _SEGMENT.findall(path), json.loads(body or "{}"), most, about
                )
        self.known: dict[str, Made | None] = {}
        self.changed: set[str] = set()
        for name, id_, what in (row.cells for row in tables.get("Containers that exist", ())):
            self.known[json.loads(name)] = _made_in(id_, what)
            if "but the change is for a container created" in what:
                self.changed.add(id_)
        said = _CEILING.search(" ".join(text for _, text in document.remarks))
        self.ceiling = None if said is None else Decimal(said[2] or said[1])
        self.destroys = any(map(_destroys, self.all))

    @property
    def all(self) -> list[Line]:
        """Its lines."""
        return [*self.lines.values()]

    def means(self, symbol: str) -> Iterator[Made]:
        """Yield the containers that a symbol may be: one that existed, and what was made for it."""
        known = self.known.get(symbol)
        if known is not None:
            yield known
        for line in self.all:
            if f"other lines call its result {json.dumps(symbol)}" in line.about.split("; "):
                yield from line.made

    @property
    def made(self) -> list[Made]:
        """What was made under it."""
        return [one for line in self.all for one in line.made]


def _destroys(line: Line) -> bool:
    """Return whether a line ends or overwrites data: what is not shown to have none may have some."""
    if line.path[-1] == "restore" or (line.method == "DELETE" and line.path[0] == "backups"):
        return True
    if line.method != "DELETE" or len(line.path) != 2:
        return False
    shown = [catalog.TEMPLATES.get(one) for one in _TEMPLATE.findall(line.about)]
    return not shown or any(one is None or one.data for one in shown)


def _made_in(id_: str, words: str) -> Made | None:
    found = _MADE.search(words)
    return None if found is None else (id_, found[2] or found[1])


@dataclass(frozen=True)
class There:
    """What the platform has at a moment, each object with the time at which it was made."""

    containers: dict[str, str]
    addresses: dict[str, tuple[str, str, str]]
    connections: dict[str, tuple[str, str]]
    backups: dict[str, tuple[str, str]]
    clients: dict[str, str]
    pinned: frozenset[str]
    prices: dict[str, Decimal]
    marks: dict[str, tuple[int, int]]

    @property
    def all(self) -> set[Made]:
        """Everything."""
        rows = (self.addresses, self.connections, self.backups)
        return {
            *self.containers.items(),
            *self.clients.items(),
            *((id_, one[-1]) for many in rows for id_, one in many.items()),
        }


class Witness:
    """
    Looks at each changing request when it arrives at an emulator.

    Args:
        emulator: The platform.

    Attributes:
        now: The change under which the next requests are sent; `None` for none.
        counts: How many requests took effect, and how many did not.
    """

    def __init__(self, emulator: Emulator) -> None:
        self._emulator, self._lock = emulator, threading.Lock()
        self.now: Shown | None = None
        self.problems: list[str] = []
        self.counts = {"took effect": 0, "without effect": 0, "made": 0, "removed": 0, "values": 0}
        server = emulator._server
        assert server is not None
        self._respond, server.respond = server.respond, self._seen

    def there(self) -> There:
        """Return what the platform has now."""
        state = self._emulator.state
        with self._emulator.platform.lock:
            self._emulator.platform.settle()
            rows = [*state.containers.values()]
            return There(
                {row.id: iso(row.created_at) or "" for row in rows},
                {
                    entry.id: (row.id, entry.ip_address, str(entry.added_at))
                    for row in rows
                    for entry in row.allowed_ips
                },
                {one.id: (one.source, str(one.created_at)) for one in state.connections.values()},
                {
                    str(one.id): (one.container_id, str(one.created_at))
                    for one in state.backups.values()
                    # The platform creates the nightly ones without a request.
                    if one.backup_type != "scheduled"
                },
                {f"{row.id}/{one.name}": str(one.serial) for row in rows for one in row.vpn_clients},
                frozenset(str(one.id) for one in state.backups.values() if one.pinned),
                {
                    row.id: catalog.monthly_price(row.template, row.plan, row.storage_tier) or Decimal(0)
                    for row in rows
                },
                {row.id: (len(row.restored), row.certificate_serial) for row in rows},
            )

    def check(self) -> None:
        """Fail if something has happened that nobody has signed, or that happened more often."""
        assert not self.problems, "\n".join(self.problems)

    def _seen(self, incoming: Any, headers: Any) -> Any:
        if incoming.method == "GET" or not incoming.path.startswith("/api/v1/"):
            return self._respond(incoming, headers)
        with self._lock:
            before = self.there()
            answer = self._respond(incoming, headers)
            self._judge(incoming, before, self.there(), answer)
        return answer

    def _judge(self, incoming: Any, before: There, after: There, answer: Any) -> None:
        path = [unquote(one) for one in incoming.path.removeprefix("/api/v1/").split("/")]
        body = json.loads(incoming.payload or b"{}")
        words = f"{incoming.method} /{'/'.join(path)} {json.dumps(body)}"
        shown, new = self.now, sorted(after.all - before.all)
        is_done = 200 <= answer.status < 300
        self.counts["took effect" if is_done else "without effect"] += 1
        self.counts["made"] += len(new)
        gone = before.all - after.all
        self.counts["removed"] += len(gone)
        line = None if shown is None else self._line(shown, incoming.method, path, body, before)
        if line is not None:
            if path[-1] in _AGAIN:
                # After a lost answer it is sent again.
                line.done += is_done and answer.end == "keep"
            else:
                # A lost answer does not show that an object was removed.
                is_gone = incoming.method == "DELETE" and bool(gone)
                line.done += len(new) or (is_done or is_gone or before.marks != after.marks)
                line.made += new
            if line.most is not None and line.done - line.undone > line.most:
                self.problems.append(f"it was signed {line.most} times, and happened {line.done}: {words}")
            if line.undone > _UNDONE + 1:
                self.problems.append(f"it was removed and made again more than {_UNDONE} times: {words}")
            self._count_money(shown, before, after)
        elif shown is not None and self._is_own(shown, incoming.method, path, before):
            for one in shown.all:
                lost = [made for made in one.made if made in gone]
                one.undone += len(lost)
                one.made = [made for made in one.made if made not in lost]
        else:
            self.problems.append(f"nobody has signed it: {words}")

    def _count_money(self, shown: Shown | None, before: There, after: There) -> None:
        if shown is not None and shown.ceiling is not None:
            costs = sum((after.prices.get(id_, Decimal(0)) for id_, _ in shown.made), Decimal(0))
            self.counts["values"] += 1
            if costs > shown.ceiling and after.containers.keys() != before.containers.keys():
                self.problems.append(f"it costs {costs}, and the ceiling that was shown is {shown.ceiling}")

    def _line(self, shown: Shown, method: str, path: list[str], body: Any, there: There) -> Line | None:
        """Return the line that allows a request: one that may still happen before one that may not."""
        found = [
            line
            for line in shown.all
            if line.method == method
            and len(line.path) == len(path)
            and all(self._fits(number, path, shown, line, there) for number in range(len(path)))
            and _has(line, body)
            and self._is_armed(shown, line, path, there)
        ]
        left = [line for line in found if line.most is None or line.done - line.undone < line.most]
        return next(iter(left or found), None)

    def _is_armed(self, shown: Shown, line: Line, path: list[str], there: There) -> bool:
        first = re.search(r"(?:^|; )after ([\d, ]+)", line.about)
        if first is not None and any(not shown.lines[one].done for one in first[1].split(", ")):
            return False
        only = re.search(r"only if no address except (\S+) is listed", line.about)
        return only is None or all(
            _network(address) == _network(only[1])
            for container, address, _ in there.addresses.values()
            if container == path[1]
        )

    def _fits(self, number: int, path: list[str], shown: Shown, line: Line, there: There) -> bool:
        wanted = line.path[number]
        value = path[number]
        if wanted.startswith(("[the entry of ", "[an entry ")) and value not in there.addresses:
            # It is removed already: by another request in the same moment, or by one whose answer was lost.
            return True
        if wanted.startswith("[the entry of "):
            container, address, _ = there.addresses.get(value, ("", "", ""))
            return container == path[1] and _network(address) == _network(wanted[14:-1])
        if wanted == "[an entry of the broker's address, or one that the platform added]":
            return there.addresses.get(value, ("", ""))[1] == self._emulator.platform.your_ip
        if wanted.startswith("[the new backup of "):
            return any((value, there.backups.get(value, ("", ""))[-1]) == one for one in shown.made)
        if wanted.startswith("["):
            means = [one for text in _TEXT.findall(wanted) for one in shown.means(json.loads(text))]
            return any(id_ == value and self._is_it(id_, made, there) for id_, made in means)
        if unquote(wanted) != value:
            return False
        about = next((one for one in line.about.split("; ") if one.startswith(f"{value} is ")), None)
        if about is None or value not in there.containers:
            return True
        found = _made_in(value, about)
        return found is not None and there.containers[value] == found[1]

    def _is_it(self, id_: str, made: str, there: There) -> bool:
        """Return whether an id is the object that was made then; one that is gone cannot be changed."""
        return id_ not in dict(there.all) or (id_, made) in there.all

    def _is_own(self, shown: Shown, method: str, path: list[str], there: There) -> bool:
        """Return whether a request removes what was made under a change."""
        if path[-1] == "unpin":
            return any(line.done and line.path[-1] == "pin" for line in shown.all)
        object_ = "/".join([path[1], path[3]]) if path[2:3] == ["vpn-clients"] else path[-1]
        mine = any(id_ == object_ and self._is_it(id_, made, there) for id_, made in shown.made)
        return method == "DELETE" and path[0] != "backups" and mine


def _has(line: Line, body: dict[str, Any]) -> bool:
    return line.body.keys() == body.keys() and all(
        value == {"any": True} or json.dumps(value) == json.dumps(body[name])
        for name, value in line.body.items()
    )


def _network(address: str) -> object:
    return ipaddress.ip_network(address, strict=False)
