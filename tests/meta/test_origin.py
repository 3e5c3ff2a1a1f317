"""No shipped file installs this package by its name, which anyone could register at an index."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from stacks_pulumi.commands._package import INDEX

ROOT = Path(__file__).parents[2]
TRACKED = subprocess.run(
    ["git", "ls-files", "-z", "--", ":!tests", ":!CHANGELOG.md"],
    cwd=ROOT,
    capture_output=True,
    text=True,
    check=True,
).stdout.split("\0")[:-1]

NAME = r"stacks[-_.]pulumi"
REQUIREMENT = re.compile(
    # With extras, it is always a requirement.
    rf"(?<![\w/.-]){NAME}\s*\[[\w, -]*\](?!\s*@)"
    # The argument of an installer. In a path, a wheel or an address, more characters follow.
    rf"|(?:pip3?|pipx|uv|uvx|poetry|pdm)\b[^\n`]* (?:install|add|run|sync)\b[^\n`]*?[ '\"]{NAME}(?!\[| @|[\w./-])"
    # A line of a requirements file, including one in the text of a program.
    rf"|^\s*{NAME}\s*(?:(?:[=~!]=|[<>])[^@\n]*)?$|[\"']{NAME}\\n",
    re.MULTILINE | re.IGNORECASE,
)


@pytest.mark.parametrize(
    "text",
    [
        "stacks-pulumi\n",
        "stacks-pulumi==0.4.0\n",
        "pulumi\nstacks-pulumi\n",
        "stacks-pulumi[policy]\n",
        "pip install stacks-pulumi",
        "`pip install stacks-pulumi`, and",
        "pip install 'stacks-pulumi[cli]'",
        "uv pip install --upgrade stacks_pulumi",
        '"requirements.txt": "stacks-pulumi\\n",',
    ],
)
def test_the_name_alone_is_found(text: str) -> None:
    assert REQUIREMENT.search(text)


@pytest.mark.parametrize(
    "text",
    [
        "stacks-pulumi @ git+<URL>@<COMMIT>\n",
        "pip install './stacks-pulumi[policy]'",
        "pip install './stacks_pulumi-0.4.0-py3-none-any.whl[policy]'",
        "pip install 'stacks-pulumi[policy] @ git+<URL>'",
        "pip install 'stacks-pulumi @ git+<URL>'",
        "[`stacks-pulumi`](commands.md)",
    ],
)
def test_a_place_is_not_found(text: str) -> None:
    assert not REQUIREMENT.search(text)


def test_no_file_installs_the_package_by_its_name() -> None:
    found = []
    for path in TRACKED:
        try:
            text = (ROOT / path).read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        found += [f"{path}: {hit[0].strip()}" for hit in REQUIREMENT.finditer(text)]

    assert len(TRACKED) > 300
    # Only a release that is on an index writes its name.
    assert found == [] or INDEX
