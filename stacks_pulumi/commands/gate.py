"""`stacks-pulumi gate`: plan a change, let a person approve it, and apply what was approved."""

from __future__ import annotations

import argparse
import contextlib
import datetime
import json
import os
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from stacks_pulumi._pulumi_cli import InputError, find_project, read_project
from stacks_pulumi.broker.change import REQUEST, instant
from stacks_pulumi.broker.reader import duration
from stacks_pulumi.commands._files import check_overwrites_nothing, write
from stacks_pulumi.commands._lock import INSTALL, RENEW, REQUIREMENTS, extras_in
from stacks_pulumi.commands._lock import NAME as LOCK
from stacks_pulumi.commands._package import repository_of, required
from stacks_pulumi.commands._shared import (
    OF_STACK,
    TEXT,
    Command,
    add_repeatable,
    answer,
    argument,
    folder_of,
    one_line,
    report_error,
    show,
    tell,
)
from stacks_pulumi.errors import ConfigError, StacksError
from stacks_pulumi.gate import checks, client, settings, words, workflow
from stacks_pulumi.gate.client import Broker, BrokerError, Place, place_of
from stacks_pulumi.gate.start import GITLAB_FILE, GITLAB_INCLUDE, GITLAB_MAIN, init, pipeline
from stacks_pulumi.gate.workflow import Judged, RefusedError
from stacks_pulumi.pricing.money import number

_HELP: Final = "plan a change, let a person approve it, and apply what was approved"

_EXTRAS: Final = "[policy,cli,broker]"
_STACK: Final = "prod"
_REFUSED: Final = 2
_WAITING: Final = 10
"""The exit code of `pulumi up` if an operation has to wait (3.272 or newer)."""
_SIGNAL: Final = 128
_RESULTS: Final = {"nothing": 0, "free": 0, "needs_approval": 3, "refused": _REFUSED}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "A change is previewed under policies, priced and judged by rules. A person approves its requests with an SSH "
        "signature. Only a broker has the API key, and it refuses all other requests. docs/gate.md describes it."
    )


def run(options: argparse.Namespace) -> int:
    """Run the action; `--help` lists the exit codes."""
    try:
        return _ACTIONS[options.action].run(options)
    except (RefusedError, BrokerError) as error:
        return report_error(options, error, exit_code=_REFUSED)


def _add_gate(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--gate",
        metavar="DIR",
        help="the broker: its folder, or its address (default: STACKS_BASE_URL, if STACKS_API_KEY is a grant)",
    )


def _add_check(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--gate", required=True, type=Path, metavar="DIR", help="the folder with gate.yaml")


def _add_init(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "folder",
        metavar="DIR",
        help="the folder to write; no existing file is overwritten. With --workflow, it can be the address of a broker",
    )
    add_repeatable(
        parser,
        "--approver",
        "NAME=FILE",
        "a person who may approve, with the file of their public key (.pub)",
        type=_approver,
    )
    parser.add_argument(
        "--base-url",
        metavar="URL",
        help="the address of the API, if it is not the default: for instance the address of an emulator",
    )
    parser.add_argument(
        "--max-total",
        type=argument(number),
        metavar="USD",
        help="the maximum monthly price of a stack (default: 40)",
    )
    parser.add_argument(
        "--max-increase",
        type=argument(number),
        metavar="USD",
        help="the maximum monthly price that a change may add to a stack (default: 15)",
    )
    parser.add_argument(
        "--workflow",
        choices=("github", "gitlab"),
        help="also write the project's pipeline into its repository; an existing gate is not changed",
    )
    parser.add_argument(
        "--backend",
        choices=("cloud", "s3", "gs", "azblob", "postgres"),
        default="cloud",
        help="with --workflow: the backend of the state, to which the jobs log in (default: cloud, Pulumi Cloud)",
    )


def _add_plan(parser: argparse.ArgumentParser) -> None:
    _add_gate(parser)
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("change.json"),
        metavar="FILE",
        help="the file for the change (default: change.json); signatures of an earlier change there are removed",
    )
    parser.add_argument(
        "--save-plan",
        action="store_true",
        help="also save the engine's update plan, for resources of other providers; `apply` then follows it",
    )
    add_repeatable(
        parser,
        "--reads",
        "NAME=CLASS",
        "a secret that a function of the program reads: a container's name in the program, and `credentials` or "
        "`certificate`",
        type=_reads,
    )
    parser.add_argument(
        "--ceiling",
        type=argument(number),
        metavar="USD",
        help="the maximum increase of the monthly price (default: the increase at the current prices)",
    )
    parser.add_argument(
        "--expires",
        type=argument(duration),
        metavar="TIME",
        help="how long the change can be applied: 30m, 4h or 2d (default and maximum: `record_expires` in gate.yaml)",
    )


def _add_change(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "change",
        metavar="FILE",
        help="the file of a change, such as change.json, or the id of an access request",
    )
    _add_gate(parser)


def _add_approve(parser: argparse.ArgumentParser) -> None:
    _add_change(parser)
    parser.add_argument(
        "--key",
        required=True,
        type=Path,
        metavar="FILE",
        help="your private SSH key, or the public key (.pub) if an SSH agent or a hardware key has the private key",
    )
    parser.add_argument("--as", dest="name", metavar="NAME", help="fail if the key belongs to someone else")
    parser.add_argument(
        "--accept-unknown",
        action="store_true",
        help="approve values that are not known before the change is applied",
    )


def _add_apply(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("change", type=Path, metavar="FILE", help="the file of a change, such as change.json")
    _add_gate(parser)
    parser.add_argument("--strict", action="store_true", help="refuse if this user could read the key")
    parser.add_argument(
        "--accept-replay",
        action="store_true",
        help="with a new ledger: apply the change even if it may have been applied before",
    )
    parser.set_defaults(words=())
    parser.epilog = "`-- CMD` after the options runs CMD instead of `pulumi up --yes`."


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


def _init(options: argparse.Namespace) -> int:
    asked = (options.approver, options.max_total, options.max_increase, options.base_url)
    is_address = "://" in options.folder
    if is_address and (options.workflow is None or asked != ([], None, None, None)):
        raise InputError(
            "with the address of a broker, `gate init` writes only a pipeline, because the broker has its own folder: "
            "add --workflow",
            code="invalid-argument",
        )
    top, files, notes, project = (Path(), {}, [], "") if options.workflow is None else _pipeline(options)
    # Write the repository's files and the broker's folder, or nothing.
    check_overwrites_nothing(top, files)
    folder = Path(options.folder)
    made = () if is_address else init(folder, *asked, project=project)
    write(top, files)
    lines = [f"Wrote {', '.join(made)} to {folder}."] if made else []
    lines += [f"Wrote {', '.join(files)} to {top}."] if files else []
    lines = lines or [f"{folder} already contains all files."]
    if "allowed_signers" in made:
        approvers = ", ".join(dict.fromkeys(name for name, _ in options.approver))
        lines += ["", f"Approvers: {one_line(approvers or 'none yet: add a line to allowed_signers')}"]
    lines += ["", "Next, in a project with a stack:"]
    lines += [] if is_address else [f"  stacks-pulumi gate check --gate {options.folder}"]
    lines += [f"  stacks-pulumi gate plan --gate {options.folder}", *notes]
    sys.stdout.write("\n".join(lines) + "\n")
    return 0


def _pipeline(options: argparse.Namespace) -> tuple[Path, dict[str, str | bytes], list[str], str]:
    """Return the repository, its new files, the hints for the user, and the project's name."""
    project = find_project(folder_of(options))
    if project is None:
        raise InputError(f"{folder_of(options)} is not in a Pulumi project: pass its folder with -C")
    folder = project.parent
    top = repository_of(folder)
    if top is None:
        raise InputError(f"{folder} is not in a git repository: run `git init` first", code="file-access")
    has = (folder / REQUIREMENTS).exists()
    written = (folder / REQUIREMENTS).read_text(encoding="utf-8", errors="replace") if has else ""
    lines = (line.partition("#")[0].replace("_", "-").strip() for line in written.splitlines())
    asked = {extra for line in lines if "stacks-pulumi" in line for extra in extras_in(line)}
    needed = required(folder, {} if has else {REQUIREMENTS: _EXTRAS}, extras=asked | extras_in(_EXTRAS))
    if has and (any(name.endswith(".whl") for name in needed.files) or (folder / LOCK).exists()):
        # The project installs this package from a different source, or has its own lock.
        needed = needed._replace(files={}, lock="")
    if needed.problem and not has:
        raise InputError(
            f"the source of stacks-pulumi is unknown ({needed.problem}): write {folder / REQUIREMENTS} first"
        )
    install = [line.format(lock=needed.lock or LOCK) for line in INSTALL]
    files: dict[str, str | bytes] = {
        **pipeline(
            options.workflow,
            project,
            top=top,
            gate=options.folder,
            stack=options.stack or _STACK,
            backend=options.backend,
            install=install,
        ),
        **{os.path.relpath(folder / name, top): content for name, content in needed.files.items()},
    }
    lacks = has and not asked >= extras_in(_EXTRAS)
    notes = [f"\n{REQUIREMENTS} must install stacks-pulumi{_EXTRAS}."] if lacks else []
    if has:
        # Only the user knows the other content of this file.
        notes.append(
            f"\nThe pipeline installs {LOCK}, with hashes. That file must contain all of {REQUIREMENTS}:\n  {RENEW}"
        )
    if GITLAB_FILE in files and GITLAB_MAIN not in files:
        notes.append(f"\n{GITLAB_MAIN} already exists. Add these lines:\n  {GITLAB_INCLUDE}")
    return top, files, notes, str(read_project(project)["name"])


def _plan(options: argparse.Namespace) -> int:
    # Check the place now, because the engine writes the plan before the change is written.
    workflow.check_place(options.out)
    plan = workflow.plan_of(options.out.absolute()) if options.save_plan else None
    wanted = workflow.Wanted(
        folder_of(options), options.stack, options.expires, options.ceiling, plan, options.reads
    )
    try:
        with client.opened(_place(options)) as broker:
            judged = workflow.plan(broker, wanted)
    except StacksError as error:
        if options.format == "markdown" and options.stack is not None:
            project = read_project(find_project(wanted.project) or wanted.project)
            sys.stdout.write(
                words.unplanned(f"{project.get('name')}/{options.stack.rpartition('/')[2]}", error)
            )
        raise
    workflow.write(judged.statement, options.out)
    _show_change(options, judged)
    if judged.result == "needs_approval":
        unknown = " --accept-unknown" * judged.change.is_loose
        tell(
            "gate",
            f"next: `{_next('approve', options)} --key FILE{unknown}`, by a person who may approve it",
        )
    elif judged.result == "free":
        tell("gate", f"next: `{_next('apply', options)}`")
    return _RESULTS[judged.result]


def _show(options: argparse.Namespace) -> int:
    with _judged(options) as (_, judged):
        _show_change(options, judged)
    return 0


def _approve(options: argparse.Namespace) -> int:
    with _judged(options) as (broker, judged):
        _show_change(options, judged)
        if judged.result == "refused":
            raise RefusedError("not approved: the rules refuse this change; plan a different one")
        if judged.result == "nothing":
            tell("gate", "nothing changes, so there is nothing to approve")
            return 0
        if judged.change.is_loose and not options.accept_unknown:
            raise InputError(
                "not approved: a value is not known before the change is applied; add --accept-unknown to approve "
                "any value",
                code="invalid-argument",
            )
        name, signature, missing = workflow.sign(broker, judged, options.key)
        if options.name is not None and options.name != name:
            raise RefusedError(f"not approved: the key belongs to {name}, not to {options.name}")
        is_asked = judged.change.request is not None or bool(judged.said["asked"])
        if is_asked or broker.folder is None:
            workflow.post(broker, judged, signature)
            where = "at the broker"
        else:
            where = "in " + str(workflow.save(signature, name, Path(options.change)))
    tell("gate", f"{name} approved the change; the signature is {where}")
    if missing:
        tell("gate", f"{missing}; next: ask another person to run the same command with their own key")
    elif not is_asked:
        tell("gate", f"next: `{_next('apply', options)}`, until {instant(judged.change.ends)}")
    return 0


def _apply(options: argparse.Namespace) -> int:
    run = workflow.Run(
        options.change,
        folder_of(options),
        options.stack,
        options.words,
        options.strict,
        options.accept_replay,
    )
    with client.opened(_place(options), may_apply_free=True) as broker:
        done = workflow.apply(broker, run)
    if done.code == _WAITING:
        tell(
            "gate",
            "waiting: STACKS has no capacity for some containers, and the rest is done; apply the change again later",
        )
    elif done.code:
        tell(
            "gate",
            f"the command ended with exit code {done.code}; `{_next('apply', options)}` continues with the "
            "remaining requests",
        )
        for line in done.left:
            tell("gate", f"approved but not done: {line}")
    return done.code if done.code >= 0 else _SIGNAL - done.code


def _log(options: argparse.Namespace) -> int:
    with client.opened(_place(options)) as broker:
        grants = broker.ask("GET", "log")["grants"]
    if options.stack is not None:
        grants = [one for one in grants if options.stack in {one["stack"], one["stack"].rpartition("/")[2]}]
    if not grants:
        tell("gate", "the ledger contains no change yet")
    answer(options, {"entries": grants}, _log_lines(grants))
    return 0


def _log_lines(grants: list[dict[str, Any]]) -> Iterator[str]:
    for one in grants:
        who = (
            f"approved by {', '.join(one['approvals'])}"
            if one["approvals"]
            else f"{one['kind']} grant of {one['for']}"
        )
        author = f", written by {one['author']!r}" if one["author"] else ""
        line = f"{one['at']}  {one['stack']}: +${one['usd']} a month; {who}{author}"
        yield one_line(line)
        for use in one["done"]:
            line = f"{use['state']}: {use['method']} {use['path']} {json.dumps(use['body']) if use['body'] else ''}"
            yield f"  {one_line(line)}"


def _place(options: argparse.Namespace) -> Place | None:
    """Return the broker's folder or address; `None` if neither an option nor the environment sets it."""
    place = place_of(options.gate)
    if isinstance(place, Path) and "cwd" in options and place.resolve().is_relative_to(folder_of(options)):
        tell(
            "gate",
            f"{place} is in the project, whose author could edit the rules and the address to which the key is sent: "
            "use a folder outside of the project, or a server",
        )
    return place


@contextlib.contextmanager
def _judged(options: argparse.Namespace) -> Iterator[tuple[Broker, Judged]]:
    """Yield the broker, and the change from a file or from an access request."""
    file = Path(options.change)
    # The id of an access request never names a file: an agent could write such a file with different content.
    is_file = not REQUEST.fullmatch(options.change)
    statement = workflow.statement_of(file) if is_file else None
    with client.opened(_place(options)) as broker:
        asked = {} if statement is not None else broker.ask("GET", f"requests/{file}")
        judged = workflow.judged(broker, statement or str(asked["change"]), workflow.signatures_of(file))
        yield broker, judged._replace(said={**judged.said, "asked": asked})


def _next(action: str, options: argparse.Namespace) -> str:
    """Return the command for the next step."""
    file = options.out if options.action == "plan" else options.change
    gate = [] if options.gate is None else ["--gate", options.gate]
    return shlex.join(["stacks-pulumi", "gate", action, str(file), *gate])


def _show_change(options: argparse.Namespace, judged: Judged) -> None:
    """Print a change for people (with colours on a terminal), or in another format."""
    if options.format == "markdown":
        sys.stdout.write(words.comment_of(judged))
    else:
        show(words.document_of(judged), options, frames=True)
    sys.stdout.flush()


def _check(options: argparse.Namespace) -> int:
    try:
        with settings.opened(options.gate) as gate:
            now = datetime.datetime.now(datetime.timezone.utc)
            found = tuple(checks.problems(gate, now))
            noted = tuple(checks.notes(gate, now))
    except (ConfigError, InputError) as error:
        found, noted = (str(error),), ()
    texts = {"problems": [one_line(text) for text in found], "notes": [one_line(text) for text in noted]}
    lines = [*texts["problems"], *(f"note: {text}" for text in texts["notes"])]
    if not found:
        lines.append(one_line(f"{options.gate}: correct"))
    answer(options, {"ok": not found, **texts}, lines)
    return _REFUSED if found else 0


_FORMS: Final = ("table", "json", "markdown", "junit")

_ACTIONS: Final = {
    "init": Command(
        "write a gate's folder, with policy packs and limits",
        _add_init,
        _init,
        stack=f"the stack that the pipeline is for (default: {_STACK})",
    ),
    "plan": Command(
        "preview a change, judge it, and write its requests into a file",
        _add_plan,
        _plan,
        codes={0: "it needs no approval", _REFUSED: "refused", 3: "it needs an approval"},
        forms=_FORMS,
        stack=OF_STACK,
    ),
    "show": Command("show a change in a readable form, before an approval", _add_change, _show, forms=_FORMS),
    "approve": Command(
        "show a change, and sign it",
        _add_approve,
        _approve,
        codes={
            0: "it is signed, or it changes nothing",
            _REFUSED: "this person may not approve it, or it is refused",
        },
    ),
    "apply": Command(
        "run `pulumi up` with a grant for the approved requests",
        _add_apply,
        _apply,
        codes={
            0: "done",
            1: "`pulumi up` failed; its exit code is passed on",
            _REFUSED: "refused, or an approval is missing; nothing was changed",
            _WAITING: "some containers wait for capacity and were not created; everything else is done",
        },
        stack=OF_STACK,
    ),
    "log": Command(
        "list the applied changes, each with its stack, price, approvers and requests",
        _add_gate,
        _log,
        forms=TEXT,
        stack="show only the changes of this stack (default: all)",
    ),
    "check": Command(
        "find the mistakes in a gate's folder, offline",
        _add_check,
        _check,
        codes={0: "the folder contains no mistakes", _REFUSED: "a mistake"},
        forms=TEXT,
    ),
}

COMMANDS = {"gate": Command(_HELP, add_arguments, run, actions=_ACTIONS)}
