"""Collects the pages of the site in one folder: the checkout's pages, and pages generated from the code."""

from __future__ import annotations

import fnmatch
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any, Final

import yaml

from tools.site.places import Places, slug
from tools.site.written import contents, written

__all__ = ["configuration", "stage"]

_HERE: Final = Path(__file__).parent
_STYLE: Final = "site.css"
_LANGUAGES: Final = {
    ".py": "python",
    ".sh": "sh",
    ".yaml": "yaml",
    ".yml": "yaml",
    ".txt": "text",
    "": "dockerfile",
}
_CONTENTS: Final = {
    "resources": ("Resources", "The resources that a program can manage."),
    "decisions": (
        "Decisions",
        "The reasons for the design. Each page states a choice, and when to reconsider it.",
    ),
}
"""Folders of `docs` without a README: the title and the text of the page that lists the folder's pages."""
_FOUND_FIRST: Final = {
    "errors.md": 3.0,
    **dict.fromkeys(
        (
            "deploy-your-code.md",
            "guards.md",
            "install.md",
            "resize.md",
            "rotate-a-key.md",
            "stop-an-agent.md",
        ),
        2.0,
    ),
}
"""Page -> its weight in a search: a search for an error code or a task should find that page first."""
_FOUND_LAST: Final = ("api/", "changelog.md", "decisions/", "project/")
"""Pages for contributors and readers of the code. They have half of the usual weight in a search."""
_CELL_CODE: Final = re.compile(r"`[^`]*`")


def stage(root: Path, folder: Path) -> None:
    """Fill a folder, which is emptied first, with the pages, their pictures and the linked files."""
    shutil.rmtree(folder, ignore_errors=True)
    tracked = _tracked(root)
    places = Places(root, tracked)
    for name in _CONTENTS:
        places.hold(f"docs/{name}", f"{name}/index.md")
    programs = {page: _program(page, places.pages[page], tracked, places) for page in places.pages}
    for source, place in places.pages.items():
        if source != "README.md":
            text = (root / source).read_text(encoding="utf-8") + _listing(root, programs[source])
            _write(folder / place, _weight(place) + _cells(places.moved(text, source)))
    for name, (title, said) in _CONTENTS.items():
        pages = {path.name: path.read_text(encoding="utf-8") for path in sorted((folder / name).glob("*.md"))}
        _write(folder / name / "index.md", contents(title, said, pages))
    for place, text in written():
        _write(folder / place, _weight(place) + text)
    for source, place in places.files.items():
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(root / source, folder / place)
    shutil.copyfile(_HERE / _STYLE, folder / _STYLE)


def configuration(folder: Path, html: Path) -> dict[str, Any]:
    """Return MkDocs' configuration for the staged pages in `folder` and the built site in `html`."""
    found: dict[str, Any] = yaml.safe_load((_HERE / "mkdocs.yml").read_text(encoding="utf-8"))
    pages = sorted(str(path.relative_to(folder)) for path in folder.rglob("*.md"))
    return {**found, "docs_dir": str(folder), "site_dir": str(html), "nav": _expanded(found["nav"], pages)}


def _weight(place: str) -> str:
    """Return the head of a page that has a special weight in a search."""
    weight = 0.5 if place.startswith(_FOUND_LAST) else _FOUND_FIRST.get(place)
    return f"---\nsearch:\n  boost: {weight}\n---\n\n" if weight else ""


def _tracked(root: Path) -> list[str]:
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True).stdout
    return [path for path in listed.splitlines() if (root / path).is_file()]


def _program(page: str, place: str, tracked: list[str], places: Places) -> list[str]:
    """Return the files of an example, which its page shows below the text."""
    folder = page.removesuffix("README.md")
    if not page.startswith("examples/") or folder == "examples/":
        return []
    found = [
        path
        for path in tracked
        if path.startswith(folder) and path != page and Path(path).suffix in _LANGUAGES and "/." not in path
    ]
    for path in found:
        places.hold(path, f"{place}#{slug(path.removeprefix(folder))}")
    return found


def _listing(root: Path, files: list[str]) -> str:
    if not files:
        return ""
    parts = ["\n## Files\n"]
    for path in files:
        name = "/".join(Path(path).parts[2:])
        text = (root / path).read_text(encoding="utf-8").rstrip()
        language = _LANGUAGES[Path(path).suffix]
        parts.append(f"### `{name}` {{ #{slug(name)} }}\n\n````{language}\n{text}\n````\n")
    return "\n".join(parts)


def _cells(text: str) -> str:
    """Return a page without escaped bars in code spans of tables: unlike GitHub, Python-Markdown shows the escape."""
    return "\n".join(
        _CELL_CODE.sub(lambda it: it[0].replace("\\|", "|"), line) if line.startswith("|") else line
        for line in text.split("\n")
    )


def _expanded(nav: Any, pages: list[str]) -> Any:
    """Return the navigation in which the remaining pages of a folder replace `folder/*`."""
    if isinstance(nav, dict):
        return {title: _expanded(entries, pages) for title, entries in nav.items()}
    if not isinstance(nav, list):
        return nav
    expanded: list[Any] = []
    for entry in nav:
        if isinstance(entry, str) and entry.endswith("/*"):
            matching = [page for page in fnmatch.filter(pages, entry) if page.count("/") == entry.count("/")]
            expanded += [page for page in matching if page not in nav]
        else:
            expanded.append(_expanded(entry, pages))
    return expanded


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
