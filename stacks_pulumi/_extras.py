"""Which extra installs a missing package, and with which command, for the way in which this package was installed?"""

from __future__ import annotations

import json
import shlex
from importlib import metadata
from typing import Final
from urllib.parse import unquote, urlsplit

__all__ = ["advice"]

_EXTRAS: Final = {"werkzeug": "emulator", "pulumi_policy": "policy", "rich": "cli", "shtab": "cli"}
"""Package -> the extra that installs it."""


def advice(missing: ModuleNotFoundError) -> str | None:
    """Return a sentence with the missing package and the command that installs it; `None` if no extra has it."""
    module = (missing.name or "").partition(".")[0]
    extra = _EXTRAS.get(module)
    if extra is None:
        return None
    return f"{module} is not installed. It comes with the extra {extra!r}: pip install {_requirement(f'[{extra}]')}"


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
