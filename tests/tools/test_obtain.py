"""Install or build an engine: the choice, interruptions, and messages."""

from __future__ import annotations

import hashlib
import io
import os
import platform
import re
import subprocess
import sys
import tarfile
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.waiting import never
from tests.tools.fake_executables import engine_in, executable, make_engine
from tools.engine import build, ensure, installer, pins
from tools.engine.engine import Engine, EngineUnavailableError, record
from tools.engine.lock import alone
from tools.engine.run import CommandFailedError, run

MACHINE = ("Linux", "x86_64")


def release(version: str, place: str = "pulumi") -> bytes:
    """Return an archive with an engine of a version."""
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w:gz") as archive:
        for name in (pins.CLI, *pins.COMPANIONS):
            script = f"#!/bin/sh\necho v{version}\n".encode()
            member = tarfile.TarInfo(f"{place}/{name}")
            member.size = len(script)
            archive.addfile(member, io.BytesIO(script))
    return written.getvalue()


@pytest.fixture
def offer(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Offer an archive as the release of the oldest engine, by default with the pinned checksum."""

    def offer(archive: bytes, pinned: bytes | None = None) -> None:
        asked = "linux.tar.gz", hashlib.sha256(archive if pinned is None else pinned).hexdigest()
        monkeypatch.setattr(pins, "RELEASES", {pins.OLDEST: {MACHINE: asked}})
        monkeypatch.setattr(platform, "system", lambda: MACHINE[0])
        monkeypatch.setattr(platform, "machine", lambda: MACHINE[1])
        monkeypatch.setattr(installer, "download", {f"{pins.address(pins.OLDEST)}/linux.tar.gz": archive}.get)
        monkeypatch.setattr(ensure, "build", make_engine)

    return offer


@pytest.mark.parametrize("place", ["pulumi", "pulumi/bin", "../../.."])
def test_the_release_is_preferred_to_building(cache: Path, offer: Callable[..., None], place: str) -> None:
    offer(release(pins.OLDEST, place))

    assert Engine(cache / pins.OLDEST / "bin", pins.OLDEST, "installer") == ensure.ensure_oldest()
    assert sorted(path.name for path in (cache / pins.OLDEST).iterdir()) == ["bin", "engine.json"]


def test_a_download_with_another_checksum_is_not_unpacked(
    cache: Path,
    offer: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    offer(release(pins.OLDEST), pinned=b"the release")
    unpacked: list[object] = []
    monkeypatch.setattr(installer, "unpack", lambda *arguments: unpacked.append(arguments))

    assert Engine(cache / pins.OLDEST / "bin", pins.OLDEST, "built") == ensure.ensure_oldest()
    assert unpacked == []
    assert "has a different checksum than the pinned release, so it is not used" in capsys.readouterr().err


@pytest.mark.parametrize(("version", "machine"), [("1.2.3", MACHINE[1]), (pins.OLDEST, "riscv64")])
def test_without_a_release_that_runs_on_the_machine_the_engine_is_built(
    cache: Path, offer: Callable[..., None], monkeypatch: pytest.MonkeyPatch, version: str, machine: str
) -> None:
    offer(release(version))
    monkeypatch.setattr(platform, "machine", lambda: machine)

    assert Engine(cache / pins.OLDEST / "bin", pins.OLDEST, "built") == ensure.ensure_oldest()


def test_without_a_pinned_checksum_nothing_is_downloaded(
    cache: Path,
    offer: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    offer(release(pins.VERSION))
    monkeypatch.setattr(pins, "RELEASES", {})
    monkeypatch.setattr(installer, "download", lambda address: pytest.fail(f"{address} is not checked"))

    assert Engine(cache / pins.OLDEST / "bin", pins.OLDEST, "built") == ensure.ensure_oldest()
    assert "no checksum is pinned for the official release" in capsys.readouterr().err


def test_the_newest_engine_is_taken(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record(engine_in(cache / pins.OLDEST / "bin", pins.OLDEST).parent, pins.OLDEST, "built")
    monkeypatch.setattr(ensure, "build", make_engine)

    assert Engine(cache / pins.VERSION / "bin", pins.VERSION, "built") == ensure.ensure()


def test_without_its_modules_the_next_engine_is_taken_and_this_is_said(
    cache: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def without_modules(root: Path, version: str, log: Path) -> None:
        if version == pins.VERSION:
            raise EngineUnavailableError(build.explain("x@v1: reading https://m/x.info: 404 Not Found", log))
        make_engine(root, version, log)

    monkeypatch.setattr(ensure, "build", without_modules)

    assert Engine(cache / pins.OLDEST / "bin", pins.OLDEST, "built") == ensure.ensure()
    said = f"pulumi {pins.VERSION} is not available, so an older version is used: a module of the engine is missing"
    assert said in capsys.readouterr().err

    monkeypatch.setattr(ensure, "build", make_engine)

    assert ensure.ensure().version == pins.VERSION, "its modules are there again"


def test_every_release_is_pinned_by_its_checksum() -> None:
    assert pins.RELEASES.keys() <= pins.ENGINES.keys()
    for version, releases in pins.RELEASES.items():
        assert {name.removeprefix(f"pulumi-v{version}-") for name, _ in releases.values()} == {
            f"{system}-{machine}.tar.gz" for system in ("linux", "darwin") for machine in ("x64", "arm64")
        }
        assert all(re.fullmatch("[0-9a-f]{64}", checksum) for _, checksum in releases.values())
        assert len({checksum for _, checksum in releases.values()}) == 4


def test_every_engine_is_built_from_its_own_modules() -> None:
    for version, module in pins.ENGINES.items():
        required = (pins.MODULES / module / "go.mod").read_text(encoding="utf-8")
        for part in ("pkg", "sdk"):
            assert f"github.com/pulumi/pulumi/{part}/v3 v{version} " in required


def test_without_installer_and_go_the_message_has_the_next_step(
    cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = ensure.main([])
    told = capsys.readouterr()

    assert code == 1
    assert told.out == ""
    assert told.err.splitlines()[-1] == (
        "engine: there is no Pulumi engine here, the official release cannot be used, and Go is not installed "
        "to build one: install Pulumi (https://www.pulumi.com/docs/install/) so that `pulumi` is on PATH, "
        "or install Go 1.26 or newer, and run this again."
    )
    assert sorted(path.name for path in cache.iterdir()) == sorted(
        f"{version}.{kind}" for version in pins.ENGINES for kind in ("lock", "log")
    )


@pytest.mark.parametrize(
    ("output", "sentence"),
    [
        ("go: go.mod requires go >= 1.25.11 (running go 1.22.1; GOTOOLCHAIN=local)", "this Go is too old"),
        (
            "go: errors parsing go.mod:\ngo.mod:3: invalid go version '1.25.11': must match",
            "this Go is too old",
        ),
        (
            'Get "https://modules.example/x": dial tcp: lookup modules.example: no such host',
            "Go cannot download",
        ),
        ("reading https://modules.example/x: 502 Bad Gateway", "Go cannot download"),
        ("x@v1: reading https://modules.example/x: 404 Not Found", "a module of the engine is missing"),
        ("x@v1: invalid version: unknown revision v1", "a module of the engine is missing"),
        ("x.go:1:1: undefined: y", "building the engine failed, and Go's output is in"),
    ],
)
def test_an_error_of_go_becomes_one_sentence(output: str, sentence: str) -> None:
    told = build.explain(output, Path("/logs/engine.log"))

    assert told.startswith(sentence)
    assert told.endswith(".")
    assert "\n" not in told
    assert "example" not in told
    assert build.INSTALL_PULUMI in told


@pytest.mark.parametrize("error", [KeyboardInterrupt, EngineUnavailableError, OSError])
def test_an_interrupted_build_leaves_nothing(
    cache: Path, error: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    def break_off(root: Path, version: str, log: Path) -> None:
        make_engine(root, version, log)
        raise error

    monkeypatch.setattr(ensure, "build", break_off)

    with pytest.raises(error):
        ensure.obtain(pins.VERSION)
    assert [f"{pins.VERSION}.lock", f"{pins.VERSION}.log"] == sorted(path.name for path in cache.iterdir())

    monkeypatch.setattr(ensure, "build", make_engine)

    assert ensure.obtain(pins.VERSION).origin == "built"


def test_a_built_engine_must_run(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    del cache

    def build_another(root: Path, _version: str, _log: Path) -> None:
        engine_in(root / "bin", "1.2.3")

    monkeypatch.setattr(ensure, "build", build_another)

    with pytest.raises(EngineUnavailableError, match="was built but does not run"):
        ensure.obtain(pins.VERSION)


def test_two_concurrent_runs_build_once(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    del cache
    built: list[Path] = []
    got: list[Engine] = []

    def build_slowly(root: Path, version: str, log: Path) -> None:
        built.append(root)
        # Other threads have time to build now, but must not.
        never(lambda: len(built) > 1, seconds=0.1)
        make_engine(root, version, log)

    monkeypatch.setattr(ensure, "build", build_slowly)
    threads = [threading.Thread(target=lambda: got.append(ensure.obtain(pins.VERSION))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(built) == 1
    assert len(got) == 4
    assert len(set(got)) == 1


def compile_yaml_host(_go: str, module: str, _package: str, target: Path, *, log: Path) -> None:
    """Replace Go."""
    del log
    assert module == "yaml_host"
    executable(target)


def test_an_engine_in_the_cache_gets_the_language_host_for_yaml(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = engine_in(cache / pins.VERSION / "bin", pins.VERSION).parent
    record(home, pins.VERSION, "built")
    before = {path.name: path.stat().st_mtime_ns for path in (home / "bin").iterdir()}
    monkeypatch.setattr(build, "find_go", lambda: "go")
    monkeypatch.setattr(build, "compile_binary", compile_yaml_host)

    assert ensure.ensure(yaml=False).bin == home / "bin"
    assert {path.name for path in (home / "bin").iterdir()} == before.keys()
    assert ensure.ensure().bin == home / "bin"

    after = {path.name: path.stat().st_mtime_ns for path in (home / "bin").iterdir()}
    assert after.keys() - before.keys() == {pins.YAML_HOST}
    assert before.items() <= after.items(), "other checkouts use these files"


@pytest.mark.parametrize("place", [f"yaml-host-{pins.YAML_VERSION}", f"{pins.OLDEST}/bin"])
def test_a_language_host_for_yaml_of_an_earlier_version_is_not_built_again(
    cache: Path, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    record(engine_in(cache / pins.VERSION / "bin", pins.VERSION).parent, pins.VERSION, "built")
    kept = executable(cache / place / pins.YAML_HOST, "#!/bin/sh\necho kept\n")
    monkeypatch.setattr(build, "find_go", lambda: pytest.fail("it is there"))

    copied = ensure.ensure().bin / pins.YAML_HOST

    assert copied.read_bytes() == kept.read_bytes()
    assert os.access(copied, os.X_OK)


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (EngineUnavailableError("there is no Go."), "there is no Go."),
        (CommandFailedError("go", "x.go:1:1: undefined: y"), "Go's output is in"),
        (OSError(30, "Read-only file system"), "Read-only file system"),
    ],
)
def test_an_engine_without_the_language_host_for_yaml_is_used_and_this_is_said(
    cache: Path,
    error: Exception,
    sentence: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = engine_in(cache / pins.VERSION / "bin", pins.VERSION)
    record(folder.parent, pins.VERSION, "built")

    def fail(_go: str, module: str, package: str, target: Path, *, log: Path) -> None:
        compile_yaml_host(_go, module, package, target, log=log)
        raise error

    monkeypatch.setattr(build, "find_go", lambda: "go")
    monkeypatch.setattr(build, "compile_binary", fail)

    assert ensure.ensure().bin == folder

    told = capsys.readouterr().err.splitlines()[-1]
    assert told.startswith("engine: programs in YAML do not run, because their language host is missing: ")
    assert sentence in told
    assert [path.name for path in folder.iterdir() if "yaml" in path.name] == []


def test_the_folder_of_the_engine_is_named_after_its_pins() -> None:
    # Checkouts with different pins share the cache: if this fails, give `home` a name that no checkout has used.
    assert (pins.home().name, pins.VERSION, pins.YAML_VERSION) == ("3.274.1", "3.274.1", "1.32.0")
    assert (pins.home(pins.OLDEST).name, pins.OLDEST) == ("3.259.0", "3.259.0")


def test_the_lock_of_a_killed_process_is_free(tmp_path: Path) -> None:
    program = (
        "import sys, time; from pathlib import Path; from tools.engine.lock import alone\n"
        "with alone(Path(sys.argv[1]), 'waiting'): print('locked', flush=True); time.sleep(60)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, tmp_path / "lock"],
        cwd=Path(ensure.__file__).parents[2],
        stdout=subprocess.PIPE,
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"locked\n"
        holder.kill()

    with alone(tmp_path / "lock", "testing"):
        pass


def test_a_long_command_reports_progress(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("tools.engine.run.HEARTBEAT_SECONDS", 0.05)

    answer = run("waiting", ["sh", "-c", "sleep 0.2; echo done"], cwd=tmp_path, env={}, log=tmp_path / "log")

    assert answer == "done\n"
    assert "engine: still waiting (0 s).\n" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("command", "output"), [(["sh", "-c", "echo no; exit 3"], "no\n"), (["/nowhere"], "No such")]
)
def test_a_failed_command_shows_its_output(tmp_path: Path, command: list[str], output: str) -> None:
    (tmp_path / "log").write_text("what came before\n", encoding="utf-8")

    with pytest.raises(CommandFailedError) as caught:
        run("failing", command, cwd=tmp_path, env={}, log=tmp_path / "log")
    assert output in caught.value.output
    assert "before" not in caught.value.output
