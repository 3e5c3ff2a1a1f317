"""`stacks-pulumi broker`: run the only process that has the API key, and manage its grants."""

from __future__ import annotations

import argparse
import contextlib
import datetime
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from stacks_pulumi._clock import SYSTEM_CLOCK
from stacks_pulumi.broker import journal
from stacks_pulumi.broker.change import STACK
from stacks_pulumi.broker.folder import Folder, announced
from stacks_pulumi.broker.grants import Desk
from stacks_pulumi.broker.ledger import Spec
from stacks_pulumi.broker.placement import exposures
from stacks_pulumi.broker.reader import duration
from stacks_pulumi.broker.reply import RequestRefusedError
from stacks_pulumi.broker.request import OWN
from stacks_pulumi.broker.server import Server, Tls
from stacks_pulumi.broker.settings import read_file, read_key
from stacks_pulumi.broker.upstream import BASE, Look, Upstream
from stacks_pulumi.commands._shared import TEXT, Command, add_repeatable, answer, argument, one_line, tell
from stacks_pulumi.config import DEFAULT_BASE_URL, GRANT, check_base_url
from stacks_pulumi.errors import ConfigError, StacksError, clean
from stacks_pulumi.gate import start
from stacks_pulumi.gate.client import Broker

_HELP: Final = "keep the API key in one process, and give grants to its clients"
_REFUSED: Final = 2
_KINDS: Final = ("read", "budget")
_SECRETS: Final = ("logs", "credentials", "certificate", "vpn-config")
_NONE: Final = "-"
_HOMES: Final = ("home", "root")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "One process has the API key. Its clients have grants, which allow only the requests that a person signed or "
        "that a budget covers. docs/broker.md describes it."
    )


def run(options: argparse.Namespace) -> int:
    return _ACTIONS[options.action].run(options)


def _add_folder(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "folder", type=Path, metavar="DIR", help="the broker's folder, with gate.yaml and the ledger"
    )


def _add_init(parser: argparse.ArgumentParser) -> None:
    _add_folder(parser)
    parser.add_argument("--systemd", action="store_true", help="also write a systemd unit")


def _add_serve(parser: argparse.ArgumentParser) -> None:
    _add_folder(parser)
    parser.add_argument(
        "--listen",
        metavar="ADDRESS",
        help="ADDRESS:PORT or unix:PATH (default: `listen` in gate.yaml, or 127.0.0.1:7823)",
    )
    parser.add_argument("--tls-cert", type=Path, metavar="FILE", help="the certificate, for other machines")
    parser.add_argument("--tls-key", type=Path, metavar="FILE", help="the private key of the certificate")
    parser.add_argument(
        "--client-ca",
        type=Path,
        metavar="FILE",
        help="accept only clients with a certificate of this authority",
    )
    add_repeatable(parser, "--name", "HOST", "an additional name by which clients address it")
    parser.add_argument(
        "--strict",
        action="store_true",
        help="refuse to start if code of another user, or other code of this user, could read the key",
    )
    parser.add_argument(
        "--while-used",
        action="store_true",
        help="end 15 minutes after the last `gate apply` process that used it",
    )


def _add_grant(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("kind", choices=_KINDS, help="only read, or make changes within a policy")
    _add_folder(parser)
    parser.add_argument("--for", dest="holder", required=True, metavar="NAME", help="the client's name")
    parser.add_argument(
        "--stack",
        default="",
        type=_stack,
        metavar="PROJECT/STACK",
        help="the stack that the grant is for; required for a budget (default for a grant that only reads: any)",
    )
    parser.add_argument("--policy", default="", metavar="NAME", help="the policy of a budget, in gate.yaml")
    parser.add_argument(
        "--secrets",
        default="",
        metavar="CLASS,...",
        help=f"the classes of secrets that it may read: {', '.join(_SECRETS)} (default: none); with --stack, only "
        "those of the stack's containers",
    )
    parser.add_argument(
        "--may-apply-free",
        action="store_true",
        help="allow it to submit changes of its stack that need no approval",
    )
    parser.add_argument(
        "--ttl",
        type=argument(duration),
        default=datetime.timedelta(hours=8),
        metavar="TIME",
        help="how long it is valid: 30m, 8h or 2d (default: 8h)",
    )


def _add_claim(parser: argparse.ArgumentParser) -> None:
    _add_folder(parser)
    parser.add_argument("stack", type=_stack, metavar="PROJECT/STACK", help="the owner")
    parser.add_argument("ids", nargs="+", metavar="ID", help="the ids of the containers")


def _add_deny(parser: argparse.ArgumentParser) -> None:
    _add_folder(parser)
    parser.add_argument("request", metavar="REQUEST", help="the id of the access request")


def _add_revoke(parser: argparse.ArgumentParser) -> None:
    _add_folder(parser)
    parser.add_argument("grant", metavar="GRANT", help="the id of the grant")


def _add_log(parser: argparse.ArgumentParser) -> None:
    _add_folder(parser)
    parser.add_argument("--verify", action="store_true", help="check that no line was changed or removed")
    parser.add_argument(
        "--anchor",
        type=Path,
        metavar="FILE",
        help="compare the journal with the line in this file, then store the last line; keep it on another machine",
    )


def _add_run(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--grant", type=Path, metavar="FILE", help="the file with the token (default: STACKS_API_KEY)"
    )
    parser.add_argument("--url", metavar="URL", help="the address of the broker (default: STACKS_BASE_URL)")
    parser.add_argument(
        "--strict", action="store_true", help="refuse if the broker runs as this user, who could read its key"
    )
    parser.add_argument("words", nargs=argparse.REMAINDER, metavar="-- CMD", help="the command to run")


def _stack(text: str) -> str:
    if text and not STACK.fullmatch(text):
        # A grant with such a stack would be useless: no approver could allow its requests.
        raise argparse.ArgumentTypeError(f"{clean(text)!r} is not PROJECT/STACK (letters, digits, . _ -)")
    return text


def _opened(options: argparse.Namespace) -> contextlib.closing[Folder]:
    return contextlib.closing(Folder(options.folder, SYSTEM_CLOCK))


def _init(options: argparse.Namespace) -> int:
    program = Path(sys.executable).with_name("stacks-pulumi")
    if not program.exists():
        program = Path(sys.argv[0]).absolute()
    names = start.init(options.folder, unit=str(program) if options.systemd else "")
    wrote = (
        f"Wrote {', '.join(names)} to {options.folder}."
        if names
        else f"{options.folder} already contains all files."
    )
    then = f"Then, as a user under whom no client runs:\n  stacks-pulumi broker serve {options.folder}"
    if options.systemd:
        then = f"Then, as root, follow the first lines of {start.UNIT}."
        key = read_file(options.folder, str(options.folder))[0].key
        if key is None or key.credential is None:
            tell(
                "broker",
                "gate.yaml and the unit get the key from different places: write `key: {credential: "
                f"{start.CREDENTIAL}}}`",
            )
        for path in (program, options.folder.resolve()):
            if path.parts[1] in _HOMES:
                tell(
                    "broker",
                    f"{path} is in a home folder, which the unit hides: move it, for example to /opt or /etc",
                )
    sys.stdout.write(
        f"{wrote}\n\nNext: write the limits into gate.yaml and the approvers into allowed_signers. {then}\n"
    )
    return 0


def _demo(_options: argparse.Namespace) -> int:
    from stacks_pulumi.commands import _broker_demo  # noqa: PLC0415  (it needs two extras)

    return _broker_demo.run()


def _serve(options: argparse.Namespace) -> int:
    if (options.tls_cert is None) != (options.tls_key is None):
        raise ConfigError(
            "--tls-cert and --tls-key work only together: pass both, or neither", code="invalid-argument"
        )
    tls = None
    if options.tls_cert is not None:
        tls = Tls(options.tls_cert, options.tls_key, options.client_ca)
    with _opened(options) as folder:
        of_tls = filter(None, (options.tls_cert, options.tls_key, options.client_ca))
        exposed = next(exposures([*folder.files, *of_tls]), "") if options.strict else ""
        if exposed:
            raise ConfigError(f"with --strict, the broker refuses to start: {exposed}", code="file-access")
        server = Server(folder, options.listen, tls, options.name, embedded=options.while_used)

        def ready(url: str) -> None:
            tell(
                "broker",
                f"serving {folder.path} at {url}; its page is at {url.removesuffix(BASE)}{OWN}; code that runs as this "
                "user, or as root, can read the API key",
            )

        # uvicorn passes the signal on only after the running requests have ended.
        signal.signal(signal.SIGTERM, lambda *_: None)
        server.run(ready)
    return 0


def _grant(options: argparse.Namespace) -> int:
    secrets = [word for word in options.secrets.split(",") if word]
    wrong = [word for word in secrets if word not in _SECRETS]
    if wrong:
        raise ConfigError(
            f"there is no class of secrets {wrong[0]!r}: the classes are {', '.join(_SECRETS)}",
            code="invalid-argument",
        )
    with _opened(options) as folder:
        known = folder.settings().policies
        if options.kind == "budget" and options.policy not in known:
            names = ", ".join(known) or "none yet"
            raise ConfigError(
                f"a budget needs --policy with one of the policies in gate.yaml: {names}",
                code="invalid-argument",
            )
        if options.kind == "read" and options.policy:
            raise ConfigError("--policy is only for a budget: remove it", code="invalid-argument")
        if (options.kind == "budget" or options.may_apply_free) and not options.stack:
            raise ConfigError(
                "a budget and --may-apply-free need --stack: without a stack, neither the limit of a stack nor a "
                "budget over several stacks would restrict the client",
                code="invalid-argument",
            )
        spec = Spec(secrets=tuple(secrets), may_apply_free=options.may_apply_free)
        id_, token = folder.ledger.issue(
            options.kind,
            options.holder,
            seconds=options.ttl.total_seconds(),
            stack=options.stack,
            policy=options.policy,
            spec=spec,
        )
        url = announced(folder.path).get("url", "")
    tell("broker", f"the grant {id_} for {options.holder}; its token is shown only now")
    answer(options, {"grant": id_, "token": token, "url": url or None}, [token])
    return 0


def _claim(options: argparse.Namespace) -> int:
    with _opened(options) as folder:
        settings = folder.settings()
        source = settings.key if settings.keys is None else settings.keys.read
        key, ledger = read_key(source, "key"), folder.ledger
        upstream = Upstream(settings.base_url or DEFAULT_BASE_URL, key, SYSTEM_CLOCK, settled=ledger.settled)
        look = Look(upstream, upstream.patient())
        try:
            rows = {id_: look.container(id_) for id_ in options.ids}
        except RequestRefusedError as error:
            raise StacksError(error.text, code="connection-failed") from None
        missing = [id_ for id_, row in rows.items() if row is None]
        if missing:
            raise StacksError(f"the account has no container {missing[0]!r}", code="not-found")
        for row in rows.values():
            if row is not None:
                ledger.claim(options.stack, row.id, row.created_at, row.template, row.plan)
    sys.stdout.write(f"{one_line(options.stack)} owns {', '.join(map(clean, options.ids))}.\n")
    return 0


def _requests(options: argparse.Namespace) -> int:
    with _opened(options) as folder:
        found = Desk(folder).requests()
    lines = (
        f"{one['id']}  {one['state']:<8}  {one['at']}  {one['for']} ({one['stack'] or _NONE}): {one['why']}"
        for one in found
    )
    answer(options, {"requests": found}, lines)
    return 0


def _deny(options: argparse.Namespace) -> int:
    with _opened(options) as folder:
        try:
            Desk(folder).deny(options.request)
        except RequestRefusedError as error:
            raise StacksError(error.text, code="not-found") from None
    return 0


def _revoke(options: argparse.Namespace) -> int:
    with _opened(options) as folder:
        if not folder.ledger.revoke(options.grant):
            raise StacksError(f"there is no grant {options.grant!r}", code="not-found")
    return 0


def _log(options: argparse.Namespace) -> int:
    with _opened(options) as folder:
        rows = [dict(row) for row in folder.ledger.rows("select * from journal order by id")]
        anchor = None
        if options.anchor is not None and options.anchor.exists():
            number, _, chain = options.anchor.read_text(encoding="utf-8").strip().partition(" ")
            anchor = int(number), chain
        broken = journal.broken(folder.ledger, anchor) if options.verify or anchor else ""
        last = journal.last(folder.ledger)
    if broken:
        tell("broker", f"the journal was changed: {broken}")
        return _REFUSED
    if options.anchor is not None:
        options.anchor.write_text(f"{last[0]} {last[1]}\n", encoding="utf-8")
    if options.verify:
        tell(
            "broker",
            f"the journal is intact: {last[0]} lines; the digest of the last line begins with {last[1][:16] or _NONE}",
        )
    answer(options, {"lines": rows, "verified": bool(options.verify)}, map(_line, rows))
    return 0


def _line(row: dict[str, Any]) -> str:
    at = datetime.datetime.fromtimestamp(row["at"], datetime.timezone.utc)
    return (
        f"{at:%Y-%m-%dT%H:%M:%SZ}  {row['status']}  {row['decision']:<24}  {row['grant_id']} {row['holder']}  "
        f"{row['method']} {row['path']} {row['body']}"
    )


def _status(options: argparse.Namespace) -> int:
    with _opened(options) as folder:
        desk, server = Desk(folder), announced(folder.path)
        grants = [
            {**desk.describe(one), "revoked": one.revoked is not None} for one in folder.ledger.grants()
        ]
        account = folder.ledger.account
    answer(
        options,
        {"server": server or None, "account": account, "grants": grants},
        _status_lines(account, server, grants),
    )
    return 0


def _status_lines(account: str, server: dict[str, Any], grants: list[dict[str, Any]]) -> Iterator[str]:
    where = f"is running at {server['url']} (process {server['pid']})" if server else "is not running"
    yield f"The broker {account} {where}."
    for one in grants:
        state = "revoked" if one["revoked"] else "ended" if one["ended"] else "valid"
        yield f"{one['grant']}  {one['kind']:<6}  {state:<7}  until {one['until']}  {one['for']} {one['stack']}"
        for permit in one["permits"]:
            if permit["left"] and not permit["used"]:
                yield f"  not done: {permit['n']}. {permit['endpoint']} {permit.get('body', '')}"
        yield from (f"  outcome unknown: {use}" for use in one["unknown"])


def _run(options: argparse.Namespace) -> int:
    words = options.words[1:] if options.words[:1] == ["--"] else options.words
    if not words:
        raise ConfigError("there is no command to run: write it after --", code="invalid-argument")
    url = options.url or os.environ.get("STACKS_BASE_URL", "")
    token = os.environ.get("STACKS_API_KEY", "")
    if options.grant is not None:
        try:
            token = options.grant.read_text(encoding="utf-8").strip()
        except (OSError, ValueError) as error:
            raise ConfigError(
                f"the grant {options.grant} cannot be read: {error}", code="file-access"
            ) from None
    if not url or not token.startswith(GRANT):
        raise ConfigError(
            "a broker's address and the token of a grant are needed: give --url and --grant, or set "
            "STACKS_BASE_URL and STACKS_API_KEY",
            code="invalid-argument",
        )

    source = "STACKS_BASE_URL" if options.url is None else "--url"
    reason = Broker(check_base_url(url, source=source), token).why_exposed()
    if reason:
        tell("broker", reason)
        if options.strict:
            return _REFUSED
    environment = {**os.environ, "STACKS_BASE_URL": url, "STACKS_API_KEY": token}
    return os.execvpe(words[0], words, environment)  # noqa: S606  (to run this command is the purpose)


_ACTIONS: Final = {
    "demo": Command(
        "demonstrate a budget, a refusal, a signature and the log, with an emulated account",
        lambda _parser: None,
        _demo,
    ),
    "init": Command("write a broker's folder; existing files are kept", _add_init, _init),
    "serve": Command("answer clients until SIGTERM", _add_serve, _serve, codes={0: "it was stopped"}),
    "grant": Command("create a grant, and print its token once", _add_grant, _grant, forms=TEXT),
    "claim": Command("record an owner for containers that are older than the ledger", _add_claim, _claim),
    "requests": Command("list the access requests of grants", _add_folder, _requests, forms=TEXT),
    "deny": Command("deny an access request", _add_deny, _deny),
    "revoke": Command("revoke a grant", _add_revoke, _revoke),
    "log": Command(
        "show the journal: each request, its client and its result",
        _add_log,
        _log,
        codes={0: "done", _REFUSED: "the journal was changed afterwards"},
        forms=TEXT,
    ),
    "status": Command(
        "show the server, the grants, and the remaining uses of each grant", _add_folder, _status, forms=TEXT
    ),
    "run": Command(
        "run a command with a grant instead of the key",
        _add_run,
        _run,
        codes={0: "the exit code of the command", _REFUSED: "this user could read the key (--strict)"},
    ),
}

COMMANDS: Final = {"broker": Command(_HELP, add_arguments, run, actions=_ACTIONS)}
