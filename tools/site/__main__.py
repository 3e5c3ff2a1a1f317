"""
`make site`: build the documentation as a site, strictly: any warning fails.

    python tools/site                    into build/site/html
    python tools/site --serve            on http://127.0.0.1:8000; run it again after a page has changed
"""

from __future__ import annotations

import argparse
import functools
import http.server
import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import yaml

if not __package__:
    # If Python runs this folder, it puts the folder first on the path, and its modules could hide other modules.
    sys.path[0] = str(Path(__file__).resolve().parents[2])

from tools.site.loads import loaded_from_elsewhere
from tools.site.staging import configuration, stage
from tools.site.tables import labelled

_ROOT: Final = Path(__file__).resolve().parents[2]


def build(out: Path) -> int:
    """
    Build the site.

    Args:
        out: The target folder, for the staged `pages`, the configuration and the `html`.

    Returns:
        0, or 1 with the reasons on standard error.
    """
    pages, html, settings = out / "pages", out / "html", out / "mkdocs.yml"
    stage(_ROOT, pages)
    settings.write_text(yaml.safe_dump(configuration(pages, html), sort_keys=False), encoding="utf-8")
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--strict", "--clean", "-f", str(settings)]
    # The theme prints advice about its successor, which does not concern this site.
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    if subprocess.run(command, cwd=_ROOT, env=environment, check=False).returncode:
        return 1
    status = 0
    for page in sorted(html.rglob("*.html")):
        text = page.read_text(encoding="utf-8")
        page.write_text(labelled(text), encoding="utf-8")
        for address in loaded_from_elsewhere(text):
            print(
                f"site: {page.relative_to(html)} loads {address}: include the file in the site",
                file=sys.stderr,
            )
            status = 1
    return status


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="make site", description="Build the documentation as a site.")
    parser.add_argument("--out", type=Path, default=_ROOT / "build" / "site")
    parser.add_argument("--serve", action="store_true", help="serve the site on this machine, until Ctrl-C")
    parser.add_argument("--port", type=int, default=8000)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    status = build(options.out.resolve())
    html = options.out.resolve() / "html"
    if status or not options.serve:
        print(f"site: {'not built' if status else html / 'index.html'}", file=sys.stderr)
        return status
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=html)
    try:
        server = http.server.ThreadingHTTPServer(("127.0.0.1", options.port), handler)
    except OSError as error:
        print(
            f"site: port {options.port} cannot be used ({error.strerror}): choose a different port with --port N",
            file=sys.stderr,
        )
        return 1
    with server:
        print(f"site: http://127.0.0.1:{options.port} (Ctrl-C ends it)", file=sys.stderr)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
