# ruff: noqa: INP001  (a script beside what it makes)
"""
Make terminal.png again: a preview and an update on a terminal of 100 columns, on the emulator.

    .venv/bin/python docs/images/make_terminal.py      needs chromium
"""

from __future__ import annotations

import io
import re
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parents[1]))

import pyte  # noqa: E402  (after the path)
from rich.console import Console  # noqa: E402  (as above)
from rich.style import Style  # noqa: E402  (as above)
from rich.terminal_theme import MONOKAI  # noqa: E402  (as above)
from rich.text import Text  # noqa: E402  (as above)

from stacks_pulumi.emulator import Emulator  # noqa: E402  (as above)
from tests.support.stack import Stack  # noqa: E402  (as above)
from tests.support.terminal import draw  # noqa: E402  (as above)
from tools.engine.ensure import ensure  # noqa: E402  (as above)

COLUMNS = 100
SHOP = """
db = stacks.Container("orders-db", template="postgresql")
app = stacks.Container("orders", template="nodejs")
stacks.Connection("orders-to-db", source=app, target=db, name="primary-db")
"""
CACHE = """
cache = stacks.Container("orders-cache", template="redis-micro")
stacks.Connection("orders-to-cache", source=app, target=cache, name="cache")
"""


def main() -> None:
    """Run the engine twice, and write the picture."""
    with tempfile.TemporaryDirectory() as folder, Emulator(boot_seconds=4, action_seconds=1) as emulator:
        stack = Stack(
            Path(folder) / "shop",
            ensure().bin,
            {"stacks:apiKey": emulator.key, "stacks:baseUrl": emulator.url},
        )
        # The same project under another name.
        (stack.folder / "Pulumi.yaml").write_text("name: shop\nruntime: python\n", encoding="utf-8")
        stack.cli("stack", "init", "dev")
        stack.program(SHOP)
        stack.up(quiet_afterwards=False)
        stack.program(SHOP + CACHE)
        drawn = [
            Text.assemble(("$ ", "green"), ("pulumi up --yes", "bold")),
            *screen(draw(["pulumi", "up", "--yes", "--color=always"], COLUMNS, stack.folder, stack.env).raw),
        ]
        picture("terminal.png", drawn, Path(folder))


def picture(name: str, lines: list[Text], scratch: Path, columns: int = COLUMNS) -> None:
    """Write a picture of a terminal."""
    console = Console(record=True, width=columns, force_terminal=True, file=io.StringIO())
    for line in lines:
        console.print(line, no_wrap=True, overflow="crop")
    svg = scratch / "terminal.svg"
    svg.write_text(console.export_svg(title="shop (dev)", theme=MONOKAI), encoding="utf-8")
    shot(name, svg, len(lines), 10 * columns)


def screen(raw: bytes, columns: int = COLUMNS) -> list[Text]:
    """The final content of the screen, with its colours."""
    drawn = pyte.HistoryScreen(columns, 200)
    pyte.ByteStream(drawn).feed(raw)
    lines = []
    for number in range(200):
        text = Text()
        for column in range(columns):
            char = drawn.buffer[number][column]
            text.append(char.data, Style(bold=char.bold, color=colour(char.fg)))
        text.rstrip()
        lines.append(text)
    while not lines[-1].plain:
        lines.pop()
    return lines


def colour(name: str) -> str | None:
    """A colour of pyte as one of rich."""
    names = {"default": None, "brown": "yellow"}
    return names[name] if name in names else f"#{name}" if re.fullmatch(r"[0-9a-f]{6}", name) else name


def shot(name: str, svg: Path, lines: int, width: int) -> None:
    """Draw the SVG with a browser, as not every page loads the font that it names."""
    page = svg.with_suffix(".html")
    page.write_text(
        f"<!doctype html><meta charset=utf-8><style>body{{margin:0}} svg{{width:{width}px;display:block}}</style>"
        f"{svg.read_text(encoding='utf-8').replace('Fira Code', 'DejaVu Sans Mono')}",
        encoding="utf-8",
    )
    subprocess.run(  # noqa: S603  (its arguments are ours)
        [  # noqa: S607  (chromium is wherever the machine has it)
            "chromium",
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--hide-scrollbars",
            f"--window-size={width},{38 + lines * 20 - lines // 3}",
            f"--user-data-dir={svg.parent}/profile",
            f"--screenshot={HERE / name}",
            page.as_uri(),
        ],
        check=True,
        capture_output=True,
        timeout=60,
    )


if __name__ == "__main__":
    main()
