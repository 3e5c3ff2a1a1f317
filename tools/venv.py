"""
Make the virtual environment, or bring it up to date; do nothing when it is.

    python3 tools/venv.py FOLDER [--exact]

`--exact` makes it again when it was made with another version of Python. Needs the standard library alone.
"""

from __future__ import annotations

import argparse
import hashlib
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
if not __package__:
    # A script's own folder comes first on the path, and the package `tools` is not in it.
    sys.path[0] = str(ROOT)

from tools.engine.lock import alone  # noqa: E402 - needs the line above

STAMP = "stacks-pulumi.stamp"
LOCK = "tools/locks/dev.txt"
PYTHON = "{}.{}".format(*sys.version_info)


def say(sentence: str) -> None:
    """Print one line for the user."""
    print(f"setup: {sentence}", file=sys.stderr, flush=True)


def bring_up(folder: Path, *, exact: bool) -> None:
    """
    Make `folder` what pyproject.toml asks for, from the files that the lock has the hashes of.

    The stamp is removed first and written last. So a folder without one was left by an interruption, and is
    made again rather than trusted. It names the two folders too: an environment that was moved, or whose checkout
    was, still has the old paths in its commands.
    """
    stated = [(ROOT / name).read_bytes() for name in ("pyproject.toml", LOCK)]
    wanted = hashlib.sha256(b"".join(stated)).hexdigest()
    stamp = folder / STAMP
    told = stamp.read_text(encoding="utf-8").splitlines() if stamp.exists() else []
    python, found, *places = told if len(told) == 4 else ("", "")
    moved = places != [str(folder), str(ROOT)]
    fresh = moved or (exact and python != PYTHON) or not runs(folder / "bin" / "python", python)
    if found == wanted and not fresh:
        return
    stamp.unlink(missing_ok=True)
    if fresh:
        say(f"making {folder.name} with Python {PYTHON}; this takes about a minute.")
        run(sys.executable, "-m", "venv", "--clear", folder)
        python = PYTHON
    else:
        say(f"pyproject.toml or its lock changed; bringing {folder.name} up to date.")
    pip = (folder / "bin" / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
    run(*pip, "--require-hashes", "--requirement", LOCK)
    # What builds it is in the lock too.
    run(*pip, "--no-deps", "--no-build-isolation", "--editable", ".")
    stamp.write_text("\n".join((python, wanted, str(folder), str(ROOT), "")), encoding="utf-8")


def runs(python: Path, version: str) -> bool:
    """Whether an environment's Python is there, and still the one that it was made with."""
    code = f"import sys; sys.exit(sys.version_info[:2] != tuple(map(int, {version!r}.split('.'))))"
    try:
        return subprocess.run([python, "-c", code], capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def run(*command: str | Path) -> None:
    """Run a command in the checkout; its output is the user's, as progress, so stdout stays free."""
    subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=sys.stderr, check=True)


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="venv.py", description="Make the virtual environment.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--exact", action="store_true", help="make it again for another version of Python")
    options = parser.parse_args()
    folder: Path = options.folder.absolute()
    try:
        with alone(folder.with_name(f"{folder.name}.lock"), "setting up the environment"):
            bring_up(folder, exact=options.exact)
    except subprocess.CalledProcessError:
        say("it failed; the reason is above. Fix it and run `make setup` again.")
        return 1
    except KeyboardInterrupt:
        say("interrupted; just run it again.")
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
