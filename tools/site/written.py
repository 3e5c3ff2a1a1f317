"""The generated pages of the site: one for each data function, and the reference of the Python API."""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Callable, Iterator
from typing import Final

import stacks_pulumi
from stacks_pulumi import functions
from stacks_pulumi.api import StacksClient, models
from stacks_pulumi.emulator import Emulator
from stacks_pulumi.endpoints import ENDPOINTS
from stacks_pulumi.functions import QUESTIONS
from tools.docs import functions as tables
from tools.docs.docstrings import described, first_sentence, section
from tools.docs.marks import table
from tools.docs.parts import linked

__all__ = ["contents", "written"]

_API: Final = {
    "resources": ("Resources", "stacks_pulumi", "The classes that a program creates, and their arguments."),
    "functions": ("Data functions", "stacks_pulumi.functions", "Functions that read objects of the account."),
    "models": ("Answers", "stacks_pulumi.api.models", "The results of the client and of the data functions."),
    "client": ("Client", "stacks_pulumi.api", "The HTTP API as a typed client, without Pulumi."),
    "errors": ("Errors", "stacks_pulumi.errors", "All error types."),
    "catalog": ("Catalogue", "stacks_pulumi.catalog", "Plans, templates, storage tiers and prices."),
    "policy": ("Policies", "stacks_pulumi.policy", "Rules, packs, and the views that a rule judges."),
    "policy_testing": (
        "Testing policies",
        "stacks_pulumi.policy.testing",
        "Tests of a pack, without an engine.",
    ),
    "emulator": ("Emulator", "stacks_pulumi.emulator", "The API on your own machine."),
    "testing": ("Fixtures", "stacks_pulumi.testing", "Pytest fixtures for programs."),
}
"""Page -> its title, its module and its content."""
_FUNCTIONS: Final = [name for name in stacks_pulumi.__all__ if name.startswith(("get_", "list_"))]
_NOT_HERE: Final = {"resources": re.compile("^(get|list)_"), "emulator": re.compile("^[A-Z]+$")}
"""Public names of a module that are data or are on a different page."""
_REACHED: Final[dict[str, tuple[Callable[[], object], tuple[str, ...]]]] = {
    "client": (
        lambda: StacksClient("sk_stacks_" + 64 * "0"),
        ("containers", "connections", "allowed_ips", "backups", "vpn_clients"),
    ),
    "emulator": (Emulator, ("faults", "drift", "shapes")),
}
"""Attributes of a public class that are the only access to their classes."""
_INHERITED: Final = "\n    options:\n      inherited_members: true"
"""The emulator's class inherits its controls from a private base class."""
_DEFINED: Final = re.compile(r"^(?:class |def |(?=\w+(?:: | = )))(\w+)", re.MULTILINE)
_MODEL: Final = re.compile(r"results\.(\w+)")


def written() -> Iterator[tuple[str, str]]:
    """Return every page: its place in the site and its text."""
    for name in tables.names():
        yield f"functions/{name}.md", linked(_function(name))
    rows = [(f"[{title}]({page}.md)", f"`{module}`", said) for page, (title, module, said) in _API.items()]
    yield "api/index.md", f"# API reference\n\n{table(('Page', 'Module', 'What is in it'), rows)}\n"
    for page in _API:
        yield f"api/{page}.md", _reference(page)


def contents(title: str, said: str, pages: dict[str, str]) -> str:
    """Return the page of a folder, which lists its pages with their first sentences."""
    rows = []
    for name, text in pages.items():
        heading, _, rest = text.partition("\n")
        first = re.split(
            r"(?<=\.)\s", " ".join(rest.strip().removeprefix("**Context.** ").partition("\n\n")[0].split())
        )[0]
        rows.append((f"[{heading.removeprefix('# ')}]({name})", first))
    return f"# {title}\n\n{said}\n\n{table(('Page', 'What is in it'), rows)}\n"


def _function(name: str) -> str:
    function = getattr(functions, name)
    signature = inspect.signature(function)
    arguments = section(function, "Args")
    endpoint = ENDPOINTS[tables.asks()[name]]
    given = ", ".join(str(it) for it in (*arguments,) if it != "provider")
    parts = [
        f"# {name}",
        f"{first_sentence(function)}\n",
        f"```python\n{_call(name, given)}\n```\n",
        f"`{name}_output` also takes outputs, such as the id of a new container, and returns an output.\n",
        "## Arguments\n",
        table(
            ("Argument", "Type", "Default", "Meaning"),
            [
                (f"`{it}`", described(str(parameter.annotation)), _default(parameter), arguments.get(it, ""))
                for it, parameter in signature.parameters.items()
            ],
        ),
        "\n## Result\n",
        f"{_result(signature.return_annotation, secret=QUESTIONS[name].secret)}\n",
        "## Call to the API\n",
        f"`{endpoint.method} {endpoint.path}`, with the scope `{endpoint.scope}`.\n",
        "[Data functions](../functions.md) shows how often a program sends it.\n",
    ]
    return "\n".join(parts)


def _call(name: str, given: str) -> str:
    return f"import stacks_pulumi as stacks\n\nstacks.{name}({given})\nstacks.{name}_output({given})"


def _default(parameter: inspect.Parameter) -> str:
    return "required" if parameter.default is inspect.Parameter.empty else f"`{parameter.default!r}`"


def _result(annotation: str, *, secret: bool) -> str:
    said = [
        f"{described(annotation)}. A secret, if it comes from the `_output` function."
        if secret
        else f"{described(annotation)}."
    ]
    found = _MODEL.search(annotation)
    if found:
        attributes = section(getattr(models, found[1]), "Attributes")
        said.append(table(("Attribute", "Meaning"), [(f"`{it}`", text) for it, text in attributes.items()]))
    return "\n\n".join(said)


def _reference(page: str) -> str:
    title, module, said = _API[page]
    left_out = _NOT_HERE.get(page)
    names = [it for it in _public(page, module) if not (left_out and left_out.search(it))]
    # Constants come last, because a reader searches for classes.
    first = [f"{module}.{name}" for name in names if not name.isupper()]
    reached = _reached(page)
    last = [f"{module}.{name}" for name in names if name.isupper()]
    options = _INHERITED if page == "emulator" else ""
    shown = [f"::: {name}{options}" for name in (*first, *reached, *last)]
    guide = "`(guide, ...)` names a section of the [API guide](https://docs.stackshosting.cloud)."
    return "\n\n".join([f"# {title}", f"{said} {guide}", *shown, ""])


def _public(page: str, module: str) -> list[str]:
    """Return the public names of a module: those in its list, or else those that it defines."""
    if page == "functions":
        return _FUNCTIONS
    content = importlib.import_module(module)
    if hasattr(content, "__all__"):
        return list(content.__all__)
    defined = _DEFINED.findall(inspect.getsource(content))
    return [name for name in defined if not name.startswith("_")]


def _reached(page: str) -> list[str]:
    if page not in _REACHED:
        return []
    make, attributes = _REACHED[page]
    owner = make()
    classes = [type(getattr(owner, name)) for name in attributes]
    return [f"{it.__module__}.{it.__qualname__}" for it in classes]
