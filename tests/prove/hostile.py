"""The proof about texts from outside: whatever an account contains, no command shows or writes what is carried out."""

from __future__ import annotations

import ast
import contextlib
import functools
import io
import json
import os
import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any, ClassVar, Final
from unittest import mock

import yaml

from stacks_pulumi import cli
from stacks_pulumi.api._call import Answer, Call
from stacks_pulumi.api._transport import Transport
from tests.prove.proof import Case, Proof, Seen
from tests.support.hostile import drawn, faults, markdown_faults, shell_faults

__all__ = ["HostileProof"]

_KEY: Final = f"sk_stacks_{'0' * 64}"
_URL: Final = "https://api.example/api/v1"
_BREAKS: Final = "\N{ZERO WIDTH SPACE}\N{VARIATION SELECTOR-16}"
"""What the writer of pages puts into links on purpose."""
_HEADERS: Final = {"x-ratelimit-limit": "1000000", "x-ratelimit-remaining": "1000000"}


class HostileProof(Proof):
    """A case is an account. Its texts are hostile; its ids, templates and statuses are so in some cases only."""

    about = "hostile accounts in scaffold, account, the cost comment, logs and errors"
    cases = 10_000
    at_once = 2
    least: ClassVar[Mapping[str, int]] = {
        "accounts": 60,
        "programs": 10,
        "pages": 20,
        "commands": 5,
        "errors": 60,
    }

    @classmethod
    def short(cls) -> Iterable[Sequence[str]]:
        return [("--cases", "60", "--seed", "7")]

    def draw(self, chance: Random) -> Iterator[Case]:
        while True:
            yield _case(chance)

    def run(self, case: Case, seen: Seen) -> None:
        with tempfile.TemporaryDirectory() as folder, _account(case, Path(folder)):
            seen.counts["accounts"] += 1
            for words in _commands(case, Path(folder)):
                code, out, err = _run(words)
                shown = " ".join(words)
                # The engine does not read a document of ours.
                text = out.replace("<{%", "") if "--json" in words else out
                assert faults(text, breaks=_BREAKS if "markdown" in shown else "") == [], (shown, out)
                assert faults(err) == [], (shown, err)
                assert "Traceback" not in err, err
                seen.counts["errors"] += code != 0
                if "markdown" in shown and code == 0:
                    assert markdown_faults(out) == [], out
                    seen.counts["pages"] += 1
                for command in re.findall(r"(?m)^      ((?:printf|curl|pulumi) .*)$", out):
                    assert shell_faults(command) == [], command
                    seen.counts["commands"] += 1
            seen.counts["programs"] += _check_program(Path(folder) / "program")


def _case(chance: Random) -> Case:
    def text(plain: str, often: float = 0.5) -> str:
        return drawn(chance) if chance.random() < often else plain

    containers = [
        {
            "id": f"usr-1-{text(f'c{number}', 0.1)}",
            "name": text(f"web{number}", 0.3),
            "template": text("nodejs", 0.2),
            "plan": text("basic"),
            "status": text("running", 0.1),
            "type": text("nodejs"),
            "url": text("web.example"),
            "created_at": text("2026-01-01T00:00:00Z", 0.1),
            "allowed_ip": text("198.51.100.7"),
            "description": drawn(chance),
            "connection": drawn(chance),
            "extra": {drawn(chance): drawn(chance)},
        }
        for number in range(chance.randint(1, 4))
    ]
    return {
        "containers": containers,
        "log": [{"line": drawn(chance)} for _ in range(5)],
        "error": drawn(chance),
        "failing": chance.choice([*[""] * 6, "/allowed-ips", "/connections", "/backups"]),
        "owned": [{"name": drawn(chance)} for _ in range(chance.randint(0, 2))],
        "language": chance.choice(["python", "yaml"]),
        "form": chance.choice([[], ["--markdown"], ["--json"]]),
    }


def _commands(case: Case, folder: Path) -> list[list[str]]:
    return [
        ["scaffold", "--owned", "--out", str(folder / "program"), "--language", case["language"]],
        ["account", "--state", str(folder / "state.json"), "--children", "--deletions", *case["form"]],
        ["cost", "--account", "--format", "markdown"],
        ["logs", case["containers"][0]["id"]],
        ["logs", "no such container"],
    ]


@contextlib.contextmanager
def _account(case: Case, folder: Path) -> Iterator[None]:
    """Answer every request with the case's account, and have an export with resources of hostile names."""
    (folder / "platform.yaml").write_text("version: 1\nlists: {lag_seconds: 0}\n", encoding="utf-8")
    owned = [
        {
            "urn": f"urn:pulumi:dev::shop::pulumi-python:dynamic/stacks:Container::{one['name']}",
            "custom": True,
            "id": case["containers"][0]["id"],
            "type": "pulumi-python:dynamic/stacks:Container",
            "inputs": {"stacks_kind": "Container"},
            "outputs": {"name": one["name"], "created_at": "2026-01-01T00:00:00Z"},
        }
        for one in case["owned"]
    ]
    state = {"version": 3, "deployment": {"manifest": {"time": ""}, "resources": owned}}
    (folder / "state.json").write_text(json.dumps(state), encoding="utf-8")
    environ = {
        "STACKS_API_KEY": _KEY,
        "STACKS_BASE_URL": _URL,
        "STACKS_PLATFORM": str(folder / "platform.yaml"),
        "HOME": str(folder),
        "PATH": os.environ.get("PATH", ""),
    }

    def exchange(self: Transport, _session: object, call: Call[Any]) -> Answer:
        status, body = _answer(case, call.path)
        return Answer(status, _HEADERS, json.dumps(body).encode(), self._clock.wall())

    before = Path.cwd()
    os.chdir(folder)
    try:
        with (
            mock.patch.dict(os.environ, environ, clear=True),
            mock.patch.object(Transport, "_exchange", exchange),
        ):
            yield
    finally:
        os.chdir(before)


def _answer(case: Case, path: str) -> tuple[int, Any]:
    if case["failing"] and path.endswith(case["failing"]):
        return 400, {"error": case["error"], "field": case["error"]}
    first = case["containers"][0]
    if path == "/containers":
        rows = [
            {key: value for key, value in one.items() if key != "extra"} | one["extra"]
            for one in case["containers"]
        ]
        return 200, {"success": True, "count": len(rows), "data": rows}
    if path.endswith("/logs"):
        return 200, {"success": True, "data": {"logs": "\n".join(one["line"] for one in case["log"])}}
    if path.endswith("/status"):
        return 200, {"success": True, "data": first}
    if path.endswith("/allowed-ips"):
        rows = [{"id": 1, "ip_address": first["allowed_ip"], "description": first["description"]}]
    elif path.endswith("/connections"):
        rows = [{"id": "1", "name": first["connection"], "target_container_id": first["id"]}]
    elif path.endswith("/vpn-clients"):
        rows = [{"name": first["connection"], "created_at": first["created_at"]}]
    elif path.endswith("/backups"):
        rows = [{"id": 1, "status": first["connection"], "pinned": True, "created_at": first["created_at"]}]
    elif path.endswith("/stats"):
        return 200, {"success": True, "data": {"total_backups": 1, "last_backup_at": first["connection"]}}
    else:
        return 404, {"error": case["error"]}
    return 200, {"success": True, "data": rows}


_parser = functools.cache(cli.build_parser)
"""To build the parsers would be half of the work."""


def _run(words: list[str]) -> tuple[int, str, str]:
    with (
        contextlib.redirect_stdout(io.StringIO()) as out,
        contextlib.redirect_stderr(io.StringIO()) as err,
        mock.patch.object(cli, "build_parser", _parser),
    ):
        code = cli.main(words)
    return code, out.getvalue(), err.getvalue()


def _check_program(folder: Path) -> int:
    """Check that a program only declares resources with plain values; return how many programs there are."""
    if not folder.exists():
        return 0
    # The wheel of this package is in the folder too.
    for file in (file for file in folder.iterdir() if file.suffix != ".whl"):
        text = file.read_text(encoding="utf-8")
        assert text.replace("\n", "").isprintable(), text
    project = yaml.safe_load((folder / "Pulumi.yaml").read_text(encoding="utf-8"))
    names = set(project.get("resources", {}))
    for one in project.get("resources", {}).values():
        assert re.fullmatch(r"stacks:index:[A-Z]\w+", one["type"]), one
        for value in map(str, one["properties"].values()):
            for found in re.findall(r"(?<!\$)(?:\$\$)*\$\{(.*?)\}", value):
                assert found.removesuffix(".id") in names, value
    program = folder / "__main__.py"
    if program.exists():
        tree = ast.parse(program.read_text(encoding="utf-8"))
        variables = {"stacks", "pulumi"}
        for statement in tree.body:
            if isinstance(statement, ast.Assign):
                (variable,) = statement.targets
                assert isinstance(variable, ast.Name)
                variables.add(variable.id)
        for node in ast.walk(tree):
            assert isinstance(node, _ALLOWED), ast.dump(node)
            if isinstance(node, ast.Name):
                assert node.id in variables, node.id
            if isinstance(node, ast.Call):
                called = ast.unparse(node.func)
                assert re.fullmatch(r"stacks\.[A-Z]\w+|pulumi\.ResourceOptions", called), called
    return 1


_ALLOWED: Final = (
    ast.Module,
    ast.Import,
    ast.alias,
    ast.Expr,
    ast.Assign,
    ast.Call,
    ast.keyword,
    ast.Name,
    ast.Attribute,
    ast.Constant,
    ast.Load,
    ast.Store,
)
