"""The example of a gated deployment: its pipelines on a local runner, from the plan to the update."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest
import yaml

from stacks_pulumi.emulator import Emulator
from stacks_pulumi.gate import start
from tests.broker.conftest import Bench
from tests.support import key_service
from tests.support.gate import keys
from tests.support.packs import ROOT
from tests.support.pipelines import Job, Runner, git
from tests.support.stack import Stack

# Tests of pages and examples: a change of the package is tested without them.
pytestmark = pytest.mark.extra

EXAMPLE = ROOT / "examples" / "gated_deployment"
WORKFLOW, GITLAB, ACTION = EXAMPLE / "workflow.yml", EXAMPLE / "gitlab-ci.yml", ROOT / "action.yml"
INSIDE = EXAMPLE.relative_to(ROOT)
SHOP = ["shop", "shop-db", "shop-worker-0"]


class Deployment:
    """The example in a repository, with the stack `prod` and the gate of `gate init`."""

    def __init__(self, stack: Stack, emulator: Emulator, scratch: Path) -> None:
        self.repository = scratch / "repository"
        self.project = self.repository / INSIDE
        shutil.copytree(EXAMPLE, self.project, ignore=shutil.ignore_patterns("__pycache__", "change*"))
        without = {"STACKS_API_KEY", "STACKS_BASE_URL"}
        self.env = {name: value for name, value in stack.env.items() if name not in without}
        self.read, self.full = emulator.new_key(scopes=["containers:read"]), emulator.key
        ann = [("ann", keys() / "ann.pub")]
        start.init(self.project / "gate", ann, Decimal(20), base_url=emulator.url)
        self.stack("prod")
        git(scratch, "init", "-q", "-b", "main", str(self.repository))
        self.commit("The shop and its gate")
        self.runner = Runner(self.repository, scratch, self.env)

    def commit(self, message: str) -> None:
        """Commit the project, with the settings of its stacks."""
        git(self.repository, "add", "-A", ".")
        git(self.repository, "add", "-f", *map(str, self.project.glob("Pulumi.*.yaml")))
        git(self.repository, "commit", "-qm", message)

    def edit(self, before: str, after: str) -> None:
        """Change the program."""
        program = self.project / "__main__.py"
        text = program.read_text(encoding="utf-8")
        assert before in text
        program.write_text(text.replace(before, after), encoding="utf-8")

    def pulumi(self, *words: str) -> None:
        """Run the engine in the project's folder."""
        done = subprocess.run(
            ["pulumi", *words], cwd=self.project, env=self.env, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr

    def stack(self, name: str) -> None:
        """Create a stack."""
        self.pulumi("stack", "init", name, "--secrets-provider", key_service.PROVIDER)

    def gate(self, *words: str, key: str = "") -> subprocess.CompletedProcess[str]:
        """Run the command in the project's folder."""
        return subprocess.run(
            ["stacks-pulumi", "gate", *words],
            cwd=self.project,
            env={**self.env, **({"STACKS_API_KEY": key} if key else {})},
            capture_output=True,
            text=True,
            check=False,
        )

    def job(
        self, name: str, key: str = "", signatures: str = "", branch: str = "main", workflow: Path = WORKFLOW
    ) -> Job:
        """Run a job of the workflow."""
        values = {"secrets.STACKS_API_KEY": key, "inputs.signatures": signatures, "github.base_ref": "main"}
        return self.runner.job(workflow, name, values, branch)

    def signed(self, gate: str = "", **variables: str) -> str:
        """Approve the change of the job `plan` on another machine, which has no Pulumi and a key that can only read."""
        folder = self.runner.checkout()
        change = shutil.copy(self.runner.artifacts["change"] / "change.json", folder)
        words = ["stacks-pulumi", "gate", "approve", change, "--gate", gate or str(folder / INSIDE / "gate")]
        path = os.pathsep.join([str(Path(shutil.which("stacks-pulumi") or "").parent), "/usr/bin"])
        done = subprocess.run(
            [*words, "--key", str(keys() / "ann")],
            env={"PATH": path, "STACKS_API_KEY": self.read, **variables},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        found = Path(f"{change}.sig.d")
        return (found / "ann").read_text(encoding="ascii").rstrip("\n") if found.exists() else ""


@pytest.fixture
def shop(stack: Stack, emulator: Emulator, tmp_path: Path) -> Deployment:
    return Deployment(stack, emulator, tmp_path)


def test_the_workflow_applies_what_a_person_signed_and_once(shop: Deployment, emulator: Emulator) -> None:
    planned = shop.job("plan", shop.read)

    assert planned.code == 0, planned.text
    assert planned.outputs == {"code": "3"}
    assert "needs an approval; \\+\\$9.00 a month" in planned.summary
    refused = shop.job("apply", shop.full)
    assert refused.code == 2
    assert "it needs an approval" in refused.text
    assert emulator.calls("containers.create") == 0

    signatures = shop.signed()
    keyless = shop.job("apply", "", signatures)
    assert keyless.code == 1
    assert "the broker has no API key" in keyless.text
    applied = shop.job("apply", shop.full, signatures)
    assert applied.code == 0, applied.text
    assert emulator.state.names() == SHOP

    # The ledger of that job is gone, but the stack has a tag.
    again = shop.job("apply", shop.full, signatures)
    assert again.code == 2
    assert "this change was applied before" in again.text
    # An empty change needs no signature.
    assert shop.job("plan", shop.read).outputs == {"code": "0"}
    done = shop.job("apply", shop.full)
    assert done.code == 0, done.text
    assert emulator.calls("containers.create") == len(SHOP)
    # No artifact contains a key.
    kept = [file for file in shop.runner.artifacts["change"].rglob("*") if file.is_file()]
    assert {file.name for file in kept} == {"change.json", "comment.md"}
    assert not any(key in file.read_text("utf-8") for file in kept for key in (shop.read, shop.full))


def test_a_pull_request_is_judged_by_the_gate_of_its_base(shop: Deployment, emulator: Emulator) -> None:
    shop.stack("preview")
    git(shop.repository, "checkout", "-qb", "feature")
    gate = shop.project / "gate"
    for name, before, after in (
        ("gate.yaml", "max_increase: 15, max_total: 20", "max_increase: 999, max_total: 999"),
        ("guard.json", '"max_monthly_usd": 20', '"max_monthly_usd": 999'),
    ):
        text = (gate / name).read_text(encoding="utf-8")
        assert before in text
        (gate / name).write_text(text.replace(before, after), encoding="utf-8")
    shop.edit('get_int("workers") or 1', 'get_int("workers") or 20')
    shop.commit("Twenty workers, and a gate that lets them pass")
    git(shop.repository, "checkout", "-q", "main")
    # Anyone can push a tag, and git prefers the tag.
    git(shop.repository, "tag", "origin/main", "feature")

    done = shop.job("preview", shop.read, branch="feature")

    assert done.code != 0
    assert "monthly-budget" in done.text
    comment = (shop.runner.artifacts["preview"] / "comment.md").read_text(encoding="utf-8")
    assert comment.startswith("<!-- stacks-pulumi cost: ")
    assert "### gated-deployment/preview: refused" in comment
    assert "monthly-budget" in comment


@pytest.mark.parametrize(
    ("name", "value", "policy"),
    [
        ("plan", "premium", "allowed-plans"),
        ("workers", "20", "monthly-budget"),
        ("office", "0.0.0.0/0", "open-allowed-ip"),
    ],
)
def test_a_change_that_the_readme_lists_is_refused(
    shop: Deployment, emulator: Emulator, name: str, value: str, policy: str
) -> None:
    shop.pulumi("config", "set", name, value, "--stack", "prod")

    done = shop.gate("plan", "--gate", "gate", "-s", "prod", key=shop.read)

    assert done.returncode == 2, done.stdout + done.stderr
    assert f"{policy}: " in done.stderr
    assert not (shop.project / "change.json").exists()


SPENDS = """
import os
import requests

requests.post(
    os.environ["STACKS_BASE_URL"] + "/containers",
    json={"name": "miner", "template": "nodejs", "plan": "premium"},
    headers={"Authorization": "Bearer " + os.environ["STACKS_API_KEY"]},
    timeout=30,
).raise_for_status()
"""


def test_a_program_has_a_token_that_reads_in_a_plan(shop: Deployment, emulator: Emulator) -> None:
    program = shop.project / "__main__.py"
    program.write_text(program.read_text("utf-8") + SPENDS, encoding="utf-8")

    done = shop.gate("plan", "--gate", "gate", "-s", "prod", key=shop.full)

    assert done.returncode == 1
    assert "403" in done.stderr
    assert emulator.state.names() == []


def test_the_action_plans_and_applies(shop: Deployment, emulator: Emulator) -> None:
    document = yaml.safe_load(ACTION.read_text(encoding="utf-8"))
    defaults = {name: str(given.get("default", "")) for name, given in document["inputs"].items()}
    kept = shop.runner.scratch / "kept"
    kept.mkdir()
    inputs = {**defaults, "gate": "gate", "stack": "prod", "change": str(kept / "change.json")}

    def step(command: str, key: str, **given: str) -> Job:
        folder = shop.runner.checkout()
        values = {f"inputs.{name}": value for name, value in {**inputs, "command": command, **given}.items()}
        runner = Runner(shop.repository, shop.runner.scratch, {**shop.env, "STACKS_API_KEY": key})
        return runner.steps(document["runs"]["steps"], folder, folder / INSIDE, values)

    planned = step("plan", shop.read)
    shop.runner.artifacts["change"] = kept
    applied = step("apply", shop.full, signatures=shop.signed())

    assert (planned.code, planned.outputs) == (0, {"result": "needs-approval"}), planned.text
    assert "needs an approval" in planned.summary
    assert applied.code == 0, applied.text
    assert emulator.state.names() == SHOP
    for old in ({"record": "record"}, {"approval": "text"}, {"gate-ref": "HEAD"}):
        refused = step("plan", shop.read, **old)
        assert refused.code == 2
        assert "use change and signatures" in refused.text


def test_the_pipeline_of_gitlab_applies_what_a_person_signed(shop: Deployment, emulator: Emulator) -> None:
    folder = shop.runner.checkout()

    planned = shop.runner.script(GITLAB, "plan", {"STACKS_API_KEY": shop.read}, folder)
    assert planned.code == 3, planned.text
    shop.runner.artifacts["change"] = folder / INSIDE / "change"
    assert "<testsuite" in (folder / INSIDE / "change/junit.xml").read_text(encoding="utf-8")
    # A one-line form field replaces line ends with spaces.
    variables = {"STACKS_API_KEY": shop.full, "SIGNATURES": " ".join(shop.signed().split())}
    applied = shop.runner.script(GITLAB, "apply", variables, folder)

    assert applied.code == 0, applied.text
    assert emulator.state.names() == SHOP


@pytest.fixture
def bench(emulator: Emulator, tmp_path: Path) -> Iterator[Bench]:
    """A broker on a separate host."""
    made = Bench(tmp_path / "broker", emulator, {"limits": {"max_total": 20}})
    yield made
    made.stop()


@pytest.mark.parametrize("kind", ["github", "gitlab"])
def test_with_the_address_of_a_broker_no_secret_is_stored_for_apply(
    shop: Deployment, emulator: Emulator, bench: Bench, kind: str
) -> None:
    address = bench.url.removesuffix("/api/v1")
    made = start.pipeline(
        kind,
        shop.project / "Pulumi.yaml",
        top=shop.repository,
        gate=address,
        stack="prod",
        install=["pip install"],
    )
    file = shop.runner.scratch / "pipeline.yml"
    file.write_text(next(iter(made.values())), encoding="utf-8")
    token = bench.reader().token
    folder = shop.runner.checkout()

    def run(name: str, key: str = "") -> Job:
        if kind == "github":
            return shop.job(name, key, workflow=file)
        done = shop.runner.script(file, name, {"STACKS_API_KEY": key} if key else {}, folder)
        shop.runner.artifacts["change"] = folder / INSIDE / "change"
        return done

    planned = run("plan", token)
    assert (planned.outputs.get("code"), planned.code) in {("3", 0), (None, 3)}, planned.text
    refused = run("apply")
    assert refused.code == 2
    assert "without a signature" in refused.text

    assert shop.signed(address, STACKS_API_KEY=token) == ""
    applied = run("apply")
    assert applied.code == 0, applied.text
    assert bench.names == SHOP
    # The ledger is kept: the same change is the same grant, and no permit is left.
    again = run("apply")
    assert again.code == 0, again.text
    assert emulator.calls("containers.create") == len(SHOP)
