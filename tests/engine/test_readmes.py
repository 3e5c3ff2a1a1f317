"""
The commands of each example's README and of the tour work as written, in a new home folder, on the emulator.

The quickstarts and the tour start every process, run in real time, and encrypt with a passphrase. For the other pages,
processes are forked, the clock is fast, and a key service encrypts, as in the other engine tests.
"""

from __future__ import annotations

import itertools
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from stacks_pulumi.emulator import DrivenClock, Emulator
from tests.support import key_service
from tests.support.clock import fast_clock
from tests.support.examples import EXAMPLES
from tests.support.forked import commands as forked
from tests.support.node import needs
from tests.support.snippets import commands
from tests.support.stack import THRIFTY, hurried_environment
from tools.engine.ensure import ensure
from tools.engine.hosts import code_hosts
from tools.engine.pack import argument

TOUR = EXAMPLES.parent / "docs/tour.md"
FILE = re.compile(r"`([\w.]+)`:\n\n```\w+\n(.*?)^```$", re.MULTILINE | re.DOTALL)
BLOCK = re.compile(
    r"(?:^<!-- (?P<mark>[a-z ]+) -->\n)?^(?P<indent> *)```sh\n(?P<text>.*?)^ *```$", re.MULTILINE | re.DOTALL
)
NEEDS_AN_ACCOUNT = {"account"}
OTHER_TERMINAL = "second emulator"

FOLLOWED = sorted(
    path.parent.name
    for path in EXAMPLES.glob("*/README.md")
    # Other tests cover packs (only the official engine starts them from folders), Docker (may be missing), and a second
    # cloud (`make multi-cloud`).
    if path.parent.name not in {"gated_deployment", "compose", "kubernetes", "kubernetes_yaml"}
)

STARTED = {"quickstart", "quickstart_typescript"}
"""Pages that are followed with the processes, the clock and the encryption of a user."""
SAID = {
    "capped_agent": (
        "needs_approval: $4.00 a month more",
        "it needs an approval",
        "applied",
        "refused: $10.00 a month more",
        "DELETE /containers/",
        "403 the container does not belong to this grant",
        "403 this grant may not read credentials",
        "approves the access request r-",
        "the journal is intact",
    )
}
"""The required output of a README's commands, if the exit codes are not sufficient."""


def blocks(page: Path) -> Iterator[tuple[str, str]]:
    """Return the commands of a page in order: pairs of a mark (or nothing) and the text of a block."""
    for found in BLOCK.finditer(page.read_text(encoding="utf-8")):
        yield found["mark"] or "", re.sub(f"^{found['indent']}", "", found["text"], flags=re.MULTILINE)


class Newcomer:
    """
    A shell into which the pages are pasted one after another.

    Args:
        home: The home folder.
        engine: The folder of the engine's binaries.
        forks: Whether processes are forked, with a fast clock and a key service.
    """

    def __init__(self, home: Path, engine: Path, *, forks: bool = False) -> None:
        self._forks = forks
        self.checkout = home / "checkout"
        for name in ("examples", "policies"):
            ignore = shutil.ignore_patterns("__pycache__")
            shutil.copytree(EXAMPLES.parent / name, self.checkout / name, ignore=ignore)
        shutil.copy(EXAMPLES.parent / "Pulumi.yaml", self.checkout)
        # The place in which `make setup` installs the package.
        (self.checkout / ".venv").symlink_to(sys.prefix)
        folders = [*([forked.folder()] if forks else []), Path(sys.prefix) / "bin", engine]
        path = os.pathsep.join([*map(str, folders), os.environ["PATH"]])
        kept = {name: os.environ[name] for name in ("LANG", "TMPDIR") if name in os.environ}
        self.env = {
            **kept,
            **THRIFTY,
            **({**hurried_environment(), **key_service.environment()} if forks else {}),
            "HOME": str(home),
            # Pulumi itself reads the home folder from the password file.
            "PULUMI_HOME": str(home / ".pulumi"),
            "PATH": path,
            "VIRTUAL_ENV": sys.prefix,
            # A user answers "yes" and sees the engine's output.
            "PULUMI_SKIP_CONFIRMATIONS": "true",
            "PULUMI_SKIP_UPDATE_CHECK": "1",
        }

    def paste(self, text: str, folder: Path, *, given: str = "", fails: bool = False) -> str:
        """Run a block; the next block sees its exported variables."""
        noted = folder.parent / "environment"
        here = text.replace("file://~", f"file://{self.env['HOME']}")
        if self._forks:
            here = re.sub(r"(?<=pulumi stack init )", f"--secrets-provider {key_service.PROVIDER} ", here)
        script = f"set -eo pipefail\n{here}\nexport -p > {noted}"
        done = subprocess.run(
            ["bash", "-c", script],
            cwd=folder,
            env=self.env,
            input=given,
            text=True,
            capture_output=True,
            check=False,
        )
        said = f"$ {text}{done.stdout}{done.stderr}"
        assert bool(done.returncode) == fails, said
        if not fails:
            exports = re.findall(
                r'^declare -x (\w+)="(.*)"$', noted.read_text(encoding="utf-8"), re.MULTILINE
            )
            self.env.update({name: re.sub(r'\\(["$`\\])', r"\1", value) for name, value in exports})
        return said


@pytest.mark.extra
@pytest.mark.parametrize("name", FOLLOWED)
def test_the_commands_of_a_readme_work(name: str, tmp_path: Path, engine: Path) -> None:
    forks = name not in STARTED
    newcomer = Newcomer(tmp_path, engine, forks=forks)
    if name == "quickstart_typescript":
        needs("node", "npm")
        newcomer.env["PATH"] = f"{code_hosts()}{os.pathsep}{newcomer.env['PATH']}"
    folder = newcomer.checkout if name == "quickstart" else newcomer.checkout / "examples" / name
    cap = 20 if name == "capped_agent" else None
    clock = fast_clock if forks else DrivenClock
    with Emulator(spending_cap=cap, clock=clock()) as emulator, Emulator(seed=1, clock=clock()) as other:
        before, end = [block for block in blocks(EXAMPLES / "README.md") if block[0] != OTHER_TERMINAL]
        if (folder / "Pulumi.yaml").exists():
            newcomer.paste(before[1], folder)
            newcomer.paste(f"pulumi config set stacks:baseUrl {emulator.url}", folder)
            newcomer.paste("pulumi config set stacks:apiKey --secret", folder, given=emulator.key)
        said: list[str] = []
        for mark, text in blocks(EXAMPLES / name / "README.md"):
            if mark in NEEDS_AN_ACCOUNT or mark == OTHER_TERMINAL:
                continue
            here = text.replace("http://127.0.0.1:7823/api/v1", other.url)
            for pack in re.findall(r"(?<= )\.\./\.\./policies/\w+", here):
                here = here.replace(pack, str(argument(ensure(), folder / pack, tmp_path)))
            # Keys are pasted at a prompt.
            keys = {"customerKey --secret": other.key, "stacks:apiKey --secret": emulator.key}
            given = next((key for command, key in keys.items() if command in text), "")
            said.append(newcomer.paste(here, folder, given=given, fails=mark == "fails"))
        assert said or name == "multi_cloud"
        assert [text for text in SAID.get(name, ()) if text not in "".join(said)] == []
        for account in (emulator, other):
            assert account.state.containers == {}, "the README ends with nothing left"
        newcomer.paste(end[1], folder)


@pytest.mark.extra
def test_the_commands_of_the_tour_work(tmp_path: Path, engine: Path) -> None:
    newcomer = Newcomer(tmp_path, engine)
    folder = tmp_path / "checkout" / "shop"
    folder.mkdir()
    for name, text in FILE.findall(TOUR.read_text(encoding="utf-8")):
        (folder / name).write_text(text, encoding="utf-8")
    start = "" if ensure().starts_policy_folders else "/start"
    with Emulator() as emulator:
        for mark, text in blocks(TOUR):
            if mark == OTHER_TERMINAL:
                continue
            if text.startswith("pulumi refresh"):
                emulator.drift.set_external_access("orders", enabled=False)
            here = text.replace("--policy-pack policies/spend", f"--policy-pack policies/spend{start}")
            said = newcomer.paste(here, folder, fails=mark == "fails")
            if "pulumi stack init" in text:
                newcomer.paste(f"pulumi config set stacks:baseUrl {emulator.url}", folder)
                newcomer.paste("pulumi config set stacks:apiKey --secret", folder, given=emulator.key)
            if text == "pulumi preview\n":
                assert "2 containers: $8.00 a month" in said
                assert emulator.calls() == 0
            if text.startswith("pulumi refresh"):
                program = folder / "__main__.py"
                changed = program.read_text(encoding="utf-8").replace(
                    '"postgresql"', '"postgresql", plan="standard"'
                )
                program.write_text(changed, encoding="utf-8")
                assert "replace_on_change=True" in newcomer.paste("pulumi preview", folder, fails=True)
        assert emulator.state.containers == {}


@pytest.mark.extra
def test_every_pulumi_command_in_the_pages_has_valid_options(engine: Path) -> None:
    asked: dict[tuple[str, ...], set[str]] = {}
    for _page, words in commands("pulumi"):
        before = itertools.takewhile(lambda word: word != "--", words)
        given = {word.partition("=")[0] for word in before if word.startswith("-")}
        # `pulumi do` accepts the options in a provider's schema.
        if given and "do" not in words[:2]:
            asked.setdefault(tuple(itertools.takewhile(_is_subcommand, words[1:])), set()).update(given)
    assert sum(map(len, asked.values())) > 20

    for subcommand, options in asked.items():
        # A word that is not a subcommand is an argument, so the help text is that of the command before it.
        done = subprocess.run(
            [engine / "pulumi", *subcommand, "--help"], capture_output=True, text=True, check=True
        )
        unknown = [it for it in options if not re.search(rf"(?<![\w-]){re.escape(it)}(?![\w-])", done.stdout)]
        assert unknown == [], subcommand


def _is_subcommand(word: str) -> bool:
    return word.replace("-", "").isalpha() and not word.startswith("-")
