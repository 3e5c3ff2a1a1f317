"""`stacks-pulumi scaffold`: write a program that adopts the containers without a stack."""

from __future__ import annotations

import argparse
import dataclasses
import re
import shlex
from pathlib import Path
from typing import Any, Final

from stacks_pulumi._identifiers import nearest
from stacks_pulumi.account import backend
from stacks_pulumi.account.backend import Stacks
from stacks_pulumi.account.findings import unowned
from stacks_pulumi.account.read import belongings
from stacks_pulumi.account.reconcile import ThisAccount, reconcile, with_children
from stacks_pulumi.account.takeover import (
    FILES,
    LANGUAGES,
    LeftOut,
    ScaffoldPlan,
    chosen,
    files,
    plan,
    project_name,
    without_duplicate,
)
from stacks_pulumi.api import StacksClient
from stacks_pulumi.api.models import Container, Listing
from stacks_pulumi.commands._files import check_overwrites_nothing, write
from stacks_pulumi.commands._package import required
from stacks_pulumi.commands._shared import (
    KEY_OF_STACK,
    TEXT,
    Command,
    LimitNotice,
    add_exports,
    add_repeatable,
    answer,
    folder_of,
    settings_of,
    target_folder,
    tell,
)
from stacks_pulumi.cost import live
from stacks_pulumi.errors import StacksError, clean
from stacks_pulumi.pricing.money import count

_HELP: Final = "write a program that adopts the containers without a stack"

_CODES: Final = {
    0: "the program was written",
    1: "some objects could not be read: the report lists them, and the program does not contain them",
}

_SHOWN: Final = 5
_PROJECT: Final = re.compile(r"[A-Za-z0-9._-]{1,100}")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Read the account and write a Pulumi program that adopts the objects without a stack: containers, and "
        "their allowed addresses, connections, VPN clients and pinned backups. Neither this command nor the "
        "first `pulumi up` of the program changes the account."
    )
    parser.add_argument(
        "--out",
        required=True,
        type=target_folder,
        metavar="DIR",
        help="where to write; existing files are not overwritten",
    )
    parser.add_argument("--language", choices=LANGUAGES, default=LANGUAGES[0], help="default: python")
    add_repeatable(parser, "--include", "PATTERN", "only containers whose name matches, as in a shell")
    add_repeatable(parser, "--exclude", "PATTERN", "exclude containers whose name matches")
    add_exports(parser)
    parser.add_argument(
        "--owned",
        action="store_true",
        help="also adopt the containers of other stacks, which then have two owners",
    )
    parser.add_argument(
        "--protect",
        choices=("databases", "all", "none"),
        default="databases",
        help="the resources that `pulumi destroy` refuses to delete: containers with data (default), all, or none",
    )
    parser.add_argument(
        "--project", type=_project, metavar="NAME", help="the project's name (default: the folder's name)"
    )


def _project(text: str) -> str:
    if not _PROJECT.fullmatch(text):
        raise argparse.ArgumentTypeError(
            f"{text!r} is not 1 to 100 letters, digits, hyphens, underscores and dots"
        )
    return text


def run(options: argparse.Namespace) -> int:
    """Run the command; `--help` lists the exit codes."""
    program = _write(options)
    if not program.complete:
        # The report contains this as well, but standard output may go to a pipe.
        tell("scaffold", _INCOMPLETE)
    return 0 if program.complete else 1


def _write(options: argparse.Namespace) -> ScaffoldPlan:
    folder: Path = options.out
    # Check the folder first, because reading the account may take minutes.
    check_overwrites_nothing(folder, FILES[options.language])
    settings = settings_of(options)
    with StacksClient.of(settings, LimitNotice("scaffold")) as client:
        # Check the key first, because the exports of many stacks take a long time.
        everything = live.described(client, live.listed(client))
        stacks = _stacks(options)
        # With an incomplete list, the program would silently lack containers.
        everything.require_complete()
        containers = _chosen(everything, options)
        owned: frozenset[tuple[str, str]] = frozenset()
        left: tuple[LeftOut, ...] = ()
        if stacks is None:
            has = belongings(client, containers, everything=everything)
        else:
            this = ThisAccount(everything, settings.base_url, settings.fingerprint)
            items = [(one, live.item_of(one)) for one in containers]
            # The account was listed before the states were read, so each listed object of a stack is in the states.
            account = reconcile(items, stacks, this, taken_at=live.now())
            absent = set(account.not_listed) - {one.id for one in everything}
            if absent:
                # List the account again, because a stack may have created an absent container since the first list.
                everything = live.confirmed(client, live.described(client, live.listed(client)), absent)
                everything.require_complete()
            free, _, _ = unowned(account)
            has = belongings(client, free, everything=everything)
            account = with_children(account, has, stacks, this)
            containers, owned, left = unowned(account)
        program = plan(containers, has, everything, owned=owned, protect=options.protect)
    if not program.declared:
        # Objects that a stack owns are normal, so they come last.
        reasons = [*program.left_out, *left]
        why = "; ".join(f"{one.what}: {one.reason}" for one in reasons[:_SHOWN])
        more = len(reasons) - _SHOWN
        rest = f"; and {more} more (`stacks-pulumi account --children` shows all)" if more > 0 else ""
        raise StacksError(
            f"nothing was written, because nothing can be adopted: {why}{rest}", code="not-found"
        )
    program = dataclasses.replace(program, left_out=(*left, *program.left_out))
    project = options.project or project_name(folder)
    texts: dict[str, str | bytes] = {**files(program, options.language, project, settings.base_url)}
    if options.language == "python":
        needed = required(folder, {"requirements.txt": ""})
        texts |= needed.files
        if needed.problem:
            unknown = LeftOut("the source of stacks-pulumi (requirements.txt)", needed.problem, unread=True)
            program = dataclasses.replace(program, left_out=(*program.left_out, unknown))
    write(folder, texts)
    answer(
        options,
        _data(folder, program, list(texts)),
        _report(folder, program, list(texts), project, stacks),
        None if program.complete else _INCOMPLETE,
    )
    return program


def _chosen(everything: Listing[Container], options: argparse.Namespace) -> list[Container]:
    """
    Return the containers that the options choose.

    Raises:
        StacksError: The account has no containers, or a pattern matches none. With a misspelt `--exclude`, the program
            would adopt a container that the user wants to exclude.
    """
    if not everything:
        msg = "the account has no containers, so there is nothing to adopt; if you expect containers, check the key"
        raise StacksError(msg, code="not-found")
    for option, patterns in (("--include", options.include), ("--exclude", options.exclude)):
        for pattern in patterns:
            if chosen(everything, [pattern]):
                continue
            near = nearest(pattern, [one.name for one in everything if one.name])
            hint = f"did you mean {clean(near)}?" if near else "correct the pattern, or leave it out"
            if "," in pattern:
                hint = f"give {option} once for each pattern"
            told = f"no container of the account matches {option} {shlex.quote(pattern)}"
            msg = f"nothing was written, because {told}: {hint}"
            raise StacksError(msg, code="not-found")
    containers = chosen(everything, options.include, options.exclude)
    if not containers:
        msg = f"--include and --exclude choose none of the account's {count(len(everything), 'container')}"
        raise StacksError(msg, code="not-found")
    return containers


def _stacks(options: argparse.Namespace) -> Stacks | None:
    """
    Return the stacks that may own objects of the account; `None` if the options ignore owners.

    Raises:
        StacksError: The stacks cannot be listed, so their objects are not known.
    """
    if options.owned:
        return None
    if options.state:
        return backend.from_files([Path(file) for file in options.state])
    try:
        return backend.from_backend(folder_of(options), seconds=options.timeout)
    except StacksError as error:
        raise StacksError(
            f"nothing was written, because the objects of the stacks are not known: {error.message}; or ignore the "
            "stacks (--owned)",
            code=error.code,
        ) from None


_INCOMPLETE: Final = "not everything could be read, so the program lacks the objects that the report lists"


def _data(folder: Path, program: ScaffoldPlan, names: list[str]) -> dict[str, Any]:
    return {
        "folder": str(folder),
        "files": names,
        "resources": program.counts,
        "left_out": [{"what": one.what, "reason": one.reason} for one in program.left_out],
    }


def _report(
    folder: Path, program: ScaffoldPlan, names: list[str], project: str, stacks: Stacks | None
) -> list[str]:
    kinds = ", ".join(f"{number} {kind}" for kind, number in program.counts.items())
    lines = [f"Wrote {', '.join(names)} to {folder}: {count(len(program.declared), 'resource')} ({kinds})."]
    if not program.complete:
        lines.insert(0, f"Incomplete: {_INCOMPLETE}.")
    if stacks is not None:
        told = "an object that was added by hand to a stack's container is not adopted"
        lines += [
            "",
            f"Compared with {stacks.source}: {told} (`stacks-pulumi account --children` lists them).",
        ]
        lines += [f"  {note}" for note in stacks.notes]
    if program.left_out:
        lines += ["", "Left out:"]
        lines += [f"  {one.what}: {one.reason}" for one in program.left_out]
    return [
        *lines,
        "",
        "Next:",
        *([] if folder.resolve() == Path.cwd() else [f"  cd {shlex.quote(str(folder))}"]),
        f"  pulumi stack init {_new_stack(project, stacks)}",
        "  pulumi config set stacks:apiKey --secret",
        "  pulumi preview   # `takes over` at each container; a warning if there is none: check the key",
        "  pulumi up        # adopts, and changes nothing in the account",
        "  pulumi preview   # is empty",
        "  stacks-pulumi account --fail-on double   # no other stack has taken over the same containers",
    ]


def _new_stack(project: str, stacks: Stacks | None) -> str:
    """
    Return a name that no stack of the project has. In an existing stack, the program would delete that stack's
    resources.
    """
    known = [] if stacks is None else [one.name for one in stacks.read] + [one.stack for one in stacks.unread]
    taken = {tuple(name.split("/")[-2:]) for name in known}
    return without_duplicate("dev", lambda name: (project, name) in taken)


COMMANDS = {"scaffold": Command(_HELP, add_arguments, run, codes=_CODES, forms=TEXT, stack=KEY_OF_STACK)}
