"""No two modules and no two public classes share a name, except for those listed here."""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path
from typing import Final

from stacks_pulumi.api import models

PACKAGE: Final = Path(__file__).parents[2] / "stacks_pulumi"

SHARED_MODULES: Final = {
    # Nouns of the API: the client, the resource, the command and the emulator's rules of one.
    **dict.fromkeys(
        ("backups", "connections", "container", "containers"),
        "a noun of the API",
    ),
    "settings": "those of the native plugin, and those of a gate",
    "emulator": "the emulator, and the subcommand that starts it",
    "server": "that of the emulator, and that of agents",
    "testing": "helpers for users, of the package and of the policies; both are public",
}
SHARED_CLASSES: Final = {
    # The client's model, the result of a data function, the resource, and the emulator's record of one thing.
    **dict.fromkeys(models.__all__, "a thing of the API"),
    "Change": "the gate's step, which own rules see under this name, and a difference of prices",
    "Record": "the gate's, which its documentation calls so, and a request that the emulator's server wrote down",
}


def test_no_two_modules_share_a_name() -> None:
    modules: dict[str, list[Path]] = defaultdict(list)
    for path in PACKAGE.rglob("*.py"):
        modules[path.stem.lstrip("_")].append(path.relative_to(PACKAGE))

    shared = {name: paths for name, paths in modules.items() if len(paths) > 1 and name != "init__"}

    assert {name: paths for name, paths in shared.items() if name not in SHARED_MODULES} == {}
    assert SHARED_MODULES.keys() == shared.keys()


def test_no_two_public_classes_share_a_name() -> None:
    classes: dict[str, list[Path]] = defaultdict(list)
    for path in PACKAGE.rglob("*.py"):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                classes[node.name].append(path.relative_to(PACKAGE))

    shared = {name: paths for name, paths in classes.items() if len(paths) > 1}

    assert {name: paths for name, paths in shared.items() if name not in SHARED_CLASSES} == {}
