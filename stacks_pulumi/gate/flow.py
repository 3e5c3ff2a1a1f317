"""
How is a change planned and applied?

`plan` previews the change, judges it and writes its record. `apply` compares everything that the record names with what
is there now, judges the change again, and carries out exactly that plan. It never reads how `plan` judged it.
"""

from __future__ import annotations

import datetime
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

import msgspec

from stacks_pulumi._environment import pulumi_home
from stacks_pulumi._pulumi_cli import (
    NOT_READABLE,
    InputError,
    PulumiError,
    place_of,
    read_project,
)
from stacks_pulumi.broker import git
from stacks_pulumi.cost.build import report_of
from stacks_pulumi.errors import StacksError
from stacks_pulumi.gate import (
    checks,
    digests,
    engine,
    history,
    machine,
    program,
    signatures,
    spending,
    state_pack,
    texts,
)
from stacks_pulumi.gate import project as project_files
from stacks_pulumi.gate import record as records
from stacks_pulumi.gate.change import Change, changes_of, contradictions, pricer_of
from stacks_pulumi.gate.plan_file import check_plugins, code_in, other_setting, packages_of
from stacks_pulumi.gate.record import Content, Digests, LivePrices, Record, RefusedError
from stacks_pulumi.gate.verdict import Verdict, judge, without_plan
from stacks_pulumi.pricing.money import MonthlyPrice
from stacks_pulumi.reports import PolicyViolation

if TYPE_CHECKING:
    from stacks_pulumi.account.reconcile import Reconciliation
    from stacks_pulumi.gate.engine import Engine, SealedConfiguration
    from stacks_pulumi.gate.settings import Gate
    from stacks_pulumi.gate.signatures import Approval

__all__ = ["REFUSED", "Planned", "RefusedError", "apply", "judged", "plan"]

REFUSED: Final = 2
"""The exit code if the gate or a policy refuses a change."""
_WAITING: Final = 10
"""The engine's exit code if something has to wait, and everything else is done."""
_AHEAD: Final = datetime.timedelta(minutes=10)
"""How far the clock of the machine that planned may be ahead."""


@dataclass(frozen=True)
class Planned:
    """
    What `plan` found.

    Attributes:
        record: The record that it wrote; the stack's name if policies refuse the change, which then has no plan.
        verdict: Whether the change may be applied.
        changes: What happens to each resource; empty without a plan.
    """

    record: Record | str
    verdict: Verdict
    changes: tuple[Change, ...]


def plan(gate: Gate, record: Path, project: Path, stack: str | None) -> Planned:
    """
    Preview a change, judge it, and write its record.

    Args:
        gate: The gate.
        record: The folder of the record; a record that it has is replaced, with its approvals.
        project: The project's folder.
        stack: The stack's name; by default the selected stack.

    Raises:
        RefusedError: The gate is for other stacks, or does not allow a setting of the project.
        StacksError: It could not be planned; the folder then has no record, and at most a comment on that.
    """
    records.clear(record)
    if stack is not None:
        # The gate may refuse the project, and then the engine is not asked for the stack's full name.
        _note(record, f"{read_project(project_files.found_in(project)).get('name')}/{stack.split('/')[-1]}")
    with engine.scratch_folder() as scratch:
        origin = pulumi = _opened(gate, project, stack)
        _note(record, name := records.short_name(pulumi.stack))
        copies: dict[Path, Path] = {}
        if not program.own_code(pulumi.project):
            # As in `apply`, so that both read the same files.
            pulumi, copies = _copied(gate, pulumi, scratch / "program")
        _check_gate(gate)
        now = _now()
        configuration = pulumi.configuration()
        _check_configuration(gate, configuration)
        read = spending.read(gate, configuration.values, now)
        files = _program(origin, record, copies)
        state = pulumi.export()
        _check_state(gate, pulumi, state)
        preview = pulumi.preview(pulumi.pack_options(gate.packs, scratch), scratch)
        if preview.plan is None:
            return _refused(record, preview, name)
        after = pulumi.export()
        digest = digests.of_state(after, configuration.key)
        if digest != digests.of_state(state, configuration.key):
            raise InputError("the state was changed while the change was planned: plan again")
        if files != _program(origin, record, copies):
            raise InputError(
                "the program changed its own files while it was planned, so it cannot be approved"
            )
        shown = digests.without_secrets(after)
        content = Content(
            pulumi.stack,
            now,
            now + gate.record_expires,
            _backend(pulumi),
            gate.source,
            pulumi.runtime,
            program.own_code(pulumi.project),
            git.author(origin.project),
            Digests(
                plan=records.digest_of(preview.plan),
                export=records.digest_of(shown),
                events=records.digest_of(preview.events),
                program=files,
                configuration=digests.of_configuration(configuration.values, configuration.key),
                gate=digests.of_folder(gate.folder),
                state=digest,
            ),
            pulumi.versions(packages_of(preview.plan)),
            configuration.sealed_key,
            None if read.prices is None else LivePrices.of(read.prices),
        )
        monthly = records.monthly(content)
        changes, violations = _changes(
            gate, preview.plan, shown, preview.events, monthly, account=read.stacks
        )
        spent, exist = _spent(pulumi, gate, read, shown, now), _may_exist(pulumi, read, now)
        code = content.code or code_in(shown)
        verdict = judge(gate, changes, read.stacks, spent, violations, now=now, code=code, may_exist=exist)
        written = records.write(record, content, preview.plan, shown, preview.events)
        _write_texts(record, written, verdict, changes)
        return Planned(written, verdict, changes)


def apply(
    gate: Gate,
    record: Path,
    project: Path,
    stack: str | None,
    meanwhile: AbstractContextManager[None] | None = None,
) -> int:
    """
    Apply a record; the output of the engine goes to standard output.

    Args:
        gate: The gate.
        record: The folder of the record.
        project: The project's folder.
        stack: The stack's name; by default the selected stack.
        meanwhile: Entered when the record is good and nothing has begun, and left before another one can begin.

    Returns:
        The engine's exit code; `REFUSED` if a policy stopped it, which leaves what was created before.

    Raises:
        RefusedError: The record or its approval is void, or the gate refuses the change. Nothing was changed.
        PulumiError: The engine was killed, and may have changed something.
        StacksError: It could not be tried.
    """
    with machine.lock(), engine.scratch_folder() as scratch, ExitStack() as until_end:
        now = _now()
        read = _read(record)
        machine.check_idle()
        pulumi = _opened(gate, project, stack)
        # Python would run what such a file has, and not the program's files.
        for compiled in digests.compiled_files(pulumi.project):
            compiled.unlink(missing_ok=True)
        origin, copies = pulumi, dict[Path, Path]()
        if not read.content.code:
            # What is only data can be copied, so that no one changes it after it was compared.
            pulumi, copies = _copied(gate, pulumi, scratch / "program")
        _compare_files(gate, pulumi, read, now, _program(origin, read.folder, copies))
        _check_gate(gate)
        configuration = pulumi.configuration(read.content.sealed_key)
        _check_configuration(gate, configuration)
        state = pulumi.export()
        _check_state(gate, pulumi, state)
        _compare_stack(pulumi, read, configuration, state)
        seen = spending.read(gate, configuration.values, now)
        _compare_prices(read, seen)
        changes, violations = _changes(
            gate,
            read.plan,
            digests.without_secrets(state),
            read.events,
            records.monthly(read.content),
            account=seen.stacks,
        )
        verdict = judge(
            gate,
            changes,
            seen.stacks,
            _spent(pulumi, gate, seen, state, now),
            violations,
            now=now,
            code=read.code,
            may_exist=_may_exist(pulumi, seen, now),
        )
        approvals = _approved(gate, origin, read, verdict, now)
        if verdict.result == "nothing" and read.code:
            # No person has approved that this code runs with this key.
            sys.stdout.write("Nothing changes, so the program was not run.\n")
            return 0
        spending.check_key(gate, configuration.values, changes)
        options = [
            # An update asks some policies at its end only, and the record may lack what they found.
            *(pulumi.pack_options(gate.packs, scratch) or ["--skip-preview"]),
            *_state_pack(pulumi, read, configuration, scratch),
        ]
        file = scratch / records.PLAN
        file.write_bytes(read.plan)
        message = history.message(read, verdict, approvals)
        begun = machine.Begun(
            read.digest, pulumi.stack, now, verdict.increase_during, creates=spending.creates(changes)
        )
        until_end.enter_context(meanwhile or nullcontext())
        machine.begin(read, begun)
        try:
            code = pulumi.up(
                file,
                options,
                message,
                events=scratch / records.EVENTS,
                on_start=lambda pid: machine.write(msgspec.structs.replace(begun, engine=pid)),
            )
        except PulumiError as error:
            if error.code != "outcome-unknown":
                machine.end(read)
            raise
        said = scratch / _SAID
        if said.is_file():
            machine.end(read)
            raise RefusedError(said.read_text(encoding="utf-8"))
        if code < 0:
            # Its mark stays, because it has no entry in the history: it counts in full.
            raise PulumiError(
                f"the engine was killed (signal {-code}) and may have changed something: run `pulumi cancel`, and plan "
                "again",
                code="outcome-unknown",
            )
        if not machine.is_unknown(scratch / records.EVENTS, pulumi.export if code else None):
            # Such an update may have made what the state does not have, and counts as one without an end.
            machine.end(read, changed=code == 0 or _has_changed(pulumi, read, configuration))
        if code not in {0, _WAITING} and machine.is_refused(scratch / records.EVENTS):
            sys.stderr.write(
                "stacks-pulumi gate: a policy stopped the update; the resources that were created before it stay\n"
            )
            return REFUSED
        return code


def judged(gate: Gate, record: Record) -> tuple[tuple[Change, ...], Verdict]:
    """
    Return the changes of a record and how the gate judges them, without the account and without the stack.

    Both come from the plan and the state of the record alone, for the person who approves.

    Raises:
        InputError: They do not fit together.
    """
    changes, violations = _changes(gate, record.plan, record.state, record.events, record.monthly)
    return changes, judge(gate, changes, violations=violations, without_account=True, code=record.code)


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.timezone.utc)


def _opened(gate: Gate, project: Path, stack: str | None) -> Engine:
    for name in [name for name in os.environ if name.startswith("PULUMI_OPTION_")]:
        # They are options of every command, also of those that read the backend's stacks.
        del os.environ[name]
    try:
        pulumi = engine.opened(project, stack, gate)
        project_files.check_stack(pulumi.settings(), gate.project_settings)
    except InputError as error:
        if error.code == "file-access":
            # There is no project.
            raise
        raise RefusedError(error.message) from None
    if not gate.serves(name := records.short_name(pulumi.stack)):
        raise RefusedError(f"the gate {gate.source} is not for the stack {name}: see `stacks` in gate.yaml")
    # Budgets read all stacks from the folder of this process, where another project may name another backend.
    os.environ["PULUMI_BACKEND_URL"] = pulumi.backend
    return pulumi


def _copied(gate: Gate, pulumi: Engine, folder: Path) -> tuple[Engine, dict[Path, Path]]:
    """
    Return the engine for a copy of a program of data, and its files.

    Raises:
        RefusedError: The copy has settings that are not allowed: the files may be others than when it was opened.
    """
    copy, copies = pulumi.copied(folder)
    with _refusing(InputError):
        project_files.check_stack(copy.settings(), gate.project_settings)
    return copy, copies


def _check_gate(gate: Gate) -> None:
    """
    Refuse a gate that protects less than it says: the engine ignores most mistakes in the configuration of a pack, and
    the end of an exception, and the gate a limit whose name is misspelt.

    Raises:
        RefusedError: It has such a mistake.
    """
    wrong = (*checks.of_packs(gate), *checks.of_settings(gate))
    if wrong:
        raise RefusedError(f"the gate has mistakes: {'; '.join(wrong)}", names_others=True)


def _check_configuration(gate: Gate, configuration: SealedConfiguration) -> None:
    with _refusing(StacksError):
        project_files.check_configuration(configuration.values)
        spending.check_address(gate, configuration.values)


def _check_state(gate: Gate, pulumi: Engine, state: bytes) -> None:
    """
    Refuse a change of how the state is encrypted: the update would encrypt its secrets with a key of the author.

    Raises:
        RefusedError: The stack's settings have another encryption than its state, or the state names a plugin.
    """
    before = digests.encryption_of(state)
    if before is not None and before != pulumi.encryption():
        raise RefusedError(
            "the stack's settings (secretsprovider, encryptionsalt, encryptedkey) have another encryption than its "
            "state: change both with `pulumi stack change-secrets-provider`"
        )
    with _refusing(StacksError):
        spending.check_providers(gate, state)


def _read(folder: Path) -> Record:
    with _refusing(InputError):
        read = records.read(folder)
    if (folder / records.STARTED).exists() or machine.has_begun(read):
        raise RefusedError(
            "this record was applied before, or its `apply` failed or was killed: plan again. "
            "After a kill, first run `pulumi cancel`"
        )
    return read


def _has_changed(pulumi: Engine, record: Record, configuration: SealedConfiguration) -> bool:
    """Return whether an update that failed has changed the state, or may have."""
    try:
        return digests.of_state(pulumi.export(), configuration.key) != record.content.digests.state
    except StacksError:
        return True


def _compare_files(gate: Gate, pulumi: Engine, record: Record, now: datetime.datetime, files: str) -> None:
    """
    Compare the files and the times that a record names with those that are there now.

    Raises:
        RefusedError: Something is not what was planned; the message has every difference.
    """
    content = record.content
    differences = []
    if content.stack != pulumi.stack:
        differences.append(f"the record is of the stack {content.stack}, and this is {pulumi.stack}")
    # A record of an earlier version may have a login.
    planned, here = place_of(content.backend), _backend(pulumi)
    if planned != here:
        differences.append(f"the record is of the backend {planned}, and this is {here}")
    expires = min(content.expires_at, content.made_at + gate.record_expires)
    if now > expires:
        differences.append(f"the record expired at {expires:%Y-%m-%d %H:%M} UTC")
    if content.made_at > now + _AHEAD:
        differences.append(
            f"the record's time is in the future ({content.made_at:%Y-%m-%d %H:%M} UTC): check both clocks"
        )
    if digests.of_folder(gate.folder) != content.digests.gate:
        differences.append("the gate's folder is not the one that it was planned with")
    if files != content.digests.program:
        differences.append(
            "the program's files are not those that were planned: one was added, changed or removed, which may be one "
            "that git ignores (`git status --ignored`)"
        )
    elif program.own_code(pulumi.project) != content.code:
        differences.append("the record says something else of the program than its files")
    _refuse(differences)


def _compare_stack(pulumi: Engine, record: Record, configuration: SealedConfiguration, state: bytes) -> None:
    """
    Compare the configuration, the versions and the state that a record names with those that are there now.

    Raises:
        RefusedError: Something is not what was planned; the message has every difference.
    """
    content, key = record.content, configuration.key
    differences = []
    if digests.of_configuration(configuration.values, key) != content.digests.configuration:
        differences.append("the stack's configuration is not the one that was planned with")
    with _refusing(InputError):
        other = other_setting(record.plan, configuration.values)
    if other:
        differences.append(f"the plan says another {other} than the stack's configuration")
    versions = pulumi.versions(packages_of(record.plan))
    for name in sorted({*versions, *content.versions}):
        before, there = content.versions.get(name, "none"), versions.get(name, "none")
        if before != there:
            differences.append(f"{name} is {there}, and it was planned with {before}")
    if digests.of_state(state, key) != content.digests.state:
        differences.append("the state was changed after the plan was made")
    elif digests.of_state(digests.without_secrets(state), b"") != digests.of_state(record.state, b""):
        differences.append("the record shows another state than the stack has")
    _refuse(differences)


@contextmanager
def _refusing(kind: type[StacksError], before: str = "") -> Iterator[None]:
    """Let an error of this kind refuse the change; its message gets the words before it."""
    try:
        yield
    except kind as error:
        raise RefusedError(f"{before}{error.message}") from None


def _refuse(differences: Sequence[str]) -> None:
    if differences:
        raise RefusedError(f"{'; '.join(differences)}: plan again")


def _compare_prices(record: Record, read: spending.AccountNow) -> None:
    now = None if read.prices is None else LivePrices.of(read.prices)
    if now != record.content.prices:
        raise RefusedError("the platform's prices are not those that it was planned with: plan again")


def _changes(
    gate: Gate,
    planned: bytes,
    state: bytes,
    events: bytes,
    monthly: MonthlyPrice,
    *,
    account: Reconciliation | None = None,
) -> tuple[tuple[Change, ...], tuple[PolicyViolation, ...]]:
    """
    Return the changes, and the policy violations of the preview.

    Raises:
        RefusedError: Plan, state and events do not fit together, or name another plugin.
    """
    with _refusing(InputError, "the plan cannot be judged: "):
        check_plugins(gate.project_settings, state, planned)
        changes = changes_of(planned, state, pricer_of(gate, monthly, account))
        against = contradictions(changes, events)
    if against:
        raise RefusedError(f"the preview and its saved plan do not agree: {'; '.join(against)}")
    return changes, report_of(events).violations


def _approved(
    gate: Gate, pulumi: Engine, record: Record, verdict: Verdict, now: datetime.datetime
) -> tuple[Approval, ...]:
    """
    Return the approvals with which a change may be applied; none if it needs none.

    Raises:
        RefusedError: It may not be applied.
    """
    if verdict.result == "refused":
        reasons = [reason for reason in verdict.reasons if reason.result == "refused"]
        raise RefusedError(
            f"the gate refuses this change: {'; '.join(map(str, reasons))}",
            names_others=any(reason.names_others for reason in reasons),
        )
    if verdict.result != "needs_approval":
        return ()
    subject = signatures.Subject(record.digest, pulumi.stack, git.author(pulumi.project), verdict)
    found = signatures.check(record.approvals, subject, gate, now)
    if found.missing:
        raise RefusedError(f"{found.missing}: `stacks-pulumi gate approve` signs this record")
    if record.digest in history.applied(history.entries(pulumi.history(), pulumi.stack, None)):
        # The state can be the old one again: what it made was deleted since then.
        raise RefusedError("this record was applied before, as the stack's history says: plan again")
    return found.valid


def _spent(
    pulumi: Engine, gate: Gate, read: spending.AccountNow, state: bytes, now: datetime.datetime
) -> Decimal | None:
    """Return what the last 24 hours added to the monthly price; `None` if it is not known, or not needed."""
    if gate.free is None:
        return None
    said = history.said_in_a_day(pulumi, gate, now)
    pending = spending.interrupted(state, pricer_of(gate, read.monthly))
    return spending.spent(said, machine.unfinished(now), pending, read.added)


def _may_exist(pulumi: Engine, read: spending.AccountNow, now: datetime.datetime) -> dict[str, Decimal]:
    begun = [one for one in machine.unfinished(now) if one.stack == pulumi.stack]
    return spending.may_exist(begun, read, now)


def _refused(record: Path, preview: engine.PlannedPreview, name: str) -> Planned:
    """
    Return that policies refuse a change. Its price is not known, and no limit was judged.

    Raises:
        PulumiError: The preview failed for another reason.
    """
    try:
        violations = report_of(preview.events).violations
    except InputError:
        violations = ()
    if not any(violation.level == "mandatory" for violation in violations):
        from stacks_pulumi.account.doctor_checks import advice_on  # noqa: PLC0415  (25 ms, which no other plan needs)

        advice = advice_on(preview.error)
        raise PulumiError(preview.error if advice is None else f"{preview.error}; {advice}")
    verdict = without_plan(violations)
    _write_texts(record, name, verdict, ())
    return Planned(name, verdict, ())


def _note(folder: Path, name: str) -> None:
    """Write the comment that stays if nothing takes its place."""
    records.put(folder, records.COMMENT, texts.unplanned(name).encode())


def _write_texts(folder: Path, record: Record | str, verdict: Verdict, changes: Sequence[Change]) -> None:
    records.put(folder, records.COMMENT, texts.comment(record, verdict, changes).encode())
    records.put(folder, records.JUNIT, texts.junit(record, verdict, changes).encode())


def _program(pulumi: Engine, record: Path, copies: Mapping[Path, Path] = MappingProxyType({})) -> str:
    return digests.of_folder(pulumi.project, (record, pulumi_home()), copies)


def _backend(pulumi: Engine) -> str:
    """
    Return where the backend is; of one of files only that, because its path depends on the machine.

    Raises:
        InputError: Its address cannot be read, so it cannot be compared with another one.
    """
    place = "file://" if pulumi.backend.startswith("file://") else place_of(pulumi.backend)
    if NOT_READABLE in place:
        raise InputError(
            f"the address of the backend cannot be read ({place}): encode its login, for instance / as %2F",
            code="invalid-argument",
        )
    return place


_SAID: Final = "refused.txt"


def _state_pack(
    pulumi: Engine, record: Record, configuration: SealedConfiguration, scratch: Path
) -> list[str]:
    """Return the options that start the gate's own pack."""
    expected = state_pack.Expected(
        str(pulumi.project),
        pulumi.stack,
        configuration.key.decode(),
        record.content.digests.state,
        str(scratch / _SAID),
    )
    file, script, config = (scratch / name for name in ("state.json", "state-pack", "state-pack.json"))
    file.write_bytes(msgspec.json.encode(expected))
    config.write_text("{}", encoding="utf-8")
    words = [engine.PYTHON, "-u", "-m", "stacks_pulumi.gate.state_pack", str(file)]
    # Not in the project's folder, where a module could hide one of ours.
    engine.write_script(script, words, [], folder=scratch)
    return ["--policy-pack", str(script), "--policy-pack-config", str(config)]
