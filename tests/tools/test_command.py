"""The command as a user runs it, on a machine whose only way to an engine is a fake `go`."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.waiting import until
from tests.tools.fake_executables import executable
from tools.engine import build, ensure, pins
from tools.engine.engine import Engine, is_executable, load

SCRIPT = Path(ensure.__file__)

FAKE_GO = """#!/bin/sh
case "$1" in
list) echo "{module}" ;;
build)
    while [ "$1" != -o ]; do shift; done
    printf '#!/bin/sh\\necho v{version}\\n' > "$2"
    chmod +x "$2" ;;
esac
"""

STUCK_GO = """#!/bin/sh
touch "{started}"
exec sleep 60
"""


@pytest.fixture
def tool(tmp_path: Path) -> Callable[..., subprocess.Popen[str]]:
    """Start the tool as a user does, on a machine with only a fake `go` that contains the given script."""
    module = tmp_path / "module"
    for script in build.SCRIPTS:
        (module / script).parent.mkdir(parents=True, exist_ok=True)
        (module / script).write_text("#!/bin/sh\n", encoding="utf-8")
    bin_folder = tmp_path / "bin"

    def start(go: str, *arguments: str) -> subprocess.Popen[str]:
        version = pins.OLDEST if "--oldest" in arguments else pins.VERSION
        executable(bin_folder / "go", go.format(module=module, version=version, started=tmp_path / "started"))
        for name in ("sh", "chmod", "touch", "sleep"):
            command = shutil.which(name, path=os.defpath)
            if command and not (bin_folder / name).exists():
                (bin_folder / name).symlink_to(command)
        env = {
            "HOME": str(tmp_path / "home"),
            "PATH": str(bin_folder),
            # No server listens there, so the download of the official release fails immediately.
            "https_proxy": "http://127.0.0.1:9",
        }
        return subprocess.Popen(
            [sys.executable, SCRIPT, *arguments],
            env=env,
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    return start


def test_the_tool_prints_only_the_folder(tool: Callable[..., subprocess.Popen[str]], tmp_path: Path) -> None:
    home = tmp_path / "home" / ".cache" / "stacks-pulumi" / "engine" / pins.VERSION

    out, err = (first := tool(FAKE_GO, "--python")).communicate()

    assert (first.returncode, out) == (0, f"{home / 'bin'}\n"), err
    assert not (home / "bin" / pins.YAML_HOST).exists()
    told = err.splitlines()
    assert told[0].startswith("engine: no checksum is pinned for the official release")
    assert told[1].startswith(
        f"engine: building pulumi {pins.VERSION} with Go; this is done once and takes about 4 minutes"
    )
    assert Engine(home / "bin", pins.VERSION, "built") == load(home)

    out, err = tool(FAKE_GO).communicate()

    assert out == f"{home / 'bin'}\n"
    assert is_executable(home / "bin" / pins.YAML_HOST), err

    out, err = tool("#!/bin/sh\nexit 1\n").communicate()

    assert (out, err) == (f"{home / 'bin'}\n", "")


def test_check_builds_nothing(tool: Callable[..., subprocess.Popen[str]], tmp_path: Path) -> None:
    out, err = (process := tool(FAKE_GO, "--check")).communicate()

    assert (process.returncode, out, err) == (
        1,
        "",
        "engine: no engine found: `make engine` installs or builds one.\n",
    )
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_after_a_kill_the_next_run_starts_clean(
    tool: Callable[..., subprocess.Popen[str]], tmp_path: Path, number: signal.Signals
) -> None:
    cache = tmp_path / "home" / ".cache" / "stacks-pulumi" / "engine"
    process = tool(STUCK_GO)
    until((tmp_path / "started").exists, alive=lambda: process.poll() is None)
    os.killpg(process.pid, number)
    out, err = process.communicate()

    assert process.returncode == (130 if number == signal.SIGINT else -number)
    assert out == ""
    assert (number == signal.SIGINT) == ("interrupted; the partial files were removed" in err)
    assert load(cache / pins.VERSION) is None

    out, err = tool(FAKE_GO).communicate()

    assert out == f"{cache / pins.VERSION / 'bin'}\n", err
    assert [pins.VERSION, f"{pins.VERSION}.lock", f"{pins.VERSION}.log"] == sorted(
        path.name for path in cache.iterdir()
    )
