"""The commands of the pages about the gate, run in an empty folder."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from stacks_pulumi.emulator import Emulator
from tests.support import key_service
from tests.support.snippets import snippets
from tests.support.stack import Stack

# Tests of pages: a change of the package is tested without them.
pytestmark = pytest.mark.extra

CODES = {"plan": 3}
"""The expected exit code of an action, if it is not 0."""


def lines(page: str) -> list[str]:
    """Return the commands of a page."""
    blocks = [it.text for it in snippets("sh") if it.name == page]
    return [line.partition("  #")[0].rstrip() for text in blocks for line in text.splitlines()]


def test_the_commands_of_the_pages_apply_an_approved_change(
    stack: Stack, emulator: Emulator, tmp_path: Path
) -> None:
    home, shop, approver = tmp_path / "home", tmp_path / "shop", tmp_path / "approver"
    for folder in (home / ".ssh", shop, approver):
        folder.mkdir(parents=True)
    env = {**stack.env, "HOME": str(home), "STACKS_API_KEY": emulator.key}

    def run(command: str, folder: Path, expected: int = 0) -> str:
        done = subprocess.run(
            ["bash", "-c", command], cwd=folder, env=env, capture_output=True, text=True, check=False
        )
        assert done.returncode == expected, f"{command}\n{done.stdout}{done.stderr}"
        return done.stdout

    (shop / "Pulumi.yaml").write_text("name: shop\ndescription: A shop\nruntime: python\n", encoding="utf-8")
    program = 'import stacks_pulumi as stacks\n\nstacks.Container("orders", template="nodejs")\n'
    (shop / "__main__.py").write_text(program, encoding="utf-8")
    run(f"pulumi stack init dev --secrets-provider {key_service.PROVIDER}", shop)
    printed = {}
    for line in lines("docs/gate.md"):
        words = line.split()
        if words[0] == "ssh-keygen":
            run(f"{line} -q -N ''", shop)
            continue
        action = words[2]
        more = f" --base-url {emulator.url}" if action == "init" else ""
        if action == "approve":
            # The approver has only the change and the gate, without a project.
            shutil.copy(shop / "change.json", approver)
            (approver / "gate").symlink_to(tmp_path / "gate")
            for command in lines("docs/approving.md"):
                printed[command.split()[2]] = run(command, approver)
            assert (approver / "change.json.sig.d" / "ann").is_file()
        printed[action] = run(line + more, shop, CODES.get(action, 0))

    assert emulator.state.names() == ["orders"]
    assert "needs an approval; +$4.00 a month" in printed["plan"]
    assert 'POST /containers {"name": "orders"' in printed["show"]
    assert printed["check"] == "../gate: correct\n"
    assert "+$4.00 a month; approved by ann" in printed["log"]
