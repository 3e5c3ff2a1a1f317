"""The page about teams, followed literally: a host with the broker, two machines, and the states in a bucket."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import pytest
import yaml

from stacks_pulumi.emulator import Emulator
from tests.support.backends import Backend, s3
from tests.support.pipelines import git
from tests.support.stack import Stack
from tools.engine.ensure import ensure

pytestmark = [pytest.mark.extra, pytest.mark.slow]

PAGE: Final = Path(__file__).parents[2] / "docs/team.md"
PROGRAM: Final = 'import stacks_pulumi as stacks\n\nstacks.Container("web", template="nodejs")\n'


@pytest.fixture
def backend() -> Iterator[Backend]:
    with s3(0.05) as running:
        yield running


class Machine:
    """
    A machine with a home, a folder, and a shell into which commands are pasted.

    Args:
        folder: A folder for it.
        variables: The variables of its shell.
    """

    def __init__(self, folder: Path, variables: Mapping[str, str]) -> None:
        self.home = folder / "home"
        self.home.mkdir(parents=True)
        self.at = folder
        self.env = {**variables, "HOME": str(self.home), "PULUMI_HOME": str(self.home / ".pulumi")}

    def clone(self, repository: Path) -> None:
        """Clone the project and change to its folder."""
        git(self.at, "clone", "-q", str(repository), "shop")
        self.at /= "shop"

    def paste(self, text: str) -> str:
        """Return the output of commands. The next commands see their exported variables."""
        done = subprocess.run(
            ["bash", "-c", f"{text}\ncode=$?\nenv -0 >{self.home}/env\nexit $code"],
            cwd=self.at,
            env=self.env,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        pairs = (self.home / "env").read_text(encoding="utf-8").split("\0")
        self.env = dict(pair.split("=", 1) for pair in pairs if "=" in pair)
        return done.stdout


def test_a_change_goes_from_nothing_to_the_account(
    backend: Backend, emulator: Emulator, tmp_path: Path
) -> None:
    host_of, grant, init, plan, apply, pipeline, nightly = re.findall(
        r"```sh\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL
    )
    shell = {**Stack(tmp_path / "stack", ensure().bin, {}).env}
    for name in ("PULUMI_BACKEND_URL", "PULUMI_CONFIG_PASSPHRASE"):
        del shell[name]
    host, ann, job = (Machine(tmp_path / name, shell) for name in ("host", "ann", "job"))
    ann.paste("mkdir ~/.ssh && ssh-keygen -q -t ed25519 -N '' -f ~/.ssh/id_ed25519")
    shutil.copy(ann.home / ".ssh/id_ed25519.pub", host.at / "ann.pub")

    # The broker's host. Its platform is the emulator.
    setup, serve = host_of.rsplit("STACKS_API_KEY=", 1)
    host.paste(setup)
    settings = yaml.safe_load((host.at / "broker/gate.yaml").read_text(encoding="utf-8"))
    settings |= {"base_url": emulator.url, "listen": "127.0.0.1:0"}
    (host.at / "broker/gate.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    words = serve.partition(" ")[2].split()
    assert words == ["stacks-pulumi", "broker", "serve", "broker"]
    broker = subprocess.Popen(
        [sys.executable, "-m", "stacks_pulumi", *words[1:]],
        cwd=host.at,
        env={**host.env, "STACKS_API_KEY": emulator.key},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        assert broker.stdout is not None
        lines = iter(broker.stdout)
        # The broker prints its address when it listens.
        address = next(found[0] for line in lines if (found := re.search(r"http://127\.0\.0\.1:\d+", line)))
        token = re.findall(r"sk_stacks_\w+", host.paste(grant))[-1]
        own = {
            "https://broker.example.com:7823": address,
            "s3://states?region=eu-central-1": backend.url,
            "AWS_ACCESS_KEY_ID=...": f"AWS_ACCESS_KEY_ID='{backend.variables['AWS_ACCESS_KEY_ID']}'",
            "AWS_SECRET_ACCESS_KEY=...": f"AWS_SECRET_ACCESS_KEY='{backend.password}'",
            "PULUMI_CONFIG_PASSPHRASE=...": "PULUMI_CONFIG_PASSPHRASE=shared",
            "STACKS_API_KEY=...": f"STACKS_API_KEY={token}",
        }

        def with_own(text: str) -> str:
            for shown, real in own.items():
                text = text.replace(shown, real)
            return text

        # The project, for which ann creates the stack.
        (tmp_path / "shop").mkdir()
        git(tmp_path / "shop", "init", "-q", "-b", "main")
        for name, text in {"Pulumi.yaml": "name: shop\nruntime: python\n", "__main__.py": PROGRAM}.items():
            (tmp_path / "shop" / name).write_text(text, encoding="utf-8")
        git(tmp_path / "shop", "add", "--all")
        git(tmp_path / "shop", "commit", "-qm", "The shop")
        ann.clone(tmp_path / "shop")
        ann.paste("git config user.name Ann; git config user.email ann@example.com")
        ann.paste(with_own(init))
        job.clone(ann.at)

        ann.paste(with_own(plan))
        shutil.copy(ann.at / "change.json", job.at)
        job.paste("\n".join(line for line in with_own(init).splitlines() if line.startswith("export ")))
        assert "STACKS_API_KEY" not in job.env
        job.paste(with_own(apply))
        assert emulator.state.names() == ["web"]

        ann.paste(with_own(pipeline))
        assert "secrets.AWS_SECRET_ACCESS_KEY" in (ann.at / ".github/workflows/gate.yml").read_text(
            encoding="utf-8"
        )
        ann.paste(nightly)
        report = json.loads((ann.at / "account.json").read_text(encoding="utf-8"))
        assert [(one["name"], one["ownership"]) for one in report["containers"]] == [("web", "owned")]
    finally:
        broker.terminate()
        broker.communicate()
