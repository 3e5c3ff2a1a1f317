# ruff: noqa: INP001  (a script beside what it makes)
"""
Make cost-comment.png again, as a pull request shows it: a change with more, less, unknown and a violation.

    python docs/images/make_cost_comment.py      needs chromium, a font with emoji, and what `make setup` installs
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from decimal import Decimal
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parents[1]))

from markdown_it import MarkdownIt  # noqa: E402  (after the path)

from stacks_pulumi.cost.build import report_of  # noqa: E402  (as above)
from stacks_pulumi.cost.result import CostLimit, CostResult, document_of, judge  # noqa: E402  (as above)
from stacks_pulumi.reports.writers import comment  # noqa: E402  (as above)
from tests.support.previews import UNKNOWN, events, step, violation, web  # noqa: E402  (as above)

STYLE = """
body { font: 14px/1.5 -apple-system, "Segoe UI", "DejaVu Sans", Helvetica, Arial, sans-serif; color: #1f2328;
  margin: 0; padding: 16px 20px; width: 820px; background: #fff; }
h3 { font-size: 17px; margin: 0 0 12px; } h4 { font-size: 15px; margin: 16px 0 8px; }
table { border-collapse: collapse; margin: 12px 0; }
th, td { border: 1px solid #d1d9e0; padding: 5px 12px; } tr:nth-child(even) td { background: #f6f8fa; }
p, ul { margin: 0 0 10px; } ul { padding-left: 22px; } li { margin: 6px 0; } summary { margin: 6px 0; }
"""
PLANS = (
    "Containers must have one of the allowed plans.\n"
    "container 'search' has plan premium (2 vCPU, 4 GB RAM, 40 GB, $10/month); allowed: micro, basic, standard. "
    "Choose one of them."
)
LATER = "the plan of 'worker' is not known yet; the update checks it before the resource is created"


def main() -> None:
    """Write the picture."""
    picture("cost-comment.png", small(), "860,560")


def small() -> bytes:
    """A change of each kind."""
    return events(
        step("create", "search", None, web("premium", additional_storage_tier=3)),
        step("create", "worker", None, web(UNKNOWN, "python")),
        step("update", "api", web("basic"), web("standard")),
        step("delete", "old-shop", web("basic", "wordpress")),
        step("same", "db", web("basic", "postgresql"), web("basic", "postgresql")),
        step("same", "cache", web("micro", "redis-micro"), web("micro", "redis-micro")),
        step("create", "www", None, {}, "cloudflare:index/record:Record"),
        policies=(
            violation("allowed-plans", "search", PLANS),
            violation("allowed-plans", "worker", LATER, "advisory"),
        ),
        errors=("preview failed",),
    )


def picture(name: str, data: bytes, size: str) -> None:
    """Write a picture of a comment on costs."""
    report = report_of(data)
    limits = (CostLimit("increase", Decimal(20), block=True), CostLimit("total", Decimal(30), block=False))
    shot(name, comment(document_of(CostResult(report, judge(report, limits))), "shop/prod"), size)


def shot(name: str, text: str, size: str) -> None:
    """Write one picture of a comment in Markdown."""
    page = MarkdownIt("gfm-like", {"linkify": False}).render(text)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "comment.html"
        file.write_text(f"<!doctype html><meta charset=utf-8><style>{STYLE}</style>{page}", encoding="utf-8")
        subprocess.run(  # noqa: S603  (its arguments are ours)
            [  # noqa: S607  (chromium is wherever the machine has it)
                "chromium",
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--hide-scrollbars",
                f"--window-size={size}",
                f"--user-data-dir={folder}/profile",
                f"--screenshot={HERE / name}",
                file.as_uri(),
            ],
            check=True,
            capture_output=True,
            timeout=60,
        )


if __name__ == "__main__":
    main()
