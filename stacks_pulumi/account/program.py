"""
The program in each language, and the file for `pulumi import --file`.

Converts text to literals and names of a language.

Names and descriptions come from the account and are untrusted input: any content stays a string literal.

Writes the files of a program: all of them or none, without overwriting existing files.
"""

from __future__ import annotations

import builtins
import contextlib
import keyword
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

import msgspec

from stacks_pulumi._identifiers import camel_case
from stacks_pulumi.account.scaffold import DeclaredResource, Reference, ScaffoldPlan, Value
from stacks_pulumi.config import DEFAULT_BASE_URL
from stacks_pulumi.errors import StacksError
from stacks_pulumi.pricing.recognition import NATIVE

__all__ = [
    "FILES",
    "LANGUAGES",
    "Identifiers",
    "Language",
    "files",
    "literal",
    "project_name",
    "refuse_to_overwrite",
    "write",
]

_RESERVED: Final = frozenset({*keyword.kwlist, *keyword.softkwlist, *dir(builtins), "pulumi", "stacks"})


def literal(value: str | int | bool) -> str:
    """Return a value as a Python literal; a string has the quotes that ruff's formatter chooses."""
    if not isinstance(value, str):
        return repr(value)
    # The quotes that need fewer escapes; double quotes if both need the same.
    quote = "'" if value.count('"') > value.count("'") else '"'
    return f"{quote}{''.join(_escaped(sign, quote) for sign in value)}{quote}"


def _escaped(sign: str, quote: str) -> str:
    if sign in {quote, "\\"}:
        return f"\\{sign}"
    return sign if sign.isprintable() else sign.encode("unicode_escape").decode()


class Identifiers:
    """Creates variable names without duplicates."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def take(self, wish: str) -> str:
        """Return a name similar to the wanted one that does not shadow another name."""
        base = re.sub(r"[^a-z0-9]+", "_", wish.lower()).strip("_")
        if not base or base[0].isdigit():
            base = f"container_{base}".rstrip("_")
        if base in _RESERVED:
            base = f"{base}_"
        name, number = base, 2
        while name in self._taken:
            name, number = f"{base.rstrip('_')}_{number}", number + 1
        self._taken.add(name)
        return name


Language: TypeAlias = Literal["python", "yaml"]
LANGUAGES: Final[tuple[Language, ...]] = ("python", "yaml")

_ABOUT: Final = "Takes over containers that a STACKS account holds."
_IMPORT: Final = "import.json"
FILES: Final[Mapping[Language, tuple[str, ...]]] = {
    "python": ("Pulumi.yaml", "__main__.py", "requirements.txt", _IMPORT),
    "yaml": ("Pulumi.yaml", _IMPORT),
}
"""The names of the files in each language."""
_PLAIN: Final = re.compile(r"[A-Za-z$][A-Za-z0-9_:./{}$ -]*")


def files(plan: ScaffoldPlan, language: Language, project: str, base_url: str) -> dict[str, str]:
    """
    Return the files of the program by name.

    Args:
        plan: The resources of the program.
        language: The language of the program.
        project: The project's name.
        base_url: The address of the API.
    """
    head: dict[str, Any] = {"name": project, "description": _ABOUT, "runtime": language}
    if base_url != DEFAULT_BASE_URL:
        # Written down, so that a later `up` without the environment variable does not use another account.
        head["config"] = {"stacks:baseUrl": {"value": base_url}}
    if language == "yaml":
        return {"Pulumi.yaml": _yaml({**head, "resources": _yaml_resources(plan)}), _IMPORT: _import(plan)}
    return {
        "Pulumi.yaml": _yaml(head),
        "__main__.py": _python(plan),
        "requirements.txt": "stacks-pulumi\n",
        _IMPORT: _import(plan),
    }


# --- Python ---


def _python(plan: ScaffoldPlan) -> str:
    used = {
        value.name for one in plan.declared for value in one.inputs.values() if isinstance(value, Reference)
    }
    identifiers = Identifiers()
    variables = {
        one.name: identifiers.take(one.name)
        for one in plan.declared
        if one.kind == "Container" and one.name in used
    }
    imports = ["import pulumi"] if any(one.protect for one in plan.declared) else []
    if plan.declared:
        imports.append("import stacks_pulumi as stacks")
    lines = [f'"""{_ABOUT}"""', "", *imports, ""]
    for one in plan.declared:
        lines += _call(one, variables)
    return "\n".join(lines).rstrip("\n") + "\n"


def _call(one: DeclaredResource, variables: Mapping[str, str]) -> list[str]:
    variable = f"{variables[one.name]} = " if one.kind == "Container" and one.name in variables else ""
    # A comma after the last argument keeps each argument on its own line, for every line length of the formatter.
    lines = [f"{variable}stacks.{one.kind}(", f"    {literal(one.name)},"]
    lines += [f"    {name}={_argument(value, variables)}," for name, value in one.inputs.items()]
    if one.protect:
        lines.append("    opts=pulumi.ResourceOptions(protect=True),")
    return [*lines, ")"]


def _argument(value: Value, variables: Mapping[str, str]) -> str:
    return variables[value.name] if isinstance(value, Reference) else literal(value)


# --- YAML ---


def _yaml(document: Mapping[str, Any]) -> str:
    import yaml  # noqa: PLC0415  (it comes with an extra)

    class Dumper(yaml.SafeDumper):
        pass

    def text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
        # The engine reads YAML 1.2, where more words are numbers than PyYAML quotes, for instance a name 1e3.
        style = None if _PLAIN.fullmatch(value) else '"'
        return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)

    Dumper.add_representer(str, text)
    # Characters outside of ASCII are escaped, so that the program contains no invisible ones.
    return yaml.dump(dict(document), Dumper=Dumper, sort_keys=False, width=1000)


def _yaml_resources(plan: ScaffoldPlan) -> dict[str, Any]:
    """Return the resources by name. YAML needs names that are unique among all kinds."""
    names: dict[tuple[str, str], str] = {}
    taken: set[str] = set()
    for one in plan.declared:
        base = re.sub(r"[^A-Za-z0-9_-]", "-", one.name)
        name, number = base, 2
        while name in taken or name == "pulumi":
            name, number = f"{base}-{number}", number + 1
        taken.add(name)
        names[one.kind, one.name] = name
    resources = {}
    for one in plan.declared:
        resource: dict[str, Any] = {"type": f"{NATIVE}{one.kind}", "name": one.name}
        resource["properties"] = {
            camel_case(name): _property(value, names) for name, value in one.inputs.items()
        }
        if one.protect:
            resource["options"] = {"protect": True}
        resources[names[one.kind, one.name]] = resource
    return resources


def _property(value: Value, names: Mapping[tuple[str, str], str]) -> str | int | bool:
    if isinstance(value, Reference):
        return f"${{{names['Container', value.name]}.id}}"
    # A dollar sign is written twice, because a single one could begin an expression.
    return value.replace("$", "$$") if isinstance(value, str) else value


# --- pulumi import ---


def _import(plan: ScaffoldPlan) -> str:
    resources = [{"type": f"{NATIVE}{one.kind}", "name": one.name, "id": one.id} for one in plan.declared]
    return msgspec.json.format(msgspec.json.encode({"resources": resources}), indent=2).decode() + "\n"


def project_name(folder: Path) -> str:
    """Return a valid Pulumi project name, made from the name of a folder."""
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", folder.resolve().name).strip("-.")
    return name[:100] or "stacks-account"


def refuse_to_overwrite(folder: Path, names: Iterable[str]) -> None:
    """
    Check that the files can be created in the folder, and that none of them exists.

    Raises:
        StacksError: A file exists, or the files cannot be created.
    """
    nearest = next(place for place in (folder.absolute(), *folder.absolute().parents) if place.exists())
    if not nearest.is_dir():
        raise StacksError(
            f"{nearest} is a file and not a folder: name another folder with --out", code="file-access"
        )
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise StacksError(
            f"no file can be written in {nearest}: name another folder with --out", code="file-access"
        )
    there = [name for name in names if (folder / name).exists() or (folder / name).is_symlink()]
    if there:
        raise StacksError(
            f"{folder} already has {', '.join(there)}, and existing files are not overwritten: "
            "name another folder with --out",
            code="file-access",
        )


def write(folder: Path, files: Mapping[str, str]) -> None:
    """
    Write the files into a folder, which is created if it does not exist.

    Raises:
        StacksError: One of them exists, or cannot be written.
    """
    refuse_to_overwrite(folder, files)
    written: list[Path] = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            # Mode "x": a file that another process has just created is not overwritten either.
            with (folder / name).open("x", encoding="utf-8", newline="\n") as file:
                written.append(folder / name)
                file.write(text)
    except BaseException as error:
        for path in written:
            with contextlib.suppress(OSError):
                path.unlink()
        if isinstance(error, OSError):
            msg = f"{error.filename or folder} cannot be written: {error.strerror}"
            raise StacksError(msg, code="file-access") from None
        raise
