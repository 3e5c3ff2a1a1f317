# ruff: noqa: INP001  (a script beside what it makes)
"""
Make gate-show.png and gate-comment.png again: a change as its approver reads it, and as a pull request shows it.

    .venv/bin/python docs/images/make_gate.py      needs chromium, and what `make setup` installs
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from decimal import Decimal
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parents[1]), str(HERE)]

import make_cost_comment  # noqa: E402  (after the path)
import make_terminal  # noqa: E402  (as above)
from rich.text import Text  # noqa: E402  (as above)

from stacks_pulumi.emulator import Emulator  # noqa: E402  (as above)
from stacks_pulumi.gate.start import init  # noqa: E402  (as above)
from tests.support.clock import fast_clock  # noqa: E402  (as above)
from tests.support.gate import keys  # noqa: E402  (as above)
from tests.support.stack import Stack  # noqa: E402  (as above)
from tests.support.terminal import draw  # noqa: E402  (as above)
from tools.engine.ensure import ensure  # noqa: E402  (as above)

COLUMNS = 130
BEFORE = """
db = stacks.Container("orders-db", template="postgresql", opts=pulumi.ResourceOptions(protect=True))
app = stacks.Container("orders", template="nodejs")
stacks.Container("old-shop", template="wordpress")
"""
AFTER = """
db = stacks.Container("orders-db", template="postgresql", opts=pulumi.ResourceOptions(protect=True))
app = stacks.Container("orders", template="nodejs", external_access=True)
stacks.AllowedIp("office", container=app, ip_address="198.51.100.0/24", revoke_auto_added=True)
stacks.Container("worker", template="python")
"""


class Shop:
    """
    The stack `dev` of a project `shop`, the only one of its backend, with a gate whose broker runs for each command.

    Args:
        folder: Where its folders are.
        emulator: The platform.
    """

    def __init__(self, folder: Path, emulator: Emulator) -> None:
        self.stack = Stack(folder / "shop", ensure().bin, {})
        self.stack.cli("stack", "rm", "dev", "--yes")
        (self.stack.folder / "Pulumi.yaml").write_text("name: shop\nruntime: python\n", encoding="utf-8")
        self.stack.cli("stack", "init", "dev")
        self.stack.env |= {"STACKS_API_KEY": emulator.key, "STACKS_BASE_URL": emulator.url}
        self.gate, self.change = folder / "gate", folder / "change.json"
        init(self.gate, [("ann", keys() / "ann.pub")], Decimal(40), Decimal(15), emulator.url)

    def run(self, words: str, code: int = 0) -> str:
        """Run a command in the project, with the paths of the gate and the change in it; return what it prints."""
        given = words.format(gate=self.gate, change=self.change, key=keys() / "ann").split()
        done = subprocess.run(  # noqa: S603  (its arguments are ours)
            given, cwd=self.stack.folder, env=self.stack.env, capture_output=True, text=True, check=False
        )
        if done.returncode != code:
            raise RuntimeError(done.stdout + done.stderr)
        return done.stdout

    def plan(self, program: str) -> str:
        """Plan a change to a program; return what is printed of it."""
        self.stack.program(program)
        return self.run("stacks-pulumi gate plan --gate {gate} --out {change}", 3)

    def approve(self) -> str:
        """Sign the change; return what is printed."""
        return self.run("stacks-pulumi gate approve {change} --gate {gate} --key {key}")

    def apply(self) -> str:
        """Apply the change; return what is printed."""
        return self.run("stacks-pulumi gate apply {change} --gate {gate}")


def main() -> None:
    """Make a stack, plan a change, and write both pictures."""
    with tempfile.TemporaryDirectory() as name, Emulator(boot_seconds=1, clock=fast_clock()) as emulator:
        folder = Path(name)
        shop = Shop(folder, emulator)
        shop.plan(BEFORE)
        shop.approve()
        shop.apply()
        shop.plan(AFTER)
        words = ["stacks-pulumi", "gate", "show", "change.json", "--gate", "gate"]
        raw = draw(words, COLUMNS, folder, shop.stack.env).raw
        lines = [
            Text.assemble(("$ ", "green"), (" ".join(words), "bold")),
            *make_terminal.screen(raw.replace(str(folder).encode(), b"."), COLUMNS),
        ]
        make_terminal.picture("gate-show.png", lines, folder, COLUMNS)
        comment = shop.run("stacks-pulumi gate show {change} --gate {gate} --format markdown")
        make_cost_comment.shot("gate-comment.png", comment, "860,900")


if __name__ == "__main__":
    main()
