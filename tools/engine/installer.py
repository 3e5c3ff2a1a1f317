"""The second way: install the official release, if it can be downloaded and has the pinned checksum."""

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
    """Install a pinned engine into `root`/bin; return False if it is unreachable or has a different checksum."""
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
        say(
            f"the downloaded file {name} has a different checksum than the pinned release, so it is not used."
        )
        return False
    unpack(archive, root / "bin")
    return True


def unpack(archive: bytes, folder: Path) -> None:
    """Write all files of the archive into one folder, without its subfolders."""
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
    Return the content at an address, or None if no data arrives in time.

    The request runs in a thread, because its timeout does not cover the DNS lookup.
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
