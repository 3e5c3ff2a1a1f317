"""The example of a gated deployment: its gate, and its pipelines on a local runner, from the plan to the update."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from stacks_pulumi.emulator import Emulator
from tests.support import key_service
from tests.support.gate import keys, signer
from tests.support.packs import ROOT
from tests.support.pipelines import Job, Runner, git
from tests.support.stack import Stack

# What pages and examples show: a change is tested without it.
pytestmark = pytest.mark.extra

EXAMPLE = ROOT / "examples" / "gated_deployment"
WORKFLOW, GITLAB, ACTION = EXAMPLE / "workflow.yml", EXAMPLE / "gitlab-ci.yml", ROOT / "action.yml"
INSIDE = EXAMPLE.relative_to(ROOT)


class Deployment:
    """The example in a repository, with the stack `prod`."""

    def __init__(self, stack: Stack, emulator: Emulator, scratch: Path) -> None:
        self.repository = scratch / "repository"
        self.project = self.repository / INSIDE
        shutil.copytree(EXAMPLE, self.project, ignore=shutil.ignore_patterns("__pycache__", "record"))
        self.env = {**stack.env, "XDG_STATE_HOME": str(scratch / "machine")}
        self.read, self.full = emulator.new_key(scopes=["containers:read"]), emulator.key
        gate = self.project / "gate"
        (gate / "allowed_signers").write_text(signer("ann"), encoding="utf-8")
        with (gate / "gate.yaml").open("a", encoding="utf-8") as file:
            file.write(f"base_url: {emulator.url}\n")
        self.stack("prod", emulator.url)
        git(scratch, "init", "-q", "-b", "main", str(self.repository))
        self.commit("The shop and its gate")
        self.runner = Runner(self.repository, scratch, self.env)

    def commit(self, message: str) -> None:
        """Commit the project, with the settings of its stack."""
        git(self.repository, "add", "-A", "-f", ".")
        git(self.repository, "commit", "-qm", message)

    def pulumi(self, *words: str) -> None:
        """Run the engine in the project's folder."""
        done = subprocess.run(
            ["pulumi", *words], cwd=self.project, env=self.env, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr

    def stack(self, name: str, url: str) -> None:
        """Make a stack on the emulator."""
        self.pulumi("stack", "init", name, "--secrets-provider", key_service.PROVIDER)
        self.set("stacks:baseUrl", url, name)

    def set(self, name: str, value: str, stack: str = "prod") -> None:
        """Set a value in the configuration of a stack."""
        self.pulumi("config", "set", name, value, "--stack", stack)

    def gate(self, *words: str, key: str = "", **variables: str) -> subprocess.CompletedProcess[str]:
        """Run the command in the project's folder."""
        return subprocess.run(
            ["stacks-pulumi", "gate", *words],
            cwd=self.project,
            env={**self.env, **({"STACKS_API_KEY": key} if key else {}), **variables},
            capture_output=True,
            text=True,
            check=False,
        )

    def plan(self, key: str | None = None, **variables: str) -> subprocess.CompletedProcess[str]:
        """Plan the change."""
        words = ("plan", "--gate", "gate", "--record", "record", "-s", "prod")
        return self.gate(*words, key=key or self.read, **variables)

    def job(self, name: str, key: str, approval: str = "", branch: str = "main") -> Job:
        """Run a job of the workflow."""
        values = {"secrets.STACKS_API_KEY": key, "inputs.approval": approval, "github.base_ref": "main"}
        return self.runner.job(WORKFLOW, name, values, branch)

    def approval(self) -> str:
        """Approve the record of the job `plan` on another machine, which has neither Pulumi nor a key of the API."""
        folder = self.runner.checkout()
        record = folder / "record"
        shutil.copytree(self.runner.artifacts["record"], record)
        gate = ("--gate", str(folder / INSIDE / "gate"), "--gate-ref", "HEAD")
        words = [
            "stacks-pulumi",
            "gate",
            "approve",
            str(record),
            *gate,
            "--key",
            str(keys() / "ann"),
            "--accept-unknown",
        ]
        environment = {
            "PATH": os.pathsep.join([str(Path(shutil.which("stacks-pulumi") or "").parent), "/usr/bin"])
        }
        done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        (file,) = (record / "approvals").iterdir()
        return file.read_text(encoding="utf-8").rstrip("\n")


@pytest.fixture
def shop(stack: Stack, emulator: Emulator, tmp_path: Path) -> Deployment:
    return Deployment(stack, emulator, tmp_path)


def test_the_workflow_applies_what_a_person_approved(shop: Deployment, emulator: Emulator) -> None:
    planned = shop.job("plan", shop.read)

    assert planned.code == 0, planned.text
    assert planned.outputs == {"code": "3"}
    assert "needs an approval" in planned.summary
    assert "\\$9.00" in planned.summary
    refused = shop.job("apply", shop.full)
    assert refused.code == 2
    assert "it needs an approval" in refused.text
    assert emulator.calls("containers.create") == 0

    approval = shop.approval()
    keyless = shop.job("apply", "", approval)
    assert keyless.code != 0
    assert "STACKS_API_KEY: the environment production has no such secret" in keyless.text
    # It was not begun, so the approval still holds.
    applied = shop.job("apply", shop.full, approval)
    assert applied.code == 0, applied.text
    assert emulator.state.names() == ["shop", "shop-db", "shop-worker-0"]

    # Nothing is left to do, and that needs no approval.
    again = shop.job("plan", shop.read)
    assert again.outputs == {"code": "0"}
    log = shop.gate("log", "--gate", "gate", "-s", "prod")
    assert "from $0.00 to $9.00; approved by ann" in log.stdout, log.stderr
    # Neither key is in a record or in the state.
    written = "".join(
        path.read_text("utf-8") for path in shop.runner.artifacts["record"].rglob("*") if path.is_file()
    )
    assert [key for key in (shop.read, shop.full) if key in written] == []


def test_a_commit_after_the_approval_is_not_applied(shop: Deployment, emulator: Emulator) -> None:
    shop.job("plan", shop.read)
    approval = shop.approval()
    with (shop.project / "__main__.py").open("a", encoding="utf-8") as program:
        program.write("# A comment\n")
    shop.commit("A comment")

    applied = shop.job("apply", shop.full, approval)

    assert applied.code == 2
    assert "the program's files are not those that were planned" in applied.text
    assert emulator.calls("containers.create") == 0


def test_a_pull_request_is_judged_by_the_gate_of_its_base(shop: Deployment, emulator: Emulator) -> None:
    shop.stack("preview", emulator.url)
    git(shop.repository, "checkout", "-qb", "feature")
    gate = shop.project / "gate"
    for name, before, after in (
        ("gate.yaml", "max_increase: 15, max_total: 20", "max_increase: 999, max_total: 999"),
        ("guard.json", '"max_monthly_usd": 20', '"max_monthly_usd": 999'),
    ):
        text = (gate / name).read_text(encoding="utf-8")
        assert before in text
        (gate / name).write_text(text.replace(before, after), encoding="utf-8")
    program = shop.project / "__main__.py"
    program.write_text(
        program.read_text("utf-8").replace('get_int("workers") or 1', "get_int('workers') or 20"), "utf-8"
    )
    shop.commit("Twenty workers, and a gate that lets them pass")
    git(shop.repository, "checkout", "-q", "main")

    done = shop.job("preview", shop.read, branch="feature")

    assert done.code != 0
    assert "monthly-budget" in done.text
    comment = (shop.runner.artifacts["comment"] / "comment.md").read_text(encoding="utf-8")
    assert comment.startswith("<!-- stacks-pulumi cost: ")
    assert "❌ **monthly-budget**" in comment


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
    shop.set(name, value)

    done = shop.plan()

    assert done.returncode == 2, done.stdout + done.stderr
    assert f"mandatory policy {policy}" in done.stdout
    assert shop.gate("apply", "record", "--gate", "gate", "-s", "prod", key=shop.full).returncode == 2
    assert emulator.state.names() == []


SPENDS = """
import os
import requests

requests.post(
    os.environ["ADDRESS"] + "/containers",
    json={"name": "miner", "template": "nodejs", "plan": "premium"},
    headers={"Authorization": "Bearer " + os.environ["STACKS_API_KEY"]},
    timeout=30,
).raise_for_status()
"""


@pytest.mark.parametrize("key", ["read", "full"])
def test_a_program_can_do_in_a_plan_what_its_key_can_do(
    shop: Deployment, emulator: Emulator, key: str
) -> None:
    program = shop.project / "__main__.py"
    program.write_text(program.read_text("utf-8") + SPENDS, encoding="utf-8")

    done = shop.plan(getattr(shop, key), ADDRESS=emulator.url)

    if key == "read":
        assert done.returncode == 1
        assert emulator.state.names() == []
    else:
        # No step of Pulumi is wrong. So the page gives plans a read-only key.
        assert done.returncode == 3, done.stdout + done.stderr
        assert emulator.state.names() == ["miner"]


def test_the_action_plans_and_applies(shop: Deployment, emulator: Emulator) -> None:
    document = yaml.safe_load(ACTION.read_text(encoding="utf-8"))
    defaults = {name: str(given.get("default", "")) for name, given in document["inputs"].items()}
    inputs = {
        **defaults,
        "gate": "gate",
        "gate-ref": "HEAD",
        "stack": "prod",
        "record": str(shop.runner.scratch / "r"),
    }
    results = []
    for command, key in (("plan", shop.read), ("apply", shop.full)):
        if command == "apply":
            shop.runner.artifacts["record"] = shop.runner.scratch / "r"
            inputs["approval"] = shop.approval()
        folder = shop.runner.checkout()
        values = {f"inputs.{name}": value for name, value in (inputs | {"command": command}).items()}
        runner = Runner(shop.repository, shop.runner.scratch, {**shop.env, "STACKS_API_KEY": key})
        results.append(runner.steps(document["runs"]["steps"], folder, folder / INSIDE, values))

    planned, applied = results
    assert (planned.code, planned.outputs) == (0, {"result": "needs-approval"}), planned.text
    assert "needs an approval" in planned.summary
    assert applied.code == 0, applied.text
    assert emulator.state.names() == ["shop", "shop-db", "shop-worker-0"]


def test_the_pipeline_of_gitlab_applies_what_a_person_approved(shop: Deployment, emulator: Emulator) -> None:
    folder = shop.runner.checkout()

    planned = shop.runner.script(GITLAB, "plan", {"STACKS_API_KEY": shop.read}, folder)
    assert planned.code == 3, planned.text
    shop.runner.artifacts["record"] = folder / INSIDE / "record"
    variables = {"STACKS_API_KEY": shop.full, "APPROVAL": shop.approval()}
    keyless = shop.runner.script(GITLAB, "apply", {**variables, "STACKS_API_KEY": ""}, folder)
    assert keyless.code != 0
    assert "STACKS_API_KEY: the environment production has no such variable" in keyless.text
    applied = shop.runner.script(GITLAB, "apply", variables, folder)

    assert applied.code == 0, applied.text
    assert emulator.state.names() == ["shop", "shop-db", "shop-worker-0"]


def test_the_gate_of_the_example_lacks_only_the_approvers(shop: Deployment) -> None:
    assert shop.gate("check", "--gate", "gate").returncode == 0

    shutil.copy(EXAMPLE / "gate" / "allowed_signers", shop.project / "gate" / "allowed_signers")
    done = shop.gate("check", "--gate", "gate")
    assert done.returncode == 2
    assert re.fullmatch(r"allowed_signers has no name, .*\n", done.stdout)
