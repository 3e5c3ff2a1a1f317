"""Prints progress to stderr, because stdout contains only the answer."""

from __future__ import annotations

import sys


def say(sentence: str) -> None:
    print(f"engine: {sentence}", file=sys.stderr, flush=True)
