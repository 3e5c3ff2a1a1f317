"""
Make sure that there is a Pulumi engine; print its bin folder.

    python3 tools/engine/ensure.py           find one, else install or build one
    python3 tools/engine/ensure.py --python  the same without the language host for YAML, which takes 3 minutes to build
    python3 tools/engine/ensure.py --check   only report
    python3 tools/engine/ensure.py --oldest  the oldest engine that is supported, for tests on it

This script needs only Python's standard library. Progress goes to stderr, and stdout contains only the folder.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import time
from collections.abc import Iterator
from pathlib import Path

if not __package__:
    # If Python runs this script, it puts this folder first on the path, and its modules could hide other modules.
    sys.path[0] = str(Path(__file__).resolve().parents[2])

from tools.engine import pins
from tools.engine.build import add_yaml_host, build
from tools.engine.engine import Engine, EngineUnavailableError, Origin, load, record
from tools.engine.installer import install
from tools.engine.lock import alone, made
from tools.engine.say import say
from tools.engine.search import search, version_of


def find() -> Engine | None:
    """Return an existing engine: on PATH, else in the cache."""
    return search() or load(pins.home())


def ensure(*, yaml: bool = True) -> Engine:
    """
    Return an engine for programs in Python and YAML; install or build one if necessary.

    Args:
        yaml: Whether to build the language host for YAML if a built engine has none.

    Raises:
        EngineUnavailableError: No engine was found, and none could be installed or built.
    """
    with _writable_cache():
        engine = find() or _newest()
    if yaml:
        add_yaml_host(engine)
    return engine


def ensure_oldest() -> Engine:
    """
    Return the oldest supported engine for tests; install or build it if necessary. An engine on PATH is ignored.

    Raises:
        EngineUnavailableError: The engine could not be installed or built.
    """
    with _writable_cache():
        return load(pins.home(pins.OLDEST)) or obtain(pins.OLDEST)


def _newest() -> Engine:
    """Return the newest of the pinned engines that is available here."""
    *better, last = pins.ENGINES
    for version in better:
        try:
            return obtain(version)
        except EngineUnavailableError as error:
            say(f"pulumi {version} is not available, so an older version is used: {error}")
    return obtain(last)


@contextlib.contextmanager
def _writable_cache() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        message = (
            f"{pins.cache()} cannot be used ({error.strerror}): "
            "set XDG_CACHE_HOME to a writable folder with 3 GB of free space, and run this again."
        )
        raise EngineUnavailableError(message) from error


def obtain(version: str) -> Engine:
    """
    Install or build a pinned engine into the cache.

    The engine is written to a sibling folder and then moved, so an interruption leaves no incomplete engine.

    Raises:
        EngineUnavailableError: Neither way works here.
    """
    home = pins.home(version)
    with alone(pins.cache() / f"{version}.lock", "getting the engine"):
        engine = load(home)
        if engine is not None:
            return engine
        started = time.monotonic()
        with made(home) as work:
            origin = fill(work, version, pins.cache() / f"{version}.log")
            record(work, version, origin)
            if load(work) is None:
                message = "the new engine is incomplete: please report this."
                raise EngineUnavailableError(message)
        say(f"pulumi {version} is ready after {time.monotonic() - started:.0f} s.")
    engine = load(home)
    if engine is None:
        message = f"{home} was deleted during the installation: run this again."
        raise EngineUnavailableError(message)
    return engine


def fill(work: Path, version: str, log: Path) -> Origin:
    """Install or build a running engine in `work`; return which of the two."""
    log.write_bytes(b"")
    if install(work, version) and version_of(work / "bin" / pins.CLI) == version:
        return "installer"
    build(work, version, log)
    if version_of(work / "bin" / pins.CLI) != version:
        message = f"the engine was built but does not run ({log} has Go's output)."
        raise EngineUnavailableError(message)
    return "built"


def main(arguments: list[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="ensure.py", description="Find, install or build a Pulumi engine.")
    way = parser.add_mutually_exclusive_group()
    way.add_argument("--python", action="store_true", help="get an engine for programs in Python only")
    way.add_argument("--check", action="store_true", help="only report; do not install or build")
    way.add_argument("--oldest", action="store_true", help=f"get {pins.OLDEST}, the oldest that is supported")
    options = parser.parse_args(arguments)
    try:
        if options.check:
            engine = find()
        elif options.oldest:
            engine = ensure_oldest()
        else:
            engine = ensure(yaml=not options.python)
    except EngineUnavailableError as error:
        say(str(error))
        return 1
    except KeyboardInterrupt:
        say("interrupted; the partial files were removed. Run this again.")
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
