"""
A repository that is created in an empty folder with only the commands and files of its page, without this checkout.

`--write-docs` copies the outputs of this repository into the page.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import yaml

import stacks_pulumi
from stacks_pulumi.emulator import Emulator
from tests.support.node import needs
from tests.support.pipelines import Runner, git
from tests.support.stack import THRIFTY
from tools.engine.ensure import ensure
from tools.engine.hosts import code_hosts

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/own-repository.md"
PART = re.compile(
    r"(?P<head>(?:`(?P<file>[\w./-]+)`:\n\n)?(?:^<!-- (?P<mark>\w+) -->\n)?^```(?P<language>\w+)\n)(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
pytestmark = [pytest.mark.extra, pytest.mark.engine, pytest.mark.timeout(1800)]


@dataclass
class Terminal:
    """
    A terminal in an empty folder.

    Attributes:
        folder: The current folder.
        noted: A folder for data that the next command needs.
        env: Its variables.
    """

    folder: Path
    noted: Path
    env: dict[str, str] = field(default_factory=dict)

    def paste(self, text: str, *, code: int = 0) -> str:
        """Run commands, the last of which has this exit code; the next commands see their folder and variables."""
        state = self.noted / "state"
        script = f"set -e\ntrap 'pwd >{state}; export -p >>{state}' EXIT\n{text}"
        done = subprocess.run(
            ["bash", "--noprofile", "--norc", "-c", script],
            cwd=self.folder,
            env=self.env,
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        said = f"$ {text}{done.stdout}{done.stderr}"
        assert done.returncode == code, said
        where, _, exported = state.read_text(encoding="utf-8").partition("\n")
        self.folder = Path(where)
        self.env.update(re.findall(r'^declare -x (\w+)="(.*)"$', exported, re.MULTILINE))
        return said


def clean(home: Path) -> dict[str, str]:
    """Return the variables of a new user: with an engine, but without this checkout and its environment."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PYTHON", "VIRTUAL", "PULUMI", "STACKS", "PYTEST"))
    }
    path = [one for one in os.environ["PATH"].split(os.pathsep) if not Path(one).is_relative_to(sys.prefix)]
    python = Path(os.path.realpath(sys.executable)).parent
    (home / ".ssh").mkdir(parents=True)
    key = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(home / ".ssh/id_ed25519")]
    subprocess.run(key, check=True)
    return {
        **kept,
        **THRIFTY,
        "HOME": str(home),
        # Python compiles imported modules, which are only a part.
        "PIP_NO_COMPILE": "1",
        "PIP_CACHE_DIR": os.environ.get("PIP_CACHE_DIR", str(Path.home() / ".cache/pip")),
        # Pulumi itself reads the home folder from the password file.
        "PULUMI_HOME": str(home / ".pulumi"),
        "PATH": os.pathsep.join([str(python), str(ensure().bin), *path]),
        "PULUMI_SKIP_UPDATE_CHECK": "1",
        "PULUMI_SKIP_CONFIRMATIONS": "true",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_AUTHOR_NAME": "Ann",
        "GIT_AUTHOR_EMAIL": "ann@example.com",
        "GIT_COMMITTER_NAME": "Ann",
        "GIT_COMMITTER_EMAIL": "ann@example.com",
    }


@dataclass
class Reader:
    """
    A reader who follows the page.

    Attributes:
        terminal: The reader's terminal.
        emulator: The account.
        said: The output of each block of commands, by the commands.
        page: The page with the outputs that were copied from the folder.
    """

    terminal: Terminal
    emulator: Emulator
    said: dict[str, str] = field(default_factory=dict)
    page: str = ""

    def follow(self) -> None:
        """Run each command up to the first commit and write each file."""
        self.page = PART.sub(self._part, PAGE.read_text(encoding="utf-8"))

    def _part(self, found: re.Match[str]) -> str:
        text, head = found["text"], found["head"]
        file = self.terminal.folder / (found["file"] or "")
        if found["mark"] == "copied":
            text = file.read_text(encoding="utf-8")
        elif found["mark"] == "files":
            text = self._files()
        elif found["mark"] in {"yaml", "typescript", "try", "approve"}:
            # Skip other repositories and the part after the first commit.
            return found[0]
        elif found["file"] and found["language"] != "sh":
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text.replace("0.4.0", stacks_pulumi.__version__), encoding="utf-8")
        elif found["language"] == "sh":
            self.said[text] = self.terminal.paste(self._here(text, found["mark"]))
        return f"{head}{text}```"

    def _files(self) -> str:
        folder = self.terminal.folder
        names = sorted(self.terminal_output("git ls-files --others --exclude-standard").splitlines())
        assert all((folder / name).is_file() for name in names)
        return "".join(f"{name}\n" for name in names).replace(stacks_pulumi.__version__, "0.4.0")

    def terminal_output(self, command: str) -> str:
        """Return the output of a command."""
        return self.terminal.paste(command).partition(command)[2]

    def _here(self, text: str, mark: str | None) -> str:
        """Return the commands adapted to this machine: the account is the emulator, and the backend is a folder."""
        if mark == "backend":
            states = self.terminal.noted / "states"
            states.mkdir()
            return f"export PULUMI_BACKEND_URL=file://{states} PULUMI_CONFIG_PASSPHRASE=test"
        text = text.replace("0.4.0", stacks_pulumi.__version__)
        text = text.replace("sk_stacks_...", self.emulator.key)
        text = text.replace("gate init gate", f"gate init gate --base-url {self.emulator.url}")
        if not ensure().starts_policy_folders:
            text = text.replace("--policy-pack policies/spend", "--policy-pack policies/spend/start")
        if "stacks-pulumi doctor" in text:
            # A gate refuses a stack with an address.
            set_, remove = f"set stacks:baseUrl {self.emulator.url}", "rm stacks:baseUrl"
            text = f"pulumi config {set_} --stack preview\n{text}\npulumi config {remove} --stack preview"
        return text


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    """Return a reader who has followed the page up to its first commit."""
    folder = tmp_path_factory.mktemp("own")
    work = folder / "work"
    work.mkdir()
    words = ["-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", str(work)]
    subprocess.run([sys.executable, *words, str(ROOT)], check=True)
    with Emulator(boot_seconds=0.2) as emulator:
        made = Reader(Terminal(work, folder, clean(folder / "home")), emulator)
        made.follow()
        yield made


def test_the_page_shows_what_is_in_the_folder(reader: Reader, request: pytest.FixtureRequest) -> None:
    if request.config.getoption("--write-docs"):
        PAGE.write_text(reader.page, encoding="utf-8")

    assert reader.page == PAGE.read_text(encoding="utf-8"), "run this file with --write-docs"
    assert any("1 passed" in said for text, said in reader.said.items() if "pytest" in text)
    assert any("2 containers: $8.00 a month" in said for said in reader.said.values())


def test_no_file_points_to_another_folder_of_this_machine(reader: Reader) -> None:
    folder = reader.terminal.folder
    committed = git(folder, "ls-files").splitlines()

    assert len(committed) > 30
    for name in committed:
        content = (folder / name).read_bytes()
        assert str(ROOT).encode() not in content, name
        assert str(folder).encode() not in content, name


@pytest.fixture
def runner(reader: Reader, tmp_path: Path) -> Runner:
    """Return a machine that runs the pipelines of the repository."""
    return Runner(reader.terminal.folder, tmp_path, reader.terminal.env)


def marked(reader: Reader, mark: str) -> list[str]:
    """Return the texts in the page that have a mark."""
    return [it["text"] for it in PART.finditer(reader.page) if it["mark"] == mark]


def signed(reader: Reader, runner: Runner) -> str:
    """Return the signature of a person who has the change in a checkout and a key that can read, but no stack."""
    desk = runner.checkout()
    shutil.copy(runner.artifacts["change"] / "change.json", desk)
    env = {name: value for name, value in runner.env.items() if not name.startswith(("PULUMI", "STACKS"))}
    env["STACKS_API_KEY"] = reader.emulator.new_key(scopes=["containers:read"])
    (text,) = marked(reader, "approve")
    said = Terminal(desk, runner.scratch, env).paste(text)
    assert "needs an approval" in said
    assert "shop-db" in said
    return (desk / "change.json.sig.d/ann").read_text(encoding="utf-8").rstrip("\n")


def test_the_whole_way_is_made_on_one_machine(reader: Reader, tmp_path: Path) -> None:
    env = {name: value for name, value in reader.terminal.env.items() if name != "STACKS_API_KEY"}
    desk = Terminal(reader.terminal.folder.parent, tmp_path, env)
    clone, plan, approve = marked(reader, "try")
    for before, after in (
        ("http://127.0.0.1:7822/api/v1", reader.emulator.url),
        ("sk_stacks_...", reader.emulator.key),
        # The gate of this reader already contains the emulator's address.
        ("gate/gate.yaml", "/dev/null"),
    ):
        assert before in clone
        clone = clone.replace(before, after)
    desk.paste(clone)

    desk.paste(plan, code=3)
    said = desk.paste(approve)

    assert "approved by ann" in said
    assert reader.emulator.state.names() == ["shop", "shop-db"]
    desk.paste("pulumi destroy --yes")
    assert reader.emulator.state.names() == []


def test_the_pipeline_of_gitlab_tests_as_that_of_github_and_plans(reader: Reader, runner: Runner) -> None:
    folder = runner.checkout()
    desk = Terminal(folder, runner.scratch, dict(reader.terminal.env))
    desk.paste("stacks-pulumi gate init lab --workflow gitlab --approver ann=$HOME/.ssh/id_ed25519.pub")
    (main,) = [it["text"] for it in PART.finditer(reader.page) if it["text"].startswith("include:")]
    assert (folder / ".gitlab-ci.yml").read_text(encoding="utf-8") == main
    desk.paste(f"echo 'base_url: {reader.emulator.url}' >>lab/gate.yaml")
    desk.paste("git add --all && git commit -qm 'The gate at GitLab'")

    pipeline = folder / ".gitlab/gate.yml"
    tests = yaml.safe_load((folder / ".gitlab/tests.yml").read_text(encoding="utf-8"))
    workflow = yaml.safe_load((folder / ".github/workflows/tests.yml").read_text(encoding="utf-8"))
    # The test of the workflows runs them.
    steps = workflow["jobs"]["tests"]["steps"]
    assert tests["tests"]["script"] == [step["run"] for step in steps if "run" in step]
    # The tests run in each pipeline of the gate, so that no merge request is merged without them.
    jobs = yaml.safe_load(pipeline.read_text(encoding="utf-8"))
    for name in ("preview", "plan"):
        [rule] = jobs[name]["rules"]
        assert any(rule["if"].startswith(one["if"]) for one in tests["tests"]["rules"]), name
    key = reader.emulator.new_key(scopes=["containers:read"])
    planned = runner.script(pipeline, "plan", {"STACKS_API_KEY": key}, folder)

    assert planned.code == 3, planned.text
    assert (folder / "change/comment.md").is_file()


def test_the_same_repository_in_yaml_is_tested_and_planned(reader: Reader, runner: Runner) -> None:
    folder = runner.checkout()
    desk = Terminal(folder, runner.scratch, dict(reader.terminal.env))
    desk.paste("git rm -q shop.py __main__.py")
    for it in PART.finditer(reader.page):
        if it["mark"] == "yaml":
            (folder / it["file"]).write_text(it["text"], encoding="utf-8")

    assert "1 passed" in desk.paste("python -m pytest -q")
    # Files that the test creates are not part of the repository.
    assert git(folder, "ls-files", "--others", "--exclude-standard") == ""
    desk.paste("git commit -qam 'The program in YAML'")
    runner.repository = folder
    key = reader.emulator.new_key(scopes=["containers:read"])
    planned = runner.job(folder / ".github/workflows/gate.yml", "plan", {"secrets.STACKS_API_KEY": key})

    assert planned.code == 0, planned.text
    assert planned.outputs == {"code": "3"}
    assert "\\+\\$8.00 a month" in planned.summary


def test_the_same_repository_in_typescript_is_tested_and_planned(reader: Reader, runner: Runner) -> None:
    needs("node", "npm")
    folder = runner.checkout()
    # The environment of the repository, which a clone does not contain.
    (folder / ".venv").mkdir()
    (folder / ".venv/bin").symlink_to(reader.terminal.folder / ".venv/bin")
    env = dict(reader.terminal.env)
    env["PATH"] = f"{code_hosts()}{os.pathsep}{env['PATH']}"
    runner.env = {**runner.env, "PATH": env["PATH"]}
    desk = Terminal(folder, runner.scratch, env)
    desk.paste("git rm -q shop.py __main__.py .github/workflows/gate.yml")
    parts = [it for it in PART.finditer(reader.page) if it["mark"] in {"yaml", "typescript"}]
    for it in parts:
        if it["file"]:
            (folder / it["file"]).write_text(it["text"], encoding="utf-8")
    (commands,) = [it["text"] for it in parts if not it["file"]]
    desk.paste(commands)

    assert "1 passed" in desk.paste("python -m pytest -q")
    desk.paste("stacks-pulumi gate init gate --workflow github")
    made = git(folder, "ls-files", "--others", "--exclude-standard").splitlines()
    rest = [name for name in made if not name.startswith(("sdks/", "gate/"))]
    assert rest == [".github/workflows/gate.yml", "index.ts", "package-lock.json", "package.json"]
    desk.paste("git add --all && git commit -qm 'The program in TypeScript'")
    runner.repository = folder
    key = reader.emulator.new_key(scopes=["containers:read"])
    planned = runner.job(folder / ".github/workflows/gate.yml", "plan", {"secrets.STACKS_API_KEY": key})

    assert planned.code == 0, planned.text
    assert planned.outputs == {"code": "3"}
    assert "\\+\\$8.00 a month" in planned.summary


def test_the_workflows_test_and_apply(reader: Reader, runner: Runner) -> None:
    folder = reader.terminal.folder
    tests = yaml.safe_load((folder / ".github/workflows/tests.yml").read_text(encoding="utf-8"))
    checkout = runner.checkout()
    tested = runner.steps(tests["jobs"]["tests"]["steps"], checkout, checkout, {})
    assert tested.code == 0, tested.text
    assert "1 passed" in tested.text

    workflow = folder / ".github/workflows/gate.yml"
    read = reader.emulator.new_key(scopes=["containers:read"])
    planned = runner.job(workflow, "plan", {"secrets.STACKS_API_KEY": read})
    assert planned.code == 0, planned.text
    assert planned.outputs == {"code": "3"}
    full = {"secrets.STACKS_API_KEY": reader.emulator.key}
    assert runner.job(workflow, "apply", full).code == 2
    assert reader.emulator.state.names() == []
    applied = runner.job(workflow, "apply", {**full, "inputs.signatures": signed(reader, runner)})

    assert applied.code == 0, applied.text
    assert reader.emulator.state.names() == ["shop", "shop-db"]
