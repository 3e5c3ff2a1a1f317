"""
The argument of `--policy-pack` with which an engine runs a pack in Python.

    python3 tools/engine/pack.py policies/spend     print it for the engine that `make engine` finds or builds
"""

from __future__ import annotations

import argparse
import shlex
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

if not __package__:
    # If Python runs this script, it puts this folder first on the path, and its modules could hide other modules.
    sys.path[0] = str(Path(__file__).resolve().parents[2])

from tools.engine.engine import Engine
from tools.engine.ensure import ensure


def argument(engine: Engine, pack: Path, scratch: Path) -> Path:
    """
    Return the argument of `--policy-pack`; `scratch` is a folder for a script, if this engine needs one.

    Returns:
        The pack's folder. For an engine whose language host cannot start a pack, a script that starts the pack with the
        first `python3` on PATH.
    """
    if engine.starts_policy_folders:
        return pack
    script = scratch / f"run-{pack.name}"
    # The engine passes its address as the first argument.
    command = f'cd {shlex.quote(str(pack.resolve()))} && exec python3 -u -m pulumi.policy "$1" .'
    script.write_text(f"#!/bin/sh\n{command}\n", encoding="utf-8")
    script.chmod(0o755)
    return script


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the argument of `--policy-pack`."""
    parser = argparse.ArgumentParser(description="Print the argument of `pulumi ... --policy-pack`.")
    parser.add_argument("pack", type=Path, help="the pack's folder, which contains PulumiPolicy.yaml")
    pack: Path = parser.parse_args(arguments).pack
    if not (pack / "PulumiPolicy.yaml").is_file():
        parser.error(f"{pack} is not a policy pack: it contains no PulumiPolicy.yaml")
    engine = ensure()
    scratch = pack if engine.starts_policy_folders else Path(tempfile.mkdtemp(prefix="stacks-pack-"))
    print(argument(engine, pack, scratch))


if __name__ == "__main__":
    main()
