"""
How are the bytes from a client parsed into a request? Ambiguous bytes are refused.

The broker builds the request to the platform only from the result of this module.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import unquote_to_bytes

import msgspec

from stacks_pulumi.broker.change import CONFIG, ChangeError, strict_json, variables
from stacks_pulumi.broker.permits import Ask
from stacks_pulumi.broker.reply import RequestRefusedError
from stacks_pulumi.broker.upstream import BASE
from stacks_pulumi.endpoints import ENDPOINTS, Endpoint

OWN: Final = "/_broker/"
"""The path prefix of the broker's own endpoints."""
LONGEST_BODY: Final = 16 * 1024

_METHODS: Final = frozenset({"GET", "POST", "PUT", "DELETE"})
_SEGMENT: Final = re.compile(r"(?!0\d+\Z)[^/\\?#%;\x00-\x20\x7f-\x9f\u2028\u2029\ud800-\udfff]{1,200}")
"""An id. A platform may read `07` as the number 7, and the ledger would take them for two objects."""
_VPN_CLIENT: Final = re.compile(r"[^\\?#%;\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]{1,200}")
"""The name of a VPN client may contain a slash and spaces, so the name is quoted again."""
_QUERIES: Final = frozenset({"lines", "limit", "client", "page", "offset", "cursor", "per_page", "page_size"})
_VALUE: Final = re.compile(r"[^\x00-\x1f\x7f\ud800-\udfff]{0,1000}")
_OVERRIDES: Final = re.compile(r"x-(http-)?method(-override)?|x-original-(url|method)|x-rewrite-url")


class Incoming(msgspec.Struct, frozen=True):
    """
    A request as received.

    Attributes:
        method: Its method.
        path: Its path, not decoded.
        query: Its query, not decoded.
        headers: Its headers, with lower-case names.
        body: Its body.
        peer: The address of the client; empty if it is not known.
    """

    method: str
    path: str
    query: str
    headers: Sequence[tuple[str, str]]
    body: bytes
    peer: str = ""

    def header(self, name: str) -> str | None:
        """
        Return the value of a header; `None` if it is missing.

        Raises:
            RequestRefusedError: The header occurs twice.
        """
        found = [value for key, value in self.headers if key == name]
        if len(found) > 1:
            raise RequestRefusedError(400, f"the header {name} occurs twice")
        return found[0] if found else None

    @property
    def token(self) -> str:
        """The bearer token; empty if there is none."""
        kind, _, token = (self.header("authorization") or "").partition(" ")
        return token.strip() if kind.lower() == "bearer" else ""


def check_framing(incoming: Incoming) -> None:
    """
    Refuse a request that another HTTP parser could read differently.

    Raises:
        RequestRefusedError: The request has two lengths, or a header overrides its method.
    """
    if incoming.method not in _METHODS:
        raise RequestRefusedError(400, "the method must be GET, POST, PUT or DELETE, in upper case")
    lengths = [value for name, value in incoming.headers if name == "content-length"]
    is_chunked = incoming.header("transfer-encoding") is not None
    if len(lengths) > 1 or (lengths and is_chunked):
        raise RequestRefusedError(400, "the request states the length of its body twice")
    if any(_OVERRIDES.fullmatch(name) for name, _ in incoming.headers):
        raise RequestRefusedError(400, "a header overrides the method or the address")
    if incoming.method == "GET" and incoming.body:
        raise RequestRefusedError(400, "a GET must have no body")


def read_ask(incoming: Incoming) -> Ask:
    """
    Return the request of a client to one of the platform's endpoints.

    Raises:
        RequestRefusedError: There is no such endpoint, or the path, query or body is malformed.
    """
    endpoint, ids = _route(incoming)
    query = _query(incoming.query)
    if endpoint.method == "GET":
        if query.keys() - _QUERIES:
            raise RequestRefusedError(
                400, f"this endpoint has no parameter {', '.join(sorted(query.keys() - _QUERIES))[:100]}"
            )
        if endpoint.name == CONFIG:
            ids["client_name"] = query.pop("client", "default")
        return Ask(endpoint.name, ids, {}, query)
    return Ask(endpoint.name, ids, plain_object(incoming.body), query)


def plain_object(data: bytes) -> dict[str, Any]:
    """
    Return the fields of a body, which is an object of plain values; null fields are left out.

    Raises:
        RequestRefusedError: The body is not such an object.
    """
    try:
        body = strict_json(data, LONGEST_BODY) if data.strip() else {}
    except ChangeError as error:
        raise RequestRefusedError(400, f"the body cannot be read: {error.message}") from None
    if not isinstance(body, dict) or any(isinstance(value, (dict, list)) for value in body.values()):
        raise RequestRefusedError(400, "the body must be an object of plain values")
    return {name: value for name, value in body.items() if value is not None}


def _route(incoming: Incoming) -> tuple[Endpoint, dict[str, str]]:
    if not incoming.path.startswith(f"{BASE}/"):
        raise RequestRefusedError(404, "Not found")
    given = [_decoded(part) for part in incoming.path[len(BASE) + 1 :].split("/")]
    found: list[tuple[Endpoint, dict[str, str]]] = []
    for endpoint in ENDPOINTS.values():
        wanted = endpoint.path.strip("/").split("/")
        if endpoint.method != incoming.method or len(wanted) != len(given):
            continue
        pairs = list(zip(wanted, given, strict=True))
        ids = {word[1:-1]: text for word, text in pairs if word.startswith("{")}
        if all(word.startswith("{") or word == text for word, text in pairs) and _are_ids(ids):
            found.append((endpoint, ids))
    if not found:
        raise RequestRefusedError(404, "Not found")
    # A path without variables, such as `/containers/templates`, comes before a path with variables.
    return min(found, key=lambda one: len(variables(one[0])))


def _are_ids(ids: Mapping[str, str]) -> bool:
    return all(
        (_VPN_CLIENT if name == "client_name" else _SEGMENT).fullmatch(text)
        and not {*text.split("/")} & {"", ".", ".."}
        for name, text in ids.items()
    )


def _decoded(part: str) -> str:
    """Return a part of a path or a query, decoded once."""
    try:
        return unquote_to_bytes(part).decode("utf-8")
    except UnicodeDecodeError:
        raise RequestRefusedError(400, "the address is not UTF-8") from None


def _query(text: str) -> dict[str, str]:
    """Return the parameters of a query; refuse a duplicate."""
    pairs = [part.partition("=")[::2] for part in text.split("&")] if text else []
    query = {_decoded(name): _decoded(value.replace("+", " ")) for name, value in pairs}
    if len(query) != len(pairs) or not all(map(_VALUE.fullmatch, query.values())):
        raise RequestRefusedError(
            400, "the query has the same parameter twice, or a value with invalid characters"
        )
    return query
