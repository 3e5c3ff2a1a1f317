"""The comment on a pull request: posted once, then replaced. No message contains the token."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import responses
from responses import matchers

from stacks_pulumi.cli import main
from stacks_pulumi.cost.comment import CommentError, post

MARKER = "<!-- stacks-pulumi cost: shop/dev -->"
TEXT = f"{MARKER}\n### The monthly cost stays at $4.00.\n"
TOKEN = "a-token-that-nobody-may-see"
GITHUB = {"GITHUB_TOKEN": TOKEN, "GITHUB_REPOSITORY": "team/shop", "GITHUB_REF": "refs/pull/7/merge"}
GITLAB = {
    "GITLAB_TOKEN": TOKEN,
    "CI_API_V4_URL": "https://git.example/api/v4",
    "CI_PROJECT_ID": "42",
    "CI_MERGE_REQUEST_IID": "7",
}
GITHUB_USER = "https://api.github.com/user"
GITHUB_COMMENTS = "https://api.github.com/repos/team/shop/issues/7/comments"
GITLAB_NOTES = "https://git.example/api/v4/projects/42/merge_requests/7/notes"


def of_bot(id_: int, body: str, type_: str = "Bot") -> dict[str, Any]:
    return {"id": id_, "body": body, "user": {"type": type_}}


def sent(call: Any) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(call.request.body)
    return body


@responses.activate
def test_github_comment_is_posted_where_there_is_none() -> None:
    others = [of_bot(1, "LGTM"), of_bot(2, TEXT, "User"), of_bot(3, TEXT.replace("dev", "prod"))]
    responses.get(GITHUB_COMMENTS, json=others)
    # The token of a workflow run does not belong to a user.
    responses.get(GITHUB_USER, status=403)
    responses.post(GITHUB_COMMENTS, json={"id": 9}, status=201)

    assert post("github", TEXT, GITHUB) == "posted the comment"

    assert sent(responses.calls[-1]) == {"body": TEXT}
    assert responses.calls[-1].request.headers["Authorization"] == f"Bearer {TOKEN}"


@responses.activate
def test_github_comment_of_a_personal_token_replaces_its_own() -> None:
    others = [
        {"id": id_, "body": TEXT, "user": {"type": "User", "id": user}} for id_, user in ((1, 6), (2, 5))
    ]
    responses.get(GITHUB_COMMENTS, json=others)
    responses.get(GITHUB_USER, json={"id": 5})
    responses.patch("https://api.github.com/repos/team/shop/issues/comments/2", json={"id": 2})

    assert post("github", TEXT, GITHUB) == "replaced comment 2"


@responses.activate
def test_github_comment_is_not_posted_beside_one_that_may_be_its_own() -> None:
    responses.get(GITHUB_COMMENTS, json=[{"id": 1, "body": TEXT, "user": {"type": "User", "id": 5}}])
    responses.get(GITHUB_USER, status=500)

    with pytest.raises(CommentError, match="GET /user failed with status 500"):
        post("github", TEXT, GITHUB)


@responses.activate
def test_github_comment_is_found_on_a_later_page_and_replaced() -> None:
    page = matchers.query_param_matcher
    first = [of_bot(number, "LGTM") for number in range(100)]
    responses.get(GITHUB_COMMENTS, json=first, match=[page({"per_page": 100, "page": 1})])
    responses.get(GITHUB_COMMENTS, json=[of_bot(4711, TEXT)], match=[page({"per_page": 100, "page": 2})])
    responses.patch("https://api.github.com/repos/team/shop/issues/comments/4711", json={"id": 4711})

    assert post("github", TEXT, GITHUB) == "replaced comment 4711"


@responses.activate
def test_gitlab_note_is_replaced_only_if_it_is_of_the_same_user() -> None:
    responses.get("https://git.example/api/v4/user", json={"id": 5})
    responses.get(
        GITLAB_NOTES,
        json=[{"id": 1, "body": TEXT, "author": {"id": 6}}, {"id": 2, "body": TEXT, "author": {"id": 5}}],
    )
    responses.put(f"{GITLAB_NOTES}/2", json={"id": 2})

    assert post("gitlab", TEXT, GITLAB) == "replaced comment 2"
    assert responses.calls[-1].request.headers["PRIVATE-TOKEN"] == TOKEN


@responses.activate
@pytest.mark.parametrize("line", ["/merge", "  /approve", "\r/merge", "\t/close"])
def test_a_line_of_the_file_is_no_command_to_the_platform(line: str) -> None:
    """GitLab executes such lines with the token's rights, and the program of a change can write the file."""
    responses.get(GITLAB_NOTES, json=[])
    responses.post(GITLAB_NOTES, json={"id": 1}, status=201)

    post("gitlab", f"{TEXT}{line}\nsrc/main.py\n", GITLAB)

    assert sent(responses.calls[-1]) == {"body": f"{TEXT}\N{ZERO WIDTH SPACE}{line}\nsrc/main.py\n"}


@responses.activate
@pytest.mark.parametrize(
    "event", [{"pull_request": {"number": 7}}, {"issue": {"number": 7}, "comment": {"body": "/cost"}}]
)
def test_number_of_the_pull_request_is_read_from_the_event(tmp_path: Path, event: dict[str, Any]) -> None:
    file = tmp_path / "event.json"
    file.write_text(json.dumps(event), encoding="utf-8")
    responses.get(GITHUB_COMMENTS, json=[])
    responses.post(GITHUB_COMMENTS, json={}, status=201)

    env = {**GITHUB, "GITHUB_REF": "refs/heads/main", "GITHUB_EVENT_PATH": str(file)}
    assert post("github", TEXT, env) == "posted the comment"


@responses.activate
@pytest.mark.parametrize("text", ["", "\n", "LGTM\n", "<!-- stacks-pulumi cost: x", f"x{TEXT}"])
def test_text_without_its_marker_is_not_posted(text: str) -> None:
    with pytest.raises(CommentError, match="does not begin with its marker"):
        post("github", text, GITHUB)
    assert not responses.calls


@pytest.mark.parametrize(
    ("platform", "env", "text"),
    [
        ("github", {}, "set GITHUB_TOKEN or GH_TOKEN"),
        ("github", {"GITHUB_TOKEN": TOKEN}, "this run is not for a pull request"),
        ("github", {**GITHUB, "GITHUB_REPOSITORY": ""}, "set GITHUB_REPOSITORY"),
        ("gitlab", {}, "set GITLAB_TOKEN"),
        ("gitlab", {"GITLAB_TOKEN": TOKEN, "CI_PROJECT_ID": "4"}, "set CI_MERGE_REQUEST_IID"),
    ],
)
def test_variable_that_is_missing_is_named(platform: str, env: dict[str, str], text: str) -> None:
    if platform == "github" and env.get("GITHUB_TOKEN") and "GITHUB_REPOSITORY" not in env:
        env = {**env, "GITHUB_REPOSITORY": "team/shop"}
    with pytest.raises(CommentError, match=text):
        post(platform, TEXT, env)


@responses.activate
@pytest.mark.parametrize(
    ("answer", "text"),
    [
        ({"status": 401}, "status 401: the token is not valid"),
        ({"status": 403}, "may not write comments"),
        ({"status": 404}, "no such pull request"),
        ({"status": 302, "headers": {"Location": "https://elsewhere.example/"}}, "status 302"),
        ({"body": "not JSON"}, "JSONDecodeError"),
        ({"json": {"message": "odd"}}, "is not a JSON array"),
        ({"body": ConnectionError(TOKEN)}, "failed"),
    ],
)
def test_failure_says_what_failed_and_never_the_token(answer: dict[str, Any], text: str) -> None:
    if isinstance(answer.get("body"), Exception):
        import requests

        answer = {"body": requests.ConnectionError(TOKEN)}
    responses.get(GITHUB_COMMENTS, **answer)

    with pytest.raises(CommentError, match=text) as failure:
        post("github", TEXT, GITHUB)

    assert TOKEN not in str(failure.value)
    assert failure.value.code == "comment-failed"
    assert len(responses.calls) == 1


@responses.activate
def test_text_is_cut_at_the_limit_of_the_platform() -> None:
    responses.get(GITHUB_COMMENTS, json=[])
    responses.post(GITHUB_COMMENTS, json={}, status=201)

    post("github", TEXT + "| é |\n" * 20_000, GITHUB)

    body = sent(responses.calls[-1])["body"]
    assert 65_000 < len(body.encode()) <= 65_536
    assert body.startswith(MARKER)
    assert body.endswith("| é |\n\n(cut: the platform's size limit is reached)\n")


@responses.activate
def test_command_posts_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in GITHUB.items():
        monkeypatch.setenv(name, value)
    responses.get(GITHUB_COMMENTS, json=[])
    responses.post(GITHUB_COMMENTS, json={}, status=201)
    file = tmp_path / "comment.md"
    file.write_text(TEXT, encoding="utf-8")

    assert main(["cost", "comment", "github", str(file)]) == 0
    assert capsys.readouterr().out == "posted the comment\n"
    assert main(["cost", "comment", "github", str(file), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["result"] == "posted the comment"


@pytest.mark.parametrize(
    "words", [["comment"], ["comment", "bitbucket"], ["comment", "github", "a", "b"], ["a", "b"]]
)
def test_command_that_is_wrong_is_an_error(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cost", *words]) == 1
    assert "stacks-pulumi cost:" in capsys.readouterr().err
