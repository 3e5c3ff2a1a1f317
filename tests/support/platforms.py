"""
Platforms whose answers differ from the guide's examples: they rewrite the requests and answers of an emulator.

`READINGS` contains one platform for each tested interpretation of the guide; its names are the columns of a test.
`play` makes an emulator behave like such a platform.
"""

from __future__ import annotations

import base64
import datetime as dt
import email.utils
import ipaddress
import json
import random
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, TypeAlias
from urllib.parse import urlencode

from stacks_pulumi import catalog
from stacks_pulumi.emulator import Emulator, containers, vpn
from stacks_pulumi.emulator.answers import PlainText, Refusal, Response, bad_request, encode, valid_create
from stacks_pulumi.emulator.app import BASE_PATH, match
from stacks_pulumi.emulator.server import Incoming

__all__ = ["READINGS", "Reading", "clock_ahead", "play", "random_reading"]

LISTS: Final = ("containers.list", "containers.templates", "backups.list", "vpn_clients.list")


@dataclass
class Asked:
    """A request: its operation, the variables of its path, and its body."""

    incoming: Incoming
    operation: str
    args: dict[str, str]
    body: Any

    @property
    def own(self) -> str:
        """The id of the request's container; empty if there is none."""
        return next((self.args[name] for name in ("container_id", "source_id") if name in self.args), "")


@dataclass
class Said:
    """An answer; `body` is its JSON or its text."""

    status: int
    body: Any
    headers: dict[str, str] = field(default_factory=dict)

    def objects(self) -> list[dict[str, Any]]:
        """Return every object in the body."""
        return list(_objects(self.body))

    def rows(self) -> list[Any]:
        """Return the rows of a list in the guide's form; empty if the body is not a list."""
        rows = self.body.get("data") if self.status < 300 and isinstance(self.body, dict) else None
        return rows if isinstance(rows, list) else []


@dataclass(frozen=True)
class Reading:
    """
    The differences of a platform.

    Attributes:
        answer: Changes an answer.
        ask: Changes a request, or returns a different answer.
        lag: The age in seconds of an operation's answer.
        settings: Settings of the emulator itself: `lower_case_names`, `rows`.
    """

    answer: Callable[[Play, Asked, Said], None] | None = None
    ask: Callable[[Play, Asked], Said | None] | None = None
    lag: Mapping[str, float] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)


class Play:
    """
    Applies readings to an emulator. The last reading is the nearest to the client.

    Args:
        emulator: The emulator.
        readings: The readings.

    Attributes:
        memory: The data that readings store.
        before: The ids of earlier containers, which are always visible.
    """

    def __init__(self, emulator: Emulator, *readings: Reading) -> None:
        self.emulator = emulator
        self.memory: dict[str, Any] = {}
        self.before = frozenset(emulator.state.containers)
        self._readings = readings
        self._lock = threading.RLock()
        self._respond = emulator.api.respond
        for reading in readings:
            for operation, seconds in reading.lag.items():
                emulator.set_lag(seconds, operation)
            for name, value in reading.settings.items():
                setattr(emulator.platform, name, value)
        setattr(emulator.api, "respond", self.respond)  # noqa: B010  (a method of an object cannot be assigned)

    @property
    def now(self) -> float:
        """The time of the platform."""
        return self.emulator.clock.now()

    def age(self, container_id: str) -> float:
        """Return the age of a container in seconds."""
        container = self.emulator.state.containers.get(container_id)
        made = container is not None and container_id not in self.before
        return self.now - container.created_at if made and container is not None else float("inf")

    def respond(self, incoming: Incoming) -> Response:
        """Return the platform's answer to a request."""
        with self._lock:
            asked = self._asked(incoming)
            said, end, slow = None, "keep", (0.0, 0.0)
            for reading in reversed(self._readings):
                said = said or (reading.ask(self, asked) if reading.ask else None)
        if said is None:
            payload = json.dumps(asked.body).encode() if asked.body else asked.incoming.payload
            response = self._respond(replace(asked.incoming, payload=payload))
            said = Said(response.status, _read(response), dict(response.headers))
            end, slow = response.end, response.slow
            if isinstance(said.body, str) and (end != "keep" or any(slow)):
                return response
        with self._lock:
            for reading in self._readings:
                if reading.answer:
                    reading.answer(self, asked, said)
        body = PlainText(said.body) if isinstance(said.body, str) else said.body
        return replace(encode(said.status, None if body == "" else body, said.headers), end=end, slow=slow)

    def _asked(self, incoming: Incoming) -> Asked:
        ids = {str(shown): own for own, shown in self.memory.get("ids", {}).items()}
        path = "/".join(ids.get(part, part) for part in incoming.path.split("/"))
        incoming = replace(incoming, path=path)
        try:
            operation, args = match(incoming.method, path.removeprefix(BASE_PATH))
        except Refusal:
            operation, args = "", {}
        try:
            body = json.loads(incoming.payload) if incoming.payload else None
        except ValueError:
            body = None
        return Asked(incoming, operation, args, body)


def play(emulator: Emulator, *readings: Reading) -> Emulator:
    """Make an emulator behave like such a platform."""
    Play(emulator, *readings)
    return emulator


def _read(response: Response) -> Any:
    try:
        return json.loads(response.payload)
    except ValueError:
        return response.payload.decode()


def _objects(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _objects(inner)


# Changes in every object of an answer.

Convert: TypeAlias = Callable[[Any], Any]
TIMES: Final = ("created_at", "createdAt", "updatedAt", "completed_at", "added_at", "last_backup_at")


def fields(prefix: str, names: tuple[str, ...], convert: Convert, kind: type = str) -> Reading:
    """Return a platform that changes some fields in the answers of some operations."""

    def answer(_play: Play, asked: Asked, said: Said) -> None:
        if asked.operation.startswith(prefix) and said.status < 300:
            for found in said.objects():
                for name in names:
                    if type(found.get(name)) is kind:
                        found[name] = convert(found[name])

    return Reading(answer)


def words(prefix: str, names: tuple[str, ...], theirs: Mapping[str, Any]) -> Reading:
    """Return a platform with different words in some fields: guide's word -> `theirs`."""
    return fields(prefix, names, lambda word: theirs.get(word, word))


def statuses(convert: Convert) -> Reading:
    """Return a platform with different words for a container's status."""
    return both(
        fields("containers", ("status",), convert), fields("connections", ("target_status",), convert)
    )


def times(convert: Callable[[dt.datetime], Any], prefix: str = "") -> Reading:
    """Return a platform that writes times in a different form."""
    return fields(prefix, TIMES, lambda text: convert(dt.datetime.fromisoformat(text.replace("Z", "+00:00"))))


def clock_ahead(seconds: float) -> Reading:
    """Return a platform whose clock is ahead or behind."""

    def shown(at: dt.datetime) -> str:
        moved = at + dt.timedelta(seconds=seconds)
        return moved.isoformat(timespec="milliseconds").replace("+00:00", "Z")

    def date(play: Play, _asked: Asked, said: Said) -> None:
        said.headers["Date"] = email.utils.formatdate(play.now + seconds, usegmt=True)

    return both(times(shown), Reading(date))


def zoneless(at: dt.datetime) -> str:
    """Return a time without a zone."""
    return at.replace(tzinfo=None).isoformat(sep=" ", timespec="seconds")


def without(operation: str, *names: str) -> Reading:
    """Return a platform whose answers to some operations lack some fields."""

    def answer(_play: Play, asked: Asked, said: Said) -> None:
        for found in said.objects() if asked.operation.startswith(operation) else ():
            for name in names:
                found.pop(name, None)

    return Reading(answer)


def both(*readings: Reading) -> Reading:
    """Return a platform with all of these readings."""

    def answer(play: Play, asked: Asked, said: Said) -> None:
        for reading in readings:
            if reading.answer:
                reading.answer(play, asked, said)

    def ask(play: Play, asked: Asked) -> Said | None:
        for reading in readings:
            said = reading.ask(play, asked) if reading.ask else None
            if said is not None:
                return said
        return None

    return Reading(
        answer,
        ask,
        {name: it for reading in readings for name, it in reading.lag.items()},
        {name: it for reading in readings for name, it in reading.settings.items()},
    )


# Visibility of containers.


def hidden(*, listed: Callable[[Play, str], bool], found: Callable[[Play, str], bool]) -> Reading:
    """Return a platform whose list or other endpoints do not show some containers."""

    def answer(play: Play, asked: Asked, said: Said) -> None:
        rows = said.rows() if asked.operation == "containers.list" else []
        shown = [row for row in rows if listed(play, row["id"])]
        if len(shown) < len(rows):
            said.body.update(data=shown, count=len(shown))

    def ask(play: Play, asked: Asked) -> Said | None:
        late = asked.own in play.emulator.state.containers and not found(play, asked.own)
        return Said(404, {"success": False, "error": "Container not found"}) if late else None

    return Reading(answer, ask)


def after(*, listed: float = 0, found: float = 0) -> Reading:
    """Return a platform whose list and other endpoints show a new container late."""
    return hidden(
        listed=lambda play, id_: play.age(id_) >= listed, found=lambda play, id_: play.age(id_) >= found
    )


def _is(play: Play, id_: str, status: str) -> bool:
    container = play.emulator.state.containers.get(id_)
    return container is not None and container.status == status


def tombstones(word: str, seconds: float = float("inf")) -> Reading:
    """Return a platform that still lists a deleted container, with a different status."""

    def answer(play: Play, asked: Asked, said: Said) -> None:
        last = play.memory.setdefault("last seen", {})
        graves = play.memory.setdefault("graves", {})
        there = play.emulator.state.containers
        for id_ in [id_ for id_ in last if id_ not in there]:
            graves[id_] = (play.now, last.pop(id_))
        if asked.operation == "containers.list":
            last.update({row["id"]: dict(row) for row in said.rows() if row["id"] not in graves})
            dead = [
                {**row, "status": word}
                for id_, (at, row) in graves.items()
                if play.now < at + seconds and id_ not in there
            ]
            if said.status < 300:
                said.body.update(data=said.rows() + dead, count=len(said.rows()) + len(dead))

    return Reading(answer)


def names_held(seconds: float) -> Reading:
    """Return a platform that refuses the name of a deleted container for some seconds."""

    def ask(play: Play, asked: Asked) -> Said | None:
        there, last = set(play.emulator.state.containers), play.memory.setdefault("there", set())
        gone = play.memory.setdefault("gone", {})
        gone.update(dict.fromkeys(last - there, play.now))
        play.memory["there"] = there
        name = asked.body.get("name") if asked.operation == "containers.create" else None
        held = play.now < gone.get(f"{play.emulator.account}-{name}", float("-inf")) + seconds
        return _said(bad_request(f"A container named {name} already exists", "name")) if held else None

    return Reading(ask=ask)


def _said(refusal: Refusal) -> Said:
    return Said(refusal.status, refusal.body)


# Answers to a create request.


def created(change: Callable[[Play, Said], None]) -> Reading:
    """Return a platform with a different answer to a create request."""

    def answer(play: Play, asked: Asked, said: Said) -> None:
        if asked.operation == "containers.create" and said.status == 202:
            change(play, said)

    return Reading(answer)


def _answered_name(play: Play, asked: Asked, said: Said) -> None:
    if asked.operation == "containers.create" and "already exists" in str(said.body):
        there = play.emulator.state.containers[f"{play.emulator.account}-{asked.body['name']}"]
        said.status, said.body = 202, {"success": True, "data": containers.created(there)}


def ids(shown: Callable[[Play, str, int], Any]) -> Reading:
    """Return a platform with different ids of containers."""

    def answer(play: Play, _asked: Asked, said: Said) -> None:
        known = play.memory.setdefault("ids", {})
        for id_, container in play.emulator.state.containers.items():
            if id_ not in known or play.memory.get(id_) != container.port:
                play.memory[id_] = container.port
                known[id_] = shown(play, id_, container.port)
        for found in said.objects():
            for name in ("id", "container_id", "sourceContainer", "targetContainer"):
                found[name] = known.get(found.get(name), found.get(name)) if name in found else None
                if found[name] is None:
                    del found[name]

    return Reading(answer)


def restamped(*operations: str) -> Reading:
    """Return a platform on which some operations change the creation time of a container."""

    def answer(play: Play, asked: Asked, said: Said) -> None:
        at = play.memory.setdefault("restamped", {})
        own = asked.own
        if asked.operation == "backups.restore" and said.status < 300:
            own = play.emulator.state.backups[int(asked.args["backup_id"])].container_id
        if (
            asked.operation in operations
            and said.status < 300
            and (asked.body or {}).get("status") != "stopped"
        ):
            at[own] = dt.datetime.fromtimestamp(play.now, dt.timezone.utc).isoformat(timespec="milliseconds")
        for found in said.objects() if asked.operation in {"containers.list", "containers.status"} else ():
            for name in ("created_at", "createdAt"):
                if found.get("id") in at and name in found:
                    found[name] = at[found["id"]]

    return Reading(answer)


def renamed(change: Callable[[str], str]) -> Reading:
    """Return a platform that does not store a container under the requested name."""

    def ask(_play: Play, asked: Asked) -> None:
        if asked.operation == "containers.create" and isinstance(asked.body, dict) and "name" in asked.body:
            asked.body = {**asked.body, "name": change(asked.body["name"])}

    return Reading(ask=ask)


def templates(theirs: Mapping[str, str]) -> Reading:
    """Return a platform with different names of templates: guide's name -> `theirs`."""
    shown = words("containers", ("type", "template"), theirs)
    return both(shown, words("connections", ("target_type", "type"), theirs))


def _category(template: str) -> str:
    known = catalog.TEMPLATES.get(template)
    return template if known is None else known.category.value


# Lists.


def pages(size: int, next_: Callable[[Said, int, int, str], None] | None, parameter: str = "page") -> Reading:
    """
    Return a platform with paged lists.

    Args:
        size: The rows of a page.
        next_: Writes the place of the next page into an answer; `None` to write nothing. It gets the page's first row
            (0 after the last page), the number of all rows, and the page's address.
        parameter: The parameter that selects a page: its number, its first row, or a cursor.
    """

    def answer(_play: Play, asked: Asked, said: Said) -> None:
        rows, inner = said.rows() if asked.operation in LISTS else [], None
        if asked.operation == "allowed_ips.list" and said.status < 300 and isinstance(said.body, dict):
            inner = said.body["data"]
            rows = inner["allowed_ips"]
        if len(rows) <= size:
            return
        text = asked.incoming.query.get(parameter, "")
        begin = _first_row(parameter, text, size)
        shown = rows[begin : begin + size]
        end = begin + size if begin + size < len(rows) else 0
        if inner is None:
            said.body["data"] = shown
        else:
            inner["allowed_ips"] = shown
        if "count" in said.body:
            said.body["count"] = len(shown)
        query = urlencode({**asked.incoming.query, parameter: _mark(parameter, end, size)})
        if next_ is not None:
            next_(said, end, len(rows), f"http://{asked.incoming.host}{asked.incoming.path}?{query}")

    return Reading(answer)


def _first_row(parameter: str, text: str, size: int) -> int:
    if parameter == "cursor":
        return int(base64.b64decode(text)) if text else 0
    return (int(text) - 1) * size if text and parameter == "page" else int(text or 0)


def _mark(parameter: str, row: int, size: int) -> str:
    if parameter == "cursor":
        return base64.b64encode(str(row).encode()).decode()
    return str(row // size + 1) if parameter == "page" else str(row)


def says(name: str, value: Callable[[int, int, str], Any]) -> Callable[[Said, int, int, str], None]:
    """Return a function that writes a field about the next page, or a header if the name begins in upper case."""

    def write(said: Said, end: int, total: int, address: str) -> None:
        told = value(end, total, address)
        if name[0].isupper():
            said.headers |= {name: str(told)} if told is not None else {}
        elif "." in name:
            said.body[name.split(".", maxsplit=1)[0]] = {name.split(".")[1]: told}
        else:
            said.body[name] = told

    return write


def lists(change: Callable[[Said], None]) -> Reading:
    """Return a platform with a different form of lists."""

    def answer(_play: Play, asked: Asked, said: Said) -> None:
        if asked.operation in LISTS and said.status < 300:
            change(said)

    return Reading(answer)


def _under(*path: str) -> Callable[[Said], None]:
    def change(said: Said) -> None:
        rows = said.body.pop("data")
        for step in reversed(path):
            rows = {step: rows}
        said.body.update(rows)

    return change


def _bare(said: Said) -> None:
    said.body = said.body["data"]


def _null_if_empty(said: Said) -> None:
    said.body["data"] = said.body["data"] or None


def _missing_if_empty(said: Said) -> None:
    if not said.body["data"]:
        said.status, said.body = 404, {"success": False, "error": "Entries not found"}


def _turns() -> Reading:
    """Return a platform with two alternating servers; the lists of one are 20 s old."""

    def ask(play: Play, asked: Asked) -> None:
        if asked.operation in ALL_LISTS:
            turn = play.memory["turn"] = not play.memory.get("turn", False)
            play.emulator.api.late.seconds[asked.operation] = 20.0 if turn else 0.0

    return Reading(ask=ask, lag=ALL_LISTS)


def _cached(seconds: float) -> Reading:
    """Return a platform whose answers to GET requests may be some seconds old."""

    def ask(play: Play, asked: Asked) -> Said | None:
        incoming, kept = asked.incoming, play.memory.setdefault("cached", {})
        at, said = kept.get((incoming.path, str(incoming.query)), (float("-inf"), None))
        fresh = play.now >= at + seconds or "no-cache" in incoming.cache_control
        return None if fresh or incoming.method != "GET" or said is None else replace(said)

    def answer(play: Play, asked: Asked, said: Said) -> None:
        if asked.incoming.method == "GET":
            where = asked.incoming.path, str(asked.incoming.query)
            kept = play.memory.setdefault("cached", {})
            at, old = kept.get(where, (float("-inf"), None))
            if old is None or play.now >= at + seconds or "no-cache" in asked.incoming.cache_control:
                kept[where] = (
                    play.now,
                    Said(said.status, json.loads(json.dumps(said.body)), dict(said.headers)),
                )

    return Reading(answer, ask)


ALL_LISTS: Final = dict.fromkeys(
    ("containers.list", "connections.list", "allowed_ips.list", "vpn_clients.list", "backups.list"), 20.0
)


# External access, connections, backups, VPN clients.


def _access_without_url(_play: Play, asked: Asked, said: Said) -> None:
    if asked.operation == "containers.external_access" and isinstance(said.body, dict):
        for name in ("url", "subdomain", "message"):
            said.body.pop(name, None)


def _own_address_late(play: Play, asked: Asked, said: Said) -> None:
    if asked.operation == "allowed_ips.list" and said.status < 300:
        data = said.body["data"]
        data["allowed_ips"] = [
            row
            for row in data["allowed_ips"]
            if row["description"] != "Your IP (Auto-added)"
            or dt.datetime.fromisoformat(row["added_at"].replace("Z", "+00:00")).timestamp() + 3 <= play.now
        ]


def _listed_at(side: str) -> Reading:
    def answer(_play: Play, asked: Asked, said: Said) -> None:
        if asked.operation == "connections.list" and said.status < 300:
            said.body["data"]["incoming" if side == "source" else "outgoing"] = []

    return Reading(answer)


def _connection_name(change: Callable[[Play, str], str]) -> Reading:
    def ask(play: Play, asked: Asked) -> None:
        if asked.operation == "connections.create" and asked.body and "connectionName" in asked.body:
            asked.body = {**asked.body, "connectionName": change(play, asked.body["connectionName"])}

    return Reading(ask=ask)


def _restarts_both(play: Play, asked: Asked, said: Said) -> None:
    if asked.operation == "connections.create" and said.status < 300:
        platform = play.emulator.platform
        with platform.lock:
            for own in (asked.args["source_id"], asked.args["target_id"]):
                containers.set_status(platform, platform.state.containers[own], "restart")


def _backup_uuids() -> Reading:
    def shown(number: Any) -> str:
        return f"00000000-0000-4000-8000-{number:012d}"

    def ask(_play: Play, asked: Asked) -> None:
        path = re.sub(
            r"/backups/00000000-0000-4000-8000-(\d{12})",
            lambda found: f"/backups/{int(found[1])}",
            asked.incoming.path,
        )
        asked.incoming = replace(asked.incoming, path=path)

    return both(fields("backups.list", ("id",), shown, int), Reading(ask=ask))


def _config_in_post(play: Play, asked: Asked, said: Said) -> None:
    if asked.operation == "vpn_clients.add" and said.status < 300:
        state = play.emulator.state
        client = vpn.find(state.containers[asked.args["vpn_container_id"]], asked.body["name"])
        config = vpn.wireguard(state, state.containers[asked.args["vpn_container_id"]], client)
        said.body.setdefault("data", {})["config"] = config
    elif asked.operation == "vpn_clients.config":
        said.status, said.body = 404, {"success": False, "error": "VPN configuration not found"}


def _config_once(play: Play, asked: Asked, said: Said) -> None:
    if asked.operation == "vpn_clients.config" and said.status < 300:
        given = play.memory.setdefault("given", set())
        which = (asked.incoming.path, str(asked.incoming.query))
        if which in given:
            said.status, said.body = 404, {"success": False, "error": "VPN configuration not found"}
        given.add(which)


def _prices(write: Callable[[dict[str, Any], float], None]) -> Reading:
    def answer(_play: Play, asked: Asked, said: Said) -> None:
        for row in said.rows() if asked.operation == "containers.templates" else ():
            write(row, row.pop("price"))

    return Reading(answer)


# Errors, and the form of answers.


def errors(change: Callable[[Said, str], None]) -> Reading:
    """Return a platform with a different form of errors."""

    def answer(_play: Play, _asked: Asked, said: Said) -> None:
        if said.status >= 400 and isinstance(said.body, dict) and "error" in said.body:
            text = ": ".join(str(said.body[name]) for name in ("error", "message") if name in said.body)
            change(said, text)

    return Reading(answer)


def _conflict(said: Said, text: str) -> None:
    if said.status == 400 and re.search(
        r"already|wait until|must be running|not enabled|Cannot remove", text
    ):
        said.status = 409


def _gone(code: int) -> Callable[[Said, str], None]:
    def change(said: Said, _text: str) -> None:
        said.status = code if said.status == 404 else said.status

    return change


def _outage(play: Play, asked: Asked) -> Said | None:
    """Answer every request with 503 for 5 s, beginning with the second create request."""
    if asked.operation == "containers.create":
        play.memory["creates"] = play.memory.get("creates", 0) + 1
        if play.memory["creates"] == 2:
            play.memory["until"] = play.now + 5
    out = play.now < play.memory.get("until", float("-inf"))
    return Said(503, {"success": False, "error": "Service unavailable"}) if out else None


def _waitlist(play: Play, asked: Asked) -> Said | None:
    """Put the second create request on a waitlist, and create its container 3 s later."""
    platform, waiting = play.emulator.platform, play.memory.setdefault("waiting", [])
    for at, body in list(waiting):
        if play.now >= at:
            waiting.remove((at, body))
            with platform.lock:
                containers.add(platform, play.emulator.account, valid_create(body), created_by="waitlist")
    if asked.operation == "containers.create":
        play.memory["creates"] = play.memory.get("creates", 0) + 1
        if play.memory["creates"] == 2:
            waiting.append((play.now + 3, asked.body))
            return Said(503, {"success": False, "error": "No capacity available", "message": WAITLISTED})
    return None


WAITLISTED: Final = "You've been added to the waitlist."


def _lost_create(play: Play, _asked: Asked) -> None:
    """Lose the answer to the first create request."""
    if not play.memory.get("lost"):
        play.memory["lost"] = True
        play.emulator.faults.add("containers.create", "drop_after")


def _rate(change: Callable[[Play, dict[str, str]], dict[str, str]]) -> Reading:
    def answer(play: Play, _asked: Asked, said: Said) -> None:
        found = {name: it for name, it in said.headers.items() if name.startswith("X-RateLimit-")}
        rest = {name: it for name, it in said.headers.items() if name not in found}
        said.headers = rest | (change(play, found) if found else {})

    return Reading(answer)


def _spelt(spell: Callable[[str], str]) -> Reading:
    def renamed_(value: Any) -> Any:
        if isinstance(value, list):
            return [renamed_(inner) for inner in value]
        if not isinstance(value, dict):
            return value
        return {
            spell(key): inner if key == "environmentVariables" else renamed_(inner)
            for key, inner in value.items()
        }

    def answer(_play: Play, _asked: Asked, said: Said) -> None:
        said.body = renamed_(said.body)

    return Reading(answer)


def _shaped(change: Callable[[dict[str, Any]], dict[str, Any]]) -> Reading:
    def answer(_play: Play, asked: Asked, said: Said) -> None:
        if said.status < 300 and isinstance(said.body, dict) and asked.operation not in LISTS:
            said.body = change(said.body)

    return Reading(answer)


def _in_data(body: dict[str, Any]) -> dict[str, Any]:
    return body if "data" in body else {"data": {name: it for name, it in body.items() if name != "success"}}


def _flat(body: dict[str, Any]) -> dict[str, Any]:
    inner = body.get("data")
    return (
        {**{name: it for name, it in body.items() if name != "data"}, **inner}
        if isinstance(inner, dict)
        else body
    )


def _unknown_fields(_play: Play, _asked: Asked, said: Said) -> None:
    for found in said.objects():
        if "POSTGRES_HOST" not in found:
            found.update(region=None, labels={"tier": "a"})


def _open(shape: str) -> Reading:
    def ask(play: Play, _asked: Asked) -> None:
        play.emulator.shapes.set_all(shape)

    return Reading(ask=ask)


STATUS_NUMBERS: Final = {
    word: number
    for number, word in enumerate(
        ("pending", "running", "stopped", "error", "starting", "stopping", "restarting", "deleting")
    )
}
OTHER_WORDS: Final = {
    "running": "Active",
    "pending": "Provisioning",
    "stopped": "Halted",
    "error": "Failed",
    "deleting": "Terminating",
}


def _boot(*through: str) -> Reading:
    """Return a platform on which a booting container has several statuses in turn."""

    def answer(play: Play, asked: Asked, said: Said) -> None:
        for found in said.objects() if asked.operation in {"containers.list", "containers.status"} else ():
            if found.get("status") == "pending":
                part = int(play.age(found["id"]) / play.emulator.platform.pace.boot_seconds * len(through))
                found["status"] = through[min(part, len(through) - 1)]

    return Reading(answer)


def _camel(name: str) -> str:
    return re.sub(r"_([a-z])", lambda found: found[1].upper(), name)


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()


def _page(said: Said, text: str) -> None:
    said.headers["Content-Type"] = "text/html; charset=utf-8"
    said.body = f"<!DOCTYPE html><html><body><h1>{said.status}</h1><p>{text}</p></body></html>"


def _replace_body(made: Callable[[int, str], Any]) -> Callable[[Said, str], None]:
    def change(said: Said, text: str) -> None:
        field_ = said.body.get("field")
        said.body = made(said.status, text)
        inner = said.body.get("error") if isinstance(said.body, dict) else None
        located = inner if isinstance(inner, dict) else said.body
        if field_ is not None and isinstance(located, dict):
            located["field"] = field_

    return change


def _minimal(_play: Play, _asked: Asked, said: Said) -> None:
    """Keep only the fields of the guide's examples, without times and headers."""
    said.headers.clear()
    for found in said.objects():
        for name in TIMES:
            found.pop(name, None)


READINGS: Final[dict[str, Reading]] = {
    # A new container.
    "invisible for 20 s": after(listed=20, found=20),
    "listed after 20 s": after(listed=20),
    "status found after 20 s": after(found=20),
    "hidden while pending, status late": hidden(
        listed=lambda play, id_: not _is(play, id_, "pending"), found=lambda play, id_: play.age(id_) >= 10
    ),
    "the id of the request in the 202": created(
        lambda play, said: said.body["data"].update(id=f"req-{len(play.emulator.state.containers):08d}")
    ),
    "no id in the 202": created(lambda _play, said: said.body["data"].pop("id")),
    "the id of the request, and invisible for 20 s": both(
        created(lambda play, said: said.body["data"].update(id=f"req-{int(play.now * 1000)}")),
        after(listed=20, found=20),
    ),
    "a create is answered with 200": created(lambda _play, said: setattr(said, "status", 200)),
    "a name that is taken is answered": Reading(_answered_name),
    "a lost answer to a create, and lists that lag 20 s": Reading(ask=_lost_create, lag=ALL_LISTS),
    "a lost answer to a create, and no times at all": both(Reading(_minimal), Reading(ask=_lost_create)),
    # Its identity.
    "ids as numbers": ids(lambda _play, _id, port: 40_000 + port),
    "ids as UUIDs": ids(lambda _play, _id, port: f"00000000-0000-4000-8000-{port:012d}"),
    "no times and no headers": Reading(_minimal),
    "creation time only in the status": without("containers.list", "created_at"),
    "creation time only in the list": without("containers.status", "createdAt"),
    "creation time changes with a start": restamped(
        "containers.set_status", "connections.create", "containers.external_access"
    ),
    "creation time changes with a restore": restamped("backups.restore"),
    # Lists.
    "pages by address": pages(2, says("meta.next", lambda end, _total, url: url if end else None)),
    "pages by cursor": pages(
        2,
        says("meta.next_cursor", lambda end, _total, _url: _mark("cursor", end, 2) if end else None),
        "cursor",
    ),
    "pages by number": pages(2, says("next_page", lambda end, _total, _url: end // 2 + 1 if end else None)),
    "pages by offset": pages(2, says("next_offset", lambda end, _total, _url: end or None), "offset"),
    "pages with a flag": pages(2, says("has_more", lambda end, _total, _url: bool(end))),
    "pages with a total": pages(2, says("total", lambda _end, total, _url: total)),
    "pages with a Link header": pages(
        2, says("Link", lambda end, _total, url: f'<{url}>; rel="next"' if end else None)
    ),
    "pages with X-Total-Count": pages(2, says("X-Total-Count", lambda _end, total, _url: total)),
    "pages with the last page": pages(2, says("meta.last_page", lambda _end, total, _url: -(-total // 2))),
    "pages with a 206": pages(
        2, lambda said, end, _total, _url: setattr(said, "status", 206 if end else 200)
    ),
    "silent pages": pages(2, None),
    "silent pages with a count": pages(2, says("count", lambda _end, total, _url: total)),
    "a count above the rows": lists(lambda said: said.body.update(count=len(said.body["data"]) + 1)),
    "rows under items": lists(_under("items")),
    "rows under data.containers": lists(_under("data", "containers")),
    "bare lists": lists(_bare),
    "an empty list is null": lists(_null_if_empty),
    "an empty list is a 404": lists(_missing_if_empty),
    "lists lag 20 s": Reading(lag=ALL_LISTS),
    "every second list lags 20 s": _turns(),
    "lists and statuses lag 10 s": Reading(lag={**dict.fromkeys(ALL_LISTS, 10.0), "containers.status": 10.0}),
    "GETs cached for 5 s": _cached(5),
    # Deleted and stopped.
    "tombstones": tombstones("deleted"),
    "tombstones for 30 s": tombstones("terminated", 30),
    "tombstones and UUIDs": both(
        tombstones("terminated"), ids(lambda _play, _id, port: f"00000000-0000-4000-8000-{port:012d}")
    ),
    "names held for 10 s": names_held(10),
    "stopped containers are hidden": hidden(
        listed=lambda play, id_: not _is(play, id_, "stopped"), found=lambda _play, _id: True
    ),
    "410 for gone": errors(_gone(410)),
    "403 for gone": errors(_gone(403)),
    # Words.
    "statuses in upper case": statuses(str.upper),
    "other words for statuses": statuses(lambda word: OTHER_WORDS.get(word, word)),
    "statuses as numbers": statuses(lambda word: STATUS_NUMBERS.get(word, word)),
    "statuses as objects": statuses(lambda word: {"state": word, "reason": None}),
    "boot through created and exited": _boot("created", "exited", "starting"),
    "boot through stopped": _boot("stopped", "pending"),
    "the type is a category": fields("containers", ("type",), _category),
    "plans by display name": words("containers", ("plan",), {"basic": "Basic Plan", "micro": "Micro Plan"}),
    "plans in upper case": fields("containers", ("plan",), str.upper),
    "templates under other names": templates({"nodejs": "node", "postgresql": "pg"}),
    "names with a prefix": renamed(lambda name: f"acme-{name}"),
    "names in lower case": Reading(settings={"lower_case_names": True}),
    "storage in GB": fields(
        "containers",
        ("storage_allocated", "storageAllocated", "storage"),
        lambda megabytes: megabytes / 1024,
        int,
    ),
    # External access.
    "access settles after 5 s": both(
        Reading(_access_without_url), Reading(lag={"allowed_ips.list": 5.0, "containers.status": 5.0})
    ),
    "no url in the answer": Reading(_access_without_url),
    "the caller's address 3 s later": Reading(_own_address_late),
    "another text for the caller's address": words(
        "allowed_ips", ("description",), {"Your IP (Auto-added)": "Added automatically"}
    ),
    "addresses as networks": fields(
        "allowed_ips", ("ip_address",), lambda address: str(ipaddress.ip_network(address, strict=False))
    ),
    # Connections.
    "connections at the source only": _listed_at("source"),
    "connections at the target only": _listed_at("target"),
    "connections listed 5 s late": Reading(lag={"connections.list": 5.0}),
    "connection names in lower case": _connection_name(lambda _play, name: name.lower()),
    "connection names made unique": _connection_name(
        lambda play, name: f"{name}-{len(play.emulator.requests):04x}"
    ),
    "a connection restarts both": Reading(_restarts_both),
    # Backups.
    "other words for backups": both(
        words("backups", ("status",), {"completed": "done", "in_progress": "running"}),
        words("backups", ("backup_type",), {"manual": "on-demand"}),
    ),
    "backups with UUIDs": _backup_uuids(),
    "backups and pins listed 5 s late": Reading(lag={"backups.list": 5.0}),
    "a pin is a time": fields(
        "backups.list", ("pinned",), lambda pinned: "2026-05-17T02:00:14.000Z" if pinned else None, int
    ),
    # VPN clients.
    "a VPN configuration only from POST": Reading(_config_in_post),
    "a VPN configuration once": Reading(_config_once),
    # Prices.
    "prices in cents": _prices(lambda row, price: row.update(price_cents=int(price * 100))),
    "prices per hour": _prices(lambda row, price: row.update(hourly=round(price / 730, 6))),
    "prices as text with a currency": _prices(lambda row, price: row.update(price=f"${price:.2f}")),
    "nested prices": _prices(lambda row, price: row.update(pricing={"monthly": {"amount": price}})),
    # Errors.
    "409 for a conflict": errors(_conflict),
    "an outage": Reading(ask=_outage),
    "a waitlist that creates 3 s later": Reading(ask=_waitlist),
    "nested errors": errors(
        _replace_body(lambda code, text: {"error": {"code": f"E{code}", "message": text}})
    ),
    "errors in detail": errors(_replace_body(lambda _code, text: {"detail": text})),
    "errors as problem+json": errors(
        _replace_body(
            lambda code, text: {"type": "about:blank", "title": "Error", "status": code, "detail": text}
        )
    ),
    "errors as a list": errors(_replace_body(lambda _code, text: {"errors": [{"message": text}]})),
    "errors as text": errors(_replace_body(lambda _code, text: text)),
    "errors as HTML": errors(_page),
    "rate headers of the draft": _rate(
        lambda play, found: {
            **{name.removeprefix("X-"): it for name, it in found.items()},
            "RateLimit-Reset": str(
                max(0, int(float(found["X-RateLimit-Reset"]) - play.emulator.clock.wall()))
            ),
        }
    ),
    "rate headers in milliseconds": _rate(
        lambda _play, found: {**found, "X-RateLimit-Reset": f"{found['X-RateLimit-Reset']}000"}
    ),
    # Any answer.
    "camelCase": _spelt(_camel),
    "snake_case": _spelt(_snake),
    "everything in data": _shaped(_in_data),
    "flat objects": _shaped(_flat),
    "unknown fields": Reading(_unknown_fields),
    "bare open answers": _open("bare"),
    "empty open answers": _open("empty"),
    "times with an offset": times(
        lambda at: at.astimezone(dt.timezone(dt.timedelta(hours=2))).isoformat(timespec="milliseconds")
    ),
    "times without a zone": times(zoneless),
    "times in microseconds": times(lambda at: at.isoformat(timespec="microseconds").replace("+00:00", "Z")),
    "times as seconds": times(lambda at: int(at.timestamp())),
    "times as milliseconds": times(lambda at: int(at.timestamp() * 1000)),
    "times as HTTP dates": times(lambda at: email.utils.formatdate(at.timestamp(), usegmt=True)),
    "times that differ by endpoint": times(lambda at: int(at.timestamp()), "containers.list"),
    "a clock ten minutes ahead": clock_ahead(600),
    "a clock ten minutes behind": clock_ahead(-600),
}
"""One platform for each reading; its name describes the difference."""


def random_reading(seed: int) -> tuple[list[str], Reading]:
    """Return the names of several random readings, and a platform with all of them."""
    draw = random.Random(seed)
    names = draw.sample(sorted(READINGS), draw.randint(2, 4))
    return names, both(*(READINGS[name] for name in names))
