"""The tables of the data functions, their results, and their measured calls."""

from __future__ import annotations

import functools
import inspect
import os
import re
from typing import Any
from unittest import mock

from stacks_pulumi import functions
from stacks_pulumi._clock import SYSTEM_CLOCK
from stacks_pulumi.api import StacksClient, models
from stacks_pulumi.api.wait import CREATED
from stacks_pulumi.emulator import Emulator
from stacks_pulumi.functions import QUESTIONS
from tools.docs.docstrings import described, first_sentence, section
from tools.docs.marks import table

__all__ = ["answers", "asks", "data_functions", "names"]


def names() -> list[str]:
    """Return the functions without their output forms."""
    return sorted(functions.QUESTIONS)


def data_functions() -> str:
    """Return a row for each function."""
    rows = []
    for name in names():
        function = getattr(functions, name)
        signature = inspect.signature(function)
        arguments = [
            it.name if it.default is inspect.Parameter.empty else f"{it.name}={it.default!r}"
            for it in signature.parameters.values()
            if it.name != "provider"
        ]
        rows.append(
            (
                f"`{name}({', '.join(arguments)})`",
                described(signature.return_annotation),
                "yes" if QUESTIONS[name].secret else "",
                _without_guide(first_sentence(function)).removeprefix("Return "),
            )
        )
    return table(("Function", "Type", "Secret", "Returns"), rows)


def answers() -> str:
    """Return the fields of the results: a list for each model."""
    parts = []
    for name in sorted(_models() - {"Listing"}):  # a user's result contains plain lists
        model = getattr(models, name)
        said = section(model, "Attributes")
        parts.append(f"### {name}\n\n{_without_guide(first_sentence(model))}\n")
        parts.append("\n".join(f"- `{it}`: {text}" for it, text in said.items()))
    return "\n".join(parts).replace("\n### ", "\n\n### ")


def _without_guide(text: str) -> str:
    """Return a text without the reference to the guide: the page about endpoints has a reference for each call."""
    return re.sub(r" \(guide, [^)]*\)", "", text)


@functools.cache
def asks() -> dict[str, str]:
    """Return the API operations that each function calls."""
    found: dict[str, str] = {}
    with Emulator(boot_seconds=0) as emulator, StacksClient(emulator.key, base_url=emulator.url) as client:
        app = client.containers.create(name="app", template="nodejs").id
        vpn = client.containers.create(name="vpn", template="stacks-vpn").id
        for made in (app, vpn):
            client.feed.wait(CREATED, made, deadline=SYSTEM_CLOCK.now() + 30)
        account = {"STACKS_API_KEY": emulator.key, "STACKS_BASE_URL": emulator.url}
        with mock.patch.dict(os.environ, account):
            for name in names():
                function = getattr(functions, name)
                needed = [
                    it
                    for it, parameter in inspect.signature(function).parameters.items()
                    if parameter.default is inspect.Parameter.empty
                ]
                function(*[vpn if "vpn" in name else app for _ in needed])
                found[name] = emulator.requests[-1].operation or ""
    return found


def _models() -> set[str]:
    """Return the models in the functions' results, including nested models."""
    texts = [str(inspect.signature(getattr(functions, name)).return_annotation) for name in names()]
    found: set[str] = set()
    while texts:
        text = texts.pop()
        for name in models.__all__:
            if name not in found and f"{name}" in _words(text):
                found.add(name)
                texts.extend(_annotations(getattr(models, name)))
    return found


def _annotations(model: Any) -> list[str]:
    return [str(text) for text in vars(model).get("__annotations__", {}).values()]


def _words(text: str) -> set[str]:
    return set("".join(letter if letter.isalnum() else " " for letter in text).split())
