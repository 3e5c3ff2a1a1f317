"""Runs the steps of a GitHub Actions workflow, of an action, and of a GitLab pipeline on this machine."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

_EXPRESSION = re.compile(r"\$\{\{ ([\w.-]+) \}\}")
_UPLOAD, _DOWNLOAD = "actions/upload-artifact", "actions/download-artifact"


def git(folder: Path, *words: str) -> str:
    """Run git in a folder; return its output."""
    identity = ("-c", "user.name=Ann", "-c", "user.email=ann@example.com")
    command = ["git", "-C", str(folder), *identity, *words]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


@dataclass(frozen=True)
class Job:
    """
    A job that ran.

    Attributes:
        code: The exit code of the first step that failed, or 0.
        text: What the steps printed.
        outputs: The outputs of its steps.
        summary: The text that it wrote into the summary.
        folder: Its checkout.
    """

    code: int
    text: str
    outputs: Mapping[str, str]
    summary: str
    folder: Path


@dataclass
class Runner:
    """
    A machine that runs jobs, each in a new checkout.

    Attributes:
        repository: The repository.
        scratch: The folder of checkouts and artifacts.
        env: The variables of every step.
        artifacts: The artifacts, by name.
    """

    repository: Path
    scratch: Path
    env: Mapping[str, str]
    artifacts: dict[str, Path] = field(default_factory=dict)
    _jobs: int = 0

    def checkout(self, branch: str = "main") -> Path:
        """Return a new clone of the repository."""
        self._jobs += 1
        folder = self.scratch / f"job-{self._jobs}"
        git(self.scratch, "clone", "-q", str(self.repository), str(folder))
        git(folder, "checkout", "-q", branch)
        return folder

    def job(self, workflow: Path, name: str, values: Mapping[str, str], branch: str = "main") -> Job:
        """
        Run a job of a workflow.

        Args:
            workflow: The file.
            name: The job's name.
            values: The values of expressions: `secrets.STACKS_API_KEY`, `inputs.signatures` ...
            branch: The branch to check out.
        """
        document = yaml.safe_load(workflow.read_text(encoding="utf-8"))
        checkout = self.checkout(branch)
        where = checkout / document["defaults"]["run"]["working-directory"]
        return self.steps(document["jobs"][name]["steps"], checkout, where, values)

    def steps(
        self, steps: list[dict[str, Any]], checkout: Path, where: Path, values: Mapping[str, str]
    ) -> Job:
        """Run steps in a checkout; packages are already installed."""
        output, summary = (self.scratch / f"{checkout.name}-{name}" for name in ("output", "summary"))
        for file in (output, summary):
            file.write_text("", encoding="utf-8")
        printed, code = "", 0
        for step in steps:
            condition = str(step.get("if", ""))
            if (code and condition != "always()") or (
                condition == "inputs.signatures" and not values.get(condition)
            ):
                continue
            self._artifact(step, checkout)
            lines = step.get("run", "").splitlines(keepends=True)
            # The packages from pip are already installed; the packages of Node.js are not.
            run = "".join(line for line in lines if not line.startswith("pip install"))
            if not run:
                continue
            given = {name: _filled(str(value), values) for name, value in step.get("env", {}).items()}
            env = {**self.env, **given, "GITHUB_OUTPUT": str(output), "GITHUB_STEP_SUMMARY": str(summary)}
            done = _shell(run, where, env)
            printed += done.stdout + done.stderr
            code = code or done.returncode
        lines = output.read_text(encoding="utf-8").splitlines()
        outputs = dict(line.split("=", 1) for line in lines)
        return Job(code, printed, outputs, summary.read_text(encoding="utf-8"), checkout)

    def script(self, pipeline: Path, name: str, variables: Mapping[str, str], checkout: Path) -> Job:
        """Run the script of a GitLab job in a checkout."""
        document = yaml.safe_load(pipeline.read_text(encoding="utf-8"))
        text = "\n".join([*document[".gate"]["before_script"], *document[name]["script"]])
        done = _shell(text, checkout, {**self.env, **variables})
        return Job(done.returncode, done.stdout + done.stderr, {}, "", checkout)

    def _artifact(self, step: dict[str, Any], checkout: Path) -> None:
        action, given = str(step.get("uses", "")).partition("@")[0], step.get("with", {})
        if action == _UPLOAD:
            source = checkout / given["path"]
            kept = self.scratch / f"artifact-{given['name']}"
            shutil.rmtree(kept, ignore_errors=True)
            if source.is_dir():
                shutil.copytree(source, kept)
            elif source.is_file():
                kept.mkdir()
                shutil.copy(source, kept)
            self.artifacts[given["name"]] = kept
        elif action == _DOWNLOAD:
            shutil.copytree(self.artifacts[given["name"]], checkout / given["path"])


def _filled(text: str, values: Mapping[str, str]) -> str:
    return _EXPRESSION.sub(lambda found: values.get(found[1], ""), text)


def _shell(text: str, folder: Path, env: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", text]
    return subprocess.run(command, cwd=folder, env=dict(env), capture_output=True, text=True, check=False)
