"""Extras: which extra installs a missing package, with the command for the way this package was installed."""

from __future__ import annotations

import json
import shlex
from importlib import metadata
from typing import Final
from urllib.parse import unquote, urlsplit

__all__ = ["EXTRAS", "advice", "install_command"]

EXTRAS: Final = {"werkzeug": "emulator", "pulumi_policy": "policy", "rich": "cli", "shtab": "cli"}
"""Package -> the extra that installs it."""


def advice(missing: ModuleNotFoundError) -> str | None:
    """Return a sentence with the missing package and the command that installs it; `None` if no extra has it."""
    module = (missing.name or "").partition(".")[0]
    extra = EXTRAS.get(module)
    if extra is None:
        return None
    return f"{module} is not installed. It comes with the extra {extra!r}: {install_command(extra)}"


def install_command(*extras: str) -> str:
    """Return the command that installs this package with these extras."""
    named = f"[{','.join(extras)}]" if extras else ""
    return f"pip install {_requirement(named)}"


def _requirement(extras: str) -> str:
    """Return pip's argument: the path, wheel or repository that this package was installed from, or its name."""
    try:
        origin = json.loads(metadata.distribution("stacks-pulumi").read_text("direct_url.json") or "{}")
    except (metadata.PackageNotFoundError, ValueError):
        origin = {}
    url = origin.get("url")
    if url is None:
        return f"'stacks-pulumi{extras}'"
    if "dir_info" in origin:
        editable = "-e " if origin["dir_info"].get("editable") else ""
        return editable + shlex.quote(f"{unquote(urlsplit(url).path)}{extras}")
    repository = origin.get("vcs_info")
    if repository is not None:
        url = f"{repository['vcs']}+{url}@{repository['commit_id']}"
    return shlex.quote(f"stacks-pulumi{extras} @ {url}")
