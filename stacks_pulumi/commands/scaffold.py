"""`stacks-pulumi scaffold`: write a program that takes over the containers of an account."""

from __future__ import annotations

import argparse
import dataclasses
import re
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from stacks_pulumi.commands._shared import (
    KEY_OF_STACK,
    TEXT,
    Command,
    folder_of,
    print_json,
    requirements_file,
    settings_of,
    tell,
)
from stacks_pulumi.errors import StacksError, clean

if TYPE_CHECKING:
    from stacks_pulumi.account.backend import Stacks
    from stacks_pulumi.account.takeover import LeftOut, ScaffoldPlan


_HELP: Final = "write a program that takes over what no stack owns"

_CODES: Final = {
    0: "the program was written",
    1: "the program was written without what the report names, because it could not be read",
}

_LANGUAGES: Final = ("python", "yaml")
_PROJECT: Final = re.compile(r"[A-Za-z0-9._-]{1,100}")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Read the account and write a Pulumi program that adopts what no stack owns: containers, and what belongs to "
        "them. Neither this command nor the first `pulumi up` of the program changes the account."
    )
    parser.add_argument(
        "--out",
        required=True,
        type=_folder,
        metavar="DIR",
        help="where to write; existing files are not overwritten",
    )
    parser.add_argument("--language", choices=_LANGUAGES, default=_LANGUAGES[0], help="default: python")
    parser.add_argument(
        "--include",
        action="append",
        default=[],
        metavar="PATTERN",
        help="only containers whose name matches, as in a shell; may be given several times",
    )
    parser.add_argument(
        "--exclude",
        action="append",
        default=[],
        metavar="PATTERN",
        help="exclude containers whose name matches; may be given several times",
    )
    parser.add_argument(
        "--state",
        action="append",
        default=[],
        metavar="FILE",
        help="the output of `pulumi stack export`, instead of the backend's stacks; may be given several times",
    )
    parser.add_argument(
        "--owned",
        action="store_true",
        help="do not look at the stacks, and take over what one of them owns too: it then has two owners",
    )
    parser.add_argument(
        "--protect",
        choices=("databases", "all", "none"),
        default="databases",
        help="what `pulumi destroy` refuses to delete: containers with data (default), every resource, or none",
    )
    parser.add_argument(
        "--project", type=_project, metavar="NAME", help="the project's name; default: that of the folder"
    )


def _folder(text: str) -> Path:
    if not text.strip():
        raise argparse.ArgumentTypeError("the name of the folder is empty; a dot names this one")
    return Path(text)


def _project(text: str) -> str:
    if not _PROJECT.fullmatch(text):
        raise argparse.ArgumentTypeError(
            f"{text!r} is not 1 to 100 letters, digits, hyphens, underscores and dots"
        )
    return text


def run(options: argparse.Namespace) -> int:
    """Run the command; the exit code is one of those that `--help` lists."""
    program = _write(options)
    if not program.complete:
        # The report contains it too, but its output may go to a pipe.
        tell("scaffold", _INCOMPLETE)
    return 0 if program.complete else 1


def _write(options: argparse.Namespace) -> ScaffoldPlan:
    from stacks_pulumi.account.findings import unowned  # noqa: PLC0415  (only this command needs it)
    from stacks_pulumi.account.read import belongings, connected  # noqa: PLC0415  (as above)
    from stacks_pulumi.account.reconcile import ThisAccount, reconcile, with_children  # noqa: PLC0415  (as above)
    from stacks_pulumi.account.takeover import (  # noqa: PLC0415  (as above)
        FILES,
        check_overwrites_nothing,
        chosen,
        files,
        plan,
        project_name,
        write,
    )
    from stacks_pulumi.cost import live  # noqa: PLC0415  (as above)

    folder: Path = options.out
    # Checked first, because reading the account may take minutes.
    check_overwrites_nothing(folder, FILES[options.language])
    settings = settings_of(options)
    with connected(settings) as (client, stop):
        # A key that the API does not accept is reported before many exports are made.
        everything = live.described(client, live.listed(client))
        stacks = _stacks(options)
        # From an incomplete list, the program would lack containers without a word.
        everything.require_complete()
        containers = chosen(everything, options.include, options.exclude)
        if not containers:
            raise StacksError(_nothing_chosen(len(everything)), code="not-found")
        left: tuple[LeftOut, ...] = ()
        if stacks is None:
            has = belongings(client, containers, stop)
        else:
            this = ThisAccount(everything, settings.base_url, settings.fingerprint)
            items = [(one, live.item_of(one)) for one in containers]
            # The account was listed first, so what a stack has made of it by now is in its state.
            account = reconcile(items, stacks, this, taken_at=live.now())
            free, _, _ = unowned(account, {})
            has = belongings(client, free, stop)
            account = with_children(account, has, stacks, this)
            containers, has, left = unowned(account, has)
        program = plan(containers, has, everything, protect=options.protect, platform=client.platform)
    program = dataclasses.replace(program, left_out=(*left, *program.left_out))
    if not program.declared:
        why = "; ".join(f"{one.what}: {one.reason}" for one in program.left_out)
        raise StacksError(f"nothing was written, because nothing can be taken over: {why}", code="not-found")
    project = options.project or project_name(folder)
    texts = files(program, options.language, project, settings.base_url, requirements_file(folder))
    write(folder, texts)
    if options.format == "json":
        print_json(_data(folder, program, list(texts)), None if program.complete else _INCOMPLETE)
    else:
        sys.stdout.write(_report(folder, program, list(texts), stacks))
    return program


def _stacks(options: argparse.Namespace) -> Stacks | None:
    """
    Return the stacks that may own something; `None` if they do not matter.

    Raises:
        StacksError: They cannot be listed, so that it is not known what they own.
    """
    from stacks_pulumi.account import backend  # noqa: PLC0415  (as above)

    if options.owned:
        return None
    if options.state:
        return backend.from_files([Path(file) for file in options.state])
    try:
        return backend.from_backend(folder_of(options))
    except StacksError as error:
        raise StacksError(
            f"nothing was written, because it is not known what the stacks own: {error.message}; or write the program "
            "without a look at the stacks (--owned)",
            code=error.code,
        ) from None


_INCOMPLETE: Final = "not everything could be read, so the program lacks what the report names"


def _data(folder: Path, program: ScaffoldPlan, names: list[str]) -> dict[str, Any]:
    return {
        "folder": str(folder),
        "files": names,
        "resources": program.counts,
        "left_out": [{"what": one.what, "reason": one.reason} for one in program.left_out],
    }


def _nothing_chosen(number: int) -> str:
    from stacks_pulumi.pricing.money import count  # noqa: PLC0415  (as above)

    if not number:
        return "the account has no containers, so there is nothing to take over"
    return f"--include and --exclude choose none of the account's {count(number, 'container')}"


def _report(folder: Path, program: ScaffoldPlan, names: list[str], stacks: Stacks | None) -> str:
    from stacks_pulumi.pricing.money import count  # noqa: PLC0415  (as above)

    kinds = ", ".join(f"{number} {kind}" for kind, number in program.counts.items())
    lines = [f"Wrote {', '.join(names)} to {folder}: {count(len(program.declared), 'resource')} ({kinds})."]
    if not program.complete:
        lines.insert(0, f"Incomplete: {_INCOMPLETE}.")
    if stacks is not None:
        lines += ["", f"Compared with {stacks.source}: what no stack has is taken over."]
        lines += [f"  {clean(note)}" for note in stacks.notes]
    if program.left_out:
        lines += ["", "Left out:"]
        lines += [f"  {clean(one.what)}: {clean(one.reason)}" for one in program.left_out]
    lines += [
        "",
        "Next:",
        f"  cd {shlex.quote(str(folder))}",
        "  pulumi stack init dev",
        "  pulumi config set stacks:apiKey --secret",
        "  pulumi up        # adopts, and changes nothing in the account",
        "  pulumi preview   # is empty",
    ]
    return "\n".join(lines) + "\n"


COMMANDS = {"scaffold": Command(_HELP, add_arguments, run, codes=_CODES, forms=TEXT, stack=KEY_OF_STACK)}
