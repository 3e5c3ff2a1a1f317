from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from stacks_pulumi import errors
from stacks_pulumi.api import models
from stacks_pulumi.api._call import Answer
from stacks_pulumi.api._decode import Decode
from stacks_pulumi.api._shapes import items, nothing
from tests.unit.api.fakes import a_call, ok, text


def decode(
    answer: Answer, parse: Callable[[Any], Any] = lambda body: body, method: str = "GET", **more: Any
) -> Any:
    return Decode(lambda call: answer)(a_call(method, parse, **more))


def test_json_becomes_the_value_that_was_asked_for() -> None:
    assert decode(ok({"a": 1}), lambda body: body["a"]) == 1


def test_a_byte_order_mark_is_nothing() -> None:
    assert decode(Answer(200, {}, b'\xef\xbb\xbf{"a": 1}')) == {"a": 1}


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", "no whole JSON document (0 bytes)"),
        (b'{"success": true, "da', "no whole JSON document (21 bytes)"),
        (b"<html></html>", "no whole JSON document"),
        (b"\xff\xfe", "no whole JSON document"),
        (b'"\xed\xa0\x80"', "no whole JSON document"),
        (b"NaN", "no whole JSON document"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"a":' * 50_000, "nested too deeply"),
        (b'{"a":' + b"1" * 5000 + b"}", "no whole JSON document"),
    ],
)
def test_a_body_that_is_not_json_is_named_and_not_shown(body: bytes, why: str) -> None:
    with pytest.raises(errors.UnreadableAnswerError) as caught:
        decode(Answer(200, {}, body))

    assert why in str(caught.value)
    assert (caught.value.operation, caught.value.status) == ("tests.any", 200)
    assert "html" not in str(caught.value)


def test_a_field_of_another_type_is_named_and_its_value_is_not() -> None:
    answer = ok({"data": [{"id": "a"}, {"id": "b", "port": "s3cret"}]})

    with pytest.raises(errors.UnreadableAnswerError) as caught:
        decode(answer, lambda body: items(models.Container, body))
    assert "data[1].port: Expected `int | null`, got `str`" in str(caught.value)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("body", [{"success": False, "error": "no"}, {"success": False}, {"error": "no"}])
def test_a_success_code_with_a_body_that_says_no_is_an_error(body: Any) -> None:
    with pytest.raises(errors.ApiError) as caught:
        decode(ok(body), nothing)
    assert caught.value.status == 200


@pytest.mark.parametrize(
    "body",
    [
        {"success": True, "error": "old"},
        {"id": "a", "error": "boot failed"},
        {"data": {}, "error": "x"},
        {"error": ""},
    ],
)
def test_a_field_named_error_alone_does_not_make_it_one(body: Any) -> None:
    assert decode(ok(body)) == body


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"[" * 100_000, b"\xff", b"[1, 2]", b'"text"', b"{}", b"null"]
)
@pytest.mark.parametrize("status", [400, 401, 402, 403, 409, 429, 500, 503])
def test_an_error_stays_that_error_whatever_its_body(status: int, body: bytes) -> None:
    with pytest.raises(errors.ApiError) as caught:
        decode(Answer(status, {}, body))
    assert caught.value.status == status


def test_not_found_is_believed_only_from_the_api_itself() -> None:
    with pytest.raises(errors.NotFoundError):
        decode(ok({"error": "Container not found"}, 404))
    for body in (b"<html>nginx</html>", b"", b"404 page not found"):
        with pytest.raises(errors.UnreadableAnswerError, match="does not come from the API"):
            decode(Answer(404, {}, body))


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_told_with_its_host_alone(status: int) -> None:
    answer = Answer(status, {"location": "https://user:pw@evil.example/login?token=1"})

    with pytest.raises(errors.UnreadableAnswerError) as caught:
        decode(answer)
    assert "redirect to evil.example, which is not followed" in str(caught.value)
    assert "pw" not in str(caught.value)


@pytest.mark.parametrize("location", ["", "/relative", "https://[bad", "::"])
def test_a_redirect_to_nowhere_is_told_as_well(location: str) -> None:
    with pytest.raises(errors.UnreadableAnswerError, match="is a redirect, which"):
        decode(Answer(302, {"location": location}))


def test_an_unreadable_answer_to_a_write_warns_that_it_may_have_happened() -> None:
    with pytest.raises(errors.UnreadableAnswerError, match="it may have been carried out"):
        decode(Answer(200, {}, b"?"), method="PUT")


@pytest.mark.parametrize("page", [b"<!DOCTYPE html><p>Please wait", b"\xef\xbb\xbf\n<html>"])
def test_a_page_of_a_proxy_is_not_taken_for_an_answer_that_says_nothing(page: bytes) -> None:
    with pytest.raises(errors.UnreadableAnswerError, match="it is a web page"):
        decode(Answer(200, {"content-type": "text/html"}, page), method="DELETE", text=True)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (text("a\nb"), "a\nb"),
        (text("", "application/json"), ""),
        (text('{"level": "info", "msg": "x"}'), '{"level": "info", "msg": "x"}'),
        (text('{"success": true, "logs": "a"}'), {"success": True, "logs": "a"}),
        (text('{"logs": "a"}', "text/html"), {"logs": "a"}),
        (text("{not json", "text/html"), "{not json"),
        (text('"a\\nb"', "application/json; charset=utf-8"), "a\nb"),
        (Answer(200, {}, b"caf\xe9"), "caf\ufffd"),
    ],
)
def test_a_text_may_come_bare_or_wrapped(answer: Answer, expected: Any) -> None:
    assert decode(answer, text=True) == expected


def test_a_text_that_says_that_it_is_json_and_is_cut_short_is_unreadable() -> None:
    with pytest.raises(errors.UnreadableAnswerError):
        decode(text('{"logs": "a', "application/json"), text=True)
