"""
The sample of each resource in each language, generated from the programs in `samples` in Pulumi's own language (PCL).

The engine converts them. `python tools/schema.py --samples` writes the result into the schema.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from tools.sdk.generate import ROOT, engine_with_hosts

__all__ = ["LANGUAGES", "SOURCES", "samples"]

SOURCES: Final = Path(__file__).with_name("samples")
LANGUAGES: Final = {
    "typescript": "index.ts",
    "python": "__main__.py",
    "go": "main.go",
    "csharp": "Program.cs",
    "yaml": "Main.yaml",
}
"""Language, by its name in the engine and in code marks -> the file of a program."""


def samples() -> dict[str, str]:
    """
    Return the sample of each kind in Markdown: its title and a program in each language.

    Raises:
        EngineUnavailableError: There is no engine, or no language hosts.
        GenerationError: The engine refused a sample.
    """
    with engine_with_hosts() as run:
        return {it.stem: _converted(it.read_text(encoding="utf-8"), run) for it in sorted(SOURCES.iterdir())}


def _converted(source: str, run: Callable[[Sequence[str], Path | None], None]) -> str:
    title = source.partition("\n")[0].removeprefix("# ")
    parts = [f"### {title}"]
    with tempfile.TemporaryDirectory(prefix="stacks-sample-") as folder:
        project = Path(folder, "source")
        project.mkdir()
        (project / "main.pp").write_text(source.partition("\n")[2], encoding="utf-8")
        plugin = f"{{name: stacks, path: {Path(sys.executable).parent}}}"
        text = f"name: sample\nruntime: pcl\nplugins: {{providers: [{plugin}]}}\n"
        (project / "Pulumi.yaml").write_text(text, encoding="utf-8")
        for language, file in LANGUAGES.items():
            target = Path(folder, language)
            command = [
                "convert",
                "--from=pcl",
                f"--language={language}",
                f"--out={target}",
                "--generate-only",
            ]
            run(command, project)
            parts.append(f"```{language}\n{_formatted(target / file)}\n```")
    return "\n\n".join(parts)


def _formatted(program: Path) -> str:
    """Return the text of a program; Python is formatted in the style of this repository."""
    if program.suffix == ".py":
        command = [sys.executable, "-m", "ruff", "format", "--quiet", f"--config={ROOT / 'pyproject.toml'}"]
        subprocess.run([*command, program], check=True)
    return re.sub(r" +$", "", program.read_text(encoding="utf-8"), flags=re.MULTILINE).strip()
