from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from stacks_pulumi import errors
from stacks_pulumi.api import models
from stacks_pulumi.api._bodies import done, item, items
from stacks_pulumi.api._call import Answer, Call, call_to
from stacks_pulumi.api._decode import Decode
from stacks_pulumi.api.containers import LIST
from stacks_pulumi.platform_file import PlatformFile, parse
from tests.unit.api.scripted_api import Script, a_call, ok, refusal, text


def decode(
    answer: Answer, parse: Callable[[Any], Any] = lambda body: body, method: str = "GET", **more: Any
) -> Any:
    return Decode(lambda call: answer)(a_call(method, parse, **more))


def test_json_is_decoded_to_the_requested_type() -> None:
    assert decode(ok({"a": 1}), lambda body: body["a"]) == 1


def test_a_byte_order_mark_is_ignored() -> None:
    assert decode(Answer(200, {}, b'\xef\xbb\xbf{"a": 1}')) == {"a": 1}


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", "not a complete JSON document (0 bytes)"),
        (b'{"success": true, "da', "not a complete JSON document (21 bytes)"),
        (b"<html></html>", "not a complete JSON document"),
        (b"\xff\xfe", "not a complete JSON document"),
        (b'"\xed\xa0\x80"', "not a complete JSON document"),
        (b"NaN", "not a complete JSON document"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"a":' * 50_000, "nested too deeply"),
        (b'{"a":' + b"1" * 5000 + b"}", "not a complete JSON document"),
    ],
)
def test_a_body_that_is_not_json_is_named_and_not_shown(body: bytes, why: str) -> None:
    with pytest.raises(errors.UnreadableAnswerError) as caught:
        decode(Answer(200, {}, body))

    assert why in str(caught.value)
    assert (caught.value.operation, caught.value.status) == ("tests.any", 200)
    assert "html" not in str(caught.value)


def test_an_id_that_cannot_be_read_is_named_and_its_value_is_not() -> None:
    with pytest.raises(errors.UnreadableAnswerError) as caught:
        decode(ok({"data": {"id": ["s3cret"]}}), lambda body: item(models.Container, body))
    assert "data.id: Expected `str`, got `array`" in str(caught.value)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("body", [{"success": False, "error": "no"}, {"success": False}, {"error": "no"}])
def test_a_success_code_with_an_error_body_is_an_error(body: Any) -> None:
    with pytest.raises(errors.ApiError) as caught:
        decode(ok(body), done)
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
def test_a_field_named_error_is_not_always_an_error(body: Any) -> None:
    assert decode(ok(body)) == body


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"[" * 100_000, b"\xff", b"[1, 2]", b'"text"', b"{}", b"null"]
)
@pytest.mark.parametrize("status", [400, 401, 402, 403, 409, 429, 500, 503])
def test_an_error_stays_that_error_whatever_its_body(status: int, body: bytes) -> None:
    with pytest.raises(errors.ApiError) as caught:
        decode(Answer(status, {}, body))
    assert caught.value.status == status


def test_not_found_counts_only_from_the_api() -> None:
    with pytest.raises(errors.NotFoundError):
        decode(ok({"error": "Container not found"}, 404))
    for body in (b"<html>nginx</html>", b"", b"404 page not found"):
        with pytest.raises(errors.UnreadableAnswerError, match=r"errors: \{form: html\}"):
            decode(Answer(404, {}, body))


def test_a_look_that_is_refused_as_absent_names_the_line_of_the_platform_file() -> None:
    with pytest.raises(errors.ForbiddenError, match=r"errors: \{missing_code: 403\}"):
        decode(refusal(403, "Container not found"))
    with pytest.raises(errors.ForbiddenError) as caught:
        decode(refusal(403, "Template not found"), method="POST")
    assert "missing_code" not in str(caught.value)


@pytest.mark.parametrize(("status", "facts"), [(410, ""), (403, "errors: {missing_code: 403}")])
def test_another_code_may_mean_that_an_object_is_missing(status: int, facts: str) -> None:
    platform = PlatformFile(parse(f"version: 1\n{facts}\n", "platform.yaml"))
    read = Decode(lambda _call: refusal(status, "Container not found"), platform=platform)

    with pytest.raises(errors.NotFoundError) as caught:
        read(a_call("GET"))
    assert caught.value.status == status


@pytest.mark.parametrize(("form", "body"), [("html", b"<html>Not found</html>"), ("text", b"not found")])
def test_the_platform_file_says_that_errors_are_no_json(form: str, body: bytes) -> None:
    platform = PlatformFile(parse(f"version: 1\nerrors: {{form: {form}}}\n", "platform.yaml"))
    read = Decode(lambda _call: Answer(404, {}, body), platform=platform)

    with pytest.raises(errors.NotFoundError):
        read(a_call("GET"))


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_reported_with_only_its_host(status: int) -> None:
    answer = Answer(status, {"location": "https://user:pw@evil.example/login?token=1"})

    with pytest.raises(errors.UnreadableAnswerError) as caught:
        decode(answer)
    assert "redirect to evil.example, which is not followed" in str(caught.value)
    assert "pw" not in str(caught.value)


@pytest.mark.parametrize("location", ["", "/relative", "https://[bad", "::"])
def test_a_redirect_without_a_target_is_reported(location: str) -> None:
    with pytest.raises(errors.UnreadableAnswerError, match="is a redirect, which"):
        decode(Answer(302, {"location": location}))


def test_an_unreadable_answer_to_a_write_warns_that_it_may_have_happened() -> None:
    with pytest.raises(errors.UnreadableAnswerError, match="the request may have been carried out"):
        decode(Answer(200, {}, b"?"), method="PUT")


@pytest.mark.parametrize("page", [b"<!DOCTYPE html><p>Please wait", b"\xef\xbb\xbf\n<html>"])
def test_a_page_of_a_proxy_is_not_an_empty_answer(page: bytes) -> None:
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


def test_a_truncated_json_text_is_unreadable() -> None:
    with pytest.raises(errors.UnreadableAnswerError):
        decode(text('{"logs": "a', "application/json"), text=True)


# --- 404: a deleted resource, or a wrong base URL ---


def not_found(probe: int, base_url: str, *, fixed: bool = False) -> tuple[errors.ApiError, list[str]]:
    """Return the error of a 404, if the list of containers has that status; and the requests."""
    asked: list[str] = []

    def send(call: Call[Any]) -> Answer:
        asked.append(call.endpoint.name)
        return ok({"error": "Not found"}, 404 if call.endpoint.name == "tests.any" else probe)

    with pytest.raises(errors.ApiError) as caught:
        Decode(send, base_url)(a_call("DELETE", done, fixed=fixed))
    return caught.value, asked


def test_a_404_on_an_id_is_about_the_resource() -> None:
    error, asked = not_found(200, "https://api.example/api/v1")

    assert type(error) is errors.NotFoundError
    assert asked == ["tests.any"]


@pytest.mark.parametrize("base_url", ["https://api.example/api/v1", "https://api.example"])
def test_a_404_on_a_path_that_every_account_has_is_about_the_base_url(base_url: str) -> None:
    error, asked = not_found(200, base_url, fixed=True)

    assert type(error) is errors.ApiError
    assert (error.code, error.status, asked) == ("wrong-base-url", 404, ["tests.any"])
    assert error.message == (
        f"do anything: the API is not at {base_url} (404: Not found); the base URL is probably wrong: it should look "
        "like https://api.stackshosting.cloud/api/v1"
    )


@pytest.mark.parametrize(
    "base_url", ["https://api.example", "https://api.example/v1", "https://api.example/api"]
)
def test_a_404_of_the_list_too_is_about_the_base_url(
    base_url: str,
) -> None:
    error, asked = not_found(404, base_url)

    assert type(error) is errors.ApiError
    assert "the base URL is probably wrong" in error.message
    assert (error.code, asked) == ("wrong-base-url", ["tests.any", "containers.list"])


@pytest.mark.parametrize("probe", [200, 401, 403, 429, 500])
def test_a_404_behind_a_gateway_is_about_the_resource(probe: int) -> None:
    error, asked = not_found(probe, "https://gateway.example/stacks")

    assert type(error) is errors.NotFoundError
    assert asked == ["tests.any", "containers.list"]


def test_the_base_url_is_checked_once() -> None:
    asked: list[str] = []

    def send(call: Call[Any]) -> Answer:
        asked.append(call.endpoint.name)
        return ok({"error": "Not found"}, 404 if call.endpoint.name == "tests.any" else 200)

    decode = Decode(send, "https://gateway.example")
    for _ in range(3):
        with pytest.raises(errors.NotFoundError):
            decode(a_call("GET", done))
    assert asked.count("containers.list") == 1


# --- Lists ---


NOT_FOUND = ok({"error": "Not found"}, 404)
BACKUPS = call_to("backups.list", "usr-1/x", parse=lambda body: items(models.Backup, body, "backups"))


def test_a_404_on_a_list_is_an_empty_list_if_another_call_proves_the_address() -> None:
    script = Script(containers__list=NOT_FOUND, containers__templates=ok([]))

    listed = Decode(script)(LIST)

    assert (listed, listed.gap) == ((), None)
    assert script.operations == ["containers.list", "containers.templates"]


def test_a_404_on_the_list_of_a_container_is_an_empty_list_if_there_is_the_container() -> None:
    script = Script(backups__list=NOT_FOUND, containers__status=ok({"id": "usr-1/x"}))

    assert Decode(script)(BACKUPS) == ()
    assert script.calls[1].path == "/containers/status/usr-1%2Fx"


@pytest.mark.parametrize(
    "proof", [NOT_FOUND, refusal(500), text("<html></html>", "text/html"), refusal(200), text("ok")]
)
def test_a_404_without_a_proof_stays_an_error(proof: Answer) -> None:
    with pytest.raises(errors.NotFoundError):
        Decode(Script(backups__list=NOT_FOUND, containers__status=proof))(BACKUPS)
    with pytest.raises(errors.ApiError) as caught:
        Decode(Script(containers__list=NOT_FOUND, containers__templates=proof))(LIST)
    assert caught.value.code == "wrong-base-url"


def test_no_content_is_an_empty_list_and_no_object() -> None:
    assert Decode(Script(containers__list=Answer(204)))(LIST) == ()
    with pytest.raises(errors.UnreadableAnswerError):
        decode(Answer(204), lambda body: item(models.Container, body))


def test_a_list_in_an_unknown_shape_says_where_its_rows_can_be_named() -> None:
    script = Script(containers__list=ok({"odd": {"servers": []}}))

    with pytest.raises(errors.UnreadableAnswerError) as caught:
        Decode(script)(LIST)
    assert (
        "its body: a list was expected; if the rows are under another name, write it into a platform file, and name "
        "that in stacks:platform: version: 1, lists: {rows: path.of.the.rows}"
    ) in caught.value.message


def test_the_facts_of_the_client_say_how_an_answer_is_read() -> None:
    body = {"odd": {"servers": [{"id": "a", "status": "Warming"}]}, "data": {"id": "a", "status": "Warming"}}
    facts = "version: 1\nlists: {rows: odd.servers}\ncontainers: {statuses: {warming: starting}}"
    script = Script(containers__list=ok(body), containers__status=ok(body))
    platform = PlatformFile(parse(facts, "facts.yaml"), "facts.yaml")
    status = call_to("containers.status", "a", parse=lambda body: item(models.Container, body))

    ours, others = Decode(script, platform=platform), Decode(script)

    assert ours(LIST)[0].status == ours(status).status == "starting"
    assert others(status).status == "Warming"
