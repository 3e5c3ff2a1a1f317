"""The second way: the official release, when it can be reached and is the one whose checksum is pinned."""

from __future__ import annotations

import hashlib
import http.client
import io
import platform
import tarfile
import threading
import urllib.error
import urllib.request
from pathlib import Path, PurePosixPath

from tools.engine import pins
from tools.engine.say import say

FIRST_BYTE_SECONDS = 5
DOWNLOAD_SECONDS = 600


def install(root: Path, version: str) -> bool:
    """Put a pinned engine into `root`/bin; False if its release cannot be reached or is not the pinned one."""
    machine = (platform.system(), platform.machine())
    releases = pins.RELEASES.get(version)
    if releases is None:
        say(f"no checksum is pinned for the official release {version}, so it is not downloaded.")
        return False
    found = releases.get(machine)
    if found is None:
        say(f"there is no official release for {' '.join(machine)}.")
        return False
    name, checksum = found
    archive = download(f"{pins.address(version)}/{name}")
    if archive is None:
        say("the official release cannot be reached.")
        return False
    if hashlib.sha256(archive).hexdigest() != checksum:
        say(f"what was downloaded as {name} has another checksum than the pinned release, so it is not used.")
        return False
    unpack(archive, root / "bin")
    return True


def unpack(archive: bytes, folder: Path) -> None:
    """Write the files of the archive into one folder, whatever folders it has."""
    folder.mkdir(parents=True, exist_ok=True)
    with tarfile.open(fileobj=io.BytesIO(archive)) as release:
        for member in release:
            content = release.extractfile(member) if member.isfile() else None
            if content is not None:
                target = folder / PurePosixPath(member.name).name
                target.write_bytes(content.read())
                target.chmod(0o755)


def download(address: str) -> bytes | None:
    """
    Return what is at the address, or None when its first byte does not come quickly.

    In a thread, because a time-out given to the request does not cover the look-up of the name.
    """
    answer: list[bytes] = []
    begun = threading.Event()

    def get() -> None:
        try:
            with urllib.request.urlopen(address, timeout=FIRST_BYTE_SECONDS) as response:
                begun.set()
                say(f"downloading {address}; this takes about a minute.")
                answer.append(response.read())
        except (OSError, urllib.error.URLError, http.client.HTTPException):
            return
        finally:
            begun.set()

    thread = threading.Thread(target=get, daemon=True)
    thread.start()
    if begun.wait(FIRST_BYTE_SECONDS):
        thread.join(DOWNLOAD_SECONDS)
    return answer[0] if answer else None
