"""
A second cloud: Pulumi's Kubernetes provider with its SDK for Python, and an API server of Kubernetes with etcd.

    python tools/engine/kubernetes.py      build everything, and print the two folders

They are built from Go modules, whose checksums are pinned in `modules`.
"""

from __future__ import annotations

import json
import re
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

if not __package__:
    # If Python runs this script, it puts this folder first on the path, and its modules could hide other modules.
    sys.path[0] = str(Path(__file__).resolve().parents[2])

from tools.engine import pins
from tools.engine.build import built_once, compile_binary, environment, find_go
from tools.engine.engine import EngineUnavailableError
from tools.engine.run import run
from tools.engine.say import say

PROVIDER: Final = "kubernetes_provider"
PROVIDER_MODULE: Final = "github.com/pulumi/pulumi-kubernetes/provider/v4"
EMBEDDED: Final = ("schema.json", "terraform-mapping.json")
"""The files of the module that the provider embeds."""
API_SERVER: Final = "api_server"
API_SERVER_PACKAGES: Final = {
    "etcd": "go.etcd.io/etcd/server/v3",
    "kube-apiserver": "k8s.io/kubernetes/cmd/kube-apiserver",
}
SDK: Final = Path(__file__).resolve().parents[1] / "locks" / "kubernetes.txt"


@dataclass(frozen=True)
class Kubernetes:
    """
    The provider with its SDK.

    Attributes:
        root: Their folder.
    """

    root: Path

    @property
    def plugin(self) -> Path:
        """Return the folder of the provider, in the layout of the engine's plugin folders."""
        return self.root / f"resource-kubernetes-v{version()}"

    @property
    def sdk(self) -> Path:
        """Return the folder of the SDK for Python."""
        return self.root / "python"


def version() -> str:
    """Return the version of the provider and of its SDK, which are released together."""
    (found,) = re.findall(r"^pulumi-kubernetes==(\S+)", SDK.read_text(encoding="utf-8"), re.MULTILINE)
    return str(found)


def kubernetes() -> Kubernetes:
    """
    Return the provider and its SDK, which are built on first use.

    Raises:
        EngineUnavailableError: The files do not exist and cannot be built.
    """
    sources = [SDK, *sorted((pins.MODULES / PROVIDER).iterdir())]
    needs = "about 7 minutes and 3 GB of disk, 1 GB of it afterwards"
    return Kubernetes(built_once(PROVIDER, sources, _make, what="Pulumi's Kubernetes provider", needs=needs))


def api_server() -> Path:
    """
    Return the folder of `kube-apiserver` and `etcd`, which are built on first use.

    Raises:
        EngineUnavailableError: The files do not exist and cannot be built.
    """

    def make(folder: Path, log: Path) -> None:
        for name, package in API_SERVER_PACKAGES.items():
            compile_binary(find_go(), API_SERVER, package, folder / name, log=log)

    sources = sorted((pins.MODULES / API_SERVER).iterdir())
    return built_once(
        API_SERVER,
        sources,
        make,
        what="Kubernetes's API server and etcd",
        needs="about 7 minutes and 3 GB of disk, 140 MB afterwards",
    )


def _make(root: Path, log: Path) -> None:
    """Build the provider from a copy of our module with the files that the provider embeds."""
    go, source, target = find_go(), root / "source", Kubernetes(root)
    shutil.copytree(pins.MODULES / PROVIDER, source)
    where = [go, "list", "-mod=readonly", "-m", "-f", "{{.Dir}}", PROVIDER_MODULE]
    for command in ([go, "mod", "download", PROVIDER_MODULE], where):
        answer = run("downloading its module", command, cwd=source, env=environment(log), log=log)
    module = Path(answer.splitlines()[-1]) / "cmd" / "pulumi-resource-kubernetes"
    for name in EMBEDDED:
        # Like the release: without white space, and with the version in the schema.
        content = json.loads((module / name).read_text(encoding="utf-8"))
        if name == "schema.json":
            content["version"] = version()
        (source / name).write_text(json.dumps(content, separators=(",", ":")), encoding="utf-8")
    (source / "version.txt").write_text(version(), encoding="utf-8")
    compile_binary(go, str(source), ".", target.plugin / "pulumi-resource-kubernetes", log=log)
    shutil.rmtree(source)
    # The environment of the tests has the packages that the SDK needs.
    options = ["--quiet", "--disable-pip-version-check", "--require-hashes", "--no-deps"]
    command = [
        sys.executable,
        "-m",
        "pip",
        "install",
        *options,
        f"--target={target.sdk}",
        f"--requirement={SDK}",
    ]
    run("installing its SDK", command, cwd=root, env=environment(log), log=log)


if __name__ == "__main__":
    try:
        print(kubernetes().root, api_server(), sep="\n")
    except EngineUnavailableError as error:
        say(str(error))
        sys.exit(1)
