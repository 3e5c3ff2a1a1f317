"""
How does a report become a comment on a pull request or merge request, in place of the previous run's comment?

All settings come from the variables that the CI sets. The token is sent only to the API in these variables, and
redirects are not followed.
"""

from __future__ import annotations

import json
import os
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Final

import requests

from stacks_pulumi.errors import ErrorCode, StacksError

_MARKER: Final = re.compile(r"<!-- stacks-pulumi cost: \S+ -->")
_PAGE: Final = 100
_MOST_PAGES: Final = 100
_TIMEOUT_S: Final = 30
_NO_USER: Final = frozenset({403, 404})
_ACTION: Final = re.compile(r"^(?=[^\S\n]*/)", re.MULTILINE)
"""
The beginning of a line with a slash. GitLab, and bots on both platforms, execute commands such as `/merge` in such a
line, with the permissions of the token's owner. A report contains no such line, but the reviewed program may have
written the file that is posted.
"""

_ZERO_WIDTH: Final = "\N{ZERO WIDTH SPACE}"
_CUT: Final = "\n\n(cut: the platform's size limit is reached)\n"


class CommentError(StacksError):
    """
    Raised if the comment was not posted.

    Attributes:
        status: The status of the API's answer; `None` if there is no answer.
    """

    code: ErrorCode = "comment-failed"
    status: int | None = None


class _Platform(ABC):
    """
    The comments on a platform, such as GitHub.

    Attributes:
        limit: The maximum size of a comment in bytes.
        update: The HTTP method that replaces a comment.
    """

    limit: ClassVar[int]
    update: ClassVar[str]

    def __init__(self, env: Mapping[str, str]) -> None:
        self._env = env
        self._session = requests.Session()
        # Ignore the environment: otherwise an entry in .netrc could replace the token.
        self._session.trust_env = False
        self._session.proxies = requests.utils.get_environ_proxies(self._base())
        self._session.headers.update(self._headers())

    @abstractmethod
    def _base(self) -> str:
        """The URL of the API."""

    @abstractmethod
    def _headers(self) -> dict[str, str]:
        """The headers that authenticate."""

    @abstractmethod
    def comments(self) -> str:
        """The path of the comments."""

    @abstractmethod
    def comment(self, id_: int) -> str:
        """The path of one comment."""

    @abstractmethod
    def is_ours(self, row: Mapping[str, Any]) -> bool:
        """
        Return whether this command wrote a comment that begins with the marker. A person may have copied the marker.
        """

    def variable(self, *names: str) -> str:
        """
        Return the first of these variables that is set.

        Raises:
            CommentError: None of these variables is set.
        """
        for name in names:
            if self._env.get(name):
                return self._env[name]
        msg = f"set {' or '.join(names)}: the comment cannot be posted without it"
        raise CommentError(msg)

    def find(self, marker: str) -> int | None:
        """Return the id of this command's comment with this marker."""
        for row in self._list():
            if str(row.get("body", "")).startswith(marker) and self.is_ours(row):
                return int(row["id"])
        return None

    def _list(self) -> Iterator[Mapping[str, Any]]:
        for page in range(1, _MOST_PAGES + 1):
            rows = self.call("GET", f"{self.comments()}?per_page={_PAGE}&page={page}")
            if not isinstance(rows, list):
                raise CommentError("the response to a request for the comments is not a JSON array")
            yield from rows
            if len(rows) < _PAGE:
                return

    def call(self, method: str, path: str, body: str | None = None) -> Any:
        """
        Send a request and return the decoded answer.

        Raises:
            CommentError: The request failed; the text never contains the token.
        """
        try:
            response = self._session.request(
                method,
                f"{self._base()}{path}",
                json=None if body is None else {"body": body},
                timeout=_TIMEOUT_S,
                allow_redirects=False,
            )
            if response.status_code // 100 == 2:
                return response.json()
        except (requests.RequestException, ValueError) as error:
            msg = f"{method} {path} failed ({type(error).__name__}): check the network and the address of the API"
            raise CommentError(msg) from None
        hint = {
            401: ": the token is not valid",
            403: ": the token may not write comments",
            404: ": there is no such pull request, or the token cannot see it",
        }.get(response.status_code, "")
        msg = f"{method} {path} failed with status {response.status_code}{hint}"
        raise CommentError(msg, status=response.status_code)


class _GitHub(_Platform):
    limit = 65_536
    update = "PATCH"

    def _base(self) -> str:
        return self._env.get("GITHUB_API_URL") or "https://api.github.com"

    def _headers(self) -> dict[str, str]:
        token = self.variable("GITHUB_TOKEN", "GH_TOKEN")
        return {"Authorization": f"Bearer {token}", "Accept": "application/vnd.github+json"}

    def comments(self) -> str:
        return f"/repos/{self.variable('GITHUB_REPOSITORY')}/issues/{self._number()}/comments"

    def comment(self, id_: int) -> str:
        return f"/repos/{self.variable('GITHUB_REPOSITORY')}/issues/comments/{id_}"

    def is_ours(self, row: Mapping[str, Any]) -> bool:
        user = row.get("user") or {}
        return bool(user.get("type") == "Bot" or (self._me is not None and user.get("id") == self._me))

    @cached_property
    def _me(self) -> int | None:
        """The id of a personal token's user; `None` for a bot's token, which has no permission to read its user."""
        try:
            return int(self.call("GET", "/user")["id"])
        except CommentError as error:
            if error.status in _NO_USER:
                return None
            raise

    def _number(self) -> int:
        ref = re.fullmatch(r"refs/pull/(\d+)/\w+", self._env.get("GITHUB_REF", ""))
        if ref:
            return int(ref[1])
        try:
            event = json.loads(Path(self._env["GITHUB_EVENT_PATH"]).read_text(encoding="utf-8"))
            return int((event.get("pull_request") or event["issue"])["number"])
        except (KeyError, OSError, ValueError, TypeError, AttributeError):
            msg = "this run is not for a pull request: neither GITHUB_REF nor GITHUB_EVENT_PATH contains its number"
            raise CommentError(msg) from None


class _GitLab(_Platform):
    limit = 1_000_000
    update = "PUT"

    def _base(self) -> str:
        return self._env.get("CI_API_V4_URL") or "https://gitlab.com/api/v4"

    def _headers(self) -> dict[str, str]:
        # The token of the CI job cannot write comments.
        return {"PRIVATE-TOKEN": self.variable("GITLAB_TOKEN")}

    def comments(self) -> str:
        project = self.variable("CI_PROJECT_ID")
        return f"/projects/{project}/merge_requests/{self.variable('CI_MERGE_REQUEST_IID')}/notes"

    def comment(self, id_: int) -> str:
        return f"{self.comments()}/{id_}"

    def is_ours(self, row: Mapping[str, Any]) -> bool:
        me = self.call("GET", "/user")
        return bool((row.get("author") or {}).get("id") == me["id"])


PLATFORMS: Final[dict[str, type[_Platform]]] = {"github": _GitHub, "gitlab": _GitLab}
"""The platforms by their names on the command line."""


def post(platform: str, text: str, env: Mapping[str, str] = os.environ) -> str:
    """
    Post a comment, or replace the comment of the previous run. Return a text that states which of the two was done.

    Raises:
        CommentError: The text contains no marker, a variable is missing, or the API failed.
    """
    marker = text.partition("\n")[0].strip()
    if not _MARKER.fullmatch(marker):
        # An empty marker fits every comment, so an unrelated comment would be replaced.
        msg = (
            "the comment does not begin with its marker: write it with `stacks-pulumi cost --format markdown`"
        )
        raise CommentError(msg)
    comments = PLATFORMS[platform](env)
    text = _within(_ACTION.sub(_ZERO_WIDTH, text), comments.limit)
    id_ = comments.find(marker)
    if id_ is None:
        comments.call("POST", comments.comments(), text)
        return "posted the comment"
    comments.call(comments.update, comments.comment(id_), text)
    return f"replaced comment {id_}"


def _within(text: str, limit: int) -> str:
    data = text.encode()
    if len(data) <= limit:
        return text
    whole_lines = data[: limit - len(_CUT.encode())].rpartition(b"\n")[0]
    return whole_lines.decode() + _CUT
