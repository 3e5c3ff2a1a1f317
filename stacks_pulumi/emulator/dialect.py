"""
Which words, names and forms has an answer of a platform that a file describes?

The rules of the nouns know the guide's words only. `Words` translates a request on its way in, and an answer on its way
out.
"""

from __future__ import annotations

import base64
import datetime as dt
import email.utils
import html
import ipaddress
import json
import re
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias, get_args
from urllib.parse import urlencode

from stacks_pulumi import catalog
from stacks_pulumi.emulator.answers import PlainText, Refusal, Response, encode, not_found
from stacks_pulumi.emulator.platform import iso
from stacks_pulumi.platform_file import ContainerStatus, PlatformFacts

_Convert: TypeAlias = Callable[[Any], Any]

PAGED: Final = frozenset(
    {"containers.list", "containers.templates", "backups.list", "vpn_clients.list", "allowed_ips.list"}
)
"""The operations whose answer is a list, or an object with one list."""

_IDS: Final = ("id", "container_id", "containerId", "sourceContainer", "targetContainer")
_TIMES: Final = (
    "created_at",
    "createdAt",
    "updatedAt",
    "completed_at",
    "added_at",
    "last_backup_at",
    "timestamp",
    "pinned",
)
_STORAGE: Final = ("storage_allocated", "storageAllocated", "storage")
_CREATED: Final = {"containers.list": ("created_at", "list"), "containers.status": ("createdAt", "status")}
_OFFSETS: Final = frozenset({"offset", "skip", "start"})
_HEADERS: Final = frozenset({"Link", "X-Total-Count"})
_FREE: Final = frozenset({"environmentVariables"})
"""Objects whose keys are not names of fields."""


class Verbatim(str):
    """A word of the platform, which needs no translation."""

    __slots__ = ()


class Words:
    """
    The translation between the guide's words and those of a platform.

    Args:
        facts: The platform.
    """

    def __init__(self, facts: PlatformFacts) -> None:
        self._facts = facts
        containers, backups = facts.containers, facts.backups
        status = _then(_back(containers.statuses), self._status_form)
        template, plan = _back(containers.templates), _back(containers.plans)
        of_all = {
            **dict.fromkeys(_TIMES, self._time),
            **(dict.fromkeys(_STORAGE, _gigabytes) if containers.storage_unit == "GB" else {}),
        }
        of_containers = {
            **of_all,
            "status": status,
            "plan": plan,
            "template": template,
            "type": _category if containers.type_is == "category" else template,
        }
        self._tables: dict[str, dict[str, _Convert]] = {
            "containers": of_containers,
            "containers.templates": {**of_all, "id": template, "plan": plan},
            "containers.credentials": {"type": template},
            "connections": {
                **of_all,
                "target_status": status,
                "source_status": status,
                "target_type": template,
                "source_type": template,
                "type": template,
            },
            "backups": {
                **of_all,
                "status": _back(backups.statuses),
                "backup_type": _back(backups.types),
                "pinned": self._pinned,
            },
        }
        self._spell = _SPELLINGS.get(facts.answers.keys)
        paths = (facts.lists.rows, facts.lists.next, facts.prices.field)
        self._own_names = frozenset(step for path in paths if path for step in path.split("."))
        if facts.access.address_form == "network":
            of_all = {**of_all, "ip_address": _network}
        self._others = of_all

    def of_request(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Return the body of a create request in the guide's words."""
        tables = {"plan": self._facts.containers.plans, "template": self._facts.containers.templates}
        return {name: _known(tables.get(name), value) for name, value in body.items()}

    def of_answer(self, operation: str, body: Any, ids: Mapping[str, Any]) -> Any:
        """
        Return the body of an answer in the platform's words.

        Args:
            operation: The operation.
            body: The body in the guide's words.
            ids: The platform's id of each object, by the rules' id.
        """
        table = dict(
            self._tables.get(operation) or self._tables.get(operation.partition(".")[0]) or self._others
        )
        if self._facts.answers.times == "mixed" and operation == "containers.list":
            table.update(dict.fromkeys(_TIMES, _same), pinned=table.get("pinned", _same))
        for name in _IDS if ids else ():
            table[name] = _named(ids, table.get(name, _same))
        body = _walked(body, table)
        name, place = _CREATED.get(operation, ("", ""))
        if place and self._facts.containers.created_at_in not in {None, "both", place}:
            body = _without(body, name)
        return self._with_prices(body) if operation == "containers.templates" else body

    def shaped(self, operation: str, body: Any) -> Any:
        """Return a body with the platform's names of fields, and an object wrapped as the platform does."""
        answers = self._facts.answers
        if isinstance(body, dict) and operation not in PAGED:
            if answers.wrapped == "data" and "data" not in body:
                body = {"success": True, "data": {key: it for key, it in body.items() if key != "success"}}
            elif answers.wrapped == "flat" and isinstance(body.get("data"), dict):
                body = {**{key: it for key, it in body.items() if key != "data"}, **body["data"]}
        if answers.unknown_fields:
            body = _with_unknown_fields(body)
        return body if self._spell is None else _renamed(body, self._spell, self._own_names)

    def paged(self, body: Any, query: Mapping[str, str], address: str) -> tuple[int, Any, dict[str, str]]:
        """
        Return the answer with one page of a list: the status code, the body with the rows where the platform has them,
        and the headers about the next page.

        Args:
            body: The whole list as the guide has it.
            query: The query of the request.
            address: The address of the request without the query.

        Raises:
            Refusal: The list is empty, and the platform answers that like something that does not exist.
        """
        lists = self._facts.lists
        if not isinstance(body, dict):
            return 200, body, {}
        inner = body.get("data")
        outer = inner if isinstance(inner, dict) and "allowed_ips" in inner else None
        rows = inner if outer is None else outer["allowed_ips"]
        if not isinstance(rows, list):
            return 200, body, {}
        page, follow, headers = self._page(rows, query, address)
        status = 200 if len(page) == len(rows) else lists.page_code or 200
        if outer is not None:
            return status, _placed({**body, "data": {**outer, "allowed_ips": page}}, follow), headers
        if not rows and lists.empty == "missing":
            raise not_found("Entries")
        if "count" in body:
            more = max(len(rows), len(page) + 1)
            body = {**body, "count": more if lists.count_is_rows is False else len(page)}
        shown = None if not rows and lists.empty == "nothing" else page
        if lists.rows == "":
            return status, shown, headers
        rest = {key: value for key, value in body.items() if key != "data"}
        return status, _placed(_placed(rest, {lists.rows or "data": shown}), follow), headers

    def _page(
        self, rows: list[Any], query: Mapping[str, str], address: str
    ) -> tuple[list[Any], dict[str, Any], dict[str, str]]:
        """Return the rows of a page, the field about the next one with its path, and the headers."""
        lists = self._facts.lists
        if lists.page_size is None:
            return rows, {}, {}
        parameter = lists.parameter or "page"
        begin = _position(parameter, query.get(parameter, ""), lists.page_size)
        end = begin + lists.page_size
        page, more = rows[begin:end], len(rows) > end
        if lists.next is None or lists.next == "none":
            return page, {}, {}
        form = lists.next_form or ("cursor" if lists.parameter else "address")
        value = _mark(parameter, end, lists.page_size)
        url = f"{address}?{urlencode({**query, parameter: value})}"
        if lists.next == "Link":
            return page, {}, {"Link": f'<{url}>; rel="next"'} if more else {}
        if form == "flag":
            told: Any = more
        elif form == "total":
            told = len(rows)
        elif form == "last_page":
            told = max(1, -(-len(rows) // lists.page_size))
        else:
            told = None if not more else url if form == "address" else int(value) if form == "page" else value
        if lists.next in _HEADERS:
            return page, {}, {lists.next: str(told)}
        return page, {lists.next: told}, {}

    def refused(self, refusal: Refusal) -> Response:
        """Return the response of a refusal with the platform's code and form."""
        errors = self._facts.errors
        status = refusal.status
        if status == 404:
            status = errors.missing_code or status
        elif refusal.is_conflict:
            status = errors.conflict_code or status
        text, field = str(refusal.body.get("error")), refusal.body.get("field")
        message = refusal.body.get("message")
        text = text if message is None else f"{text}: {message}"
        headers = refusal.headers
        if errors.form == "text":
            return encode(status, PlainText(text), headers)
        if errors.form == "html":
            page = f"<!DOCTYPE html><html><body><h1>{status}</h1><p>{html.escape(text)}</p></body></html>"
            return encode(status, PlainText(page), {"Content-Type": "text/html; charset=utf-8", **headers})
        if errors.form == "problem":
            headers = {"Content-Type": "application/problem+json", **headers}
        located = {} if field is None else {"field": field}
        bodies: dict[str | None, dict[str, Any]] = {
            "nested": {"error": {"code": f"E{status}", "message": text, **located}},
            "detail": {"detail": text},
            "problem": {"type": "about:blank", "title": "Error", "status": status, "detail": text, **located},
            "list": {"errors": [{"message": text, **located}]},
        }
        return encode(status, bodies.get(errors.form, refusal.body), headers)

    def rate_headers(self, headers: Mapping[str, str], now: float) -> dict[str, str]:
        """Return the headers about the rate limit as the platform names them."""
        form = self._facts.errors.rate_headers
        others = {name: value for name, value in headers.items() if not name.startswith("X-RateLimit-")}
        if form in {None, "guide"} or "X-RateLimit-Reset" not in headers:
            return dict(headers)
        reset = int(headers["X-RateLimit-Reset"])
        if form == "milliseconds":
            return {**headers, "X-RateLimit-Reset": str(reset * 1000)}
        if form == "none":
            return others
        named = {name.removeprefix("X-"): headers[name] for name in headers if name not in others}
        return {**others, **named, "RateLimit-Reset": str(max(0, int(reset - now)))}

    def date(self, now: float) -> dict[str, str]:
        """Return the header `Date`, if the platform's clock is ahead or behind."""
        ahead = self._facts.answers.clock_ahead_seconds
        return {} if not ahead else {"Date": email.utils.formatdate(now + ahead, usegmt=True)}

    def _status_form(self, word: Any) -> Any:
        form = self._facts.containers.status_form
        if form == "object":
            return {"state": word, "reason": None}
        if form != "number" or isinstance(word, Verbatim):
            return word
        unnamed = get_args(ContainerStatus)
        return int(word) if word.isdecimal() else 100 + (unnamed.index(word) if word in unnamed else 0)

    def _time(self, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        form = self._facts.answers.times
        at = dt.datetime.fromisoformat(value.replace("Z", "+00:00"))
        at += dt.timedelta(seconds=self._facts.answers.clock_ahead_seconds or 0)
        seconds = at.timestamp()
        if form == "offset":
            return at.astimezone(dt.timezone(dt.timedelta(hours=2))).isoformat(timespec="milliseconds")
        if form == "zoneless":
            return at.replace(tzinfo=None).isoformat(sep=" ", timespec="seconds")
        if form == "micro":
            return at.isoformat(timespec="microseconds").replace("+00:00", "Z")
        if form in {"epoch", "mixed"}:
            return int(seconds)
        if form == "epoch_ms":
            return int(seconds * 1000)
        return email.utils.formatdate(seconds, usegmt=True) if form == "http" else iso(seconds)

    def _pinned(self, value: Any) -> Any:
        """Return a pin, which is the time of the pin here if the platform shows times."""
        return value if isinstance(value, int) else self._time(value)

    def _with_prices(self, body: Any) -> Any:
        """Return the list of templates with the price where the platform has it, in its unit and form."""
        prices = self._facts.prices
        if prices == type(prices)() or not isinstance(body, dict) or not isinstance(body.get("data"), list):
            return body
        rows = []
        for row in body["data"]:
            amount = (
                row["price"] * (100 if prices.unit == "cents" else 1) / (730 if prices.per == "hour" else 1)
            )
            amount = round(amount, 6)
            text = f"{amount:.2f}" if prices.per != "hour" else f"{amount:.6f}"
            shown: Any = {"text": text, "currency": f"${text}"}.get(prices.form or "number", amount)
            rest = {name: value for name, value in row.items() if name != "price"}
            rows.append(_placed(rest, {prices.field or "price": shown}))
        return {**body, "data": rows}


def _then(first: _Convert, second: _Convert) -> _Convert:
    return lambda value: second(first(value))


def _same(value: Any) -> Any:
    return value


def _named(ids: Mapping[str, Any], rest: _Convert) -> _Convert:
    """Return what translates an id, and leaves everything else to another translation."""
    return lambda value: ids.get(str(value), rest(value))


def _back(words: Mapping[str, str] | None) -> _Convert:
    """Return what translates the guide's words into the platform's; the first one that has a meaning is used."""
    theirs: dict[Any, str] = {}
    for word, ours in (words or {}).items():
        theirs.setdefault(ours, word)

    def translated(value: Any) -> Any:
        return (
            theirs.get(value, value) if isinstance(value, str) and not isinstance(value, Verbatim) else value
        )

    return translated


def _known(words: Mapping[str, str] | None, value: Any) -> Any:
    return words.get(value, value) if words and isinstance(value, str) else value


def _category(value: Any) -> Any:
    template = catalog.TEMPLATES.get(value)
    return value if template is None else template.category.value


def _gigabytes(value: Any) -> Any:
    return value / 1024 if isinstance(value, int) else value


def _network(value: Any) -> Any:
    return str(ipaddress.ip_network(value, strict=False))


def _walked(value: Any, table: Mapping[str, _Convert]) -> Any:
    """Return a body in which each field that is in the table is translated."""
    if isinstance(value, list):
        return [_walked(inner, table) for inner in value]
    if not isinstance(value, dict):
        return value
    return {
        key: table[key](inner)
        if key in table and not isinstance(inner, (dict, list))
        else _walked(inner, table)
        for key, inner in value.items()
    }


def _without(value: Any, name: str) -> Any:
    if isinstance(value, list):
        return [_without(inner, name) for inner in value]
    if not isinstance(value, dict):
        return value
    return {key: _without(inner, name) for key, inner in value.items() if key != name}


def _with_unknown_fields(value: Any) -> Any:
    if isinstance(value, list):
        return [_with_unknown_fields(inner) for inner in value]
    if not isinstance(value, dict):
        return value
    known = {key: it if key in _FREE else _with_unknown_fields(it) for key, it in value.items()}
    return {**known, "region": None, "labels": {"tier": "a"}}


def _renamed(value: Any, spell: Callable[[str], str], own: frozenset[str]) -> Any:
    """Return a body with other names of fields, except those that the platform file names."""
    if isinstance(value, list):
        return [_renamed(inner, spell, own) for inner in value]
    if not isinstance(value, dict):
        return value
    return {
        key if key in own else spell(key): it if key in _FREE else _renamed(it, spell, own)
        for key, it in value.items()
    }


def _camel(name: str) -> str:
    return re.sub(r"_([a-z])", lambda found: found[1].upper(), name)


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()


_SPELLINGS: Final[dict[str | None, Callable[[str], str]]] = {"camel": _camel, "snake": _snake}


def _placed(body: dict[str, Any], fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return an object with values at paths."""
    for path, value in fields.items():
        first, _, rest = path.partition(".")
        inner = body.get(first)
        body = {
            **body,
            first: _placed(inner if isinstance(inner, dict) else {}, {rest: value}) if rest else value,
        }
    return body


def _position(parameter: str, text: str, size: int) -> int:
    """Return the first row of the page that a parameter asks for; 0 for a text that the platform did not give."""
    number = int(text) if text.isdecimal() else None
    if "page" in parameter.lower() and number is not None:
        return max(0, number - 1) * size
    if parameter in _OFFSETS and number is not None:
        return number
    try:
        return int(json.loads(base64.urlsafe_b64decode(text)))
    except (ValueError, TypeError):
        return 0


def _mark(parameter: str, row: int, size: int) -> str:
    """Return the value of the parameter for the page that begins with a row."""
    if "page" in parameter.lower():
        return str(row // size + 1)
    if parameter in _OFFSETS:
        return str(row)
    return base64.urlsafe_b64encode(f"{row:>9}".encode()).decode()
