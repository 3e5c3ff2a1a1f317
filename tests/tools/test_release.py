"""The check before a release: the tag, the version and the changelog agree."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tools.release import ReleaseError, notes


def checkout(folder: Path, version: str, changelog: str, schema: str | None = None) -> Path:
    (folder / "stacks_pulumi").mkdir()
    (folder / "tools/sdk").mkdir(parents=True)
    kept = json.dumps({"version": schema or version})
    (folder / "tools/sdk/released.json").write_text(kept, encoding="utf-8")
    (folder / "stacks_pulumi/__init__.py").write_text(f'__version__ = "{version}"\n', encoding="utf-8")
    (folder / "CHANGELOG.md").write_text(changelog, encoding="utf-8")
    return folder


def test_the_notes_are_the_part_of_the_version(tmp_path: Path) -> None:
    root = checkout(
        tmp_path,
        "1.2.0",
        "# Changelog\n\n## [1.2.0] - 2026-01-02\n\n- New.\n\n### Fixed\n\n- A bug.\n\n"
        "## [1.1.0] - 2026-01-01\n\n- Old.\n",
    )

    assert notes("v1.2.0", root) == "- New.\n\n### Fixed\n\n- A bug.\n"


@pytest.mark.parametrize(
    ("tag", "changelog", "words"),
    [
        ("v1.3.0", "## [1.2.0] - 2026-01-02\n\n- New.\n", "is not the version of the package"),
        ("1.2.0", "## [1.2.0] - 2026-01-02\n\n- New.\n", "is not the version of the package"),
        ("v1.2.0", "## [1.2.0]\n\n- New.\n", "has no part"),
        ("v1.2.0", "## [1.2.0] - 2026-01-02\n\n## [1.1.0] - 2026-01-01\n\n- Old.\n", "has no part"),
        ("v1.2.0", "## [1.2x0] - 2026-01-02\n\n- New.\n", "has no part"),
    ],
)
def test_a_tag_that_does_not_fit_is_refused(tag: str, changelog: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(ReleaseError, match=words):
        notes(tag, checkout(tmp_path, "1.2.0", changelog))


def test_a_release_keeps_its_schema(tmp_path: Path) -> None:
    root = checkout(tmp_path, "1.2.0", "## [1.2.0] - 2026-01-02\n\n- New.\n", schema="1.1.0")

    with pytest.raises(ReleaseError, match=r"is the schema of 1\.1\.0: run python tools/sdk/breaking\.py"):
        notes("v1.2.0", root)


def test_every_released_version_has_a_date() -> None:
    changelog = (Path(__file__).parents[2] / "CHANGELOG.md").read_text(encoding="utf-8")
    headings = [
        line for line in changelog.splitlines() if line.startswith("## [") and "Unreleased" not in line
    ]

    assert headings
    assert [line for line in headings if " - 20" not in line] == []
