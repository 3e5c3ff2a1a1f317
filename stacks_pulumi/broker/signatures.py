"""
Whose key created a signature, and was the key valid at that time?

This module runs `ssh-keygen -Y`, so a key may be in a file, in an agent, or on a hardware token.
"""

from __future__ import annotations

import datetime
import re
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from stacks_pulumi._environment import OF_SSH, without_secrets
from stacks_pulumi.broker.signers import NAMESPACE, names_of
from stacks_pulumi.errors import StacksError, clean

BEGIN: Final = b"-----BEGIN SSH SIGNATURE-----"
"""The first line of a signature."""

_ARMOUR: Final = re.compile(
    rb"-----BEGIN SSH SIGNATURE-----\n[A-Za-z0-9+/=\n]+\n-----END SSH SIGNATURE-----\n?"
)
_SECONDS: Final = 60


class SignatureError(StacksError):
    """Raised if a signature is not valid, or cannot be created."""


def sign(text: bytes, key: Path) -> bytes:
    """
    Return a signature in SSH's armored format.

    Args:
        text: The bytes to sign.
        key: The private key, or the public key of a key in an agent.

    Raises:
        SignatureError: The key cannot sign.
    """
    if not key.is_file():
        raise SignatureError(f"there is no key {key}: pass your key with --key", code="file-access")
    # The text comes from standard input. For a file that already has a signature, ssh-keygen would ask a question.
    done = _run(["-Y", "sign", "-f", str(key), "-n", NAMESPACE], text)
    if done.returncode or not done.stdout.startswith(BEGIN):
        message = _said(done)
        # ssh-keygen prints "incorrect passphrase" although it asked for none.
        why = (
            "has a passphrase, and this command does not ask for it"
            if "passphrase" in message
            else f"cannot sign: {message}"
        )
        private = str(key).removesuffix(".pub")
        raise SignatureError(
            f"the key {key} {why}; if it is locked, unlock it with `ssh-add {private}` first (without an agent, "
            "`eval $(ssh-agent)` before that)",
            code="file-access",
        )
    return done.stdout


def new_key(path: Path) -> None:
    """
    Write a new key without a passphrase, and its public key next to it.

    Raises:
        SignatureError: The key cannot be created.
    """
    done = _run(["-q", "-t", "ed25519", "-N", "", "-C", path.name, "-f", str(path)])
    if done.returncode:
        raise SignatureError(f"no key can be created: {_said(done)}", code="file-access")


def signer_of(text: bytes, signature: bytes, signers: Path, at: datetime.datetime) -> str:
    """
    Return the name of the person whose key has signed a text.

    Args:
        text: The text.
        signature: The signature in SSH's armored format.
        signers: The file with the keys of the approvers.
        at: The time at which their keys have to be valid, in UTC.

    Raises:
        SignatureError: The signature is not from a known approver.
        ConfigError: The file of signers is wrong.
    """
    if not _ARMOUR.fullmatch(signature):
        raise SignatureError("the signature is damaged", code="invalid-file")
    name, said = _principal(signature, signers, at)
    if name is None:
        raise SignatureError(
            f"no valid key in {signers.name} made this signature: {said} The key's line may be missing, or the key "
            "may have expired",
            code="invalid-argument",
        )
    checked = _with_signature(["-Y", "verify", "-I", name, "-n", NAMESPACE], signature, signers, at, text)
    if checked.returncode:
        raise SignatureError(f"the signature does not verify: {_said(checked)}", code="invalid-argument")
    return name


def _principal(signature: bytes, signers: Path, at: datetime.datetime) -> tuple[str | None, str]:
    """
    Return the owner of a signature's key (`None` if the key is unknown or not valid at that time), and ssh-keygen's
    message.
    """
    names = names_of(signers)
    found = _with_signature(["-Y", "find-principals"], signature, signers, at)
    lines = set(found.stdout.decode(errors="replace").split())
    is_known = not found.returncode and len(lines) == 1 and lines <= names
    return (lines.pop() if is_known else None), _said(found)


def _with_signature(
    words: Sequence[str], signature: bytes, signers: Path, at: datetime.datetime, text: bytes = b""
) -> subprocess.CompletedProcess[bytes]:
    time = f"verify-time={at.astimezone(datetime.timezone.utc):%Y%m%d%H%M%S}"
    with tempfile.TemporaryDirectory(prefix="stacks-approval-") as folder:
        file = Path(folder) / "signature"
        file.write_bytes(signature)
        return _run([*words, "-s", str(file), "-f", str(signers), "-O", time], text)


def _run(words: Sequence[str], data: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """
    Run ssh-keygen without a terminal, so that it asks for no passphrase. The time zone is UTC, because ssh-keygen reads
    local times.
    """
    environment = {**without_secrets(*OF_SSH), "TZ": "UTC", "LC_ALL": "C", "SSH_ASKPASS_REQUIRE": "never"}
    try:
        return subprocess.run(  # noqa: S603  (no shell)
            ["ssh-keygen", *words],  # noqa: S607  (found on PATH, as the user finds it)
            input=data,
            capture_output=True,
            check=False,
            env=environment,
            # Without a terminal.
            start_new_session=True,
            timeout=_SECONDS,
        )
    except FileNotFoundError:
        raise SignatureError(
            "ssh-keygen is not installed: it comes with OpenSSH, 8.9 or newer", code="file-access"
        ) from None
    except subprocess.TimeoutExpired:
        raise SignatureError(
            "ssh-keygen timed out: touch the hardware key in time", code="timed-out"
        ) from None


def _said(done: subprocess.CompletedProcess[bytes]) -> str:
    lines = (done.stderr + done.stdout).decode(errors="replace").splitlines()
    messages = [clean(line.strip()) for line in lines if line.strip() and "Signing data" not in line]
    return messages[-1][:300] if messages else f"ssh-keygen ended with the exit code {done.returncode}"
