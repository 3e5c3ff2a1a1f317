"""The samples of a resource in the languages of the native plugin, and the packages of their SDKs."""

from __future__ import annotations

import re
from typing import Final

from stacks_pulumi.commands._package import INDEX
from tools.docs.marks import table
from tools.schema import languages, written_samples

__all__ = ["in_other_languages", "packages", "registry"]

_NAMES: Final = {
    "typescript": "TypeScript",
    "python": "Python",
    "go": "Go",
    "csharp": "C#",
    "yaml": "YAML",
}
_ON_THE_PAGE: Final = "python"
"""A resource's page begins with a program in Python, which uses this package instead of an SDK."""


def _programs(kind: str) -> dict[str, str]:
    return dict(re.findall(r"^```(\w+)\n(.*?)^```$", written_samples()[kind], re.MULTILINE | re.DOTALL))


def in_other_languages(kind: str) -> str:
    """Return the sample of a kind in each language except the language at the top of its page."""
    return "\n\n".join(
        f"### {_NAMES[language]}\n\n```{language}\n{program}```"
        for language, program in _programs(kind).items()
        if language != _ON_THE_PAGE
    )


def registry(kind: str) -> str:
    """Return the sample of a kind with marks, so that the registry shows one language at a time."""
    programs = _programs(kind)
    chosen = [
        f"{{{{% choosable language {language} %}}}}\n\n```{language}\n{program}```\n\n{{{{% /choosable %}}}}"
        for language, program in programs.items()
    ]
    return "\n".join([f'{{{{< chooser language "{",".join(programs)}" >}}}}', *chosen, "{{< /chooser >}}"])


def packages() -> str:
    """
    Return a row for the SDK of each language.

    A command contains no name of an unpublished package, because anyone could publish a package with that name.
    """
    names = languages()
    npm, module = names["nodejs"]["packageName"], names["go"]["importBasePath"]
    python = names["python"]["packageName"].replace("_", "-")
    nuget = ".".join((names["csharp"]["rootNamespace"], names["csharp"]["namespaces"]["stacks"]))
    rows = [
        ("TypeScript", npm, f"npm install {npm}"),
        ("Python", python, f"pip install {python}"),
        ("Go", module, f"go get {module}"),
        ("C#", nuget, f"dotnet add package {nuget}"),
    ]
    if not INDEX:
        return table(("Language", "Package"), [(it[0], f"`{it[1]}`, not published yet") for it in rows])
    return table(
        ("Language", "Package", "Installed by"),
        [(language, f"`{name}`", f"`{command}`") for language, name, command in rows],
    )
