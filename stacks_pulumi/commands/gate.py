"""`stacks-pulumi gate`: plan a change, judge it, let a person approve it, and apply exactly that change."""

from __future__ import annotations

import argparse
import contextlib
import datetime
import functools
import os
import shlex
import sys
from collections.abc import Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Final

from stacks_pulumi._pulumi_cli import InputError, read_project
from stacks_pulumi.commands._shared import (
    OF_STACK,
    TEXT,
    Command,
    folder_of,
    one_line,
    print_json,
    report_error,
    show,
    tell,
)
from stacks_pulumi.errors import clean_lines

if TYPE_CHECKING:
    from stacks_pulumi.gate.change import Change
    from stacks_pulumi.gate.history import LoggedUpdate
    from stacks_pulumi.gate.record import Record
    from stacks_pulumi.gate.settings import Gate
    from stacks_pulumi.gate.signatures import Statement, Subject
    from stacks_pulumi.gate.verdict import Verdict

_HELP: Final = "plan a change, judge it, let a person approve it, and apply exactly that change"

_EXTRAS: Final = "[policy,cli]"
_STACK: Final = "prod"
_TOTAL: Final = Decimal(40)
_INCREASE: Final = Decimal(15)
_REFUSED: Final = 2
_WAITING: Final = 10
"""How `pulumi up` ends if an operation has to wait (3.272 or newer)."""
_RESULTS: Final = {"nothing": 0, "free": 0, "needs_approval": 3, "refused": _REFUSED}
_TIME: Final = "%Y-%m-%d %H:%M:%S UTC"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "A change is previewed under policies, priced, judged by rules, approved by a person's SSH signature, and "
        "applied as exactly that change. docs/gate.md describes it."
    )


def run(options: argparse.Namespace) -> int:
    """Run the action; the exit code is one of those that `--help` lists."""
    if _is_of_broker(options):
        from stacks_pulumi.commands import _change  # noqa: PLC0415  (not to list the commands)

        return _change.run(options)
    from stacks_pulumi.gate.flow import RefusedError  # noqa: PLC0415  (not to list the commands)

    for name in ("gate", "record"):
        if name in vars(options) and getattr(options, name) is not None:
            setattr(options, name, Path(getattr(options, name)))
    if options.format == "junit":
        raise InputError(
            "--format junit is for a change.json: a record has its own junit.xml", code="invalid-argument"
        )
    if options.action in {"plan", "approve", "apply"} and options.gate is None:
        raise InputError("--gate is needed: it names the gate's folder", code="invalid-argument")
    try:
        return _ACTIONS[options.action].run(options)
    except RefusedError as error:
        return report_error(options, error, exit_code=_REFUSED)


def _is_of_broker(options: argparse.Namespace) -> bool:
    """Return whether a command is about a change of a broker, and not about a record."""
    if options.action == "plan":
        return options.out is not None
    if options.action == "log":
        return options.gate is not None and "://" in options.gate
    return options.action in {"show", "approve", "apply"} and not Path(options.record).is_dir()


def _add_gate(parser: argparse.ArgumentParser, *, required: bool = True) -> None:
    parser.add_argument(
        "--gate",
        required=required,
        metavar="DIR",
        help="the gate's folder, which has gate.yaml; for a change.json also the address of a broker",
    )
    parser.add_argument(
        "--gate-ref",
        metavar="REF",
        help="read the gate's folder from this git ref, such as origin/main, and not from the working tree",
    )


def _add_record(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "record",
        metavar="RECORD",
        help="the folder of the record; or a change.json, or the id of an access request",
    )


def _add_init(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "folder", type=Path, metavar="DIR", help="where to write; no file in it is overwritten"
    )
    parser.add_argument(
        "--approver",
        action="append",
        default=[],
        type=_approver,
        metavar="NAME=FILE",
        help="a person who may approve, with the file of their public key (.pub); may be given several times",
    )
    parser.add_argument(
        "--base-url",
        metavar="URL",
        help="the address of the API, if it is not the default: for instance that of an emulator",
    )
    parser.add_argument(
        "--max-total",
        type=_usd,
        default=_TOTAL,
        metavar="USD",
        help="the most that a stack may cost a month",
    )
    parser.add_argument(
        "--max-increase",
        type=_usd,
        default=_INCREASE,
        metavar="USD",
        help="the most that a change may add to it",
    )
    parser.add_argument(
        "--workflow",
        choices=("github", "gitlab"),
        help="also write the project's pipeline into its repository; a gate that is there stays as it is",
    )


def _add_plan(parser: argparse.ArgumentParser) -> None:
    _add_gate(parser, required=False)
    to = parser.add_mutually_exclusive_group(required=True)
    to.add_argument(
        "--record",
        metavar="DIR",
        help="where to write the record; one that is there is replaced, with its approvals",
    )
    to.add_argument(
        "--out",
        type=Path,
        metavar="FILE",
        help="where to write the change for a broker, such as change.json; its signatures are removed",
    )
    parser.add_argument(
        "--save-plan",
        action="store_true",
        help="with --out: also save the engine's plan, which `apply` then keeps to, for resources of other providers",
    )
    parser.add_argument(
        "--reads",
        action="append",
        default=[],
        type=_reads,
        metavar="NAME=CLASS",
        help="with --out: a secret that a function of the program reads: a container's name in the program, and "
        "`credentials` or `certificate`; may be given several times",
    )
    parser.add_argument(
        "--ceiling",
        type=_usd,
        metavar="USD",
        help="with --out: the highest increase of the monthly price (default: what it adds now)",
    )
    parser.add_argument(
        "--expires",
        type=_duration,
        metavar="TIME",
        help="with --out: how long it may be applied: 30m, 4h or 2d (default: `record_expires` in gate.yaml)",
    )


def _add_both(parser: argparse.ArgumentParser, *, required: bool = False) -> None:
    _add_record(parser)
    _add_gate(parser, required=required)


def _add_apply(parser: argparse.ArgumentParser) -> None:
    _add_both(parser)
    parser.add_argument(
        "--strict", action="store_true", help="with a change.json: refuse if this user could read the key"
    )
    parser.add_argument(
        "--accept-replay",
        action="store_true",
        help="with a change.json and a new ledger: it need not be known that the change was not applied before",
    )
    parser.set_defaults(words=())
    parser.epilog = (
        "With a change.json, `-- CMD` after the options runs another command than `pulumi up --yes`."
    )


def _add_approve(parser: argparse.ArgumentParser) -> None:
    _add_both(parser)
    parser.add_argument(
        "--key",
        required=True,
        type=Path,
        metavar="FILE",
        help="your private key of SSH, or the public one (.pub) of a key that an agent or a hardware key has",
    )
    parser.add_argument("--as", dest="name", metavar="NAME", help="fail if the key belongs to someone else")
    parser.add_argument(
        "--ceiling",
        type=_ceiling,
        metavar="USD",
        help="the highest increase of the monthly price that you approve, or `any` (default: the one that is shown)",
    )
    parser.add_argument(
        "--expires",
        type=_duration,
        default=datetime.timedelta(hours=4),
        metavar="TIME",
        help="how long the approval holds: 30m, 4h or 2d (default: 4h; never longer than the record)",
    )
    parser.add_argument(
        "--accept-unknown",
        action="store_true",
        help="approve values that are not known until the change is made",
    )


def _approver(text: str) -> tuple[str, Path]:
    name, _, file = text.partition("=")
    if not name or not file:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=FILE")
    return name, Path(file).expanduser()


def _reads(text: str) -> tuple[str, str]:
    name, _, class_ = text.partition("=")
    if not name or class_ not in {"credentials", "certificate"}:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=credentials or NAME=certificate")
    return name, class_


def _usd(text: str) -> Decimal:
    from stacks_pulumi.pricing.money import number  # noqa: PLC0415  (not to list the commands)

    try:
        return number(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _ceiling(text: str) -> Decimal | str:
    return text if text == _ANY else _usd(text)


_ANY: Final = "any"


def _duration(text: str) -> datetime.timedelta:
    from stacks_pulumi.broker.reader import duration  # noqa: PLC0415  (not to list the commands)

    try:
        return duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _init(options: argparse.Namespace) -> int:
    from stacks_pulumi.account.takeover import check_overwrites_nothing, write  # noqa: PLC0415  (not to list the commands)
    from stacks_pulumi.gate.settings import FILE  # noqa: PLC0415  (each action needs its own modules)
    from stacks_pulumi.gate.start import init  # noqa: PLC0415  (as above)

    top, files, notes, refused, project = (
        (Path(), {}, [], "", "") if options.workflow is None else _pipeline(options)
    )
    # Both are written, or neither.
    check_overwrites_nothing(top, files)
    asked = (options.approver, options.max_total, options.max_increase, options.base_url)
    if files and asked == ([], _TOTAL, _INCREASE, None) and (options.folder / FILE).exists():
        lines = [f"{options.folder} has a gate already, which stays as it is."]
        who = ""
    else:
        names = init(options.folder, *asked, project=project)
        lines = [f"Wrote {', '.join(names)} to {options.folder}."]
        approvers = ", ".join(dict.fromkeys(name for name, _ in options.approver))
        who = f"\n\nApprovers: {one_line(approvers or 'none yet: add a line to allowed_signers')}"
        notes += [f"\nThis gate refuses the project: {one_line(refused)}\n"] if refused else []
    write(top, files)
    lines += [f"Wrote {', '.join(files)} to {top}."] if files else []
    sys.stdout.write(
        "\n".join(lines) + f"{who}\n\n"
        "Next, in a project with a stack:\n"
        f"  stacks-pulumi gate check --gate {options.folder}\n"
        f"  stacks-pulumi gate plan --gate {options.folder}{' --gate-ref HEAD' if files else ''} --record RECORD\n"
        + "".join(notes)
    )
    return 0


def _pipeline(options: argparse.Namespace) -> tuple[Path, dict[str, str | bytes], list[str], str, str]:
    """Return the repository, its new files, what the user has to know, why a gate refuses the project, and its name."""
    from stacks_pulumi.commands._lock import INSTALL, RENEW, REQUIREMENTS, extras_in  # noqa: PLC0415  (as above)
    from stacks_pulumi.commands._lock import NAME as LOCK  # noqa: PLC0415  (as above)
    from stacks_pulumi.commands.scaffold import repository_of, required  # noqa: PLC0415  (as above)
    from stacks_pulumi.gate.project import found_in, why_refused  # noqa: PLC0415  (as above)
    from stacks_pulumi.gate.start import GITLAB_FILE, GITLAB_INCLUDE, GITLAB_MAIN, pipeline  # noqa: PLC0415  (as above)

    project = found_in(folder_of(options))
    folder = project.parent
    top = repository_of(folder)
    if top is None:
        raise InputError(f"{folder} is in no repository of git: run `git init` first", code="file-access")
    has = (folder / REQUIREMENTS).exists()
    written = (folder / REQUIREMENTS).read_text(encoding="utf-8", errors="replace") if has else ""
    lines = (line.partition("#")[0].replace("_", "-").strip() for line in written.splitlines())
    asked = {extra for line in lines if "stacks-pulumi" in line for extra in extras_in(line)}
    needed = required(folder, {} if has else {REQUIREMENTS: _EXTRAS}, extras=asked | extras_in(_EXTRAS))
    if has and (any(name.endswith(".whl") for name in needed.files) or (folder / LOCK).exists()):
        # The project installs this package from another place, or has its own lock.
        needed = needed._replace(files={}, lock="")
    if needed.problem and not has:
        raise InputError(
            f"it is not known what installs stacks-pulumi there ({needed.problem}): write {REQUIREMENTS} first"
        )
    install = [line.format(lock=needed.lock or LOCK) for line in INSTALL]
    files: dict[str, str | bytes] = {
        **pipeline(
            options.workflow,
            project,
            top=top,
            gate=options.folder,
            stack=options.stack or _STACK,
            install=install,
        ),
        **{os.path.relpath(folder / name, top): content for name, content in needed.files.items()},
    }
    lacks = has and not asked >= extras_in(_EXTRAS)
    notes = [f"\n{REQUIREMENTS} has to install stacks-pulumi{_EXTRAS}.\n"] if lacks else []
    if has:
        # Only the user knows what else is in there.
        notes.append(
            f"\nThe pipeline installs what {LOCK} has, with hashes. It has to have all of {REQUIREMENTS}:\n  {RENEW}\n"
        )
    if GITLAB_FILE in files and GITLAB_MAIN not in files:
        notes.append(f"\n{GITLAB_MAIN} is there already. Add to it:\n  {GITLAB_INCLUDE}\n")
    content = read_project(project)
    return top, files, notes, why_refused(project, content), str(content["name"])


def _plan(options: argparse.Namespace) -> int:
    from stacks_pulumi.gate import flow, settings  # noqa: PLC0415  (each action needs its own modules)

    project = folder_of(options)
    with settings.opened(options.gate, options.gate_ref) as gate:
        _tell_source(gate, project)
        planned = flow.plan(gate, options.record, project, options.stack)
        _show_change(options, planned.record, planned.verdict, planned.changes)
        if planned.verdict.result == "needs_approval":
            tell(
                "gate",
                f"next: `{_words('approve', options, planned.verdict)}`, by a person who may approve it",
            )
    return _RESULTS[planned.verdict.result]


def _show(options: argparse.Namespace) -> int:
    from stacks_pulumi.gate import flow, record  # noqa: PLC0415  (each action needs its own modules)

    read = record.read(options.record)
    with _gate_of(options) as gate:
        if options.gate is None:
            tell(
                "gate",
                "no gate is named (--gate), so the change is judged by the strict rules, without limits",
            )
        else:
            _check_gate(gate, read)
        changes, verdict = flow.judged(gate, read)
        lines = () if options.gate is None else _approvals(gate, read, verdict)
        _show_change(options, read, verdict, changes, lines)
    return 0


def _approve(options: argparse.Namespace) -> int:
    from stacks_pulumi.broker.signatures import SignatureError  # noqa: PLC0415  (each action needs its own modules)
    from stacks_pulumi.gate import flow, record, settings, signatures  # noqa: PLC0415  (each needs its own)

    read = record.read(options.record)
    with settings.opened(options.gate, options.gate_ref) as gate:
        _check_gate(gate, read)
        changes, verdict = flow.judged(gate, read)
        _show_change(options, read, verdict, changes)
        if verdict.result == "refused":
            tell("gate", "not approved: the gate refuses this change, so no approval helps; plan a new one")
            return _REFUSED
        if verdict.result == "nothing":
            tell("gate", "nothing changes, so there is nothing to approve")
            return 0
        subject = signatures.Subject(read.digest, read.content.stack, read.content.author, verdict)
        now = datetime.datetime.now(datetime.timezone.utc)
        statement = _statement(options, read, subject, now)
        try:
            approval = signatures.sign(statement, options.key, gate.signers, now)
        except SignatureError as error:
            return report_error(options, error, exit_code=_REFUSED if error.code == "invalid-argument" else 1)
        reason = signatures.why_not(approval.name, statement.ceiling, subject, gate)
        if options.name is not None and options.name != approval.name:
            reason = f"the key is that of {approval.name}, and not of {options.name}"
        if reason:
            tell("gate", f"not approved: {reason}")
            return _REFUSED
        file = signatures.save(approval, read.approvals)
        found = signatures.check(read.approvals, subject, gate, now)
    if found.missing:
        following = f"{found.missing}. Next: another person runs `{_words('approve', options, verdict)}`"
    else:
        is_agents = (read.folder.parent / record.AGENTS_PROGRAM).is_file()
        how = "the agent applies it" if is_agents else f"`{_words('apply', options)}` in the project"
        following = f"Next: with this file in the record, {how}, until {statement.until:{_TIME}}"
    _print(
        f"\n{approval.text.decode()}\n{approval.name} signed this text, and approves the change of {read.stack_name} "
        f"(record {read.digest[:_SHOWN]}).\nThe approval is the file {file}\n{following}\n"
    )
    return 0


_SHOWN: Final = 12
"""How many characters of a digest are shown."""


def _words(action: str, options: argparse.Namespace, verdict: Verdict | None = None) -> str:
    """Return the command for the next step with a record; the verdict is what a person approves."""
    words = ["stacks-pulumi", "gate", action, str(options.record), "--gate", str(options.gate)]
    words += [] if options.gate_ref is None else ["--gate-ref", options.gate_ref]
    words += [] if verdict is None else ["--key", "FILE", *["--accept-unknown"] * bool(verdict.unknown)]
    return shlex.join(words)


def _statement(
    options: argparse.Namespace, read: Record, subject: Subject, now: datetime.datetime
) -> Statement:
    """
    Return the statement that the approver signs.

    Raises:
        InputError: The approver has to say that they accept an increase without a bound, or unknown values.
    """
    from stacks_pulumi.gate import signatures  # noqa: PLC0415  (each action needs its own modules)
    from stacks_pulumi.pricing.money import usd  # noqa: PLC0415  (as above)

    increase = subject.added
    if increase is None and options.ceiling != _ANY:
        raise InputError(
            "not approved: the increase has no known upper bound, so that no ceiling holds it; `--ceiling any` "
            "approves any increase",
            code="invalid-argument",
        )
    if isinstance(options.ceiling, Decimal) and increase is not None and options.ceiling < increase:
        raise InputError(
            f"not approved: the increase is {usd(increase)} a month at most, so an approval with --ceiling "
            f"{options.ceiling:f} would be void",
            code="invalid-argument",
        )
    if subject.judged.unknown and not options.accept_unknown:
        raise InputError(
            f"not approved: it is not known until the change is made: {'; '.join(subject.judged.unknown)}; to approve "
            "it whatever the values will be, add --accept-unknown",
            code="invalid-argument",
        )
    ceiling = None if options.ceiling == _ANY else options.ceiling
    if options.ceiling is None and increase is not None:
        ceiling = max(increase, Decimal(0))
    # In whole seconds, as the text has it.
    until = min(now + options.expires, read.content.expires_at).replace(microsecond=0)
    return signatures.Statement(subject.digest, subject.stack, ceiling, tuple(sorted(subject.accepts)), until)


def _apply(options: argparse.Namespace) -> int:
    from stacks_pulumi.gate import flow, settings  # noqa: PLC0415  (each action needs its own modules)

    if options.words or options.strict or options.accept_replay:
        raise InputError(
            "a command, --strict and --accept-replay are for a change.json", code="invalid-argument"
        )

    project = folder_of(options)
    with settings.opened(options.gate, options.gate_ref) as gate:
        _tell_source(gate, project)
        code = flow.apply(gate, options.record, project, options.stack)
    if code == _WAITING:
        tell(
            "gate",
            "waiting: STACKS has no capacity for some containers, and the rest is done; plan again later",
        )
    return code


def _log(options: argparse.Namespace) -> int:
    from stacks_pulumi.gate import history  # noqa: PLC0415  (each action needs its own modules)

    project = folder_of(options)
    with _gate_of(options) as gate:
        entries = history.log(project, options.stack, None if options.gate is None else gate)
    if options.format == "json":
        print_json({"entries": [entry.describe() for entry in entries]})
        return 0
    if not entries:
        tell("gate", "the stack has no updates yet")
    for entry in entries:
        sys.stdout.write(f"{one_line(_line(entry))}\n")
    return 0


def _line(entry: LoggedUpdate) -> str:
    """Return the line of the log for an update."""
    prices = "not by the gate" if entry.said is None else f"from {entry.said.before} to {entry.said.after}"
    who = f"approved by {', '.join(entry.approvers)}" if entry.approvers else "no approval"
    doubt = f"; {entry.doubt}" if entry.doubt else ""
    return f"{entry.at:{_TIME}}  {entry.kind} {entry.result}: {prices}; {who}{doubt}"


def _check(options: argparse.Namespace) -> int:
    from stacks_pulumi.errors import ConfigError  # noqa: PLC0415  (each action needs its own modules)
    from stacks_pulumi.gate import checks, settings  # noqa: PLC0415  (as above)

    try:
        with settings.opened(options.gate, options.gate_ref) as gate:
            now = datetime.datetime.now(datetime.timezone.utc)
            found = tuple(checks.problems(gate, now))
            noted = tuple(checks.notes(gate, now))
    except (ConfigError, InputError) as error:
        found, noted = (str(error),), ()
    if options.format == "json":
        texts = {"problems": found, "notes": noted}
        print_json({"ok": not found, **{name: [one_line(text) for text in of] for name, of in texts.items()}})
        return _REFUSED if found else 0
    for problem in found:
        sys.stdout.write(f"{one_line(problem)}\n")
    for text in noted:
        sys.stdout.write(f"{one_line(f'note: {text}')}\n")
    if not found:
        sys.stdout.write(f"{one_line(f'{options.gate}: correct')}\n")
    return _REFUSED if found else 0


def _tell_source(gate: Gate, project: Path) -> None:
    """Say where the gate is from. In the project's folder, the author of the change can edit it."""
    edited = gate.folder.is_relative_to(project)
    warning = (
        "; it is in the project, whose author can edit it (use --gate-ref REF, or a folder outside)"
        if edited
        else ""
    )
    tell("gate", f"the gate is {gate.source}{warning}")


def _check_gate(gate: Gate, read: Record) -> None:
    """Refuse a gate that is not the one that the record was made with: `apply` would refuse the record."""
    from stacks_pulumi.gate import digests  # noqa: PLC0415  (each action needs its own modules)

    tell("gate", f"the gate is {gate.source}")
    if digests.of_folder(gate.folder) != read.content.digests.gate:
        raise InputError(
            f"the record was planned with another gate than {gate.source}: plan again, or name that one",
            code="invalid-argument",
        )


def _approvals(gate: Gate, read: Record, verdict: Verdict) -> tuple[str, ...]:
    """Return a line for each approval of a record, and for what is missing."""
    from stacks_pulumi.gate import signatures  # noqa: PLC0415  (each action needs its own modules)

    subject = signatures.Subject(read.digest, read.content.stack, read.content.author, verdict)
    now = datetime.datetime.now(datetime.timezone.utc)
    found = signatures.check(read.approvals, subject, gate, now)
    lines = [f"approved by {one.name} until {one.statement.until:{_TIME}}" for one in found.valid]
    missing = found.missing if verdict.approvals_needed else ""
    return (*lines, *([missing] if missing else []))


@contextlib.contextmanager
def _gate_of(options: argparse.Namespace) -> Iterator[Gate]:
    """Yield the gate that is named; without one, the strict rules."""
    from stacks_pulumi.gate import settings  # noqa: PLC0415  (each action needs its own modules)

    if options.gate is None:
        yield settings.strict(Path.cwd())
    else:
        with settings.opened(options.gate, options.gate_ref) as gate:
            yield gate


def _show_change(
    options: argparse.Namespace,
    read: Record | str,
    verdict: Verdict,
    changes: Sequence[Change],
    lines: Sequence[str] = (),
) -> None:
    """Print a change: for a person with colours on a terminal, or in another form."""
    from stacks_pulumi.gate import texts  # noqa: PLC0415  (each action needs its own modules)

    if options.format == "markdown":
        sys.stdout.write(texts.summary(read, verdict, changes))
    else:
        show(texts.document_of(read, verdict, changes, lines), options, frames=True)
    sys.stdout.flush()


def _print(text: str) -> None:
    """Print a text of several lines; it has texts of the program."""
    sys.stdout.write(f"{clean_lines(text).rstrip()}\n")
    sys.stdout.flush()


_FORMS: Final = ("table", "json", "markdown", "junit")
_VOID: Final = (
    "refused, or the approval is void; nothing was changed, unless a policy stopped the running update"
)

_ACTIONS: Final = {
    "init": Command(
        "write a gate's folder, with policy packs and limits",
        _add_init,
        _init,
        stack=f"the stack that the pipeline is for (default: {_STACK})",
    ),
    "plan": Command(
        "preview a change, judge it, and write its record",
        _add_plan,
        _plan,
        codes={0: "the change may be applied", _REFUSED: "refused", 3: "the change needs an approval"},
        forms=_FORMS,
        stack=OF_STACK,
    ),
    "show": Command("show a record's change as a person reads it", _add_both, _show, forms=_FORMS),
    "approve": Command(
        "show a record's change, and sign it",
        _add_approve,
        _approve,
        codes={
            0: "it is signed, or nothing changes",
            _REFUSED: "this person may not approve it, or it is refused",
        },
    ),
    "apply": Command(
        "check a record and its approvals again, and apply exactly its change",
        _add_apply,
        _apply,
        codes={
            0: "done",
            1: "a failure of `pulumi up`, whose exit code this command passes on",
            _REFUSED: _VOID,
            _WAITING: "what has to wait for capacity was not created, and the rest is done",
        },
        stack=OF_STACK,
    ),
    "log": Command(
        "list the updates of a stack: who changed what, for how much, approved by whom",
        functools.partial(_add_gate, required=False),
        _log,
        forms=TEXT,
        stack=OF_STACK,
    ),
    "check": Command(
        "find the mistakes in a gate's folder, offline",
        _add_gate,
        _check,
        codes={0: "the folder has no mistake", _REFUSED: "a mistake"},
        forms=TEXT,
    ),
}

COMMANDS = {"gate": Command(_HELP, add_arguments, run, actions=_ACTIONS)}
