"""Builds the HTML pages. A page loads nothing from other servers, and never executes the text of a name."""

from __future__ import annotations

import base64
import functools
import hashlib
from collections.abc import Mapping
from importlib import resources


@functools.cache
def page(package: str) -> tuple[bytes, Mapping[str, str]]:
    """
    Return a package's page and the page's response headers; the page contains the style and script that all pages
    share.
    """
    text = (resources.files(package) / "page.html").read_text(encoding="utf-8")
    for name in ("page.css", "page.js"):
        shared = (resources.files("stacks_pulumi") / name).read_text(encoding="utf-8")
        text = text.replace(f"/* {name} */\n", shared)
    rules = (
        "default-src 'none'",
        f"style-src {_digests('style', text)}",
        f"script-src {_digests('script', text)}",
        "require-trusted-types-for 'script'",
        "connect-src 'self'",
        "img-src data:",
        *(f"{name} 'none'" for name in ("base-uri", "form-action", "frame-ancestors")),
    )
    headers = {
        "content-type": "text/html; charset=utf-8",
        "content-security-policy": "; ".join(rules),
        "cross-origin-opener-policy": "same-origin",
        "referrer-policy": "no-referrer",
        "x-content-type-options": "nosniff",
    }
    return text.encode(), headers


def _digests(tag: str, text: str) -> str:
    """Return the digests for the content security policy, which allow only the page's own elements."""
    found = [rest.partition(f"</{tag}>")[0] for rest in text.split(f"<{tag}>")[1:]]
    digests = [base64.b64encode(hashlib.sha256(one.encode()).digest()).decode() for one in found]
    return " ".join(f"'sha256-{digest}'" for digest in digests)
