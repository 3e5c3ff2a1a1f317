"""
Which stacks must the account be compared with, and what does each of them manage?

The stacks come from a Pulumi backend or from exported files. A backend's states are read directly if possible.
Otherwise the `pulumi` command lists the stacks and exports their states, several at the same time.
"""

from __future__ import annotations

import contextlib
import functools
import math
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias
from urllib.parse import urlsplit

import msgspec

from stacks_pulumi._identifiers import name_of
from stacks_pulumi._pulumi_cli import (
    InputError,
    PulumiError,
    PulumiTimeoutError,
    Stack,
    StoredResource,
    backend_url,
    find_project,
    read_project,
    read_stack,
    run,
    shallow,
)
from stacks_pulumi._structs import decode
from stacks_pulumi.account import state_store
from stacks_pulumi.account.progress import FEW, progress
from stacks_pulumi.cost.report import Item, item
from stacks_pulumi.errors import StacksError, without_keys
from stacks_pulumi.pricing.money import count
from stacks_pulumi.pricing.recognition import UNRECOGNISED, known, snake_case

OWNING: Final = frozenset({"AllowedIp", "Connection", "Container", "PinnedBackup", "VpnClient", UNRECOGNISED})
"""
The kinds whose resources are objects of the account. A resource of an unknown kind may also be an object of the
account. So an object with the id of such a resource is not reported as an orphan.
"""

Cause: TypeAlias = Literal["interrupted", "locked", "unread"]
"""
Why the data of a stack is incomplete. `locked`: an update is running, or was killed. `interrupted`: a create was
interrupted, and the state does not show its object. `unread`: the state could not be read.
"""

_DEFAULT_ORGANIZATION: Final = "organization"
_OWN_NAME: Final = {"AllowedIp": "ip_address", "Connection": "name", "Container": "name", "VpnClient": "name"}
"""Kind -> the input that names the object in the account."""
_URL_INPUTS: Final = ("stacks:baseUrl", "baseUrl", "base_url")


@dataclass(frozen=True)
class Managed:
    """
    A resource that a stack manages.

    Attributes:
        stack: The stack's name.
        urn: Its URN.
        kind: Its kind, for instance `Container`.
        id: The id of a container, or an id that begins with the container's id.
        created_at: Creation time of the container, or of the container that a child belongs to; `None` if it is not
            recorded.
        own_created_at: Creation time of a child; `None` if it is not recorded.
        origin: Part of a digest of the key with which it was changed last; `None` in old states.
        base_url: The base URL of its provider; `None` if the state does not contain it.
        item: Its kind and price according to the state; `None` if it is not a container.
        protect: Whether Pulumi refuses to delete it.
        retain_on_delete: Whether the object stays in the account when the resource leaves the stack.
        left_over: Whether it is a replaced object that the next `up` deletes.
        in_transit: Whether it was created or deleted between two reads of the state, so that only one read contains it.
    """

    stack: str
    urn: str
    kind: str
    id: str
    created_at: str | None = None
    own_created_at: str | None = None
    origin: str | None = None
    base_url: str | None = None
    item: Item | None = None
    protect: bool = False
    retain_on_delete: bool = False
    left_over: bool = False
    in_transit: bool = False

    @property
    def name(self) -> str:
        return name_of(self.urn)


@dataclass(frozen=True)
class Interrupted:
    """
    A create that was interrupted, so that it is unknown whether the object exists.

    Attributes:
        stack: The stack's name.
        urn: The resource's URN.
        kind: The resource's kind, for instance `Container`.
        name: The name or the address of the object that was being created; `None` if the state does not contain it.
        container: The id of the container that a child belongs to; `None` if the state does not contain the id.
        base_url: The base URL of its provider; `None` if the state does not contain it.
    """

    stack: str
    urn: str
    kind: str
    name: str | None = None
    container: str | None = None
    base_url: str | None = None

    def may_have_made(self, kind: str, container: str, name: str) -> bool:
        """Return whether the create may have created this child object of a container."""
        return (
            self.kind == kind
            and self.container in (None, container)
            and (self.name is None or self.name.casefold() == name.casefold())
        )


@dataclass(frozen=True)
class StackState:
    """
    The STACKS resources of a stack.

    Attributes:
        name: `project/stack`, or `organization/project/stack` if the organization is not the default one.
        project: Its project; empty for a stack without resources.
        ref: Its name for `pulumi --stack`.
        managed: The resources that it manages.
        interrupted: The creates that may have been interrupted.
        gap: Why the data is incomplete; empty if it is complete.
        cause: The reason in one word.
        saved_at: When the state was saved; empty if the state does not contain it.
    """

    name: str
    project: str
    ref: str
    managed: tuple[Managed, ...] = ()
    interrupted: tuple[Interrupted, ...] = ()
    gap: str = ""
    cause: Cause = "interrupted"
    saved_at: str = ""


def read_export(data: bytes, ref: str | None = None, project: str = "") -> StackState:
    """
    Read an export. A value that is nested too deeply becomes unknown, and the rest is read.

    Raises:
        InputError: The data is not an export, or is incomplete.
    """
    return _state_of(read_stack(shallow(data)), ref, project)


def _state_of(export: Stack, ref: str | None, project: str) -> StackState:
    urns = [resource.urn for resource in (*export.resources, *export.creating)]
    project, name, short = _names(urns, ref, project)
    urls = _urls(export.resources)
    managed = (_managed(name, resource, urls.get(resource.provider)) for resource in export.resources)
    found = (_interrupted(name, resource, urls.get(resource.provider)) for resource in export.creating)
    creating = tuple(one for one in found if one is not None)
    return StackState(
        name,
        project,
        ref or short,
        tuple(one for one in managed if one is not None),
        creating,
        next(map(_gap, filter(_is_unclear, creating)), ""),
        saved_at=export.saved_at,
    )


def _is_unclear(operation: Interrupted) -> bool:
    """
    Return whether any container may be the result of this create, because the state does not contain the name.
    """
    return operation.kind == UNRECOGNISED or (operation.kind == "Container" and operation.name is None)


def _gap(operation: Interrupted) -> str:
    return (
        f"an update was creating {name_of(operation.urn)!r} when it was interrupted (or is creating it now), and the "
        "state does not contain the container's name: finish the update with `pulumi up`, then run this command again"
    )


def _names(urns: list[str], ref: str | None, project: str) -> tuple[str, str, str]:
    """Return the project, the stack's full name, and the stack's name within the project."""
    first = next((urn.split("::") for urn in urns if urn.count("::") >= 2), None)
    parts = (ref or "").split("/")
    if first is not None:
        stack, project = first[0].removeprefix("urn:pulumi:"), first[1]
    elif ref is None:
        return "", "an empty stack", ""
    else:
        stack, project = parts[-1], parts[1] if len(parts) == 3 else project
    # The backend omits the project of the current folder. It then omits the user's default organization as well.
    organization = parts[0] if len(parts) > 1 and parts[0] != _DEFAULT_ORGANIZATION else ""
    return project, "/".join(part for part in (organization, project, stack) if part), stack


def _urls(resources: list[StoredResource]) -> dict[str, str]:
    urls = {}
    for resource in resources:
        if resource.type.startswith("pulumi:providers:"):
            given = {**(resource.inputs or {}), **(resource.outputs or {})}
            url = next((text for name in _URL_INPUTS if (text := _text(given, name)) is not None), None)
            if url is not None:
                urls[f"{resource.urn}::{resource.id}"] = url
    return urls


def _managed(stack: str, resource: StoredResource, base_url: str | None) -> Managed | None:
    kind = resource.kind
    # A resource that is only read belongs to another stack. The object of a resource that is pending replacement has
    # been deleted.
    if kind not in OWNING or not resource.custom or resource.external or resource.pending_replacement:
        return None
    if not resource.id:
        return None
    outputs = snake_case(resource.outputs or {})
    created = "container_created_at" if kind not in {"Container", UNRECOGNISED} else "created_at"
    return Managed(
        stack,
        resource.urn,
        kind,
        resource.id,
        created_at=_text(outputs, created),
        own_created_at=_text(outputs, "created_at"),
        origin=_text(outputs, "origin"),
        base_url=base_url,
        item=item(resource.inputs or {}, outputs=resource.outputs) if kind == "Container" else None,
        protect=resource.protect,
        retain_on_delete=resource.retain_on_delete,
        left_over=resource.delete,
    )


def _interrupted(stack: str, resource: StoredResource, base_url: str | None) -> Interrupted | None:
    inputs = snake_case(resource.inputs or {})
    kind = resource.kind
    if kind not in OWNING:
        return None
    container = _text(inputs, "source" if kind == "Connection" else "container")
    return Interrupted(stack, resource.urn, kind, _text(inputs, _OWN_NAME.get(kind, "")), container, base_url)


def _text(properties: Mapping[str, Any], name: str) -> str | None:
    value = properties.get(name)
    return value if isinstance(known(value), str) else None


_AT_ONCE: Final = 4


class _Listed(msgspec.Struct, rename="camel", frozen=True):
    name: str
    last_update: str = ""
    update_in_progress: bool = False
    current: bool = False
    # For a state that is read directly: its key in the backend, and the holder of the stack's lock.
    key: str = ""
    lock: str = ""


@dataclass(frozen=True)
class Unread:
    """
    A stack that could not be read completely.

    Attributes:
        stack: The name of the stack or of the file.
        error: Why it could not be read.
        cause: The reason in one word.
    """

    stack: str
    error: str
    cause: Cause = "unread"


_Result: TypeAlias = StackState | Unread


@dataclass(frozen=True)
class _Wanted:
    """
    Which stacks of a backend are read.

    Attributes:
        folder: The folder in which `pulumi` runs; its project may set the backend.
        project: The project whose stacks are read; `None` for all projects.
        seconds: The time limit; stacks that are not reached in time are not read.
    """

    folder: Path
    project: str | None = None
    seconds: float = math.inf

    @functools.cached_property
    def project_here(self) -> str:
        """The folder's project, which the backend omits from the names of stacks."""
        file = find_project(self.folder)
        return "" if file is None else str(read_project(file).get("name", ""))

    def name_of(self, project: str, stack: str) -> str:
        """Return the name of a stack for `pulumi --stack`."""
        return stack if project == self.project_here else f"{_DEFAULT_ORGANIZATION}/{project}/{stack}"

    @contextlib.contextmanager
    def store(self) -> Iterator[state_store.StateStore | None]:
        """
        Yield the backend, opened for reading its states directly, and close it at the end; for a service, yield `None`.

        Raises:
            NotUnderstoodError: The backend cannot be read directly.
        """
        store = state_store.open_store(backend_url(self.folder), self.folder)
        with contextlib.nullcontext() if store is None else contextlib.closing(store):
            yield store

    def run(self, *words: str, left: float | None = None) -> bytes:
        """Run `pulumi` within the remaining time; without a limit, within the usual timeout."""
        seconds = self.seconds if left is None else left
        return run(words, folder=self.folder, **({} if seconds == math.inf else {"seconds": seconds}))


@dataclass(frozen=True)
class Stacks:
    """
    The stacks that an account is compared with.

    Attributes:
        read: The stacks that were read, completely or in part.
        unread: The stacks that were not read completely.
        source: Where the stacks come from, for messages.
        notes: Notes on the stacks for the reader.
        listed: The result for each stack that the backend lists; empty for files.
        wanted: Which of the backend's stacks are read; `None` for files.
    """

    read: tuple[StackState, ...] = ()
    unread: tuple[Unread, ...] = ()
    source: str = ""
    notes: tuple[str, ...] = ()
    listed: Mapping[_Listed, _Result] = field(default_factory=dict)
    wanted: _Wanted | None = None

    @property
    def project(self) -> str | None:
        """The only project whose stacks were read; `None` if all projects were read."""
        return None if self.wanted is None else self.wanted.project


def from_backend(folder: Path, project: str | None = None, seconds: float = math.inf) -> Stacks:
    """
    Read every stack of the backend to which `pulumi` is logged in, and print the progress.

    Args:
        folder: The folder in which `pulumi` runs.
        project: The project whose stacks are read; by default all projects.
        seconds: The time limit; stacks that are not reached in time are not read.

    Raises:
        InputError: The stacks cannot be listed.
    """
    wanted = _Wanted(folder, project, seconds)
    results, notes = _read(wanted, {})
    return _of_backend(results, wanted, notes)


def caught_up(stacks: Stacks) -> Stacks:
    """
    Read the stacks again, and return them with all changes since the first read.

    The account is read between two reads of the states. If only one of the two contains a resource, the resource was
    created or deleted meanwhile, so its object is reported neither as an orphan nor as missing.

    Raises:
        InputError: The stacks cannot be listed.
    """
    if stacks.wanted is None or not stacks.listed:
        return stacks
    before = {listed.name: result for listed, result in stacks.listed.items()}
    now, notes = _read(stacks.wanted, stacks.listed)
    results = {
        listed: result if listed in stacks.listed else _joined(before.get(listed.name), result)
        for listed, result in now.items()
    }
    there = {listed.name for listed in now}
    for listed, kept in stacks.listed.items():
        if listed.name not in there:
            # The stack was removed from the backend; its resources were deleted before that.
            results[listed] = kept
            if isinstance(kept, StackState):
                results[listed] = _joined(kept, StackState(kept.name, kept.project, kept.ref))
    return _of_backend(results, stacks.wanted, notes)


def _read(
    wanted: _Wanted, known: Mapping[_Listed, _Result]
) -> tuple[dict[_Listed, _Result], tuple[str, ...]]:
    """Return the result for each stack, and notes on how the states were read. An unchanged state is not read again."""
    end = time.monotonic() + wanted.seconds
    try:
        with wanted.store() as store:
            if store is not None:
                return _directly(store, wanted, known, end), ()
    except state_store.NotUnderstoodError as error:
        note = f"each state was read with a `pulumi` command, which does not show locks: {error}"
        return _by_commands(wanted, known, end, sees_locks=False), (note,)
    return _by_commands(wanted, known, end, sees_locks=True), ()


def _directly(
    store: state_store.StateStore, wanted: _Wanted, known: Mapping[_Listed, _Result], end: float
) -> dict[_Listed, _Result]:
    # An update takes the lock before it changes the state, so look for the lock after reading the state.
    stacks = store.stacks(wanted.project)
    locks = store.locks(wanted.project)
    listed = {
        _Listed(
            wanted.name_of(one.project, one.name),
            one.version,
            key=one.key,
            lock=locks.get((one.project, one.name), ""),
        ): one.project
        for one in stacks
    }
    results = {one: known[one] for one in listed if one in known}
    changed = [one for one in listed if one not in known]
    done = _announced(len(changed), wanted)
    for start in range(0, len(changed), state_store.AT_ONCE):
        some = changed[start : start + state_store.AT_ONCE]
        if time.monotonic() >= end:
            results |= {one: _no_time(one) for one in changed[start:]}
            break
        contents = store.read(one.key for one in some)
        for one in some:
            # If there is no state, the stack was removed after it was listed.
            if one.key in contents:
                results[one] = _of_state(contents[one.key], one, listed[one], wanted)
        done(start + len(some))
    return results


def _of_state(content: bytes, listed: _Listed, project: str, wanted: _Wanted) -> _Result:
    try:
        try:
            export = state_store.export_of(content)
        except state_store.NotUnderstoodError:
            export = wanted.run("stack", "export", "--stack", listed.name)
        state = read_export(export, listed.name, project)
    except StacksError as error:
        return Unread(listed.name, error.message)
    if not listed.lock:
        return state
    why = f"{_RUNNING}: it is locked by {listed.lock}. Wait until it ends, or, if it was killed, run `pulumi cancel`"
    return replace(state, gap=why, cause="locked")


_RUNNING: Final = "an update is running, or was killed"


def _by_commands(
    wanted: _Wanted, known: Mapping[_Listed, _Result], end: float, *, sees_locks: bool
) -> dict[_Listed, _Result]:
    listed = _list(wanted)
    changed = [one for one in listed if one not in known]
    results = {one: known[one] for one in listed if one in known}
    done = _announced(len(changed), wanted)
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        exports = pool.map(lambda one: _exported(one, wanted, end, sees_locks=sees_locks), changed)
        for number, (one, result) in enumerate(zip(changed, exports, strict=True), start=1):
            results[one] = result
            done(number)
    return results


def _announced(stacks: int, wanted: _Wanted) -> Callable[[int], None]:
    """Print the number of stacks, and return a function that prints how many are done."""
    if stacks > FEW:
        of = "the backend" if wanted.project is None else f"the project {wanted.project}"
        sys.stderr.write(f"reading {count(stacks, 'stack')} of {of}\n")
    return progress(stacks, "stack", "read")


def _joined(before: _Result | None, now: _Result) -> _Result:
    """Return the current state of a stack, together with the resources that it had before."""
    if isinstance(now, Unread) or isinstance(before, Unread):
        return (
            now
            if isinstance(now, Unread)
            else Unread(now.name, "an update was running while its state was read", "locked")
        )
    if before is None:
        before = StackState(now.name, now.project, now.ref)
    earlier, later = _by_identity(before.managed), _by_identity(now.managed)
    managed = tuple(
        replace(one, in_transit=not (key in earlier and key in later))
        for key, one in {**earlier, **later}.items()
    )
    interrupted = tuple(dict.fromkeys((*before.interrupted, *now.interrupted)))
    known = now if now.gap else before
    return replace(now, managed=managed, interrupted=interrupted, gap=known.gap, cause=known.cause)


def _by_identity(managed: Iterable[Managed]) -> dict[tuple[str, ...], Managed]:
    return {(one.urn, one.id, one.created_at or "", str(one.left_over)): one for one in managed}


def _of_backend(results: Mapping[_Listed, _Result], wanted: _Wanted, notes: tuple[str, ...]) -> Stacks:
    read, unread = _parted(results.values())
    if not results:
        notes += ("the backend has no stacks: check with `pulumi whoami -v` that it is the right backend",)
    source = (
        "the backend's stacks" if wanted.project is None else f"the stacks of the project {wanted.project}"
    )
    return Stacks(read, unread, source, notes, results, wanted)


def _parted(results: Iterable[_Result]) -> tuple[tuple[StackState, ...], tuple[Unread, ...]]:
    """Return the stacks that were read, and those that were not read completely."""
    results = list(results)
    read = tuple(result for result in results if isinstance(result, StackState))
    unread = [result for result in results if isinstance(result, Unread)]
    return read, (*unread, *(Unread(state.name, state.gap, state.cause) for state in read if state.gap))


def tagged(name: str, value: str, folder: Path, seconds: float) -> frozenset[str]:
    """
    Return the names, as for `pulumi --stack`, of all stacks with this tag. The other arguments are those of
    `from_backend`.

    Raises:
        InputError: The backend cannot list the stacks.
    """
    wanted = _Wanted(folder, seconds=seconds)
    with contextlib.suppress(state_store.NotUnderstoodError), wanted.store() as store:
        if store is not None:
            return frozenset(wanted.name_of(*stack) for stack in store.tagged(name, value))
    return frozenset(stack.name for stack in _list(wanted, "--tag", f"{name}={value}"))


def lock_of(folder: Path, stack: str | None) -> str:
    """
    Return the holder of a stack's lock; empty if the stack is not locked. If `stack` is `None`, the selected stack is
    checked.

    Raises:
        PulumiError: It is unknown whether the stack is locked.
    """
    wanted = _Wanted(folder)
    named = (stack or "").split("/")
    project = named[1] if len(named) == 3 else wanted.project_here
    try:
        with wanted.store() as store:
            if store is not None:
                locks = store.locks(project)
                # Ask for the selected stack's name only if a stack of the project is locked, because this needs another
                # command.
                if not locks:
                    return ""
                name = named[-1] or wanted.run("stack", "--show-name").decode().strip()
                return locks.get((project, name), "")
    except state_store.NotUnderstoodError as error:
        raise PulumiError(str(error)) from None
    try:
        # Without an option, the command lists the stacks of the folder's project.
        of = ("--project", project) if len(named) == 3 else ()
        rows = decode(wanted.run("stack", "ls", "--json", *of) or b"[]", list[_Listed])
    except msgspec.DecodeError as error:
        raise PulumiError(f"`pulumi stack ls` printed an unexpected document ({error})") from None
    mine = [one for one in rows if (one.name.split("/")[-1] == named[-1] if stack else one.current)]
    return (
        "an update that the backend lists as running" if any(one.update_in_progress for one in mine) else ""
    )


def from_files(paths: Sequence[Path]) -> Stacks:
    """Read exports from files. If several exports belong to one stack, the latest is used."""
    results = {path: _from_file(path) for path in paths}
    latest = sorted(
        ((path, state) for path, state in results.items() if isinstance(state, StackState)),
        key=lambda one: one[1].saved_at,
        reverse=True,
    )
    notes = []
    for position, (path, state) in enumerate(latest):
        later = next((file for file, other in latest[:position] if _is_one_stack(state, other)), None)
        if later is not None:
            del results[path]
            notes.append(
                f"{path} is ignored: {later} is an export of the same stack, {state.name}, and is not older"
            )
    read, unread = _parted(results.values())
    names = [state.name for state in read]
    notes += [
        f"several files are exports of a stack {name}, but share no resource: they are treated as different stacks"
        for name in dict.fromkeys(name for name in names if names.count(name) > 1)
    ]
    told_apart = (
        _renamed(state, f"{state.name} ({path})") if names.count(state.name) > 1 else state
        for path, state in results.items()
        if isinstance(state, StackState)
    )
    return Stacks(tuple(told_apart), unread, "the exports in --state", tuple(notes))


def _is_one_stack(one: StackState, other: StackState) -> bool:
    """Return whether two exports belong to one stack: they have the same name, and have a resource in common."""
    return one.name == other.name and not {
        (resource.urn, resource.id) for resource in one.managed
    }.isdisjoint((resource.urn, resource.id) for resource in other.managed)


def _list(wanted: _Wanted, *options: str) -> list[_Listed]:
    of = ("--all",) if wanted.project is None else ("--project", wanted.project)
    try:
        output = wanted.run("stack", "ls", "--json", *of, *options)
        return decode(output or b"[]", list[_Listed])
    except (PulumiError, msgspec.DecodeError) as error:
        why = error.message if isinstance(error, PulumiError) else error
        more = (
            "allow more time with --timeout" if isinstance(error, PulumiTimeoutError) else "correct the cause"
        )
        files = f"{more}, or pass files that `pulumi stack export` wrote, with --state FILE"
        raise PulumiError(f"`pulumi stack ls` failed ({why}): {files}") from None


def _exported(stack: _Listed, wanted: _Wanted, end: float, *, sees_locks: bool) -> _Result:
    left = end - time.monotonic()
    if left <= 0:
        return _no_time(stack)
    if stack.update_in_progress:
        return Unread(
            stack.name, "an update is running: its new resources are not in the state yet", "locked"
        )
    try:
        export = read_stack(shallow(wanted.run("stack", "export", "--stack", stack.name, left=left)))
        state = _state_of(export, stack.name, wanted.project_here)
    except StacksError as error:
        return Unread(stack.name, error.message)
    if sees_locks or state.gap or not export.pending:
        return state
    why = f"{_RUNNING}: its state contains {count(export.pending, 'unfinished operation')}"
    return replace(state, gap=why, cause="locked")


def _no_time(stack: _Listed) -> Unread:
    return Unread(stack.name, "the timeout of --timeout was reached")


def _from_file(path: Path) -> _Result:
    # Hide a key that was pasted instead of a file's name, because the report shows the name.
    shown = without_keys(str(path))
    try:
        return read_export(path.read_bytes())
    except InputError as error:
        return Unread(shown, error.message)
    except OSError as error:
        return Unread(shown, error.strerror or str(error))


def _renamed(state: StackState, name: str) -> StackState:
    managed = tuple(replace(one, stack=name) for one in state.managed)
    interrupted = tuple(replace(one, stack=name) for one in state.interrupted)
    return replace(state, name=name, managed=managed, interrupted=interrupted)


def normal_url(url: str) -> str:
    """Return the URL in a form that does not depend on the name of this machine, a default port or a final slash."""
    try:
        parts = urlsplit(url.strip())
        host, port = (parts.hostname or "").lower(), parts.port
    except ValueError:
        return url
    host = "localhost" if host in {"127.0.0.1", "::1"} else host
    port = port or {"http": 80, "https": 443}.get(parts.scheme)
    return f"{parts.scheme}://{host}:{port}{parts.path.rstrip('/')}"
