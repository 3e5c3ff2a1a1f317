"""
How is a change planned, approved and applied through a broker?

A change lists everything that may happen at STACKS: the requests, their prices and the time until which they may be
sent. The broker judges a change with the same code that enforces it. Steps that send no request to STACKS, such as
those of other providers, are judged here, on the planner's and the approver's machines. No broker enforces these steps.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import hashlib
import json
import re
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, NamedTuple

import msgspec

from stacks_pulumi._environment import without_options
from stacks_pulumi._pulumi_cli import (
    InputError,
    PolicyEvent,
    PulumiError,
    execute,
    find_project,
    preview_failure,
    read_file,
    read_project,
    run,
)
from stacks_pulumi._pulumi_cli import read as read_events
from stacks_pulumi._settings_file import text_of, why_unreadable
from stacks_pulumi._structs import convert
from stacks_pulumi.broker import git, signatures
from stacks_pulumi.broker.change import (
    EFFECTS,
    LONGEST,
    Ceiling,
    Change,
    ChangeError,
    Reported,
    digest,
    instant,
    read_change,
)
from stacks_pulumi.errors import ConfigError, ErrorCode, StacksError, clean
from stacks_pulumi.gate import checks, packs, permits, preview, rules, settings
from stacks_pulumi.gate.change import Change as Resource
from stacks_pulumi.gate.client import Broker, BrokerError

if TYPE_CHECKING:
    from stacks_pulumi.gate.settings import Gate

SIGNATURES: Final = ".sig.d"
"""The suffix of the folder with the signatures of a change."""
_PREVIEW_SECONDS: Final = 3600.0
_SECONDS_TO_END: Final = 20.0
_TTL: Final = 3600
_LONGEST_TTL: Final = 24 * 3600
_OWN_ACCOUNT: Final = ("stacks:apiKey", "stacks:baseUrl")
_ARMOUR: Final = re.compile(r"(-----BEGIN SSH SIGNATURE-----)(.+?)(-----END SSH SIGNATURE-----)", re.DOTALL)
_TAG: Final = "stacks-gate:"
_TAG_LONGEST: Final = 40


class RefusedError(StacksError):
    """
    Raised if a change may not be planned, approved or applied.

    Attributes:
        reasons: The messages of the policies that refuse the change.
    """

    code: ErrorCode = "gate-refused"
    reasons: Sequence[str] = ()


class Step(msgspec.Struct, frozen=True, omit_defaults=True):
    """A step of a resource as the planner reports it."""

    operation: str
    name: str
    type: str
    changed: tuple[str, ...] = ()


class Report(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """
    The report of the planner about a change. No broker enforces it.

    Attributes:
        steps: What happens to each resource, including those of other providers.
        findings: The findings about steps that send no request to STACKS. A broker counts them with its own findings.
        violations: The messages of policies that do not refuse the change.
        plan: The SHA-256 of the engine's saved plan.
        resources: The data for the gate's own rules, as JSON, because the rules run again on the approver's machine.
        stack: The value of `-s` if it names an organization, which a change does not contain; otherwise empty.
    """

    steps: tuple[Step, ...] = ()
    findings: tuple[Reported, ...] = ()
    violations: tuple[str, ...] = ()
    plan: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}\Z")] | None = None
    resources: str = ""
    stack: str = ""


class Judged(NamedTuple):
    """
    A change with the broker's verdict.

    Attributes:
        statement: The text that is signed.
        change: The content of the text.
        said: The broker's answer: `verdict`, `containers`, `approvals`, `missing`; for an access request, also `asked`.
        signatures: Its signatures.
    """

    statement: str
    change: Change
    said: Mapping[str, Any]
    signatures: Sequence[str] = ()

    @property
    def result(self) -> str:
        """The result of the broker's verdict, for instance `free` or `refused`."""
        result = str(self.said["verdict"]["result"])
        return "free" if result == "nothing" and reported(self.change).steps else result


@dataclass(frozen=True)
class Wanted:
    """
    The request for a plan.

    Attributes:
        project: The project's folder.
        stack: The stack's name; by default the selected stack.
        expires: The time until which the change may be submitted.
        ceiling: The highest increase to request; by default the current price of the creates.
        plan: The file for the engine's plan; `None` to save no plan.
        reads: The secrets that the program's functions read: pairs of a container's resource name and a class of
            secret.
    """

    project: Path
    stack: str | None
    expires: datetime.timedelta | None = None
    ceiling: Decimal | None = None
    plan: Path | None = None
    reads: Sequence[tuple[str, str]] = ()


def reported(change: Change) -> Report:
    """
    Return the planner's report on a change.

    Raises:
        InputError: The report was not written by this planner.
    """
    try:
        return convert(change.preview or {}, Report)
    except msgspec.ValidationError as error:
        raise InputError(f"the part `preview` of the change cannot be read: {error}") from None


# Planning


def plan(broker: Broker, wanted: Wanted) -> Judged:
    """
    Preview a program and return the resulting change.

    Raises:
        RefusedError: Policies refuse the preview, or no permit can cover one of its changes.
        PulumiError: The preview fails.
        StacksError: The broker refuses.
    """
    with _gate_of(broker) as gate:
        return _planned(broker, wanted, gate)


def _planned(broker: Broker, wanted: Wanted, gate: Gate) -> Judged:
    check_configuration(wanted.project, wanted.stack)
    wrong = (*checks.of_packs(gate), *checks.of_settings(gate))
    if wrong:
        raise RefusedError(f"the gate has mistakes: {'; '.join(wrong)}")
    data, violations = _previewed(broker, gate, wanted)
    seen = preview.read(data, gate.prices)
    if not seen.stack:
        raise InputError("the preview contains no resources, so its stack cannot be determined")
    try:
        needed = _needed(broker, seen.changes, wanted)
    except InputError as error:
        raise RefusedError(error.message) from None
    now = datetime.datetime.now(datetime.timezone.utc)
    resources = rules.written(seen.changes) if gate.file.own_rules else ""
    found = _findings(gate, seen.changes, resources, sends=bool(needed.permits))
    ceiling = None if wanted.ceiling is None else Ceiling(increase=f"{wanted.ceiling:.2f}")
    if ceiling is None and any(
        one.is_loose and one.endpoint == "containers.create" for one in needed.permits
    ):
        raise InputError(
            "the name, template, plan or storage of a container is unknown until the change is applied: set "
            "--ceiling to the most that the change may add to the monthly price",
            code="invalid-argument",
        )
    change = Change(
        version=1,
        stack=seen.stack,
        account=str(broker.ask("GET", "me")["account"]),
        until=instant((now + (wanted.expires or gate.file.record_expires)).timestamp()),
        nonce=secrets.token_urlsafe(18),
        permits=needed.permits,
        ttl=int(min(max(_TTL, seen.longest), _LONGEST_TTL)),
        ceiling=ceiling,
        known=needed.known,
        secrets=needed.secrets,
        author=git.author(wanted.project),
        preview=msgspec.to_builtins(
            Report(
                tuple(_step(one) for one in seen.changes if one.acts),
                found,
                tuple(violations),
                None if wanted.plan is None else digest(read_file(wanted.plan)),
                resources,
                wanted.stack if wanted.stack is not None and "/" in wanted.stack else "",
            )
        ),
    )
    first = judged(broker, change.bytes.decode())
    costs = first.said["verdict"]
    if wanted.ceiling is not None or costs["increase"] is None:
        return first
    ceiling = Ceiling(
        increase=f"{max(Decimal(costs['increase']), Decimal(0)):.2f}", at_any_moment=costs["at_any_moment"]
    )
    return judged(broker, msgspec.structs.replace(change, ceiling=ceiling).bytes.decode())


def judged(broker: Broker, statement: str, given: Sequence[str] = ()) -> Judged:
    """
    Return a change with the broker's verdict.

    Raises:
        ChangeError: The change is not well formed.
        StacksError: The broker refuses the change: it has expired, or a signature is invalid.
    """
    change = read_change(statement.encode("utf-8", "surrogatepass"))
    return Judged(statement, change, broker.verdict(statement, given), given)


def _gate_of(broker: Broker, token: str | None = None) -> contextlib.AbstractContextManager[Gate]:
    """Return the gate of a broker: its rules, packs and prices, read from its folder or requested with a grant."""
    if broker.folder is not None:
        return settings.opened(broker.folder)
    return settings.received(broker.ask("GET", "rules", token=token)["files"], broker.url)


def _previewed(broker: Broker, gate: Gate, wanted: Wanted) -> tuple[bytes, list[str]]:
    """Return the preview and the messages of policies that do not refuse it."""
    with tempfile.TemporaryDirectory(prefix="stacks-gate-") as scratch:
        events = Path(scratch) / "events.json"
        words = [*preview.OPTIONS, "--event-log", str(events), *_chosen(wanted.stack)]
        words += [] if wanted.plan is None else ["--save-plan", str(wanted.plan)]
        words += packs.options_of(gate.packs, Path(scratch))
        environment = {
            **without_options(broker.environment(broker.token)),
            # The first variable enables `--event-log`, the second enables `--save-plan`.
            "PULUMI_DEBUG_COMMANDS": "true",
            "PULUMI_EXPERIMENTAL": "true",
        }
        done = execute(
            words, wanted.project, _PREVIEW_SECONDS, seconds_to_end=_SECONDS_TO_END, environment=environment
        )
        event_log = events.read_bytes() if events.exists() else b""
        document = read_events(event_log) if event_log else []
        found = [
            one.policy_event
            for one in (document if isinstance(document, list) else [])
            if one.policy_event is not None
        ]
        if done.returncode != 0:
            from stacks_pulumi.account.doctor_checks import advice_on  # noqa: PLC0415  (25 ms, which no other plan needs)

            # A policy may print one message for each resource.
            mandatory = (_in_words(one) for one in found if one.enforcement_level == "mandatory")
            refusals = [*dict.fromkeys(mandatory)]
            if refusals:
                error = RefusedError("; ".join(refusals))
                error.reasons = refusals
                raise error
            # The events contain the errors; the JSON output does not.
            done.stdout = event_log or done.stdout
            reason = preview_failure(done)
            advice = advice_on(reason)
            raise PulumiError(reason if advice is None else f"{reason}; {advice}")
    return done.stdout, [_in_words(one) for one in found]


def _in_words(said: PolicyEvent) -> str:
    """Return the message of a policy as one line of text."""
    return f"{said.policy_name}: {' '.join(said.message.split())}"


def _needed(broker: Broker, changes: Sequence[Resource], wanted: Wanted) -> permits.Needed:
    from stacks_pulumi import config  # noqa: PLC0415  (a change that is shown needs no client)
    from stacks_pulumi.api import StacksClient  # noqa: PLC0415  (as above)

    given = {"STACKS_BASE_URL": broker.url, "STACKS_API_KEY": broker.token}
    with StacksClient.of(config.load(environ=given)) as client:
        listed = client.containers.list()
        listed.require_complete()
        return permits.needed(changes, listed, wanted.reads, client.vpn_clients.list)


def _findings(
    gate: Gate, changes: Sequence[Resource], resources: str, *, sends: bool
) -> tuple[Reported, ...]:
    """Return the findings about steps that no broker judges. `sends` states whether the change needs a permit."""
    found = (*rules.reported(gate.file, changes), *_own(gate, resources))
    if gate.file.free is None and not sends and not found and any(one.acts for one in changes):
        found = (Reported(rules.NEVER_FREE, "approve", "gate.yaml has no setting `free`"),)
    return found


def _own(gate: Gate, resources: str) -> tuple[Reported, ...]:
    return tuple(rules.own(gate.own_rules, rules.read(resources))) if gate.own_rules else ()


def _step(change: Resource) -> Step:
    return Step(change.operation, f"{change.name}{change.note}", change.type, tuple(sorted(change.changed)))


def check_configuration(project: Path, stack: str | None) -> None:
    """
    Refuse a stack whose configuration would be used instead of the grant.

    Raises:
        ConfigError: The configuration contains a key or an address of the API.
        PulumiError: The configuration cannot be read.
    """
    configuration = json.loads(run(["config", "--json", *_chosen(stack)], folder=project) or b"{}")
    own = [name for name in _OWN_ACCOUNT if name in configuration]
    if own:
        raise ConfigError(
            f"the stack's configuration has {' and '.join(own)}, which a program uses instead of the grant: run "
            f"`{' && '.join(f'pulumi config rm {name}' for name in own)}`",
            code="invalid-setting",
        )


def _chosen(stack: str | None) -> tuple[str, ...]:
    return () if stack is None else ("--stack", stack)


# Files


def plan_of(file: Path) -> Path:
    """Return the file for the engine's saved plan, which is next to the file of the change."""
    return file.with_name(f"{file.name}.plan")


def signatures_of(file: Path) -> list[str]:
    """
    Return the signatures that are stored next to a change. A file may contain several: a job writes all its signatures
    into one file.

    Raises:
        InputError: A file cannot be read, or contains no signature.
    """
    folder = file.with_name(file.name + SIGNATURES)
    found: list[str] = []
    try:
        for path in sorted(folder.iterdir()):
            blocks = _ARMOUR.findall(text_of(path))
            if not blocks:
                raise InputError(f"{path} has no signature: `gate approve` writes one")
            # The web forms of some platforms replace the ends of lines with spaces.
            found += ("\n".join([begin, *text.split(), end, ""]) for begin, text, end in blocks)
    except FileNotFoundError:
        return []
    except (OSError, ValueError) as error:
        why = why_unreadable(error)
        raise InputError(f"a signature in {folder} cannot be read: {why}", code="file-access") from None
    return found


def statement_of(file: Path) -> str:
    """
    Return the text of a change.

    Raises:
        InputError: The file cannot be read, or is not a change.
    """
    try:
        text = text_of(file, longest=LONGEST)
        read_change(text.encode())
    except (OSError, ValueError) as error:
        raise InputError(f"{file} cannot be read: {why_unreadable(error)}", code="file-access") from None
    except ChangeError as error:
        raise InputError(f"{file} is not a change: {error.message}") from None
    return text


def check_place(file: Path) -> None:
    """
    Check that a change, its plan and its signatures can be written next to each other.

    Raises:
        InputError: One of them is a link, or not a regular file.
    """
    folder = file.with_name(file.name + SIGNATURES)
    files = file, plan_of(file)
    # Through a link, the project's author could make this user overwrite a different file.
    if any(one.is_symlink() for one in (*files, folder)) or any(
        one.exists() and not one.is_file() for one in files
    ):
        raise InputError(f"{file}, {plan_of(file)} or {folder} is a link, or not a regular file: remove it")


def write(statement: str, file: Path) -> None:
    """
    Write a change and remove the signatures of an earlier change.

    Raises:
        InputError: The change cannot be written.
    """
    folder = file.with_name(file.name + SIGNATURES)
    try:
        check_place(file)
        file.write_text(statement, encoding="utf-8")
        shutil.rmtree(folder, ignore_errors=True)
    except OSError as error:
        raise InputError(f"{file} cannot be written: {error.strerror}", code="file-access") from None


# Approving


def sign(broker: Broker, judged: Judged, key: Path) -> tuple[str, str, str]:
    """
    Sign a change with the key of an approver.

    Returns:
        The name of the approver, the signature, and the missing approvals (empty if none is missing).

    Raises:
        SignatureError: The key cannot sign.
        RefusedError: The key belongs to no approver, its owner may not approve the change, or the gate's own rules have
            findings that the plan does not list.
    """
    if broker.folder is not None:
        _check_own_rules(broker.folder, judged.change)
    made = signatures.sign(judged.statement.encode(), key)
    answer = broker.verdict(judged.statement, [*judged.signatures, made.decode()])
    # Requested last, so that the answer includes signatures that have arrived in the meantime.
    others = broker.verdict(judged.statement, judged.signatures)["approvals"]
    name = next((name for name in answer["approvals"] if name not in others), None)
    if name is None:
        raise RefusedError("the owner of this key has already approved this change")
    why = answer["not_counted"].get(name)
    if why:
        raise RefusedError(f"not approved: {why}")
    return name, made.decode(), str(answer["missing"])


def _check_own_rules(folder: Path, change: Change) -> None:
    """Run the folder's rules on this machine: on the planner's machine, the program may have changed them."""
    with settings.opened(folder) as gate:
        if not gate.own_rules or change.request is not None:
            return
        report = reported(change)
        if not report.resources:
            raise RefusedError(
                "not approved: the plan lacks the input of the gate's own rules; plan the change again with this folder"
            )
        found = [one for one in _own(gate, report.resources) if one not in report.findings]
        counts = [one for one in found if one.action == "refuse" or one.rule in gate.file.two_approvals]
    for one in found:
        sys.stderr.write(
            f"stacks-pulumi gate: the gate rules in this folder report: {one.rule}: {clean(one.text)}\n"
        )
    if counts:
        raise RefusedError(
            f"not approved: the plan lacks the finding of {counts[0].rule}; plan the change again with this folder"
        )


def post(broker: Broker, judged: Judged, signature: str) -> None:
    """
    Send a signature to the broker, which keeps it until the change is submitted.

    Raises:
        BrokerError: The broker refuses it.
    """
    try:
        broker.ask("POST", "approvals", {"statement": judged.statement, "signatures": [signature]})
    except BrokerError as error:
        # If two people must approve, the broker keeps the signature of the first.
        if error.kind != "approval-needed":
            raise


def save(signature: str, name: str, file: Path) -> Path:
    """
    Write a signature next to a change and return its file.

    Raises:
        InputError: The file cannot be written.
    """
    folder = file.with_name(file.name + SIGNATURES)
    try:
        folder.mkdir(exist_ok=True)
        if folder.is_symlink():
            # Through a link, the change's author could make this user overwrite a different file.
            raise InputError(f"{folder} is a link: remove it")
        with tempfile.NamedTemporaryFile("w", dir=folder, encoding="ascii", delete=False) as made:
            made.write(signature)
        Path(made.name).replace(folder / name)
    except OSError as error:
        raise InputError(f"{folder} cannot be written: {error.strerror}", code="file-access") from None
    return folder / name


# Applying


class Run(NamedTuple):
    """
    The options for applying a change.

    Attributes:
        file: The file of the change.
        project: The project's folder.
        stack: The stack's name; by default the stack of the change.
        words: The command; empty for `pulumi up`.
        strict: Whether to refuse a client that could read the key.
        accept_replay: Whether to continue if the change may already have been applied.
    """

    file: Path
    project: Path
    stack: str | None
    words: Sequence[str] = ()
    strict: bool = False
    accept_replay: bool = False


class Applied(NamedTuple):
    """
    The result of a command.

    Attributes:
        code: Its exit code.
        left: The approved creates and deletions that did not happen, in words.
    """

    code: int
    left: tuple[str, ...]


def apply(broker: Broker, wanted: Run) -> Applied:
    """
    Run a command with the grant of a change.

    Raises:
        RefusedError: The broker refuses the change, or this client could read the key although `strict` forbids it.
        InputError: The project belongs to a different stack, or the saved plan differs from the signed one.
    """
    if broker.folder is not None:
        _check_exposed(broker.why_exposed(), wanted)
    statement, given = statement_of(wanted.file), signatures_of(wanted.file)
    change = read_change(statement.encode())
    report = reported(change)
    if not (wanted.words or change.permits or change.secrets or report.steps or report.findings):
        # An empty change needs neither a grant nor an update.
        return Applied(0, ())
    saved = b""
    if not wanted.words:
        _check_stack(wanted, change)
        saved = _saved_plan(wanted, change)
    is_marked = _once(broker, wanted, change)
    try:
        granted = broker.ask("POST", "changes", {"statement": statement, "signatures": given})
    except BrokerError as error:
        raise RefusedError(error.message) from None
    token = str(granted["token"])
    exposed = "" if broker.folder is not None else dataclasses.replace(broker, token=token).why_exposed()
    if exposed and wanted.strict:
        broker.ask("DELETE", "me", token=token)
    _check_exposed(exposed, wanted)
    if is_marked:
        ignored = (PulumiError,) if wanted.accept_replay else ()
        with contextlib.suppress(*ignored):
            _tag(wanted, change, "set", _tag_of(change), change.until)
    environment = {**without_options(broker.environment(token)), "PULUMI_EXPERIMENTAL": "true"}
    with contextlib.ExitStack() as used:
        words = wanted.words
        if not words:
            scratch = used.enter_context(tempfile.TemporaryDirectory(prefix="stacks-gate-"))
            words = _up(used.enter_context(_gate_of(broker, token)), wanted, change, Path(scratch), saved)
        return _ended(broker, token, _run(words, wanted.project, environment, broker))


def _check_exposed(exposed: str, wanted: Run) -> None:
    if exposed and wanted.strict:
        raise RefusedError(exposed)
    if exposed:
        sys.stderr.write(f"stacks-pulumi gate: {exposed}\n")


def _check_stack(wanted: Run, change: Change) -> None:
    """Refuse a project or stack to which the change does not belong."""
    project = find_project(wanted.project)
    name = None if project is None else read_project(project).get("name")
    of_project, _, stack = change.stack.partition("/")
    if name != of_project or (wanted.stack is not None and wanted.stack.rpartition("/")[2] != stack):
        raise InputError(
            f"the change is for the stack {change.stack}, not for this project or stack: pass its folder with -C",
            code="invalid-argument",
        )
    check_configuration(wanted.project, wanted.stack or stack)


def _saved_plan(wanted: Run, change: Change) -> bytes:
    """Return the engine's plan that was signed with a change; empty if there is no plan."""
    plan, expected = plan_of(wanted.file), reported(change).plan
    saved = read_file(plan) if expected is not None and plan.is_file() else b""
    if expected is not None and digest(saved) != expected:
        raise InputError(
            f"{plan} is not the approved plan: copy the plan from the machine that planned the change"
        )
    return saved


def _up(gate: Gate, wanted: Run, change: Change, scratch: Path, saved: bytes) -> list[str]:
    """Return the arguments of `pulumi up` for a change."""
    stack = wanted.stack or change.stack.partition("/")[2]
    words = ["pulumi", "up", "--yes", *_chosen(stack), *packs.options_of(gate.packs, scratch)]
    if saved:
        # A copy, because the file may change after the check.
        (scratch / "plan.json").write_bytes(saved)
        words += ["--plan", str(scratch / "plan.json")]
    return words


def _run(words: Sequence[str], folder: Path, environment: Mapping[str, str], broker: Broker) -> int:
    """Run a command in the foreground: it receives Ctrl-C, and SIGTERM is forwarded to it."""
    inherited = () if broker.used is None else (broker.used,)
    try:
        process = subprocess.Popen(words, cwd=folder, env=environment, pass_fds=inherited)  # noqa: S603  (asked for)
    except OSError as error:
        raise PulumiError(f"the command {words[0]!r} does not start ({error.strerror})") from None
    before = (
        signal.signal(signal.SIGINT, signal.SIG_IGN),
        signal.signal(signal.SIGTERM, lambda number, _: process.send_signal(number)),
    )
    try:
        return process.wait()
    finally:
        signal.signal(signal.SIGINT, before[0])
        signal.signal(signal.SIGTERM, before[1])


def _ended(broker: Broker, token: str, code: int) -> Applied:
    """Return the unused permits of a grant, and make its token invalid."""
    try:
        grant = broker.ask("GET", "me", token=token)
        # After a kill, the broker may still have to remove failed creates.
        if code >= 0:
            broker.ask("DELETE", "me", token=token)
    except StacksError as error:
        sys.stderr.write(
            f"stacks-pulumi gate: the unused permits of the grant are not known: {clean(error.message)}\n"
        )
        return Applied(code, ())
    shown = [one for one in grant["permits"] if one["left"] and not one["used"]]
    effects = [EFFECTS[one["endpoint"]] for one in shown]
    return Applied(
        code,
        tuple(
            f"{one['n']}. {one['words']}"
            for one, effect in zip(shown, effects, strict=True)
            if effect.makes or (effect.removes and one.get("times", 1) is not None)
        ),
    )


# At most once, even with a new ledger


def _once(broker: Broker, wanted: Run, change: Change) -> bool:
    """
    If the ledger cannot show whether a change was applied already, look for the change's tag; return whether to set it.

    Raises:
        RefusedError: The change was applied before, or the ledger is empty and the tags cannot be read.
    """
    is_known, is_empty = (True, False) if broker.folder is None else _memory(broker.folder, change)
    if is_known:
        return False
    try:
        tags = _tags(wanted, change)
    except (PulumiError, ValueError) as error:
        if is_empty and not wanted.accept_replay:
            raise RefusedError(_NOT_KNOWN.format(error)) from None
        return False
    if _tag_of(change) in tags and not wanted.accept_replay:
        raise RefusedError(
            "this change was applied before, by a broker whose ledger no longer exists: plan it again, and "
            "keep the ledger"
        )
    now = instant(datetime.datetime.now(datetime.timezone.utc).timestamp())
    for name, until in tags.items():
        if name.startswith(_TAG) and str(until) < now:
            _tag(wanted, change, "rm", name)
    return True


_NOT_KNOWN: Final = (
    "the broker's ledger is new, so it is not known whether this change was applied before ({}): restore the old "
    "ledger, or use --accept-replay"
)


def _memory(folder: Path, change: Change) -> tuple[bool, bool]:
    """Return whether the ledger would contain an earlier use of a change, and whether the ledger is empty."""
    from stacks_pulumi._clock import SYSTEM_CLOCK  # noqa: PLC0415  (a client of an address has no ledger)
    from stacks_pulumi.broker.folder import Folder  # noqa: PLC0415  (as above)

    with contextlib.closing(Folder(folder, SYSTEM_CLOCK)) as opened:
        ledger, longest = opened.ledger, opened.settings().record_expires
        begun = ledger.rows("select min(at) as at from uses")[0]["at"]
        # A change can be submitted only in the time `longest` before its end.
        is_old = begun is not None and begun < ledger.now() - longest.total_seconds()
        return is_old or bool(ledger.grants("nonce = ?", change.nonce)), begun is None


def _tag_of(change: Change) -> str:
    return f"{_TAG}{hashlib.sha256(change.nonce.encode()).hexdigest()}"[:_TAG_LONGEST]


def _tags(wanted: Run, change: Change) -> dict[str, str]:
    if wanted.words:
        raise PulumiError("the stack of your own command is not known")
    return dict(json.loads(_tag(wanted, change, "ls", "--json") or b"{}"))


def _tag(wanted: Run, change: Change, *words: str) -> bytes:
    # The tag is always on the change's own stack, even if `-s` names a different one, so that the tag is found again.
    stack = reported(change).stack or change.stack.partition("/")[2]
    return run(["stack", "tag", *words, "--stack", stack], folder=wanted.project)
