"""The description of one error: how a user meets it, and what the user then sees."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from stacks_pulumi.emulator import Emulator
from stacks_pulumi.errors import ErrorCode
from tests.support.packs import ROOT, with_packs
from tests.support.stack import Result, Stack

__all__ = ["WEB", "Act", "Scenario", "command", "preview", "preview_with_pack", "python", "up"]

WEB = """web = stacks.Container("web", template="nodejs")"""

Act = Callable[[Emulator, Stack], Result]
"""The user's command. It fails."""


def up(_emulator: Emulator, stack: Stack) -> Result:
    """Run `pulumi up`."""
    return stack.up_fails("--parallel", "64")


def preview(_emulator: Emulator, stack: Stack) -> Result:
    """Run `pulumi preview`."""
    return stack.preview_fails()


@dataclass(frozen=True)
class Scenario:
    """
    One error that a user can meet, with a way to meet it.

    Attributes:
        code: The code at the end of its message; `docs/errors.md` explains it.
        says: Texts that the output must contain, in addition to the code.
        program: The user's program; empty if there is none.
        host: Which types it uses: `dynamic` or `native`.
        act: The user's command.
        prepare: Causes the error; the stack has no program yet.
        files: Files in the project's folder, by name.
        account: Names of the containers that are in the account afterwards.
        state: Names of the resources that are in the state afterwards.
        both_sdks: Whether it is also run on the oldest supported SDK: one scenario for each way of reporting an error.
    """

    code: ErrorCode
    says: tuple[str, ...]
    program: str = WEB
    host: str = "dynamic"
    act: Act = up
    prepare: Callable[[Emulator, Stack], None] = lambda _emulator, _stack: None
    files: Mapping[str, str] = field(default_factory=dict)
    account: frozenset[str] = frozenset()
    state: frozenset[str] = frozenset()
    both_sdks: bool = False

    def run(self, emulator: Emulator, stack: Stack) -> Result:
        """Cause the error."""
        for name, text in self.files.items():
            (stack.folder / name).parent.mkdir(exist_ok=True)
            (stack.folder / name).write_text(text, encoding="utf-8")
        self.prepare(emulator, stack)
        if self.program:
            stack.program(self.program, host=self.host)
        return self.act(emulator, stack)


def preview_with_pack(folder: str, config: Mapping[str, Mapping[str, object]]) -> Act:
    """Preview the program with a policy pack: a folder of this repository or of the project."""

    def run(_emulator: Emulator, stack: Stack) -> Result:
        pack = next(root / folder for root in (stack.folder, ROOT) if (root / folder).exists())
        return stack.preview_fails(*with_packs(stack.folder, {pack: config}))

    return run


def command(*words: str, without: str = "") -> Act:
    """
    Run `stacks-pulumi` in the project's folder, with the key in the environment.

    Args:
        words: The arguments.
        without: A package that this Python does not have.
    """
    start = f"import sys; sys.modules[{without!r}] = None; " if without else "import sys; "
    source = f"{start}from stacks_pulumi.cli import main; sys.exit(main())"

    def run(emulator: Emulator, stack: Stack) -> Result:
        account = {"STACKS_API_KEY": emulator.key, "STACKS_BASE_URL": emulator.url}
        return _process(stack, account, "-c", source, *words)

    return run


def python(*words: str) -> Act:
    """Run Python in the project's folder."""
    return lambda _emulator, stack: _process(stack, {}, *words)


def _process(stack: Stack, environment: Mapping[str, str], *words: str) -> Result:
    # pytest cuts its summary to the width of the terminal.
    done = stack.python(*words, COLUMNS="400", **environment)
    assert done.returncode != 0, done.stdout
    # The usage is in `--help`; only the last line says what is wrong.
    text = re.sub(r"(?ms)^usage: .*?\n(?=stacks-pulumi)", "", done.stdout + done.stderr)
    return Result(done.returncode, text.replace(f"{Path(stack.folder)}/", ""), [])
