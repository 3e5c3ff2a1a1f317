"""
Create or update the virtual environment; do nothing if it is up to date.

    python3 tools/venv.py FOLDER [--exact]

With `--exact`, an environment of a different Python version is created again. This script needs only the standard
library.
"""

from __future__ import annotations

import argparse
import hashlib
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
if not __package__:
    # Python puts the script's own folder first on the path, which does not contain the package `tools`.
    sys.path[0] = str(ROOT)

from tools.engine.lock import alone  # noqa: E402 - needs the line above

STAMP = "stacks-pulumi.stamp"
LOCK = "tools/locks/dev.txt"
PYTHON = "{}.{}".format(*sys.version_info)


def say(sentence: str) -> None:
    print(f"setup: {sentence}", file=sys.stderr, flush=True)


def bring_up(folder: Path, *, exact: bool) -> None:
    """
    Install the requirements of pyproject.toml into `folder`, from files with the hashes in the lock.

    The stamp is removed first and written last. So a folder without a stamp is from an interrupted run and is created
    again. The stamp also contains the paths of the environment and the checkout: after a move, the commands would still
    contain the old paths.
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
    # The lock also contains the build tools.
    run(*pip, "--no-deps", "--no-build-isolation", "--editable", ".")
    stamp.write_text("\n".join((python, wanted, str(folder), str(ROOT), "")), encoding="utf-8")


def runs(python: Path, version: str) -> bool:
    """Return whether an environment's Python exists and has the version with which the environment was created."""
    code = f"import sys; sys.exit(sys.version_info[:2] != tuple(map(int, {version!r}.split('.'))))"
    try:
        return subprocess.run([python, "-c", code], capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def run(*command: str | Path) -> None:
    """Run a command in the checkout; its output goes to stderr as progress, so that stdout stays free."""
    subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=sys.stderr, check=True)


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="venv.py", description="Create the virtual environment.")
    parser.add_argument("folder", type=Path)
    parser.add_argument(
        "--exact", action="store_true", help="create it again for a different version of Python"
    )
    options = parser.parse_args()
    folder: Path = options.folder.absolute()
    try:
        with alone(folder.with_name(f"{folder.name}.lock"), "setting up the environment"):
            bring_up(folder, exact=options.exact)
    except subprocess.CalledProcessError:
        say("the setup failed; the reason is above. Fix it and run `make setup` again.")
        return 1
    except KeyboardInterrupt:
        say("interrupted; run it again.")
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
