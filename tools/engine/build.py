"""The third way: building the engine from Go's module proxy."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

from tools.engine import pins
from tools.engine.engine import EngineUnavailableError
from tools.engine.run import CommandFailedError, run
from tools.engine.say import say

SDK = "github.com/pulumi/pulumi/sdk/v3"
CLI_PACKAGE = "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi"
HOST_PACKAGE = f"{SDK}/python/cmd/pulumi-language-python"
SCRIPTS = (f"python/cmd/{pins.LAUNCHER}", f"python/dist/{pins.DYNAMIC_PROVIDER}")

USUAL_GO = ("/usr/local/go/bin/go", "/opt/homebrew/bin/go")

OTHERWISE = (
    "install Pulumi (https://www.pulumi.com/docs/install/) so that `pulumi` is on PATH, and run this again"
)

OLD_GO = re.compile(r"requires go >=|invalid go version|unknown directive|toolchain not available")
NO_NETWORK = re.compile(
    r"dial tcp|no such host|i/o timeout|connection re(?:fused|set)|TLS handshake|deadline exceeded"
    r"|lookup disabled|network is unreachable|unexpected EOF|\b50[234] "
)


def build(root: Path, log: Path) -> None:
    """
    Build the pinned engine into `root`/bin.

    Raises:
        EngineUnavailableError: There is no Go, Go is too old, its modules cannot be had, or a build fails.
    """
    go = find_go()
    folder = root / "bin"
    folder.mkdir(parents=True, exist_ok=True)
    say(f"building pulumi {pins.VERSION} with Go; the first time this takes about 4 minutes and 1.4 GB of Go's module cache.")
    flags = f"-s -w -X {SDK}/go/common/version.Version=v{pins.VERSION}"
    try:
        compile_binary(go, "cli", CLI_PACKAGE, folder / pins.CLI, flags, log)
        compile_binary(go, "language_host", HOST_PACKAGE, folder / pins.LANGUAGE_HOST, "-s -w", log)
    except CommandFailedError as error:
        raise EngineUnavailableError(explain(error.output, log)) from None
    copy_scripts(go, folder)


def find_go() -> str:
    """
    Return the Go command.

    Raises:
        EngineUnavailableError: There is none.
    """
    go = shutil.which("go") or next((path for path in USUAL_GO if shutil.which(path)), None)
    if go is None:
        message = f"no Pulumi engine, no way to download one, and no Go to build one: {OTHERWISE}; or install Go 1.25 or newer."
        raise EngineUnavailableError(message)
    return go


def compile_binary(go: str, module: str, package: str, target: Path, flags: str, log: Path) -> None:
    """Compile one package of one pinned module."""
    what = "building the engine" if module == "cli" else "building the Python language host"
    command = [go, "build", "-mod=readonly", "-buildvcs=false", "-trimpath", "-ldflags", flags, "-o", str(target), package]
    run(what, command, cwd=pins.MODULES / module, env=environment(), log=log)


def environment() -> dict[str, str]:
    """Return the environment for Go: no C compiler needed, and no workspace file above the checkout obeyed."""
    return {**os.environ, "CGO_ENABLED": "0", "GOWORK": "off"}


def copy_scripts(go: str, folder: Path) -> None:
    """Copy the two scripts that ship inside the SDK's module, which the build has just downloaded."""
    answer = subprocess.run(
        [go, "list", "-mod=readonly", "-m", "-f", "{{.Dir}}", SDK],
        cwd=pins.MODULES / "cli",
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    module = Path(answer.stdout.strip())
    for script in SCRIPTS:
        target = folder / Path(script).name
        # Not `copy`: files of the module cache are read-only and may lack the run bit.
        shutil.copyfile(module / script, target)
        target.chmod(0o755)


def explain(output: str, log: Path) -> str:
    """
    Turn Go's output into one sentence with the next step.

    The output itself stays in the log: it may name hosts that are nobody's business.
    """
    if OLD_GO.search(output):
        return f"this Go is too old to build the engine: install Go 1.25 or newer; or {OTHERWISE}."
    if NO_NETWORK.search(output):
        return f"Go cannot download the engine's modules: check the network or GOPROXY and run this again; or {OTHERWISE}."
    return f"the build of the engine failed ({log} has Go's output): {OTHERWISE}."
