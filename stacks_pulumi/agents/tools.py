"""
What may an agent call?

Each method of `Desk` is a tool. It reads, plans, or applies what the gate allows; none approves, and none returns a
secret. An error is an exception of this package, whose one line the agent gets.
"""

from __future__ import annotations

import contextlib
import datetime
import os
import re
import secrets as random
import shlex
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeVar

import anyio
import msgspec
from anyio import to_thread
from mcp.server.mcpserver import Context
from pydantic import Field

from stacks_pulumi import catalog, config
from stacks_pulumi._identifiers import name_of
from stacks_pulumi._pulumi_cli import InputError, StoredResource, find_project, read_project, read_stack
from stacks_pulumi.agents import programs
from stacks_pulumi.agents.masking import HIDDEN, Secrets
from stacks_pulumi.agents.outcomes import (
    AccountFigures,
    ApplyOutcome,
    ContainerLog,
    ContainerMetrics,
    ExplainedCode,
    PlannedStep,
    PlanOutcome,
    PlanVerdict,
    PricePage,
    ResourcePage,
    ShownResource,
    TemplatePrice,
    bounds,
    dollars,
    end_of,
    of_plans,
    reasons_of,
)
from stacks_pulumi.agents.reading import container_id, credentials, explanation
from stacks_pulumi.agents.worker import Done, Job, in_process
from stacks_pulumi.api import StacksClient
from stacks_pulumi.cost import live
from stacks_pulumi.cost.build import report_of
from stacks_pulumi.errors import StacksError, clean, clean_lines
from stacks_pulumi.gate import digests, engine, project, settings, spending
from stacks_pulumi.gate import record as records
from stacks_pulumi.gate.engine import Engine
from stacks_pulumi.gate.flow import RefusedError
from stacks_pulumi.pricing.money import MonthlyPrice, usd
from stacks_pulumi.pricing.recognition import MARKER, is_hidden

_PAGE: Final = 25
_LONGEST: Final = 200
_LONGEST_LOG: Final = 20_000
_MOST_LINES: Final = 500
_POINTS: Final = 20
_AT_ONCE: Final = 4
"""How many calls read at the same time: each may start an engine, which takes 80 MB."""
_MOST_RECORDS: Final = 100
_MOST_APPLIED: Final = 1_000
"""How many records are kept that were applied without an approval: what an agent did is not lost by many plans."""
RECORD: Final = re.compile(r"[0-9]{8}-[0-9]{6}-[0-9a-f]{8}", re.ASCII)
"""The name of a record."""
_OUTPUT: Final = "output.txt"
_FILE: Final = "Pulumi.yaml"
_SETTINGS: Final = ("name", "description", "runtime")
_PARTS: Final = ("resources", "variables", "outputs")
_NOT_SHOWN: Final = frozenset({MARKER, "stacksKind", "monthlyPriceUsd", "changedOutside"})
_DONE: Final = re.compile(r"\b(created|updated|deleted|replaced|imported|failed)\b")
_OF_LOG: Final = re.compile(r"(?<=Its last log lines: ).*?(?=(?: \[[a-z-]+\])?$)", re.MULTILINE)
"""What an error has of a container's log: its passwords are known, and the middle of a key, in `get_logs` only."""

_T = TypeVar("_T")

Page = Annotated[int, Field(ge=1, le=10_000, description="The page, from 1.")]
Name = Annotated[
    str, Field(max_length=100, description="The name of a container in the program, as in list_resources.")
]
Lines = Annotated[int, Field(ge=1, le=_MOST_LINES, description="How many lines, the last ones.")]
RecordName = Annotated[str, Field(max_length=100, description="The record that plan returned.")]
Code = Annotated[
    str, Field(max_length=100, description="The code of an error: the word in brackets at its end.")
]
ProgramText = Annotated[
    str | dict[str, Any],
    Field(
        description="The whole desired program: YAML or JSON text, or an object, with resources, variables and "
        "outputs. A resource that it leaves out is deleted."
    ),
]


@dataclass
class Desk:
    """
    What the tools need.

    Attributes:
        gate: The gate's folder.
        gate_ref: The git ref that it is read from.
        engine: The engine for the project and its stack.
        folder: Where records are kept.
        may_apply: Whether the agent may apply.
        secrets: What must not be in an answer.
    """

    gate: Path
    gate_ref: str | None
    engine: Engine
    folder: Path
    may_apply: bool
    secrets: Secrets = field(default_factory=Secrets)
    _one: anyio.Lock = field(default_factory=anyio.Lock)
    _readers: anyio.CapacityLimiter = field(default_factory=lambda: anyio.CapacityLimiter(_AT_ONCE))
    _steps: dict[str, int] = field(default_factory=dict)

    # ---------------------------------------------------------------------------------------------- reading

    async def _read(self, work: Callable[..., _T], *words: Any) -> _T:
        return await to_thread.run_sync(work, *words, limiter=self._readers)

    async def list_resources(self, page: Page = 1) -> ResourcePage:
        """List the stack's resources with their prices, and the program that is now in force."""
        return await self._read(self._resources, page)

    def _resources(self, page: int) -> ResourcePage:
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

    async def get_account(self) -> AccountFigures:
        """Show what the account costs a month, and what the gate allows without an approval."""
        return await self._read(self._account)

    def _account(self) -> AccountFigures:
        with settings.opened(self.gate, self.gate_ref) as gate, self._client(gate) as client:
            monthly = self._monthly(gate, client)
            report = live.account(client, monthly)
            now = datetime.datetime.now(datetime.timezone.utc)
            added = spending.read(gate, self._configuration(), now).added if gate.free is not None else None
            limits = gate.limits
            return AccountFigures(
                len(report.lines),
                str(report.planned),
                not report.incomplete,
                dollars(None if gate.free is None else gate.free.increase_per_day),
                dollars(None if added is None else sum(added.values(), Decimal(0))),
                dollars(limits.max_total),
                dollars(limits.max_increase),
                self.may_apply,
            )

    async def list_prices(self, page: Page = 1) -> PricePage:
        """List the templates and what a container of each costs a month, in US dollars."""
        return await self._read(self._prices, page)

    def _prices(self, page: int) -> PricePage:
        with settings.opened(self.gate, self.gate_ref) as gate:
            if gate.file.live_prices:
                with self._client(gate) as client:
                    monthly = self._monthly(gate, client)
            else:
                monthly = catalog.monthly_price
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

    async def get_logs(self, resource: Name, lines: Lines = 50) -> ContainerLog:
        """Show the last lines of the log of a container of this stack; passwords and keys are hidden."""
        return await self._read(self._logs, resource, lines)

    def _logs(self, resource: str, lines: int) -> ContainerLog:
        stack = self._stack()
        with settings.opened(self.gate, self.gate_ref) as gate, self._client(gate) as client:
            id_ = container_id(client, stack, resource)
            try:
                self.secrets.add(credentials(client, stack, id_))
            except StacksError as error:
                # What is not known cannot be hidden.
                raise InputError(
                    f"the log of {resource!r} is not shown, because its passwords cannot be read to hide "
                    f"them: {error.message}",
                    code=error.code,
                ) from None
            # All lines, because a few of them may be the middle of a key, which shows only by its beginning or end.
            text = client.containers.logs(id_, _MOST_LINES)
        hidden = clean_lines(self.secrets.masked_log(text)).rstrip("\n").split("\n")
        return ContainerLog(resource, "\n".join(hidden[-lines:])[-_LONGEST_LOG:])

    async def get_metrics(self, resource: Name) -> ContainerMetrics:
        """Show the last measurements of a container of this stack."""
        return await self._read(self._metrics, resource)

    def _metrics(self, resource: str) -> ContainerMetrics:
        stack = self._stack()
        with settings.opened(self.gate, self.gate_ref) as gate, self._client(gate) as client:
            measured = msgspec.to_builtins(client.containers.metrics(container_id(client, stack, resource)))
        return ContainerMetrics(resource, {name: points[-_POINTS:] for name, points in measured.items()})

    async def explain_error(self, code: Code) -> ExplainedCode:
        """Explain the code of an error: its cause, and what to do."""
        text = explanation(code.strip().strip("[]`"))
        if text is None:
            raise InputError(
                "this is not the code of an error: it is the word in brackets at the end of a message",
                code="invalid-argument",
            )
        return ExplainedCode(code, text)

    # --------------------------------------------------------------------------------------------------- changing

    async def plan(self, program: ProgramText, context: Context[Any, Any]) -> PlanOutcome:
        """
        Plan a change: check the program, preview it, price it and judge it. Nothing is changed.

        The verdict is `free` (apply it), `needs_approval` (a person runs `approve_with`) or `refused` (see `reasons`).
        """
        # First without the engine, which most mistakes do not need.
        programs.check(program)
        checked = programs.check(program, await self._read(self._configuration))
        name = f"{datetime.datetime.now(datetime.timezone.utc):%Y%m%d-%H%M%S}-{random.token_hex(4)}"
        folder = self.folder / name
        async with self._one:
            await to_thread.run_sync(self._clean_up)
            _make(folder)
            done = await self._run("plan", name, checked, context)
        change = done.change
        if done.error or change is None:
            await to_thread.run_sync(shutil.rmtree, folder)
            raise InputError(self.secrets.masked(_without_code(done.error)), code=_code_of(done.error))
        records.put(folder, records.AGENTS_PROGRAM, checked.text({}))
        outcome = self._outcome(name, change)
        self._steps[name] = len(outcome.steps)
        return outcome

    async def apply(self, record: RecordName, context: Context[Any, Any]) -> ApplyOutcome:
        """Apply a planned change: only one that is `free`, or that a person has approved. It is checked again."""
        if not self.may_apply:
            raise RefusedError("this server was started without `--allow apply`, so it only plans")
        folder = self._folder_of(record)
        # Not as a text: as JSON it may be longer than the text of a program may be.
        program = programs.check(msgspec.json.decode((folder / records.AGENTS_PROGRAM).read_bytes()))
        async with self._one:
            done = await self._run("apply", record, program, context)
            output = end_of(self._output(folder))
        if done.exit_code is None:
            raise RefusedError(self.secrets.masked(_without_code(done.error)), code=_code_of(done.error))
        return ApplyOutcome("applied" if done.exit_code == 0 else "failed", record, output)

    async def _run(
        self,
        action: Literal["plan", "apply"],
        name: str,
        program: programs.Program,
        context: Context[Any, Any],
    ) -> Done:
        """Carry out a job on a copy of the project with the program; report what the engine does."""
        folder = self.folder / name
        seen = 0

        async def report() -> None:
            nonlocal seen
            lines = [line for line in self._output(folder).splitlines() if _DONE.search(line)]
            if len(lines) > seen:
                seen = len(lines)
                total = max(self._steps.get(name, 0), seen) or None
                await context.report_progress(seen, total, _short(lines[-1].strip()))

        with tempfile.TemporaryDirectory(prefix="stacks-agent-") as scratch:
            project = self._copy(Path(scratch) / "project", program)
            job = Job(
                action,
                str(self.gate),
                self.gate_ref,
                str(folder / "record"),
                str(project),
                self.engine.stack,
                str(self.engine.project),
            )
            try:
                return await in_process(job, Path(scratch), folder / _OUTPUT, report)
            finally:
                with anyio.CancelScope(shield=True), contextlib.suppress(StacksError):
                    # What it has made has secrets, and its messages may have them.
                    await to_thread.run_sync(self._export)

    def _outcome(self, name: str, change: Mapping[str, Any]) -> PlanOutcome:
        verdict: PlanVerdict = "free" if change["result"] == "nothing" else change["result"]
        record = name if change["record"] else None
        reasons = (
            ["nothing changes"]
            if change["result"] == "nothing"
            else [_short(one, 500) for one in reasons_of(change)]
        )
        return PlanOutcome(
            verdict,
            record,
            [
                PlannedStep(
                    name_of(one["urn"]),
                    one["type"],
                    one["operation"],
                    one["inputs"],
                    one["unknown"],
                    bounds(one["price_before"]),
                    bounds(one["price_after"]),
                )
                for one in change["changes"]
                # The engine's own provider; a program of an agent has no other one.
                if not one["type"].startswith("pulumi:")
            ],
            bounds(change["price_before"]) or "not known",
            bounds(change["price_after"]) or "not known",
            bounds(change["price_during"]) or "not known",
            list(dict.fromkeys(reasons)),
            self._approve_with(name, change) if verdict == "needs_approval" and record else None,
        )

    def _approve_with(self, name: str, change: Mapping[str, Any]) -> str:
        words = [
            "stacks-pulumi",
            "gate",
            "approve",
            str(self.folder / name / "record"),
            "--gate",
            str(self.gate),
        ]
        words += [] if self.gate_ref is None else ["--gate-ref", self.gate_ref]
        words += ["--accept-unknown"] if change["unknown"] else []
        words += ["--ceiling", "any"] if change["increase"] is None else []
        return f"{shlex.join(words)} --key FILE"

    def _folder_of(self, record: str) -> Path:
        folder = self.folder / record
        if not RECORD.fullmatch(record) or not (folder / records.AGENTS_PROGRAM).is_file():
            raise InputError("there is no such record: `plan` returns its name", code="invalid-argument")
        return folder

    def _copy(self, folder: Path, program: programs.Program) -> Path:
        """Copy the project's settings, with this program in it."""
        origin = self.engine.project
        for file in (*origin.glob("Pulumi.*"), *project.facts_in(origin, self.engine.settings())):
            copy = folder / file.relative_to(origin)
            copy.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            if file.is_file():
                shutil.copyfile(file, copy)
        records.put(folder, _FILE, self._project_file(program))
        return folder

    def _project_file(self, program: programs.Program) -> bytes:
        current = read_project(self.engine.project / _FILE)
        return program.text({name: current[name] for name in _SETTINGS if name in current})

    def _program(self) -> dict[str, Any]:
        """Return the program that is in force."""
        current = read_project(self.engine.project / _FILE)
        return {name: current[name] for name in _PARTS if name in current}

    def _output(self, folder: Path) -> str:
        """Return the end of what the engine has written."""
        try:
            text = (folder / _OUTPUT).read_text(encoding="utf-8", errors="replace")
        except OSError:
            return ""
        return clean_lines(self.secrets.masked_log(_OF_LOG.sub("see get_logs", text)))[-_LONGEST_LOG:]

    def _clean_up(self) -> None:
        """Remove the oldest records, so that an agent does not fill the disk; not what a person has approved."""
        records_of: dict[bool, list[Path]] = {False: [], True: []}
        for one in sorted(self.folder.iterdir()):
            if RECORD.fullmatch(one.name) and not (one / "record" / records.APPROVALS).is_dir():
                records_of[(one / "record" / records.STARTED).exists()].append(one)
        for was_applied, most in ((False, _MOST_RECORDS), (True, _MOST_APPLIED)):
            for one in records_of[was_applied][:-most]:
                shutil.rmtree(one, ignore_errors=True)

    def _export(self) -> bytes:
        """Return the stack's export without secrets; remember the secrets, to hide them."""
        export = self.engine.export()
        self.secrets.add_export(export)
        return digests.without_secrets(export)

    def _configuration(self) -> Mapping[str, Any]:
        values = self.engine.configuration().values
        self.secrets.add_settings(values)
        return values

    @contextlib.contextmanager
    def _client(self, gate: settings.Gate) -> Iterator[StacksClient]:
        """Yield a client for the stack's account."""
        values = self._configuration()
        spending.check_address(gate, values)
        texts = {name: one.get("value") for name, one in values.items() if isinstance(one, dict)}
        file = texts.get("stacks:platform")
        # The engine reads it in the project's folder.
        texts["stacks:platform"] = file and str(self.engine.project / file)
        with StacksClient.of(config.load(texts)) as client:
            yield client

    @staticmethod
    def _monthly(gate: settings.Gate, client: StacksClient) -> MonthlyPrice:
        return live.prices(client) if gate.file.live_prices else catalog.monthly_price

    def _stack(self) -> Sequence[StoredResource]:
        """Return what the stack has."""
        return read_stack(self._export()).resources


def opened(
    gate_folder: Path, gate_ref: str | None, project: Path, stack: str | None, *, may_apply: bool
) -> Desk:
    """
    Return what the tools need, after a look at whether the project can be an agent's.

    Args:
        gate_folder: The gate's folder.
        gate_ref: The git ref that it is read from.
        project: The project's folder.
        stack: The stack's name; by default the selected stack.
        may_apply: Whether the agent may apply.

    Raises:
        StacksError: The gate or the stack cannot be read, or is not for an agent.
    """
    file = find_project(project)
    if file is not None:
        _check_project(file, read_project(file))
    with settings.opened(gate_folder, gate_ref) as gate:
        found = engine.opened(project, stack, gate)
        if not gate.serves(records.short_name(found.stack)):
            raise RefusedError(
                f"the gate {gate.source} is not for the stack {records.short_name(found.stack)}"
            )
        if gate_ref is None and gate.folder.is_relative_to(found.project):
            raise RefusedError(
                f"the gate {gate.folder} is in the project, which the agent's program becomes a part of: put it outside"
            )
        secrets = Secrets()
        configuration = found.configuration().values
        spending.check_address(gate, configuration)
        if configuration.get("stacks:adopt", {}).get("value", "never") != "never":
            raise RefusedError(
                "the stack's configuration has `stacks:adopt`: remove it, because an agent may not adopt"
            )
        secrets.add_settings(configuration)
    folder = state_folder(found.stack)
    _make(folder)
    return Desk(gate_folder.resolve(), gate_ref, found, folder, may_apply, secrets)


def _check_project(file: Path, project: Mapping[str, Any]) -> None:
    if file.name != _FILE:
        raise RefusedError(f"{file} must have the name {_FILE}")
    if project.get("runtime") != "yaml":
        raise RefusedError(
            f"{file} must have `runtime: yaml`, without options: a program in another language is code"
        )
    for name in project:
        if name not in {*_SETTINGS, *_PARTS}:
            raise RefusedError(
                f"{file} has `{name}`: remove it, because a project of an agent has {', '.join((*_SETTINGS, *_PARTS))}"
            )
    other = next((one.name for one in file.parent.iterdir() if one.name.casefold().startswith("main.")), None)
    if other is not None:
        raise RefusedError(
            f"{file.with_name(other)} may be a program: remove it, because an agent's is in {_FILE}"
        )


def state_folder(stack: str) -> Path:
    """Return the folder for the records and the audit log of a stack, `organization/project/name`, on this machine."""
    base = os.environ.get("XDG_STATE_HOME") or ""
    root = Path(base) if Path(base).is_absolute() else Path.home() / ".local" / "state"
    # No name has a plus. With the hyphen, which names may have, two stacks could share a folder.
    return root / "stacks-pulumi" / "agents" / stack.strip("/").replace("/", "+")


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise InputError(f"{folder} cannot be made: {error.strerror}", code="file-access") from None


def _part(rows: list[Any], page: int) -> tuple[list[Any], int]:
    pages = max(1, -(-len(rows) // _PAGE))
    if page > pages:
        raise InputError(f"there are {pages} pages", code="invalid-argument")
    return rows[(page - 1) * _PAGE : page * _PAGE], pages


def _plain(properties: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return what an agent sees of properties: no secret, no long text, and nothing that the provider adds."""
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


_CODE: Final = re.compile(r" \[([a-z-]+)\]$")


def _without_code(error: str) -> str:
    return _CODE.sub("", error) or "the process ended without a result"


def _code_of(error: str) -> Any:
    found = _CODE.search(error)
    return found[1] if found else "internal-error"
