"""
Decodes a response: its status and body become the requested value or a typed error. A list contains the rows of all its
pages.

The retry handler calls this handler, and sends a call again if its response was cut short and a repeat is safe.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

import msgspec

from stacks_pulumi.api._bodies import ShapeError, lists_of, scrub
from stacks_pulumi.api._call import Answer, Call, Page, Sender, call_to
from stacks_pulumi.api._error_mapping import is_of_broker, problem, unreadable, wrong_base_url
from stacks_pulumi.api._pages import whole
from stacks_pulumi.config import DEFAULT_BASE_URL

T = TypeVar("T")

_SUCCESS: Final = range(200, 300)
_MISSING: Final = 404
_NO_CONTENT: Final = 204
_REDIRECT: Final = range(300, 400)
_VERSION: Final = re.compile(r"/api/v\d+$")
_PROBE: Final = msgspec.structs.replace(
    call_to("containers.list", parse=lambda body: body), what="check the base URL"
)
_PAGE: Final = re.compile(rb"\s*<(!doctype|html)", re.IGNORECASE)


class Decode:
    """The handler that decodes responses."""

    def __init__(self, send: Sender, base_url: str = DEFAULT_BASE_URL) -> None:
        self._send = send
        self._base_url = base_url
        self._is_trusted = _VERSION.search(base_url) is not None

    def __call__(self, call: Call[T]) -> T:
        """
        Send the call and read its response. A list contains the rows of all its pages.

        Raises:
            ApiError: The response is an error.
            UnreadableAnswerError: The response cannot be understood.
        """
        value = self._whole(call)
        return value if call.finish is None else call.finish(value)

    def _whole(self, call: Call[T]) -> T:
        page = self._read(call)
        if call.endpoint.method != "GET" or call.is_one_page or not lists_of(page.value):
            return page.value
        return whole(call, page, self._read, self._base_url)

    def _read(self, call: Call[T]) -> Page[T]:
        answer = self._send(call)
        if answer.status in _REDIRECT:
            raise unreadable(call, answer.status, _redirect(answer))
        if answer.status not in _SUCCESS:
            body = _body_of_error(answer)
            is_missing = answer.status == _MISSING and not is_of_broker(body)
            # A "not found" error makes the caller drop the resource from the state. So such an error must come from the
            # API, not from a different server at a wrong address.
            if is_missing and not isinstance(body, Mapping):
                raise unreadable(call, answer.status, "it is not in the API's error format")
            if is_missing and (call.endpoint.is_fixed or not self._reaches_the_api()):
                raise wrong_base_url(call, answer, body, self._base_url)
            raise problem(call, answer, body)
        if call.endpoint.answer != "json" and _PAGE.match(answer.body):
            # A proxy's page may have status 200 too, although the API did not receive the request. Calls that accept
            # any text would accept that page.
            raise unreadable(call, answer.status, "it is a web page and does not come from the API")
        try:
            body = _body(call, answer)
            if _says_no(body):
                raise problem(call, answer, body)
            return Page(answer, body, call.parse(body))
        except ShapeError as error:
            raise unreadable(call, answer.status, f"its {scrub(str(error))}") from None
        except RecursionError:
            raise unreadable(call, answer.status, "its JSON is nested too deeply") from None
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise unreadable(
                call, answer.status, f"it is not a complete JSON document ({len(answer.body)} bytes)"
            ) from None

    def _reaches_the_api(self) -> bool:
        """
        Return whether the base URL belongs to the API. If this is not clear from the URL, a list request is sent to
        find out.
        """
        if not self._is_trusted:
            self._is_trusted = self._send(_PROBE).status != _MISSING
        return self._is_trusted


def _body(call: Call[Any], answer: Answer) -> Any:
    if answer.status == _NO_CONTENT and call.endpoint.answer == "json":
        return None
    content, kind = answer.body, answer.headers.get("content-type", "").lower()
    if call.endpoint.answer == "json" or ("json" in kind and content.strip()):
        return msgspec.json.decode(content)
    if content.lstrip()[:1] == b"{":
        try:
            wrapper = msgspec.json.decode(content)
        except (msgspec.DecodeError, UnicodeDecodeError):
            wrapper = None
        # A log may consist of one line of JSON. So a log whose content type is plain text is not decoded as JSON.
        is_text = call.endpoint.answer == "text" and "text/plain" in kind
        if isinstance(wrapper, Mapping) and ("success" in wrapper or not is_text):
            return wrapper
    return content.decode("utf-8", "replace")


def _body_of_error(answer: Answer) -> Any:
    # The status alone shows that this is an error, so the body need not be readable.
    try:
        return msgspec.json.decode(answer.body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return answer.body.decode("utf-8", "replace")


def _says_no(body: Any) -> bool:
    if not isinstance(body, Mapping):
        return False
    if "success" in body:
        return body["success"] is False
    # A container also has a field `error`; an answer that is only an error has no id and no data.
    return bool(body.get("error")) and not body.keys() & {"id", "data"}


def _redirect(answer: Answer) -> str:
    try:
        host = urlsplit(answer.headers.get("location", "")).hostname
    except ValueError:
        host = None
    where = f" to {scrub(host, 100)}" if host else ""
    return f"it is a redirect{where}, which is not followed, so that no other host receives the API key"
