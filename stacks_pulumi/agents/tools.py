"""
What may an agent call?

The public methods of `Desk` are the tools; the server runs those that read in threads. A tool reads data, plans a
change, or applies a change that this server's grant covers or a person has approved. No tool approves, and no tool
returns a secret. The broker has the key and decides which requests may be sent. An error is an exception of this
package, and the agent receives its one-line message.
"""

from __future__ import annotations

import contextlib
import datetime
import fcntl
import functools
import hashlib
import json
import os
import re
import secrets as random
import shlex
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Final, TypeVar

import anyio
import msgspec
from anyio import to_thread
from mcp.server.mcpserver import Context
from pydantic import Field

from stacks_pulumi import catalog, config
from stacks_pulumi._environment import own_command
from stacks_pulumi._identifiers import name_of
from stacks_pulumi._pulumi_cli import (
    InputError,
    StoredResource,
    find_project,
    read_project,
    read_stack,
)
from stacks_pulumi._pulumi_cli import run as pulumi
from stacks_pulumi.agents import programs, running
from stacks_pulumi.agents.masking import HIDDEN, Secrets
from stacks_pulumi.agents.outcomes import (
    AccountFigures,
    ApplyOutcome,
    ContainerLog,
    ContainerMetrics,
    ExplainedCode,
    PlanOutcome,
    PlanVerdict,
    PricePage,
    ResourcePage,
    ShownResource,
    TemplatePrice,
    dollars,
    end_of,
    of_plans,
    outcome_of,
)
from stacks_pulumi.agents.reading import container_id, credentials, explanation
from stacks_pulumi.api import StacksClient
from stacks_pulumi.cost import live
from stacks_pulumi.cost.build import report_of
from stacks_pulumi.errors import ConfigError, StacksError, clean, clean_lines
from stacks_pulumi.gate import client, workflow
from stacks_pulumi.gate.client import Broker
from stacks_pulumi.gate.workflow import Judged, RefusedError, reported
from stacks_pulumi.pricing.money import MonthlyPrice, usd
from stacks_pulumi.pricing.recognition import MARKER, is_hidden

_PAGE: Final = 25
_LONGEST: Final = 200
_LONGEST_LOG: Final = 20_000
_MOST_LINES: Final = 500
_POINTS: Final = 20
_AT_ONCE: Final = 4
"""The maximum number of concurrent calls that read: each may start an engine, which takes 80 MB."""
_MOST_RECORDS: Final = 100
RECORD: Final = re.compile(r"[0-9]{8}-[0-9]{6}-[0-9a-f]{8}", re.ASCII)
"""The form of a record's name."""
_CHANGE: Final = "change.json"
_PROGRAM: Final = "program.json"
_STATE: Final = "state.sha256"
_OUTPUT: Final = "output.txt"
_FILE: Final = "Pulumi.yaml"
_SETTINGS: Final = ("name", "description", "runtime", "requiredPulumiVersion")
_PARTS: Final = ("resources", "variables", "outputs")
_GATE: Final = (*own_command(), "gate")
_REFUSED: Final = 2
_KILLED: Final = 137
_NOT_SHOWN: Final = frozenset({MARKER, "stacksKind", "monthlyPriceUsd", "changedOutside"})
_DONE: Final = re.compile(r"\b(created|updated|deleted|replaced|imported|failed)\b")
_OF_LOG: Final = re.compile(r"(?<=Its last log lines: ).*?(?=(?: \[[a-z-]+\])?$)", re.MULTILINE)
"""
Matches the log lines in an error. They are left out: only `get_logs` knows their passwords and hides parts of a key.
"""
_SAID: Final = re.compile(r"^stacks-pulumi gate: (?P<text>.*?)(?: \[(?P<code>[a-z-]+)\])?$", re.MULTILINE)

_T = TypeVar("_T")

Page = Annotated[int, Field(ge=1, le=10_000, description="The page, from 1.")]
Name = Annotated[
    str, Field(max_length=100, description="The name of a container in the program, as in list_resources.")
]
Lines = Annotated[int, Field(ge=1, le=_MOST_LINES, description="The number of lines, counted from the end.")]
RecordName = Annotated[str, Field(max_length=100, description="The record that plan returned.")]
Code = Annotated[
    str, Field(max_length=100, description="The error code: the word in brackets at the end of a message.")
]
ProgramText = Annotated[
    str | dict[str, Any],
    Field(
        description="The whole desired program: YAML or JSON text, or an object, with resources, variables and "
        "outputs. A resource that the program does not contain is deleted."
    ),
]


@dataclass
class Desk:
    """
    The settings of the tools.

    Attributes:
        broker: The broker, with the grant of this server.
        project: The project's folder.
        stack: The stack's full name.
        folder: The folder of the records.
        may_apply: Whether the agent may apply.
        environment: The variables of the engine.
        secrets: The values that must not be in an answer.
    """

    broker: Broker
    project: Path
    stack: str
    folder: Path
    may_apply: bool
    environment: Mapping[str, str] = field(default_factory=dict)
    secrets: Secrets = field(default_factory=Secrets)
    _one: anyio.Lock = field(default_factory=anyio.Lock)
    _readers: anyio.CapacityLimiter = field(default_factory=lambda: anyio.CapacityLimiter(_AT_ONCE))
    _steps: dict[str, int] = field(default_factory=dict)

    # ---------------------------------------------------------------------------------------------- reading

    async def in_thread(self, work: Callable[..., _T], *words: Any, **named: Any) -> _T:
        """Return the result of a function that reads; only a few such functions run at the same time."""
        return await to_thread.run_sync(functools.partial(work, *words, **named), limiter=self._readers)

    def list_resources(self, page: Page = 1) -> ResourcePage:
        """List the stack's resources with their prices, and the current program."""
        shown = self._export()
        found = [
            one for one in read_stack(shown).resources if one.custom and not one.type.startswith("pulumi:")
        ]
        report = report_of(shown)
        prices = {line.id: str(line.planned) for line in report.lines}
        part, pages = _part(sorted(found, key=lambda one: one.urn), page)
        listed = [
            ShownResource(
                name_of(one.urn),
                one.type,
                one.id,
                prices.get(one.urn),
                one.protect,
                _plain(one.inputs),
                {
                    name: value
                    for name, value in _plain(one.outputs).items()
                    if name not in (one.inputs or {})
                },
            )
            for one in part
        ]
        program = self._program()
        return ResourcePage(listed, len(found), page, pages, str(report.planned), program)

    def get_account(self) -> AccountFigures:
        """Show the monthly cost of the account, and the increase that needs no approval."""
        with self._client() as api:
            report = live.account(api, self._monthly(api))
        me = self.broker.ask("GET", "me")
        policy = me["policy"] or {}
        return AccountFigures(
            len(report.lines),
            str(report.planned),
            not report.incomplete,
            dollars(policy.get("increase_per_day")),
            dollars(me["left_today"]),
            dollars(policy.get("max_total")),
            me["until"],
            self.may_apply,
        )

    def list_prices(self, page: Page = 1) -> PricePage:
        """List the templates with the monthly price of a container, in US dollars."""
        with self._client() as api:
            monthly = self._monthly(api)
        part, pages = _part(sorted(catalog.TEMPLATES), page)
        listed = [
            TemplatePrice(
                name,
                catalog.TEMPLATES[name].title,
                catalog.TEMPLATES[name].category.value,
                of_plans(name, monthly),
            )
            for name in part
        ]
        storage = {
            f"tier {tier.tier} ({tier.storage_mb // 1024} GB)": usd(tier.usd)
            for tier in catalog.STORAGE_TIERS.values()
        }
        return PricePage(listed, storage, len(catalog.TEMPLATES), page, pages)

    def get_logs(self, resource: Name, lines: Lines = 50) -> ContainerLog:
        """Show the last lines of the log of a container of this stack; passwords and keys are hidden."""
        stack = self._stack()
        with self._client() as api:
            id_ = container_id(api, stack, resource)
            try:
                self.secrets.add(credentials(api, stack, id_))
            except StacksError as error:
                # A password that cannot be read cannot be hidden.
                raise InputError(
                    f"the log of {resource!r} is not shown, because it may contain passwords that could not be "
                    f"read and so cannot be masked: {error.message}",
                    code=error.code,
                ) from None
            # Read all lines: a few lines may be the middle of a key, and a key is found only by its beginning or end.
            text = api.containers.logs(id_, _MOST_LINES)
        hidden = clean_lines(self.secrets.masked_log(text)).rstrip("\n").split("\n")
        return ContainerLog(resource, "\n".join(hidden[-lines:])[-_LONGEST_LOG:])

    def get_metrics(self, resource: Name) -> ContainerMetrics:
        """Show the last measurements of a container of this stack."""
        stack = self._stack()
        with self._client() as api:
            measured = msgspec.to_builtins(api.containers.metrics(container_id(api, stack, resource)))
        return ContainerMetrics(resource, {name: points[-_POINTS:] for name, points in measured.items()})

    def explain_error(self, code: Code) -> ExplainedCode:
        """Explain an error code: its cause and what to do."""
        text = explanation(code.strip().strip("[]`"))
        if text is None:
            raise InputError(
                "this is not an error code: pass the word in brackets at the end of a message",
                code="invalid-argument",
            )
        return ExplainedCode(code, text)

    # --------------------------------------------------------------------------------------------------- changing

    async def plan(self, program: ProgramText, context: Context[Any, Any]) -> PlanOutcome:
        """
        Plan a change: check the program, preview it, price it and judge it. Nothing is changed.

        The verdict is `free` (apply it), `needs_approval` (a person runs `approve_with`) or `refused` (see `reasons`).
        """
        # The first check needs no engine and finds most mistakes.
        programs.check(program)
        checked = programs.check(program, await self.in_thread(self._configuration))
        name = f"{datetime.datetime.now(datetime.timezone.utc):%Y%m%d-%H%M%S}-{random.token_hex(4)}"
        folder = self.folder / name
        async with self._one:
            await to_thread.run_sync(self._clean_up)
            _make(folder)
            try:
                state = await to_thread.run_sync(self._state)
                await self._previewed(folder, checked, context)
                judged, verdict = await self.in_thread(self._judged, folder)
            except BaseException:
                shutil.rmtree(folder, ignore_errors=True)
                raise
        _put(folder / _PROGRAM, checked.text({}))
        _put(folder / _STATE, state)
        approve = await self.in_thread(self._asked, judged) if verdict == "needs_approval" else None
        outcome = outcome_of(judged, verdict, None if verdict == "refused" else name, approve)
        self._steps[name] = len(outcome.steps)
        return outcome

    async def _previewed(self, folder: Path, program: programs.Program, context: Context[Any, Any]) -> None:
        """Preview a program in a copy of the project, and write the resulting change into a record."""
        output = folder / "plan.json"
        words = [*_GATE, "plan", "--out", str(folder / _CHANGE), "--format", "json", "--stack", self.stack]
        with tempfile.TemporaryDirectory(prefix="stacks-agent-") as scratch:
            copy = self._copy(Path(scratch), program)
            code = await self._run(words, copy, (output, folder / _OUTPUT), context)
        try:
            errors = json.loads(output.read_bytes())["errors"]
        except (OSError, ValueError):
            raise InputError(f"the preview was killed (exit code {code}): plan again") from None
        if errors:
            (error, *_) = errors
            raise InputError(self.secrets.masked(error["message"]), code=error["code"])

    def _judged(self, folder: Path) -> tuple[Judged, PlanVerdict]:
        """Return a planned change and its current verdict."""
        judged = workflow.judged(self.broker, workflow.statement_of(folder / _CHANGE))
        if judged.result == "refused":
            return judged, "refused"
        is_free = judged.result in {"nothing", "free"} and self.broker.ask("GET", "me")["may_apply_free"]
        return judged, "free" if is_free or self._is_covered(judged) else "needs_approval"

    @staticmethod
    def _is_covered(judged: Judged) -> bool:
        """Return whether the budget of this server's grant covers a change and no finding needs an approval."""
        is_within = judged.said["beyond"] == []
        return is_within and judged.result != "refused" and not reported(judged.change).findings

    def _asked(self, judged: Judged) -> str:
        """
        Record a change as an access request at the broker; return the command with which a person approves it.
        """
        asked = self.broker.ask("POST", "requests", {"statement": judged.statement, "signatures": []})
        words = ["stacks-pulumi", "gate", "approve", str(asked["request"]), "--gate", self.broker.url]
        if judged.change.is_loose:
            words.append("--accept-unknown")
        return f"{shlex.join(words)} --key FILE"

    async def apply(self, record: RecordName, context: Context[Any, Any]) -> ApplyOutcome:
        """Apply a planned change that is `free` or that a person has approved. The broker checks it again."""
        if not self.may_apply:
            raise RefusedError("this server was started without `--allow apply`, so it can only plan")
        folder = self.folder / record
        if not RECORD.fullmatch(record) or not (folder / _PROGRAM).is_file():
            raise InputError(
                "there is no such record: pass a name that `plan` has returned", code="invalid-argument"
            )
        # The JSON text is decoded before the check, because it may be longer than the limit for a program's text. A
        # person may have added a secret to the configuration since the plan.
        given = msgspec.json.decode((folder / _PROGRAM).read_bytes())
        program = programs.check(given, await self.in_thread(self._configuration))
        output = folder / _OUTPUT
        async with self._one:
            with self._alone():
                words = await self.in_thread(self._way, folder)
                output.unlink(missing_ok=True)
                # The program is written into the project before the update, because all processes may be killed.
                file, before = self.project / _FILE, (self.project / _FILE).read_bytes()
                _put(file, self._project_file(program))
                code = await self._run(words, self.project, (output, output), context)
                if code == _REFUSED:
                    _put(file, before)
        text = self._output(folder)
        if code == _REFUSED:
            said = [*_SAID.finditer(text)][-1:]
            raise RefusedError(said[0]["text"] if said else text)
        if code < 0 or code == _KILLED:
            raise InputError(
                f"the engine was killed (exit code {code}): ask a person to run `pulumi cancel`, then plan again",
                code="outcome-unknown",
            )
        return ApplyOutcome("failed" if code else "applied", record, end_of(text))

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """
        Hold a lock, so that no two servers on this machine apply changes to this project at the same time.

        Raises:
            RefusedError: Another server is applying a change.
        """
        lock = os.open(self.project, os.O_RDONLY)
        try:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise RefusedError(
                    "another server applies a change to this project: wait until it has ended, then apply this change"
                ) from None
            yield
        finally:
            os.close(lock)

    def _way(self, folder: Path) -> list[str]:
        """
        Return the command that applies a record.

        Raises:
            RefusedError: No person has approved the change, or the stack has changed since the plan.
        """
        judged, verdict = self._judged(folder)
        is_covered, said = self._is_covered(judged), judged.said
        is_changed = (folder / _STATE).read_bytes() != self._state()
        if is_covered and not is_changed:
            # The budget of this server's grant covers the change.
            return ["pulumi", "up", "--yes", "--skip-preview", "--stack", self.stack]
        if said["approvals"] or (verdict == "free" and not is_covered):
            return [*_GATE, "apply", str(folder / _CHANGE), "--stack", self.stack]
        if is_changed:
            raise RefusedError("the stack has changed since the plan was made: plan again")
        raise RefusedError(said["missing"] or "it needs an approval")

    async def _run(
        self, words: Sequence[str], folder: Path, outputs: tuple[Path, Path], context: Context[Any, Any]
    ) -> int:
        """Run a command and report the engine's progress."""
        seen, record = 0, outputs[1].parent

        async def report() -> None:
            nonlocal seen
            lines = [line for line in self._output(record).splitlines() if _DONE.search(line)]
            if len(lines) > seen:
                seen = len(lines)
                total = max(self._steps.get(record.name, 0), seen) or None
                await context.report_progress(seen, total, _short(lines[-1].strip()))

        try:
            return await running.run(words, folder, self.environment, outputs, report)
        finally:
            with anyio.CancelScope(shield=True), contextlib.suppress(StacksError):
                # New resources have secrets, and the engine's messages may contain them.
                await to_thread.run_sync(self._export)

    def _copy(self, folder: Path, program: programs.Program) -> Path:
        """Copy the project's settings and write this program next to them."""
        facts = self._configuration().get("stacks:platform", {}).get("value")
        for file in (*self.project.glob("Pulumi.*"), *([(self.project / facts).resolve()] if facts else [])):
            # Only files in the project are copied: an absolute path to any other file works in the copy too.
            if file.is_file() and file.is_relative_to(self.project):
                copy = folder / file.relative_to(self.project)
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file, copy)
        _put(folder / _FILE, self._project_file(program))
        return folder

    def _project_file(self, program: programs.Program) -> bytes:
        current = read_project(self.project / _FILE)
        return program.text({name: current[name] for name in _SETTINGS if name in current})

    def _program(self) -> dict[str, Any]:
        current = read_project(self.project / _FILE)
        return {name: current[name] for name in _PARTS if name in current}

    def _output(self, folder: Path) -> str:
        """Return the end of the engine's output."""
        try:
            text = (folder / _OUTPUT).read_text(encoding="utf-8", errors="replace")
        except OSError:
            return ""
        return clean_lines(self.secrets.masked_log(_OF_LOG.sub("see get_logs", text)))[-_LONGEST_LOG:]

    def _clean_up(self) -> None:
        """
        Remove the oldest records, so that an agent does not fill the disk. The broker's log still lists the requests
        that were sent.
        """
        found = [one for one in sorted(self.folder.iterdir()) if RECORD.fullmatch(one.name)]
        for one in found[:-_MOST_RECORDS]:
            shutil.rmtree(one, ignore_errors=True)

    # The words of the engine and the broker

    def _export(self) -> bytes:
        """Return the stack's export, and remember its secrets to hide them."""
        export = self._pulumi("stack", "export", "--show-secrets")
        self.secrets.add_export(export)
        return export

    def _state(self) -> bytes:
        """Return a digest of the stack's resources."""
        deployment = json.loads(self._export())["deployment"] or {}
        return hashlib.sha256(json.dumps(deployment.get("resources")).encode()).hexdigest().encode()

    def _configuration(self) -> Mapping[str, Any]:
        values: dict[str, Any] = json.loads(self._pulumi("config", "--json", "--show-secrets"))
        self.secrets.add_settings(values)
        return values

    def _pulumi(self, *words: str) -> bytes:
        return pulumi([*words, "--stack", self.stack], folder=self.project)

    def _client(self) -> StacksClient:
        given = {"STACKS_BASE_URL": self.broker.url, "STACKS_API_KEY": self.broker.token}
        return StacksClient.of(config.load(environ={**os.environ, **given}))

    def _monthly(self, api: StacksClient) -> MonthlyPrice:
        settings = self.broker.ask("GET", "settings")["settings"]
        return live.prices(api) if settings.get("live_prices") else catalog.monthly_price

    def _stack(self) -> Sequence[StoredResource]:
        return read_stack(self._export()).resources


def opened(project: Path, stack: str | None, *, may_apply: bool, strict: bool) -> tuple[Desk, str]:
    """
    Check that an agent may change the project; return the tools and a warning, which may be empty.

    Args:
        project: The project's folder.
        stack: The stack's name; by default the selected stack.
        may_apply: Whether the agent may apply.
        strict: Whether to refuse a server that could read the key.

    Raises:
        StacksError: There is no grant, the stack cannot be read, or an agent may not change the stack.
    """
    file = find_project(project)
    if file is None:
        raise InputError(f"{project} is not in a Pulumi project: pass its folder with -C", code="file-access")
    _check_project(file, read_project(file))
    with client.opened(client.place_of(None)) as broker:
        workflow.check_configuration(file.parent, stack)
        chosen = () if stack is None else ("--stack", stack)
        words = ("stack", "--show-name", "--fully-qualify-stack-names", *chosen)
        name = pulumi(words, folder=file.parent).decode(errors="replace").strip()
        of, asked = broker.ask("GET", "me")["stack"], name.partition("/")[2]
        if of not in {"", asked}:
            raise ConfigError(f"the grant of this server is for the stack {of}, not for {asked}")
        exposed = broker.why_exposed()
        if exposed and strict:
            raise RefusedError(exposed)
        folder = state_folder(name)
        _make(folder)
        desk = Desk(broker, file.parent, name, folder, may_apply, running.environment_of(file.parent))
    desk._configuration()  # noqa: SLF001  (its secrets are known from the beginning)
    return desk, exposed


def _check_project(file: Path, project: Mapping[str, Any]) -> None:
    if file.name != _FILE:
        raise RefusedError(f"{file} must be named {_FILE}: rename it")
    if project.get("runtime") != "yaml":
        raise RefusedError(
            f"{file} must have `runtime: yaml` without options: an agent's program must not be code. Run the "
            "project with the token of a grant, without this server"
        )
    for name in project:
        if name not in {*_SETTINGS, *_PARTS}:
            raise RefusedError(
                f"{file} contains `{name}`: remove it. An agent's project may contain only "
                f"{', '.join((*_SETTINGS, *_PARTS))}"
            )
    other = next((one.name for one in file.parent.iterdir() if one.name.casefold().startswith("main.")), None)
    if other is not None:
        raise RefusedError(
            f"{file.with_name(other)} may be a second program: remove it, because an agent's program is in {_FILE}"
        )


def state_folder(stack: str) -> Path:
    """Return the folder on this machine for the records and the audit log of a stack (`organization/project/name`)."""
    base = os.environ.get("XDG_STATE_HOME") or ""
    root = Path(base) if Path(base).is_absolute() else Path.home() / ".local" / "state"
    # No name contains a plus. Names may contain a hyphen, so with a hyphen two stacks could share a folder.
    return root / "stacks-pulumi" / "agents" / stack.strip("/").replace("/", "+")


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise InputError(f"{folder} cannot be created: {error.strerror}", code="file-access") from None


def _put(file: Path, data: bytes) -> None:
    """Write a file atomically."""
    with tempfile.NamedTemporaryFile(dir=file.parent, prefix=f".{file.name}.", delete=False) as made:
        made.write(data)
    Path(made.name).replace(file)


def _part(rows: list[Any], page: int) -> tuple[list[Any], int]:
    pages = max(1, -(-len(rows) // _PAGE))
    if page > pages:
        raise InputError(f"there are only {pages} pages", code="invalid-argument")
    return rows[(page - 1) * _PAGE : page * _PAGE], pages


def _plain(properties: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return properties for an agent, without secrets, long texts, or properties that the provider adds."""
    return {
        name: _shortened(value)
        for name, value in (properties or {}).items()
        if name not in _NOT_SHOWN and not name.startswith("__") and value is not None
    }


def _shortened(value: Any) -> Any:
    if is_hidden(value):
        return HIDDEN
    if isinstance(value, str):
        return _short(value)
    if isinstance(value, Mapping):
        return {name: _shortened(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_shortened(one) for one in value[:_PAGE]]
    return value


def _short(text: str, longest: int = _LONGEST) -> str:
    text = clean(text)
    return text if len(text) <= longest else f"{text[:longest]}..."
