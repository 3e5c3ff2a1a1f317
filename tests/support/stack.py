"""
A stack on a real Pulumi engine, with a method for each command.

After a successful `up` or `refresh`, the stack checks that no change remains: another `up` must change nothing. Tests
run this second `up` for every kind of resource, and for every story about identity, replacement and drift. Other
behaviours need it once. `quiet_afterwards=False` turns it off for an `up` that only prepares a story, that must itself
change nothing, or that a checked `refresh` follows.

The clock of the processes runs fast, so the emulator needs `fast_clock()`.

A story ends without a `destroy`, except for stories about `destroy`: the account ends with the test. With `Stack.ids`,
a test checks that the state contains all objects of the account.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import re
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from stacks_pulumi.emulator import Emulator
from tests.support import key_service
from tests.support.clock import SPEED, fast_wall
from tests.support.forked import commands
from tests.support.hurried import hurry
from tests.support.stack_files import Saved, StackFiles
from tests.support.terminal import Drawn, draw
from tests.support.waiting import PATIENCE
from tools.engine.engine import Engine
from tools.engine.ensure import ensure

PASSPHRASE = "a passphrase for tests"
PATIENT: Final[hurry.Constants] = {
    "stacks_pulumi.resources._preview_total": {"_SECONDS": PATIENCE},
    # A connection that the engine sends later causes another restart.
    "stacks_pulumi.resources._restarts": {"GRACE": 3.0 * SPEED},
}
"""Timeouts for the engine, which runs in real time: on a loaded machine, each of its steps takes seconds."""
THRIFTY: Final[Mapping[str, str]] = {
    # A command of the engine is too short for a garbage collection to be useful.
    "GOGC": "off",
    "GOMEMLIMIT": "200MiB",
    # Several commands run at the same time, and further threads would only slow each command down.
    "GOMAXPROCS": "1",
}
"""Environment variables that reduce the processor time of an engine command."""
SAME = frozenset({"same", "read", "refresh"})
_ENDED: Final = re.compile(
    r"[Rr]esource monitor (?:has terminated|shut down)|KeyboardInterrupt|context canceled|in do_rpc_call\n"
)

_TEMPLATES: Final[dict[tuple[object, ...], Saved]] = {}
"""The files of a new stack, by engine, project and secrets."""


def hurried_environment(python_path: Path | None = None) -> dict[str, str]:
    """
    Return the environment of processes with the fast clock of the tests.

    Args:
        python_path: The first entry of the module path.
    """
    return hurry.environment(SPEED, wall=fast_wall(), python_path=python_path, constants=PATIENT)


@dataclasses.dataclass(frozen=True)
class Result:
    """
    The result of an engine command.

    Attributes:
        code: Exit code.
        text: The complete output that a user would see.
        events: The engine's events, in order.
    """

    code: int
    text: str
    events: list[dict[str, Any]]

    @property
    def changes(self) -> dict[str, int]:
        """Return the number of operations by kind, from the engine's summary, without unchanged resources."""
        for event in reversed(self.events):
            if "summaryEvent" in event:
                changes = event["summaryEvent"].get("resourceChanges") or {}
                return {kind: count for kind, count in changes.items() if count and kind not in SAME}
        return {}

    def steps(self, name: str) -> list[str]:
        """Return the operations on a resource, in order."""
        return [op for urn, op in self._operations() if urn.endswith(f"::{name}")]

    def order(self) -> list[tuple[str, str]]:
        """Return all operations on this package's resources: pairs of operation and name, in order."""
        return [(op, urn.rpartition("::")[2]) for urn, op in self._operations() if "stacks:" in urn]

    def _operations(self) -> Iterator[tuple[str, str]]:
        for event in self.events:
            if "resOutputsEvent" in event or "resourcePreEvent" in event:
                metadata = event.get("resourcePreEvent", {}).get("metadata")
                if metadata and metadata["op"] not in SAME:
                    yield metadata["urn"], metadata["op"]

    @property
    def errors(self) -> list[str]:
        """Return the errors that a user sees, without colours and surrounding white space."""
        return self._diagnostics("error")

    @property
    def warnings(self) -> list[str]:
        """Return the warnings that a user sees."""
        return self._diagnostics("warning")

    def status_lines(self) -> list[str]:
        """Return the lines that the engine showed next to a resource during its operation."""
        found = [event["diagnosticEvent"] for event in self.events if "diagnosticEvent" in event]
        return [_plain(line["message"]) for line in found if line.get("ephemeral")]

    def _diagnostics(self, severity: str) -> list[str]:
        found = [event["diagnosticEvent"] for event in self.events if "diagnosticEvent" in event]
        return [
            _plain(line["message"])
            for line in found
            if line["severity"] == severity and not line.get("ephemeral") and line["message"].strip()
        ]


class Stack:
    """
    A project with one stack, in a separate folder.

    Args:
        folder: The folder of the project and its state.
        engine: Folder of the engine's binaries.
        config: The stack's configuration; a value under a key that ends with `apiKey` is set as a secret.
        python_path: The first entry of the module path of programs and providers, for example a different version of
            the SDK.
        passphrase: Whether to encrypt secrets with a passphrase, as most users do, instead of the tests' key service.
        hurried: Whether the processes use the fast clock of the tests. Otherwise they use real time, as in a benchmark.
    """

    def __init__(
        self,
        folder: Path,
        engine: Path,
        config: dict[str, str],
        *,
        python_path: Path | None = None,
        passphrase: bool = False,
        hurried: bool = True,
    ) -> None:
        clock = {} if python_path is None else {"PYTHONPATH": str(python_path)}
        if hurried:
            clock = hurried_environment(python_path)
        self.folder = folder
        self._files = StackFiles(folder)
        self._commands = str(commands.folder())
        self._events = folder / "events.json"
        self._said: list[str] = []
        state = folder / "state"
        state.mkdir(parents=True)
        self.env = {
            **{
                name: value
                for name, value in os.environ.items()
                if not name.startswith(("PULUMI_", "STACKS_"))
            },
            "PATH": os.pathsep.join(
                [self._commands, str(Path(sys.prefix) / "bin"), str(engine), os.environ["PATH"]]
            ),
            "VIRTUAL_ENV": sys.prefix,
            **clock,
            # A kill between two writes would leave an empty attributes file, and no command would work afterwards.
            "PULUMI_BACKEND_URL": f"file://{state}?metadata=skip",
            "PULUMI_CONFIG_PASSPHRASE": PASSPHRASE,
            **({} if passphrase else key_service.environment()),
            "PULUMI_HOME": str(folder / "home"),
            "PULUMI_SKIP_UPDATE_CHECK": "1",
            # The emulator's platform file, so that the client does not wait for missing objects.
            "STACKS_PLATFORM": str(Path(__file__).with_name("prompt-platform.yaml")),
            **THRIFTY,
            # The engine writes its events to a file, as for the Automation API.
            "PULUMI_DEBUG_COMMANDS": "true",
            # Python compiles the tested programs and this package only once, not in each run.
            "PYTHONDONTWRITEBYTECODE": "",
            # A crash of the interpreter prints a traceback.
            "PYTHONFAULTHANDLER": "1",
        }
        (folder / "Pulumi.yaml").write_text("name: tests\nruntime: python\n", encoding="utf-8")
        self.program("")
        self._initialise(engine, config, "passphrase" if passphrase else key_service.PROVIDER)

    @classmethod
    def of(cls, api: Emulator, folder: Path, engine: Engine | None = None) -> Stack:
        """
        Return a new stack for the account of an emulator.

        Args:
            api: The emulator.
            folder: A new folder.
            engine: The engine; by default the newest available one.
        """
        bin_ = (engine or ensure()).bin
        return cls(folder, bin_, {"stacks:apiKey": api.key, "stacks:baseUrl": api.url})

    def _initialise(self, engine: Path, config: Mapping[str, str], provider: str) -> None:
        """Create the stack: the first one with commands, and later ones with the same secrets as copies."""
        secrets = {key: value for key, value in config.items() if _is_secret(key)}
        template = (engine, self._files.project, provider, *secrets.items())
        if template in _TEMPLATES:
            self._files.restore(_TEMPLATES[template])
        else:
            self._run("stack", "init", "dev", "--secrets-provider", provider)
            for key, value in secrets.items():
                self.set(key, value)
            _TEMPLATES[template] = self._files.save()
        self._files.configure({key: value for key, value in config.items() if key not in secrets})

    def native(self) -> None:
        """Let programs use the native types, with the plugin of this environment."""
        plugin = f"{{name: stacks, path: {json.dumps(self._commands)}}}"
        text = f"name: tests\nruntime: python\nplugins:\n  providers: [{plugin}]\n"
        (self.folder / "Pulumi.yaml").write_text(text, encoding="utf-8")

    @contextlib.contextmanager
    def real_processes(self) -> Iterator[None]:
        """In this context, the engine starts real processes, not forks, because the test interrupts or kills them."""
        before, commands.Mode.real = commands.Mode.real, True
        self._find_processes()
        try:
            yield
        finally:
            commands.Mode.real = before
            self._find_processes()

    def _find_processes(self) -> None:
        """Set PATH so that the engine finds the commands that start or fork its processes."""
        before, self._commands = self._commands, str(commands.folder())
        self.env["PATH"] = self.env["PATH"].replace(before, self._commands, 1)
        project = self.folder / "Pulumi.yaml"
        text = project.read_text(encoding="utf-8").replace(json.dumps(before), json.dumps(self._commands))
        project.write_text(text, encoding="utf-8")

    def yaml(self, project: str, host: Path) -> None:
        """Use a `Pulumi.yaml` as the program; `host` is the folder of the language host."""
        self.project({"Pulumi.yaml": project}, host)

    def project(self, files: Mapping[str, str], host: Path) -> None:
        """Use files in another language as the project; `host` is the folder of its language host."""
        self.env["PATH"] = f"{host}{os.pathsep}{self.env['PATH']}"
        (self.folder / "__main__.py").unlink(missing_ok=True)
        for name, text in files.items():
            (self.folder / name).write_text(text, encoding="utf-8")

    def set(self, key: str, value: str) -> None:
        """Set a value in the configuration of the selected stack."""
        if _is_secret(key):
            self._run("config", "set", key, value, "--secret")
        else:
            self._files.configure({key: value})

    def program(self, source: str, *, host: str = "dynamic") -> None:
        """Set the program; with the host `native`, its module `stacks` contains the native types."""
        package = "stacks_pulumi"
        if host == "native":
            package = "native_sdk"
            shutil.copy(Path(__file__).with_name(f"{package}.py"), self.folder)
        text = f"import pulumi\nimport {package} as stacks\n\n" + textwrap.dedent(source)
        (self.folder / "__main__.py").write_text(text, encoding="utf-8")
        # Python would use the compiled file if the new program has the same length and the same modification second.
        for compiled in (self.folder / "__pycache__").glob("__main__.*"):
            compiled.unlink()

    def up(self, *arguments: str, quiet_afterwards: bool = True) -> Result:
        """Run `pulumi up`; it must succeed, and by default a second one must change nothing."""
        result = _succeeded(self.engine("up", "--yes", "--skip-preview", *arguments))
        if quiet_afterwards:
            again = _succeeded(self.engine("up", "--yes", "--skip-preview", *arguments))
            assert again.changes == {}, f"a second up changed something:\n{again.text}"
        return result

    def up_fails(self, *arguments: str) -> Result:
        """Run `pulumi up`; it must fail without a traceback."""
        return _failed(self.engine("up", "--yes", "--skip-preview", *arguments))

    def preview(self, *arguments: str) -> Result:
        """Run `pulumi preview`; it must succeed."""
        return _succeeded(self.engine("preview", "--diff", *arguments))

    def preview_fails(self, *arguments: str) -> Result:
        """Run `pulumi preview`; it must fail without a traceback."""
        return _failed(self.engine("preview", *arguments))

    def refresh(self, *arguments: str, drift: bool = False) -> Result:
        """Run `pulumi refresh`; it must succeed. Without drift, the next `up` must change nothing."""
        result = _succeeded(self.engine("refresh", "--yes", "--skip-preview", *arguments))
        if not drift:
            again = self.up(quiet_afterwards=False)
            assert again.changes == {}, f"an up after a refresh changed something:\n{again.text}"
        return result

    def destroy(self, *arguments: str) -> Result:
        """Run `pulumi destroy`; it must succeed."""
        return _succeeded(self.engine("destroy", "--yes", "--skip-preview", *arguments))

    def destroy_fails(self, *arguments: str) -> Result:
        """Run `pulumi destroy`; it must fail without a traceback."""
        return _failed(self.engine("destroy", "--yes", "--skip-preview", *arguments))

    def engine(self, verb: str, *arguments: str) -> Result:
        """Run the engine; it may succeed or fail."""
        self._events.unlink(missing_ok=True)
        command = [verb, *arguments, "--non-interactive", "--color=never", "--event-log", str(self._events)]
        done = self._command(*command)
        result = Result(done.returncode, done.stdout + done.stderr, self._read_events())
        self._said += [result.text, json.dumps(result.events)]
        return result

    def said(self) -> str:
        """Return all output of the engine so far: text and events."""
        return "\n".join(self._said)

    def start(self, verb: str, *arguments: str) -> subprocess.Popen[str]:
        """Start the engine without waiting for it."""
        command = ["pulumi", verb, *arguments, "--non-interactive", "--color=never"]
        return subprocess.Popen(
            command,
            cwd=self.folder,
            env=self.env,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )

    def draw(self, columns: int, *words: str) -> Drawn:
        """Run the engine on a terminal."""
        return draw(["pulumi", *words], columns, self.folder, self.env)

    def export(self) -> str:
        """Return the state, as text; secrets are encrypted."""
        return self._files.export()

    def resources(self) -> dict[str, dict[str, Any]]:
        """Return this package's resources in the state by name."""
        found = json.loads(self.export())["deployment"].get("resources") or []
        return {item["urn"].rpartition("::")[2]: item for item in found if "stacks:" in item["type"]}

    def ids(self) -> frozenset[str]:
        """Return the ids in the state that identify objects in the account."""
        kinds = ("SshCertificate", "BackupRestore")
        found = self.resources().values()
        return frozenset(item["id"] for item in found if not item["type"].endswith(kinds))

    def outputs(self, *, secrets: bool = False) -> dict[str, Any]:
        """Return the stack's outputs; without `secrets` these are `[secret]`."""
        if not secrets:
            return self._files.outputs()
        # Only the engine can decrypt them.
        values: dict[str, Any] = json.loads(self.cli("stack", "output", "--json", "--show-secrets"))
        return values

    def cli(self, *arguments: str) -> str:
        """Run any engine command, which must succeed; return its standard output."""
        return self._run(*arguments).stdout

    def python(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run Python in the project's folder; it may succeed or fail."""
        return subprocess.run(
            [Path(self._commands) / "python3", *arguments],
            cwd=self.folder,
            env={**self.env, **environment},
            text=True,
            capture_output=True,
            stdin=subprocess.DEVNULL,
            check=False,
        )

    def _run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        done = self._command("--non-interactive", *arguments)
        assert done.returncode == 0, f"pulumi {' '.join(arguments)}:\n{done.stdout}{done.stderr}"
        return done

    def _command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["pulumi", *arguments],
            cwd=self.folder,
            env=self.env,
            text=True,
            capture_output=True,
            stdin=subprocess.DEVNULL,
            check=False,
        )

    def _read_events(self) -> list[dict[str, Any]]:
        if not self._events.exists():
            return []
        return [
            json.loads(line) for line in self._events.read_text(encoding="utf-8").splitlines() if line.strip()
        ]


def _is_secret(key: str) -> bool:
    return key.endswith("apiKey")


def _succeeded(result: Result) -> Result:
    assert result.code == 0, result.text
    return result


def _failed(result: Result) -> Result:
    assert result.code != 0, f"it should have failed:\n{result.text}"
    assert not shows_traceback(result.text), result.text
    assert "Exception calling application" not in result.text, result.text
    return result


def shows_traceback(text: str) -> bool:
    """
    Return whether an output contains a traceback, except for one from the end of the program.

    After an error, engine 3.274 ends a program that still waits for a resource. The SDK may then print a part of a
    traceback for the place where the program waited.
    """
    return "Traceback" in text and (_ENDED.search(text) is None or "/stacks_pulumi/" in text)


def _plain(message: str) -> str:
    return re.sub(r"<\{%[^%]*%\}>", "", message).strip()
