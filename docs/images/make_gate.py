# ruff: noqa: INP001  (a script beside what it makes)
"""
Make gate-show.png and gate-comment.png again: a change as its approver reads it, and as a pull request shows it.

    .venv/bin/python docs/images/make_gate.py      needs chromium, and what `make setup` installs
"""

from __future__ import annotations

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
from tests.support.clock import fast_clock  # noqa: E402  (as above)
from tests.support.gate import Gated  # noqa: E402  (as above)
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


def shop(folder: Path, emulator: Emulator) -> Stack:
    """Return the stack `dev` of a project `shop`, the only one of its backend."""
    stack = Stack(
        folder / "shop", ensure().bin, {"stacks:apiKey": emulator.key, "stacks:baseUrl": emulator.url}
    )
    stack.cli("stack", "rm", "dev", "--yes")
    (stack.folder / "Pulumi.yaml").write_text("name: shop\nruntime: python\n", encoding="utf-8")
    stack.cli("stack", "init", "dev")
    stack.cli("config", "set", "stacks:baseUrl", emulator.url)
    stack.cli("config", "set", "stacks:apiKey", emulator.key, "--secret")
    return stack


def main() -> None:
    """Make a stack, plan a change, and write both pictures."""
    with tempfile.TemporaryDirectory() as name, Emulator(boot_seconds=1, clock=fast_clock()) as emulator:
        folder = Path(name)
        stack = shop(folder, emulator)
        gated = Gated(stack, folder / "gate", {"limits": {"max_total": 40, "max_increase": 15}})
        stack.program(BEFORE)
        gated.plan(None)
        gated.approve(ceiling=Decimal(20))
        gated.apply(stack=None)
        stack.program(AFTER)
        gated.plan(None)
        words = ["stacks-pulumi", "gate", "show", "record", "--gate", "gate"]
        raw = draw(words, COLUMNS, folder / "gate", stack.env).raw
        lines = [
            Text.assemble(("$ ", "green"), (" ".join(words), "bold")),
            *make_terminal.screen(raw.replace(str(gated.folder).encode(), b"gate"), COLUMNS),
        ]
        make_terminal.picture("gate-show.png", lines, folder, COLUMNS)
        comment = (gated.record / "comment.md").read_text(encoding="utf-8").replace(str(gated.folder), "gate")
        make_cost_comment.shot("gate-comment.png", comment, "860,900")


if __name__ == "__main__":
    main()
