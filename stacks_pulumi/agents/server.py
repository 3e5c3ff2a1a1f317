"""
How are calls received, answered and logged?

The server speaks the Model Context Protocol over standard input and output, with the official SDK. One function hides
secrets in the answers of all tools. Another function writes a line into the audit log for every call.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import functools
import hashlib
import inspect
import json
import os
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Final

import pydantic
from mcp import MCPError
from mcp.server import MCPServer
from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.server.mcpserver.prompts import Prompt
from mcp.server.mcpserver.resources import FunctionResource
from mcp.server.mcpserver.tools import Tool
from mcp_types import INTERNAL_ERROR, INVALID_PARAMS, CallToolResult, TextContent, ToolAnnotations

from stacks_pulumi import __version__
from stacks_pulumi._pulumi_cli import InputError
from stacks_pulumi.agents.programs import ProgramError
from stacks_pulumi.agents.reading import pages
from stacks_pulumi.agents.tools import RECORD, Desk
from stacks_pulumi.errors import StacksError, clean, with_code, without_keys

_WRITTEN_DOWN: Final = frozenset({"tools/call", "resources/read", "prompts/get"})
_CODE: Final = re.compile(r"\[([a-z-]{1,40})\]\Z")
_LONGEST_ERROR: Final = 600
"""The maximum number of characters of an SDK error that a client receives."""
_TITLES: Final = {
    "list_resources": "Resources of the stack",
    "get_account": "Cost of the account",
    "list_prices": "Prices",
    "get_logs": "Log of a container",
    "get_metrics": "Measurements of a container",
    "explain_error": "Meaning of an error code",
    "plan": "Plan a change",
    "apply": "Apply a planned change",
}

_INSTRUCTIONS: Final = """\
You manage one stack of containers within a budget. Write the whole desired program, and call `plan`. The verdict \
states whether you may `apply` the record, whether a person has to approve it first (show them `approve_with`), or why \
it is refused. A resource that a program leaves out is deleted, so begin with the program that `list_resources` \
returns. Read stacks://docs/for-agents first."""


class Audit:
    """
    The log of all calls, one line of JSON for each.

    Args:
        file: The file; it is created if it does not exist.

    Raises:
        InputError: The file cannot be written. Without a log, the server answers no call.
    """

    def __init__(self, file: Path) -> None:
        try:
            self._file = os.open(file, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise InputError(f"{file} cannot be written: {error.strerror}", code="file-access") from None

    def write(self, name: str, arguments: Any, result: str, record: str | None, seconds: float) -> None:
        """
        Write a line; it contains only a digest of the arguments.

        Raises:
            MCPError: The line cannot be written completely.
        """
        text = json.dumps(arguments, sort_keys=True, default=str).encode(errors="surrogatepass")
        line = {
            "at": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
            "call": clean(name)[:100],
            "arguments": hashlib.sha256(text).hexdigest(),
            "result": result,
            "record": record,
            "seconds": round(seconds, 3),
            "server": os.getpid(),
        }
        whole = json.dumps(line).encode() + b"\n"
        try:
            if self._is_torn():
                whole = b"\n" + whole
            written = os.write(self._file, whole)
        except OSError as error:
            raise _unwritten(error.strerror or "") from None
        if written < len(whole):
            raise _unwritten("the disk is full")

    def _is_torn(self) -> bool:
        """
        Return whether the last line is incomplete because the disk was full: the next line would be appended to it.
        """
        size = os.fstat(self._file).st_size
        return size > 0 and os.pread(self._file, 1, size - 1) != b"\n"

    def close(self) -> None:
        os.close(self._file)


def _unwritten(why: str) -> MCPError:
    return MCPError(INTERNAL_ERROR, with_code(f"the audit log cannot be written: {why}", "file-access"))


def _shown(error: Exception) -> MCPError:
    """
    Return an SDK error in the form that the client receives.

    The error repeats only the client's own input, so known secrets are not hidden in it: a client could otherwise send
    guesses and see which of them are hidden.
    """
    if isinstance(error, MCPError):
        code, text = error.error.code, error.error.message
    elif isinstance(error, ValueError):
        code, text = INVALID_PARAMS, str(error)
    else:
        code, text = INTERNAL_ERROR, _bug(error)
    return MCPError(code, clean(without_keys(text))[:_LONGEST_ERROR])


def server_of(desk: Desk, audit: Audit) -> MCPServer[Any]:
    """Return the server with its tools, resources and prompts."""
    reading = ToolAnnotations(read_only_hint=True, open_world_hint=False)
    planning = ToolAnnotations(read_only_hint=True, idempotent_hint=False, open_world_hint=False)
    changing = ToolAnnotations(
        read_only_hint=False, destructive_hint=True, idempotent_hint=False, open_world_hint=False
    )
    tools: list[tuple[Callable[..., Any], ToolAnnotations]] = [
        (desk.list_resources, reading),
        (desk.get_account, reading),
        (desk.list_prices, reading),
        (desk.get_logs, reading),
        (desk.get_metrics, reading),
        (desk.explain_error, reading),
        (desk.plan, planning),
    ]
    if desk.may_apply:
        tools.append((desk.apply, changing))
    server: MCPServer[Any] = MCPServer(
        "stacks-pulumi",
        title="STACKS behind a broker",
        instructions=_INSTRUCTIONS,
        version=__version__,
        tools=[_strict(tool, hints, desk) for tool, hints in tools],
        # The client may show log lines to the agent, and a traceback may contain a secret.
        log_level="CRITICAL",
    )
    for page, file in pages().items():
        server.add_resource(
            FunctionResource(
                uri=f"stacks://docs/{page}",
                name=page,
                description=_heading(file),
                mime_type="text/markdown",
                fn=functools.partial(file.read_text, encoding="utf-8"),
            )
        )
    for prompt in (deploy_app_with_database, reduce_the_bill):
        server.add_prompt(Prompt.from_function(prompt))
    # This is the first middleware, so that refusals of the other middlewares are in the log.
    server.middleware.insert(0, Exit(audit))
    return server


def _strict(tool: Callable[..., Any], hints: ToolAnnotations, desk: Desk) -> Tool:
    """Return a tool that refuses unknown arguments: a misspelt argument would otherwise be ignored."""
    made = Tool.from_function(
        _answering(tool, desk),
        title=_TITLES[tool.__name__],
        description=" ".join((tool.__doc__ or "").split()),
        annotations=hints,
    )
    arguments = made.fn_metadata.arg_model
    arguments.model_config["extra"] = "forbid"
    arguments.model_rebuild(force=True)
    made.parameters["additionalProperties"] = False
    return made


def deploy_app_with_database(app: str, template: str = "nodejs", database: str = "postgresql") -> str:
    """Deploy an app with a database."""
    return (
        f"Deploy the app {app!r} from the template {template!r} with a database from the template {database!r}.\n"
        "1. Call list_resources and keep the program that it returns. Call list_prices and get_account.\n"
        "2. Add two resources of the type stacks:index:Container and one stacks:index:Connection from the app to the "
        "database. Protect the database (options: {protect: true}).\n"
        "3. Call plan. Show the person the monthly price and the verdict.\n"
        "4. If the verdict is free, call apply. If the change needs an approval, show the person `approve_with`, "
        "wait until they say that they have signed, and call apply. If it is refused, explain why and propose a "
        "smaller change."
    )


def reduce_the_bill() -> str:
    """Find ways to reduce the cost without losing data."""
    return (
        "Find out how the stack can cost less.\n"
        "1. Call list_resources, get_account and list_prices, and get_metrics for each container.\n"
        "2. Name the containers that are little used, what each costs, and what would be lost without it. A change of "
        "the plan replaces a container and destroys its data: explain that.\n"
        "3. Propose one change, call plan with it, and show the person the steps and the prices. Deletions always need "
        "an approval."
    )


@dataclasses.dataclass(frozen=True)
class Exit:
    """The middleware that logs every call and shortens each SDK error to one line with a code."""

    audit: Audit

    async def __call__(self, ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
        if ctx.method not in _WRITTEN_DOWN or ctx.request_id is None:
            # Without an id, this is a notification, whatever its method: it calls no tool and is not logged.
            return await call_next(ctx)
        params = dict(ctx.params or {})
        # Each method uses only one of the two parameters.
        name = f"{ctx.method} {params.get('uri' if ctx.method == 'resources/read' else 'name') or ''}"
        started = time.monotonic()
        # The record is taken from the arguments, because a killed or cancelled call has no answer.
        result, record = "cancelled", _record_in(params) if name == "tools/call apply" else None
        if record is not None:
            # If the server is killed, the engine continues, so the log needs a line before the call.
            self.audit.write(name, params.get("arguments"), "began", record, 0)
        try:
            answer = _in_one_line(_as_json(await call_next(ctx)))
            result, named = _verdict_of(answer)
            record = named or record
        except pydantic.ValidationError:
            # The SDK reports a malformed request.
            result = "error"
            raise
        except Exception as error:  # noqa: BLE001  (its text may have a secret, or a megabyte)
            result = "error"
            raise _shown(error) from None
        finally:
            self.audit.write(name, params.get("arguments"), result, record, time.monotonic() - started)
        return answer


def _in_one_line(answer: dict[str, Any]) -> dict[str, Any]:
    """Return an answer in which an SDK error about arguments is one line with a code."""
    content = answer.get("content")
    if answer.get("isError") and isinstance(content, list) and content:
        text = str(content[0].get("text", ""))
        if "\n" in text or not text.endswith("]"):
            line = clean(without_keys(" ".join(text.split())))[:_LONGEST_ERROR]
            content[0]["text"] = with_code(line, "invalid-argument")
    return answer


def _answering(tool: Callable[..., Any], desk: Desk) -> Callable[..., Awaitable[CallToolResult]]:
    """Return a tool whose result contains no secrets and whose errors are one-line messages of this package."""
    secrets = desk.secrets
    # A tool that reads is not asynchronous, so without a thread it would block the server.
    run = tool if inspect.iscoroutinefunction(tool) else functools.partial(desk.in_thread, tool)

    @functools.wraps(tool)
    async def answer(*args: Any, **kwargs: Any) -> CallToolResult:
        try:
            data = secrets.masked_in(dataclasses.asdict(await run(*args, **kwargs)))
            text = json.dumps(data, ensure_ascii=False)
        except ProgramError as error:
            # The error contains only the client's own input: see `_shown`.
            return _failed(str(error))
        except StacksError as error:
            return _failed(secrets.masked(str(error)))
        except OSError as error:
            return _failed(with_code(f"{error.strerror or type(error).__name__}", "file-access"))
        except Exception as error:  # noqa: BLE001  (its text may have a secret)
            return _failed(_bug(error))
        return CallToolResult(content=[TextContent(type="text", text=text)], structured_content=data)

    return answer


def _bug(error: Exception) -> str:
    return with_code(f"a bug in this package ({type(error).__name__})", "internal-error")


def _failed(text: str) -> CallToolResult:
    return CallToolResult(content=[TextContent(type="text", text=clean(without_keys(text)))], is_error=True)


def _heading(file: Path) -> str:
    with contextlib.suppress(OSError):
        return file.read_text(encoding="utf-8").partition("\n")[0].lstrip("# ")
    return file.stem


def _as_json(answer: HandlerResult) -> dict[str, Any]:
    if isinstance(answer, pydantic.BaseModel):
        return answer.model_dump(mode="json", by_alias=True, exclude_none=True)
    return dict(answer or {})


def _record_in(params: Mapping[str, Any]) -> str | None:
    """Return the name of the record that a call's arguments contain."""
    arguments = params.get("arguments")
    record = arguments.get("record") if isinstance(arguments, Mapping) else None
    return record if isinstance(record, str) and RECORD.fullmatch(record) else None


def _verdict_of(answer: Mapping[str, Any]) -> tuple[str, str | None]:
    """Return an answer's verdict or error for the audit log, and the name of the answer's record."""
    if answer.get("isError"):
        (content, *_) = answer.get("content") or [{}]
        code = _CODE.search(str(content.get("text", "")))
        return f"error {code[1]}" if code else "error", None
    data = answer.get("structuredContent")
    data = data if isinstance(data, Mapping) else {}
    record = data.get("record")
    return str(data.get("verdict") or "ok"), record if isinstance(record, str) else None
