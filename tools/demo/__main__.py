"""
`make demo`: a complete stack on a real engine and an emulated API, step by step.

    make demo            creates a stack and destroys it, in two minutes
    make demo KEEP=1     keeps the stack and the emulator, for experiments

It needs no account. It does not change the user's Pulumi: state, home and configuration are in a separate folder,
which is removed at the end.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path
from types import FrameType
from typing import NoReturn

if not __package__:
    # If Python runs this folder, it puts the folder first on the path, and its modules could hide other modules.
    sys.path[0] = str(Path(__file__).resolve().parents[2])

from tools.demo.emulated import EmulatedAccount, NotStartedError
from tools.demo.project import CommandFailedError, Project
from tools.demo.screen import say
from tools.demo.tour import Tour, UnexpectedError
from tools.engine.engine import EngineUnavailableError
from tools.engine.ensure import find

_ENDINGS = (signal.SIGTERM, signal.SIGHUP)

_KEPT = """
The stack and the emulator are kept. To continue with both:

   cd {folder}
   . ./env                                then `pulumi preview`, `pulumi up` ...

   examples/quickstart/__main__.py        the program, for your changes {page}                the content of the
   account, live

To stop the emulator and remove the folder with all its content:

   {folder}/stop"""

_OWN = """
The same with your own account costs {price} a month from `pulumi up` until `pulumi destroy`:

   . .venv/bin/activate
{path}   export PULUMI_CONFIG_PASSPHRASE=...         encrypts the key; keep it
   export PULUMI_BACKEND_URL=file://~         states are files; leave this out if you are logged in
   pulumi stack init dev
   pulumi config set stacks:apiKey --secret   create a key in the dashboard: Account Settings, API Keys
   pulumi up"""

_PATH = '   export PATH="$(make -s engine):$PATH"      the engine of this demo\n'


def main() -> int:
    """
    Run the tour.

    Returns:
        0 if every step showed what it should, 1 if not, 130 if it was interrupted.
    """
    for number in _ENDINGS:
        # Under `nohup`, SIGHUP is already ignored, and must stay ignored.
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _interrupt)
    keep = os.environ.get("KEEP", "") not in {"", "0"}
    folder = Path(tempfile.mkdtemp(prefix="stacks-demo-"))
    account: EmulatedAccount | None = None
    kept = False
    began = time.monotonic()
    try:
        say("A database and an app on a real Pulumi engine and an emulated STACKS: no account, no bill.")
        say(
            "It takes about 100 seconds. Containers boot in 4 seconds here, and in 10 to 30 seconds at STACKS."
        )
        say("A refresh searches for a missing connection for a minute before it removes it from the state.")
        account = EmulatedAccount(folder)
        say()
        say("   Program   examples/quickstart/__main__.py")
        say(f"   Account   {account.page} (a page to watch), 60 requests a minute")
        project = Project(folder)
        project.configure(account.url, account.key)
        tour = Tour(project, account)
        tour.until_changed()
        price = tour.price()
        if keep:
            project.leave_notes(account.process.pid)
            kept = True
            say(_KEPT.format(page=account.page, folder=folder))
        else:
            tour.end()
        say()
        say(
            f"Done in {time.monotonic() - began:.0f} s: {account.calls().total()} calls to the API, "
            f"{account.refused()} of them refused by the rate limit."
        )
        say(_OWN.format(price=price, path=_PATH if _engine_is_ours() else ""))
    except (CommandFailedError, EngineUnavailableError, NotStartedError, UnexpectedError) as error:
        say()
        say(f"The demo ended early: {error}.")
        return 1
    except KeyboardInterrupt:
        # If the terminal is closed, the output has no reader.
        with contextlib.suppress(OSError):
            say()
            say("Interrupted; the emulator is stopped and its folder removed.")
        return 130
    finally:
        _finish_undisturbed()
        if not kept:
            if account is not None:
                account.stop()
            shutil.rmtree(folder, ignore_errors=True)
    return 0


def _engine_is_ours() -> bool:
    engine = find()
    return engine is not None and engine.origin != "path"


def _interrupt(_number: int, _frame: FrameType | None) -> NoReturn:
    _finish_undisturbed()
    raise KeyboardInterrupt


def _finish_undisturbed() -> None:
    """Ignore signals during the clean-up: for a closed terminal, the kernel sends one and the shell sends another."""
    for number in _ENDINGS:
        signal.signal(number, signal.SIG_IGN)


if __name__ == "__main__":
    sys.exit(main())
