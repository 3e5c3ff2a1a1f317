"""
Generates the SDKs for Python, TypeScript, Go and C# from the schema of the native plugin; prints their folders.

    python tools/sdk/generate.py [folder]      the folder is build/sdk by default
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tools.engine import pins  # noqa: E402  (the line above sets the path)
from tools.engine.engine import EngineUnavailableError  # noqa: E402
from tools.engine.ensure import ensure  # noqa: E402
from tools.engine.hosts import code_hosts  # noqa: E402

SCHEMA: Final = ROOT / "stacks_pulumi" / "hosts" / "plugin" / "schema.json"
LANGUAGES: Final = ("python", "nodejs", "go", "dotnet")
LOGO: Final = ROOT / "docs" / "images" / "logo.png"


class GenerationError(Exception):
    """The engine could not generate an SDK; the text is its output."""


def generate(folder: Path, languages: Sequence[str] = LANGUAGES) -> list[Path]:
    """
    Generate SDKs. Each SDK is in a subfolder with the name of its language. The subfolder is emptied first.

    Raises:
        EngineUnavailableError: There is no engine, or no language hosts.
        GenerationError: The engine refused the schema.
    """
    made = []
    with engine_with_hosts() as run:
        for language in languages:
            run(["package", "gen-sdk", str(SCHEMA), "--language", language, "--out", str(folder)], None)
            made.append(folder / language)
            if language == "nodejs":
                _complete_words(folder / language)
            if language == "python":
                # The `pyproject.toml` of the SDK refers to this file.
                shutil.copy(folder / language / "pulumi_stacks" / "README.md", folder / language)
            if language == "dotnet":
                # The generator downloads this file if it can.
                shutil.copy(LOGO, folder / language)
    return made


@contextlib.contextmanager
def engine_with_hosts() -> Iterator[Callable[[Sequence[str], Path | None], None]]:
    """
    Yield a function that runs a command of the engine in a folder, by default an empty folder.

    Raises:
        EngineUnavailableError: There is no engine, or no language hosts.
        GenerationError: The engine refused a command.
    """
    engine = ensure()
    path = os.pathsep.join([str(code_hosts()), str(engine.bin), os.environ.get("PATH", "")])
    with tempfile.TemporaryDirectory(prefix="stacks-sdk-") as home:
        env = {**os.environ, "PATH": path, "PULUMI_HOME": home, "PULUMI_SKIP_UPDATE_CHECK": "1"}

        def run(command: Sequence[str], folder: Path | None) -> None:
            done = subprocess.run(
                [engine.bin / pins.CLI, *command, "--color", "never"],
                env=env,
                # The engine would read a project file in the current folder.
                cwd=folder or home,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode:
                raise GenerationError((done.stdout + done.stderr).strip())

        yield run


_WORDS: Final = re.compile(r"pulumi\.Input<string \| (enums\.\w+)")


def _complete_words(folder: Path) -> None:
    """
    Change an SDK so that TypeScript editors complete the known values of inputs and still accept any text.

    TypeScript merges `string | enums.Plan` into `string`, for which it completes nothing. No schema avoids this merge.
    """
    for file in folder.glob("*.ts"):
        text = file.read_text(encoding="utf-8")
        file.write_text(_WORDS.sub(r"pulumi.Input<\1 | (string & {})", text), encoding="utf-8")


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").strip().partition("\n")[0])
    parser.add_argument(
        "folder", type=Path, nargs="?", default=ROOT / "build" / "sdk", help="the target folder"
    )
    folder: Path = parser.parse_args().folder
    try:
        print(*generate(folder.resolve()), sep="\n")
    except (EngineUnavailableError, GenerationError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
