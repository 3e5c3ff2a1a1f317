"""What do the actions of `gate` do with a change of a broker?"""

from __future__ import annotations

import argparse
import contextlib
import json
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

from stacks_pulumi._pulumi_cli import InputError
from stacks_pulumi.commands._shared import folder_of, one_line, print_json, report_error, show, tell
from stacks_pulumi.errors import ConfigError

if TYPE_CHECKING:
    from stacks_pulumi.gate.client import Broker, Place
    from stacks_pulumi.gate.workflow import Judged

_REFUSED: Final = 2
_RESULTS: Final = {"nothing": 0, "free": 0, "needs_approval": 3, "refused": _REFUSED}
_SIGNAL: Final = 128
_WAITING: Final = 10


def _plan(options: argparse.Namespace) -> int:
    from stacks_pulumi.gate import client, workflow  # noqa: PLC0415  (each action needs its own modules)

    plan = _plan_of(options.out) if options.save_plan else None
    wanted = workflow.Wanted(
        folder_of(options), options.stack, options.expires, options.ceiling, plan, options.reads
    )
    with client.opened(_place(options)) as broker:
        judged = workflow.plan(broker, wanted)
    workflow.write(judged.statement, options.out)
    _show_change(options, judged)
    if judged.result == "needs_approval":
        tell("gate", f"next: `{_next('approve', options)} --key FILE`, by a person who may approve it")
    elif judged.result == "free":
        tell("gate", f"next: `{_next('apply', options)}`")
    return _RESULTS[judged.result]


def _show(options: argparse.Namespace) -> int:
    with _asked(options) as (broker, statement):
        _show_change(options, _judged(broker, statement, options))
    return 0


def _approve(options: argparse.Namespace) -> int:
    from stacks_pulumi.broker.change import ANY  # noqa: PLC0415  (each action needs its own modules)
    from stacks_pulumi.gate import workflow  # noqa: PLC0415  (as above)
    from stacks_pulumi.gate.workflow import RefusedError  # noqa: PLC0415  (as above)

    with _asked(options) as (broker, statement):
        judged = _judged(broker, statement, options)
        _show_change(options, judged)
        if judged.result == "refused":
            raise RefusedError("not approved: it is refused, so no approval helps; plan another change")
        if judged.result == "nothing":
            tell("gate", "nothing changes, so there is nothing to approve")
            return 0
        if any(ANY in one.body.values() for one in judged.change.permits) and not options.accept_unknown:
            raise InputError(
                "not approved: a value of it may be any; to approve it whatever it will be, add --accept-unknown",
                code="invalid-argument",
            )
        name, signature, missing = workflow.sign(broker, judged, options.key, _signers(options))
        if options.name is not None and options.name != name:
            raise RefusedError(f"not approved: the key is that of {name}, and not of {options.name}")
        if judged.change.request is not None or "://" in str(_place(options)):
            workflow.post(broker, judged, signature)
            where = "at the broker"
        else:
            where = str(workflow.save(signature, name, Path(options.record)))
    tell("gate", f"{name} approved it: {where}")
    if judged.change.request is not None and not missing:
        return 0
    if missing:
        tell("gate", f"{missing}; next: another person runs the same command with their key")
    else:
        tell("gate", f"next: `{_next('apply', options)}`, until {judged.change.until}")
    return 0


def _apply(options: argparse.Namespace) -> int:
    from stacks_pulumi.gate import client, workflow  # noqa: PLC0415  (each action needs its own modules)

    run = workflow.Run(
        Path(options.record),
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
            "waiting: STACKS has no capacity for some containers, and the rest is done; apply it again later",
        )
    elif done.code:
        tell(
            "gate",
            f"the command ended with {done.code}; `{_next('apply', options)}` goes on with what is left",
        )
        for line in done.left:
            tell("gate", f"approved and not done: {line}")
    return done.code if done.code >= 0 else _SIGNAL - done.code


def _log(options: argparse.Namespace) -> int:
    from stacks_pulumi.gate import client  # noqa: PLC0415  (each action needs its own modules)

    with client.opened(_place(options)) as broker:
        grants = broker.ask("GET", "log")["grants"]
    if options.stack is not None:
        grants = [one for one in grants if options.stack in {one["stack"], one["stack"].rpartition("/")[2]}]
    if options.format == "json":
        print_json({"entries": grants})
        return 0
    for one in grants:
        who = (
            f"approved by {', '.join(one['approvals'])}"
            if one["approvals"]
            else f"{one['kind']} of {one['for']}"
        )
        author = f", written by {one['author']}" if one["author"] else ""
        words = f"{one['at']}  {one['stack']}: +${one['usd']} a month; {who}{author}"
        sys.stdout.write(f"{one_line(words)}\n")
        for use in one["done"]:
            words = f"{use['state']}: {use['method']} {use['path']} {json.dumps(use['body']) if use['body'] else ''}"
            sys.stdout.write(f"  {one_line(words)}\n")
    return 0


def _place(options: argparse.Namespace) -> Place:
    from stacks_pulumi.gate.client import place_of  # noqa: PLC0415  (each action needs its own modules)

    if options.gate_ref is not None:
        raise InputError("--gate-ref is for a record: a broker has its own settings", code="invalid-argument")
    given = options.gate
    place = place_of(given if given is None or "://" in given else Path(given))
    if isinstance(place, Path) and "cwd" in options and place.resolve().is_relative_to(folder_of(options)):
        tell(
            "gate",
            f"{place} is in the project: its author can edit the rules, and the address to which the key is sent; use "
            "a folder outside, or a server",
        )
    return place


@contextlib.contextmanager
def _asked(options: argparse.Namespace) -> Iterator[tuple[Broker | None, str]]:
    """Yield the broker, if one can be asked here, and the text of the change."""
    from stacks_pulumi.gate import client, workflow  # noqa: PLC0415  (each action needs its own modules)

    file = Path(options.record)
    # The id of an access request is neither a path nor the name of a file.
    is_file = file.exists() or bool(file.suffix) or len(file.parts) > 1
    statement = workflow.statement_of(file) if is_file else None
    with contextlib.ExitStack() as stack:
        try:
            broker = stack.enter_context(client.opened(_place(options)))
        except ConfigError as error:
            # An approver may have neither a token nor the key.
            if statement is None or error.code != "missing-api-key":
                raise
            broker = None
        if broker is not None and not broker.token:
            broker = None
        if statement is None:
            if broker is None:
                raise InputError(
                    f"there is no file {file}, and no broker that knows an access request of this name",
                    code="file-access",
                )
            statement = str(broker.ask("GET", f"requests/{file}")["change"])
        yield broker, statement


def _judged(broker: Broker | None, statement: str, options: argparse.Namespace) -> Judged:
    from stacks_pulumi.gate import workflow  # noqa: PLC0415  (each action needs its own modules)

    file = Path(options.record)
    return workflow.judged(broker, statement, workflow.signatures_of(file) if file.exists() else ())


def _signers(options: argparse.Namespace) -> Path | None:
    """Return the file with the keys of the approvers, if the folder is here."""
    from stacks_pulumi.gate.settings import read_gate  # noqa: PLC0415  (each action needs its own modules)

    place = _place(options)
    return read_gate(place).signers if isinstance(place, Path) else None


def _plan_of(file: Path) -> Path:
    from stacks_pulumi.gate.workflow import PLAN  # noqa: PLC0415  (each action needs its own modules)

    return file.absolute().with_name(file.name + PLAN)


def _next(action: str, options: argparse.Namespace) -> str:
    """Return the command for the next step."""
    file = options.out if options.action == "plan" else options.record
    words = ["stacks-pulumi", "gate", action, str(file)]
    return shlex.join([*words, *([] if options.gate is None else ["--gate", str(options.gate)])])


def _show_change(options: argparse.Namespace, judged: Judged) -> None:
    from stacks_pulumi.gate import words  # noqa: PLC0415  (each action needs its own modules)

    if options.format == "markdown":
        sys.stdout.write(words.comment_of(judged))
    else:
        show(words.document_of(judged), options, frames=True)
    sys.stdout.flush()


_ACTIONS: Final = {"plan": _plan, "show": _show, "approve": _approve, "apply": _apply, "log": _log}


def run(options: argparse.Namespace) -> int:
    """Run the action; the exit code is one of those that `--help` lists."""
    from stacks_pulumi.gate.client import BrokerError  # noqa: PLC0415  (each action needs its own modules)
    from stacks_pulumi.gate.workflow import RefusedError  # noqa: PLC0415  (as above)

    try:
        return _ACTIONS[options.action](options)
    except (RefusedError, BrokerError) as error:
        return report_error(options, error, exit_code=_REFUSED)
