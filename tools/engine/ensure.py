"""
Make sure that there is a Pulumi engine; print its bin folder.

    python3 tools/engine/ensure.py           find one, else install or build one
    python3 tools/engine/ensure.py --check   only report

Needs Python's standard library alone. Progress goes to stderr; stdout has the folder and nothing else.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from pathlib import Path

if not __package__:
    # Run as a script: this folder would come first on the path, where its modules could hide others.
    sys.path[0] = str(Path(__file__).resolve().parents[2])

from tools.engine import pins
from tools.engine.build import add_yaml_host, build
from tools.engine.engine import Engine, EngineUnavailableError, Origin, load, record
from tools.engine.installer import install
from tools.engine.lock import alone
from tools.engine.say import say
from tools.engine.search import search, version_of


def find() -> Engine | None:
    """Return an engine that is there already: on PATH, else in the cache."""
    return search() or load(pins.home())


def ensure() -> Engine:
    """
    Return an engine, getting one if need be. It runs programs in Python and in YAML.

    Raises:
        EngineUnavailableError: No engine was found, and it could be neither installed nor built.
    """
    try:
        engine = find() or obtain()
    except OSError as error:
        message = (
            f"{pins.cache()} cannot be used ({error.strerror}): "
            "set XDG_CACHE_HOME to a folder that can be written and has 3 GB free, and run this again."
        )
        raise EngineUnavailableError(message) from error
    add_yaml_host(engine)
    return engine


def obtain() -> Engine:
    """
    Install or build the pinned engine into the cache.

    It is made in a sibling folder and moved into place whole, so an interruption leaves no half engine.

    Raises:
        EngineUnavailableError: Neither works here.
    """
    home = pins.home()
    prefix = f".making-{pins.VERSION}-"
    with alone(pins.cache() / f"{pins.VERSION}.lock", "getting the engine"):
        engine = load(home)
        if engine is not None:
            return engine
        # This process holds the lock, so these files are from a run that was killed.
        for leftover in (home, *pins.cache().glob(f"{prefix}*")):
            shutil.rmtree(leftover, ignore_errors=True)
        started = time.monotonic()
        work = Path(tempfile.mkdtemp(prefix=prefix, dir=pins.cache()))
        try:
            origin = fill(work, pins.cache() / f"{pins.VERSION}.log")
            record(work, pins.VERSION, origin)
            if load(work) is None:
                message = "the engine that was made is not whole: please report this."
                raise EngineUnavailableError(message)
            # mkdtemp keeps others out; an engine is not a secret.
            work.chmod(0o755)
            work.rename(home)
        finally:
            shutil.rmtree(work, ignore_errors=True)
        say(f"pulumi {pins.VERSION} is ready after {time.monotonic() - started:.0f} s.")
    engine = load(home)
    if engine is None:
        message = f"{home} vanished while it was being made: run this again."
        raise EngineUnavailableError(message)
    return engine


def fill(work: Path, log: Path) -> Origin:
    """Fill `work` with an engine that runs, one way or the other; return which."""
    log.write_bytes(b"")
    if install(work) and version_of(work / "bin" / pins.CLI) == pins.VERSION:
        return "installer"
    build(work, log)
    if version_of(work / "bin" / pins.CLI) != pins.VERSION:
        message = f"the engine was built but does not run ({log} has Go's output)."
        raise EngineUnavailableError(message)
    return "built"


def main(arguments: list[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="ensure.py", description="Find, install or build a Pulumi engine.")
    parser.add_argument("--check", action="store_true", help="only report; do not install or build")
    options = parser.parse_args(arguments)
    try:
        engine = find() if options.check else ensure()
    except EngineUnavailableError as error:
        say(str(error))
        return 1
    except KeyboardInterrupt:
        say("interrupted; the partial work is removed. Run this again.")
        return 130
    if engine is None:
        say("no engine found: `make engine` installs or builds one.")
        return 1
    if options.check:
        say(f"pulumi {engine.version} ({engine.origin}).")
    print(engine.bin)
    return 0


if __name__ == "__main__":
    sys.exit(main())
