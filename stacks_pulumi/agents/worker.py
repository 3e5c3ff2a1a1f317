"""
How does another process plan or apply a program?

The engine has to be interrupted as by Ctrl-C in a terminal when a call is cancelled, and it must go on when the server
is killed. So each plan and each apply is a process with its own session. Its output is a file, and no pipe that
breaks with the server.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

from stacks_pulumi._pulumi_cli import InputError
from stacks_pulumi.agents.outcomes import told
from stacks_pulumi.errors import StacksError, with_code
from stacks_pulumi.gate import flow, settings, texts
from stacks_pulumi.gate import record as records

_PAUSE: Final = 0.25
"""Seconds between two looks at what the engine has written."""

_JOB: Final = "job.json"
_RESULT: Final = "result.json"


class Job(msgspec.Struct, frozen=True):
    """
    What to do.

    Attributes:
        action: Whether to plan or to apply.
        gate: The gate's folder.
        gate_ref: The git ref that the folder is read from.
        record: The folder of the record.
        project: The folder with the project's files and the program.
        stack: The stack's full name.
        origin: The folder of the stack's own project, whose program it becomes when it is applied.
    """

    action: Literal["plan", "apply"]
    gate: str
    gate_ref: str | None
    record: str
    project: str
    stack: str
    origin: str


class Done(msgspec.Struct, frozen=True):
    """
    How it ended.

    Attributes:
        exit_code: The engine's exit code; `None` if an error came before.
        change: What was planned, as the gate shows it for programs.
        error: The error, in one line; empty for none.
    """

    exit_code: int | None = None
    change: dict[str, Any] | None = None
    error: str = ""


def carry_out(job: Job) -> Done:
    """Plan or apply; an error is part of the result."""
    record, project = Path(job.record), Path(job.project)
    try:
        with settings.opened(Path(job.gate), job.gate_ref) as gate:
            if job.action == "apply":
                return Done(flow.apply(gate, record, project, job.stack, _in_force(job)))
            planned = flow.plan(gate, record, project, job.stack)
            shown = texts.json(planned.record, planned.verdict, planned.changes)
            return Done(0, msgspec.json.decode(shown, type=dict[str, Any]))
    except StacksError as error:
        return Done(error=told(error))
    except OSError as error:
        return Done(error=with_code(str(error), "file-access"))
    except KeyboardInterrupt:
        return Done(error=with_code("the call was cancelled before the engine changed anything", "cancelled"))


@contextlib.contextmanager
def _in_force(job: Job) -> Iterator[None]:
    """
    Let the program of a record be the project's while it is applied, and afterwards if it has changed something.

    It is there from the beginning, because all processes may be killed.
    """
    origin, copy = (Path(folder) / "Pulumi.yaml" for folder in (job.origin, job.project))
    before, program = origin.read_bytes(), copy.read_bytes()
    try:
        records.put(origin.parent, origin.name, program)
        yield
    finally:
        # A person may have replaced the program meanwhile.
        if not (Path(job.record) / records.STARTED).exists() and origin.read_bytes() == program:
            records.put(origin.parent, origin.name, before)


async def in_process(job: Job, scratch: Path, output: Path, on_output: Callable[[], Awaitable[None]]) -> Done:
    """
    Carry out a job in another process.

    If the call is cancelled, the engine is interrupted, and this returns only when it has ended.

    Args:
        job: The job.
        scratch: A folder for its result.
        output: The file for what the engine writes.
        on_output: Called now and then while it runs.

    Raises:
        InputError: The process ended without a result.
    """
    import anyio  # noqa: PLC0415  (the process itself does not need it)

    records.put(scratch, _JOB, msgspec.json.encode(job))
    with output.open("wb") as written:
        process = await anyio.open_process(
            [sys.executable, "-m", "stacks_pulumi.agents.worker"],
            stdin=subprocess.DEVNULL,
            stdout=written,
            stderr=written,
            cwd=scratch,
            env=_environment(),
            start_new_session=True,
        )
    try:
        while process.returncode is None:
            with anyio.move_on_after(_PAUSE):
                await process.wait()
            await on_output()
    finally:
        if process.returncode is None:
            with anyio.CancelScope(shield=True), contextlib.suppress(ProcessLookupError):
                # Once, as Ctrl-C does: at the second one the engine would end immediately, and leave what it has begun.
                os.killpg(process.pid, signal.SIGINT)
                await process.wait()
    try:
        return msgspec.json.decode((scratch / _RESULT).read_bytes(), type=Done)
    except (OSError, msgspec.DecodeError):
        raise InputError(
            f"the process that was to {job.action} was killed (exit code {process.returncode}): a person runs "
            "`pulumi cancel` if it was an apply; then plan again",
            code="outcome-unknown",
        ) from None


def _environment() -> dict[str, str]:
    """Return the environment of the process: the plugin is beside this Python, and no other one is fetched."""
    path = os.pathsep.join((os.environ.get("PATH", os.defpath), str(Path(sys.executable).parent)))
    return {**os.environ, "PATH": path, "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true"}


def main() -> int:
    """Read the job in this folder, and write its result into it."""
    folder = Path.cwd()
    job = msgspec.json.decode((folder / _JOB).read_bytes(), type=Job)
    records.put(folder, _RESULT, msgspec.json.encode(carry_out(job)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
