"""The command that installs the package, and the checkout's copies of files that `stacks-pulumi` writes."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Final

from stacks_pulumi.commands._lock import INSTALL
from stacks_pulumi.commands._package import IN_FOLDER, PLACE_UNKNOWN, Place, install_words, required
from stacks_pulumi.commands.policies import pack_files, pack_requirements
from stacks_pulumi.gate.start import pipeline

__all__ = ["install", "wheel", "written"]

_ROOT: Final = Path(__file__).resolve().parents[2]
_POLICIES: Final = _ROOT / "policies"
_EXAMPLES: Final = _ROOT / "examples"
_GATED: Final = _EXAMPLES / "gated_deployment"
_EXTRAS: Final = {"gated_deployment": "[policy,cli,broker]", "capped_agent": "[agents,broker,emulator]"}
"""Example -> the extras that its requirements name."""
_PIPELINES: Final = {"github": "workflow.yml", "gitlab": "gitlab-ci.yml"}


def install(extras: str) -> str:
    """Return the command that installs the package with extras, separated by commas, or with none."""
    return wheel(extras, "; for other ways, see install.md")


def wheel(extras: str, more: str = "") -> str:
    """Return the command for the page about installation itself, which describes the other ways."""
    words = shlex.join(["pip", "install", *install_words(f"[{extras}]" if extras else "", IN_FOLDER)])
    return f"```sh\n{words}    # the wheel is in this folder{more}\n```"


def written() -> dict[Path, str]:
    """Return the files of the checkout's packs and examples. The code that writes users' repositories creates them."""
    texts = {_POLICIES / name: text for name, text in pack_files(Path("policies")).items()}
    checkout = Place(str(_ROOT), _ROOT)
    needed = {_POLICIES: pack_requirements(_POLICIES, checkout)}
    for name, extras in _EXTRAS.items():
        needed[_EXAMPLES / name] = required(_EXAMPLES / name, {"requirements.txt": extras}, checkout)
    for folder, requirements in needed.items():
        texts |= {folder / name: str(text) for name, text in requirements.files.items()}
    texts[_EXAMPLES / "quickstart/template/requirements.txt"] = PLACE_UNKNOWN
    for kind, name in _PIPELINES.items():
        commands = [line.format(lock=needed[_GATED].lock) for line in INSTALL]
        made = pipeline(
            kind, _GATED / "Pulumi.yaml", top=_ROOT, gate=str(_GATED / "gate"), stack="prod", install=commands
        )
        texts[_GATED / name] = next(iter(made.values()))
    return texts
