"""
The control API under `/_emulator/`, and the page: the methods of `Emulator` for other processes.

On a loopback address it requires no token. So a request with another host name, or one from a web page of another
origin, is refused. On every other address it requires a token.
"""

from __future__ import annotations

import hmac
import json
import re
from importlib import resources
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import msgspec

from stacks_pulumi.emulator.control_calls import ControlCall, calls
from stacks_pulumi.emulator.control_spec import describe
from stacks_pulumi.emulator.http_responses import Response, encode
from stacks_pulumi.emulator.refusals import Refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from stacks_pulumi.emulator.app import Incoming
    from stacks_pulumi.emulator.controls import Controls

__all__ = ["CONTROL_PATH", "ControlApi"]

CONTROL_PATH = "/_emulator"

_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
_SECURITY = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    # The page contains all of its code; markup injected through a name is neither fetched nor run.
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
    "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
}
_HTML = "text/html; charset=utf-8"
_YAML = "application/yaml"


class ControlApi:
    """
    Answers every request outside the API's own paths.

    Args:
        controls: The controls that the requests call.
        allows: Returns whether web pages of another origin may send requests.
        token: The bearer token that a client needs; `None` for none.
        url: Returns the base URL of the API, which has a port once the emulator listens.
    """

    def __init__(
        self,
        controls: Controls,
        allows: Callable[[str | None], bool],
        token: str | None,
        url: Callable[[], str],
    ) -> None:
        self._allows = allows
        self._token = token
        self._url = url
        self._calls = {(call.method, call.name): call for call in calls(controls)}

    def respond(self, incoming: Incoming, headers: Mapping[str, str]) -> Response:
        """Answer a request for the page, a description, the health or a control endpoint."""
        path, looking = incoming.path, incoming.method in {"GET", "HEAD"}
        if path == f"{CONTROL_PATH}/health" and looking:
            return encode(200, {"status": "ok", "url": self._url()}, _SECURITY)
        token = self._token
        if token is None and not self._is_local(headers):
            return _error(403, "forbidden", "The control API answers only this machine and allowed origins")
        if path == "/" and looking:
            return _file("page.html", _HTML)
        if path == "/openapi.yaml" and looking:
            return _file("openapi.yaml", _YAML)
        if path == f"{CONTROL_PATH}/openapi.json" and looking:
            return encode(200, describe(self._calls.values(), secured=token is not None), _SECURITY)
        if not path.startswith(f"{CONTROL_PATH}/"):
            return _error(404, "not_found", "Not found: the API is under /api/v1, control under /_emulator/")
        if token is not None and not _carries(headers, token):
            return _error(401, "unauthorized", "The control API needs its token as a bearer token")
        return self._control(incoming, path.removeprefix(CONTROL_PATH).strip("/"))

    def _control(self, incoming: Incoming, name: str) -> Response:
        call = self._calls.get(("GET" if incoming.method == "HEAD" else incoming.method, name))
        if call is None:
            allowed = [method for method, known in self._calls if known == name]
            if allowed:
                return _error(
                    405, "method_not_allowed", "Method not allowed", headers={"Allow": ", ".join(allowed)}
                )
            return _error(404, "not_found", f"Not found; {CONTROL_PATH}/openapi.json describes what there is")
        try:
            return encode(200, call.run(**_given(call, incoming)), _SECURITY)
        except json.JSONDecodeError as exc:
            return _error(400, "invalid_json", f"The body is not JSON: {exc}")
        except msgspec.ValidationError as exc:
            return _invalid(str(exc))
        except Refusal as refusal:
            return _error(refusal.status, "refused", str(refusal.body["error"]), refusal.body.get("field"))
        except KeyError as exc:
            return _error(404, "not_found", f"there is no {exc.args[0]!r}")
        except (ValueError, ArithmeticError) as exc:
            return _error(400, "invalid_value", str(exc))

    def _is_local(self, headers: Mapping[str, str]) -> bool:
        host, origin = headers.get("Host", ""), headers.get("Origin")
        known = urlsplit(f"//{host}").hostname in _LOOPBACK
        return known and (origin in {None, f"http://{host}"} or self._allows(origin))


def _given(call: ControlCall, incoming: Incoming) -> dict[str, Any]:
    """
    Return the fields of a request that were given or have a default.

    Raises:
        ValidationError: A field is missing, unknown or of another type.
        JSONDecodeError: The body is not JSON.
    """
    if incoming.method in {"GET", "HEAD"}:
        found = msgspec.convert(incoming.query, call.fields, strict=False)
    else:
        try:
            body = json.loads(incoming.payload) if incoming.payload.strip() else {}
        except (UnicodeDecodeError, RecursionError):
            raise json.JSONDecodeError("it is not UTF-8, or too deep", "", 0) from None
        found = msgspec.convert(body, call.fields)
    given = {name: getattr(found, name) for name in call.fields.__struct_fields__}
    return {name: value for name, value in given.items() if value is not msgspec.UNSET}


def _carries(headers: Mapping[str, str], token: str) -> bool:
    scheme, _, given = headers.get("Authorization", "").partition(" ")
    return scheme.lower() == "bearer" and hmac.compare_digest(given.strip().encode(), token.encode())


def _file(name: str, content_type: str) -> Response:
    content = resources.files("stacks_pulumi.emulator").joinpath(name).read_bytes()
    return Response(200, content, {"Content-Type": content_type, **_SECURITY})


def _invalid(text: str) -> Response:
    """Return the response for an invalid body, from msgspec's error text."""
    reason, _, where = text.partition(" - at `$")
    named = re.search(r"(missing required|unknown) field `(\w+)`", reason)
    inner = where.rstrip("`").lstrip(".")
    if named is None:
        field = inner or None
        return _error(400, "invalid_type", f"{field}: {reason}" if field else f"The body: {reason}", field)
    code, field = named[1].partition(" ")[0] + "_field", ".".join(filter(None, (inner, named[2])))
    return _error(400, code, f"{'Missing' if code == 'missing_field' else 'Unknown'} field {field}", field)


def _error(
    status: int, code: str, text: str, field: str | None = None, headers: dict[str, str] | None = None
) -> Response:
    body = {"error": text, "code": code}
    return encode(
        status, body if field is None else {**body, "field": field}, {**(headers or {}), **_SECURITY}
    )
