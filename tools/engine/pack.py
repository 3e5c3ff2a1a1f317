"""
What `--policy-pack` has to name for an engine to run a pack that is written in Python.

    python3 tools/engine/pack.py policies/spend     print it, for the engine that `make engine` finds or builds
"""

from __future__ import annotations

import argparse
import shlex
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

if not __package__:
    # Run as a script: this folder would come first on the path, where its modules could hide others.
    sys.path[0] = str(Path(__file__).resolve().parents[2])

from tools.engine.engine import Engine
from tools.engine.ensure import ensure


def argument(engine: Engine, pack: Path, scratch: Path) -> Path:
    """
    Return what to give to `--policy-pack`.

    Args:
        engine: The engine that will run the pack.
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


def main(arguments: Sequence[str] | None = None) -> None:
    """Print what to hand to `--policy-pack`."""
    parser = argparse.ArgumentParser(description="Print what to hand to `pulumi ... --policy-pack`.")
    parser.add_argument("pack", type=Path, help="the pack's folder, with its PulumiPolicy.yaml")
    pack: Path = parser.parse_args(arguments).pack
    if not (pack / "PulumiPolicy.yaml").is_file():
        parser.error(f"{pack} is no policy pack: it has no PulumiPolicy.yaml")
    engine = ensure()
    scratch = pack if engine.starts_policy_folders else Path(tempfile.mkdtemp(prefix="stacks-pack-"))
    print(argument(engine, pack, scratch))


if __name__ == "__main__":
    main()
