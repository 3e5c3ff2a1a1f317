"""This repository's workflows and the one for users: pinned actions, and no secret in jobs that run a branch's code."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from stacks_pulumi.gate.start import pipeline

ROOT = Path(__file__).parents[2]
GATE = ROOT / "examples/gated_deployment/workflow.yml"
ACTION = ROOT / "action.yml"
GITLAB = ROOT / "examples/gated_deployment/gitlab-ci.yml"
WORKFLOWS = [*sorted((ROOT / ".github/workflows").glob("*.yml")), GATE]


def zizmor(*files: Path) -> subprocess.CompletedProcess[str]:
    """Run zizmor with every rule."""
    command = [str(Path(sys.executable).with_name("zizmor")), "--offline", "--persona=auditor"]
    options = ["--no-ignores", "--strict-collection", "--quiet", "--color=never"]
    return subprocess.run([*command, *options, *files], capture_output=True, text=True, check=False)


def jobs(workflow: Path) -> dict[str, Any]:
    """Return the jobs of a workflow."""
    found: dict[str, Any] = yaml.safe_load(workflow.read_text(encoding="utf-8"))["jobs"]
    return found


def steps(workflow: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each step with its job."""
    for name, job in jobs(workflow).items():
        for step in job["steps"]:
            yield name, step


def test_the_strictest_audit_finds_nothing(tmp_path: Path) -> None:
    with_a_broker = tmp_path / ".github/workflows/gate.yml"
    with_a_broker.parent.mkdir(parents=True)
    project = GATE.with_name("Pulumi.yaml")
    made = pipeline("github", project, top=ROOT, gate="https://broker:7823", stack="prod", install=["true"])
    (text,) = made.values()
    with_a_broker.write_text(text, encoding="utf-8")

    done = zizmor(*WORKFLOWS, ACTION, with_a_broker)

    assert len(WORKFLOWS) >= 4
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("before", "after", "finding"),
    [
        (r"actions/checkout@\w+ # v\S+", "actions/checkout@v4", "unpinned-uses"),
        (r"persist-credentials: false", "fetch-depth: 1", "artipacked"),
        (r"    environment: production\n", "", "secrets-outside-env"),
        (r"run: stacks-pulumi cost .*", "run: echo ${{ github.head_ref }}", "template-injection"),
    ],
)
def test_the_audit_would_find_a_mistake(before: str, after: str, finding: str, tmp_path: Path) -> None:
    (tmp_path / ".github/workflows").mkdir(parents=True)
    workflow = tmp_path / ".github/workflows/gate.yml"
    workflow.write_text(re.sub(before, after, GATE.read_text(encoding="utf-8")), encoding="utf-8")

    done = zizmor(workflow)

    assert done.returncode != 0
    assert finding in done.stdout


def test_every_action_is_one_commit_everywhere() -> None:
    used: dict[str, set[str]] = {}
    for workflow in WORKFLOWS:
        for line in re.findall(r"uses: (.+)$", workflow.read_text(encoding="utf-8"), re.MULTILINE):
            pinned = re.fullmatch(r"([\w.-]+/[\w./-]+)@([0-9a-f]{40} # v\d+\.\d+\.\d+)", line)
            assert pinned is not None, line
            used.setdefault(pinned[1], set()).add(pinned[2])

    assert len(used) >= 7
    assert {action: commits for action, commits in used.items() if len(commits) > 1} == {}


def test_a_pull_request_gets_nothing_of_production() -> None:
    environments = {name: job.get("environment") for name, job in jobs(GATE).items()}
    of_requests = {name for name, job in jobs(GATE).items() if "'pull_request'" in job["if"]}

    assert environments == {"preview": "preview", "comment": None, "plan": "plan", "apply": "production"}
    assert of_requests == {"preview", "comment"}
    # A pull request uses the gate of its base branch.
    (plan,) = [step for step in jobs(GATE)["preview"]["steps"] if "gate plan" in step.get("run", "")]
    assert 'git worktree add --detach "$base" "refs/remotes/origin/$BASE"' in plan["run"]
    assert '--gate "$base/examples/gated_deployment/gate"' in plan["run"]
    assert plan["env"]["BASE"] == "${{ github.base_ref }}"


def test_only_the_step_that_needs_a_secret_has_it() -> None:
    with_secrets = [(job, step.get("run")) for job, step in steps(GATE) if "secrets." in str(step.get("env"))]

    assert [job for job, _ in with_secrets] == ["preview", "plan", "apply"]
    assert all(command and "stacks-pulumi gate" in command for _, command in with_secrets)
    # No secret is above the steps, because every action would get it.
    text = GATE.read_text(encoding="utf-8")
    assert text.count("secrets.") == 2 * len(with_secrets)
    assert all("env" not in job for job in jobs(GATE).values())


def test_the_job_that_may_write_runs_nothing_of_the_branch() -> None:
    writers = {name for name, job in jobs(GATE).items() if "write" in job["permissions"].values()}

    assert writers == {"comment"}
    checkout = jobs(GATE)["comment"]["steps"][0]
    assert checkout["with"]["ref"] == "${{ github.event.pull_request.base.sha }}"
    assert not any("stacks-pulumi gate" in step.get("run", "") for step in jobs(GATE)["comment"]["steps"])


def test_the_pipelines_call_the_gate_in_the_same_way() -> None:
    gitlab = (GATE.parent / "gitlab-ci.yml").read_text(encoding="utf-8")
    parsed = yaml.safe_load(gitlab)

    assert {"preview", "comment", "plan", "apply"} <= parsed.keys()
    for file in (GATE.read_text(encoding="utf-8"), gitlab):
        assert "stacks-pulumi gate plan --gate gate --out change/change.json -s prod" in file
        assert "stacks-pulumi gate apply change/change.json --gate gate -s prod" in file
    assert parsed["plan"]["allow_failure"] == {"exit_codes": 3}


def test_packages_are_installed_with_hashes_where_no_secret_is() -> None:
    for workflow in WORKFLOWS:
        for job, step in steps(workflow):
            if "pip install" not in str(step.get("run")):
                continue
            assert "secrets." not in str((jobs(workflow)[job].get("env"), step.get("env"))), (workflow, job)
    installs = [step for _, step in steps(GATE) if "pip install" in str(step.get("run"))]
    assert len(installs) == len(jobs(GATE))
    for step in installs:
        first, second = step["run"].splitlines()
        assert "--require-hashes --only-binary :all: " in first
        assert "--no-index " in second


def test_the_job_of_gitlab_that_installs_packages_is_of_no_environment() -> None:
    document = yaml.safe_load(GITLAB.read_text(encoding="utf-8"))
    found = {name: job for name, job in document.items() if isinstance(job, dict)}

    installing = {name for name, job in found.items() if "pip" in str(job)}
    assert installing == {"packages"}
    assert "environment" not in found["packages"]
    # So each variable with a secret belongs to an environment.
    assert [name for name, job in found.items() if "environment" not in job] == [".gate", "packages"]
    assert all(isinstance(line, str) for line in found["packages"]["script"])
    (environment,) = found["packages"]["artifacts"]["paths"]
    assert environment.endswith("/.venv")
    assert "packages" in found["apply"]["needs"]


FAKE_PIP = """#!/bin/sh
echo "pip $*" >>"$HOME/log"
env >>"$HOME/log"
# What its parent had when it began is there for everybody of this user.
[ ! -r /proc/$PPID/environ ] || tr '\\0' '\\n' </proc/$PPID/environ >>"$HOME/log"
"""


def test_the_action_installs_with_hashes_and_without_the_keys_of_its_step(tmp_path: Path) -> None:
    pip = tmp_path / "bin/pip"
    pip.parent.mkdir()
    pip.write_text(FAKE_PIP, encoding="utf-8")
    pip.chmod(0o755)
    step = yaml.safe_load(ACTION.read_text(encoding="utf-8"))["runs"]["steps"][0]
    given = {
        "HOME": str(tmp_path),
        "PATH": f"{pip.parent}:/usr/bin:/bin",
        "GITHUB_ACTION_PATH": "/an action",
        "PIP_INDEX_URL": "https://example.com",
        "LD_LIBRARY_PATH": "/python/lib",
    }
    keys = dict.fromkeys(("STACKS_API_KEY", "PULUMI_ACCESS_TOKEN", "AWS_SECRET_ACCESS_KEY", "ANY"), "hunter2")

    command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]]
    subprocess.run(command, env={**given, **keys}, check=True, cwd=tmp_path)

    log = (tmp_path / "log").read_text(encoding="utf-8")
    assert [line for line in log.splitlines() if line.startswith("pip ")] == [
        "pip install --require-hashes --only-binary :all: -r /an action/stacks_pulumi/commands/packages.lock",
        "pip install --no-index --no-build-isolation /an action[policy,cli,broker]",
    ]
    assert log.count("PIP_INDEX_URL=https://example.com") >= 2
    assert log.count("LD_LIBRARY_PATH=/python/lib") >= 2
    assert "hunter2" not in log
