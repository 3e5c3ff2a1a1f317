"""The keys of the people who approve changes."""

from __future__ import annotations

import functools
import subprocess
import tempfile
from pathlib import Path

PEOPLE = ("ann", "bob", "eve")
"""The people with a key. The gate does not know eve."""


@functools.cache
def keys() -> Path:
    """Return a folder with the keys of all people."""
    folder = Path(tempfile.mkdtemp(prefix="gate-keys-"))
    for name in PEOPLE:
        words = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(folder / name)]
        subprocess.run(words, check=True)
    return folder


def signer(name: str) -> str:
    """Return the line of a person in a file of signers."""
    public = (keys() / f"{name}.pub").read_text(encoding="utf-8").split()
    return f'{name} namespaces="stacks-pulumi-gate" {" ".join(public[:2])}\n'
