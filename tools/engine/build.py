"""The third way: build the engine from Go modules, which needs only a Go module proxy."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from tools.engine import pins
from tools.engine.engine import Engine, EngineUnavailableError, is_executable
from tools.engine.lock import alone, made
from tools.engine.run import CommandFailedError, run
from tools.engine.say import say

SDK = "github.com/pulumi/pulumi/sdk/v3"
CLI_PACKAGE = "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi"
HOST_PACKAGE = f"{SDK}/python/cmd/{pins.LANGUAGE_HOST}"
YAML_PACKAGE = f"github.com/pulumi/pulumi-yaml/cmd/{pins.YAML_HOST}"
SCRIPTS = (f"python/cmd/{pins.LAUNCHER}", f"python/dist/{pins.DYNAMIC_PROVIDER}")

# The official Go package installs Go here without changing PATH.
USUAL_GO = ("/usr/local/go/bin/go",)

INSTALL_GO = "install Go 1.26 or newer"
INSTALL_PULUMI = "install Pulumi (https://www.pulumi.com/docs/install/) so that `pulumi` is on PATH"

OLD_GO = re.compile(r"requires go >=|invalid go version|unknown directive|toolchain not available")
MISSING = re.compile(r": 4(?:04|10) |unknown revision|no matching versions")
NO_NETWORK = re.compile(
    r"dial tcp|no such host|i/o timeout|connection re(?:fused|set)|TLS handshake|deadline exceeded"
    r"|lookup disabled|network is unreachable|proxyconnect|unexpected EOF|: 50[234] "
)


def build(root: Path, version: str, log: Path) -> None:
    """
    Build a pinned engine into `root`/bin.

    Raises:
        EngineUnavailableError: Go is missing or too old, the modules are not available, or a build fails.
    """
    go = find_go()
    say(
        f"building pulumi {version} with Go; this is done once and takes about 4 minutes "
        "and 3 GB of disk, 1.7 GB of it in Go's module cache."
    )
    folder = root / "bin"
    folder.mkdir(parents=True, exist_ok=True)
    try:
        module = pins.ENGINES[version]
        compile_binary(go, module, CLI_PACKAGE, folder / pins.CLI, log=log, stamp=version)
        compile_binary(go, "language_host", HOST_PACKAGE, folder / pins.LANGUAGE_HOST, log=log)
        copy_scripts(go, module, folder, log)
    except CommandFailedError as error:
        raise EngineUnavailableError(explain(error.output, log)) from None
    shutil.rmtree(object_files(log), ignore_errors=True)


def add_yaml_host(engine: Engine) -> None:
    """
    Add the language host for YAML to a built engine that has none.

    Other checkouts use the same engine, so the file is added atomically. Programs in Python run without it: a failure
    is reported, but is not an error.
    """
    target = engine.bin / pins.YAML_HOST
    if engine.origin != "built" or is_executable(target):
        return
    log = pins.cache() / f"{engine.version}.log"
    work = target.with_name(f".making-{target.name}")
    try:
        with alone(pins.cache() / f"{engine.version}.lock", "building the language host for YAML"):
            if not is_executable(target):
                _make_yaml_host(work, log)
                work.rename(target)
    except (CommandFailedError, EngineUnavailableError, OSError) as error:
        problem = explain(error.output, log) if isinstance(error, CommandFailedError) else str(error)
        say(f"programs in YAML do not run, because their language host is missing: {problem}")


def _make_yaml_host(work: Path, log: Path) -> None:
    # The oldest engine may have the same file, and earlier versions of this tool kept it in a different folder.
    kept = (
        pins.home(pins.OLDEST) / "bin" / pins.YAML_HOST,
        pins.cache() / f"yaml-host-{pins.YAML_VERSION}" / pins.YAML_HOST,
    )
    try:
        for file in filter(is_executable, kept):
            shutil.copy(file, work)
            return
        say(
            f"building {pins.YAML_HOST} {pins.YAML_VERSION} with Go; this is done once and takes about 3 minutes."
        )
        compile_binary(find_go(), "yaml_host", YAML_PACKAGE, work, log=log)
        shutil.rmtree(object_files(log), ignore_errors=True)
    except BaseException:
        work.unlink(missing_ok=True)
        raise


def built_once(
    name: str, sources: Sequence[Path], make: Callable[[Path, Path], None], *, what: str, needs: str
) -> Path:
    """
    Return the cache folder with the result of a build, which runs on first use and after a change of a source.

    Args:
        name: The prefix of the folder's name.
        sources: The files that determine the result.
        make: Fills an empty folder; its second argument is the log.
        what: What is built, for messages.
        needs: The time and the disk space that the build needs, for a message.

    Raises:
        EngineUnavailableError: The result does not exist and cannot be built.
    """
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()[:12]
    folder = pins.cache() / f"{name}-{digest}"
    with alone(pins.cache() / f"{name}.lock", f"building {what}"):
        if folder.is_dir():
            return folder
        say(f"building {what} with Go; this is done once and takes {needs}.")
        started, log = time.monotonic(), pins.cache() / f"{folder.name}.log"
        log.write_bytes(b"")
        try:
            with made(folder) as work:
                make(work, log)
        except CommandFailedError as error:
            raise EngineUnavailableError(explain(error.output, log)) from None
        shutil.rmtree(object_files(log), ignore_errors=True)
        say(f"building {what} took {time.monotonic() - started:.0f} s.")
    return folder


def find_go() -> str:
    """
    Return the Go command.

    Raises:
        EngineUnavailableError: Go is not installed.
    """
    for candidate in ("go", *USUAL_GO):
        go = shutil.which(candidate)
        if go is not None:
            return go
    message = (
        "there is no Pulumi engine here, the official release cannot be used, and Go is not installed to build one: "
        f"{INSTALL_PULUMI}, or {INSTALL_GO}, and run this again."
    )
    raise EngineUnavailableError(message)


def compile_binary(
    go: str,
    module: str,
    package: str,
    target: Path,
    *,
    log: Path,
    stamp: str = pins.VERSION,
    options: Sequence[str] = (),
) -> None:
    """Compile one package of a pinned module; without the version stamp, `pulumi version` prints nothing."""
    # -s -w: without debug information the engine is a third smaller.
    linked = f"-s -w -X {SDK}/go/common/version.Version=v{stamp}"
    usual = ["-mod=readonly", "-buildvcs=false", "-trimpath", "-ldflags", linked]
    command = [go, "build", *usual, *options, "-o", str(target), package]
    run(f"building {target.name}", command, cwd=pins.MODULES / module, env=environment(log), log=log)


def environment(log: Path) -> dict[str, str]:
    """Return Go's environment: without a C compiler, and without workspace files above the checkout."""
    return {**os.environ, "CGO_ENABLED": "0", "GOWORK": "off", "GOCACHE": str(object_files(log))}


def object_files(log: Path) -> Path:
    """
    Return the folder of Go's object files, from which an interrupted build continues.

    Each builder has its own folder and removes it after the build, while another builder may still use its own.
    """
    return log.with_suffix(".go-build")


def copy_scripts(go: str, module: str, folder: Path, log: Path) -> None:
    """Copy the two scripts from the SDK's module, which the build has just downloaded."""
    command = [go, "list", "-mod=readonly", "-m", "-f", "{{.Dir}}", SDK]
    answer = run("finding scripts", command, cwd=pins.MODULES / module, env=environment(log), log=log)
    sdk = Path(answer.splitlines()[-1])
    for script in SCRIPTS:
        target = folder / Path(script).name
        # Copy only the content: files in the module cache are read-only and may not be executable.
        shutil.copyfile(sdk / script, target)
        target.chmod(0o755)


def explain(output: str, log: Path) -> str:
    """
    Return one sentence with the next step for an output of Go.

    The output stays in the log, because it names hosts that do not help the user.
    """
    if OLD_GO.search(output):
        return (
            f"this Go is too old to build the engine: {INSTALL_GO}, or {INSTALL_PULUMI}, and run this again."
        )
    if MISSING.search(output):
        return (
            f"a module of the engine is missing at GOPROXY, and Go's output is in {log}: {INSTALL_PULUMI}, "
            "and run this again."
        )
    if NO_NETWORK.search(output):
        return (
            "Go cannot download the engine's modules: check the network (or GOPROXY) and run this again, "
            f"or {INSTALL_PULUMI}."
        )
    return f"building the engine failed, and Go's output is in {log}: {INSTALL_PULUMI}, and run this again."
