"""The place of each page of the checkout in the site, and the targets of links to files."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Final

__all__ = ["Places", "slug"]

_FENCE: Final = re.compile(r"^(\s*)(`{3,})")
_LINK: Final = re.compile(r"(?<=\]\()([^)\s]+)(?=\))")
_ELSEWHERE: Final = ("https://", "http://", "mailto:", "#")
_FOLDERS: Final = {"docs/": "", "examples/": "examples/", "policies/": "policies/", ".github/": "project/"}
"""Folders with pages -> their folders in the site."""
_TOP: Final = {"README.md": "index.md", "CHANGELOG.md": "changelog.md"}
_OF_THE_REGISTRY: Final = {"docs/_index.md", "docs/installation-configuration.md"}
"""Pages for Pulumi's registry, in its own markup. The registry finds them only in this folder."""
_SOURCES: Final = "files"


class Places:
    """
    The pages of a checkout by their paths.

    Attributes:
        pages: Path in the checkout -> path in the site.
        files: Linked files that are not pages: path in the checkout -> path in the site.
    """

    def __init__(self, root: Path, tracked: list[str]) -> None:
        self._root = root
        self.pages = {path: place for path in tracked if (place := _place(path)) is not None}
        self.files: dict[str, str] = {}
        self._inside: dict[str, str] = {}

    def hold(self, path: str, target: str) -> None:
        """Make links to a file point to the section of a page that shows the file."""
        self._inside[path] = target

    def moved(self, text: str, source: str) -> str:
        """Return a page with its links changed for the site; `source` is its path in the checkout."""
        place = self.pages[source]
        return _outside_code(text, lambda line: _LINK.sub(lambda it: self._link(it[0], source, place), line))

    def _link(self, link: str, source: str, place: str) -> str:
        if link.startswith(_ELSEWHERE):
            return link
        path, _, anchor = link.partition("#")
        target = os.path.normpath(os.path.join(os.path.dirname(source), path))  # noqa: PTH118, PTH120 - paths of the site
        found = self._target(target)
        relative = os.path.relpath(found, os.path.dirname(place) or ".")  # noqa: PTH120 - as above
        return f"{relative}#{anchor}" if anchor else relative

    def _target(self, path: str) -> str:
        """
        Return the place of a file or a folder.

        Raises:
            LookupError: The target does not exist, or is a folder without a page.
        """
        for page in (path, f"{path}/README.md"):
            if page in self.pages:
                return self.pages[page]
        if path in self._inside:
            return self._inside[path]
        inside = [target for held, target in self._inside.items() if held.startswith(f"{path}/")]
        if inside:
            return inside[0].partition("#")[0]
        if not (self._root / path).is_file():
            raise LookupError(
                f"a page links to {path}, which is neither a page of the site nor a file: correct the link"
            )
        return self.files.setdefault(path, _place_of_file(path))


def slug(heading: str) -> str:
    """Return the anchor of a heading, in GitHub's form."""
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")


def _place(path: str) -> str | None:
    if not path.endswith(".md") or path in _OF_THE_REGISTRY:
        return None
    if path in _TOP:
        return _TOP[path]
    for folder, place in _FOLDERS.items():
        if path.startswith(folder):
            inside = PurePosixPath(path).relative_to(folder)
            if inside.name == "README.md":
                # This is the page of a folder: of a section, an example or a pack.
                whole = folder == "docs/" or len(inside.parts) == 1
                return f"{place}{inside.parent / 'index.md' if whole else f'{inside.parent}.md'}"
            return f"{place}{inside if folder == 'docs/' else str(inside).lower()}"
    return None


def _place_of_file(path: str) -> str:
    return path.removeprefix("docs/") if path.startswith("docs/") else f"{_SOURCES}/{path}"


def _outside_code(text: str, change: Callable[[str], str]) -> str:
    lines, fence = [], ""
    for line in text.splitlines():
        mark = _FENCE.match(line)
        if fence:
            fence = "" if mark and mark[2].startswith(fence) and line.strip() == mark[2] else fence
        elif mark:
            fence = mark[2]
        else:
            lines.append(change(line))
            continue
        lines.append(line)
    return "\n".join(lines) + "\n"
