"""
How does the broker send a request to the platform? Only this module has the key.

A request is sent once, when the rate limit allows it, and without the client's headers. Concurrent clients share one
list of containers.
"""

from __future__ import annotations

import json
import re
import string
import threading
from collections.abc import Callable, Collection, Mapping
from typing import Any, Final, TypeVar
from urllib.parse import quote

import msgspec

from stacks_pulumi import catalog
from stacks_pulumi._clock import Clock, Pulse, beat
from stacks_pulumi.api import allowed_ips, backups, connections, containers, vpn_clients
from stacks_pulumi.api._bodies import ShapeError, created_connection, created_container, item
from stacks_pulumi.api._call import Answer, Call
from stacks_pulumi.api._decode import Decode
from stacks_pulumi.api._limiter import Limit, Limiter
from stacks_pulumi.api._pages import is_total
from stacks_pulumi.api.models import AllowedIp, Connections, Container, ExternalAccess, Listing
from stacks_pulumi.broker.change import CONFIG, Kind
from stacks_pulumi.broker.reply import Reply, RequestRefusedError, busy, json_reply
from stacks_pulumi.config import check_base_url
from stacks_pulumi.endpoints import ENDPOINTS
from stacks_pulumi.errors import (
    ConnectionFailedError,
    NotFoundError,
    StacksError,
    UnreadableAnswerError,
)
from stacks_pulumi.platform_file import Prices
from stacks_pulumi.pricing.money import MonthlyPrice
from stacks_pulumi.pricing.price_list import price_list

T = TypeVar("T")
N = TypeVar("N")

BASE: Final = "/api/v1"
"""The path of the platform's endpoints in the base URL of the clients."""
PATIENCE: Final = 24.0
"""Seconds within which a client receives its answer. The client's own timeout is 30 seconds."""
LATEST: Final = 10.0
"""Seconds after the arrival of a request within which a change may be sent, so that its answer is in time."""
_LOOK_SECONDS: Final = 8.0
_CHANGE_SECONDS: Final = 13.0
FRESH: Final = 1.0
"""Seconds for which one list of containers is shared."""
RECENT: Final = 10.0
"""Seconds for which the list is recent enough to judge a create: the ledger contains the broker's newer creates."""
_PRICES: Final = 300.0

_KEPT: Final = frozenset({"content-type", "date", "retry-after"})
_PASSWORD: Final = re.compile(
    r"(?<=://)([^:/@\s\"]{0,100}):(?!\*{1,20}@|[0-9]{1,5}/)(?:\\.|[^\s\"\\]){1,300}@"
)
"""A password in an address. It may contain `:`, `/` and `@`, but a port is not a password."""
_LOWER: Final = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)
"""Lower-cases ASCII only, so that the length of a text does not change, as it can with `str.lower`."""
_NAMED: Final = re.compile(
    r'("\w{0,100}(?:password|secret)\w{0,100}"\s*:\s*")(?:[^"\\]|\\.)+(?=")', re.ASCII | re.IGNORECASE
)
"""The value of a field whose name contains one of these words. The platform masks such a value as `****`."""
_SUCCESS: Final = range(200, 300)
_REDIRECT: Final = range(300, 400)
_REFUSED: Final = 400
"""The status for a refusal to which the platform gave a success status."""


class Lost(msgspec.Struct, frozen=True):
    """The platform did not answer. `sent`: whether it may have carried out the request."""

    sent: bool


class Upstream:
    """
    The platform, with the key.

    Args:
        base_url: Its address.
        key: The key.
        clock: The clock.
        read_key: The key for reads, if there is a separate key for them.
        allow_http: Whether the address may be plain HTTP on another machine.
        per_minute: The rate limit that applies until an answer states the rate limit.
        live_prices: Whether prices are read from the platform.
        settled: Returns the number of the last change that ended, of all endpoints or of one. It shows whether a list
            is older than a change.
        is_gone: Returns whether a listed container no longer exists: the platform's list may lag behind.
        made: Returns the container that was recently created under an id, even if no list shows it yet.
    """

    def __init__(
        self,
        base_url: str,
        key: str,
        clock: Clock,
        *,
        read_key: str | None = None,
        allow_http: bool = False,
        per_minute: int = 60,
        live_prices: bool = False,
        settled: Callable[..., int],
        is_gone: Callable[[Container], bool] = lambda _row: False,
        made: Callable[[str], Container | None] = lambda _id: None,
    ) -> None:
        # This import loads `requests`, so it is here: a command that only reads the ledger does not need `requests`.
        from stacks_pulumi.api._transport import Transport  # noqa: PLC0415

        self.base_url, self._clock = check_base_url(base_url, allow_http=allow_http), clock
        self._keys = tuple(dict.fromkeys([key, read_key or key]))
        self._limiter = Limiter(per_minute, 16, clock)
        looks = self._limiter if read_key is None else Limiter(per_minute, 16, clock)
        self._look = Limit(Transport(self.base_url, self._keys[-1], clock, _LOOK_SECONDS), looks)
        # A change is judged by a list first, so the answers to reads show the time before the first change.
        self._server_now = looks.server_now
        self._change = Transport(self.base_url, key, clock, _CHANGE_SECONDS)
        self._live_prices = live_prices
        self._priced: tuple[float, MonthlyPrice] | None = None
        self._counted = threading.local()
        self.settled, self.is_gone, self.made = settled, is_gone, made
        self._list_lock = threading.Lock()
        self._list: tuple[float, float, int, Answer] | None = None

    def is_key(self, token: str) -> bool:
        return token in self._keys

    @property
    def per_minute(self) -> int:
        """The rate limit according to the platform's last answer."""
        return self._limiter.per_minute

    def now(self) -> float:
        """Return the time of the platform's clock if an answer has stated it; otherwise, the time of this machine."""
        there = self._server_now()
        return self._clock.wall() if there is None else there

    def patient(self) -> float:
        """Return the time at which the answer to a request that arrives now is due."""
        return self._clock.now() + PATIENCE

    def is_late(self, due: float) -> bool:
        """Return whether it is too late to send a change whose answer is due at that time."""
        return self._clock.now() > due - PATIENCE + LATEST

    def elapsed(self, due: float) -> float:
        """Return the seconds since the arrival of a request whose answer is due at that time."""
        return self._clock.now() - due + PATIENCE

    def sleep(self, seconds: float) -> None:
        self._clock.sleep(seconds)

    @property
    def calls(self) -> int:
        """The number of requests that this thread has sent to the platform."""
        return getattr(self._counted, "calls", 0)

    # Sending

    def change(
        self,
        name: str,
        ids: Mapping[str, str],
        body: Mapping[str, Any],
        due: float,
        check: Callable[[float], None] = lambda _waited: None,
    ) -> Answer | Lost:
        """
        Send a change once.

        Args:
            name: The endpoint.
            ids: The variables of its path.
            body: Its body.
            due: The time at which the answer to the client is due.
            check: Called with 0 while the change waits for its turn, and with the length of that wait in seconds when
                its turn comes. If it raises an error, the change is not sent.

        Raises:
            RequestRefusedError: The change did not get its turn in time, so it was not sent.
        """
        began: list[float] = []

        def waits() -> None:
            began.append(self._clock.wall())
            check(0)

        def in_turn(call: Call[Any]) -> Answer:
            # The wall clock is used, because the machine may have slept.
            check(abs(self._clock.wall() - began[0]) if began else 0)
            return self._change(call)

        call = _call(name, ids, json=body or None, pulse=waits)
        got = self._sent(Limit(in_turn, self._limiter), call, due - PATIENCE + LATEST)
        return got if isinstance(got, Lost) else self._understood(call, got)

    def _understood(self, call: Call[Any], answer: Answer) -> Answer | Lost:
        """Return an answer to a change; if it reports a failure with a success status, the status is replaced."""
        try:
            Decode(lambda _: answer, self.base_url)(call)
        except UnreadableAnswerError:
            # For example, a proxy has answered with a page.
            return Lost(sent=True)
        except StacksError:
            if answer.status in _SUCCESS:
                return msgspec.structs.replace(answer, status=_REFUSED)
        return answer

    def read(self, name: str, ids: Mapping[str, str], query: Mapping[str, str], due: float) -> Answer | Lost:
        """Send a read request. Concurrent callers share one list of all containers."""
        if name == "containers.list" and not query:
            return self.shared(due, since=self.settled())[1]
        if name == CONFIG:
            query = {**query, "client": ids["client_name"]}
        return self._sent(self._look, _call(name, ids, query=query, poll=name.startswith("containers.")), due)

    def _sent(self, send: Callable[[Call[Any]], Answer], call: Call[Any], due: float) -> Answer | Lost:
        try:
            answer = self._counting(send, call, due)
        except ConnectionFailedError as error:
            return Lost(error.sent)
        except UnreadableAnswerError:
            return Lost(sent=True)
        # A client that follows a redirect would send the key to another address.
        return Lost(sent=True) if answer.status in _REDIRECT else answer

    def _counting(self, send: Callable[[Call[Any]], Answer], call: Call[T], due: float) -> Answer:
        def in_time() -> None:
            beat(call.pulse)
            if self._clock.now() > due:
                raise RequestRefusedError(
                    429,
                    "the account's rate limit is used up",
                    headers={"retry-after": str(int(self._limiter.pace()) + 5)},
                )

        self._counted.calls = self.calls + 1
        return send(msgspec.structs.replace(call, pulse=in_time))

    # Reading lists

    def shared(self, due: float, *, since: int, most: float = FRESH) -> tuple[int, Answer | Lost]:
        """
        Return the list that all requests share, and the number of the last change that ended before the list was read.

        Args:
            due: The time at which the answer to the client is due.
            since: The number of a change that must have ended before the list was requested.
            most: The highest age of the list in seconds.
        """
        with self._list_lock:
            now, settled = self._clock.now(), self.settled()
            if self._list is not None:
                at, wall, before, answer = self._list
                # The monotonic clock stands still while a machine sleeps.
                age = max(now - at, abs(self._clock.wall() - wall))
                if before >= since and age < most:
                    return before, answer
            got = self._sent(self._look, _call("containers.list", {}), due)
            if isinstance(got, Answer) and got.status == 200:
                self._list = now, self._clock.wall(), settled, got
            return settled, got

    def decoded(self, call: Call[T], due: float, first: Answer | None = None) -> T:
        """
        Return the decoded answer of a call. If `first` is given, only the other pages are requested.

        Raises:
            NotFoundError: There is no such container.
            RequestRefusedError: The platform's data cannot be read at the moment.
        """
        given = [first] if first is not None else []

        def send(one: Call[Any]) -> Answer:
            return given.pop() if given else self._counting(self._look, one, due)

        try:
            return Decode(send, self.base_url)(call)
        except NotFoundError:
            raise
        except StacksError as error:
            raise busy(f"the platform cannot be read now ({error.message}), so nothing was sent") from None

    def prices(self, due: float) -> MonthlyPrice:
        """Return the function for monthly prices: it uses the platform's prices, or those of the catalogue."""
        if not self._live_prices:
            return catalog.monthly_price
        if self._priced is None or self._clock.now() - self._priced[0] > _PRICES:
            rows = [(one.id, one.plan, one.raw) for one in self.decoded(containers.TEMPLATES, due)]
            # The catalogue's price of a template whose listed price is unclear may be too low.
            self._priced = self._clock.now(), price_list(rows, Prices())
        return self._priced[1]

    # Answers to clients

    def reply(
        self,
        got: Answer | Lost,
        decision: str,
        *,
        secret: bool = False,
        only: Collection[str] | None = None,
    ) -> Reply:
        """
        Return an answer for a client: without the key, and with links to the broker instead of the platform.

        Args:
            got: The answer of the platform.
            decision: The outcome of the request.
            secret: Whether the client may see the secrets in it. Otherwise, passwords are masked.
            only: The containers whose rows may be in it; `None` for all.
        """
        if isinstance(got, Lost):
            return unanswered(got, decision)
        text = got.body.decode("utf-8", "surrogateescape")
        if "\\" in text:
            # JSON may contain the key, or a slash of an address, with escapes.
            text = _without_escapes(text)
        text = self._without_keys(text).replace(self.base_url, BASE)
        if not secret:
            text = _NAMED.sub(r"\1****", _PASSWORD.sub(r"\1:****@", text))
        if only is not None:
            text = _only(text, only)
        headers = {name: self._without_keys(value) for name, value in got.headers.items() if name in _KEPT}
        return Reply(got.status, text.encode("utf-8", "surrogateescape"), headers, decision)

    def _without_keys(self, text: str) -> str:
        # Upper and lower case are treated as equal, because an answer may contain the key in capitals.
        for key in (key.translate(_LOWER) for key in self._keys):
            while (at := text.translate(_LOWER).find(key)) >= 0:
                text = f"{text[:at]}****{text[at + len(key) :]}"
        return text


class WaitedError(Exception):
    """Raised if a change waited so long for its turn that its verdict is out of date. The change is not sent."""


class NotLookedError(Exception):
    """Raised if a required list was not read, or is too old. Calling `ask` reads it."""

    def __init__(self, ask: Callable[[], None]) -> None:
        super().__init__()
        self.ask = ask


class Look:
    """
    The view of the platform while one request is judged: each list is read at most once.

    Args:
        upstream: The platform.
        due: The time at which the answer to the client is due.
        newest: Whether the list of containers has to be newer than every ended change. Otherwise, it has to be newer
            than every deletion of a container, because only a deletion frees an id.
        most: The highest age of the list of containers in seconds. With 0, a container is looked up only at its own
            address, because lists lag behind.

    Attributes:
        settled: The number of the last change that ended before the first read; `None` before a read.
    """

    def __init__(self, upstream: Upstream, due: float, *, newest: bool = False, most: float = FRESH) -> None:
        self._upstream, self._due, self._most = upstream, due, most
        self._since = upstream.settled() if newest else upstream.settled("containers.delete")
        self._kept: dict[tuple[str, str], Any] = {}
        self._is_closed, self._listed = False, 0.0
        self.settled: int | None = None

    def close(self) -> None:
        """Allow no further reads, because a transaction sends no requests."""
        self._is_closed = True

    def renew(self) -> None:
        """Discard all lists. The next list is newer than every ended change."""
        self._kept.clear()
        self._since, self.settled = self._upstream.settled(), None

    @property
    def containers(self) -> Listing[Container]:
        def ask() -> Listing[Container]:
            settled, got = self._upstream.shared(self._due, since=self._since, most=self._most)
            self._looked(settled)
            if isinstance(got, Lost):
                raise busy("the containers cannot be listed now, so nothing was sent")
            rows = self._upstream.decoded(containers.LIST, self._due, got)
            self._listed = self._upstream.patient()
            return rows

        return self._once("containers", "", ask)

    def container(self, id_: str) -> Container | None:
        """
        Return a container from the list or from its own address; `None` if neither contains it.

        Raises:
            RequestRefusedError: The platform does not show yet that the container was deleted, or spells its id
                differently.
        """
        rows = self.containers if self._most else ()
        found = next((one for one in rows if one.id == id_), None)
        if found is None:
            found = self._asked(containers.status_call(id_), id_, None)
        if found is not None and found.id != id_:
            # The platform may ignore case, but a person who approves the request would see no container with this id.
            raise RequestRefusedError(404, "Container not found")
        if found is not None and self.is_gone(found):
            raise busy(f"the platform still shows a container {id_} that was deleted")
        return found

    def is_gone(self, row: Container) -> bool:
        """Return whether a listed container no longer exists: the platform's list may lag behind."""
        return self._upstream.is_gone(row)

    def existing(self, id_: str) -> Container | None:
        """Return a container, even if it was created so recently that the platform does not show it yet."""
        return self.container(id_) or self._upstream.made(id_)

    def access(self, container: str) -> ExternalAccess:
        """Return who may connect to a container."""
        return self._asked(allowed_ips.list_call(container), container, ExternalAccess())

    def rows(self, kind: Kind, container: str) -> Listing[Any]:
        """Return the objects of a kind that a container lists."""
        if kind == "AllowedIp":
            return self.access(container).allowed_ips
        if kind == "Connection":
            return self._asked(connections.list_call(container), container, Connections()).outgoing
        if kind == "VpnClient":
            return self._asked(vpn_clients.list_call(container), container, Listing())
        return self._asked(backups.list_call(container, 100), container, Listing())

    @property
    def prices(self) -> MonthlyPrice:
        """The function that returns the current monthly price of a container."""
        return self._once("prices", "", lambda: self._upstream.prices(self._due))

    def is_asked(self, kind: Kind, ids: Mapping[str, str], body: Mapping[str, Any], row: Any) -> bool:
        """Return whether a listed object matches a request. The client recognises its own objects by the same rules."""
        if kind == "Container":
            is_vpn = body.get("template") == catalog.VPN_TEMPLATE
            plan = None if is_vpn else str(body.get("plan", catalog.DEFAULT_PLAN))
            return containers.is_asked(row, str(body.get("name")), str(body.get("template")), plan)
        if kind == "Connection":
            # A client may send a name that is not text.
            name = str(body["connectionName"]) if "connectionName" in body else None
            return connections.is_equal(row, ids["target_id"], name, self.container)
        if kind == "AllowedIp":
            return allowed_ips.is_equal(row, body)
        if kind == "VpnClient":
            return bool(row.name == body.get("name"))
        return bool(row.backup_type != "scheduled")

    def _asked(self, call: Call[T], of: str, nothing: N) -> T | N:
        """Return the decoded answer to a call, or `nothing` if there is no such container."""

        def ask() -> T | N:
            try:
                return self._upstream.decoded(call, self._due)
            except NotFoundError:
                return nothing

        return self._once(call.endpoint.name, of, ask)

    def _once(self, name: str, of: str, ask: Callable[[], T]) -> T:
        def look() -> None:
            self._looked(self._upstream.settled())
            found = ask()
            # While this read waited, the dashboard may have given an id to another container.
            if self._upstream.elapsed(self._listed) > self._most:
                self._kept.pop(("containers", ""), None)
            self._kept[name, of] = found

        if (name, of) not in self._kept:
            if self._is_closed:
                raise NotLookedError(look)
            look()
        found: T = self._kept[name, of]
        return found

    def _looked(self, settled: int) -> None:
        self.settled = settled if self.settled is None else min(settled, self.settled)


_MADE: Final[Mapping[Kind, Callable[[Any, str], Any]]] = {
    "Container": created_container,
    "Connection": lambda body, _name: created_connection(body),
    "AllowedIp": lambda body, _name: item(AllowedIp, body),
}
"""Kind -> a function of the answer to the create request and of the requested name; it returns the created object."""


def made_by(
    kind: Kind, ids: Mapping[str, str], body: Mapping[str, Any], got: Answer | Lost
) -> tuple[str, str | None] | None:
    """
    Return the id and creation time of the object in an answer; `None` if there is no answer or no id.

    The answer to a backup request contains no id, so the id is empty. The list of backups shows the id later.
    """
    if isinstance(got, Lost) or not kind:
        return None
    if kind not in _MADE:
        return {"Pin": ids.get("backup_id", ""), "VpnClient": str(body.get("name"))}.get(kind, ""), None
    try:
        row = _MADE[kind](msgspec.json.decode(got.body), str(body.get("name")))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ShapeError):
        return None
    return row.id, row.added_at if kind == "AllowedIp" else row.created_at


def path_of(name: str, ids: Mapping[str, str]) -> str:
    """Return the path of a request below the base URL, with each variable as one segment."""
    return ENDPOINTS[name].path.format_map({key: quote(value, safe="") for key, value in ids.items()})


def _call(
    name: str,
    ids: Mapping[str, str],
    *,
    query: Mapping[str, str] | None = None,
    json: Mapping[str, Any] | None = None,
    poll: bool = False,
    pulse: Pulse | None = None,
) -> Call[Any]:
    return Call(
        ENDPOINTS[name],
        name,
        path_of(name, ids),
        lambda body: body,
        query=dict(query or {}),
        json=json,
        poll=poll,
        pulse=pulse,
    )


def unanswered(lost: Lost, decision: str) -> Reply:
    """Return the answer for the client if the platform did not answer and the broker no longer waits for an answer."""
    if not lost.sent:
        return busy("the platform cannot be reached, and nothing was sent").reply()
    body = {
        "success": False,
        "error": "the platform did not answer, and the request may have been carried out",
    }
    return json_reply(502, body, decision=decision)


def _without_escapes(text: str) -> str:
    """Return JSON without needless escapes; other text is returned unchanged."""
    try:
        return json.dumps(json.loads(text), ensure_ascii=False).encode("utf-8", "replace").decode()
    except (ValueError, RecursionError):
        return text


def _only(text: str, own: Collection[str]) -> str:
    """Return JSON without the rows of other containers; empty if the text is truncated or is not JSON."""
    try:
        return json.dumps(_without(json.loads(text), own), ensure_ascii=False)
    except (ValueError, RecursionError):
        return ""


def _without(value: Any, own: Collection[str]) -> Any:
    if isinstance(value, list):
        rows = [
            row for row in value if not isinstance(row, dict) or row.get("container_id", row.get("id")) in own
        ]
        return [_without(row, own) for row in rows]
    if isinstance(value, dict):
        # A total would reveal the other containers, and a client would treat the list as incomplete.
        return {name: _without(inner, own) for name, inner in value.items() if not is_total(name)}
    return value
