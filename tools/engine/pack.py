"""What `--policy-pack` has to name for an engine to run a pack that is written in Python."""

from __future__ import annotations

import shlex
from pathlib import Path

from tools.engine.engine import Engine


def argument(engine: Engine, pack: Path, scratch: Path) -> Path:
    """
    Return what to give to `--policy-pack`.

    Args:
        engine: The engine that is to run the pack.
        pack: The pack's folder, with its PulumiPolicy.yaml.
        scratch: Where a script may be written, if this engine needs one.

    Returns:
        The folder itself; or, for an engine whose language host cannot start a pack, a script that does. It takes
        the `python3` that is first on PATH.
    """
    if engine.starts_policy_folders:
        return pack
    script = scratch / f"run-{pack.name}"
    # The engine gives its address as the first argument.
    command = f'cd {shlex.quote(str(pack.resolve()))} && exec python3 -u -m pulumi.policy "$1" .'
    script.write_text(f"#!/bin/sh\n{command}\n", encoding="utf-8")
    script.chmod(0o755)
    return script
