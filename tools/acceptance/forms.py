"""The form of answers, whatever they are about: names of fields, times, errors, headers; noted for the file."""

from __future__ import annotations

import email.utils
import re
import time
from collections.abc import Mapping
from typing import Any, Final

from tools.acceptance import reading
from tools.acceptance.api import Answer
from tools.acceptance.contract import contract
from tools.acceptance.learned import Learned

__all__ = [
    "note_clock",
    "note_error",
    "note_fields",
    "note_rate",
    "note_shape",
    "note_times",
    "note_wrapping",
]

_ROW: Final = frozenset(
    reading.plain(name)
    for name in (
        *("id", "name", "type", "plan", "status", "cpu_allocated", "memory_allocated", "storage_allocated"),
        *("ip_address", "created_at", "raw_docker_status", "image_tag", "version", "version_major"),
    )
)
"""The fields of a container in the guide's list."""

_ISO: Final = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(.*)")
_CLOCK: Final = 5.0


def note_error(learned: Learned, answer: Answer) -> None:
    """Note the form of an error."""
    body = answer.body
    kind = str(answer.headers.get("Content-Type") or "")
    if isinstance(body, Mapping):
        if isinstance(body.get("error"), str):
            form = "guide"
        elif isinstance(body.get("error"), Mapping):
            form = "nested"
        elif "problem" in kind:
            form = "problem"
        else:
            form = "list" if isinstance(body.get("errors"), list) else "detail" if "detail" in body else ""
    else:
        form = (
            "html"
            if "html" in kind or answer.text.lstrip().startswith("<")
            else "text"
            if answer.text
            else ""
        )
    if form:
        learned.note("errors.form", form, f"an error ({answer.status}, {kind or 'no type'}) has this form")


def note_rate(learned: Learned, answer: Answer) -> None:
    """Note the headers about the rate limit."""
    reset = reading.number(answer.headers.get("X-RateLimit-Reset"))
    if reset is not None:
        form = "milliseconds" if reset > 1e11 else "guide"
    else:
        form = "draft" if "RateLimit-Remaining" in answer.headers else "none"
    learned.note("errors.rate_headers", form, "the headers of the list of containers")


def note_clock(learned: Learned, answer: Answer) -> None:
    """Note how far the platform's clock is from this one."""
    try:
        at = email.utils.parsedate_to_datetime(str(answer.headers.get("Date"))).timestamp()
    except (TypeError, ValueError, IndexError):
        return
    ahead = round(at - time.time())
    evidence = f"the header Date is {ahead} s from the clock of this machine"
    learned.note("answers.clock_ahead_seconds", ahead if abs(ahead) > _CLOCK else 0, evidence)


def note_fields(learned: Learned, row: Mapping[str, Any], status: Answer) -> None:
    """Note the spelling of names of fields, and fields that the guide does not have."""
    names = [str(name) for name in row]
    there = [str(name) for name in (status.data if isinstance(status.data, Mapping) else ())]
    camel = any(re.search(r"[a-z][A-Z]", name) for name in names)
    snake = any("_" in name for name in there)
    spelling = "camel" if camel and not snake else "snake" if snake and not camel else "guide"
    learned.note("answers.keys", spelling, f"the list has {names[-1]}, the status {', '.join(there[-1:])}")
    unknown = sorted(name for name in names if reading.plain(name) not in _ROW)
    learned.note("answers.unknown_fields", bool(unknown), f"a container in the list has {', '.join(unknown)}")


def note_wrapping(learned: Learned, created: Answer, status: Answer) -> None:
    """Note whether objects are wrapped in `data`: the guide does that for a created container, not for a status."""
    inner, outer = (isinstance(reading.at_path(it.body, "data"), Mapping) for it in (created, status))
    if not created.ok and not outer:
        return
    wrapped = "data" if outer else "guide" if inner else "flat"
    learned.note("answers.wrapped", wrapped, "the answers to a creation and for a status")


def note_times(learned: Learned, listed: Any, status: Any) -> None:
    """Note the form of times, from those of one container in the list and in the status."""
    forms = [form for form in (_time_form(listed), _time_form(status)) if form is not None]
    if forms:
        form = forms[0] if len(set(forms)) == 1 else "mixed"
        learned.note(
            "answers.times", form, f"a creation time in the list and in the status is {' and '.join(forms)}"
        )


def _time_form(value: Any) -> str | None:
    number = reading.number(value)
    if number is not None:
        return "epoch" if number < 1e11 else "epoch_ms" if number < 1e14 else None
    found = _ISO.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        return "http" if isinstance(value, str) and reading.moment(value) is not None else None
    fraction, zone = found[1] or "", found[2]
    if not zone:
        return "zoneless"
    if zone != "Z":
        return "offset"
    return "micro" if len(fraction) > 4 else "guide"


def note_shape(learned: Learned, operation: str, answer: Answer) -> None:
    """Note the shape of an answer that the guide does not specify."""
    if contract().differs(operation, answer.status, answer.body) is None:
        learned.same("answers.shapes")
        return
    body = answer.body
    strings = isinstance(body, list) or reading.at_path(body, "data")
    if not answer.text:
        shape = "empty"
    elif isinstance(body, Mapping) and set(body) <= {"success"}:
        shape = "terse"
    elif isinstance(body, str):
        shape = "strings" if answer.text.startswith('"') else "text"
    elif isinstance(strings, list) and strings and all(isinstance(it, str) for it in strings):
        shape = "strings"
    elif isinstance(body, Mapping) and "success" in body:
        inner = body.get("data")
        if not isinstance(inner, Mapping) or len(inner) != 1 or "message" in inner:
            return
        shape = "wrapped"
    elif isinstance(body, (list, Mapping)):
        shape = "bare"
    else:
        return
    learned.word("answers.shapes", operation, shape, "its form differs from the contract")
