"""The requests of a run: every name and id is on the disk before the run continues."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

__all__ = ["Asked", "Record"]


@dataclass
class Asked:
    """
    A requested container.

    Attributes:
        name: Its name.
        at: The time of the request, in seconds since the epoch.
        ids: All possible ids of the container.
        over: Why no container of this request can exist: the request was refused, or the container is known to be
            deleted.
        doubt: Why a container may still appear: the answer was lost or was a 5xx.
    """

    name: str
    at: float
    ids: list[str] = field(default_factory=list)
    over: str | None = None
    doubt: str | None = None


class Record:
    """
    The record of a run.

    Each change is a line of JSON, which is on the disk when the method returns. So after a crash, the file contains
    every name and id that the platform may know.

    Args:
        prefix: The prefix of the run.
        file: The file; `None` to keep the record in memory only.
        base_url: The API, for a new file.

    Attributes:
        base_url: The API; `None` if a crash truncated the file before this entry.
        asked: The requests; a second use of a name is a new request.
    """

    def __init__(self, prefix: str, file: Path | None = None, base_url: str | None = None) -> None:
        self.prefix = prefix
        self.file = file
        self.base_url = base_url
        self.asked: list[Asked] = []

    @classmethod
    def read(cls, file: Path) -> Record:
        """Return the content of a file; unreadable lines are skipped."""
        record = cls(file.stem, file)
        try:
            lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            lines = []
        for line in lines:
            try:
                record._apply(json.loads(line))
            except (ValueError, TypeError):
                continue
        return record

    def create(self) -> None:
        self._write({"base_url": self.base_url})

    def ask(self, name: str, at: float) -> Asked:
        """Record the name of a container before the request for it."""
        self._note({"name": name, "at": at})
        return self.asked[-1]

    def add_ids(self, asked: Asked, ids: Iterable[str]) -> None:
        new = [it for it in ids if it not in asked.ids]
        if new:
            self._note({"of": self.asked.index(asked), "ids": new})

    def close(self, asked: Asked, why: str) -> None:
        """Record that no container of a request can exist."""
        self._note({"of": self.asked.index(asked), "over": why})

    def doubt(self, asked: Asked, why: str) -> None:
        """Record that the container of a request may still appear."""
        self._note({"of": self.asked.index(asked), "doubt": why})

    def _note(self, line: Mapping[str, Any]) -> None:
        self._write(line)
        self._apply(line)

    def _write(self, line: Mapping[str, Any]) -> None:
        if self.file is None:
            return
        with self.file.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(line) + "\n")
            stream.flush()
            os.fsync(stream.fileno())

    def _apply(self, line: Any) -> None:
        if not isinstance(line, Mapping):
            return
        if "name" in line:
            self.asked.append(Asked(str(line["name"]), float(line.get("at") or 0)))
        elif "of" not in line:
            self.base_url = str(line["base_url"]) if line.get("base_url") else None
        elif isinstance(line["of"], int) and 0 <= line["of"] < len(self.asked):
            asked = self.asked[line["of"]]
            asked.ids += [str(it) for it in line.get("ids") or ()]
            asked.over = line.get("over") or asked.over
            asked.doubt = line.get("doubt") or asked.doubt
